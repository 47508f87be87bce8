"""What is wanted stays open until the device has said what became of it."""

import pytest

from twin_runtime.core.desired import feature_of, open_entries, wish
from twin_runtime.core.messages import DesiredState, DesiredValue


def test_a_wish_is_pending_and_leaves_the_others_alone() -> None:
    before = {"features/a/value": DesiredState(number=1, value=1, state="done")}
    after = wish(before, "features/b/value", 2, True)  # noqa: FBT003 - the wanted value
    assert after["features/b/value"] == DesiredState(number=2, value=True, state="pending")
    assert after["features/a/value"] == before["features/a/value"]
    assert set(before) == {"features/a/value"}


def test_a_newer_wish_for_the_same_path_replaces_the_older_one() -> None:
    wanted = wish({}, "features/a/value", 1, 20.0)
    assert wish(wanted, "features/a/value", 5, 21.0) == {
        "features/a/value": DesiredState(number=5, value=21.0)
    }


def test_pending_and_accepted_entries_are_open_and_ended_ones_are_not() -> None:
    desired = {
        state: DesiredState(number=number, value=number, state=state)
        for number, state in enumerate(
            ("pending", "accepted", "rejected", "expired", "done"), start=1
        )
    }
    assert open_entries(desired) == {
        "pending": DesiredValue(number=1, value=1),
        "accepted": DesiredValue(number=2, value=2),
    }


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
