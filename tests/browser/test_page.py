"""The live page, looked at in a real browser while real processes live, die and return."""

import json
import re
import signal
import time
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from tests.browser.chromium import SHOWN_MS, Scheme, guard_commands, looking
from tests.system.rig import Rig, wait_for

pytestmark = [pytest.mark.browser, pytest.mark.system]

TWIN = "d-emulated-00001"
AWAY = """
let away = false;
Object.defineProperty(document, 'hidden', { get: () => away });
window.look = (there) => {
  away = !there;
  document.dispatchEvent(new Event('visibilitychange'));
};
"""
WIDEST_EDGE = """
window.widest = 0;
new MutationObserver(() => {
  for (const mark of document.querySelectorAll('.site-map .edge rect'))
    window.widest = Math.max(window.widest, Number(mark.getAttribute('width')));
}).observe(document, { subtree: true, childList: true });
"""
DOT_AT = """() => {
  const svg = document.querySelector('.site-map svg');
  const dots = document.querySelector('.dots[data-condition=live]').getAttribute('d');
  const [, x, y] = /^M(\\S+) (\\S+?)h/.exec(dots);
  const at = new DOMPoint(x, y).matrixTransform(svg.getScreenCTM());
  return [at.x, at.y];
}"""


def total(page: Page, name: str) -> Locator:
    """The number under a name, on the overview."""
    return page.locator(".totals > div", has_text=name).locator("dd").first


def fact(page: Page, name: str) -> Locator:
    """One of the facts above a twin's values."""
    return page.locator(".facts > div", has_text=name).locator("dd")


def edge_row(page: Page, edge: str) -> Locator:
    return page.get_by_label("Edges").locator("tbody tr", has_text=edge)


# --- what happens is shown as it happens -----------------------------------------------------


def test_the_overview_counts_twins_and_edges_and_draws_the_site(
    browser: Browser, site: str
) -> None:
    with looking(browser, site) as page:
        expect(total(page, "Twins")).to_have_text("12")
        expect(total(page, "Live")).to_have_text("12")
        expect(total(page, "Edges there")).to_have_text("2 of 2")
        expect(page.get_by_role("img", name=re.compile("12 twins and 2 edges"))).to_be_visible()
        expect(page.get_by_role("img", name=re.compile("red"))).to_have_count(0)
        expect(page.locator("#link")).to_have_text("Live")


def test_the_site_has_its_size_from_its_first_moment(browser: Browser, site: str) -> None:
    """An edge that was drawn before there was room for it covered the whole map for a second."""
    with browser.new_context() as context:
        context.add_init_script(WIDEST_EDGE)
        page = context.new_page()
        page.goto(site)
        expect(page.get_by_role("img", name=re.compile("12 twins and 2 edges"))).to_be_visible()
        assert 0 < page.evaluate("widest") < 40


def test_a_value_changes_while_one_looks(browser: Browser, site: str) -> None:
    with looking(browser, f"{site}#/twins/{TWIN}") as page:
        value = page.locator("tbody tr", has_text="x_m").locator(".value")
        before = value.inner_text()
        expect(value).not_to_have_text(before)
        expect(page.locator("tbody tr", has_text="x_m").locator("td").nth(1)).to_have_text("m")


def test_devices_that_die_are_shown_as_lost_and_shown_again_when_they_return(
    browser: Browser, site: str, rig: Rig
) -> None:
    with looking(browser, site) as page:
        expect(total(page, "Devices lost")).to_have_text("0")
        rig.kill("d-agent")
        expect(total(page, "Devices lost")).to_have_text("12")
        expect(page.get_by_role("img", name=re.compile(r"12 lost \(red\)"))).to_be_visible()
        rig.start("d-agent")
        expect(total(page, "Devices lost")).to_have_text("0")
        expect(total(page, "Live")).to_have_text("12")


def test_an_edge_that_is_killed_is_shown_as_lost_until_it_returns(
    browser: Browser, site: str, rig: Rig
) -> None:
    with looking(browser, site) as page:
        expect(edge_row(page, "e-1")).to_contain_text("there")
        rig.kill("e-1")
        expect(edge_row(page, "e-1")).to_contain_text("lost")
        expect(total(page, "Edges there")).to_have_text("1 of 2")
        rig.start("e-1")
        expect(edge_row(page, "e-1")).to_contain_text("there")
        expect(total(page, "Live")).to_have_text("12")


