from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from twin_runtime.physics.arguments import InvalidArgument
from twin_runtime.problems.scenarios.smart_park import SmartPark
from twin_runtime.solvers.certificate import Infeasible


def test_the_classes_of_a_park_promise_ninety_five_of_a_hundred_places() -> None:
    rates = SmartPark().device_rates()
    assert [(rates == rate).sum() for rate in (0.5, 0.3, 0.1, 0.05)] == [50, 50, 200, 700]
    assert rates.sum() == pytest.approx(95.0)


def test_equal_classes_promise_more_than_there_is() -> None:
    with pytest.raises(Infeasible, match=r"rates sum to 237\.5 devices a slot; 100 can be"):
        replace(SmartPark(), rate_shares=(0.25, 0.25, 0.25, 0.25))


def test_a_park_of_any_size_has_a_rate_for_each_device() -> None:
    for devices in (20, 50, 77, 300):
        park = SmartPark(devices=devices, scheduled=devices // 7 + 1)
        assert park.device_rates().shape == (devices,)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"bandwidth_hz": -1.0}, r"bandwidth_hz is -1\.0; it must be finite and > 0"),
        ({"capacitance": np.nan}, "capacitance is nan"),
        ({"scheduled": 2000}, "scheduled is 2000; there are 1000 devices"),
        ({"samples_min": 500}, "samples: the least is 500, above the most, 400"),
        ({"load_max": 0.95}, "frequency: the least is 1e.08, above the most, 7.5e.07"),
        ({"correlation": 1.5}, r"correlation: the least is 1\.5, above the most, 1"),
        ({"rates": (0.1, -0.1)}, r"rates is -0\.1 at \[1\]"),
        ({"rates": (0.1, 0.1)}, "rates .* and rate_shares .* differ"),
        ({"noise_dbm": np.inf}, "noise_dbm is inf; it must be finite"),
    ],
)
def test_a_malformed_number_of_a_park_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        replace(SmartPark(), **change)
