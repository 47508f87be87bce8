"""Blobs at the cloud: kept for checkpoints, and copied ahead of moves, within a time."""

import pytest

from cloud.blobs import sources
from tests.cloud.a_directory import World, orders, owning, snapshot
from twin_runtime.core.effects import Effects, FetchBlob, Now, SetEdge
from twin_runtime.core.limits import BLOB_SOURCES_MAX, PRECOPY_S
from twin_runtime.core.messages import BlobRef
from twin_runtime.core.orders import Activate, Fetch, Fetched, Seal

MODEL = BlobRef(sha256="a" * 64, bytes=1_000)
SEAL = Seal(store="s-e-1", twin="d-1", epoch=1)
FETCH = Fetch(store="s-e-2", twin="d-1", blobs=(MODEL,), source="e-1")


def a_world() -> World:
    """`e-1` owns `d-1`, which has a blob; `e-2` and `e-3` are there."""
    world = owning("d-1")
    world.hello("e-2")
    world.hello("e-3")
    world.checkpoint(snapshot(blobs={"model": MODEL}))
    return world


def fetched(world: World, missing: int = 0, edge: str = "e-2") -> Effects:
    world.directory.precopy.fetched(edge, Fetched(twin="d-1", missing=missing))
    return world.settle()


def later(world: World, delay_s: float) -> Effects:
    world.now_s += delay_s
    return world.settle()


def test_what_a_checkpoint_refers_to_is_fetched_from_its_owner() -> None:
    world = owning("d-1")
    world.hello("e-2")
    fx = world.checkpoint(snapshot(blobs={"model": MODEL}))
    assert fx.fetches == [FetchBlob(MODEL.sha256, MODEL.bytes, ("e-1", "e-2"))]
    assert world.directory.snapshots.blobs.wants(MODEL.sha256)
    world.checkpoint(snapshot(revision=2))
    assert not world.directory.snapshots.blobs.wants(MODEL.sha256)


def test_a_restarted_cloud_looks_for_all_that_checkpoints_refer_to() -> None:
    world = a_world()
    world.start()
    assert world.settle().fetches == [FetchBlob(MODEL.sha256, MODEL.bytes, ("e-1", "e-2", "e-3"))]


def test_every_edge_is_asked_in_turn_for_what_the_owner_lacks() -> None:
    edges = [f"e-{number}" for number in range(10)]
    asked = [sources("e-0", edges, attempt) for attempt in range(10)]
    assert {each[0] for each in asked} == {"e-0"}
    assert max(map(len, asked)) == BLOB_SOURCES_MAX
    assert {edge for each in asked for edge in each} == set(edges)
    assert sources("e-0", [], 3) == ["e-0"]


def test_a_twin_with_blobs_is_sealed_once_they_are_at_the_target() -> None:
    world = a_world()
    refused, fx = world.move("d-1", "e-2")
    assert (refused, fx.writes) == (None, [])
    assert (orders(fx, "e-2"), orders(fx, "e-1")) == ([FETCH], [])
    assert orders(later(world, 2.0), "e-2") == [FETCH], "until it is answered"
    fx = fetched(world)
    assert (orders(fx, "e-1"), orders(fx, "e-2")) == ([SEAL], [])
    assert orders(later(world, 5.0), "e-2") == []


def test_a_target_that_cannot_get_a_blob_holds_up_no_move() -> None:
    world = a_world()
    world.move("d-1", "e-2")
    assert orders(fetched(world, missing=1)) == [SEAL]


def test_g5_a_move_whose_blobs_take_too_long_goes_on_without_them() -> None:
    world = a_world()
    _, fx = world.move("d-1", "e-2")
    assert fx.wake_in_s is not None
    assert fx.wake_in_s <= PRECOPY_S
    assert orders(later(world, PRECOPY_S - 0.1)) == []
    assert orders(later(world, 0.1)) == [SEAL]


