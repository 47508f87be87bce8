"""Eclipse Thingweb's node-wot, which is given a Thing Description and no more.

It fetches the description itself, from an address of its own: what node-wot 0.8.16 sends has no
`Accept` (it hands the header to the wrong argument of its own). The site is an open one: where
a form of its own names the security, as only writes need a token, that version hands a list of
credentials to a client of its own that takes one, and finds no token.
"""

import json
from typing import Any

import pytest

from tests.clients.node import failed, found
from tests.clients.site import Site
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
const thing = await wot.consume(await wot.requestThingDescription(%s));
"""


def wot(site: Site, number: int, body: str) -> str:
    """What a client of a device's description, as the cloud has it, is to do."""
    address = f"http://{site.cloud}/api/v1/twins/{site.rig.devices[number]}/td"
    return _CLIENT % json.dumps(address) + body


def test_it_reads_what_a_device_reports(open_site: Site) -> None:
    value = found(wot(open_site, 0, "return (await thing.readProperty('temperature_c')).value();"))
    assert isinstance(value, float)


def test_what_it_writes_the_device_carries_out_and_reports(open_site: Site) -> None:
    found(wot(open_site, 1, "return await thing.writeProperty('sample_period_s', 0.75);"))

    def is_done() -> bool:
        feature = open_site.thing(open_site.rig.devices[1])["features"]["sample_period_s"]
        state = feature.get("desiredState", {}).get("state")
        return (feature["properties"]["value"], state) == (0.75, "done")

    wait_for("the device reports what was written", is_done)


def test_it_reads_all_that_is_described_over_http_and_mqtt(open_site: Site) -> None:
    body = """
        const read = {};
        for (const [name, output] of await thing.readAllProperties()) {
          read[name] = await output.value();
        }
        return read;
    """
    read = found(wot(open_site, 0, body))
    assert set(read) == {*open_site.thing(open_site.rig.devices[0])["features"], "whole-twin"}


def test_it_is_told_that_what_is_measured_cannot_be_written(open_site: Site) -> None:
    error = failed(wot(open_site, 0, "return await thing.writeProperty('temperature_c', 20);"))
    assert "suitable form" in error["said"]


def test_its_action_is_a_command_that_the_device_obeys(open_site: Site) -> None:
    body = """
        const options = { uriVariables: { subject: 'sample_now' } };
        const output = await thing.invokeAction('command', {}, options);
        return output === undefined ? null : await output.value();
    """
    assert found(wot(open_site, 2, body)) == {"outcome": "done", "reason": ""}


def test_it_observes_over_mqtt_what_the_owner_publishes(open_site: Site) -> None:
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
    first, second = found(wot(open_site, 3, body))
    assert {first["twin"], second["twin"]} == {open_site.rig.devices[3]}
    assert rank(first) < rank(second)


def rank(document: dict[str, Any]) -> tuple[int, int]:
    return document["epoch"], document["revision"]
