import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_runtime.physics import sensing
from twin_runtime.physics.arguments import InvalidArgument


@given(charge=st.floats(0, 2), spent=st.floats(0, 3), harvest=st.floats(0, 1), more=st.floats(0, 1))
def test_a_battery_stays_within_its_bounds_and_more_use_never_charges_it(
    charge: float, spent: float, harvest: float, more: float
) -> None:
    less, much = (
        sensing.charge_after_j(charge_j=charge, spent_j=used, harvest_j=harvest, capacity_j=2.0)
        for used in (spent, spent + more)
    )
    assert 0.0 <= much <= less <= 2.0


def test_a_battery_that_is_emptied_keeps_what_it_harvests() -> None:
    left = sensing.charge_after_j(charge_j=0.1, spent_j=5.0, harvest_j=0.3, capacity_j=2.0)
    assert left == pytest.approx(0.3)


def test_a_threshold_that_is_just_met_is_met() -> None:
    found = sensing.available(charge_j=[0.999, 1.0, 1.5], threshold_j=1.0)
    assert found.tolist() == [False, True, True]


def test_a_started_slot_counts_as_a_whole_one() -> None:
    slots = sensing.collection_slots(time_s=[0.0, 0.2501, 0.25], slot_s=1e-3)
    assert slots.tolist() == [0.0, 251.0, 250.0]


def test_a_plan_is_affordable_if_its_mean_power_is() -> None:
    found = sensing.affordable(
        charge_j=[1.0, 1.0], mean_power_w=[0.2, 0.21], slots=5000, slot_s=1e-3
    )
    assert found.tolist() == [True, False]


def test_only_the_best_eligible_sensors_are_asked() -> None:
    chosen = sensing.best_sensors(
        score=[[3.0, 9.0, 5.0, 7.0], [1.0, 1.0, 1.0, 1.0]],
        eligible=np.array([[True, False, True, True], [True, True, False, False]]),
        count=np.array([2, 4]),
    )
    assert chosen.tolist() == [[False, False, True, True], [True, True, False, False]]


@given(st.permutations(range(6)), st.integers(0, 6))
def test_the_order_of_sensors_does_not_matter(order: list[int], count: int) -> None:
    score = np.array([0.5, 4.0, 3.0, 2.5, 1.0, 7.0])
    eligible = np.array([True, True, False, True, True, True])
    asked = sensing.best_sensors(score=score, eligible=eligible, count=np.array(count))
    shuffled = sensing.best_sensors(
        score=score[order], eligible=eligible[order], count=np.array(count)
    )
    assert shuffled.tolist() == asked[order].tolist()
    assert asked.sum() == min(count, 5)


def test_packets_cost_their_share_of_the_window() -> None:
    energy = sensing.packets_energy_j(power_w=5e-3, packet_probability=1e-3, window_s=2.0)
    assert energy == pytest.approx(1e-5)


def test_bad_arguments_of_sensing_are_named() -> None:
    with pytest.raises(InvalidArgument, match="charge_j is -1"):
        sensing.available(charge_j=-1.0, threshold_j=1.0)
    with pytest.raises(InvalidArgument, match="harvest_j is nan"):
        sensing.charge_after_j(charge_j=1.0, spent_j=0.0, harvest_j=np.nan, capacity_j=1.0)
    with pytest.raises(InvalidArgument, match="count must have the shape"):
        sensing.best_sensors(
            score=[1.0, 2.0], eligible=np.array([True, True]), count=np.array([1, 1])
        )
    with pytest.raises(InvalidArgument, match="slot_s is 0"):
        sensing.collection_slots(time_s=1.0, slot_s=0.0)