def test_a_twin_whose_target_went_away_while_blobs_were_copied_stays_where_it_is() -> None:
    world = a_world()
    world.move("d-1", "e-2")
    world.directory.edges.seen("e-2", "lost")
    assert orders(later(world, PRECOPY_S)) == []
    assert "d-1" not in world.directory.precopy
    assert world.directory.placements["d-1"].phase == "owned"


def test_an_answer_that_nobody_waits_for_moves_nothing() -> None:
    world = a_world()
    assert fetched(world).sends == []
    world.move("d-1", "e-2")
    assert orders(fetched(world, edge="e-3")) == []


def test_a_move_that_is_asked_for_again_copies_once_and_another_target_takes_its_place() -> None:
    world = a_world()
    world.move("d-1", "e-2")
    _, fx = world.move("d-1", "e-2")
    assert fx.sends == []
    _, fx = world.move("d-1", "e-3")
    assert [type(order) for order in orders(fx, "e-3")] == [Fetch]
    assert orders(fetched(world, edge="e-2")) == []
    assert orders(fetched(world, edge="e-3")) == [SEAL]


def test_a_move_back_ends_the_copying_so_that_the_twin_stays() -> None:
    world = a_world()
    world.move("d-1", "e-2")
    refused, _ = world.move("d-1", "e-1")
    assert refused is None
    assert orders(fetched(world)) == []
    assert orders(later(world, PRECOPY_S)) == []


def test_another_target_counts_though_the_first_answers_at_the_same_time() -> None:
    world = a_world()
    world.move("d-1", "e-2")
    world.directory.precopy.fetched("e-2", Fetched(twin="d-1", missing=0))
    _, fx = world.move("d-1", "e-3")  # in the batch that brought the answer
    assert orders(fx) == []
    fetched(world, edge="e-3")
    assert world.directory.placements["d-1"].target == "e-3"


def test_a_key_is_remembered_with_the_commit_that_begins_the_move() -> None:
    world = a_world()
    fx = Effects()
    world.directory.move("d-1", "e-2", Now(world.now_s, 0), fx, "key")
    world.settle(fx)
    assert ("move", "key") not in world.disk
    fetched(world)
    assert ("move", "key") in world.disk


def test_a_restarted_cloud_forgets_what_was_being_copied() -> None:
    world = a_world()
    world.move("d-1", "e-2")
    world.start()
    assert fetched(world).sends == []
    assert orders(later(world, PRECOPY_S)) == []


def test_a_twin_that_has_gone_elsewhere_meanwhile_is_not_moved() -> None:
    world = a_world()
    world.move("d-1", "e-2")
    world.hello("e-1", "s-new")  # it lost its twins, and is given them again
    assert not [each for each in orders(fetched(world)) if isinstance(each, Seal)]
    world = a_world()
    world.move("d-1", "e-2")
    world.directory.set_edge(SetEdge("e-2", "lost"), Now(world.now_s, 0), Effects())
    assert not [each for each in orders(fetched(world)) if isinstance(each, Seal)]


def test_twins_with_blobs_leave_a_draining_edge_with_them() -> None:
    world = a_world()
    fx = Effects()
    world.directory.set_edge(SetEdge("e-1", "draining"), Now(world.now_s, 0), fx)
    fx = world.settle(fx)
    assert (orders(fx, "e-2"), orders(fx)) == ([FETCH], [])
    assert (orders(world.settle(), "e-2"), len(world.directory.precopy)) == ([], 1)
    assert orders(fetched(world)) == [SEAL]


@pytest.mark.parametrize("blobs, source", [({"model": MODEL}, "e-1"), ({}, None)])
def test_the_target_is_told_who_may_have_what_it_lacks(
    blobs: dict[str, BlobRef], source: str | None
) -> None:
    world = owning("d-1")
    world.hello("e-2")
    world.move("d-1", "e-2")
    fx = world.sealed(snapshot(blobs=blobs))
    (activate,) = orders(fx, "e-2")
    assert isinstance(activate, Activate)
    assert activate.source == source


def test_g7_more_twins_than_may_be_copied_ahead_move_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cloud.blobs.PRECOPIES_MAX", 0)
    _, fx = a_world().move("d-1", "e-2")
    assert orders(fx) == [SEAL]
