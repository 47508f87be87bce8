"""The cloud's part in blobs: it keeps what checkpoints refer to, and has blobs copied ahead.

What a checkpoint refers to is fetched from the twin's owner; should the owner lack it (the
twin has just moved, and the blob not yet), from any other edge: whoever had the twin before
keeps its blobs for a while.

Copying ahead is the first step of a move, and volatile: the target is ordered to fetch, again
and again until it answers or the time is up, and then the move goes on in any case. A
restarted cloud knows nothing of it, and whoever asked for the move asks again.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from cloud.edges import Edges
from cloud.reminders import Reminders
from cloud.snapshots import Snapshots
from twin_runtime.core import messages, ownership, topics
from twin_runtime.core.effects import Effects, Send
from twin_runtime.core.ids import EdgeId
from twin_runtime.core.limits import BLOB_SOURCES_MAX, ORDERS_MAX, PRECOPIES_MAX, PRECOPY_S
from twin_runtime.core.orders import Fetch, Fetched
from twin_runtime.core.ownership import Placement


class Copying(NamedTuple):
    """A twin whose blobs are copied to `target` until `until_s`; `key` is the request's."""

    target: EdgeId
    until_s: float
    key: str


class Precopy:
    """The twins that move as soon as their blobs are at the target."""

    def __init__(self, edges: Edges, snapshots: Snapshots) -> None:
        self._edges = edges
        self._snapshots = snapshots
        self._copying: dict[str, Copying] = {}  # in order of their ends
        self._orders = Reminders()
        self._fetched: dict[str, Copying] = {}

    def __len__(self) -> int:
        return len(self._copying)

    def __contains__(self, twin: str) -> bool:
        return twin in self._copying

    def begins(self, twin: str, placed: Placement, target: EdgeId, key: str, now_s: float) -> bool:
        """Whether the blobs of an owned twin are copied to `target` first; False: there are
        none, or too many twins are being copied."""
        if placed.phase != "owned" or placed.owner == target or not self._blobs_of(twin):
            return False
        if twin in self._copying and self._copying[twin].target == target:
            return True
        self.end(twin)
        if len(self._copying) == PRECOPIES_MAX:
            return False
        self._copying[twin] = Copying(target, now_s + PRECOPY_S, key)
        self._orders.begin(twin, now_s)
        return True

    def end(self, twin: str) -> None:
        """Copy nothing more for this twin: it moves, or goes elsewhere."""
        self._copying.pop(twin, None)
        self._fetched.pop(twin, None)
        self._orders.end(twin)

    def fetched(self, edge: str, event: Fetched) -> None:
        """A target has what it can get: its twin may move."""
        copying = self._copying.get(event.twin)
        if copying is not None and copying.target == edge:
            self._fetched[event.twin] = copying

    def ended(
        self, placements: Mapping[str, Placement], now_s: float
    ) -> list[tuple[str, Placement, str]]:
        """The twins that are to move now, since their blobs were copied or their time is up, if
        they still can and may: with their next placements and the keys of the requests."""
        ended, self._fetched = self._fetched, {}
        for twin, copying in self._copying.items():
            if copying.until_s > now_s:
                break
            ended[twin] = copying
        moving = []
        for twin, (target, until_s, key) in ended.items():
            self.end(twin)
            placed = placements[twin]
            after = ownership.move(placed, target)
            has_gone = until_s <= now_s and not self._edges.is_there(target)
            if after and self._may_go(placed, target) and not has_gone:
                moving.append((twin, after, key))
        return moving

    def _may_go(self, placed: Placement, target: str) -> bool:
        is_owned_elsewhere = placed.phase == "owned" and placed.owner != target
        return is_owned_elsewhere and self._edges.state_of(target) == "serving"

    def settle(self, placements: Mapping[str, Placement], now_s: float, fx: Effects) -> None:
        """Order what is to be copied, and fetch what checkpoints refer to."""
        self._order(placements, now_s, fx)
        self._wake(now_s, fx)

        def sources_of(twin: str, attempt: int) -> list[str]:
            edges = [entry["edge"] for entry in self._edges.listed()]
            return sources(placements[twin].owner, edges, attempt)

        self._snapshots.blobs.settle(now_s, sources_of, fx)

    def _order(self, placements: Mapping[str, Placement], now_s: float, fx: Effects) -> None:
        for twin in self._orders.take(now_s, ORDERS_MAX):
            target = self._copying[twin].target
            store, blobs = self._edges.store_of(target), self._blobs_of(twin)
            assert store is not None, f"{twin} is to move to {target}, which never said hello"
            if not blobs:
                continue  # it refers to none any more; its time will come
            order = Fetch(store=store, twin=twin, blobs=blobs, source=placements[twin].owner)
            fx.sends.append(Send(topics.order(target), messages.encode(order)))

    def _wake(self, now_s: float, fx: Effects) -> None:
        next_s = self._orders.next_s()
        if next_s is not None:
            first_end_s = next(iter(self._copying.values())).until_s
            fx.wake_by(min(next_s, first_end_s) - now_s)

    def _blobs_of(self, twin: str) -> tuple[messages.BlobRef, ...]:
        return tuple(self._snapshots.blobs.of(twin).values())


def sources(owner: str, edges: Sequence[str], attempt: int) -> list[str]:
    """Whom to ask for a blob of a twin at this attempt: its owner, and some of all edges in
    turn."""
    first = attempt * (BLOB_SOURCES_MAX - 1) % max(len(edges), 1)
    others = [*edges[first:], *edges[:first]]
    return list(dict.fromkeys([owner, *others]))[:BLOB_SOURCES_MAX]
