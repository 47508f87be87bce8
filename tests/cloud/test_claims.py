"""A cloud whose store is an older copy: edges own twins at epochs that it does not know."""

import pytest

from cloud import claims
from tests.cloud.a_directory import World, assigned, orders, owning, placed, snapshot
from twin_runtime.core import messages
from twin_runtime.core.effects import Effects
from twin_runtime.core.limits import EPOCH_BELIEVED_MAX, OWNER_EXPECTED_S
from twin_runtime.core.messages import Snapshot
from twin_runtime.core.orders import Activate, Release, Seal, Stable


def errors(fx: Effects) -> list[str]:
    return [note.text for note in fx.notes if note.level == "error"]


def where(world: World, twin: str = "d-1") -> tuple[str, str, int]:
    at = world.directory.placements[twin]
    return at.phase, at.owner, at.epoch


def restored(*edges: str) -> World:
    """A store in which `e-1` owns `d-1` at epoch 1, as it was before all that came then."""
    world = owning("d-1")
    for edge in edges or ("e-2", "e-3"):
        world.hello(edge)
    world.checkpoint(snapshot())
    return world


# --- the owner is believed ------------------------------------------------------------------


def test_an_edge_at_a_larger_epoch_is_the_owner_from_then_on() -> None:
    world = restored()
    fx = world.checkpoint(snapshot(revision=9, epoch=4), edge="e-2")
    assert where(world) == ("owned", "e-2", 4)
    assert messages.load(world.disk["placement", "d-1"])["owner"] == "e-2"
    assert (assigned(fx)["d-1"].edge, assigned(fx)["d-1"].epoch) == ("e-2", 4)
    (stable,) = orders(fx, "e-2")
    assert isinstance(stable, Stable)
    assert (stable.marks[0].epoch, stable.marks[0].seq) == (4, 9)
    assert "adopted" in [event.get("kind") for event in world.events]
    assert fx.counts["twins_adopted_total", ""] == 1


def test_an_owner_of_a_twin_that_nobody_knows_is_believed() -> None:
    world = restored()
    fx = world.checkpoint(snapshot("d-9", revision=3, epoch=2), edge="e-3")
    assert where(world, "d-9") == ("owned", "e-3", 2)
    assert "the store does not know it" in errors(fx)[0]


def test_a_twin_that_was_created_anew_in_its_place_is_the_owners_that_has_something() -> None:
    world = restored()
    world.online("d-9")
    created = where(world, "d-9")[1]
    other = "e-3" if created == "e-2" else "e-2"
    world.activated("d-9", edge=created)
    world.checkpoint(snapshot("d-9", revision=0), edge=created)
    world.checkpoint(snapshot("d-9", revision=7), edge=other)
    assert where(world, "d-9") == ("sealing", other, 1)
    world.checkpoint(snapshot("d-9", revision=0), edge=created)
    assert world.directory.claims.counts()["disputed"] == 0, "an empty twin disputes nothing"
    world.sealed(snapshot("d-9", revision=8), edge=other)
    world.activated("d-9", epoch=2, edge=other)
    assert where(world, "d-9") == ("owned", other, 2)
    fx = world.checkpoint(snapshot("d-9", revision=0), edge=created)
    assert orders(fx, created) == [Release(store=f"s-{created}", twin="d-9", epoch=2)]


def test_what_has_happened_is_said_once_with_what_to_do() -> None:
    world = restored()
    fx = world.checkpoint(snapshot(revision=9, epoch=4), edge="e-2")
    (error,) = errors(fx)
    assert "e-2 owns d-1 at epoch 4, and the store has e-1 at 1" in error
    assert "call none lost" in error
    assert errors(world.checkpoint(snapshot("d-9"), edge="e-3")) == []
    world.start()
    assert len(errors(world.checkpoint(snapshot("d-8"), edge="e-3"))) == 1, "once per start"


def test_a_twin_that_was_taken_over_moves_on_at_the_next_epoch() -> None:
    world = restored()
    world.checkpoint(snapshot(revision=9, epoch=4), edge="e-2")
    world.start()
    world.move("d-1", "e-3")
    fx = world.sealed(snapshot(revision=11, epoch=4), edge="e-2")
    (activate,) = orders(fx, "e-3")
    assert isinstance(activate, Activate)
    assert (activate.epoch, activate.snapshot) == (5, snapshot(revision=11, epoch=4))


