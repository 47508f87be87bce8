"""The directory: every twin has one owner, and everything said of it follows from the rows."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud import directory as cloud_directory
from tests.cloud.a_directory import (
    World,
    assigned,
    orders,
    owning,
    placed,
    snapshot,
)
from twin_runtime.core import messages
from twin_runtime.core.effects import Effects, Now
from twin_runtime.core.limits import (
    ORDER_RETRY_FIRST_S,
    ORDER_RETRY_LAST_S,
    PACKET_BYTES_MAX,
    REPUBLISH_TWINS_MAX,
    STABLE_MARKS_MAX,
)
from twin_runtime.core.messages import (
    Assignment,
)
from twin_runtime.core.orders import (
    Activate,
    Activated,
    Release,
    Stable,
)

# --- creation --------------------------------------------------------------------------------


def test_a_device_heard_of_first_gets_a_twin_whose_placement_is_committed_with_the_order() -> None:
    world = World("e-1")
    fx = world.online("d-1")
    assert orders(fx) == [Activate(store="s-e-1", twin="d-1", epoch=1)]
    assert placed(fx).keys() == {"d-1"}
    assert messages.load(placed(fx)["d-1"]) == {"phase": "activating", "owner": "e-1", "epoch": 1}
    assert assigned(fx) == {}


def test_a_device_heard_of_again_is_created_once() -> None:
    world = World("e-1")
    world.online("d-1")
    fx = world.online("d-1")
    assert (fx.writes, orders(fx)) == ([], [])


def test_new_twins_go_where_the_fewest_are_and_a_tie_to_the_smaller_id() -> None:
    world = World("e-2", "e-1", "e-3")
    for number in range(7):
        world.online(f"d-{number}")
    owners = [world.directory.placements[f"d-{number}"].owner for number in range(7)]
    assert owners == ["e-1", "e-2", "e-3", "e-1", "e-2", "e-3", "e-1"]


def test_devices_heard_of_before_any_edge_get_their_twins_with_the_first() -> None:
    world = World()
    assert world.online("d-1").writes == []
    world.online("d-2")
    fx = world.hello("e-1")
    assert [order.twin for order in orders(fx) if isinstance(order, Activate)] == ["d-1", "d-2"]


def test_the_log_says_of_a_new_twin_where_it_is_and_at_which_epoch() -> None:
    (note,) = World("e-1").online("d-1").notes
    assert (note.level, note.twin, note.edge, note.epoch) == ("info", "d-1", "e-1", 1)


def test_a_full_directory_creates_no_more_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud_directory, "TWINS_PER_CLOUD_MAX", 1)
    world = owning("d-1")
    fx = world.online("d-2")
    assert fx.counts == {("twins_refused_total", ""): 1}
    assert (fx.writes, fx.notes[0].level) == ([], "error")
    homeless = World()
    homeless.online("d-1")
    homeless.online("d-2")
    assert [order.twin for order in orders(homeless.hello("e-1"))] == ["d-1"]  # type: ignore[union-attr]


def test_one_edge_too_many_is_not_taken_and_known_ones_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud_directory, "EDGES_MAX", 1)
    world = World("e-1")
    fx = world.hello("e-2")
    assert (fx.writes, fx.notes[0].level) == ([], "error")
    assert len(world.hello("e-1", "s-new").writes) == 1


# --- orders and assignments --------------------------------------------------------------------


def test_an_order_is_repeated_with_back_off_until_the_edge_confirms() -> None:
    world = World("e-1")
    world.online("d-1")
    sent_s = []
    for _ in range(12):
        fx = world.settle()
        assert fx.wake_in_s is not None
        if orders(fx):
            sent_s.append(world.now_s)
        world.now_s += fx.wake_in_s
    pauses_s = [later - earlier for earlier, later in pairwise(sent_s)]
    assert ORDER_RETRY_FIRST_S / 2 <= pauses_s[0] <= 2 * ORDER_RETRY_FIRST_S
    assert ORDER_RETRY_LAST_S / 2 <= pauses_s[-1] <= ORDER_RETRY_LAST_S
    world.activated("d-1")
    world.now_s += 2 * ORDER_RETRY_LAST_S
    assert orders(world.settle()) == []


def test_no_order_is_sent_while_disconnected_and_every_due_one_afterwards() -> None:
    world = World("e-1")
    fx = Effects()
    world.directory.device_online("d-1", 0, Now(0.0, 0), fx)
    assert world.settle(fx, connected=False).sends == []
    assert len(orders(world.settle())) == 1


def test_a_device_is_assigned_once_its_edge_has_confirmed() -> None:
    world = World("e-1")
    world.online("d-1")
    assert assigned(world.online("d-1")) == {}
    fx = world.activated("d-1")
    assert assigned(fx) == {"d-1": Assignment(edge="e-1", epoch=1)}
    assert messages.load(world.disk["placement", "d-1"])["phase"] == "owned"


def test_a_device_is_told_before_the_row_that_says_so_is_written() -> None:
    world = World("e-1")
    world.online("d-1")
    fx, now = Effects(), Now(0.0, 0)
    world.directory.activated("e-1", Activated(twin="d-1", epoch=1), fx)
    assert assigned(fx) == {"d-1": Assignment(edge="e-1", epoch=1)}
    assert (fx.writes, fx.wake_in_s, fx.hurry) == ([], 0.0, True)
    world.directory.confirm(now, fx)
    assert messages.load(placed(fx)["d-1"])["phase"] == "owned"


def test_a_confirmation_that_a_failover_came_before_is_void() -> None:
    world = World("e-1", "e-2")
    world.online("d-1")
    fx, now = Effects(), Now(0.0, 0)
    world.directory.activated("e-1", Activated(twin="d-1", epoch=1), fx)
    world.set_edge("e-1", "lost")
    given = world.directory.placements["d-1"]
    world.directory.confirm(now, fx)
    assert (given.owner, given.epoch) == ("e-2", 2)
    assert world.directory.placements["d-1"] == given


def test_a_device_that_knows_its_assignment_is_not_told_again() -> None:
    world = owning("d-1")
    assert assigned(world.online("d-1", epoch=1)) == {}
    assert "d-1" in assigned(world.online("d-1", epoch=0))


def test_a_confirmation_heard_again_changes_nothing() -> None:
    world = owning("d-1")
    fx = world.activated("d-1")
    assert (fx.writes, fx.sends, fx.counts) == ([], [], {})


def test_all_assignments_are_repeated_but_those_not_confirmed() -> None:
    world = owning("d-1", "d-2")
    world.online("d-3")
    fx = Effects()
    assert not world.directory.assignments.repeat(fx)
    assert sorted(assigned(fx)) == ["d-1", "d-2"]


# --- checkpoints ---------------------------------------------------------------------------------


def test_g3_a_checkpoint_is_called_stable_with_the_commit_that_stores_it() -> None:
    fx = owning("d-1").checkpoint(snapshot(revision=5, last_seq=4))
    ((kind, key, value),) = fx.writes  # type: ignore[misc]
    assert (kind, key) == ("snapshot", "d-1")
    assert messages.parse(messages.SNAPSHOT, value) == snapshot(revision=5, last_seq=4)
    (order,) = orders(fx)
    assert isinstance(order, Stable)
    (mark,) = order.marks
    assert (mark.twin, mark.epoch, mark.session) == ("d-1", 1, 7)
    assert (mark.seq, mark.revision) == (4, 5)


def test_a_checkpoint_that_is_stored_already_is_called_stable_again() -> None:
    world = owning("d-1")
    world.checkpoint(snapshot(revision=5))
    fx = world.checkpoint(snapshot(revision=5))
    assert fx.writes == []
    assert fx.counts == {("checkpoints_total", "known"): 1}
    assert len(orders(fx)) == 1


def test_a_checkpoint_behind_the_stored_one_came_late() -> None:
    world = owning("d-1")
    world.checkpoint(snapshot(revision=5))
    fx = world.checkpoint(snapshot(revision=4))
    assert (fx.writes, fx.sends) == ([], [])
    assert fx.counts == {("checkpoints_total", "behind"): 1}


def test_g4_a_deposed_owner_changes_nothing_and_is_told_to_let_go() -> None:
    world = World("e-1", "e-2")
    world.online("d-1")
    world.activated("d-1")
    world.move("d-1", "e-2")
    world.sealed(snapshot())
    for fx in (world.checkpoint(snapshot()), world.activated("d-1")):
        assert fx.writes == []
        assert fx.counts == {("fenced_total", "event"): 1}
        assert orders(fx) == [Release(store="s-e-1", twin="d-1", epoch=2)]


def test_a_checkpoint_before_the_confirmation_waits_for_it() -> None:
    world = World("e-1")
    world.online("d-1")
    fx = world.checkpoint(snapshot())
    assert (fx.writes, orders(fx)) == ([], [])


def test_g7_many_marks_travel_in_several_orders_each_within_a_packet() -> None:
    twins = [f"d-{number:062d}" for number in range(STABLE_MARKS_MAX + 1)]
    world = owning(*twins)
    large = 2**53 - 1
    fx = world.checkpoint(*(snapshot(twin, large, session=large) for twin in twins))
    sizes = [len(order.marks) for order in orders(fx) if isinstance(order, Stable)]
    assert sizes == [STABLE_MARKS_MAX, 1]
    assert all(len(send.payload) <= PACKET_BYTES_MAX for send in fx.sends)


# --- an edge that lost its store --------------------------------------------------------


def test_g3_an_edge_with_a_new_store_gets_its_twins_back_from_their_checkpoints() -> None:
    world = owning("d-1", "d-2")
    world.checkpoint(snapshot("d-1", revision=5))
    fx = world.hello("e-1", "s-new")
    assert orders(fx) == [
        Activate(store="s-new", twin="d-1", epoch=2, snapshot=snapshot("d-1", revision=5)),
        Activate(store="s-new", twin="d-2", epoch=2),
    ]
    assert fx.counts == {("failovers_total", ""): 2}
    assert messages.load(world.disk["edge", "e-1"]) == {"store": "s-new", "state": "serving"}
    assert messages.load(world.disk["placement", "d-1"])["epoch"] == 2


def test_g4_a_checkpoint_from_before_the_loss_is_refused_after_it() -> None:
    world = owning("d-1")
    world.hello("e-1", "s-new")
    world.activated("d-1", epoch=2)
    fx = world.checkpoint(snapshot("d-1", revision=99, epoch=1))
    assert (fx.writes, orders(fx)) == ([], [])


def test_assignments_are_repeated_a_few_at_a_time() -> None:
    world = owning(*(f"d-{n:03}" for n in range(REPUBLISH_TWINS_MAX + 1)))
    first, second = Effects(), Effects()
    assert world.directory.assignments.repeat(first)
    assert not world.directory.assignments.repeat(second)
    assert (len(first.sends), len(second.sends)) == (REPUBLISH_TWINS_MAX, 1)


def test_an_edge_that_returns_with_its_store_loses_nothing() -> None:
    fx = owning("d-1").hello("e-1")
    assert (fx.writes, fx.sends) == ([], [])


# --- restart --------------------------------------------------------------------------------------


def test_a_restart_repeats_the_orders_that_were_not_confirmed_and_no_others() -> None:
    world = owning("d-1")
    world.checkpoint(snapshot("d-1"))
    world.hello("e-1", "s-new")
    world.online("d-2")
    world.activated("d-2", epoch=1)
    before = orders(world.hello("e-1", "s-newer"))
    world.start()
    assert orders(world.settle()) == before


def test_a_restart_keeps_the_load_of_every_edge_and_every_placement() -> None:
    world = World("e-1", "e-2")
    for number in range(5):
        world.online(f"d-{number}")
    placements, edges = world.directory.placements, world.directory.edges.listed()
    world.start()
    assert world.directory.placements == placements
    assert world.directory.edges.listed() == edges


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["online", "hello", "activated", "checkpoint", "restart"]),
        st.sampled_from(["d-1", "d-2", "d-3"]),
        st.sampled_from(["e-1", "e-2"]),
        st.integers(0, 3),
    ),
    max_size=40,
)


@given(STEPS)
def test_g4_an_epoch_is_ordered_from_one_edge_and_store_only(
    steps: list[tuple[str, str, str, int]],
) -> None:
    world = World()
    ordered: dict[tuple[str, int], tuple[str, str]] = {}
    kept: dict[str, int] = {}
    for what, twin, edge, number in steps:
        world.now_s += 100.0
        match what:
            case "online":
                fx = world.online(twin, number)
            case "hello":
                fx = world.hello(edge, f"s-{number}")
            case "activated":
                fx = world.activated(twin, number + 1, edge)
            case "checkpoint":
                fx = world.checkpoint(snapshot(twin, number, epoch=number + 1), edge=edge)
            case _:
                world.start()
                fx = world.settle()
        for owner in ("e-1", "e-2"):
            for order in orders(fx, owner):
                if isinstance(order, Activate):
                    to = ordered.setdefault((order.twin, order.epoch), (owner, order.store))
                    assert to == (owner, order.store)
        for name in world.directory.placements:
            one = world.directory.snapshots.of(name)
            revision = one.revision if one else 0
            assert revision >= kept.get(name, 0)
            kept[name] = revision
        placed = [each.owner for each in world.directory.placements.values()]
        listed = world.directory.edges.listed()
        assert all(edge["twins"] == placed.count(edge["edge"]) for edge in listed)
