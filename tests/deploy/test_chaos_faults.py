"""What may be done to a running system, and that a seed repeats it."""

import itertools
import random
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.chaos_faults import FILL_DISK_BYTES_MAX, KINDS, LASTS_S_MAX, Choice, choose, schedule
from deploy.system_file import Part, ProcessName, System
from twin_runtime.core.errors import InvalidConfiguration

NOBODY = ProcessName(1, 1, "nobody")
CHOICE = Choice({"kill": ("e-1", "cloud"), "pause": ("broker",)}, ())


@pytest.fixture
def system(tmp_path: Path) -> System:
    parts = tuple(
        Part(identity, module, str(tmp_path), 0, None)
        for identity, module in (("cloud", "cloud"), ("e-1", "edge_node"), ("broker", "broker"))
    )
    return System("", NOBODY, "127.0.0.1", 1883, 8420, links=False, parts=parts)


def disks_of(size_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.chaos_faults.disk_bytes", lambda _: size_bytes)


def test_the_same_seed_breaks_the_same_things_at_the_same_times() -> None:
    first, again, other = (
        schedule(random.Random(seed), CHOICE, duration_s=60, every_s=2) for seed in (5, 5, 6)
    )
    assert first == again
    assert first != other


def test_faults_come_about_as_often_as_asked_and_end_in_time() -> None:
    faults = schedule(random.Random(1), CHOICE, duration_s=600, every_s=2)
    assert 240 <= len(faults) <= 360
    assert all(0 < fault.lasts_s <= LASTS_S_MAX and fault.at_s < 600 for fault in faults)
    assert {str(fault) for fault in faults} == {"kill e-1", "kill cloud", "pause broker"}


def test_nothing_is_paused_while_it_is_paused() -> None:
    faults = schedule(random.Random(1), CHOICE, duration_s=600, every_s=2)
    pauses = [fault for fault in faults if fault.kind == "pause"]
    assert len(pauses) > 50
    assert all(
        before.at_s + before.lasts_s < after.at_s
        for before, after in itertools.pairwise(pauses)  # all of them of the broker
    )


def test_without_a_reachable_kind_nothing_is_broken() -> None:
    assert schedule(random.Random(1), Choice({}, ()), duration_s=60, every_s=1) == []


def test_a_kind_that_cannot_be_is_left_out_with_its_reason(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    disks_of(FILL_DISK_BYTES_MAX + 1, monkeypatch)
    found = choose(system, (), ())
    assert set(found.roles) == {"kill", "pause", "restart"}
    assert found.roles["kill"] == ("cloud", "e-1", "broker")
    assert len(found.left_out) == 2
    assert "start the system with `diten up --links`" in found.left_out[0]
    assert "fill needs a disk of at most 256 MiB" in found.left_out[1]


def test_a_kind_that_was_asked_for_and_cannot_be_is_an_error(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    disks_of(FILL_DISK_BYTES_MAX + 1, monkeypatch)
    with pytest.raises(InvalidConfiguration, match="mount -t tmpfs -o size=32m tmpfs"):
        choose(system, ("kill", "fill"), ())
    with pytest.raises(InvalidConfiguration, match="diten up --links"):
        choose(system, ("partition",), ())


def test_links_and_small_disks_can_be_broken_and_a_broker_has_neither(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    disks_of(FILL_DISK_BYTES_MAX, monkeypatch)
    found = choose(replace(system, links=True), (), ())
    assert set(found.roles) == set(KINDS)
    assert found.roles["partition"] == found.roles["fill"] == ("cloud", "e-1")
    assert found.left_out == ()


def test_only_the_roles_that_were_named_are_touched(system: System) -> None:
    assert choose(system, ("kill",), ("e-1",)).roles == {"kill": ("e-1",)}
    with pytest.raises(InvalidConfiguration, match="--roles e-9: this system has cloud, e-1"):
        choose(system, ("kill",), ("e-9",))
