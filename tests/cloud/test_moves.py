"""Moves: sealed, handed over, activated at the next epoch; refused where they cannot be."""

import pytest

from tests.cloud.a_directory import World, assigned, orders, owning, snapshot
from twin_runtime.core.effects import Now, Put
from twin_runtime.core.orders import Activate, Release, Seal


def a_world() -> World:
    """`e-1` owns `d-1`, of which revision 1 is stored; `e-2` and `e-3` are there."""
    world = owning("d-1")
    world.hello("e-2")
    world.hello("e-3")
    world.checkpoint(snapshot())
    return world


def test_g5_a_twin_moves_by_three_commits_and_its_former_owner_lets_go() -> None:
    world = a_world()
    refused, fx = world.move("d-1", "e-2")
    assert refused is None
    assert orders(fx) == [Seal(store="s-e-1", twin="d-1", epoch=1)]
    fx = world.sealed(snapshot(revision=5))
    assert [write.kind for write in fx.writes if isinstance(write, Put)] == [
        *("snapshot", "placement")
    ]
    (activate,) = orders(fx, "e-2")
    assert activate == Activate(store="s-e-2", twin="d-1", epoch=2, snapshot=snapshot(revision=5))
    assert assigned(fx) == {}
    fx = world.activated("d-1", 2, "e-2")
    assert (assigned(fx)["d-1"].edge, assigned(fx)["d-1"].epoch) == ("e-2", 2)
    assert orders(fx, "e-1") == [Release(store="s-e-1", twin="d-1", epoch=2)]


def test_a_move_that_is_repeated_changes_nothing() -> None:
    world = a_world()
    world.move("d-1", "e-2")
    refused, fx = world.move("d-1", "e-2")
    assert (refused, fx.writes) == (None, [])
    world.sealed(snapshot(revision=5))
    refused, fx = world.move("d-1", "e-2")
    assert (refused, fx.writes) == (None, [])
    world.activated("d-1", 2, "e-2")
    refused, fx = world.move("d-1", "e-2")
    assert (refused, fx.writes, orders(fx, "e-2")) == (None, [], [])


def test_a_move_may_be_given_another_target_or_taken_back_until_the_twin_is_sealed() -> None:
    world = a_world()
    world.move("d-1", "e-2")
    world.move("d-1", "e-3")
    assert orders(world.sealed(snapshot()), "e-3") != []
    world = a_world()
    world.move("d-1", "e-2")
    world.move("d-1", "e-1")
    (activate,) = orders(world.sealed(snapshot()))
    assert (activate.twin, activate.epoch) == ("d-1", 2)  # type: ignore[union-attr]
    fx = world.activated("d-1", 2)
    assert assigned(fx)["d-1"].epoch == 2
    assert orders(fx) == [], "it is not told to let go of what it owns"


@pytest.mark.parametrize(
    "twin, target, code, said",
    [
        ("d-9", "e-2", "unknown_twin", "there is no twin d-9"),
        ("d-1", "e-9", "unknown_edge", "no edge e-9 has said hello; known: e-1, e-2, e-3"),
        ("d-1", "e-3", "busy", "d-1 is on its way to e-2 already; ask again when it is there"),
    ],
)
def test_a_move_that_cannot_be_is_refused_in_words(
    twin: str, target: str, code: str, said: str
) -> None:
    world = a_world()
    if code == "busy":
        world.move("d-1", "e-2")
        world.sealed(snapshot())
    refused, fx = world.move(twin, target)
    assert refused == (code, said)
    assert fx.writes == []


def test_an_owner_may_hand_over_and_checkpoint_late_and_twice() -> None:
    world = a_world()
    world.move("d-1", "e-2")
    assert world.checkpoint(snapshot(revision=4)).writes != [], "it is still the owner"
    world.sealed(snapshot(revision=5))
    fx = world.sealed(snapshot(revision=5))
    assert fx.writes == []
    assert orders(fx) == [Release(store="s-e-1", twin="d-1", epoch=2)]
    assert world.checkpoint(snapshot(revision=6)).writes == [], "it is no more"


def test_a_restart_goes_on_with_the_move_where_it_was() -> None:
    world = a_world()
    world.move("d-1", "e-2")
    world.start()
    assert orders(world.settle()) == [Seal(store="s-e-1", twin="d-1", epoch=1)]
    world.sealed(snapshot(revision=5))
    world.start()
    (activate,) = orders(world.settle(), "e-2")
    assert (activate.twin, activate.epoch) == ("d-1", 2)  # type: ignore[union-attr]


def test_g3_an_owner_that_lost_its_store_in_a_move_loses_its_twins_to_the_target() -> None:
    world = a_world()
    world.move("d-1", "e-2")
    fx = world.hello("e-1", "s-new")
    (activate,) = orders(fx, "e-2")
    assert activate == Activate(store="s-e-2", twin="d-1", epoch=2, snapshot=snapshot())


def test_a_device_of_a_twin_that_is_being_sealed_is_told_where_it_is() -> None:
    world = a_world()
    world.move("d-1", "e-2")
    assert assigned(world.online("d-1"))["d-1"].edge == "e-1"


def test_g5_an_edge_that_was_away_hears_its_orders_as_soon_as_it_says_hello() -> None:
    world = a_world()
    world.move("d-1", "e-2")
    for _ in range(6):  # e-1 is away, and is asked ever more rarely
        world.now_s += 100.0
        world.settle()
    world.now_s += 1.0
    assert orders(world.settle()) == []
    assert orders(world.hello("e-2")) == []
    assert orders(world.hello("e-1")) == [Seal(store="s-e-1", twin="d-1", epoch=1)]


def test_g5_what_was_ordered_is_said_again_as_soon_as_the_cloud_is_connected() -> None:
    world = a_world()
    world.move("d-1", "e-2")
    world.now_s += 0.1
    assert orders(world.settle()) == []
    world.directory.connected(Now(world.now_s, 0))
    assert orders(world.settle()) == [Seal(store="s-e-1", twin="d-1", epoch=1)]