def test_health_is_told_of_each_process_and_of_one_that_does_not_answer(
    browser: Browser, site: str, rig: Rig
) -> None:
    with looking(browser, f"{site}#/health") as page:
        processes = page.get_by_label("Processes").locator("tbody tr")
        expect(processes).to_have_count(3)
        for name in ("cloud", "e-1", "e-2"):
            row = processes.filter(has_text=name)
            expect(row.locator('[data-title="State"]')).to_have_text("ready")
            expect(row.locator('[data-title="CPU"]')).to_have_text(re.compile(r"^\d+ %$"))
        acks = page.locator('[data-title="Acks p50"]')
        expect(acks.filter(has_text=re.compile(r"\d\sm?s$"))).not_to_have_count(0)
        expect(page.get_by_label("Reports, at all edges")).to_contain_text(
            "Came twice, applied once"
        )
        rig.kill("e-1")
        expect(processes.filter(has_text="e-1")).to_contain_text("no answer")
        rig.start("e-1")
        expect(processes.filter(has_text="e-1")).to_contain_text("ready")


def test_twins_of_an_edge_that_is_called_lost_are_seen_to_fail_over(
    browser: Browser, site: str, rig: Rig
) -> None:
    with looking(browser, site) as page:
        expect(total(page, "Live")).to_have_text("12")
        owner = httpx.get(f"{site}api/v1/twins/{TWIN}").json()["owner"]
        target = {"e-1": "e-2", "e-2": "e-1"}[owner]
        before = int(total(page, "Failovers").inner_text())
        rig.kill(owner)
        httpx.post(f"{site}api/v1/edges/{owner}/lost").raise_for_status()
        expect(page.get_by_text(f"fails over from {owner} to {target}").first).to_be_visible()
        expect(total(page, "Failovers")).not_to_have_text(str(before))
        expect(edge_row(page, owner)).to_contain_text("lost")
        rig.start(owner)
        expect(edge_row(page, owner)).to_contain_text("serving")
        expect(total(page, "Live")).to_have_text("12")
        page.get_by_role("link", name="all events").click()
        expect(page.get_by_text(f"{owner} was called lost").first).to_be_visible()


def test_a_twin_that_is_moved_from_the_page_is_seen_to_arrive(browser: Browser, site: str) -> None:
    with looking(browser, f"{site}#/twins/{TWIN}") as page:
        source = fact(page, "Edge").inner_text()
        target = {"e-1": "e-2", "e-2": "e-1"}[source]
        page.get_by_label("To edge").select_option(target)
        page.get_by_role("button", name="Move").click()
        expect(fact(page, "Edge")).to_have_text(target)
        expect(page.get_by_text(f"It moved to {target}.")).to_be_visible()
        expect(page.get_by_label("Its moves")).to_contain_text(f"now at {target}, was at {source}")
        page.get_by_role("link", name="Events").click()
        expect(
            page.get_by_role("row", name=re.compile(f"{TWIN}.*now at {target}")).first
        ).to_be_visible()


def test_the_page_recovers_by_itself_when_the_cloud_was_away(
    browser: Browser, site: str, rig: Rig
) -> None:
    with looking(browser, f"{site}#/twins/{TWIN}") as page:
        expect(page.locator("#link")).to_have_text("Live")
        rig.kill("cloud")
        expect(page.get_by_role("alert")).to_contain_text("trying again by itself")
        assert fact(page, "Revision").inner_text() != "–"  # what was known stays
        rig.start("cloud")
        expect(page.locator("#link")).to_have_text("Live")
        expect(page.get_by_role("alert")).to_be_hidden()
        before = fact(page, "Revision").inner_text()
        expect(fact(page, "Revision")).not_to_have_text(before)


def test_as_many_tabs_as_one_likes_are_live_in_one_browser(browser: Browser, site: str) -> None:
    """A browser opens six connections to a server: to a cloud for all tabs together."""
    with browser.new_context() as context:
        context.set_default_timeout(SHOWN_MS)
        context.add_init_script(AWAY)
        seen = [opened(context, site) for _ in range(4)]
        for page in seen:
            page.evaluate("look(false)")
        seen += [opened(context, site) for _ in range(4)]
        first = seen[0]
        first.evaluate("look(true)")
        expect(first.locator("#link")).to_have_text("Live")
        revision = fact(first, "Revision")
        before = revision.inner_text()
        expect(revision).not_to_have_text(before)


def opened(context: BrowserContext, site: str) -> Page:
    """One more tab, live."""
    page = context.new_page()
    page.goto(f"{site}#/twins/{TWIN}")
    expect(page.locator("#link")).to_have_text("Live")
    return page


