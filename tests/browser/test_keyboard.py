"""The live page without a pointer: every test here presses keys and nothing else."""

import re
from urllib.parse import unquote

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.chromium import guard_commands, looking

pytestmark = [pytest.mark.browser, pytest.mark.system]

TWIN = "d-emulated-00001"
TABS_MAX = 60  # more than any view has places to stop at


def tab_to(page: Page, goal: Locator, key: str = "Tab") -> None:
    """Press Tab until `goal` has the focus, which must be seen."""
    expect(goal).to_be_visible()
    for _ in range(TABS_MAX):
        page.keyboard.press(key)
        if goal.evaluate("it => it === document.activeElement"):
            assert goal.evaluate("it => getComputedStyle(it).outlineStyle") == "solid"
            return
    pytest.fail(f"{goal} is not reached by {key}")


def test_views_are_chosen_from_the_menu(browser: Browser, site: str) -> None:
    with looking(browser, site) as page:
        for name in ("Twins", "Events", "Decisions", "Health"):
            tab_to(page, page.get_by_role("navigation").get_by_role("link", name=name))
            page.keyboard.press("Enter")
            expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()
            expect(page.get_by_role("main")).to_be_focused()
            page.keyboard.press("Shift+Tab")


def test_a_desired_value_is_set_and_taken_back_and_the_focus_stays_where_one_was(
    browser: Browser, site: str
) -> None:
    with looking(browser, f"{site}#/twins/{TWIN}") as page:
        row = page.locator("tbody tr", has_text="sample_period_s")
        button = row.get_by_role("button", name="Set sample_period_s")
        field = page.get_by_label("New value of sample_period_s")
        tab_to(page, button)
        page.keyboard.press("Enter")
        expect(field).to_be_focused()
        page.keyboard.press("Escape")
        expect(field).to_have_count(0)
        expect(button).to_be_focused()
        page.keyboard.press("Space")
        page.keyboard.type("0.8")
        page.keyboard.press("Tab")
        expect(row.get_by_role("button", name="Send")).to_be_focused()
        page.keyboard.press("Tab")
        expect(row.get_by_role("button", name="Cancel")).to_be_focused()
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Enter")
        expect(row.locator('[aria-current="step"]')).to_have_text("done")
        expect(button).to_be_focused()
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(row.get_by_role("button", name="Want sample_period_s no more")).to_have_count(0)
        expect(button).to_be_focused()


def test_what_is_no_number_is_not_sent_and_can_be_mended_at_once(
    browser: Browser, site: str
) -> None:
    with looking(browser, f"{site}#/twins/{TWIN}") as page:
        tab_to(page, page.get_by_role("button", name="Set sample_period_s"))
        page.keyboard.press("Enter")
        page.keyboard.type("soon")
        page.keyboard.press("Enter")
        field = page.get_by_label("New value of sample_period_s")
        expect(field).to_be_focused()
        expect(field).to_have_value("soon")
        page.keyboard.press("Control+A")
        page.keyboard.type("0.5")
        page.keyboard.press("Enter")
        row = page.locator("tbody tr", has_text="sample_period_s")
        expect(row.locator('[aria-current="step"]')).to_have_text("done")


def test_a_device_is_commanded(browser: Browser, site: str) -> None:
    with looking(browser, f"{site}#/twins/{TWIN}") as page:
        commands = page.get_by_label("Commands")
        tab_to(page, commands.get_by_label("Command", exact=True))
        page.keyboard.type("sample_now")
        page.keyboard.press("Tab")
        page.keyboard.type("{}")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(commands.get_by_role("status")).to_contain_text("The device says: done")
        expect(commands.get_by_role("button", name="Send")).to_be_focused()


def test_the_dialog_for_a_token_keeps_the_focus_and_gives_it_back(
    browser: Browser, site: str
) -> None:
    with looking(browser, f"{site}#/twins/{TWIN}") as page:
        guard_commands(page)
        commands = page.get_by_label("Commands")
        send = commands.get_by_role("button", name="Send")
        tab_to(page, commands.get_by_label("Command", exact=True))
        page.keyboard.type("sample_now")
        tab_to(page, send)
        page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog", name="This write needs a token")
        expect(page.get_by_role("textbox", name="Token")).to_be_focused()
        for _ in range(8):
            page.keyboard.press("Tab")
            # Once round, the browser's own buttons have their turn: the page's body, to a script.
            assert page.evaluate("document.activeElement.closest('dialog, body').tagName") in {
                "DIALOG",
                "BODY",
            }
            assert not page.evaluate("document.activeElement.closest('main, header')")
        page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
        expect(send).to_be_focused()
        expect(commands.get_by_role("status")).to_contain_text("A token is needed.")
        page.keyboard.press("Enter")
        expect(page.get_by_role("textbox", name="Token")).to_be_focused()
        page.keyboard.type("open-sesame")
        page.keyboard.press("Enter")
        expect(commands.get_by_role("status")).to_contain_text("The device says: done")
        expect(send).to_be_focused()


