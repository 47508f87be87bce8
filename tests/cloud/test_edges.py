"""Edges by an operator's word: drained twin by twin, or lost, with all that follows."""

import pytest

from tests.cloud.a_directory import World, orders, owning, placed, snapshot
from twin_runtime.core import messages, ownership
from twin_runtime.core.effects import EdgeState, Effects, Now
from twin_runtime.core.ids import EdgeId
from twin_runtime.core.limits import MOVES_AT_ONCE_MAX, ORDERS_MAX
from twin_runtime.core.orders import Activate, Release, Seal

TWINS = [f"d-{number:03d}" for number in range(MOVES_AT_ONCE_MAX + 8)]


def kinds(world: World, since: int = 0) -> list[str]:
    return [event["kind"] for event in world.events[since:]]


def state(world: World, edge: str) -> str:
    return next(str(e["state"]) for e in world.directory.edges.listed() if e["edge"] == edge)


def owners(world: World) -> list[str]:
    return sorted({place.owner for place in world.directory.placements.values()})


def hand_over(world: World, twin: str) -> None:
    """Let the owner of a twin that is being sealed hand it over, and the target take it."""
    place = world.directory.placements[twin]
    world.sealed(snapshot(twin, revision=9, epoch=place.epoch), edge=place.owner)
    place = world.directory.placements[twin]
    world.activated(twin, place.epoch, place.owner)


# --- draining --------------------------------------------------------------------------


def test_g5_an_edge_that_drains_loses_all_its_twins_a_few_at_a_time() -> None:
    world = owning(*TWINS)
    world.hello("e-2")
    refused, fx = world.set_edge("e-1", "draining")
    assert refused is None
    assert len(placed(fx)) == MOVES_AT_ONCE_MAX
    for _ in TWINS:
        moving = [t for t, p in world.directory.placements.items() if p.phase == "sealing"]
        assert len(moving) <= MOVES_AT_ONCE_MAX
        if moving:
            hand_over(world, moving[0])
    assert owners(world) == ["e-2"]


def test_an_edge_that_drains_is_given_no_twins() -> None:
    world = owning("d-1")
    world.hello("e-2")
    world.set_edge("e-2", "draining")
    refused, fx = world.move("d-1", "e-2")
    assert refused == (
        "not_serving",
        "e-2 is draining: choose another edge, or `diten edge resume e-2`",
    )
    assert fx.writes == []
    world.online("d-2")
    world.online("d-3")
    assert owners(world) == ["e-1"]


def test_a_drain_goes_on_after_a_restart_and_ends_with_resume() -> None:
    world = owning(*TWINS)
    world.hello("e-2")
    world.set_edge("e-1", "draining")
    world.start()
    moving = [t for t, p in world.directory.placements.items() if p.phase == "sealing"]
    assert len(moving) == MOVES_AT_ONCE_MAX
    hand_over(world, moving[0])
    moving = [t for t, p in world.directory.placements.items() if p.phase == "sealing"]
    assert len(moving) == MOVES_AT_ONCE_MAX, "the next one moves"
    world.set_edge("e-1", "serving")
    for twin in moving:
        hand_over(world, twin)
    assert owners(world) == ["e-1", "e-2"]


def test_a_twin_that_was_on_its_way_to_an_edge_that_drains_goes_elsewhere() -> None:
    world = owning("d-1")
    world.hello("e-2")
    world.hello("e-3")
    world.move("d-1", "e-2")
    world.set_edge("e-2", "draining")
    assert world.directory.placements["d-1"].target in ("e-1", "e-3")


def test_a_twin_that_arrives_while_its_edge_drains_leaves_again() -> None:
    world = owning("d-1")
    world.hello("e-2")
    world.move("d-1", "e-2")
    world.sealed(snapshot(revision=9))
    world.set_edge("e-2", "draining")
    assert world.directory.placements["d-1"].phase == "activating"
    world.activated("d-1", 2, "e-2")
    assert world.directory.placements["d-1"].target == "e-1"


def test_the_only_edge_may_drain_once_there_is_another() -> None:
    world = owning("d-1")
    world.set_edge("e-1", "draining")
    assert world.directory.placements["d-1"].phase == "owned"
    fx = world.hello("e-2")
    assert orders(fx) == [Seal(store="s-e-1", twin="d-1", epoch=1)]


