"""One small site for all tests of the page, and one browser to look at it."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser.chromium import launched
from tests.system.rig import Rig, started

EDGES_AT = ({"x_m": 20.0, "y_m": 20.0}, {"x_m": 80.0, "y_m": 60.0})


@pytest.fixture(scope="package")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Two edges with positions, and a dozen devices that are carried about between them."""
    made = Rig(tmp_path_factory.mktemp("site", numbered=True), devices=12, period_s=0.5)
    made.agent.settings["source"]["kind"] = "walking"
    for edge, place in zip(made.edges, EDGES_AT, strict=True):
        edge.settings["position"] = place
    with started(made):
        yield made


@pytest.fixture(scope="package")
def browser(rig: Rig) -> Iterator[Browser]:
    """After the rig, which starts its broker by a loop of its own: Playwright holds one, too."""
    yield from launched()


@pytest.fixture
def site(rig: Rig) -> str:
    """The address of the page."""
    return f"http://127.0.0.1:{rig.cloud.settings['http']['port']}/"
