"""Desired state: what is wanted of a device and not yet reported.

A desired entry is a level under a path (`features/f/value`); its `number` is the
revision that set it, so a later wish has a larger number. It is `pending` until the device
answers; what became of it the device says in a report (`twin.apply_window` settles it).
"""

from collections.abc import Mapping
from typing import Any

from twin_runtime.core import messages
from twin_runtime.core.limits import EDITED_BYTES_MAX
from twin_runtime.core.messages import DesiredState, Outcome

_OPEN = frozenset({"pending", "accepted"})
_STATE_BYTES = 1  # by which the longest state is longer than `pending`


def feature_of(path: str) -> str | None:
    """The feature a desired path names, or None if it names none."""
    match path.split("/"):
        case ["features", name, "value"]:
            return name
        case _:
            return None


def path_to(feature: str) -> str:
    """The desired path of a feature's value."""
    return f"features/{feature}/value"


def is_open(entry: DesiredState) -> bool:
    """Whether the device has yet to carry it out."""
    return entry.state in _OPEN


def edited_bytes(attributes: Mapping[str, Any], desired: Mapping[str, DesiredState]) -> int:
    """What people wrote, as it stands in a twin's row, whatever becomes of its entries."""
    content = messages.dump({"attributes": dict(attributes), "desired": dict(desired)})
    return len(content) + _STATE_BYTES * len(desired)


def settled(
    attributes: Mapping[str, Any],
    desired: Mapping[str, DesiredState],
    outcomes: Mapping[str, Outcome],
) -> Mapping[str, DesiredState]:
    """Fold what the device says became of its entries; news of a superseded number is old. A
    reason that does not fit beside what people wrote is left out."""
    folded = dict(desired)
    for path, outcome in outcomes.items():
        entry = folded.get(path)
        if entry is None or entry.number != outcome.number:
            continue
        said = {"state": outcome.outcome, "reason": outcome.reason}
        folded[path] = entry.model_copy(update=said)
        if edited_bytes(attributes, folded) > EDITED_BYTES_MAX:
            folded[path] = entry.model_copy(update={**said, "reason": ""})
    return folded