# --- lost ------------------------------------------------------------------------------


def test_g3_the_twins_of_a_lost_edge_go_on_elsewhere_from_their_checkpoints() -> None:
    world = owning("d-1", "d-2")
    world.hello("e-2")
    world.checkpoint(snapshot("d-1", revision=5))
    refused, fx = world.set_edge("e-1", "lost")
    assert refused is None
    assert orders(fx, "e-2") == [
        Activate(store="s-e-2", twin="d-1", epoch=2, snapshot=snapshot("d-1", revision=5)),
        Activate(store="s-e-2", twin="d-2", epoch=2),
    ]
    assert fx.counts["failovers_total", ""] == 2
    assert kinds(world)[-3:] == ["lost", "failover", "failover"]
    assert world.events[-1]["cut"] == 1


def test_g4_an_edge_that_is_called_lost_while_it_is_there_is_told_to_let_go() -> None:
    world = owning("d-1")
    world.hello("e-2")
    _, fx = world.set_edge("e-1", "lost")
    assert orders(fx) == [Release(store="s-e-1", twin="d-1", epoch=2)]


def test_many_twins_of_a_lost_edge_go_some_at_a_time() -> None:
    world = owning(*(f"d-{number}" for number in range(ORDERS_MAX + 1)))
    world.hello("e-2")
    _, fx = world.set_edge("e-1", "lost")
    assert len(placed(fx)) == ORDERS_MAX
    assert fx.wake_in_s is not None
    assert len(placed(world.settle())) == 1
    assert placed(world.settle()) == {}
    assert owners(world) == ["e-2"]


def test_g4_what_a_lost_edge_says_afterwards_is_not_taken() -> None:
    world = owning("d-1")
    world.hello("e-2")
    world.set_edge("e-1", "lost")
    fx = world.checkpoint(snapshot("d-1", revision=7))
    assert fx.writes == []
    assert fx.counts["fenced_total", "event"] == 1


@pytest.mark.parametrize("restart", [False, True])
def test_without_another_edge_the_twins_of_a_lost_one_wait_for_it(restart: bool) -> None:  # noqa: FBT001
    world = owning("d-1")
    world.set_edge("e-1", "lost")
    assert world.directory.placements["d-1"].owner == "e-1"
    if restart:
        world.start()
    fx = world.hello("e-2")
    assert [order.twin for order in orders(fx, "e-2")] == ["d-1"]  # type: ignore[union-attr]


def test_a_lost_edge_that_says_hello_serves_again_and_keeps_what_nobody_took() -> None:
    world = owning("d-1")
    world.set_edge("e-1", "lost")
    fx = world.hello("e-1")
    assert (state(world, "e-1"), orders(fx)) == ("serving", [])
    world.hello("e-2")
    assert world.directory.placements["d-1"].owner == "e-1"
    world.online("d-2")
    world.online("d-3")
    assert owners(world) == ["e-1", "e-2"]


def test_a_move_whose_owner_is_lost_ends_at_its_target() -> None:
    world = owning("d-1")
    world.hello("e-2")
    world.hello("e-3")
    world.move("d-1", "e-3")
    _, fx = world.set_edge("e-1", "lost")
    assert [order.twin for order in orders(fx, "e-3")] == ["d-1"]  # type: ignore[union-attr]
    assert fx.counts["moves_total", "failed_over"] == 1


def test_a_move_whose_target_is_lost_goes_elsewhere() -> None:
    world = owning("d-1")
    world.hello("e-2")
    world.hello("e-3")
    world.move("d-1", "e-2")
    world.set_edge("e-2", "lost")
    assert world.directory.placements["d-1"].target in ("e-1", "e-3")
    world = owning("d-1")
    world.hello("e-2")
    world.move("d-1", "e-2")
    world.sealed(snapshot(revision=9))
    world.set_edge("e-2", "lost")
    assert (world.directory.placements["d-1"].owner) == "e-1", "it is activated where it was"
    assert world.directory.placements["d-1"].epoch == 3


# --- what is said of edges ---------------------------------------------------------------


