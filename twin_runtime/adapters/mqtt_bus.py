"""The production bus: MQTT 3.1.1, clean sessions, QoS 0 (decision 002).

One task stays connected for as long as `messages` is iterated. Each connection is a new
`Session` of a library (`mqtt_session.py`); it counts, and `publish` works, from the moment
every filter is granted until it is lost. In between everything is dropped and counted:
whoever sent it says it again.

The back-off starts anew only after a connection that lasted. So a restarted broker is
found at once, while two clients that were given the same id, each of which throws the
other out, fight at the slowest pace there is.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence

from twin_runtime.adapters.aiomqtt_session import aiomqtt_session
from twin_runtime.adapters.mqtt_session import Connect, Session, Subscriber
from twin_runtime.core.backoff import backoff_s
from twin_runtime.core.effects import Event, Message, Send
from twin_runtime.core.errors import Unavailable
from twin_runtime.core.inbox import Inbox
from twin_runtime.core.limits import (
    CLOSE_ATTEMPT_S,
    CLOSE_ATTEMPTS_MAX,
    CONNECTION_LASTING_S,
    INBOX_EVENTS_MAX,
    RECONNECT_FIRST_S,
    RECONNECT_LAST_S,
)

_log = logging.getLogger("diten.bus")


class MqttBus:
    """A `Bus` over one MQTT connection, of the library whose `session` is given.

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
        session: Connect = aiomqtt_session,
        inbox_events_max: int = INBOX_EVENTS_MAX,
    ) -> None:
        self._subscriber = Subscriber(host, port, client_id, tuple(filters), will)
        self._connect = session
        self._inbox = Inbox(inbox_events_max)
        self._early = Inbox(inbox_events_max)  # arrived before all filters were granted
        self._arrived = asyncio.Event()
        self._session: Session | None = None  # while there is one
        self._connections = 0
        self._complained = False
        self._used = False
        self._closing = False
        self.sends_dropped = 0

    @property
    def connected(self) -> bool:
        return self._session is not None

    @property
    def reconnects(self) -> int:
        return max(self._connections - 1, 0)

    @property
    def waiting(self) -> int:
        """How many events have come and were not taken."""
        return self._inbox.waiting + self._early.waiting

    @property
    def inbox_drops(self) -> int:
        return self._inbox.drops + self._early.drops

    async def publish(self, sends: Sequence[Send]) -> None:
        """See `Bus.publish`. Never waits at all: it is handed over, or dropped."""
        if self._session is None:
            self.sends_dropped += len(sends)
        else:
            self.sends_dropped += self._session.publish(sends)

    async def messages(self) -> AsyncGenerator[list[Event], None]:
        """See `Bus.messages`."""
        assert not self._used, "a bus is iterated once"
        self._used = True
        name = f"bus {self._subscriber.client_id}"
        staying = asyncio.create_task(self._stay_connected(), name=name)
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
        who = self._subscriber.client_id
        attempt = 0
        while not self._closing:
            started_s = clock()
            self._complain(await self._connection())
            attempt = 0 if clock() - started_s > CONNECTION_LASTING_S else attempt
            await asyncio.sleep(backoff_s(who, attempt, RECONNECT_FIRST_S, RECONNECT_LAST_S))
            attempt += 1

    async def _connection(self) -> str:
        """Connect, and wait for the end; return why it came."""
        self._early.take()
        try:
            async with self._connect(self._subscriber, self._deliver) as session:
                self._up(session)
                try:
                    return await session.until_lost()
                finally:
                    self._down()
        except Unavailable as error:
            return str(error)

    def _deliver(self, message: Message) -> None:
        if self._session is None:
            self._early.put((message,))
        else:
            self._inbox.put((message,))
            self._arrived.set()

    def _up(self, session: Session) -> None:
        self._session = session
        self._connections += 1
        self._complained = False
        who = self._subscriber
        _log.info("connected to %s:%d", who.host, who.port)
        self._inbox.connected()
        self._inbox.put(self._early.take())
        self._arrived.set()

    def _down(self) -> None:
        self._session = None
        self._inbox.disconnected()
        self._arrived.set()

    def _complain(self, why: str) -> None:
        """One line for each time the broker is gone, however long it stays away."""
        if not self._complained:
            who = self._subscriber
            _log.warning(
                "no connection to the broker at %s:%d (%s); trying again, at least every %g s",
                *(who.host, who.port, why, RECONNECT_LAST_S),
            )
        self._complained = True
