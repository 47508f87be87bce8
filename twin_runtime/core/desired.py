"""Desired state: what is wanted of a device and not yet reported.

A desired entry is a level under a path (`features/f/value`); its `number` is the
revision that set it, so a later wish has a larger number. The owner edge repeats all
open entries with back-off until the device reports what became of each.
"""

from collections.abc import Mapping
from typing import Any

from twin_runtime.core.messages import DesiredState, DesiredValue

OPEN = frozenset({"pending", "accepted"})


def open_entries(desired: Mapping[str, DesiredState]) -> dict[str, DesiredValue]:
    """The entries whose end has not been reported."""
    return {
        path: DesiredValue(number=entry.number, value=entry.value)
        for path, entry in desired.items()
        if entry.state in OPEN
    }


def feature_of(path: str) -> str | None:
    """The feature a desired path names, or None if it names none."""
    match path.split("/"):
        case ["features", name, "value"]:
            return name
        case _:
            return None


def wish(
    desired: Mapping[str, DesiredState], path: str, number: int, value: Any
) -> dict[str, DesiredState]:
    """`desired` with `path` wanted to be `value`, as of revision `number`."""
    return {**desired, path: DesiredState(number=number, value=value)}
