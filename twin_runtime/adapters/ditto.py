"""A twin's wire document as a thing of Eclipse Ditto.

    wire   {twin, epoch, revision, reported_wall_ms, attributes, description,
            features: {f: {value, observed_ms, quality}}, desired: {features/f/value: {value}}}
    thing  {thingId, epoch, revision, _revision, _modified, attributes: {..., description},
            features: {f: {properties: {value, observed_ms, quality},
                           desiredProperties: {value}}}}

`epoch` and `revision` keep their names; `_revision` is what Ditto calls the same number.
What the device says of itself (units, position) is the attribute `description`.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from twin_runtime.core.desired import feature_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
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
    reported_ms = document.get("reported_wall_ms", 0)
    if reported_ms and reported_ms in _DATES_MS:
        thing["_modified"] = _timestamp(reported_ms)
    return thing


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
            features.setdefault(name, {})["desiredProperties"] = {"value": entry.get("value")}
    return features


def _timestamp(wall_ms: int) -> str:
    moment = _EPOCH + timedelta(milliseconds=wall_ms)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
