"""A twin's wire document as a thing of Eclipse Ditto.

    wire   {twin, epoch, revision, reported_wall_ms, written_wall_ms, attributes, description,
            features: {f: {value, observed_ms, quality}},
            desired: {features/f/value: {value, number, wanted_ms, state, reason}}}
    thing  {thingId, epoch, revision, _revision, _modified, attributes: {..., description},
            features: {f: {properties: {value, observed_ms, quality},
                           desiredProperties: {value},
                           desiredState: {state, number, reason, wanted_ms}}}}

`epoch` and `revision` keep their names; `_revision` is what Ditto calls the same number, and
`_modified` is when a device last reported or somebody last wrote.
What the device says of itself (units, position) is the attribute `description`.
"""

from collections.abc import Mapping
from typing import Any, Final

from twin_runtime.core.desired import feature_of
from twin_runtime.core.messages import modified_wall_ms

ABSENT: Final = object()  # what `part_of` finds where nothing is: None is a value

_DAY_MS = 86_400_000
# The years 1 to 9999. A clock may say more, and then says nothing: one twin with such a
# label must not spoil the list of all.
_DATES_MS = range(-62_135_596_800_000, 253_402_300_800_000)


def thing_of(document: Mapping[str, Any], site: str) -> dict[str, Any]:
    """`document` (`messages.TwinDocument` as plain values) as the thing `site:twin`."""
    revision = document["revision"]
    thing: dict[str, Any] = {
        "thingId": f"{site}:{document['twin']}",
        "epoch": document["epoch"],
        "revision": revision,
        "_revision": revision,
        "attributes": _attributes(document),
        "features": _features(document),
    }
    if modified := timestamp(modified_wall_ms_of(document)):
        thing["_modified"] = modified
    return thing


def modified_wall_ms_of(document: Mapping[str, Any]) -> int:
    """When its state changed last."""
    reported, written = document.get("reported_wall_ms", 0), document.get("written_wall_ms", 0)
    return modified_wall_ms(reported, written)


def part_of(thing: Any, path: tuple[str, ...]) -> Any:
    """What stands at `path` in `thing`, or `ABSENT`."""
    for name in path:
        if not isinstance(thing, dict) or name not in thing:
            return ABSENT
        thing = thing[name]
    return thing


def path_of(pointer: str) -> tuple[str, ...]:
    """The names in a JSON pointer (RFC 6901), with or without its first slash."""
    names = pointer.removeprefix("/").split("/") if pointer else []
    return tuple(name.replace("~1", "/").replace("~0", "~") for name in names)


def timestamp(wall_ms: int) -> str | None:
    """ISO 8601 in UTC; None where there is no such date, or never was one."""
    if not wall_ms or wall_ms not in _DATES_MS:
        return None
    days, ms = divmod(wall_ms, _DAY_MS)
    year, month, day = _civil(days)
    s, ms = divmod(ms, 1000)
    clock = f"{s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}.{ms:03}"
    return f"{year:04}-{month:02}-{day:02}T{clock}Z"


def _attributes(document: Mapping[str, Any]) -> dict[str, Any]:
    attributes = dict(document.get("attributes", {}))
    if description := document.get("description"):
        attributes["description"] = description
    return attributes


def _features(document: Mapping[str, Any]) -> dict[str, Any]:
    features: dict[str, Any] = {
        name: {"properties": state} for name, state in document["features"].items()
    }
    for path, entry in document.get("desired", {}).items():
        # Ditto knows desired values of features only; so does our API.
        if name := feature_of(path):
            feature = features.setdefault(name, {})
            feature["desiredProperties"] = {"value": entry.get("value")}
            feature["desiredState"] = {key: entry[key] for key in _WISH if entry.get(key)}
    return features


_WISH = ("state", "number", "reason", "wanted_ms")


def _civil(days: int) -> tuple[int, int, int]:
    """Year, month, day of the Gregorian calendar, of a day counted from 1970-01-01.

    Years that begin on the 1st of March have their leap day last, so months before it have
    the same lengths each year, and 400 such years always have 146,097 days.
    """
    era, day_of_era = divmod(days + 719_468, 146_097)
    leap_days = day_of_era // 1460 - day_of_era // 36_524 + day_of_era // 146_096
    year_of_era = (day_of_era - leap_days) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month_from_march = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * month_from_march + 2) // 5 + 1
    month = month_from_march + 3 if month_from_march < 10 else month_from_march - 9  # noqa: PLR2004
    return era * 400 + year_of_era + (month <= 2), month, day  # noqa: PLR2004
