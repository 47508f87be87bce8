"""What must be true of the disks in every state of a world (see `model`).

There is one device, in one session, whose reports are 1, 2, 3 …: how much of them is where is
one number. `copies` are the twin's rows on edges, active or sealed.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.model.model import EDGES, TWIN, State, World, store_name


class Found(NamedTuple):
    """What the disks of a state hold of the one twin."""

    placement: dict[str, Any] | None
    stores: dict[str, str]  # of each edge, as the cloud knows them
    reached: int  # by the cloud's snapshot
    rows: list[dict[str, Any]]  # the snapshot and all copies
    copies: list[tuple[str, dict[str, Any]]]  # by edge
    mark: dict[str, int] | None
    kept: frozenset[int]  # by the device

    @property
    def epoch(self) -> int:
        return self.placement["epoch"] if self.placement else 0

    def owned(self) -> dict[str, Any] | None:
        """The copy at the current epoch."""
        return next((copy for _, copy in self.copies if copy["epoch"] == self.epoch), None)


def broken(world: World, state: State) -> str:
    """The promise that a state breaks, or ''."""
    found = find(world, state)
    checks = (_owners(world, state, found), _folds(found), _handed_over(world, found))
    return next((each for check in (*checks, _heard(world, found)) for each in check), "")


def is_well(world: World, state: State) -> bool:
    """The twin is owned by an edge that has applied all there will be."""
    found = find(world, state)
    owned = found.owned()
    if found.placement is None or found.placement["phase"] != "owned" or owned is None:
        return False
    return owned in world.rows(state, found.placement["owner"], "twin") and (
        owned["last_seq"] == world.size.reports
    )


def find(world: World, state: State) -> Found:
    snapshots = world.rows(state, "cloud", "snapshot")
    copies = [
        (edge, row)
        for edge in EDGES
        for kind in ("twin", "sealed")
        for row in world.rows(state, edge, kind)
    ]
    return Found(
        placement=next(iter(world.rows(state, "cloud", "placement")), None),
        stores=world.stores(state),
        reached=max((row["last_seq"] for row in snapshots), default=0),
        rows=[*snapshots, *(row for _, row in copies)],
        copies=copies,
        mark=next((row["mark"] for row in world.rows(state, TWIN, "device")), None),
        kept=frozenset(row["seq"] for row in world.rows(state, TWIN, "outbox")),
    )


def _owners(world: World, state: State, found: Found) -> Iterator[str]:
    epochs = [copy["epoch"] for _, copy in found.copies]
    if len(epochs) != len(set(epochs)):
        yield f"G4: an epoch is held twice: {epochs}"
    if any(epoch > found.epoch for epoch in epochs):
        yield f"G4: of the epochs {epochs} one was never issued: {found.placement}"
    owned = found.owned()
    if found.placement is None or owned is None:
        return
    owner = found.placement["owner"]
    if owned not in (copy for edge, copy in found.copies if edge == owner):
        yield f"G4: {owned} is not at {owner}"
    store = store_name(next(iter(world.rows(state, owner, "store")), "1"))
    if store != found.stores[owner]:
        yield f"G4: store {store} owns epoch {found.epoch}, given to {found.stores[owner]}"
    if owned["last_seq"] < found.reached:
        yield f"G4: the snapshot has {found.reached} reports, its owner {owned['last_seq']}"


def _folds(found: Found) -> Iterator[str]:
    for row in found.rows:
        counted = row.get("features", {}).get("count", {}).get("value", 0)
        if not row["revision"] == row["last_seq"] == counted:
            yield f"G2: {row} is not the fold of its reports"


def _handed_over(world: World, found: Found) -> Iterator[str]:
    """Where no edge is lost, what a former owner holds was all handed over."""
    if world.size.lost or world.size.losses:
        return
    for edge, copy in found.copies:
        if copy["epoch"] < found.epoch and copy["last_seq"] > found.reached:
            yield f"G1: {edge} keeps {copy['last_seq']} reports, {found.reached} were handed over"


def _heard(world: World, found: Found) -> Iterator[str]:
    """What the device was told, and what it deleted."""
    mark, owned = found.mark, found.owned()
    deleted = set(range(1, max(found.kept, default=0))) - found.kept
    if max(deleted, default=0) > found.reached:
        yield f"G3: the device deleted {deleted}, the cloud has {found.reached}"
    if mark is None:
        return
    if mark["stable"] > found.reached:
        yield f"G3: the device was told {mark}, the cloud has {found.reached}"
    if owned is not None and mark["told_epoch"] == found.epoch:
        if mark["told_applied"] > owned["last_seq"]:
            yield f"G1: the device was told {mark}, its owner has {owned['last_seq']}"
    elif mark["told_applied"] > found.reached and not (world.size.lost or world.size.losses):
        yield f"G1: the device was told {mark}, {found.reached} were handed over"