def test_a_desired_value_is_set_and_followed_until_it_is_done(browser: Browser, site: str) -> None:
    with looking(browser, f"{site}#/twins/{TWIN}") as page:
        row = page.locator("tbody tr", has_text="sample_period_s")
        row.get_by_role("button", name="Set sample_period_s").click()
        page.get_by_label("New value of sample_period_s").fill("0.7")
        page.get_by_role("button", name="Send").first.click()
        steps = row.get_by_role("list", name=re.compile("State: "))
        expect(steps).to_have_text(re.compile("pending.*accepted.*done"))
        expect(row.locator('[aria-current="step"]')).to_have_text("done")
        expect(row.locator(".value")).to_have_text("0.7")


def test_a_device_that_stands_still_is_stale_and_what_is_wanted_of_it_pending_until_it_goes_on(
    browser: Browser, site: str, rig: Rig
) -> None:
    with looking(browser, f"{site}#/twins/{TWIN}") as page:
        expect(fact(page, "Condition")).to_have_text("live")
        rig.agent.send_signal(signal.SIGSTOP)
        row = page.locator("tbody tr", has_text="sample_period_s")
        row.get_by_role("button", name="Set sample_period_s").click()
        page.get_by_label("New value of sample_period_s").fill("0.6")
        page.get_by_label("New value of sample_period_s").press("Enter")
        expect(row.locator('[aria-current="step"]')).to_have_text("pending")
        expect(fact(page, "Condition")).to_have_text("stale")
        rig.agent.send_signal(signal.SIGCONT)
        expect(row.locator('[aria-current="step"]')).to_have_text("done")
        expect(fact(page, "Condition")).to_have_text("live")


def test_load_values_units_age_and_quality_are_those_that_the_api_answers(
    browser: Browser, site: str, rig: Rig
) -> None:
    with looking(browser, site) as page:
        edges = httpx.get(f"{site}api/v1/edges").json()
        for edge in edges:
            share = f"{100 * edge['twins'] / 12:.0f}\u00a0%"
            cells = [edge["edge"], edge["state"], "there", str(edge["twins"]), share]
            expect(edge_row(page, edge["edge"]).locator("th, td")).to_have_text(cells)
        rig.agent.send_signal(signal.SIGSTOP)
        try:
            page.goto(f"{site}#/twins/{TWIN}")
            expect(fact(page, "Reported")).to_have_text(re.compile("^[2-9] s ago"))
            answer = httpx.get(f"{site}api/2/things/{TWIN}")
            assert_shown(page, answer.json(), time.time())
            expect(fact(page, "Revision")).to_have_text(f"{answer.json()['_revision']:,}")
        finally:
            rig.agent.send_signal(signal.SIGCONT)


SYMBOLS = {"Cel": "°C", "1": ""}


def assert_shown(page: Page, thing: dict[str, Any], now_s: float) -> None:
    """The table of values has what `thing` says; nothing is reported meanwhile."""
    described = thing["attributes"]["description"]["features"]
    rows = page.get_by_label("Features").locator("tbody tr")
    expect(rows).to_have_count(len(thing["features"]))
    for name, feature in thing["features"].items():
        told = feature["properties"]
        row = rows.filter(has=page.get_by_role("button", name=name, exact=True))
        value, unit, seen, quality = row.locator("td").all_inner_texts()[:4]
        assert float(value.replace(",", "")) == pytest.approx(told["value"], rel=1e-3), name
        declared = described[name].get("unit", "")
        assert (unit, quality) == (SYMBOLS.get(declared, declared), told["quality"]), name
        age_s = float(seen.removesuffix(" s ago"))
        assert age_s == pytest.approx(now_s - told["observed_ms"] / 1000, abs=3), name


def test_a_desired_value_that_no_device_takes_is_said_to_be_rejected(
    browser: Browser, site: str
) -> None:
    with looking(browser, f"{site}#/twins/{TWIN}") as page:
        row = page.locator("tbody tr", has_text="sample_period_s")
        row.get_by_role("button", name="Set sample_period_s").click()
        page.get_by_label("New value of sample_period_s").fill("-3")
        page.get_by_label("New value of sample_period_s").press("Enter")
        expect(row.locator('[data-tone="bad"], [role="alert"]').first).to_be_visible()


def test_a_device_is_commanded_and_answers(browser: Browser, site: str) -> None:
    with looking(browser, f"{site}#/twins/{TWIN}") as page:
        commands = page.get_by_label("Commands")
        commands.get_by_label("Command").fill("sample_now")
        commands.get_by_role("button", name="Send").click()
        expect(commands.get_by_role("status")).to_contain_text("The device says: done")
        commands.get_by_label("Command").fill("dance")
        commands.get_by_role("button", name="Send").click()
        expect(commands.get_by_role("status")).to_contain_text("cannot be written")


