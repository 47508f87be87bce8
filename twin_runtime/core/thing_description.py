"""A twin as a W3C Thing Description 1.1: what a client that knows only the standard needs.

    a feature       property   read over HTTP where it is reported; written, if it may be,
                               where it is desired (so what is read follows, or does not)
    `whole-twin`    property   the committed twin as its owner publishes it, over MQTT
    `command`       action     a message to the device, over HTTP

A feature's own values are not observed by themselves: one topic carries the whole twin, and
a description must not promise a number where an object comes. Names with a hyphen are ours:
no feature has one.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from twin_runtime.core import topics
from twin_runtime.core.ids import FEATURE_PATTERN

TD_TYPE: Final = "application/td+json"
WHOLE_TWIN: Final = "whole-twin"

_CONTEXT = [
    "https://www.w3.org/2022/wot/td/v1.1",
    {"mqv": "https://www.w3.org/2019/wot/mqtt#"},
]
_JSON = "application/json"
_NUMBER = {"type": "integer", "minimum": 0}
_TEXT = {"type": "string"}


class Access(NamedTuple):
    """Where a twin is reached: `http` and `mqtt` are URLs without a path; with `has_token`
    writes need one."""

    http: str
    mqtt: str
    has_token: bool = False


LOCAL: Final = Access("", "mqtt://127.0.0.1:1883")  # as whoever asks came, and a broker beside it


def thing_description(document: Mapping[str, Any], site: str, access: Access) -> dict[str, Any]:
    """The description of the thing `site:twin`, whose document is given."""
    twin, about = document["twin"], document.get("description") or {}
    thing = f"api/2/things/{site}:{twin}"
    features = about.get("features", {})
    properties = {name: _property(thing, name, features[name], access) for name in features}
    return {
        "@context": _CONTEXT,
        "id": f"urn:diten:{site}:{twin}",
        "title": about.get("title") or twin,
        "base": f"{access.http}/",
        "securityDefinitions": _securities(access),
        "security": ["open"],
        "properties": {**properties, WHOLE_TWIN: _whole(twin, features, access)},
        "actions": {"command": _command(thing, access)},
        "links": [{"href": thing, "rel": "alternate", "type": _JSON}],
    }


def _securities(access: Access) -> dict[str, Any]:
    securities: dict[str, Any] = {"open": {"scheme": "nosec"}}
    if access.has_token:
        securities["token"] = {"scheme": "bearer", "in": "header", "format": "opaque"}
    return securities


def _property(thing: str, name: str, spec: Mapping[str, Any], access: Access) -> dict[str, Any]:
    feature = f"{thing}/features/{name}"
    is_writable = spec.get("writable", False)
    read = {"href": f"{feature}/properties/value", "op": "readproperty", "contentType": _JSON}
    forms = [{**read, "htv:methodName": "GET"}]
    if is_writable:
        href = f"{feature}/desiredProperties/value"
        forms.append(_write(href, "writeproperty", "PUT", access))
    return {**_schema(spec), "readOnly": not is_writable, "forms": forms}


def _write(href: str, op: str, method: str, access: Access) -> dict[str, Any]:
    form = {"href": href, "op": op, "contentType": _JSON, "htv:methodName": method}
    return {**form, "security": ["token"]} if access.has_token else form


def _schema(spec: Mapping[str, Any]) -> dict[str, Any]:
    """What values of a feature look like."""
    said = {"type": spec["type"], "title": spec.get("title"), "unit": spec.get("unit")}
    return {name: each for name, each in said.items() if each}


def _whole(twin: str, features: Mapping[str, Any], access: Access) -> dict[str, Any]:
    topic = topics.twin(twin)
    states = {name: _state(spec) for name, spec in features.items()}
    parts = {"twin": {"type": "string"}, "epoch": _NUMBER, "revision": _NUMBER}
    return {
        "title": "The committed twin",
        "type": "object",
        "properties": {**parts, "features": {"type": "object", "properties": states}},
        "readOnly": True,
        "observable": True,
        "forms": [
            {
                "href": f"{access.mqtt}/{topic}",
                "op": ["readproperty", "observeproperty", "unobserveproperty"],
                "contentType": _JSON,
                "mqv:filter": topic,
                "mqv:controlPacket": "subscribe",
                "mqv:retain": True,
                "mqv:qos": "0",
            }
        ],
    }


def _state(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A feature as a document has it; its value is missing as long as none was usable."""
    quality = {"type": "string", "enum": ["good", "uncertain", "live"]}
    parts = {"value": _schema(spec), "observed_ms": {"type": "integer"}, "quality": quality}
    return {"type": "object", "properties": parts}


def _command(thing: str, access: Access) -> dict[str, Any]:
    href = f"{thing}/inbox/messages/{{subject}}"
    return {
        "title": "Send a command, which the device obeys at most once and only in time",
        "uriVariables": {"subject": {"type": "string", "pattern": FEATURE_PATTERN}},
        "input": {"type": "object"},
        "output": {"type": "object", "properties": {"outcome": _TEXT, "reason": _TEXT}},
        "safe": False,
        "idempotent": False,
        "forms": [_write(href, "invokeaction", "POST", access)],
    }
