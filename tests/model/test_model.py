"""No interleaving of a small world breaks a promise, and none leads where there is no way out."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.model.model import EDGES, TWIN, State, World
from tests.simulation import canaries

STATES_MAX = 2_000_000  # a mistake in the model may make it endless


class Explored:
    """All states that a world of so many reports, moves and lost disks can come to."""

    def __init__(self, *, reports: int, moves: int, losses: int) -> None:
        self.world = World()
        self.reports = reports
        first = self.world.first(moves=moves, losses=losses)
        self.numbers = {first: 0}
        self.states = [first]
        self.next: list[list[int]] = []
        while len(self.next) < len(self.states):
            self.next.append([*self._next(self.states[len(self.next)])])

    def _next(self, state: State) -> Iterator[int]:
        for after in self.world.next(state, self.reports):
            number = self.numbers.setdefault(after, len(self.states))
            if number == len(self.states):
                assert number < STATES_MAX
                self.states.append(after)
            yield number

    def lost_for_ever(self) -> list[State]:
        """States from which no step leads to where all is well, however many are made."""
        before: list[list[int]] = [[] for _ in self.states]
        for number, following in enumerate(self.next):
            for each in following:
                before[each].append(number)
        ahead = [number for number, state in enumerate(self.states) if self.is_well(state)]
        saved = set(ahead)
        while ahead:
            fresh = set(before[ahead.pop()]) - saved
            saved |= fresh
            ahead += fresh
        return [state for number, state in enumerate(self.states) if number not in saved]

    def is_well(self, state: State) -> bool:
        """The twin is owned by an edge that has applied all there will be."""
        placements = self.world.rows(state, "cloud", "placement")
        if not placements or placements[0]["phase"] != "owned":
            return False
        twins = self.world.rows(state, placements[0]["owner"], "twin")
        return any(
            (twin["epoch"], twin["last_seq"]) == (placements[0]["epoch"], self.reports)
            for twin in twins
        )

    def broken(self, state: State) -> str:
        """The promise that a state breaks, or ''."""
        found = {edge: self._held(state, edge) for edge in EDGES}
        epochs = [twin["epoch"] for held in found.values() for twin in held]
        if len(epochs) != len(set(epochs)):
            return f"G4: two edges hold the twin at one of the epochs {epochs}"
        snapshots = self.world.rows(state, "cloud", "snapshot")
        for twin in (*snapshots, *(each for held in found.values() for each in held)):
            if not _is_a_fold(twin):
                return f"G2: {twin} is not the fold of its reports"
        copies = [*found["e-1"], *found["e-2"]]
        return self._left_behind(state, copies) or self._unsafe(state, copies, snapshots)

    def _left_behind(self, state: State, copies: list[Any]) -> str:
        """No disk is lost here, so what a former owner holds was all handed over."""
        snapshots = self.world.rows(state, "cloud", "snapshot")
        reached = max((snapshot["last_seq"] for snapshot in snapshots), default=0)
        for placement in self.world.rows(state, "cloud", "placement"):
            for copy in copies:
                if copy["epoch"] < placement["epoch"] and copy["last_seq"] > reached:
                    return f"G1: {copy} was left behind; the cloud has {reached}"
        return ""

    def _held(self, state: State, edge: str) -> list[Any]:
        rows = (self.world.rows(state, edge, kind) for kind in ("twin", "sealed"))
        return [twin for each in rows for twin in each]

    def _unsafe(self, state: State, held: list[Any], snapshots: list[Any]) -> str:
        copies = [*held, *snapshots]
        kept = {row["seq"] for row in self.world.rows(state, TWIN, "outbox")}
        stored = max((snapshot["last_seq"] for snapshot in snapshots), default=0)
        for device in self.world.rows(state, TWIN, "device"):
            mark = device["mark"]
            if not set(range(1, mark["stable"] + 1)) <= kept | set(range(1, stored + 1)):
                return f"G3: {mark} is stable, the cloud has {stored}, the device {sorted(kept)}"
            reached = max(
                (
                    copy["last_seq"]
                    for copy in copies
                    if copy["epoch"] >= mark["told_epoch"] or copy in snapshots
                ),
                default=0,
            )
            if mark["told_applied"] > reached and mark["told_applied"] not in kept:
                return f"G1: {mark} was told, of which {reached} are left"
        return ""


def _is_a_fold(twin: dict[str, Any]) -> bool:
    counted = twin.get("features", {}).get("count", {}).get("value", 0)
    return bool(twin["revision"] == twin["last_seq"] == counted)


@pytest.fixture(
    scope="module",
    params=[
        {"reports": 2, "moves": 1, "losses": 0},
        {"reports": 1, "moves": 2, "losses": 0},
    ],
    ids=lambda size: " ".join(f"{number} {what}" for what, number in size.items()),
)
def explored(request: pytest.FixtureRequest) -> Explored:
    return Explored(**request.param)


def test_no_interleaving_breaks_a_promise(explored: Explored) -> None:
    assert next(filter(None, map(explored.broken, explored.states)), "") == ""


def test_g5_from_everywhere_there_is_a_way_to_an_owner_that_has_applied_all(
    explored: Explored,
) -> None:
    assert explored.lost_for_ever() == []


@pytest.mark.parametrize(
    "mistake",
    [
        canaries.reuse_an_epoch,
        canaries.drop_what_is_handed_over,
        canaries.go_on_applying_after_a_seal,
    ],
    ids=lambda mistake: mistake.__name__,
)
def test_a_mistake_is_found(mistake: canaries.Canary) -> None:
    with mistake():
        wrong = Explored(reports=2, moves=1, losses=0)
        assert any(map(wrong.broken, wrong.states))


def test_the_worlds_are_not_small(explored: Explored) -> None:
    assert len(explored.states) > 15_000
    phases = {
        row["phase"]
        for state in explored.states
        for row in explored.world.rows(state, "cloud", "placement")
    }
    assert phases == {"activating", "owned", "sealing"}
    assert any(explored.is_well(state) for state in explored.states)
