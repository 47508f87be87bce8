"""Eclipse Ditto's own JavaScript client, unmodified, against the cloud and an edge."""

import json

import pytest

from tests.clients.node import failed, found
from tests.clients.site import TOKEN, Site
from tests.system.rig import wait_for

pytestmark = [pytest.mark.system, pytest.mark.clients]

_CLIENT = """\
const ditto = require('@eclipse-ditto/ditto-javascript-client-node');
const client = ditto.DittoNodeClient.newHttpClient().withoutTls().withDomain(%s)
  .withAuthProvider(ditto.NodeHttpBearerAuth.newInstance({ getToken: () => %s })).build();
const things = client.getThingsHandle();
const search = client.getSearchHandle();
const messages = client.getMessagesHandle();
"""


def ditto(domain: str, body: str, token: str = TOKEN) -> str:
    """What a client of `domain` is to do."""
    return _CLIENT % (json.dumps(domain), json.dumps(token)) + body


def named(site: Site, number: int) -> str:
    return f"diten:{site.rig.devices[number]}"


def test_it_reads_a_thing_and_its_parts(site: Site) -> None:
    thing = named(site, 0)
    body = f"""
        const features = client.getFeaturesHandle('{thing}');
        const whole = (await things.getThing('{thing}')).toObject();
        const feature = (await features.getFeature('temperature_c')).toObject();
        const value = await features.getProperty('temperature_c', 'value');
        return {{ whole, feature, value }};
    """
    read = found(ditto(site.cloud, body))
    assert read["whole"]["thingId"] == thing
    assert set(read["whole"]["features"]) == set(site.thing(site.rig.devices[0])["features"])
    assert isinstance(read["feature"]["properties"]["value"], float)
    assert isinstance(read["value"], float)


def test_it_reads_a_selection_of_several_things(site: Site) -> None:
    wanted = [named(site, 0), named(site, 1)]
    body = f"""
        const options = ditto.DefaultGetThingsOptions.getInstance().withFields('thingId');
        const read = await things.getThings({json.dumps(wanted)}, options);
        return read.map((thing) => thing.toObject());
    """
    assert found(ditto(site.cloud, body)) == [{"thingId": thing} for thing in wanted]


def test_it_puts_attributes_which_its_next_read_returns(site: Site) -> None:
    thing = named(site, 1)
    body = f"""
        await things.putAttributes('{thing}', {{ room: 'north', floor: 3 }});
        await things.putAttribute('{thing}', 'floor', 4);
        await things.putAttribute('{thing}', 'wing', {{ name: 'b' }});
        await things.deleteAttribute('{thing}', 'wing/name');
        return await things.getAttributes('{thing}');
    """
    attributes = found(ditto(site.at(site.owner(site.rig.devices[1])), body))
    attributes.pop("description")  # the device's own
    assert attributes == {"room": "north", "floor": 4, "wing": {}}


def test_it_patches_a_thing_through_the_cloud(site: Site) -> None:
    thing = named(site, 2)
    body = f"""
        await things.patchAttributes('{thing}', {{ room: 'north', floor: 3 }});
        const patch = {{ thingId: '{thing}', attributes: {{ floor: null, wing: 'b' }} }};
        return (await things.patchThing(ditto.Thing.fromObject(patch))).status;
    """
    assert found(ditto(site.cloud, body)) == 204

    def is_patched() -> bool:
        attributes = site.thing(site.rig.devices[2])["attributes"]
        return {name: attributes.get(name) for name in ("room", "wing", "floor")} == {
            "room": "north",
            "wing": "b",
            "floor": None,
        }

    wait_for("the cloud shows the patch", is_patched)


def test_it_searches_sorts_pages_and_counts(site: Site) -> None:
    answer = found(
        ditto(
            site.cloud,
            """
        const warm = ditto.Gt('features/temperature_c/properties/value', -100);
        const one = ditto.Eq('thingId', 'diten:none');
        const options = () => ditto.DefaultSearchOptions.getInstance()
          .withFilter(ditto.Or(warm, one)).withFields('thingId')
          .withSort('-thingId').withPageSize(5);
        const first = await search.search(options());
        const second = await search.search(options().withCursor(first.cursor));
        const counted = ditto.DefaultCountOptions.getInstance().withFilter(warm);
        const ids = [...first.items, ...second.items].map((thing) => thing.thingId);
        return { ids, count: await search.count(counted) };
        """,
        )
    )
    devices = site.rig.devices
    assert answer == {
        "ids": [f"diten:{device}" for device in reversed(devices)],
        "count": len(devices),
    }


def test_a_command_reaches_the_device_and_its_outcome_comes_back(site: Site) -> None:
    answer = found(
        ditto(
            site.cloud,
            f"""
        const options = ditto.DefaultMessagesOptions.getInstance().withTimeout(30);
        const send = (subject) => messages.messageToThing(
          '{named(site, 5)}', subject, {{}}, 'application/json', options);
        const told = (await send('sample_now')).body;
        const refused = await send('fly').catch((error) => error);
        return {{ told, status: refused.status }};
        """,
        )
    )
    assert answer == {"told": {"outcome": "done", "reason": ""}, "status": 409}


def test_a_condition_that_does_not_hold_is_412(site: Site) -> None:
    error = failed(
        ditto(
            site.cloud,
            f"""
        const stale = ditto.DefaultMatchOptions.getInstance().ifMatch('"rev:1.0"');
        return await things.putAttribute('{named(site, 6)}', 'room', '"north"', stale);
        """,
        )
    )
    assert error["status"] == 412


def test_without_the_token_it_reads_and_is_refused_writes_in_its_own_words(site: Site) -> None:
    thing = named(site, 4)
    reading, writing = f"things.getThing('{thing}')", f"things.putAttribute('{thing}', 'a', 1)"
    read = found(ditto(site.cloud, f"return (await {reading}).toObject()", token="no"))
    assert read["thingId"] == thing
    error = failed(ditto(site.cloud, f"return await {writing}", token="no"))
    assert error["status"] == 403
    assert set(error["body"]) == {"status", "error", "message", "description"}
