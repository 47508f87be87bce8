"""An MQTT session by aiomqtt: for devices and tools. It comes with the base install.

Things that are done about how aiomqtt, and paho-mqtt below it, carry messages (versions
2.5 and 2.1). A process that others keep from the CPU has few turns of its event loop, so
what one turn carries is what it can do:

- Receiving: it makes a task for each message that is taken from its queue. Its
  `queue_type` is public, so it gets one that keeps nothing and hands each message on.
  And paho reads one packet in each turn; `_read_on` lets it read what has come.
- Sending: its `publish` returns once the loop has written the packet, some turns later.
  paho writes in order, so many messages are given to paho, and only the last of them by
  that `publish`: it returns when all have left. What waits meanwhile is bounded in bytes,
  and no repetition waits behind the copy it repeats (`core/outgoing.py`, decision 010).
  A goodbye waits until all is written, for a moment.
- Connecting: it does not notice a broker that hangs up before it has let us in, as one
  does that misses a certificate, and waits. `_hear_early_loss` tells it.

The last of each reaches behind aiomqtt's interface (`_client`, `_connected`).

aiomqtt connects in a thread, which no cancellation reaches. So connecting is a task that
is not cancelled with us: who gives up waits for it, for a moment, and closes what came of
it. A thread that takes longer than that (a host that does not answer) ends by itself.
"""

import asyncio
import logging
import math
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiomqtt
from pydantic import SecretStr

from twin_runtime.adapters.bus_tls import in_words, lost_before_let_in, refused
from twin_runtime.adapters.mqtt_session import (
    Deliver,
    Subscriber,
    see_through,
    subscribe_all,
    unless_lost,
)
from twin_runtime.core.effects import Message, Send
from twin_runtime.core.errors import Unavailable
from twin_runtime.core.limits import (
    ARRIVALS_AT_ONCE_MAX,
    BUS_TIMEOUT_S,
    GOODBYE_S,
    KEEPALIVE_S,
    OUTGOING_AT_ONCE_MAX,
)
from twin_runtime.core.outgoing import Outgoing

