import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize

from twin_runtime.physics.arguments import InvalidArgument
from twin_runtime.physics.cooperation import cube_norm, pretraining, star_energy_j
from twin_runtime.solvers import time_split
from twin_runtime.solvers.certificate import Infeasible

KAPPA = 1e-28
DEADLINE_S = 5.0
recipient = st.tuples(st.floats(1e9, 2e11), st.floats(0.0, 4.9))
stars = st.tuples(recipient, st.lists(recipient, min_size=1, max_size=6))
Star = tuple[tuple[float, float], list[tuple[float, float]]]


def split(star: Star) -> time_split.TimeSplit:
    (work, ready), others = star
    return time_split.split(
        helper_cycles=work,
        helper_ready_s=ready,
        recipients_cycles=[cycles for cycles, _ in others],
        recipients_ready_s=[late for _, late in others],
        deadline_s=DEADLINE_S,
        capacitance=KAPPA,
    )


def energy(star: Star, computing_s: float) -> float:
    (work, ready), others = star
    shares = [
        cycles**3 / (DEADLINE_S - max(late, ready + computing_s)) ** 2 for cycles, late in others
    ]
    return KAPPA * (work**3 / computing_s**2 + sum(shares))


@given(stars)
def test_no_other_split_of_the_time_is_cheaper(star: Star) -> None:
    found = split(star)
    time = DEADLINE_S - star[0][1]
    assert found.certificate.value == pytest.approx(energy(star, float(found.computing_s)))
    searched = optimize.minimize_scalar(
        lambda x: energy(star, x), bounds=(1e-9 * time, time * (1 - 1e-9)), method="bounded"
    )
    on_grid = min(energy(star, x) for x in np.linspace(0.01, 0.99, 99) * time)
    assert found.certificate.value <= min(searched.fun, on_grid) * (1 + 1e-12)


def random_star(generator: np.random.Generator) -> Star:
    count = int(generator.integers(1, 6))
    others = zip(generator.uniform(1e10, 6e10, count), generator.uniform(0, 4, count), strict=True)
    return (generator.uniform(1e10, 6e10), generator.uniform(0, 1)), list(others)


def test_many_optima_lie_on_kinks() -> None:
    generator = np.random.default_rng(7)
    kinks, worst = 0, 0.0
    for _ in range(400):
        star = random_star(generator)
        found, ready = split(star), star[0][1]
        kinks += any(late - ready == found.computing_s for _, late in star[1])
        time = DEADLINE_S - ready
        searched = optimize.minimize_scalar(
            lambda x, star=star: energy(star, x),
            bounds=(1e-9, time - 1e-9),
            method="bounded",
            options={"xatol": 1e-12},
        )
        worst = max(worst, found.certificate.value / searched.fun - 1.0)
    assert worst < 1e-14
    assert kinks > 40


@given(st.floats(1e9, 1e11), st.lists(st.floats(1e9, 1e11), min_size=1, max_size=5))
def test_early_data_make_it_the_closed_form(work: float, others: list[float]) -> None:
    found = split(((work, 0.5), [(cycles, 0.0) for cycles in others]))
    helper, recipients = star_energy_j(
        helper_cycles=work,
        recipients_cycles=cube_norm(work_cycles=others),
        time_s=4.5,
        capacitance=KAPPA,
    )
    assert found.helper_energy_j == pytest.approx(float(helper))
    assert found.recipients_energy_j.sum() == pytest.approx(float(recipients))


@given(stars, st.floats(0.1, 10.0))
def test_energy_rises_as_the_cube_of_the_work(star: Star, factor: float) -> None:
    (work, ready), others = star
    scaled = split(((work * factor, ready), [(c * factor, late) for c, late in others]))
    assert scaled.computing_s == pytest.approx(float(split(star).computing_s))
    assert scaled.certificate.value == pytest.approx(split(star).certificate.value * factor**3)


@given(stars, st.integers(0, 5))
def test_the_order_of_recipients_does_not_matter(star: Star, turn: int) -> None:
    others = [*star[1][turn:], *star[1][:turn]][::-1]
    assert split((star[0], others)).computing_s == pytest.approx(float(split(star).computing_s))


