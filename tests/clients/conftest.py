"""One small site for all clients: two edges and a cloud that want a token for writes."""

from collections.abc import Iterator

import pytest

from tests.clients.site import TOKEN, Site
from tests.system.rig import Rig, started


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    rig = Rig(tmp_path_factory.mktemp("site", numbered=True), devices=8, period_s=0.5)
    for server in (*rig.edges, rig.cloud):
        server.settings["http"]["token"] = TOKEN
    with started(rig):
        yield Site(rig)
