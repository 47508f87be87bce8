"""How soon the page shows a fleet: `python -m tests.browser ADDRESS [LOADS]`.

    first paint   the first text on the screen (`first-contentful-paint`)
    a row         the first twin on the screen, where the table of twins is looked at
    all twins     every twin that the cloud has is known, and counted on the screen
    blocked       of ten seconds, how long tasks of more than 50 ms kept the page from answering

The numbers are the browser's own (Performance API). Each load has a browser context of its
own, so that nothing is cached.
"""

import shutil
import statistics
import sys

from playwright.sync_api import Browser, sync_playwright

LOADS = 5
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


def loaded(browser: Browser, address: str) -> dict[str, float]:
    """The marks of one load in ms, and how long the page was blocked afterwards."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.add_init_script(_WATCH)
    page.goto(f"{address.rstrip('/')}/#/twins")
    page.wait_for_selector("#link[data-state=live]")
    before: float = page.evaluate("blocked")
    page.wait_for_timeout(LOOK_MS)
    marks: dict[str, float] = page.evaluate(_MARKS)
    marks["blocked"] = page.evaluate("blocked") - before
    marks["twins"] = page.evaluate(_TWINS)
    context.close()
    return marks


def main(address: str, loads: int = LOADS) -> None:
    with sync_playwright() as playwright:
        path = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        found = [loaded(browser, address) for _ in range(loads)]
        browser.close()
    print(f"{found[-1]['twins']:.0f} twins, {loads} loads (median; slowest)")
    for name, mark in (
        ("first paint", "first-contentful-paint"),
        ("a row", "diten-row"),
        ("all twins", "diten-all-twins"),
        ("blocked", "blocked"),
    ):
        times = [each[mark] for each in found]
        print(f"{name:12} {statistics.median(times):6.0f} ms {max(times):6.0f} ms")


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