def test_g4_of_two_the_one_at_the_larger_epoch_is_the_owner() -> None:
    world = restored()
    world.checkpoint(snapshot(revision=7, epoch=3), edge="e-3")
    world.checkpoint(snapshot(revision=9, epoch=4), edge="e-2")
    fx = world.checkpoint(snapshot(revision=8, epoch=3), edge="e-3")
    assert where(world) == ("owned", "e-2", 4)
    assert orders(fx, "e-3") == [Release(store="s-e-3", twin="d-1", epoch=4)]


def test_a_move_that_was_under_way_in_the_copy_ends_where_the_twin_is() -> None:
    world = restored()
    world.move("d-1", "e-3")
    world.checkpoint(snapshot(revision=9, epoch=2), edge="e-2")
    assert where(world) == ("owned", "e-2", 2)
    world.now_s += 60
    assert orders(world.settle()) == [], "nobody is asked to hand it over"


def test_an_activation_that_was_under_way_in_the_copy_ends_where_the_twin_is() -> None:
    world = restored()
    world.move("d-1", "e-3")
    world.sealed(snapshot(revision=5))
    assert where(world) == ("activating", "e-3", 2)
    world.checkpoint(snapshot(revision=9, epoch=3), edge="e-2")
    assert where(world) == ("owned", "e-2", 3)


@pytest.mark.parametrize("edge", ["e-9", "e-3"])
def test_an_edge_that_nobody_knows_or_that_is_lost_is_not_believed(edge: str) -> None:
    world = restored()
    world.set_edge("e-3", "lost")
    fx = world.checkpoint(snapshot(revision=9, epoch=4), snapshot("d-9"), edge=edge)
    assert (fx.writes, errors(fx)) == ([], [])
    assert fx.counts == {("fenced_total", "event"): 2}


def test_g9_no_edge_uses_up_the_numbers_that_can_be_given() -> None:
    world = restored()
    assert world.checkpoint(snapshot(revision=9, epoch=2**53 - 1), edge="e-2").writes == []
    world.checkpoint(snapshot(revision=9, epoch=EPOCH_BELIEVED_MAX), edge="e-2")
    world.move("d-1", "e-3")
    fx = world.sealed(snapshot(revision=9, epoch=EPOCH_BELIEVED_MAX), edge="e-2")
    assert [order.epoch for order in orders(fx, "e-3") if isinstance(order, Activate)] == [
        EPOCH_BELIEVED_MAX + 1
    ]


@pytest.mark.parametrize("limit", ["TWINS_PER_CLOUD_MAX", "TWINS_PER_EDGE_MAX"])
def test_g7_no_more_is_believed_than_there_can_be(
    limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, limit, 2)
    world = restored()
    world.checkpoint(*(snapshot(f"d-{number}") for number in range(2, 9)), edge="e-1")
    assert len(world.directory.placements) == 2


# --- twins that are left alone ---------------------------------------------------------------


def disputed() -> World:
    """`e-1` owns `d-1` at epoch 1, by the store and by itself, and so does `e-2`."""
    world = restored()
    world.checkpoint(snapshot(revision=9), edge="e-2")
    return world


def test_g4_a_number_that_was_given_twice_deposes_nobody() -> None:
    world = restored()
    fx = world.checkpoint(snapshot(revision=9), edge="e-2")
    assert (fx.writes, fx.sends) == ([], [])
    assert where(world) == ("owned", "e-1", 1)
    assert world.directory.claims.counts() == {"disputed": 1, "handed_over": 0}
    (warning,) = [note.text for note in fx.notes if note.level == "warning"]
    assert "e-2 owns it at epoch 1, and so does e-1 at 1" in warning
    again = world.checkpoint(snapshot(revision=9), edge="e-2")
    assert again.notes == []


def test_g3_of_a_disputed_twin_nothing_becomes_stable() -> None:
    world = disputed()
    for edge in ("e-1", "e-2"):
        fx = world.checkpoint(snapshot(revision=20), edge=edge)
        assert (fx.writes, fx.sends) == ([], [])


