import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin_runtime.physics.arguments import InvalidArgument
from twin_runtime.physics.queues import (
    Drift,
    drift,
    overspent_j,
    priority_deficit,
    virtual_queue,
)

BACKLOG = st.floats(0, 20)
SHARE = st.floats(0, 1)


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=40),
    SHARE,
    st.floats(0, 0.3),
)
def test_what_a_queue_holds_at_the_end_bounds_what_was_broken(
    slots: list[tuple[bool, float]], rate: float, budget_j: float
) -> None:
    priority = energy = np.array(0.0)
    for scheduled, energy_j in slots:
        priority = virtual_queue(backlog=priority, arrival=rate, service=float(scheduled))
        energy = virtual_queue(backlog=energy, arrival=scheduled * energy_j, service=budget_j)
    count = len(slots)
    served = sum(scheduled for scheduled, _ in slots)
    spent = sum(scheduled * energy_j for scheduled, energy_j in slots)
    deficit = priority_deficit(rate_min=rate, scheduled=served, slots=count)
    assert deficit <= priority / count + 1e-9
    assert overspent_j(spent_j=spent, budget_j=count * budget_j) <= energy + 1e-9


@settings(max_examples=50)
@given(BACKLOG, BACKLOG, SHARE, st.floats(0, 0.3), st.floats(0, 1))
def test_the_exact_drift_is_the_change_of_the_lyapunov_function(
    owed: float, backlog_j: float, rate: float, budget_j: float, energy_j: float
) -> None:
    def lyapunov(scheduled: float) -> np.ndarray:
        priority = virtual_queue(backlog=owed, arrival=rate, service=scheduled)
        spent = scheduled * energy_j
        energy = virtual_queue(backlog=backlog_j, arrival=spent, service=budget_j)
        return 0.5 * (priority**2 + energy**2)

    added = drift(
        Drift.EXACT,
        priority_queue=owed,
        energy_queue_j=backlog_j,
        rate_min=rate,
        energy_budget_j=budget_j,
        energy_j=energy_j,
    )
    assert added == pytest.approx(lyapunov(1.0) - lyapunov(0.0), abs=1e-9)


@settings(max_examples=50)
@given(BACKLOG, BACKLOG, SHARE, st.floats(0, 0.3), st.floats(0, 1))
def test_the_standard_drift_bounds_the_exact_one_up_to_what_no_action_changes(
    owed: float, backlog_j: float, rate: float, budget_j: float, energy_j: float
) -> None:
    queues = {
        "priority_queue": owed,
        "energy_queue_j": backlog_j,
        "rate_min": rate,
        "energy_budget_j": budget_j,
        "energy_j": energy_j,
    }
    slack = 0.5 * (1 + rate**2 + energy_j**2 + budget_j**2) + owed * rate + 1e-9
    assert drift(Drift.EXACT, **queues) <= drift(Drift.STANDARD, **queues) + slack


def test_the_printed_drift_rewards_spending_while_the_queue_is_short() -> None:
    thrifty, wasteful = drift(
        Drift.PRINTED,
        priority_queue=0,
        energy_queue_j=0,
        rate_min=0.1,
        energy_budget_j=0.25,
        energy_j=np.array([250e6 * 1e-27 * 0.5e9**2, 250e6 * 1e-27 * 1.5e9**2]),
    )
    assert wasteful - thrifty == pytest.approx(-0.125)


def test_a_rate_above_one_and_a_negative_backlog_are_named() -> None:
    with pytest.raises(InvalidArgument, match=r"rate_min is 1\.5; it must be in \[0, 1\]"):
        priority_deficit(rate_min=1.5, scheduled=1, slots=2)
    with pytest.raises(InvalidArgument, match=r"backlog is -1\.0 at \[1\]"):
        virtual_queue(backlog=[0, -1], arrival=0, service=0)
    with pytest.raises(InvalidArgument, match="shapes do not fit"):
        virtual_queue(backlog=[0, 1], arrival=[0, 1, 2], service=0)