_NO_DELAY = (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
# What the libraries would say of a lost connection the bus says, once and in words.
_library_log = logging.getLogger("diten.bus.library")
_library_log.setLevel(logging.CRITICAL)


class AiomqttSession:
    """See `Session`."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self._client = client
        self._out = Outgoing()
        self._more = asyncio.Event()
        self._closing = False
        name = f"bus {client.identifier}"
        self.lost = asyncio.create_task(_until_lost(client), name=f"{name} watch")
        self._writing = asyncio.create_task(self._write(), name=f"{name} write")

    async def subscribe(self, filters: Sequence[str]) -> None:
        """Return when all are granted."""

        async def subscribe(chunk: list[str]) -> Sequence[int]:
            granted = await self._client.subscribe([(each, 0) for each in chunk])
            return [code if isinstance(code, int) else code.value for code in granted]

        subscribing = asyncio.create_task(subscribe_all(filters, subscribe), name="subscribe")
        try:
            await unless_lost(self.lost, subscribing)
        finally:
            subscribing.cancel()

    def publish(self, sends: Sequence[Send]) -> int:
        if self.lost.done():
            return len(sends)
        self._more.set()
        return sum(not self._out.put(send) for send in sends)

    async def until_lost(self) -> str:
        ended, _ = await asyncio.wait(
            (self.lost, self._writing), return_when=asyncio.FIRST_COMPLETED
        )
        return ended.pop().result()

    async def finish_writing(self) -> None:
        """Let what was handed over be written, for a moment."""
        self._closing = True
        self._more.set()
        await asyncio.wait(
            (self.lost, self._writing), timeout=GOODBYE_S, return_when=asyncio.FIRST_COMPLETED
        )
        self._writing.cancel()

    async def end(self) -> None:
        """Hear how the connection ended: asyncio complains of an error that nobody heard."""
        await asyncio.wait((self.lost,), timeout=GOODBYE_S)
        self._writing.cancel()
        self.lost.cancel()

    async def _write(self) -> str:
        why = "closed"
        try:
            while not self._closing:
                await self._more.wait()
                self._more.clear()
                while self._out:
                    await self._write_some()
        except aiomqtt.MqttError as error:
            why = str(error)
        return why

    async def _write_some(self) -> None:
        """Give the first of what waits to paho, and return when all of that is written."""
        *first, last = self._out.take(OUTGOING_AT_ONCE_MAX)
        paho = self._client._client  # noqa: SLF001 - see the module's docstring
        for send in first:
            paho.publish(send.topic, send.payload, 0, send.retain)
        # For ever: a broker that does not read is found out by the keepalive.
        await self._client.publish(last.topic, last.payload, 0, last.retain, timeout=math.inf)
        self._out.left()


@asynccontextmanager
async def aiomqtt_session(
    subscriber: Subscriber,
    deliver: Deliver,
    tls: ssl.SSLContext | None = None,
    password: SecretStr | None = None,
) -> AsyncIterator[AiomqttSession]:
    """Be connected and subscribed; see `Connect`."""
    client = _new_client(subscriber, deliver, tls, password)
    session = AiomqttSession(client)
    name = f"bus {subscriber.client_id} connect"
    connecting = asyncio.create_task(client.__aenter__(), name=name)
    try:
        await _connected(connecting, over_tls=tls is not None)
        await session.subscribe(subscriber.filters)
        yield session
    except aiomqtt.MqttError as error:
        cause = error.__context__  # aiomqtt keeps no other trace of it
        if tls is not None and isinstance(cause, OSError):
            raise Unavailable(in_words(cause)) from None
        raise Unavailable(refused(str(error))) from None
    finally:
        await see_through(_close(client, connecting, session))


async def _connected(connecting: asyncio.Task[aiomqtt.Client], *, over_tls: bool) -> None:
    """Return when the broker has accepted us."""
    try:
        async with asyncio.timeout(BUS_TIMEOUT_S):
            await asyncio.shield(connecting)
    except TimeoutError:
        why = f"no answer within {BUS_TIMEOUT_S:g} s"
        raise Unavailable(lost_before_let_in(why, over_tls=over_tls)) from None
    except _LostEarly as early:
        raise Unavailable(lost_before_let_in(str(early), over_tls=over_tls)) from None


def _new_client(
    subscriber: Subscriber,
    deliver: Deliver,
    tls: ssl.SSLContext | None,
    password: SecretStr | None,
) -> aiomqtt.Client:
    will = subscriber.will
    counted = _Counted(deliver)
    client = aiomqtt.Client(
        subscriber.host,
        subscriber.port,
        identifier=subscriber.client_id,
        username=subscriber.client_id,  # what a broker's access rules are written for
        password=None if password is None else password.get_secret_value(),
        protocol=aiomqtt.ProtocolVersion.V311,
        clean_session=True,
        will=will and aiomqtt.Will(will.topic, will.payload, qos=0, retain=will.retain),
        keepalive=KEEPALIVE_S,
        timeout=BUS_TIMEOUT_S,
        socket_options=(_NO_DELAY,),
        tls_context=tls,
        queue_type=_handing_to(counted),
        logger=_library_log,
    )
    _read_on(client, counted)
    _hear_early_loss(client)
    return client


class _Counted:
    """`deliver`, and how often it was called."""

    def __init__(self, deliver: Deliver) -> None:
        self._deliver = deliver
        self.times = 0

    def __call__(self, message: Message) -> None:
        self.times += 1
        self._deliver(message)


def _read_on(client: aiomqtt.Client, arrived: _Counted) -> None:
    """Let paho read until nothing comes, instead of one packet for each turn of the loop."""
    paho = client._client  # noqa: SLF001 - see the module's docstring
    read_one = paho.loop_read

    def read() -> int:
        for _ in range(ARRIVALS_AT_ONCE_MAX - 1):
            before = arrived.times
            code = read_one()
            if arrived.times == before:
                return code
        return read_one()

    paho.loop_read = read  # type: ignore[method-assign,assignment]


class _LostEarly(aiomqtt.MqttError):
    """The broker hung up before it had let us in."""


def _hear_early_loss(client: aiomqtt.Client) -> None:
    paho = client._client  # noqa: SLF001 - see the module's docstring
    tell = paho.on_disconnect
    assert tell is not None, "aiomqtt listens"

    def on_disconnect(*args: Any) -> None:
        tell(*args)
        connected = client._connected  # noqa: SLF001 - see the module's docstring
        if not connected.done():
            connected.set_exception(_LostEarly("the connection was lost"))
            connected.exception()  # heard, also where nobody waits for it any more

    paho.on_disconnect = on_disconnect


def _handing_to(deliver: Deliver) -> type[asyncio.Queue[aiomqtt.Message]]:
    """A queue that keeps nothing: each message goes to `deliver` as it comes."""

    class Arrivals(asyncio.Queue[aiomqtt.Message]):
        def put_nowait(self, item: aiomqtt.Message) -> None:
            assert isinstance(item.payload, bytes), "paho hands over what came"
            deliver(Message(item.topic.value, item.payload))

    return Arrivals


async def _until_lost(client: aiomqtt.Client) -> str:
    """Begun before the client connects: it forgets a loss that comes right after that."""
    try:
        await anext(client.messages)
    except aiomqtt.MqttError as error:
        if isinstance(error.__cause__, aiomqtt.MqttCodeError):  # "[code:128] Unspecified error"
            return "the connection was lost"
        return str(error.__cause__ or error)
    except asyncio.InvalidStateError:  # it has forgotten already
        return "lost at once"
    raise AssertionError("a message was queued")


async def _close(
    client: aiomqtt.Client,
    connecting: asyncio.Task[aiomqtt.Client],
    session: AiomqttSession,
) -> None:
    await asyncio.wait((connecting,), timeout=GOODBYE_S)
    connecting.cancel()
    await session.finish_writing()
    # Also after a failed beginning: only so is a socket closed whose broker was silent.
    with suppress(aiomqtt.MqttError, TimeoutError):
        async with asyncio.timeout(GOODBYE_S):
            await client.__aexit__(None, None, None)
    await session.end()
