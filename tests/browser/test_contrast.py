"""What the page draws can be seen, in light and in dark, in each of its states."""

import re
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.chromium import Scheme, looking
from tests.browser.contrast import too_faint

pytestmark = [pytest.mark.browser, pytest.mark.system]

TWIN = "d-emulated-00001"
VIEWS = ("", "twins", f"twins/{TWIN}", "events", "decisions", "health", "nowhere")
LONG_AGO = "2020-01-01T00:00:00Z"


def in_every_colour(page: Page, site: str) -> None:
    """Have the page be given the cloud's real answers, with all that has a colour in them."""
    things: list[dict[str, Any]] = httpx.get(f"{site}api/2/things?limit=200").json()
    twins = httpx.get(f"{site}api/v1/twins?after=0&limit=1000").json()
    edges = httpx.get(f"{site}api/v1/edges").json()
    features = things[0]["features"]
    features["temperature_c"]["properties"]["quality"] = "uncertain"
    features["sample_period_s"]["desiredProperties"] = {"value": -1}
    features["sample_period_s"]["desiredState"] = {"state": "rejected", "reason": "too short"}
    assert things[1]["thingId"].endswith("d-emulated-00002")
    things[1]["_modified"] = LONG_AGO
    # They come in the order in which they were placed, and things in that of their names.
    named = {each["twin"]: each for each in twins["twins"]}
    named["d-emulated-00003"]["presence"] = "lost"
    named["d-emulated-00004"]["phase"] = "sealed"
    edges[0].update(state="draining", presence="unknown")
    edges[1].update(state="lost", presence="lost")
    happened = [
        {"number": number, "at_ms": 1, "kind": kind, "twin": TWIN, "from": "e-1", "to": "e-2"}
        for number, kind in enumerate(("failover", "lost", "draining"), start=1)
    ]
    events = {"events": [{**each, "edge": "e-1"} for each in happened], "next": 3}

    def answer(route: Route) -> None:
        asked = route.request.url.removeprefix(site)
        if "event-stream" in route.request.headers.get("accept", ""):
            route.abort()
        elif asked.startswith("api/2/things?limit"):
            route.fulfill(json=things)
        elif asked.startswith("api/v1/twins?"):
            route.fulfill(json=twins)
        elif asked.startswith("api/v1/events?"):
            route.fulfill(json=events)
        elif asked == "api/v1/edges":
            route.fulfill(json=edges)
        else:
            route.continue_()

    page.route(re.compile("/api/"), answer)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_graphics_stand_out_in_every_view_and_state(
    browser: Browser, site: str, scheme: Scheme
) -> None:
    with looking(browser, f"{site}#/nowhere", scheme=scheme) as page:
        in_every_colour(page, site)
        page.reload()
        for view in VIEWS:
            page.goto(f"{site}#/{view}")
            expect(page.get_by_role("link", name="Overview")).to_be_visible()
            expect(page.locator("main > *")).to_be_visible()
            if view == "":
                expect(page.locator('.dots[data-condition="stale"]')).to_have_attribute(
                    "d", re.compile("^M")
                )
            if view == f"twins/{TWIN}":
                expect(page.get_by_text("too short")).to_be_visible()
                expect(page.get_by_text("uncertain")).to_be_visible()
            assert too_faint(page) == [], view


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_known_can_be_read_while_the_cloud_is_away(
    browser: Browser, site: str, scheme: Scheme
) -> None:
    with looking(browser, site, scheme=scheme, width=390) as page:
        expect(page.locator("#link")).to_have_text("Live")
        page.route(re.compile("/api/|/metrics$"), lambda route: route.abort())
        expect(page.get_by_role("alert")).to_contain_text("trying again by itself")
        for view in ("", "twins", f"twins/{TWIN}"):
            page.goto(f"{site}#/{view}")
            expect(page.locator("main > *")).to_be_visible()
            assert too_faint(page) == [], view


def test_what_is_faint_is_found(browser: Browser, site: str) -> None:
    with looking(browser, site) as page:
        expect(page.locator("#link")).to_have_text("Live")
        assert too_faint(page) == []
        page.evaluate("document.querySelector('.legend').style.color = '#999'")
        page.evaluate("document.querySelector('.dots').style.stroke = '#ccc'")
        text, dots = too_faint(page)
        assert "#999" in text or "rgb(153, 153, 153)" in text
        assert text.endswith("is 2.85:1, not 4.5")  # as any calculator of WCAG has it
        assert dots.startswith(".dots: ")
        page.evaluate("document.querySelector('main').style.opacity = 0.6")
        assert len(too_faint(page)) > 2