def test_a_helper_without_recipients_takes_all_the_time() -> None:
    assert split(((1e10, 0.5), [])).computing_s == 4.5
    assert split(((1e10, 0.5), [(0.0, 0.0)])).computing_s == 4.5


def test_many_stars_at_once_are_split_as_one_by_one() -> None:
    generator = np.random.default_rng(3)
    work, ready = generator.uniform(1e10, 9e10, (4, 7)), generator.uniform(0, 3, (4, 7))
    useful = generator.uniform(0.4, 0.8, (4, 7, 7))
    helper = np.array([[0, 0, 0, 3, 3, 3, 6]] * 3 + [[0, 1, 2, 3, 4, 5, 6]])
    times = time_split.split_stars(
        work_cycles=work, ready_s=ready, usefulness=useful, helper=helper, deadline_s=DEADLINE_S
    )
    for world in range(4):
        for center in set(helper[world].tolist()):
            group = [j for j in range(7) if helper[world, j] == center != j]
            merged = work[world, group] * (1.0 - useful[world, center, group])
            alone = time_split.split(
                helper_cycles=work[world, center],
                helper_ready_s=ready[world, center],
                recipients_cycles=merged,
                recipients_ready_s=ready[world, group],
                deadline_s=DEADLINE_S,
                capacitance=KAPPA,
            )
            done = ready[world, center] + alone.computing_s
            start = np.maximum(ready[world, group], done)
            np.testing.assert_allclose(times.computing_s[world, center], alone.computing_s)
            np.testing.assert_allclose(times.work_cycles[world, group], merged)
            np.testing.assert_allclose(times.start_s[world, group], start)
            np.testing.assert_allclose(times.computing_s[world, group], DEADLINE_S - start)


def test_pretraining_with_equal_times_is_the_closed_form() -> None:
    others = np.array([5e10, 3e10])
    found = time_split.split_with_pretraining(
        helper_cycles=2e10,
        helper_ready_s=0.3,
        recipients_cycles=others,
        recipients_ready_s=[0.3, 0.3],
        usefulness=0.6,
        deadline_s=DEADLINE_S,
        capacitance=KAPPA,
    )
    worth = 0.4**1.5
    norm = cube_norm(work_cycles=0.4 * others)
    expected = 2e10 * 4.7 / ((1 - worth) * 2e10 + (1 - worth) ** (1 / 3) * norm)
    assert found.computing_s == pytest.approx(float(expected), rel=1e-12)


@given(stars, st.floats(0.0, 0.95))
def test_pretraining_is_the_best_split_and_never_costs_more_than_waiting(
    star: Star, usefulness: float
) -> None:
    (work, _), others = star
    cycles, late = np.array(others).T
    found = time_split.split_with_pretraining(
        helper_cycles=work,
        helper_ready_s=0.3,
        recipients_cycles=cycles,
        recipients_ready_s=late,
        usefulness=usefulness,
        deadline_s=DEADLINE_S,
        capacitance=KAPPA,
    )
    value = found.certificate.value
    merged = [(c * (1 - usefulness), lateness) for c, lateness in others]
    assert value <= split(((work, 0.3), merged)).certificate.value * (1 + 1e-9)
    for x in (0.2, 1.0, 2.0, 3.0, 4.2):
        _, spent = pretraining(
            work_cycles=cycles,
            wait_s=np.maximum(0.3 + x - late, 0.0),
            time_s=DEADLINE_S - np.maximum(late, 0.3 + x),
            usefulness=usefulness,
            capacitance=KAPPA,
        )
        assert value <= (KAPPA * work**3 / x**2 + spent.sum()) * (1 + 1e-9)


def test_data_after_the_deadline_are_infeasible_and_bad_ones_malformed() -> None:
    with pytest.raises(Infeasible, match=r"5\.5 s"):
        split(((1e10, 0.5), [(1e10, 5.5)]))
    with pytest.raises(Infeasible, match="no time before"):
        split(((1e10, 5.0), [(1e10, 0.5)]))
    with pytest.raises(InvalidArgument, match="helper_cycles is 0"):
        split(((0.0, 0.5), [(1e10, 0.5)]))
    with pytest.raises(InvalidArgument, match="recipients_cycles is nan"):
        split(((1e10, 0.5), [(np.nan, 0.5)]))
