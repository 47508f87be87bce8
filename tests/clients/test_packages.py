"""Small packages of npm: an event source, and the Thing Description Playground's validator."""

import json

import pytest

from tests.clients.node import found
from tests.clients.site import Site

pytestmark = [pytest.mark.system, pytest.mark.clients]


def test_an_event_source_hears_things_as_they_change(site: Site) -> None:
    twin = site.rig.devices[0]
    url = f"http://{site.cloud}/api/2/things?ids=diten:{twin}"
    body = """
        const { EventSource } = require('eventsource');
        const source = new EventSource(%s);
        const seen = [];
        const three = new Promise((resolve, reject) => {
          source.onmessage = (event) => {
            seen.push({ id: event.lastEventId, thing: JSON.parse(event.data) });
            if (seen.length === 3) resolve(seen);
          };
        });
        return await within(30000, three);
    """
    seen = found(body % json.dumps(url))
    assert {each["thing"]["thingId"] for each in seen} == {f"diten:{twin}"}
    revisions = [each["thing"]["_revision"] for each in seen]
    assert revisions == sorted(set(revisions))
    assert len({each["id"] for each in seen}) == 3


@pytest.mark.parametrize("which", ["site", "open_site"])
def test_a_description_is_valid_to_the_playground(
    which: str, request: pytest.FixtureRequest
) -> None:
    site: Site = request.getfixturevalue(which)
    url = f"http://{site.cloud}/api/2/things/{site.rig.devices[0]}"
    body = """
        const { tdValidator } = require('@thing-description-playground/core');
        const headers = { Accept: 'application/td+json' };
        const description = await (await fetch(%s, { headers })).text();
        const words = [];
        const options = { checkDefaults: false, checkJsonLd: false };  // its context is a download
        const { report } = await tdValidator(description, (word) => words.push(word), options);
        return { report, words };
    """
    checked = found(body % json.dumps(url))
    report = checked["report"]
    assert (report["json"], report["schema"]) == ("passed", "passed"), checked
