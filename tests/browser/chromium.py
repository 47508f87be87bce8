"""Debian's Chromium, driven by Playwright, and what a page that is looked at must never do."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Route, expect, sync_playwright

SHOWN_MS = 20_000  # noisy machines: an idle one shows a change within a second
expect.set_options(timeout=SHOWN_MS)
Scheme = Literal["light", "dark"]
# What Chromium says of a request that was refused or could not be made, which tests provoke.
_NETWORK = "Failed to load resource"


def launched() -> Iterator[Browser]:
    """The body of a fixture: a browser, or a skip where there is none."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("needs chromium: apt install chromium")
    with sync_playwright() as playwright:
        # As root, which containers are, there is no sandbox to be had.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def looking(
    browser: Browser,
    address: str,
    *,
    width: int = 1440,
    height: int = 900,
    scheme: Scheme = "light",
) -> Iterator[Page]:
    """A page at `address`; nothing it does may be an error, or against its own policy."""
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    page.set_default_timeout(SHOWN_MS)
    wrong: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not message.text.startswith(_NETWORK):
            wrong.append(message.text)

    page.on("console", heard)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(address)
    try:
        yield page
    finally:
        page.close()
    assert wrong == []


def guard_commands(page: Page) -> None:
    """Let commands of `page` want the token `open-sesame`, as the API says it: 401 without."""

    def guarded(route: Route) -> None:
        if route.request.headers.get("authorization") == "Bearer open-sesame":
            route.continue_()
        else:
            route.fulfill(status=401, json={"status": 401, "message": "A token is needed."})

    page.route(re.compile("inbox/messages"), guarded)
