"""Kill -9 of everything, under load: what devices were told is true, and stays true.

Three campaigns, each once for all tests here: every part in turn and then all together;
parts at random moments, also while others still recover; all together on the other broker.
"""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.audit import Audit
from tests.system import history
from tests.system.rig import Rig, running, wait_for
from twin_runtime.adapters.broker import Kind

pytestmark = pytest.mark.system

KILLS = 10
NEXT_KILL_S_MAX = 1.5
REPORTS_MIN = 500  # else there was no load


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one campaign left behind."""

    told_but_not_stored: dict[str, list[str]]  # by kill
    audit: Audit
    stores: list[Path]


def kill_in_turn(rig: Rig) -> dict[str, list[str]]:
    """Each part alone and then all at once, each time healed before the next."""
    unanswered = {}
    for names in [["d-agent"], ["e-1"], ["cloud"], ["broker"], list(rig.parts)]:
        rig.kill(*names)
        unanswered[" ".join(names)] = rig.told_but_not_stored()
        rig.start(*names)
        rig.await_progress()
    return unanswered


def kill_at_random(rig: Rig) -> dict[str, list[str]]:
    """Ten kills at random moments, whether or not the last one has healed."""
    unanswered = {}
    for number in range(KILLS):
        moment_s = time.monotonic() + random.uniform(0, NEXT_KILL_S_MAX)
        wait_for("the moment", lambda at_s=moment_s: time.monotonic() >= at_s)  # type: ignore[misc]
        names = random.sample(list(rig.parts), random.choice([1, 1, 2]))
        rig.kill(*names)
        unanswered[f"{number} {' '.join(names)} at {moment_s:.3f}"] = rig.told_but_not_stored()
        rig.start(*names)
    rig.await_progress()
    return unanswered


def kill_together(rig: Rig) -> dict[str, list[str]]:
    """All at once, once."""
    rig.kill()
    unanswered = {"all": rig.told_but_not_stored()}
    rig.start()
    rig.await_progress()
    return unanswered


Campaign = tuple[Kind, Callable[[Rig], dict[str, list[str]]]]
CAMPAIGNS: dict[str, Campaign] = {
    "in-turn": ("mosquitto", kill_in_turn),
    "at-random": ("mosquitto", kill_at_random),
    "together-on-nats": ("nats", kill_together),
}


@pytest.fixture(scope="module", params=CAMPAIGNS)
def evidence(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Evidence]:
    broker, campaign = CAMPAIGNS[request.param]
    with running(tmp_path_factory.mktemp("rig"), broker=broker) as rig:
        unanswered = campaign(rig)
        rig.drain()
        yield Evidence(unanswered, rig.stop(), rig.edge_stores())


def test_g1_what_a_device_was_told_is_on_an_edge_s_disk_after_kill_9(evidence: Evidence) -> None:
    assert evidence.told_but_not_stored
    assert {kill: found for kill, found in evidence.told_but_not_stored.items() if found} == {}


def test_g1_no_acknowledged_report_is_lost_to_kill_9(evidence: Evidence) -> None:
    assert evidence.audit.lost == 0, evidence.audit.examples
    assert evidence.audit.compared > REPORTS_MIN


def test_g1_all_that_was_measured_is_applied_and_stable_in_the_end(evidence: Evidence) -> None:
    found = evidence.audit
    assert found.produced == found.applied == found.stable > REPORTS_MIN


def test_g2_no_report_counts_twice_after_kill_9(evidence: Evidence) -> None:
    assert evidence.audit.twice == 0, evidence.audit.examples


def test_g2_reports_count_in_the_order_of_their_measurement(evidence: Evidence) -> None:
    assert history.out_of_order(evidence.stores) == []


def test_g2_what_was_applied_is_what_was_measured(evidence: Evidence) -> None:
    assert history.not_as_measured(evidence.stores) == []
