"""An MQTT session by gmqtt: for the edge and the cloud, which hear whole fleets.

gmqtt parses what the socket has in one go and calls us for each message, so nothing
queues in between; a message costs it a quarter of what it costs paho. What it needs
around it (measured with version 0.8):

- It reconnects by itself, then asks for the old session, and may do so for ever. So it is
  told not to (`reconnect_retries` -2; 0 still tries once), and every connection is a new
  client.
- Its `connect` waits for ever for a broker that accepts and says nothing, or hangs up.
  So that wait ends by our timeout, or by `on_disconnect`.
- An error in handling a packet is logged and forgotten. So its logger is ours, and
  such an error ends the connection: after nonsense from a broker nothing is certain.
- It writes without asking whether the broker reads, and each message by a system call of
  its own, which costs as much as all the rest. So between it and its transport stands a
  `_Gathering`, which knows what waits and lets the messages of a batch leave together.
  There is no public way to the transport: `_transport` and `_gather` are what reaches
  behind gmqtt's interface, and its version is bounded for it.
"""

import asyncio
import logging
import os
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress

import gmqtt
from gmqtt.mqtt.handler import MQTTError
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
from twin_runtime.core.limits import BUS_TIMEOUT_S, GOODBYE_S, KEEPALIVE_S, OUTGOING_BYTES_MAX

_NEVER = -2
# What gmqtt would say of a lost connection the bus says, once and in words.
logging.getLogger("gmqtt").setLevel(logging.CRITICAL)


