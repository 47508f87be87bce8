"""One small site for the tests of a module, and one browser to look at the page with."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser.chromium import launched
from tests.system.rig import Rig, started

EDGES_AT = ({"x_m": 20.0, "y_m": 20.0}, {"x_m": 80.0, "y_m": 60.0})


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Two edges with positions, and a dozen devices that are carried about between them."""
    made = Rig(tmp_path_factory.mktemp("site", numbered=True), devices=12, period_s=0.5)
    made.agent.settings["source"]["kind"] = "walking"
    for edge, place in zip(made.edges, EDGES_AT, strict=True):
        edge.settings["position"] = place
    with started(made):
        yield made


@pytest.fixture(scope="module")
def browser(rig: Rig) -> Iterator[Browser]:
    """After the rig, which starts its broker by a loop of its own: while Playwright is open, its
    loop is the running one. So neither may outlive the module."""
    yield from launched()


@pytest.fixture
def site(rig: Rig) -> str:
    """The address of the page."""
    return f"http://127.0.0.1:{rig.cloud.settings['http']['port']}/"
