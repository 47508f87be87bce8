"""The directory's transition table, and what holds of every path through it."""

from hypothesis import given
from hypothesis import strategies as st

from twin_runtime.core import ownership
from twin_runtime.core.ids import EdgeId
from twin_runtime.core.ownership import Placement

ONE, TWO = EdgeId("e-1"), EdgeId("e-2")
EDGES = st.sampled_from([ONE, TWO])
# (what is heard, from or for whom, how far the epoch heard of is from the current one)
STEPS = st.lists(st.tuples(st.booleans(), EDGES, st.integers(-1, 1)), max_size=30)


def test_a_new_twin_is_given_away_at_epoch_1_and_owned_by_nobody_yet() -> None:
    assert ownership.create(ONE) == Placement("activating", ONE, 1)


def test_a_confirmation_of_the_owner_at_its_epoch_makes_it_own_the_twin() -> None:
    assert ownership.activated(Placement("activating", ONE, 3), ONE, 3) == Placement(
        "owned", ONE, 3
    )


def test_a_confirmation_of_another_edge_or_epoch_or_a_second_one_is_no_news() -> None:
    activating = Placement("activating", ONE, 3)
    assert ownership.activated(activating, TWO, 3) is None
    assert ownership.activated(activating, ONE, 2) is None
    assert ownership.activated(activating, ONE, 4) is None
    assert ownership.activated(Placement("owned", ONE, 3), ONE, 3) is None


def test_a_twin_is_given_away_again_at_the_next_epoch_whatever_its_phase() -> None:
    assert ownership.reassign(Placement("owned", ONE, 3), TWO) == Placement("activating", TWO, 4)
    assert ownership.reassign(Placement("activating", ONE, 3), ONE) == Placement(
        "activating", ONE, 4
    )


def test_only_the_owner_at_the_current_epoch_is_current() -> None:
    placement = Placement("owned", ONE, 3)
    assert ownership.is_current(placement, ONE, 3)
    assert not ownership.is_current(placement, ONE, 2)
    assert not ownership.is_current(placement, ONE, 4)
    assert not ownership.is_current(placement, TWO, 3)


@given(STEPS)
def test_an_epoch_is_issued_to_one_edge_once(steps: list[tuple[bool, EdgeId, int]]) -> None:
    placement = ownership.create(ONE)
    issued = {placement.epoch: placement.owner}
    for gives_away, edge, offset in steps:
        if gives_away:
            placement = ownership.reassign(placement, edge)
            assert placement.epoch not in issued
            issued[placement.epoch] = edge
        else:
            confirmed = ownership.activated(placement, edge, placement.epoch + offset)
            placement = confirmed or placement
        assert placement.owner == issued[placement.epoch]
        assert placement.epoch == max(issued)
