"""A twin as Home Assistant discovers it over MQTT: one device, an entity for each feature.

    values      from the twin's public topic, each by a template of its own
    available   as the device said last, or the broker of the process that speaks for it (which
                itself says nothing: it is lost, until its devices are heard again), and while
                the owner repeats the twin

Who owns the twin is not in it: every owner says the same, so a move changes nothing. Nothing
can be written: Home Assistant writes to topics, and wishes for twins are written over HTTP.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple

from twin_runtime.core import topics
from twin_runtime.core.limits import REPUBLISH_PERIOD_S
from twin_runtime.core.messages import FeatureSpec

_PREFIX: Final = "homeassistant"  # where Home Assistant listens unless it is told otherwise
# An owner repeats a twin once a minute. Five are missed where there is none, or no way to it.
_EXPIRE_AFTER_S: Final = int(5 * REPUBLISH_PERIOD_S)
# Its names of our units (UCUM where there is one), and the class of what is measured in them. A
# class is given only where each quantity of that unit belongs to it: a joule may be counted or
# measured, and a percentage may be of anything.
_UNITS: Final[Mapping[str, tuple[str, str]]] = {
    "1": ("", ""),
    "Cel": ("°C", "temperature"),
    "K": ("K", "temperature"),
    "V": ("V", "voltage"),
    "mV": ("mV", "voltage"),
    "A": ("A", "current"),
    "mA": ("mA", "current"),
    "W": ("W", "power"),
    "Hz": ("Hz", "frequency"),
    "Pa": ("Pa", "pressure"),
    "s": ("s", "duration"),
    "ms": ("ms", "duration"),
    "m": ("m", "distance"),
    "m/s": ("m/s", "speed"),
    "kg": ("kg", "weight"),
    "lx": ("lx", "illuminance"),
    "dBm": ("dBm", "signal_strength"),
    "By": ("B", "data_size"),
    "By/s": ("B/s", "data_rate"),
    "deg": ("°", ""),
}
_PRESENT = "{{ 'online' if value_json.state in ('online', 'sleeping') else 'offline' }}"


class Device(NamedTuple):
    """What a twin is to its readers. `via` names the process that speaks for it, if it does not
    do so itself; `retired` what it had before it described itself anew."""

    twin: str
    title: str
    features: Mapping[str, FeatureSpec]
    via: str = ""
    retired: Collection[str] = ()


def discovery_topic(site: str, twin: str) -> str:
    """Where a twin is announced, retained; an empty payload takes it back."""
    return f"{_PREFIX}/device/{_object_id(site, twin)}/config"


def discovery(site: str, device: Device) -> dict[str, Any]:
    """The announcement of a twin of `site`."""
    whole = _object_id(site, device.twin)
    name = f"{device.title} ({device.twin})" if device.title else device.twin
    titles = Counter(spec.title for spec in device.features.values())
    components: dict[str, Any] = {feature: {"platform": "sensor"} for feature in device.retired}
    for feature, spec in device.features.items():
        is_told_apart = spec.title and titles[spec.title] == 1
        about = {"name": spec.title if is_told_apart else feature}
        components[feature] = {**about, "unique_id": f"{whole}_{feature}", **_entity(feature, spec)}
    return {
        "device": {"identifiers": [whole], "name": name},
        "origin": {"name": "diten"},
        "state_topic": topics.twin(device.twin),
        "availability": [_presence(each) for each in (device.twin, device.via) if each],
        "availability_mode": "latest",
        "components": components,
    }


def _object_id(site: str, twin: str) -> str:
    """A topic's level has letters, digits, `_` and `-`; no id of ours has a `_`."""
    return f"diten_{site.replace('.', '_')}_{twin}"


def _presence(identity: str) -> dict[str, str]:
    return {"topic": topics.status(identity), "value_template": _PRESENT}


def _entity(feature: str, spec: FeatureSpec) -> dict[str, Any]:
    # What has no value yet renders as None, which Home Assistant calls unknown.
    value = f"{{{{ value_json.features.get('{feature}', {{}}).get('value') }}}}"
    entity = {"value_template": value, "expire_after": _EXPIRE_AFTER_S}
    if spec.type == "boolean":
        states = {"payload_on": "True", "payload_off": "False"}
        return {"platform": "binary_sensor", **entity, **states}
    if spec.type == "string":
        return {"platform": "sensor", **entity}
    unit, kind = _UNITS.get(spec.unit, (spec.unit, ""))
    measured = {"unit_of_measurement": unit, "device_class": kind, "state_class": "measurement"}
    return {"platform": "sensor", **entity, **{key: said for key, said in measured.items() if said}}