def test_a_write_that_needs_a_token_asks_for_it_once(browser: Browser, site: str) -> None:
    """The cloud of a site with a token, as its API says it: 401 without."""
    with looking(browser, f"{site}#/twins/{TWIN}") as page:
        guard_commands(page)
        commands = page.get_by_label("Commands")
        commands.get_by_label("Command").fill("sample_now")
        commands.get_by_role("button", name="Send").click()
        page.get_by_role("textbox", name="Token").fill("open-sesame")
        page.get_by_role("button", name="Use it").click()
        expect(commands.get_by_role("status")).to_contain_text("The device says: done")
        commands.get_by_role("button", name="Send").click()
        expect(commands.get_by_role("status")).to_contain_text("The device says: done")
        expect(page.get_by_role("dialog")).to_have_count(0)


# --- what is looked for is found -------------------------------------------------------------


def test_twins_are_searched_and_sorted(browser: Browser, site: str) -> None:
    with looking(browser, f"{site}#/twins") as page:
        rows = page.get_by_role("grid").locator(".rows .row:not([hidden])")
        expect(rows).to_have_count(12)
        page.get_by_label("Search").fill("0007")
        expect(rows).to_have_count(1)
        expect(page).to_have_url(re.compile(r"#/twins\?q=0007$"))
        page.get_by_label("Search").fill("")
        page.get_by_role("button", name="Twin").click()
        expect(rows.first).to_contain_text("d-emulated-00012")
        page.get_by_label("Condition").select_option("lost")
        expect(page.get_by_text("No twin is like that.")).to_be_visible()


def test_a_twin_is_found_on_the_map_with_a_pointer_or_a_finger(browser: Browser, site: str) -> None:
    with looking(browser, site) as page:
        drawing = page.get_by_role("img", name=re.compile("12 twins and 2 edges"))
        expect(drawing).to_be_visible()
        x, y = page.evaluate(DOT_AT)
        page.mouse.move(x, y)
        expect(page.locator(".chosen text")).to_have_text(re.compile(r"d-emulated-\d{5}"))
        page.mouse.move(5, 5)
        expect(page.locator(".chosen")).to_be_hidden()
        x, y = page.evaluate(DOT_AT)
        drawing.dispatch_event("click", {"clientX": x, "clientY": y, "bubbles": True})
        expect(page).to_have_url(re.compile("#/twins/d-emulated-"))


def test_a_feature_has_a_chart_and_is_described_in_words(browser: Browser, site: str) -> None:
    with looking(browser, f"{site}#/twins/{TWIN}") as page:
        page.get_by_role("button", name="temperature_c").click()
        chart = page.get_by_role("img", name=re.compile(r"temperature_c: \d+ values.*°C"))
        expect(chart.locator("canvas")).to_be_visible()


def test_a_chart_begins_with_the_past_that_its_edge_has_kept(
    browser: Browser, site: str, rig: Rig
) -> None:
    path = f"{site}api/v1/twins/{TWIN}/history?feature=temperature_c&limit=100"
    wait_for("a past to look at", lambda: len(httpx.get(path).json()["rows"]) >= 20)
    with looking(browser, f"{site}#/twins/{TWIN}") as page:
        page.get_by_role("button", name="temperature_c").click()
        past = re.compile(r"temperature_c: ([2-9]\d|\d{3,}) values.*°C")
        expect(page.get_by_role("img", name=past)).to_be_visible()


def test_a_twin_that_does_not_exist_is_said_not_to(browser: Browser, site: str) -> None:
    with looking(browser, f"{site}#/twins/d-nowhere") as page:
        expect(page.get_by_text("There is no twin d-nowhere")).to_be_visible()
        page.get_by_role("link", name="All twins there are").click()
        expect(page.get_by_role("heading", name="Twins")).to_be_visible()


# --- for everybody ---------------------------------------------------------------------------


def test_the_page_is_used_by_keyboard_alone(browser: Browser, site: str) -> None:
    with looking(browser, f"{site}#/twins") as page:
        expect(page.get_by_role("grid").locator(".rows .row:not([hidden])")).to_have_count(12)
        page.keyboard.press("Tab")
        expect(page.get_by_text("Skip to the content")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_role("main")).to_be_focused()
        page.get_by_role("grid").focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_contain_text("d-emulated-00002")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_no_view_is_wider_than_its_window(
    browser: Browser, site: str, width: int, scheme: Scheme
) -> None:
    views = ["", "twins", f"twins/{TWIN}", "events", "decisions", "health"]
    for view in views:
        with looking(browser, f"{site}#/{view}", width=width, scheme=scheme) as page:
            expect(page.locator("#link")).to_have_text("Live")
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"{view}: {wide} px"


