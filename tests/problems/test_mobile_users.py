from dataclasses import replace

import pytest

from twin_runtime.physics.arguments import InvalidArgument
from twin_runtime.problems.scenarios.mobile_users import MobileUsers


def test_the_rate_is_that_of_total_noise_and_a_density_makes_it_lower() -> None:
    scenario = MobileUsers()
    assert round(scenario.rate_bps, 1) == 981681.1
    density = replace(scenario, noise_w=scenario.noise_w * scenario.bandwidth_hz)
    assert round(density.rate_bps, 1) == 773591.0


def test_profiles_differ_in_what_moving_costs_and_carries() -> None:
    table, balanced = MobileUsers.table_ii(edges=15), MobileUsers.balanced(label_distance=0.4)
    assert (table.energy_per_bit_m, table.payload, table.edges) == (1e-4, "paper", 15)
    assert (balanced.energy_per_bit_m, balanced.payload) == (1e-6, "causal")
    assert balanced.label_distance == (0.4, 0.4)
    assert MobileUsers().payload == "causal"  # what a live system can do


def test_weights_are_per_twin_and_per_edge() -> None:
    valuation = MobileUsers.table_ii(edges=21).valuation
    assert valuation.utility_weight == pytest.approx(0.3 / 20)
    assert valuation.energy_weight == pytest.approx(0.7 / 21)


def test_bad_scenarios_are_named() -> None:
    scenario = MobileUsers()
    with pytest.raises(InvalidArgument, match="users is 0"):
        replace(scenario, users=0)
    with pytest.raises(InvalidArgument, match=r"samples is \(9, 3\); it must be \(low, high\)"):
        replace(scenario, samples=(9, 3))
    with pytest.raises(InvalidArgument, match="payload is 'all'"):
        replace(scenario, payload="all")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="energy_per_bit_m is -1"):
        replace(scenario, energy_per_bit_m=-1.0)
    with pytest.raises(InvalidArgument, match=r"label_distance is 3\.0"):
        replace(scenario, label_distance=(0.0, 3.0))
