"""The production bus: MQTT 3.1.1, clean sessions, QoS 0 (decision 002).

One task stays connected for as long as `messages` is iterated. Each connection is a new
client that subscribes to every filter and watches for its own end from the first moment;
the connection counts, and `publish` works, from the moment all filters are granted until
it is lost. In between everything is dropped and counted: whoever sent it says it again.

aiomqtt keeps the session; the messages themselves travel on the `Wire` below it
(`mqtt_wire.py`), which is why there is no `client.publish` here and why iterating
`client.messages` only ever ends, by the loss of the connection.

The back-off starts anew only after a connection that lasted. So a restarted broker is
found at once, while two clients that were given the same id, each of which throws the
other out, fight at the slowest pace there is.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from itertools import islice

import aiomqtt

from twin_runtime.adapters.mqtt_wire import WireContext, publish_packet
from twin_runtime.core.backoff import backoff_s
from twin_runtime.core.effects import Event, Message, Send
from twin_runtime.core.inbox import Inbox
from twin_runtime.core.limits import (
    BUS_TIMEOUT_S,
    INBOX_EVENTS_MAX,
    KEEPALIVE_S,
    RECONNECT_FIRST_S,
    RECONNECT_LAST_S,
)

# A packet of 1,000 filters is 40 KB; a process of 5,000 devices has 10,000 filters.
FILTERS_PER_PACKET_MAX = 1_000
# A connection that lasted this long was no accident: the next back-off starts anew.
LASTING_S = 2 * RECONNECT_LAST_S
# A goodbye to a broker that hears takes a millisecond; to one that does not, these.
CLOSE_ATTEMPTS_MAX = 3
CLOSE_ATTEMPT_S = 1.0

_REFUSED = 128
_log = logging.getLogger("diten.bus")
# What the libraries would say of a lost connection is said here, once and in words.
_library_log = logging.getLogger("diten.bus.library")
_library_log.setLevel(logging.CRITICAL)


class MqttBus:
    """A `Bus` over one MQTT connection.

    `connected`, `reconnects`, `sends_dropped` and `inbox_drops` are for the metrics.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        client_id: str,
        filters: Sequence[str],
        will: Send | None = None,
        inbox_events_max: int = INBOX_EVENTS_MAX,
    ) -> None:
        self._host = host
        self._port = port
        self._client_id = client_id
        self._filters = tuple(filters)
        self._will = None if will is None else _will(will)
        self._inbox = Inbox(inbox_events_max)
        self._early = Inbox(inbox_events_max)  # arrived before all filters were granted
        self._arrived = asyncio.Event()
        self._context: WireContext | None = None  # of the connection, while there is one
        self._connections = 0
        self._complained = False
        self._used = False
        self._closing = False
        self.sends_dropped = 0
        self.oversized_drops = 0

    @property
    def connected(self) -> bool:
        return self._context is not None

    @property
    def reconnects(self) -> int:
        return max(self._connections - 1, 0)

    @property
    def inbox_drops(self) -> int:
        return self._inbox.drops + self._early.drops + self.oversized_drops

    async def publish(self, sends: Sequence[Send]) -> None:
        """See `Bus.publish`. Never waits at all: it is done, or dropped, when called."""
        if self._context is None or self._context.wire is None:
            self.sends_dropped += len(sends)
        else:
            self.sends_dropped += self._context.wire.write([publish_packet(s) for s in sends])

    async def messages(self) -> AsyncGenerator[list[Event], None]:
        """See `Bus.messages`."""
        assert not self._used, "a bus is iterated once"
        self._used = True
        staying = asyncio.create_task(self._stay_connected(), name=f"bus {self._client_id}")
        staying.add_done_callback(lambda _: self._arrived.set())
        try:
            while not staying.done():
                await self._arrived.wait()
                self._arrived.clear()
                if events := self._inbox.take():
                    yield events
            staying.result()  # it ends by a mistake of ours only; let it be seen
        finally:
            await self._close(staying)

    async def _close(self, staying: asyncio.Task[None]) -> None:
        self._closing = True
        # Before 3.12 `wait_for` may swallow a cancellation that comes with its result.
        for _ in range(CLOSE_ATTEMPTS_MAX):
            staying.cancel()
            await asyncio.wait((staying,), timeout=CLOSE_ATTEMPT_S)
            if staying.done():
                return

    async def _stay_connected(self) -> None:
        clock = asyncio.get_running_loop().time
        attempt = 0
        while not self._closing:
            started_s = clock()
            try:
                await self._connection()
            except* aiomqtt.MqttError as errors:
                self._complain(errors)
            attempt = 0 if clock() - started_s > LASTING_S else attempt
            await asyncio.sleep(
                backoff_s(self._client_id, attempt, RECONNECT_FIRST_S, RECONNECT_LAST_S)
            )
            attempt += 1

    async def _connection(self) -> None:
        """Connect, subscribe and wait for the end, which is always an `MqttError`."""
        context = WireContext(self._deliver)
        try:
            async with self._client(context) as client, asyncio.TaskGroup() as group:
                group.create_task(_until_lost(client), name=f"bus {self._client_id} watch")
                await self._subscribe(client)
                self._up(context)
        finally:
            context.hang_up()
            self._down()

    def _client(self, context: WireContext) -> aiomqtt.Client:
        return aiomqtt.Client(
            self._host,
            self._port,
            identifier=self._client_id,
            protocol=aiomqtt.ProtocolVersion.V311,
            clean_session=True,
            will=self._will,
            keepalive=KEEPALIVE_S,
            timeout=BUS_TIMEOUT_S,
            tls_context=context,
            logger=_library_log,
        )

    async def _subscribe(self, client: aiomqtt.Client) -> None:
        remaining = iter(self._filters)
        while chunk := list(islice(remaining, FILTERS_PER_PACKET_MAX)):
            granted = await client.subscribe([(each, 0) for each in chunk])
            for each, code in zip(chunk, granted, strict=True):
                if code == _REFUSED:
                    raise aiomqtt.MqttError(f"the broker refused the subscription to {each!r}")

    def _deliver(self, messages: list[Message], too_large: int) -> None:
        self.oversized_drops += too_large
        if self.connected:
            self._inbox.put(messages)
            self._arrived.set()
        else:
            self._early.put(messages)

    def _up(self, context: WireContext) -> None:
        assert context.wire is not None, "paho did not ask the context to wrap its socket"
        self._context = context
        self._connections += 1
        self._complained = False
        _log.info("%s is connected to %s:%d", self._client_id, self._host, self._port)
        self._inbox.connected()
        self._inbox.put(self._early.take())
        self._arrived.set()

    def _down(self) -> None:
        self._early.take()
        if self.connected:
            self._context = None
            self._inbox.disconnected()
            self._arrived.set()

    def _complain(self, errors: ExceptionGroup[aiomqtt.MqttError]) -> None:
        """One line for each time the broker is gone, however long it stays away."""
        if not self._complained:
            _log.warning(
                "%s has no connection to the broker at %s:%d (%s); trying again, "
                "at least every %g s",
                *(self._client_id, self._host, self._port, _first(errors), RECONNECT_LAST_S),
            )
        self._complained = True


async def _until_lost(client: aiomqtt.Client) -> None:
    async for _ in client.messages:
        assert False, "every message is taken off the wire"  # noqa: B011, PT015


def _will(send: Send) -> aiomqtt.Will:
    return aiomqtt.Will(send.topic, send.payload, qos=0, retain=send.retain)


def _first(errors: BaseException) -> BaseException:
    while isinstance(errors, BaseExceptionGroup):
        errors = errors.exceptions[0]
    return errors
