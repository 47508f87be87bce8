"""Links that are cut, late, narrow or end in a bad way while twins move; and meanwhile, for a
minute, an owner that stands still and was given up."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.system.links import Links, links
from tests.system.moving import await_settled, call, ended_well, moving, placements
from tests.system.rig import Rig, metric, started, wait_for
from twin_runtime.adapters.link_proxy import Link

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

DEVICES = 24
PERIOD_S = 0.2
FAULT_S = 2.5
STANDSTILL_S = 60.0  # longer than a broker waits for a sign of life (KEEPALIVE_S, and half of it)
MOVES_MIN = 50

HELD = Link(fate="held")
SWALLOWED = Link(fate="swallowed")
PERFECT = Link()


def cut(up: Link, down: Link) -> Callable[[Links, Rig, str], None]:
    """Both directions of one process's link are like this for a while."""

    def fault(wires: Links, _: Rig, victim: str) -> None:
        wires.set(victim, up, down)
        pass_by(FAULT_S)
        wires.set(victim)

    return fault


def resets(wires: Links, _: Rig, victim: str) -> None:
    for _attempt in range(5):
        wires.reset(victim)
        pass_by(FAULT_S / 5)


def slow_close(wires: Links, rig: Rig, victim: str) -> None:
    """The broker hears late that a process was killed, when another has its name already."""
    wires.set(victim, up=Link(close_delay_s=FAULT_S))
    rig.kill(victim)
    rig.start(victim)
    pass_by(FAULT_S)
    wires.set(victim)


def amnesia(_: Links, rig: Rig, __: str) -> None:
    rig.kill("broker")
    rig.start("broker")
    pass_by(FAULT_S)


FAULTS = {
    "cut both ways": cut(HELD, HELD),
    "cut upwards": cut(HELD, PERFECT),
    "cut downwards": cut(PERFECT, HELD),
    "swallowed both ways": cut(SWALLOWED, SWALLOWED),
    "swallowed upwards": cut(SWALLOWED, PERFECT),
    "swallowed downwards": cut(PERFECT, SWALLOWED),
    "late": cut(Link(latency_s=0.1, jitter_s=0.3), Link(latency_s=0.1, jitter_s=0.3)),
    "narrow": cut(Link(bandwidth_bytes_per_s=20_000), Link(bandwidth_bytes_per_s=20_000)),
    "closed in mid-packet": cut(Link(closes_after_bytes=9_999), Link(closes_after_bytes=9_999)),
    "resets": resets,
    "slow close": slow_close,
    "broker amnesia": amnesia,
}


def pass_by(duration_s: float) -> None:
    ends_s = time.monotonic() + duration_s
    wait_for("the moment", lambda: time.monotonic() >= ends_s)


def owned_by(rig: Rig, edge: str) -> list[str]:
    return [twin for twin, place in placements(rig).items() if place["owner"] == edge]


@contextmanager
def wired(tmp_path: Path) -> Iterator[tuple[Rig, Links]]:
    with links() as wires:
        rig = Rig(tmp_path, devices=DEVICES, period_s=PERIOD_S, edges=3)
        for process in (rig.agent, rig.cloud, *rig.edges):
            wires.lead(process, rig)
        with started(rig):
            yield rig, wires


def test_g4_moves_end_whatever_links_do_and_an_owner_that_stood_still_does_no_harm(
    tmp_path: Path,
) -> None:
    with wired(tmp_path) as (rig, wires):
        zombie = rig.edges[2]
        began_s = time.monotonic()
        zombie.send_signal(signal.SIGSTOP)
        call(rig, zombie.name, "lost")
        wait_for("its twins are elsewhere", lambda: not owned_by(rig, zombie.name))
        accepted = 0
        for number, (name, fault) in enumerate(FAULTS.items()):
            victim = ("e-1", "cloud", "e-2", "d-agent")[number % 4]
            with moving(rig, ["e-1", "e-2"]) as moves:
                fault(wires, rig, victim)
            accepted += moves.accepted
            assert rig.told_but_not_stored() == [], f"{name} at {victim}"
            await_settled(rig, f"{name} at {victim} is over", but=zombie.name)
        assert accepted >= MOVES_MIN
        wait_for("a minute has passed", lambda: time.monotonic() >= began_s + STANDSTILL_S, 60.0)
        zombie.send_signal(signal.SIGCONT)
        await_settled(rig)
        assert metric(rig.cloud, "diten_fenced_total") > 0
        counts = ended_well(rig)
        assert counts["fenced_total/ack"] > 0, "no device has heard the former owner"