def test_an_owner_that_has_less_than_the_store_is_not_believed() -> None:
    world = restored()
    world.checkpoint(snapshot(revision=50))
    world.checkpoint(snapshot(revision=9, epoch=4), edge="e-2")
    assert where(world) == ("owned", "e-1", 1)
    assert world.directory.claims.counts()["disputed"] == 1


def test_a_disputed_twin_is_not_given_to_another_because_its_edge_is_lost_or_drains() -> None:
    world = disputed()
    world.set_edge("e-1", "draining")
    world.set_edge("e-1", "lost")
    world.hello("e-1", "s-new")
    assert where(world) == ("owned", "e-1", 1)


def test_g4_an_order_for_a_disputed_twin_is_repeated_no_more_and_its_answer_not_taken() -> None:
    world = restored()
    world.move("d-1", "e-3")
    world.sealed(snapshot(revision=5))
    world.checkpoint(snapshot(revision=9, epoch=2), edge="e-2")
    world.now_s += 60
    assert orders(world.settle(), "e-3") == []
    assert world.activated("d-1", epoch=2, edge="e-3").sends == []
    assert where(world) == ("activating", "e-3", 2)


def test_a_move_of_a_disputed_twin_is_refused_but_to_those_that_own_it() -> None:
    world = disputed()
    refused, fx = world.move("d-1", "e-3")
    assert refused is not None
    assert refused.code == "disputed"
    assert "e-2 at epoch 1 and e-1 at 1 both own d-1" in refused.message
    assert fx.writes == []


@pytest.mark.parametrize("right, wrong", [("e-1", "e-2"), ("e-2", "e-1")])
def test_who_is_right_hands_the_twin_over_to_itself_and_the_other_lets_go(
    right: str, wrong: str
) -> None:
    world = disputed()
    refused, fx = world.move("d-1", right)
    assert refused is None
    assert orders(fx, right) == [Seal(store=f"s-{right}", twin="d-1", epoch=1)]
    assert world.checkpoint(snapshot(revision=90), edge=wrong).writes == [], "while it does"
    fx = world.sealed(snapshot(revision=9), edge=right)
    assert messages.load(placed(fx)["d-1"])["epoch"] == 2
    world.activated("d-1", epoch=2, edge=right)
    fx = world.checkpoint(snapshot(revision=91), edge=wrong)
    assert orders(fx, wrong) == [Release(store=f"s-{wrong}", twin="d-1", epoch=2)]
    assert where(world) == ("owned", right, 2)


def test_g3_who_is_right_goes_on_from_its_own_past_though_the_store_has_a_longer_one() -> None:
    world = restored()
    world.checkpoint(snapshot(revision=50))
    world.checkpoint(snapshot(revision=9, epoch=4), edge="e-2")
    world.move("d-1", "e-2")
    fx = world.sealed(snapshot(revision=9, epoch=4), edge="e-2")
    (activate,) = [order for order in orders(fx, "e-2") if isinstance(order, Activate)]
    assert (activate.epoch, activate.snapshot) == (5, snapshot(revision=9, epoch=4))


@pytest.mark.parametrize("is_called_lost", [True, False])
def test_a_dispute_ends_with_the_other_edge_or_its_store(is_called_lost: bool) -> None:  # noqa: FBT001
    world = disputed()
    if is_called_lost:
        world.set_edge("e-2", "lost")
    else:
        world.hello("e-2", "s-new")
    assert world.move("d-1", "e-3")[0] is None


# --- twins that were handed over --------------------------------------------------------------


def test_a_twin_that_was_handed_over_waits_for_its_next_owner_to_speak() -> None:
    world = restored()
    world.sealed(snapshot(revision=9, epoch=4), edge="e-2")
    assert where(world) == ("owned", "e-2", 4)
    world.set_edge("e-2", "draining")
    world.set_edge("e-2", "lost")
    world.hello("e-2")
    assert where(world) == ("owned", "e-2", 4), "it is given to nobody"
    world.checkpoint(snapshot(revision=12, epoch=5), edge="e-3")
    assert where(world) == ("owned", "e-3", 5)
    assert world.directory.claims.counts() == {"disputed": 0, "handed_over": 0}