@pytest.mark.parametrize("wanted", ["draining", "lost", "serving"])
def test_an_edge_that_nobody_knows_is_refused(wanted: EdgeState) -> None:
    refused, fx = owning().set_edge("e-9", wanted)
    assert refused == ("unknown_edge", "no edge e-9 has said hello; known: e-1")
    assert fx.writes == []


def test_to_say_it_again_changes_nothing() -> None:
    world = owning("d-1")
    world.hello("e-2")
    world.set_edge("e-1", "lost")
    refused, fx = world.set_edge("e-1", "lost")
    assert (refused, fx.writes) == (None, [])


def test_a_request_with_a_known_key_moves_nothing_again() -> None:
    world = owning("d-1")
    world.hello("e-2")
    world.move("d-1", "e-2", "key")
    hand_over(world, "d-1")
    world.move("d-1", "e-1")
    hand_over(world, "d-1")
    world.start()
    refused, fx = world.move("d-1", "e-2", "key")
    assert (refused, fx.writes) == (None, [])
    assert world.directory.placements["d-1"].owner == "e-1"
    refused, _ = world.move("d-1", "e-1", "key")
    assert refused == (
        "key_reused",
        "the key 'key' was given to a move of d-1 to e-2: use another",
    )


def test_g7_only_so_many_keys_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloud.moves.MOVE_KEYS_MAX", 2)
    world = owning("d-1")
    for key in "abc":
        world.move("d-1", "e-1", key)
    assert sorted(key for kind, key in world.disk if kind == "move") == ["b", "c"]


def test_events_are_numbered_over_restarts() -> None:
    world = owning("d-1")
    world.hello("e-2")
    world.start()
    world.move("d-1", "e-2")
    hand_over(world, "d-1")
    assert [event["number"] for event in world.events] == list(range(1, len(world.events) + 1))
    assert kinds(world) == ["joined", "created", "owned", "joined", "move", "owned"]
    assert {key: world.events[-1][key] for key in ("twin", "from", "to", "epoch")} == {
        "twin": "d-1",
        "from": "e-1",
        "to": "e-2",
        "epoch": 2,
    }
    assert world.events[-1]["pause_s"] >= 0.0


# --- edges that are gone, as far as the broker knows ------------------------------------------


def test_new_twins_go_to_an_edge_that_is_there_if_one_is() -> None:
    world = World("e-1", "e-2")
    world.directory.edges.seen("e-1", "offline")
    world.online("d-1")
    world.online("d-2")
    assert owners(world) == ["e-2"]
    world.directory.edges.seen("e-2", "lost")
    world.online("d-3")
    assert owners(world) == ["e-1", "e-2"], "better there than nowhere"
    world.directory.edges.seen("e-1", "online")
    world.online("d-4")
    assert world.directory.placements["d-4"].owner == "e-1"


def test_a_twin_is_not_sent_to_an_edge_that_is_gone() -> None:
    world = owning("d-1")
    world.hello("e-2")
    world.directory.edges.seen("e-2", "lost")
    refused, fx = world.move("d-1", "e-2")
    assert refused == ("not_serving", "e-2 is gone: start it, or choose another edge")
    assert fx.writes == []


def test_g5_an_edge_drains_to_those_that_are_there_though_moves_to_another_are_stuck() -> None:
    world = owning(*TWINS)
    for edge in ("e-2", "e-3"):
        world.hello(edge)
    world.directory.edges.seen("e-2", "lost")
    world.directory.edges.seen("e-3", "lost")
    for twin in TWINS[:MOVES_AT_ONCE_MAX]:  # moves that were asked for in time
        placed = world.directory.placements[twin]
        world.directory.moves.begin(twin, "e-1", 0.0)
        given = ownership.reassign(placed, EdgeId("e-2"))
        world.directory.give(twin, given, Now(world.now_s, 0), Effects())
    world.directory.edges.seen("e-3", "online")
    _, fx = world.set_edge("e-1", "draining")
    assert len(placed_at(fx, "e-3")) == len(TWINS) - MOVES_AT_ONCE_MAX


def placed_at(fx: Effects, target: str) -> list[str]:
    return [twin for twin, row in placed(fx).items() if messages.load(row).get("target") == target]
