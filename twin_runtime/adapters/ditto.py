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
from datetime import UTC, datetime
from typing import Any

from twin_runtime.core.desired import feature_of


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
    if reported_ms := document.get("reported_wall_ms", 0):
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
    moment = datetime.fromtimestamp(wall_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