@pytest.mark.parametrize("target", ["e-2", "e-3"])
def test_a_twin_that_was_handed_over_goes_on_where_somebody_wants_it(target: str) -> None:
    world = restored()
    world.sealed(snapshot(revision=9, epoch=4), edge="e-2")
    world.move("d-1", target)
    fx = world.sealed(snapshot(revision=9, epoch=4), edge="e-2")
    (activate,) = [order for order in orders(fx, target) if isinstance(order, Activate)]
    assert (activate.epoch, activate.snapshot) == (5, snapshot(revision=9, epoch=4))


def test_what_its_owner_handed_over_unasked_is_kept_and_given_to_nobody() -> None:
    world = restored()
    world.sealed(snapshot(revision=5))
    assert where(world) == ("owned", "e-1", 1)
    assert world.sealed(snapshot(revision=5)).writes == [], "as often as it says so"
    world.set_edge("e-1", "lost")
    assert where(world) == ("owned", "e-1", 1)
    world.hello("e-1")
    world.move("d-1", "e-2")
    fx = world.sealed(snapshot(revision=5))
    assert messages.load(placed(fx)["d-1"]) == {"phase": "activating", "owner": "e-2", "epoch": 2}


def test_an_owner_that_was_activated_and_has_handed_over_since_is_not_waited_for() -> None:
    world = restored()
    world.move("d-1", "e-2")
    world.sealed(snapshot(revision=5))
    world.sealed(snapshot(revision=9, epoch=2), edge="e-2")
    assert where(world) == ("owned", "e-2", 2)
    assert world.directory.claims.counts()["handed_over"] == 1


# --- twins that only a device or a document speaks of ---------------------------------------


def test_a_device_that_has_an_owner_gets_no_second_one_while_that_may_speak() -> None:
    world = restored()
    assert world.online("d-9", epoch=3).writes == []
    world.now_s += 20
    world.checkpoint(snapshot("d-9", revision=4, epoch=3), edge="e-3")
    assert assigned(world.online("d-9", epoch=1))["d-9"].edge == "e-3"


def test_a_device_whose_owner_nobody_heard_of_gets_a_new_one_after_a_while() -> None:
    world = restored()
    world.online("d-9", epoch=3)
    world.now_s += OWNER_EXPECTED_S - 1
    world.directory.claims.published("d-9", 3, world.now_s)
    world.now_s += OWNER_EXPECTED_S - 1
    assert world.online("d-9", epoch=3).writes == [], "somebody publishes it"
    world.now_s += 1
    assert placed(world.online("d-9", epoch=3)).keys() == {"d-9"}
    assert where(world, "d-9")[2] == 4, "its device would heed no other"


def test_a_device_from_another_site_may_say_any_epoch_and_leaves_some_to_be_given() -> None:
    world = restored()
    world.online("d-9", epoch=2**53 - 1)
    world.now_s += OWNER_EXPECTED_S
    world.online("d-9", epoch=2**53 - 1)
    assert where(world, "d-9")[2] == EPOCH_BELIEVED_MAX + 1


def test_g3_a_twin_that_is_published_at_a_larger_epoch_is_not_activated_from_here() -> None:
    world = restored()
    world.directory.claims.published("d-1", 4, world.now_s)
    world.set_edge("e-1", "lost")
    world.hello("e-1", "s-new")
    assert where(world) == ("owned", "e-1", 1)
    world.checkpoint(snapshot(revision=9, epoch=4), edge="e-2")
    world.set_edge("e-2", "lost")
    assert where(world) == ("activating", "e-1", 5), "its owner spoke, and was lost"


def test_a_deposed_owner_is_no_evidence() -> None:
    world = restored()
    world.move("d-1", "e-2")
    world.sealed(snapshot(revision=5))
    fx = world.checkpoint(Snapshot(twin="d-1", epoch=1, revision=9, session=7, last_seq=9))
    assert errors(fx) == []
    assert orders(fx) == [Release(store="s-e-1", twin="d-1", epoch=2)]
