"""No interleaving of a small world breaks a promise, and none leads where there is no way out.

The eleven mistakes of the design, and where each is found:

    mistake                              canary                                   found in
    -----------------------------------  ---------------------------------------  ----------
    no deduplication                     apply_a_duplicate                        model
    applying after the seal              go_on_applying_after_a_seal              model
    an edge unseals by itself            go_on_after_a_restart_of_a_sealed_edge   model
    dropping what is only applied        drop_what_is_only_applied                model
    no fence for checkpoints             take_checkpoints_of_any_epoch            model
    an epoch used again                  reuse_an_epoch                           model
    an epoch forgotten                   forget_the_epochs_on_restart             model
    no store in an order                 obey_orders_to_another_store             model
    the hand-over's snapshot dropped     drop_what_is_handed_over                 model
    activation without its epoch check   activate_without_the_epoch_check         model
    a command obeyed without its fence   obey_commands_without_the_fence          simulation

Commands are no part of the explored worlds; the simulation gives some in the name of edges. All
eleven, and more, are canaries of the simulation as well.
"""

import pytest

from tests.model.explored import Explored
from tests.model.model import Size
from tests.simulation import canaries

SIZES = (
    Size(reports=2, moves=1),
    Size(reports=1, moves=2),
    Size(reports=2, lost=1),
    Size(reports=1, moves=1, lost=1),
    Size(reports=1, moves=1, losses=1, epochs=3),
    Size(reports=1, lost=1, losses=1, epochs=3),
)
STATES_MIN = 400_000  # of all worlds together

FOUND_IN = (
    (canaries.apply_a_duplicate, Size(reports=2)),
    (canaries.drop_what_is_only_applied, Size(reports=2)),
    (canaries.activate_without_the_epoch_check, Size(reports=2)),
    (canaries.reuse_an_epoch, Size(reports=2, moves=1)),
    (canaries.forget_the_epochs_on_restart, Size(reports=2, moves=1)),
    (canaries.go_on_applying_after_a_seal, Size(reports=2, moves=1)),
    (canaries.go_on_after_a_restart_of_a_sealed_edge, Size(reports=2, moves=1)),
    (canaries.drop_what_is_handed_over, Size(reports=2, moves=1)),
    (canaries.take_checkpoints_of_any_epoch, Size(reports=1, moves=2)),
    (canaries.obey_orders_to_another_store, Size(reports=1, losses=1, epochs=3)),
    (canaries.call_everything_stable_after_a_restart, Size(reports=2)),
    (canaries.renumber_on_a_stale_acknowledgement, Size(reports=2)),
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def worlds() -> list[Explored]:
    """About 30 s of CPU time and 0.7 GB."""
    return [Explored(size) for size in SIZES]


def test_g4_no_interleaving_breaks_a_promise(worlds: list[Explored]) -> None:
    assert {str(each.world.size): each.broken for each in worlds if each.broken} == {}


def test_g5_from_everywhere_there_is_a_way_to_an_owner_that_has_applied_all(
    worlds: list[Explored],
) -> None:
    finite = [each for each in worlds if not each.world.size.losses]
    assert finite
    assert all(each.lost_for_ever() == [] for each in finite)


def test_g5_where_a_disk_is_lost_only_the_bound_on_epochs_bars_the_way(
    worlds: list[Explored],
) -> None:
    for each in worlds:
        for state in each.lost_for_ever():
            [placement] = each.world.rows(state, "cloud", "placement")
            assert placement["epoch"] == each.world.size.epochs


def test_the_worlds_are_not_small(worlds: list[Explored]) -> None:
    assert sum(len(each.states) for each in worlds) > STATES_MIN
    for each in worlds:
        phases = {
            row["phase"]
            for state in each.states[::100]
            for row in each.world.rows(state, "cloud", "placement")
        }
        assert phases == {"activating", "owned"} | ({"sealing"} if each.world.size.moves else set())


@pytest.mark.parametrize(
    "mistake,size", FOUND_IN, ids=[mistake.__name__ for mistake, _ in FOUND_IN]
)
def test_a_mistake_is_found(mistake: canaries.Canary, size: Size) -> None:
    with mistake():
        assert Explored(size).broken
