"""What the page says where there is nothing to show, not yet, or no longer: a site that begins
with a broker and a cloud alone, and answers that are late, broken or missing."""

import re
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.chromium import looking
from tests.browser.conftest import EDGES_AT
from tests.browser.contrast import too_faint
from tests.system.rig import Rig, wait_for
from twin_runtime.adapters.bench_figures import FILE, keep

pytestmark = [pytest.mark.browser, pytest.mark.system]


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A site of which only the broker and the cloud were started."""
    made = Rig(tmp_path_factory.mktemp("bare", numbered=True), devices=3, period_s=0.5)
    made.edges[0].settings["position"] = EDGES_AT[0]
    try:
        made.start("broker", "cloud")
        wait_for("the cloud is connected", made.cloud.is_connected)
        yield made
    finally:
        made.end()


READING = {
    "": "Reading the twins …",
    "twins": "Reading the twins …",
    "twins/d-nowhere": "Reading the twin …",
    "events": "Reading the events …",
    "decisions": "Reading the decisions …",
    "health": "Reading the numbers …",
}


def banner(page: Page) -> str:
    """What is said of the connection, once something is."""
    expect(page.get_by_role("alert")).to_be_visible()
    return page.get_by_role("alert").inner_text()


@pytest.mark.parametrize("part", ["main.js", "fleet.js"])
def test_a_page_of_which_a_part_did_not_come_loads_again_by_itself(
    browser: Browser, site: str, part: str
) -> None:
    with looking(browser, f"{site}#/nowhere") as page:
        asked: list[str] = []

        def lose_the_first(route: Route) -> None:
            asked.append(route.request.method)
            if len(asked) == 1:
                route.abort()
            else:
                route.continue_()

        page.route(f"**/web/{part}", lambda route: route.abort())
        page.reload()
        page.unroute(f"**/web/{part}")
        # The cloud stays away for a moment.
        page.route(re.compile(f"^{site}(#.*)?$"), lose_the_first)
        expect(page.locator("#link")).to_contain_text("did not come")
        expect(page.locator("#link")).to_have_text("Live")
    assert asked == ["HEAD", "HEAD", "GET"]  # it does not leave for a page that is not there


def test_a_new_site_says_what_is_missing_and_fills_as_its_parts_arrive(
    browser: Browser, site: str, rig: Rig
) -> None:
    with looking(browser, site) as page:
        expect(page.get_by_text("No twins yet")).to_be_visible()
        expect(page.get_by_text("diten device run")).to_be_visible()
        expect(page.get_by_text("No edge has said hello yet.")).to_be_visible()
        expect(page.get_by_text("Nothing yet: moves, failovers")).to_be_visible()
        expect(page.locator(".site-map")).to_be_hidden()
        for view, said in {
            "twins": "No twins yet",
            "twins/d-nowhere": "There is no twin d-nowhere",
            "events": "Nothing has happened yet",
            "decisions": "No decision yet",
        }.items():
            page.goto(f"{site}#/{view}")
            expect(page.get_by_text(said)).to_be_visible()
        page.goto(f"{site}#/health")
        expect(page.get_by_label("Processes").locator("tbody tr")).to_have_count(1)
        page.goto(f"{site}#/")
        rig.start("e-1")
        edges = page.get_by_label("Edges").locator("tbody tr")
        expect(edges.locator("td").nth(0)).to_have_text("serving")
        expect(edges.locator("td").nth(3)).to_have_text("0 %")
        expect(page.get_by_text("No twins yet")).to_be_visible()
        rig.start("d-agent")
        expect(page.get_by_text("No twins yet")).to_have_count(0)
        expect(edges.locator("td").nth(3)).to_have_text("100 %")
        expect(page.get_by_text("d-emulated-00003 is new, and given to e-1")).to_be_visible()


@pytest.mark.parametrize("view", READING)
def test_a_view_says_that_it_waits_for_answers_and_goes_on_with_them(
    browser: Browser, site: str, view: str
) -> None:
    def hold(_route: Route) -> None:
        """No answer, until the route is taken away."""

    with looking(browser, f"{site}web/icon.svg") as page:
        page.route(re.compile("/api/|/metrics$"), hold)
        page.goto(f"{site}#/{view}")
        expect(page.get_by_text(READING[view]).first).to_be_visible()
        expect(page.locator("#link")).to_have_text("Loading …")
        page.unroute_all(behavior="ignoreErrors")
        expect(page.locator("#link")).to_have_text("Live")
        expect(page.get_by_text(READING[view])).to_have_count(0)


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "no JSON": ({"body": "<html>an error of some proxy"}, "it is no JSON"),
    "half of one": ({"body": '[{"edge": "e-'}, "it is no JSON"),
    "a proxy without its server": ({"status": 502, "body": "<html>"}, "Bad Gateway (502)"),
    "a refusal": ({"status": 503, "json": {"detail": "Full disk."}}, "Full disk. (503)"),
}  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_answer_is_said_in_words_and_what_comes_after_it_is_read(
    browser: Browser, site: str, broken: str
) -> None:
    answer, said = BROKEN[broken]
    with looking(browser, site) as page:
        reports = page.locator(".totals div", has_text=re.compile("^Reports")).locator("dd").first
        expect(reports).to_have_text(re.compile(r"\d"))
        page.route(re.compile("api/v1/edges$"), lambda route: route.fulfill(**answer))
        expect(page.locator("#link")).to_have_text("Disconnected")
        expect(reports).to_have_text("–")  # nobody knows
        assert said in banner(page)
        assert "trying again by itself" in banner(page)
        page.unroute_all()
        expect(page.locator("#link")).to_have_text("Live")
        expect(page.get_by_role("alert")).to_be_hidden()


def test_decisions_that_cannot_be_read_are_said_not_to_be_until_they_can(
    browser: Browser, site: str
) -> None:
    with looking(browser, f"{site}#/health") as page:
        page.route(
            re.compile("api/v1/decisions"),
            lambda route: route.fulfill(status=503, json={"detail": "The log is away."}),
        )
        page.goto(f"{site}#/decisions")
        expect(page.get_by_text("The decisions could not be read")).to_be_visible()
        expect(page.get_by_text("The log is away. (503)")).to_be_visible()
        page.unroute_all()
        expect(page.get_by_text("No decision yet")).to_be_visible()


def test_numbers_that_cannot_be_read_are_said_not_to_be_until_they_can(
    browser: Browser, site: str
) -> None:
    with looking(browser, f"{site}#/events") as page:
        expect(page.locator("#link")).to_have_text("Live")
        page.route(re.compile("/metrics$"), lambda route: route.abort())
        page.goto(f"{site}#/health")
        expect(page.get_by_text("The numbers could not be read")).to_be_visible()
        page.unroute_all()
        expect(page.get_by_label("Processes")).to_contain_text("ready")


def test_what_was_measured_is_shown_beside_its_bar_and_its_date(
    browser: Browser, site: str, rig: Rig
) -> None:
    kept_at = rig.cloud.folder / FILE
    with looking(browser, f"{site}#/health") as page:
        figures = page.get_by_label("Benchmark")
        expect(figures).to_contain_text("Nothing measured yet")
        expect(figures).to_contain_text("diten bench --keep DIR")
        said = {"unit": "s", "bar": "<= 1", "against": "of 5 loads"}
        keep(rig.cloud.folder, {"name": "api/page", "value": 0.38, "met": True, **said}, 1)
        keep(rig.cloud.folder, {"name": "api/edit", "value": 2.0, "met": False, **said}, 1)
        keep(rig.cloud.folder, {"name": "api/row", "value": None, "met": False, **said}, 1)
        page.reload()
        rows = figures.locator("tbody tr")
        expect(rows).to_have_text(
            [
                re.compile(r"^api/page0.38\ss≤\s1\ssmet19(69|70)-\d\d-\d\d .*of 5 loads$"),
                re.compile(r"^api/edit2\ss≤\s1\ssnot met19"),
                re.compile(r"^api/row–≤\s1\ssnot measured19"),
            ]
        )
        assert too_faint(page) == []
        wordy = {"unit": "of stop-and-copy", "bar": "<= 1.2e+04", "against": "8 twins"}
        named = "move/pause with blobs"
        keep(rig.cloud.folder, {"name": named, "value": 12345.0, "met": True, **wordy}, 1)
        page.set_viewport_size({"width": 390, "height": 844})
        page.reload()
        expect(rows.last).to_contain_text("12,345\u00a0of stop-and-copy")
        expect(rows.last).to_contain_text("≤\u00a012,000\u00a0of stop-and-copy")
        heads = figures.locator("tbody th")
        heights = heads.evaluate_all("all => all.map(({ offsetHeight }) => offsetHeight)")
        assert max(heights) < 2 * min(heights), "a name has a line of its own"
        kept_at.write_text("half of it")
        page.reload()
        expect(figures).to_contain_text("The figures could not be read")
        expect(figures).to_contain_text("bench.json in the data_dir cannot be read: remove it")
    kept_at.unlink()


def test_a_view_that_cannot_be_loaded_says_what_to_do(browser: Browser, site: str) -> None:
    with looking(browser, site) as page:
        page.route(re.compile("/web/events.js"), lambda route: route.abort())
        page.goto(f"{site}#/events")
        page.reload()
        expect(page.get_by_text("This view could not be loaded")).to_be_visible()
        expect(page.get_by_text("Load the page again.")).to_be_visible()
        page.unroute_all()
        page.reload()
        expect(page.get_by_role("heading", level=1, name="Events")).to_be_visible()


def test_a_cloud_with_another_store_is_another_site_and_the_page_begins_anew(
    browser: Browser, site: str
) -> None:
    """The same store in another life, to which a stream that broke off goes on, is the same."""
    thing = '{"thingId": "diten:d-1", "epoch": 1, "_revision": 1, "features": {}}'
    stream = {"content_type": "text/event-stream", "headers": {"Cache-Control": "no-store"}}
    store, lives = "one", count()

    def changes(route: Route) -> None:
        event = f"retry: 50\nid: {store}-{next(lives)}:1\ndata: {thing}\n\n"
        route.fulfill(body=event, **stream)  # type: ignore[arg-type]

    with looking(browser, f"{site}#/health") as page:
        page.route(re.compile("api/2/things.fields"), changes)
        page.goto(site)
        page.reload()
        page.evaluate("document.body.dataset.was = 'here'")
        with page.expect_request(re.compile("api/2/things.fields")):
            pass
        expect(page.locator("body[data-was]")).to_have_count(1)
        store = "two"
        expect(page.locator("body[data-was]")).to_have_count(0)


def test_an_address_that_names_no_view_says_so(browser: Browser, site: str) -> None:
    with looking(browser, f"{site}#/nowhere") as page:
        expect(page.get_by_text("There is no such view")).to_be_visible()
        page.goto(f"{site}#/twins/%E0%A4%A")  # no text in any encoding
        expect(page.get_by_text("This view could not be loaded")).to_be_visible()
