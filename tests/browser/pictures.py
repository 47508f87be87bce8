"""The pictures of the documentation, taken of a site that runs:

    diten up --mobility --devices 40
    python -m tests.browser.pictures http://127.0.0.1:8420

Nothing in them is made up. Those of a terminal are what its commands wrote, just now. Before
they are committed they are made small: 192 colours are enough (`pngquant 192`).
"""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from tests.browser.chromium import Scheme, launched, looking

FOLDER = Path(__file__).parents[2] / "docs" / "images"
TWIN = "d-vm"  # a host that is a virtual machine; elsewhere d-host
CORE = "d-core-0"
THINGS = "http://127.0.0.1:8420/api/2/things"
STREAM = "curl -sN -m 3 -H 'Accept: text/event-stream'"
FIELDS = "'?fields=_revision,features/cpu_load_ratio/properties'"
DESIRED = "features/sample_period_s/desiredProperties"
Act = Callable[[Page], None]
TERMINAL = """
body { margin: 0; background: #131518; }
pre { margin: 0; padding: 14px 18px; font: 13px/1.5 "DejaVu Sans Mono", monospace; color: #e4e6e9;
      white-space: pre-wrap; overflow-wrap: anywhere; }
b { color: #7ab3ff; font-weight: 400; }
"""


def main(address: str) -> None:
    """Take all of them."""
    of_pages: tuple[tuple[str, str, int, int, Scheme, Act], ...] = (
        ("page-overview", "", 1440, 800, "light", until_moved),
        ("page-twin", f"twins/{TWIN}", 1440, 860, "dark", wanted),
        ("page-health", "health", 1440, 1060, "light", until_measured),
        ("page-twins-phone", "twins", 390, 844, "light", until_live),
        ("page-overview-phone", "", 390, 844, "dark", until_moved),
    )
    for browser in launched():
        for name, view, width, height, scheme, act in of_pages:
            shown = looking(
                browser, f"{address}/#/{view}", width=width, height=height, scheme=scheme
            )
            with shown as page:
                until_live(page)
                act(page)
                page.screenshot(path=FOLDER / f"{name}.png")
        thing = f"{THINGS}/{CORE}"
        of_terminal(browser, FOLDER / "api-desired.png", *map(ran, (
            f"curl {thing}/features/cpu_load_ratio",
            f"curl -i -X PUT -d 2 -H 'Content-Type: application/json' {thing}/{DESIRED}/value",
            f"sleep 3; curl {thing}/features/sample_period_s",
        )))  # fmt: skip
        heard = ran(f"{STREAM} {thing}{FIELDS}")
        resumed = ran(f"{STREAM} -H 'Last-Event-ID: {last_id(heard[1])}' {thing}{FIELDS}")
        of_terminal(browser, FOLDER / "clients-curl.png", heard, resumed)


def until_live(page: Page) -> None:
    """Wait for the cloud's answers."""
    expect(page.locator("#link")).to_have_text("Live")


def until_moved(page: Page) -> None:
    """Wait for twins that have just moved."""
    expect(page.locator("path.moved")).to_have_attribute("d", re.compile("^M"))


def wanted(page: Page) -> None:
    """Want something of the device, and see it done; another feature is charted."""
    row = page.locator("tbody tr", has_text="sample_period_s")
    page.get_by_role("button", name="memory_used_bytes").click()
    row.get_by_role("button", name="Set sample_period_s").click()
    page.get_by_label("New value of sample_period_s").fill("0.8")
    page.keyboard.press("Enter")
    expect(row.locator('[aria-current="step"]')).to_have_text("done")


def until_measured(page: Page) -> None:
    """Wait for the first rates, and for what `diten bench` measured."""
    rates = page.locator("tr", has_text="e-3").locator('[data-title="CPU"]')
    expect(rates).to_contain_text("%")
    expect(page.get_by_label("Benchmark").locator("tr").first).to_be_visible()


def of_terminal(browser: Browser, path: Path, *typed: tuple[str, str]) -> None:
    """What a terminal shows of commands and what they wrote."""
    page = browser.new_page(viewport={"width": 900, "height": 100})
    page.set_content(f"<style>{TERMINAL}</style><pre></pre>")
    page.evaluate(_TYPE, typed)
    page.locator("pre").screenshot(path=path)
    page.close()


_TYPE = """(typed) => {
  for (const [command, said] of typed) {
    const line = document.createElement('b');
    line.textContent = `$ ${command}\n`;
    document.querySelector('pre').append(line, `${said.trim()}\n\n`);
  }
}"""


def ran(command: str) -> tuple[str, str]:
    """A command and what it wrote; curl ends with an error where it stops listening."""
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    return command, done.stdout.replace("\r", "")


def last_id(stream: str) -> str:
    """The last event's number in what curl wrote."""
    return [line for line in stream.splitlines() if line.startswith("id: ")][-1].removeprefix(
        "id: "
    )


if __name__ == "__main__":
    main(sys.argv[1].rstrip("/"))
