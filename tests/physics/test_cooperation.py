import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize

from twin_runtime.physics import cooperation
from twin_runtime.physics.arguments import InvalidArgument

KAPPA = 1e-28
work = st.floats(1e9, 1e12)


@given(helper=work, recipients=work)
def test_a_helper_pays_for_its_share_of_a_star(helper: float, recipients: float) -> None:
    """The paper's bars, 360 J and 1080 J from 22.5 J alone, are such a star with s = 3."""
    own, others = cooperation.star_energy_j(
        helper_cycles=helper, recipients_cycles=recipients, time_s=4.5, capacitance=KAPPA
    )
    alone = cooperation.paced_energy_j(work_cycles=helper, time_s=4.5, capacitance=KAPPA)
    ratio = recipients / helper
    assert own == pytest.approx(alone * (1.0 + ratio) ** 2)
    assert others == pytest.approx(ratio * own)


def test_the_bars_of_figure_5_are_one_star() -> None:
    work_cycles = (22.5 * 4.5**2 / KAPPA) ** (1 / 3)
    bars = cooperation.star_energy_j(
        helper_cycles=work_cycles,
        recipients_cycles=3 * work_cycles,
        time_s=4.5,
        capacitance=KAPPA,
    )
    np.testing.assert_allclose(bars, [360.0, 1080.0])


@given(ratio=st.floats(0.01, 3.0), left_over=st.floats(0.05, 0.99))
def test_helping_pays_exactly_below_the_threshold(ratio: float, left_over: float) -> None:
    threshold = float(cooperation.helping_threshold(left_over=left_over))
    together = (ratio + left_over) ** 3
    apart = ratio**3 + 1.0
    if abs(ratio - threshold) > 1e-9:
        assert (together < apart) == (ratio < threshold)


def test_without_a_boost_helping_never_pays() -> None:
    assert cooperation.helping_threshold(left_over=1.0) == pytest.approx(0.0)


@given(st.lists(work, min_size=1, max_size=6))
def test_a_cube_norm_lies_between_the_largest_and_the_sum(values: list[float]) -> None:
    norm = cooperation.cube_norm(work_cycles=values)
    assert max(values) * (1 - 1e-12) <= norm <= sum(values) * (1 + 1e-12)
    np.testing.assert_allclose(norm**3, np.sum(np.array(values) ** 3))


def test_a_recipient_begins_when_both_data_and_parameters_are_there() -> None:
    done = cooperation.latency_s(
        collection_s=[0.5, 0.5, 3.0], awaited_s=[0.0, 2.0, 2.0], computing_s=[4.5, 3.0, 2.0]
    )
    assert done.tolist() == [5.0, 5.0, 5.0]


@given(wait=st.floats(1e-3, 3.0), time=st.floats(0.1, 3.0), usefulness=st.floats(0.0, 0.95))
def test_early_work_is_the_best_there_is(wait: float, time: float, usefulness: float) -> None:
    work_cycles, left = 5e10, 1.0 - usefulness
    early, energy = cooperation.pretraining(
        work_cycles=work_cycles,
        wait_s=wait,
        time_s=time,
        usefulness=usefulness,
        capacitance=KAPPA,
    )

    def spent(amount: float) -> float:
        return KAPPA * (amount**3 / wait**2 + (left * (work_cycles - amount)) ** 3 / time**2)

    assert energy == pytest.approx(spent(float(early)), rel=1e-9)
    best = optimize.minimize_scalar(spent, bounds=(0.0, work_cycles), method="bounded")
    assert energy <= best.fun * (1 + 1e-9)
    assert energy <= spent(0.0) * (1 + 1e-9)


@given(started=st.floats(0.5, 3.0), later=st.floats(0.01, 1.5), usefulness=st.floats(0.0, 1.0))
def test_late_parameters_always_save(started: float, later: float, usefulness: float) -> None:
    alone = cooperation.fallback_energy_j(
        work_cycles=5e10, now_s=started, collection_s=0.2, deadline_s=5.0, capacitance=KAPPA
    )
    helped = cooperation.late_parameters_energy_j(
        work_cycles=5e10,
        started_s=started,
        arrived_s=started + later,
        usefulness=usefulness,
        deadline_s=5.0,
        capacitance=KAPPA,
    )
    assert helped <= alone * (1 + 1e-12)
    if usefulness == 0.0:
        assert helped == pytest.approx(alone)


def test_waiting_for_a_dead_helper_costs_more_the_longer_it_lasts() -> None:
    energy = cooperation.fallback_energy_j(
        work_cycles=5e10,
        now_s=[0.0, 0.75, 2.0, 4.0],
        collection_s=0.5,
        deadline_s=5.0,
        capacitance=KAPPA,
    )
    assert (np.diff(energy) > 0).all()
    with pytest.raises(InvalidArgument, match="not before the deadline"):
        cooperation.fallback_energy_j(
            work_cycles=5e10, now_s=5.0, collection_s=0.5, deadline_s=5.0, capacitance=KAPPA
        )


def test_neighbourhoods_take_everybody_once_and_oneself() -> None:
    neighbours = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]], dtype=bool)
    energy = cooperation.neighbourhood_energy_j(energy_j=[1.0, 10.0, 100.0], neighbours=neighbours)
    assert energy.tolist() == [11.0, 11.0, 100.0]
    mean = cooperation.neighbourhood_mean(values=[[1.0], [10.0], [100.0]], neighbours=neighbours)
    assert mean.tolist() == [[10.0], [1.0], [100.0]]


def test_bad_arguments_of_cooperation_are_named() -> None:
    with pytest.raises(InvalidArgument, match="time_s is 0"):
        cooperation.paced_energy_j(work_cycles=1.0, time_s=0.0, capacitance=KAPPA)
    with pytest.raises(InvalidArgument, match="left_over is 0"):
        cooperation.helping_threshold(left_over=0.0)
    with pytest.raises(InvalidArgument, match="neighbours must be"):
        cooperation.neighbourhood_energy_j(energy_j=[1.0, 2.0], neighbours=np.eye(3, dtype=bool))
