"""The scenario of [P4]: its derived numbers, and what it refuses."""

from typing import Any

import pytest

from twin_runtime.physics.arguments import InvalidArgument
from twin_runtime.problems.scenarios.five_stations import FiveStations
from twin_runtime.solvers.certificate import Infeasible


def test_distances_are_those_of_the_digest() -> None:
    expected = [300.0, 364.0, 360.6, 390.5, 403.1]
    assert FiveStations().distances_m == pytest.approx(expected, abs=0.05)


def test_derived_numbers_are_those_of_the_digest() -> None:
    scenario = FiveStations()
    assert scenario.model_bits == 69_007_680
    assert scenario.iterations == 1.0
    assert scenario.exact_rounds == pytest.approx(92.10340)
    assert scenario.upload_bits == pytest.approx(2.321928 * 69_007_680)
    assert scenario.aggregation_cycles == 2 * 2_156_490


@pytest.mark.parametrize(
    "changed, named",
    [
        ({"twins": 0}, "twins is 0"),
        ({"frequency_max_hz": (1e9,)}, "1 of frequency_max_hz, 5 of stations_m"),
        ({"frequency_max_hz": (1e9, -1e9, 1e9, 1e9, 1e9)}, r"frequency_max_hz is -1"),
        ({"samples_min": 900}, "samples: 900, 500 must ascend"),
        ({"fraction": 0.01}, "fraction: 0.02, 0.01, 1, 1 must ascend"),
        ({"delegates": 6}, "delegates: 1, 6, 5 must ascend"),
        ({"load_max": 1.5}, "load_max: 1.5, 1 must ascend"),
        ({"noise_density_dbm": float("nan")}, "noise_density_dbm is nan"),
        ({"upload": "twice"}, "upload is 'twice'"),
        ({"cycles_per_sample": 0.0}, "cycles_per_sample is 0"),
    ],
)
def test_a_malformed_number_is_named(changed: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidArgument, match=named):
        FiveStations(**changed)


def test_twins_without_room_are_infeasible() -> None:
    with pytest.raises(Infeasible, match="stations host 95 twins together; there are 100"):
        FiveStations(twins_max=19)
