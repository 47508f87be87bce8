"""The edge as a machine: what comes from devices and the cloud, folded into its twins.

The edge owns the twins it was told to own, and no other. Everything it promises is in
its store: a `twin` row per owned twin, an `absent` row per twin it once owned (the epoch
is kept for ever, so that an old order is known as old), and the history log.

In one batch a twin may be touched by many messages; it is encoded, committed,
acknowledged and published once. What an edge repeats by itself (its status, `hello`,
checkpoints, public documents) follows from its rows and the time alone.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from zlib import crc32

from edge_node.descriptions import Descriptions
from edge_node.twins import Twins
from edge_node.writes import Writes
from twin_runtime.core import messages, orders, topics
from twin_runtime.core.effects import (
    Asked,
    BlobComplete,
    BlobFailed,
    Connected,
    Disconnected,
    Effects,
    Event,
    Message,
    Now,
    Row,
    Send,
    Stopping,
)
from twin_runtime.core.errors import MalformedMessage
from twin_runtime.core.ids import CLOUD
from twin_runtime.core.limits import ARRIVAL_S, HEARTBEAT_PERIOD_S, TOPICS_REMEMBERED_MAX
from twin_runtime.core.messages import Place, Status
from twin_runtime.core.orders import (
    Activate,
    Activated,
    Fetch,
    Hello,
    Release,
    Seal,
    Stable,
)

NEVER = float("inf")


class EdgeMachine:
    """One edge. `edge` is its id, `store_id` the id of the store its rows live in, `position`
    where it is, `api` where others reach its HTTP, `descriptions` what its twins are."""

    def __init__(
        self,
        edge: str,
        store_id: str,
        position: Place | None = None,
        api: str | None = None,
        descriptions: Descriptions | None = None,
    ) -> None:
        self._edge = edge
        self._store_id = store_id
        self._position = position
        self._api = api
        self._twins = Twins(edge, descriptions)
        self._writes = Writes(self._twins)
        self._session = 0
        self._cloud_session = 0
        self._hellos = 0
        self._beat_due_s = NEVER
        self._hurried_until_s = -NEVER  # twins have just come
        self._spread = crc32(edge.encode()) / 2**32

    def restore(self, rows: Iterable[Row], now: Now) -> Effects:
        fx = Effects()
        self._session = now.wall_ms
        self._twins.restore(rows, now, fx)
        return fx

    def handle(self, events: Sequence[Event], now: Now) -> Effects:
        fx = Effects()
        for event in events:
            self._take(event, now, fx)
        if now.monotonic_s >= self._beat_due_s:
            self._say("online", now, fx)
            self._hello(fx)
        self._writes.expire(now)
        self._twins.settle(now, fx)
        if self._beat_due_s != NEVER:
            fx.wake_by(self._beat_due_s - now.monotonic_s)
        fx.hurry = now.monotonic_s < self._hurried_until_s
        return fx

    def _take(self, event: Event, now: Now, fx: Effects) -> None:
        match event:
            case Message(topic, payload):
                self._hear(topic, payload, now, fx)
            case Connected():
                self._connected(now, fx)
            case Asked(number, request):
                self._writes.answer(number, request, now, fx)
            case BlobComplete():
                self._twins.blobs.complete(event, fx)
            case BlobFailed():
                self._twins.blobs.failed(event, now, fx)
            case Disconnected():
                self._beat_due_s = NEVER
                self._twins.disconnected()
            case Stopping():
                self._say("offline", now, fx)
                self._twins.cloud_returned()  # so that all that changed is checkpointed

    def readings(self) -> dict[str, Callable[[], float | Mapping[str, float]]]:
        """Numbers for the metrics, by name, as they are when asked."""
        totals = self._twins.counters.totals
        return {
            "twins": self._twins.phases,
            "blobs_lacking": lambda: self._twins.blobs.lacking,
            **{name: partial(totals.__getitem__, name) for name in totals},
        }

    @property
    def elsewhere(self) -> Mapping[str, str]:
        """Of twins that are owned elsewhere, where their owner serves HTTP, if that is known."""
        return self._twins.elsewhere

    def wants_blob(self, sha256: str) -> bool:
        """Whether this blob is to be kept."""
        return self._twins.blobs.wants(sha256)

    def _hear(self, topic: str, payload: bytes, now: Now, fx: Effects) -> None:
        try:
            parsed = _parse(topic)
            match parsed.kind:
                case "up":
                    self._twins.hear(parsed.twin, parsed.verb, payload, now, fx)
                case "order":
                    self._obey(payload, now, fx)
                case "status" if payload and topic == _CLOUD_STATUS:
                    self._cloud_said(messages.parse(messages.STATUS, payload), fx)
                case "status" if payload and parsed.twin:
                    status = messages.parse(messages.STATUS, payload)
                    self._twins.device_said(parsed.twin, status, now)
        except MalformedMessage as error:
            fx.refuse(topic, error)

    def _obey(self, payload: bytes, now: Now, fx: Effects) -> None:
        order = orders.parse_order(payload)
        match order:
            case Activate() | Fetch() | Seal() | Release() if order.store != self._store_id:
                fx.count("fenced_total", "order")
            case Activate():
                if self._twins.activate(order, fx):
                    self._hurried_until_s = now.monotonic_s + ARRIVAL_S
                    activated = Activated(twin=order.twin, epoch=order.epoch)
                    fx.sends.append(Send(topics.event(self._edge), messages.encode(activated)))
            case Fetch():
                self._twins.blobs.copy_ahead(order, fx)
            case Seal():
                self._twins.seal(order, fx)
            case Release():
                self._twins.release(order, fx)
            case Stable():
                self._twins.stabilise(order, fx)
                self._writes.stabilised(order, fx)

    def _connected(self, now: Now, fx: Effects) -> None:
        self._say("online", now, fx)
        self._hello(fx)
        self._twins.connected(now)

    def _cloud_said(self, status: Status, fx: Effects) -> None:
        if status.state == "online" and status.session != self._cloud_session:
            self._cloud_session = status.session
            self._hello(fx)
            self._twins.cloud_returned()

    def _hello(self, fx: Effects) -> None:
        self._hellos += 1
        hello = Hello(
            store=self._store_id, number=self._hellos, position=self._position, api=self._api
        )
        fx.sends.append(Send(topics.event(self._edge), messages.encode(hello)))

    def _say(self, state: str, now: Now, fx: Effects) -> None:
        status = messages.dump(
            {"v": 1, "state": state, "session": self._session, "ts_ms": now.wall_ms}
        )
        fx.sends.append(Send(topics.status(self._edge), status, retain=True))
        self._beat_due_s = now.monotonic_s + HEARTBEAT_PERIOD_S * (0.75 + self._spread / 4)


_CLOUD_STATUS = topics.status(CLOUD)
_parse = lru_cache(maxsize=TOPICS_REMEMBERED_MAX)(topics.parse)
