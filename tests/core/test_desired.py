"""A desired path names one feature's value, and nothing else."""

import pytest

from twin_runtime.core.desired import feature_of


@pytest.mark.parametrize(
    "path, feature",
    [
        ("features/level_m/value", "level_m"),
        ("features/level_m", None),
        ("features/level_m/value/x", None),
        ("attributes/level_m/value", None),
        ("commands/stop", None),
        ("", None),
    ],
)
def test_a_desired_path_names_a_feature_or_nothing(path: str, feature: str | None) -> None:
    assert feature_of(path) == feature
