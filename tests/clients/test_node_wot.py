"""Eclipse Thingweb's node-wot, which is told the address of a Thing Description and no more."""

import json
from typing import Any

import pytest

from tests.clients.node import failed, found
from tests.clients.site import TOKEN, Site
from tests.system.rig import wait_for

pytestmark = [pytest.mark.system, pytest.mark.clients]

_CLIENT = """\
const { Servient } = require('@node-wot/core');
const { HttpClientFactory } = require('@node-wot/binding-http');
const { MqttClientFactory } = require('@node-wot/binding-mqtt');
const servient = new Servient();
servient.addClientFactory(new HttpClientFactory());
servient.addClientFactory(new MqttClientFactory());
const wot = await servient.start();
const description = await wot.requestThingDescription(%s);
servient.addCredentials({ [description.id]: { token: %s } });
const thing = await wot.consume(description);
"""


def wot(site: Site, number: int, body: str) -> str:
    """What a client of a device's description, as the cloud has it, is to do."""
    address = f"http://{site.cloud}/api/2/things/{site.rig.devices[number]}"
    return _CLIENT % (json.dumps(address), json.dumps(TOKEN)) + body


def test_it_reads_what_a_device_reports(site: Site) -> None:
    value = found(wot(site, 0, "return (await thing.readProperty('temperature_c')).value();"))
    assert isinstance(value, float)


def test_what_it_writes_the_device_carries_out_and_reports(site: Site) -> None:
    found(wot(site, 1, "return await thing.writeProperty('sample_period_s', 0.75);"))

    def is_done() -> bool:
        feature = site.thing(site.rig.devices[1])["features"]["sample_period_s"]
        state = feature.get("desiredState", {}).get("state")
        return (feature["properties"]["value"], state) == (0.75, "done")

    wait_for("the device reports what was written", is_done)


def test_it_knows_what_may_not_be_written(site: Site) -> None:
    error = failed(wot(site, 0, "return await thing.writeProperty('temperature_c', 20);"))
    assert "temperature_c" in error["said"] or "readOnly" in error["said"], error


def test_its_action_is_a_command_that_the_device_obeys(site: Site) -> None:
    body = """
        const options = { uriVariables: { subject: 'sample_now' } };
        const output = await thing.invokeAction('command', {}, options);
        return output === undefined ? null : await output.value();
    """
    assert found(wot(site, 2, body)) in (None, {"outcome": "done"})


def test_it_observes_over_mqtt_what_the_owner_publishes(site: Site) -> None:
    body = """
        const seen = [];
        const second = new Promise((resolve, reject) => {
          const heard = async (output) => {
            seen.push(await output.value());
            if (seen.length === 2) resolve(seen);
          };
          thing.observeProperty('whole-twin', heard, reject).catch(reject);
        });
        return await within(30000, second);
    """
    first, second = found(wot(site, 3, body))
    assert {first["twin"], second["twin"]} == {site.rig.devices[3]}
    assert rank(first) < rank(second)


def rank(document: dict[str, Any]) -> tuple[int, int]:
    return document["epoch"], document["revision"]
