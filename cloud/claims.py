"""What edges say of twins that this store cannot know, since it is an older copy.

An edge owns a twin only at an epoch that the cloud gave it, and the cloud commits an epoch
before anybody hears of it. So an edge that speaks at an epoch which this store never gave is
evidence that the store has forgotten: somebody put an older copy in its place.

    an edge says                                  and the twin
    --------------------------------------------  --------------------------------------------
    I own it, at a larger epoch than the store's  is its own at that epoch. A twin that was
      or nobody here knows it; or at the same,      created anew in its place is still empty,
      and the store holds nothing of it             and deposed by the next epoch at once
    the same, but of less than the store holds,   is left alone, `disputed`. Either both were
      or at the same and the store holds some       given it, or one of two pasts is lost
    I have handed it over, at such an epoch, or   is its own, and left alone: it may have gone
      at one at which nobody asked for it         on to another, who will say so at a larger

A twin that is left alone is given no epoch until somebody asks for a move: of a twin that was
handed over to whom he likes, of a disputed one to the edge that is right, which hands it over
to itself; the next epoch deposes the other. Of a disputed twin no checkpoint is taken, so no
report becomes stable, and its device keeps what it measures for whoever is right.

A document at a larger epoch does not say whose it is, and the broker may remember it from long
ago; it only keeps its twin from being activated from the checkpoint here. A device that says
it has an owner which nobody knows is given another only after a while.

Nothing of this is stored: whoever is not answered says it again. There is at most one entry
per twin of the directory, and an edge is believed as many new twins as it may own.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from cloud.edges import Edges
from cloud.snapshots import Snapshots
from twin_runtime.core.effects import Effects, Note, Refused
from twin_runtime.core.ids import EdgeId
from twin_runtime.core.limits import (
    EPOCH_BELIEVED_MAX,
    OWNER_EXPECTED_S,
    TWINS_PER_CLOUD_MAX,
    TWINS_PER_EDGE_MAX,
)
from twin_runtime.core.messages import Snapshot
from twin_runtime.core.ownership import Placement


class Claim(NamedTuple):
    """An edge that says it owns a twin, which the store gave to another."""

    edge: EdgeId
    epoch: int


class Claims:
    """Which twins are left alone, and why."""

    def __init__(
        self, placements: Mapping[str, Placement], edges: Edges, snapshots: Snapshots
    ) -> None:
        self._placements = placements
        self._edges = edges
        self._snapshots = snapshots
        self._disputed: dict[str, Claim] = {}
        self._rejected: dict[str, str] = {}  # somebody has said that this edge is not right
        self._handed_over: dict[str, None] = {}
        self._published: dict[str, int] = {}  # the largest epoch of a document
        self._expected: dict[str, float] = {}  # twins that may have an owner, since when
        self._has_told = False

    def __contains__(self, twin: str) -> bool:
        """Whether a twin is left alone."""
        return twin in self._disputed or twin in self._handed_over

    def of(self, twin: str) -> Claim | None:
        """Who disputes the directory's word on a twin."""
        return self._disputed.get(twin)

    def holds(self, twin: str) -> bool:
        """Whether a twin must not be activated from the checkpoint here."""
        return twin in self or self._published.get(twin, 0) > self._placements[twin].epoch

    def counts(self) -> dict[str, float]:
        """How many twins are left alone, by the reason."""
        return {"disputed": len(self._disputed), "handed_over": len(self._handed_over)}

    # --- what is said -------------------------------------------------------------------

    def convinces(self, edge: str, snapshot: Snapshot, fx: Effects) -> bool:
        """Whether the twin is to be this edge's, by what it says of it; it is not its owner
        here. If it is not, the twin may be left alone from now on."""
        twin, placed = snapshot.twin, self._placements.get(snapshot.twin)
        if self._is_past(edge, placed, snapshot):
            return False
        self._tell(edge, placed, snapshot, fx)
        if placed is None:
            return True
        is_later = snapshot.epoch > placed.epoch
        if not is_later and self._rejected.get(twin) == edge:
            return False
        may_be_it = is_later or self._snapshots.is_empty(twin)
        if may_be_it and not self._snapshots.reaches_beyond(snapshot):
            return True
        self._dispute(edge, placed, snapshot, fx)
        return False

    def _is_past(self, edge: str, placed: Placement | None, snapshot: Snapshot) -> bool:
        """Whether nothing follows from it: it was deposed, or may not be an owner at all."""
        if self._edges.state_of(edge) in (None, "lost") or snapshot.epoch > EPOCH_BELIEVED_MAX:
            return True
        if placed is not None:
            return (snapshot.epoch, snapshot.revision) <= (placed.epoch, 0)
        is_full = len(self._placements) >= TWINS_PER_CLOUD_MAX
        return is_full or self._edges.load_of(edge) >= TWINS_PER_EDGE_MAX

    def handed_over(self, twin: str) -> Placement:
        """Its owner has handed it over, and nobody here knows to whom: the placement that it
        has until that is known."""
        self._handed_over[twin] = None
        return replace(self._placements[twin], phase="owned")

    def published(self, twin: str, epoch: int, now_s: float) -> None:
        """A document came which is not of the twin's owner here."""
        if twin in self._placements:
            self._published[twin] = max(epoch, self._published.get(twin, 0))
        elif twin in self._expected:
            self._expected[twin] = now_s

    def expects(self, twin: str, known_epoch: int, now_s: float) -> bool:
        """Whether an edge may own a twin that nobody here knows: its device says so, and some
        time is left for the edge to say it, too."""
        if not known_epoch or len(self._expected) >= TWINS_PER_CLOUD_MAX:
            return False
        return now_s - self._expected.setdefault(twin, now_s) < OWNER_EXPECTED_S

    # --- how it ends --------------------------------------------------------------------

    def end(self, twin: str) -> None:
        """The twin is owned by whom the directory says, or moves: somebody has decided."""
        self._disputed.pop(twin, None)
        self._handed_over.pop(twin, None)
        self._expected.pop(twin, None)

    def decide(self, twin: str, target: str) -> Placement | Refused:
        """Somebody says that `target` is right: the placement that it has then."""
        placed, claim = self._placements[twin], self._disputed[twin]
        if target == claim.edge:
            self._rejected[twin] = placed.owner
            return Placement("owned", claim.edge, claim.epoch)
        if (target, claim.epoch) == (placed.owner, placed.epoch) and placed.phase != "activating":
            self._rejected[twin] = claim.edge
            return placed
        text = (
            f"{claim.edge} at epoch {claim.epoch} and {placed.owner} at {placed.epoch} both own"
            f" {twin}, since the cloud's store is an older copy: move it to the one that is right"
        )
        return Refused("disputed", text)

    def without(self, edge: str) -> None:
        """What this edge claimed is lost."""
        for twin in [twin for twin, claim in self._disputed.items() if claim.edge == edge]:
            del self._disputed[twin]

    # --- what is said about it ----------------------------------------------------------

    def _tell(self, edge: str, placed: Placement | None, snapshot: Snapshot, fx: Effects) -> None:
        """Say once what has happened to this store, and what to do."""
        if self._has_told:
            return
        self._has_told = True
        here = "does not know it" if placed is None else f"has {placed.owner} at {placed.epoch}"
        text = (
            f"this store is an older copy: {edge} owns {snapshot.twin} at epoch {snapshot.epoch},"
            f" and the store {here}; twins are taken over as their edges say, so start every edge,"
            " call none lost until it has been heard, and see diten_twins_left_alone"
        )
        fx.notes.append(Note("error", text, snapshot.twin, edge, snapshot.epoch))

    def _dispute(self, edge: str, placed: Placement, snapshot: Snapshot, fx: Effects) -> None:
        twin = snapshot.twin
        before = self._disputed.get(twin)
        self._disputed[twin] = Claim(EdgeId(edge), snapshot.epoch)
        self._handed_over.pop(twin, None)
        if before is None:
            text = (
                f"{twin} is left alone: {edge} owns it at epoch {snapshot.epoch}, and so does"
                f" {placed.owner} at {placed.epoch}; `diten twin move {twin} --to` the right one"
            )
            fx.notes.append(Note("warning", text, twin, edge, snapshot.epoch))
