"""How soon the page shows a fleet, in a browser: Debian's Chromium without a screen.

    first paint   the first text on the screen (`first-contentful-paint`)
    a row         the first twin on the screen, where the table of twins is looked at
    all twins     every twin that the cloud has is known, and counted on the screen
    blocked       of the time looked at, how long tasks of more than 50 ms kept the page from
                  answering

The numbers are the browser's own (Performance API). Each load has a browser context of its
own, so that nothing is cached.
"""

import shutil
import statistics

from playwright.sync_api import Browser, sync_playwright

from benchmarks.runtime.target import Bar, Target

LOOK_MS = 10_000

_WATCH = """
window.blocked = 0;
new PerformanceObserver((list) => list.getEntries().forEach((each) => (blocked += each.duration)))
  .observe({ type: 'longtask', buffered: true });
addEventListener('DOMContentLoaded', () => new MutationObserver((_, observer) => {
  if (!document.querySelector('.rows .row a')) return;
  performance.mark('diten-row');
  observer.disconnect();
}).observe(document, { childList: true, subtree: true }));
"""
_MARKS = """
Object.fromEntries(performance.getEntries().filter(({ entryType }) => ['mark', 'paint']
  .includes(entryType)).map(({ name, startTime }) => [name, startTime]))
"""
_TWINS = "Number(document.querySelector('.bar .quiet').textContent.split(' ')[2].replace(',', ''))"


def target(address: str, times: int, look_ms: int = LOOK_MS) -> Target:
    """The first paint of the page at `address`; without Chromium a figure that is no number."""
    bar = Bar("<=", 1.0)
    if shutil.which("chromium") is None:
        return Target("api/page", float("nan"), "s", bar, "needs Chromium: apt install chromium")
    found = loads(address, times, look_ms)
    return Target("api/page", middle_s(found, "first-contentful-paint"), "s", bar, (
        f"to the first paint with {found[-1]['twins']:.0f} twins, a row in"
        f" {middle_s(found, 'diten-row'):.2f} s, all in {middle_s(found, 'diten-all-twins'):.2f} s;"
        f" {times} loads"
    ))  # fmt: skip


def middle_s(found: list[dict[str, float]], mark: str) -> float:
    return statistics.median(each[mark] for each in found) / 1000


def loads(address: str, times: int, look_ms: int = LOOK_MS) -> list[dict[str, float]]:
    """The marks of so many loads in ms, with `blocked`, and how many `twins` were there."""
    with sync_playwright() as playwright:
        path = shutil.which("chromium")
        # As root, which containers are, there is no sandbox to be had.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        found = [_load(browser, address, look_ms) for _ in range(times)]
        browser.close()
    return found


def _load(browser: Browser, address: str, look_ms: int) -> dict[str, float]:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.add_init_script(_WATCH)
    page.goto(f"{address.rstrip('/')}/#/twins")
    page.wait_for_selector("#link[data-state=live]")
    before: float = page.evaluate("blocked")
    page.wait_for_timeout(look_ms)
    marks: dict[str, float] = page.evaluate(_MARKS)
    marks["blocked"] = page.evaluate("blocked") - before
    marks["twins"] = page.evaluate(_TWINS)
    context.close()
    return marks
