"""Home Assistant's own word on an announcement: `python tests/clients/home_assistant FOLDER`.

Standard input has the announcement, documents of the twin, statuses and what each means, as
JSON; what is printed is the state of each entity for each document. Runs in an environment of
its own, with Home Assistant in it; what its schemas refuse is raised.
"""

import asyncio
import json
import sys
from typing import Any

from homeassistant.components.mqtt import binary_sensor, sensor
from homeassistant.components.sensor.const import DEVICE_CLASS_STATE_CLASSES, DEVICE_CLASS_UNITS
from homeassistant.core import HomeAssistant

SCHEMAS = {"sensor": sensor.DISCOVERY_SCHEMA, "binary_sensor": binary_sensor.DISCOVERY_SCHEMA}


async def main() -> None:
    hass = HomeAssistant(sys.argv[1])
    what = json.load(sys.stdin)
    shared, states = dict(what["announced"]), {}
    components = shared.pop("components")
    for name, component in components.items():
        entity = checked({**shared, **component})
        template = entity["value_template"]
        template.hass = hass
        states[name] = [shown(template, document) for document in what["documents"]]
        presence = entity["availability"][0]["value_template"]
        presence.hass = hass
        available = [shown(presence, status) for status in what["statuses"]]
        assert available == what["available"], (name, available)
    print(json.dumps(states))
    await hass.async_stop(force=True)


def checked(component: dict[str, Any]) -> dict[str, Any]:
    entity: dict[str, Any] = SCHEMAS[component.pop("platform")](component)
    if kind := entity.get("device_class"):
        assert entity["unit_of_measurement"] in DEVICE_CLASS_UNITS[kind], entity
        assert entity["state_class"] in DEVICE_CLASS_STATE_CLASSES[kind], entity
    return entity


def shown(template: Any, message: Any) -> str:
    return str(template.async_render_with_possible_json_value(json.dumps(message)))


asyncio.run(main())
