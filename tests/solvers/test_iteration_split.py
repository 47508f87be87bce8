import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize

from twin_runtime.physics.arguments import Array, InvalidArgument
from twin_runtime.physics.convergency import set_sizes, training_gain
from twin_runtime.solvers import iteration_split
from twin_runtime.solvers.certificate import Infeasible

CYCLES = np.full(3, 1000.0)


def weights(*importance: float) -> Array:
    return np.array(importance) / 8e10


def test_one_kind_of_iterations_is_what_the_linear_programme_finds() -> None:
    generator = np.random.default_rng(5)
    worst = 0.0
    for _ in range(400):
        embb, urllc = generator.integers(1, 41, 2)
        sizes = set_sizes(samples=100, embb=embb, urllc=urllc)
        importance, power = weights(*generator.uniform(0.5, 6.0, 3)), generator.uniform(0.8, 2.5)
        cycles = generator.uniform(500.0, 2000.0, 3)
        found = iteration_split.split(
            gain=1.4,
            sizes=sizes,
            importance=importance,
            size_power=power,
            cycles_per_sample=cycles,
        )
        per_iteration = sizes * cycles  # the unknowns are work, scaled to be near 1
        unit = found.work_cycles
        best = optimize.linprog(
            np.ones(3),
            A_ub=-(importance * sizes**power / per_iteration * unit)[None],
            b_ub=[-1.4],
        )
        worst = max(worst, abs(best.fun - 1.0))
        gained = training_gain(
            iterations=found.iterations, sizes=sizes, importance=importance, size_power=power
        )
        assert gained == pytest.approx(1.4)
    assert worst < 1e-12


def conditions(sizes: Array, importance: Array, power: float) -> int:
    """The paper's case distinction (33)(34), with both conditions in each row."""
    embb, urllc, both = sizes
    least = both ** (power - 1)
    first = importance[2] * 1e3 * least - importance[0] * 1e3 * embb ** (power - 1)
    second = importance[2] * 1e3 * least - importance[1] * 1e3 * urllc ** (power - 1)
    if first >= 0 and second >= 0:
        return iteration_split.INTEGRATED
    embb_cost = 1.0 / (importance[0] * embb ** (power - 1))
    urllc_cost = 1.0 / (importance[1] * urllc ** (power - 1))
    if (first >= 0 and second < 0) or (first < 0 and second < 0 and urllc_cost <= embb_cost):
        return iteration_split.URLLC
    return iteration_split.EMBB


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([(1, 1, 2), (5, 1, 6), (2, 3, 4)]))
def test_the_cheapest_kind_is_what_the_corrected_conditions_say(
    embb: int, urllc: int, importance: tuple[int, int, int]
) -> None:
    sizes = set_sizes(samples=100, embb=embb, urllc=urllc)
    costs = iteration_split.unit_costs(
        sizes=sizes, importance=weights(*importance), size_power=2.0, cycles_per_sample=CYCLES
    )
    kind = conditions(sizes, np.array(importance, dtype=float), 2.0)
    assert costs[kind] == pytest.approx(costs.min())  # where two cost the same, either is right


def kinds(importance: Array, embb: int) -> list[int]:
    sizes = set_sizes(samples=100, embb=embb, urllc=np.arange(1, 241))
    found = iteration_split.split(
        gain=1.0, sizes=sizes, importance=importance, size_power=2.0, cycles_per_sample=CYCLES
    )
    return [int(kind) for kind in found.kind]


def test_figure_8_packets_are_worth_it_between_half_and_twice_the_other_kind() -> None:
    found = kinds(weights(1, 1, 2), embb=20)
    assert set(found[:9]) == {iteration_split.EMBB}
    assert set(found[9:40]) == {iteration_split.INTEGRATED}
    assert set(found[40:]) == {iteration_split.URLLC}


def test_figure_8_precious_bulk_data_widen_the_range() -> None:
    found = kinds(weights(5, 1, 6), embb=30)
    assert set(found[:24]) == {iteration_split.EMBB}  # below 0.833 of them
    assert set(found[24:179]) == {iteration_split.INTEGRATED}  # up to 6 times, where both cost
    assert set(found[180:]) == {iteration_split.URLLC}  # the same


@given(st.integers(1, 40), st.integers(1, 40))
def test_useful_sensors_give_the_same_work_as_all(embb: int, urllc: int) -> None:
    def work(bulk: int, packets: int) -> iteration_split.IterationSplit:
        return iteration_split.split(
            gain=1.0,
            sizes=set_sizes(samples=100, embb=bulk, urllc=packets),
            importance=weights(1, 1, 2),
            size_power=2.0,
            cycles_per_sample=CYCLES,
        )

    whole = work(embb, urllc)
    bulk, packets = iteration_split.useful_sensors(
        kind=whole.kind, embb=np.array(embb), urllc=np.array(urllc)
    )
    assert bulk <= embb
    assert packets <= urllc
    assert work(int(bulk), int(packets)).work_cycles == pytest.approx(float(whole.work_cycles))


def test_who_has_something_to_train_and_no_data_is_told_so() -> None:
    def without_data(gain: float) -> iteration_split.IterationSplit:
        return iteration_split.split(
            gain=gain,
            sizes=np.zeros(3),
            importance=weights(1, 1, 2),
            size_power=2.0,
            cycles_per_sample=CYCLES,
        )

    with pytest.raises(Infeasible, match="no data"):
        without_data(gain=1.0)
    idle = without_data(gain=0.0)
    assert idle.work_cycles == 0.0
    assert idle.iterations.tolist() == [0.0, 0.0, 0.0]


def test_bad_arguments_of_the_iteration_split_are_named() -> None:
    with pytest.raises(InvalidArgument, match="gain is -1"):
        iteration_split.split(
            gain=-1.0,
            sizes=np.ones(3),
            importance=np.ones(3),
            size_power=2.0,
            cycles_per_sample=CYCLES,
        )
    with pytest.raises(InvalidArgument, match="3 kinds"):
        iteration_split.unit_costs(
            sizes=np.ones(2), importance=np.ones(2), size_power=2.0, cycles_per_sample=np.ones(2)
        )
