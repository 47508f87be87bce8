"""Changes as they happen, through the death of those who tell them."""

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.following import Follower, following, settled
from tests.system.moving import moving
from tests.system.rig import Rig, running, wait_for

pytestmark = pytest.mark.system


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with running(tmp_path, devices=6, period_s=0.1) as rig:
        yield rig


def comes_back(follower: Follower) -> None:
    """Wait until it is connected once more, and told something."""
    connections, things = follower.connections, dict(follower.things)
    wait_for("the follower is back", lambda: follower.connections > connections)
    wait_for("it is told something new", lambda: follower.things != things)


def knows_all(follower: Follower, things: dict[str, Any]) -> None:
    wait_for("the follower knows what a reader is answered", lambda: follower.things == things)


def test_a_follower_misses_no_final_state_though_who_tells_it_is_killed(rig: Rig) -> None:
    edge, cloud = rig.edges[0], rig.cloud
    with following(edge, cloud) as (at_edge, at_cloud):
        wait_for("all is known", lambda: len(at_cloud.things) == len(rig.devices))
        for _ in range(3):
            for part, follower in ((edge, at_edge), (cloud, at_cloud)):
                time.sleep(random.uniform(0.0, 0.5))  # in the middle of whatever it does
                rig.kill(part.name)
                rig.start(part.name)
                comes_back(follower)
        with moving(rig) as moves:
            moves.await_more(5)
            rig.kill(edge.name, cloud.name)
            rig.start(edge.name, cloud.name)
            comes_back(at_cloud)
        rig.drain()
        for part, follower in ((edge, at_edge), (cloud, at_cloud)):
            assert follower.resyncs >= 4, "each life of a process tells all anew"
            knows_all(follower, settled(part))
