"""The values of a twin, laid out like its shape, read as a dictionary."""

import pytest

from twin_runtime.core.features import NONE, features_of
from twin_runtime.core.messages import FeatureSpec
from twin_runtime.core.shape import shape_of

SHAPE = shape_of(
    {
        "level_m": FeatureSpec(type="number"),
        "open": FeatureSpec(type="boolean"),
        "name": FeatureSpec(type="string"),
    }
)
REPORTED = {"name": ("a", 5, "good"), "level_m": (1.5, 7, "uncertain")}


def test_features_read_like_a_dictionary_of_what_was_reported() -> None:
    features = features_of(SHAPE, REPORTED)
    assert features == REPORTED
    assert list(features) == ["level_m", "name"]
    assert len(features) == 2
    assert "open" not in features
    with pytest.raises(KeyError, match="open"):
        features["open"]


def test_what_the_shape_does_not_declare_or_with_another_type_is_left_out() -> None:
    strange = {"open": (1, 5, "good"), "depth_m": (1.0, 5, "good")}
    assert features_of(SHAPE, REPORTED | strange) == REPORTED


def test_a_new_shape_keeps_the_values_that_it_still_declares() -> None:
    other = shape_of({"name": SHAPE.features["name"], "level_m": FeatureSpec(type="boolean")})
    assert features_of(other, features_of(SHAPE, REPORTED)) == {"name": ("a", 5, "good")}


def test_without_a_shape_there_are_none() -> None:
    assert (len(NONE), list(NONE), NONE.document()) == (0, [], {})