def test_long_names_and_long_waits_stay_within_a_telephone(browser: Browser, site: str) -> None:
    """The real answers of the cloud with the longest names there can be, and then none at all."""
    things = httpx.get(f"{site}api/2/things?limit=200").json()
    for thing in things:
        described = thing["attributes"]["description"]
        described["title"] = "W" * 256
        thing["features"]["w" * 64] = {"properties": {"value": "W" * 500, "observed_ms": 1}}
        thing["features"]["huge"] = {"properties": {"value": 1e300, "observed_ms": 1}}
    edges = httpx.get(f"{site}api/v1/edges").json()
    renamed = [{**edge, "edge": "e-" + "w" * 62} for edge in edges]
    with looking(browser, f"{site}#/events", width=390) as page:
        page.route(re.compile("api/2/things.limit"), lambda route: route.fulfill(json=things))
        page.route(re.compile("api/v1/edges$"), lambda route: route.fulfill(json=renamed))
        page.reload()
        for view, named in {
            "": ".edge text",
            "twins": ".rows .row",
            f"twins/{TWIN}": "#target option",
            "health": ".processes tbody tr",
        }.items():
            page.goto(f"{site}#/{view}")
            expect(page.locator("#link")).to_have_text("Live")
            expect(page.locator(named).first).to_be_attached()
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, view
    with looking(browser, f"{site}#/health", width=390) as page:
        page.route(re.compile("/api/"), lambda route: route.abort())
        page.goto(site)
        page.reload()
        expect(page.get_by_text("Reading the edges")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


# --- what others write is only ever text -----------------------------------------------------


def test_a_page_of_another_site_cannot_drain_an_edge(site: str, rig: Rig) -> None:
    for server in (rig.cloud, rig.edges[0]):
        address = f"http://127.0.0.1:{server.settings['http']['port']}/api/v1/edges/e-1/drain"
        answer = httpx.post(address, headers={"origin": "https://elsewhere.example"})
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:diten:cross_site")


HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=2</script>'
TURNED = "a\u202egnp.exe\u2066\x9b\u200b"
SEEN = r"a\u202egnp.exe\u2066\u009b\u200b"


def test_what_a_device_says_of_itself_is_only_ever_text(browser: Browser, site: str) -> None:
    """The real answer of the cloud, in which devices have hostile titles."""

    def hostile(body: list[dict[str, object]]) -> list[dict[str, object]]:
        for number, thing in enumerate(body):
            thing["attributes"] = {"description": {"title": TURNED if number % 2 else HOSTILE}}
        return body

    with looking(browser, f"{site}#/health") as page:
        answer = httpx.get(f"{site}api/2/things?limit=200").json()
        page.route(
            re.compile("api/2/things.limit"), lambda route: route.fulfill(json=hostile(answer))
        )
        page.goto(f"{site}#/twins")
        page.reload()
        expect(page.get_by_text(HOSTILE).first).to_be_visible()
        expect(page.get_by_text(SEEN).first).to_be_visible()
        assert page.get_by_text("\u202e").count() == 0
        assert page.locator("main img, main script").count() == 0
        page.goto(f"{site}#/twins/{quote(HOSTILE, safe='')}")
        expect(page.get_by_text("There is no twin <img")).to_be_visible()
        assert page.locator("main img, main script").count() == 0


def test_ten_thousand_twins_are_a_few_dozen_rows(browser: Browser, site: str) -> None:
    """As many as a cloud would answer with, beside the dozen there are."""
    thing = {"epoch": 1, "_revision": 1, "attributes": {}, "features": {}}
    many = json.dumps([{**thing, "thingId": f"diten:d-{number:05d}"} for number in range(10_000)])
    with looking(browser, f"{site}#/health") as page:
        page.route(re.compile("api/2/things.limit"), lambda route: route.fulfill(body=many))
        page.goto(f"{site}#/twins")
        page.reload()
        expect(page.get_by_text(re.compile("of 10,012$"))).to_be_visible()
        assert page.locator(".rows .row").count() < 100
        page.get_by_role("grid").focus()
        page.keyboard.press("End")
        expect(page.get_by_text("d-emulated-00012").first).to_be_visible()