def test_the_table_of_twins_is_searched_sorted_and_walked_through(
    browser: Browser, site: str
) -> None:
    with looking(browser, f"{site}#/twins") as page:
        grid = page.get_by_role("grid")
        rows = grid.locator(".rows .row:not([hidden])")
        expect(rows).to_have_count(12)
        tab_to(page, page.get_by_label("Search"))
        page.keyboard.type("0001")
        expect(rows).to_have_count(4)
        tab_to(page, grid)
        page.keyboard.press("End")
        chosen = grid.locator('[aria-selected="true"]')
        expect(chosen).to_contain_text("d-emulated-00012")
        assert grid.get_attribute("aria-activedescendant") == chosen.get_attribute("id")
        tab_to(page, grid.get_by_role("button", name="Twin"))
        page.keyboard.press("Enter")
        expect(rows.first).to_contain_text("d-emulated-00012")
        expect(chosen).to_contain_text("d-emulated-00012")
        page.keyboard.press("Shift+Tab")
        expect(grid).to_be_focused()
        page.keyboard.press("Home")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_contain_text("d-emulated-00012")
        page.go_back()
        expect(page.get_by_label("Search")).to_have_value("0001")


def test_the_map_is_walked_through_and_a_twin_on_it_opened(browser: Browser, site: str) -> None:
    with looking(browser, site) as page:
        expect(page.get_by_role("img", name=re.compile("12 twins"))).to_be_visible()
        chooser = page.get_by_role("application", name=re.compile("Arrow keys choose a twin"))
        said = page.get_by_label("Site").get_by_role("status")
        tab_to(page, chooser)
        seen = set()
        for key in ("ArrowLeft", "ArrowUp", "ArrowRight", "ArrowDown") * 4:
            page.keyboard.press(key)
            expect(said).to_have_text(re.compile(r"^d-emulated-\d{5}, live, at e-[12]$"))
            seen.add(said.inner_text().partition(",")[0])
        assert len(seen) > 2, seen
        page.keyboard.press("Escape")
        expect(said).to_have_text("")
        page.keyboard.press("ArrowRight")
        chosen = said.inner_text().partition(",")[0]
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_contain_text(chosen)
        assert unquote(page.url).endswith(f"#/twins/{chosen}")


def test_a_twin_is_moved(browser: Browser, site: str) -> None:
    with looking(browser, f"{site}#/twins/{TWIN}") as page:
        where = page.locator(".facts > div", has_text="Edge").locator("dd")
        target = {"e-1": "e-2", "e-2": "e-1"}[where.inner_text()]
        tab_to(page, page.get_by_label("To edge"))
        page.keyboard.type(target)
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(where).to_have_text(target)
        expect(page.get_by_role("button", name="Move")).to_be_focused()


def test_a_feature_is_charted_over_another_time(browser: Browser, site: str) -> None:
    with looking(browser, f"{site}#/twins/{TWIN}") as page:
        tab_to(page, page.get_by_role("button", name="temperature_c"))
        page.keyboard.press("Enter")
        expect(page.get_by_role("img", name=re.compile("^temperature_c: "))).to_be_visible()
        expect(page.get_by_role("button", name="temperature_c")).to_be_focused()
        hour = page.get_by_role("button", name="1 h", exact=True)
        tab_to(page, hour)
        page.keyboard.press("Space")
        expect(hour).to_have_attribute("aria-pressed", "true")


def test_all_numbers_of_a_process_are_opened(browser: Browser, site: str) -> None:
    with looking(browser, f"{site}#/health") as page:
        tab_to(page, page.get_by_text("All numbers"))
        page.keyboard.press("Enter")
        expect(page.get_by_text("diten_ready", exact=True)).to_be_visible()
        processes = page.get_by_label("of", exact=True)
        expect(processes.locator("option")).to_have_count(3)
        tab_to(page, processes)
        page.keyboard.type("e-1")
        link = page.get_by_role("link", name="as Prometheus reads them")
        expect(link).to_have_attribute("href", "/api/v1/edges/e-1/metrics")