class _Gathering:
    """A transport as gmqtt uses it; what is written within `batch` leaves in one go."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._packets: list[bytes] | None = None
        self._gathered_bytes = 0

    @contextmanager
    def batch(self) -> Iterator[None]:
        self._packets, self._gathered_bytes = [], 0
        try:
            yield
        finally:
            self._transport.writelines(self._packets)
            self._packets, self._gathered_bytes = None, 0

    @property
    def waiting_bytes(self) -> int:
        """What was written and has not left."""
        return self._transport.get_write_buffer_size() + self._gathered_bytes

    def write(self, packet: bytes) -> None:
        if self._packets is None:
            self._transport.write(packet)
        else:
            self._packets.append(packet)
            self._gathered_bytes += len(packet)

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        self._transport.close()


class GmqttSession:
    """See `Session`."""

    def __init__(self, client: gmqtt.Client, lost: asyncio.Future[str]) -> None:
        self._client = client
        self._lost = lost
        self._transport = _gather(client)

    def publish(self, sends: Sequence[Send]) -> int:
        with self._transport.batch():
            for number, send in enumerate(sends):
                waiting_bytes = self._transport.waiting_bytes
                if waiting_bytes + len(send.payload) > OUTGOING_BYTES_MAX or self._ended():
                    return len(sends) - number
                self._client.publish(send.topic, send.payload, qos=0, retain=send.retain)
        return 0

    async def until_lost(self) -> str:
        return await self._lost

    def _ended(self) -> bool:
        return self._lost.done() or self._transport.is_closing()


@asynccontextmanager
async def gmqtt_session(
    subscriber: Subscriber,
    deliver: Deliver,
    tls: ssl.SSLContext | None = None,
    password: SecretStr | None = None,
) -> AsyncIterator[GmqttSession]:
    """Be connected and subscribed; see `Connect`."""
    lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    client = _new_client(subscriber, deliver, lost)
    secret = None if password is None else password.get_secret_value()
    client.set_auth_credentials(subscriber.client_id, secret)  # the name access rules are for
    opening = asyncio.create_task(
        _open(client, subscriber, tls), name=f"bus {subscriber.client_id} open"
    )
    try:
        try:
            async with asyncio.timeout(BUS_TIMEOUT_S):
                await unless_lost(lost, opening)
        except TimeoutError:
            raise Unavailable(f"no answer within {BUS_TIMEOUT_S:g} s") from None
        except Unavailable as error:
            hung_up = lost.done() and tls is not None
            raise Unavailable(lost_before_let_in(str(error), over_tls=hung_up)) from None
        except (OSError, MQTTError) as error:
            raise Unavailable(_in_words(error, tls)) from None
        yield GmqttSession(client, lost)
    finally:
        await see_through(_close(client, opening, lost))


def _new_client(
    subscriber: Subscriber, deliver: Deliver, lost: asyncio.Future[str]
) -> gmqtt.Client:
    will = subscriber.will
    client = gmqtt.Client(
        subscriber.client_id,
        clean_session=True,
        will_message=will and gmqtt.Message(will.topic, will.payload, qos=0, retain=will.retain),
        logger=_logger(lambda why: _end(lost, why)),
    )
    client.reconnect_retries = _NEVER

    def on_message(_: object, topic: str | bytes, payload: bytes, *__: object) -> None:
        # A topic that is no UTF-8 stays bytes; it is refused where topics are parsed.
        name = topic if isinstance(topic, str) else topic.decode("utf-8", "replace")
        deliver(Message(name, payload))

    client.on_message = on_message
    client.on_disconnect = lambda *_: _end(lost, "the connection was lost")
    return client


async def _open(client: gmqtt.Client, subscriber: Subscriber, tls: ssl.SSLContext | None) -> None:
    answers: asyncio.Queue[Sequence[int]] = asyncio.Queue()
    client.on_subscribe = lambda _, __, codes, ___: answers.put_nowait(codes)

    async def subscribe(chunk: list[str]) -> Sequence[int]:
        client.subscribe([gmqtt.Subscription(each, qos=0) for each in chunk])
        return await answers.get()

    await client.connect(
        subscriber.host,
        subscriber.port,
        ssl=tls,
        keepalive=KEEPALIVE_S,
        version=gmqtt.constants.MQTTv311,
    )
    await subscribe_all(subscriber.filters, subscribe)


async def _close(
    client: gmqtt.Client, opening: asyncio.Task[None], lost: asyncio.Future[str]
) -> None:
    try:
        # Cancelled between TCP and MQTT, gmqtt would leave a reader without a connection.
        await asyncio.wait((opening, lost), timeout=GOODBYE_S, return_when=asyncio.FIRST_COMPLETED)
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        with suppress(OSError):  # what ended the connection; it is known
            async with asyncio.timeout(GOODBYE_S):
                await client.disconnect()
    finally:
        if client._connection is not None:  # noqa: SLF001 - see `_transport`
            _transport(client).abort()  # whatever the broker did not read in time


def _in_words(error: OSError | MQTTError, tls: ssl.SSLContext | None) -> str:
    if tls is not None and isinstance(error, OSError):
        return in_words(error)
    code = error.errno if isinstance(error, OSError) else None
    # asyncio's own words say everything but what the system said.
    return os.strerror(code) if code and code > 0 else refused(str(error))


def _end(lost: asyncio.Future[str], why: str) -> None:
    if not lost.done():
        lost.set_result(why)


def _logger(end: Callable[[str], None]) -> logging.Logger:
    """A logger that only tells of exceptions, and by ending the connection."""

    def tell(record: logging.LogRecord) -> bool:
        if record.exc_info:
            end(f"a packet could not be handled: {record.exc_info[1]!r}")
        return False

    logger = logging.Logger("gmqtt", logging.ERROR)  # noqa: LOG001 - one for each connection
    logger.addFilter(tell)
    return logger


def _transport(client: gmqtt.Client) -> asyncio.Transport:
    transport = client._connection._transport  # noqa: SLF001 - see the module's docstring
    assert isinstance(transport, asyncio.Transport), transport
    return transport


def _gather(client: gmqtt.Client) -> _Gathering:
    """Stand between gmqtt's protocol, which writes all packets, and its transport."""
    gathering = _Gathering(_transport(client))
    client._connection._protocol._transport = gathering  # noqa: SLF001 - see above
    return gathering
