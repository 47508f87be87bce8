"""What Home Assistant is told of a twin, checked by what its documentation asks for."""

import re
from typing import Annotated, Any, Literal

import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import BaseModel, ConfigDict, Field

from twin_runtime.core.home_assistant import Device, discovery, discovery_topic
from twin_runtime.core.messages import FeatureSpec

FEATURES = {
    "temperature_c": FeatureSpec(type="number", unit="Cel", title="Air temperature"),
    "load": FeatureSpec(type="number", unit="1", title="Load"),
    "pressure": FeatureSpec(type="integer", unit="mm[Hg]"),
    "charging": FeatureSpec(type="boolean", title="Charging"),
    "items": FeatureSpec(type="string"),  # as a method of a dictionary is called, too
}
DEVICE = Device("d-7", "Host", FEATURES, via="d-agent")
# Which device classes have which units, which of them may be `measurement`, is Home Assistant's
# own list (`DEVICE_CLASS_UNITS` and `DEVICE_CLASS_STATE_CLASSES` of its sensors).
MEASURED = {
    "temperature": {"°C", "K"},
    "voltage": {"V", "mV"},
    "current": {"A", "mA"},
    "power": {"W"},
    "frequency": {"Hz"},
    "pressure": {"Pa"},
    "duration": {"s", "ms"},
    "distance": {"m"},
    "speed": {"m/s"},
    "weight": {"kg"},
    "illuminance": {"lx"},
    "signal_strength": {"dBm"},
    "data_size": {"B"},
    "data_rate": {"B/s"},
}
Text = Annotated[str, Field(min_length=1)]


class Said(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Entity(Said):
    """As https://www.home-assistant.io/integrations/sensor.mqtt/ and binary_sensor.mqtt have it,
    as far as it is used here."""

    platform: Literal["sensor", "binary_sensor"]
    name: Text
    unique_id: Text
    value_template: Text
    expire_after: Annotated[int, Field(gt=0)]
    unit_of_measurement: Text | None = None
    device_class: Text | None = None
    state_class: Literal["measurement"] | None = None
    payload_on: Text | None = None
    payload_off: Text | None = None


class Removed(Said):
    platform: Literal["sensor", "binary_sensor"]


class Named(Said):
    name: Text
    identifiers: Annotated[list[Text], Field(min_length=1)] | None = None


class Availability(Said):
    topic: Text
    value_template: Text


class Announcement(Said):
    """As https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload has it."""

    device: Named
    origin: Named
    state_topic: Text
    availability: Annotated[list[Availability], Field(min_length=1)]
    availability_mode: Literal["all", "any", "latest"]
    components: dict[str, Entity | Removed]


def entities(device: Device = DEVICE) -> dict[str, Any]:
    components: dict[str, Any] = discovery("home", device)["components"]
    return components


def rendered(template: str, payload: Any) -> str:
    """What Home Assistant's template engine makes of a message."""
    said = ImmutableSandboxedEnvironment().from_string(template)
    return said.render(value_json=payload)


@pytest.mark.parametrize(
    "device", [DEVICE, Device("d-1", "", {}), DEVICE._replace(retired=("gone",))]
)
def test_an_announcement_is_as_home_assistant_documents_it(device: Device) -> None:
    announced = Announcement.model_validate(discovery("home", device))
    assert announced.device.identifiers is not None


@pytest.mark.parametrize("site", ["diten", "plant-7.example.org"])
def test_its_topic_has_only_what_home_assistant_lets_through(site: str) -> None:
    topic = discovery_topic(site, "d-7")
    assert re.fullmatch(r"homeassistant/device/[a-zA-Z0-9_-]+/config", topic)


def test_no_two_twins_share_a_topic() -> None:
    sites = ["a.b", "a-b", "ab", "a.b-d", "a"]
    topics = {discovery_topic(site, twin) for site in sites for twin in ("d-7", "d-b-d-7")}
    assert len(topics) == 2 * len(sites)


@pytest.mark.parametrize(
    "feature, value, state",
    [
        ("temperature_c", 21.5, "21.5"),
        ("charging", True, "True"),
        ("charging", False, "False"),
        ("items", "a {{ b }}", "a {{ b }}"),
        ("load", None, "None"),
    ],
)
def test_a_template_gives_the_value_that_was_reported(feature: str, value: Any, state: str) -> None:
    document = {"features": {feature: {"value": value, "observed_ms": 1, "quality": "good"}}}
    assert rendered(entities()[feature]["value_template"], document) == state


def test_what_has_no_value_yet_is_unknown() -> None:
    for entity in entities().values():
        assert rendered(entity["value_template"], {"features": {}}) == "None"


def test_a_yes_or_no_is_a_binary_sensor_of_its_own_two_states() -> None:
    entity = entities()["charging"]
    assert entity["platform"] == "binary_sensor"
    assert (entity["payload_on"], entity["payload_off"]) == (str(True), str(False))


@pytest.mark.parametrize("unit", ["Cel", "K", "V", "A", "W", "Hz", "Pa", "s", "m", "By", "By/s"])
def test_a_class_goes_with_a_unit_that_home_assistant_allows_for_it(unit: str) -> None:
    entity = entities(Device("d-7", "", {"a": FeatureSpec(type="number", unit=unit)}))["a"]
    assert entity["unit_of_measurement"] in MEASURED[entity["device_class"]]
    assert entity["state_class"] == "measurement"


def test_a_unit_that_home_assistant_does_not_know_is_shown_as_it_is() -> None:
    entity = entities()["pressure"]
    assert entity["unit_of_measurement"] == "mm[Hg]"
    assert "device_class" not in entity
    assert "unit_of_measurement" not in entities()["load"]


def test_features_of_the_same_title_are_told_apart() -> None:
    same = FeatureSpec(type="number", title="Since the last sample")
    named = entities(Device("d-7", "", {"sent": same, "received": same, "load": FEATURES["load"]}))
    assert [entity["name"] for entity in named.values()] == ["sent", "received", "Load"]


@pytest.mark.parametrize(
    "state, available",
    [("online", "online"), ("sleeping", "online"), ("offline", "offline"), ("lost", "offline")],
)
def test_it_is_available_as_its_device_or_who_speaks_for_it_said_last(
    state: str, available: str
) -> None:
    announced = discovery("home", DEVICE)
    presences = announced["availability"]
    assert [each["topic"] for each in presences] == ["dt/v1/status/d-7", "dt/v1/status/d-agent"]
    assert announced["availability_mode"] == "latest"
    for each in presences:
        assert rendered(each["value_template"], {"state": state}) == available


def test_what_it_no_longer_has_is_removed() -> None:
    assert entities(DEVICE._replace(retired=("gone",)))["gone"] == {"platform": "sensor"}
