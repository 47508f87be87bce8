"""Two small sites for the clients of a module: one wants a token for writes, one is open."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.clients.site import TOKEN, Site
from tests.system.rig import Rig, started, wait_for


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two edges and a cloud that want a token for writes."""
    rig = Rig(tmp_path_factory.mktemp("guarded", numbered=True), devices=8, period_s=0.5)
    for server in (*rig.edges, rig.cloud):
        server.settings["http"]["token"] = TOKEN
    with described(rig) as site:
        yield site


@pytest.fixture(scope="module")
def open_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One edge and a cloud where everybody may write."""
    folder: Path = tmp_path_factory.mktemp("open", numbered=True)
    with described(Rig(folder, devices=4, edges=1, period_s=0.5)) as site:
        yield site


@contextmanager
def described(rig: Rig) -> Iterator[Site]:
    """`rig`, once the cloud knows what each device is."""
    with started(rig):
        site = Site(rig)
        wait_for("all are described", lambda: all(map(site.is_described, rig.devices)))
        yield site
