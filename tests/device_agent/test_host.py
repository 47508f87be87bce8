"""The host as devices, measured with the real psutil on the machine the tests run on."""

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from device_agent.choice import open_source
from device_agent.config import SourceConfig
from device_agent.host import HostSource, host_sensors
from device_agent.processes import Group, Processes, process_sensors, slug
from device_agent.sensors import Look, Slope
from twin_runtime.core.effects import Now, Sample
from twin_runtime.core.errors import InvalidConfiguration
from twin_runtime.core.ids import parse_twin_id
from twin_runtime.core.shape import accepts

Run = Callable[[Any], Any]


class SystemClock:
    def now(self) -> Now:
        return Now(time.monotonic(), time.time_ns() // 1_000_000)


async def lists(source: HostSource, count: int) -> list[tuple[float, list[Sample]]]:
    """The first lists, and when they came."""
    loop = asyncio.get_running_loop()
    found: list[tuple[float, list[Sample]]] = []
    async for batch in source.samples({}):
        found.append((loop.time(), batch))
        if len(found) == count:
            break
    return found


def look(after_s: float = 0.0) -> Look:
    now = SystemClock().now()
    return Look(Now(now.monotonic_s + after_s, now.wall_ms))


def start_nap(tmp_path: Path) -> "subprocess.Popen[bytes]":
    """A process of an executable that no other process runs."""
    path = tmp_path / "diten-nap"
    if not path.exists():
        shutil.copy(shutil.which("sleep") or "sleep", path)
    return subprocess.Popen([path, "60"])


@pytest.fixture
def nap(tmp_path: Path) -> "Iterator[subprocess.Popen[bytes]]":
    process = start_nap(tmp_path)
    yield process
    process.kill()
    process.wait()


def test_the_host_its_cores_and_its_largest_processes_are_devices(
    clock: Any, run_virtual: Run
) -> None:
    async def twins() -> list[str]:
        source = open_source(SourceConfig(kind="host"), "d-agent", 0, clock)
        return [device.twin for device in source.devices]

    found = run_virtual(twins())
    assert sum(twin.startswith("d-core-") for twin in found) == psutil.cpu_count()
    assert 1 <= sum(twin.startswith("d-process-") for twin in found) <= 4
    for twin in found:
        parse_twin_id(twin)


def test_a_board_reports_itself_only(clock: Any, run_virtual: Run) -> None:
    async def twins() -> list[str]:
        source = open_source(SourceConfig(kind="board"), "d-agent", 0, clock)
        return [device.twin for device in source.devices]

    assert len(run_virtual(twins())) == 1


def test_the_first_sample_has_every_declared_value(clock: Any, run_virtual: Run) -> None:
    async def first() -> tuple[HostSource, list[Sample]]:
        source = HostSource(clock, parts=False)
        [(_, batch)] = await lists(source, 1)
        return source, batch

    source, [sample] = run_virtual(first())
    specs = source.devices[0].description.features
    values = {**sample.features, **sample.live}
    assert values.keys() == specs.keys()
    for name, value in values.items():
        assert value is not None
        assert accepts(specs[name].type, value)
        assert specs[name].live == (name in sample.live)
    assert 0 < values["memory_used_bytes"] < values["memory_total_bytes"]
    assert 0 <= values["cpu_load_ratio"] <= 1


def test_what_hardly_moves_is_read_rarely_unless_a_sample_is_asked_for(
    clock: Any, run_virtual: Run
) -> None:
    async def disk_times() -> list[float]:
        source = HostSource(clock, parts=False)
        twin = source.devices[0].twin
        asyncio.get_running_loop().call_later(5.5, source.act, twin, "commands/sample_now", {})
        timed = await lists(source, 20)
        return [at_s for at_s, [sample] in timed if "disk_used_bytes" in sample.features]

    first_s, asked_s, next_s = run_virtual(disk_times())
    assert first_s == pytest.approx(1.0, abs=0.1)
    assert asked_s == pytest.approx(5.5, abs=0.1)
    assert next_s == pytest.approx(16.0, abs=0.6)


def test_a_new_period_holds_for_one_device_only(clock: Any, run_virtual: Run) -> None:
    async def counts() -> dict[str, int]:
        source = HostSource(clock, parts=True)
        assert source.act("d-core-0", "features/sample_period_s/value", 5.0) == ""
        batches = await lists(source, 30)
        twins = [sample.twin for _, batch in batches for sample in batch]
        return {twin: twins.count(twin) for twin in ("d-core-0", source.devices[0].twin)}

    slow, fast = run_virtual(counts()).values()
    assert fast >= 25
    assert slow <= 8


def test_times_increase_even_when_the_wall_clock_is_set_back(clock: Any, run_virtual: Run) -> None:
    async def times() -> list[int]:
        source = HostSource(clock, parts=False)
        clock.ahead_ms = -5_000
        stored = {source.devices[0].twin: clock.now().wall_ms + 5_000}
        found = list(stored.values())
        async for [sample] in source.samples(stored):
            found.append(sample.observed_ms)
            if len(found) == 10:
                break
        return found

    found = run_virtual(times())
    assert found == sorted(set(found))


def test_a_sensor_that_is_absent_is_not_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "sensors_battery", lambda: None, raising=False)
    monkeypatch.setattr(psutil, "sensors_temperatures", dict, raising=False)
    source = HostSource(SystemClock(), parts=False)
    declared = source.devices[0].description.features
    assert not declared.keys() & {"battery_ratio", "battery_charging", "temperature_c"}


def test_the_hottest_sensor_and_the_battery_are_reported_until_they_stop_answering(
    monkeypatch: pytest.MonkeyPatch, clock: Any, run_virtual: Run
) -> None:
    battery = SimpleNamespace(percent=25.0, power_plugged=False)
    heat = {"a": [SimpleNamespace(current=41.0)], "b": [SimpleNamespace(current=63.5)]}
    monkeypatch.setattr(psutil, "sensors_battery", lambda: battery, raising=False)
    monkeypatch.setattr(psutil, "sensors_temperatures", lambda: heat, raising=False)

    def unplug() -> None:
        def silent() -> None:
            raise OSError(19, "No such device")

        monkeypatch.setattr(psutil, "sensors_battery", silent, raising=False)
        heat.clear()

    async def seen() -> list[dict[str, Any]]:
        source = HostSource(clock, parts=False)
        asyncio.get_running_loop().call_later(5, unplug)
        names = ("temperature_c", "battery_ratio", "battery_charging")
        return [
            {name: sample.features[name] for name in names}
            for _, [sample] in await lists(source, 15)
            if "temperature_c" in sample.features
        ]

    assert run_virtual(seen()) == [
        {"temperature_c": 63.5, "battery_ratio": 0.25, "battery_charging": False},
        {"temperature_c": None, "battery_ratio": None, "battery_charging": None},
    ]


def test_loopback_is_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def counters(*, pernic: bool) -> dict[str, Any]:
        assert pernic
        return {
            "lo": SimpleNamespace(bytes_recv=1000, bytes_sent=1000),
            "eth0": SimpleNamespace(bytes_recv=5, bytes_sent=6),
            "wlan0": SimpleNamespace(bytes_recv=70, bytes_sent=80),
        }

    monkeypatch.setattr(psutil, "net_io_counters", counters)
    values = {sensor.name: sensor.value(look()) for sensor in host_sensors()}
    assert values["network_received_bytes"] == 75
    assert values["network_sent_bytes"] == 86


def test_a_slope_is_growth_over_growth_and_stays_between_two_ticks() -> None:
    totals: list[tuple[float, float] | None] = [(1, 10), (4, 20), (9, 20), (3, 40), None, (5, 50)]
    taken = iter(totals)
    slope = Slope(lambda _: next(taken))
    assert [slope(look()) for _ in totals] == [0.0, 0.3, 0.3, 0.0, None, 0.0]


def test_a_busy_process_shows_its_load_and_its_memory() -> None:
    processes = Processes()
    group = Group(slug(psutil.Process().name()), processes)
    memory, load = process_sensors(group)
    own_bytes = psutil.Process().memory_info().rss
    begun = look()
    assert load.value(begun) == 0.0
    assert (memory.value(begun) or 0) >= own_bytes * 0.9
    spin_until = time.process_time() + 0.3
    while time.process_time() < spin_until:
        pass
    assert (load.value(look()) or 0) > 0.1


def test_a_group_that_ends_does_not_answer_until_it_runs_again(
    nap: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    sensors = process_sensors(Group("diten-nap", Processes()))
    assert all(sensor.value(look()) is not None for sensor in sensors)
    nap.kill()
    os.waitid(os.P_PID, nap.pid, os.WEXITED | os.WNOWAIT)  # ended, and still a zombie
    assert [sensor.value(look(after_s=1)) for sensor in sensors] == [None, None]
    again = start_nap(tmp_path)
    try:
        ran = look(after_s=70)
        assert all(sensor.value(ran) is not None for sensor in sensors)
    finally:
        again.kill()
        again.wait()


@pytest.mark.parametrize(
    "text,expected",
    [
        ("Web Content", "web-content"),
        ("raspi_4.local", "raspi-4-local"),
        ("ä", ""),
        ("x" * 99, "x" * 48),
    ],
)
def test_a_slug_is_a_part_of_an_id(text: str, expected: str) -> None:
    assert slug(text) == expected


def test_a_host_named_like_one_of_its_parts_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "core-0")
    with pytest.raises(InvalidConfiguration, match="d-core-0"):
        HostSource(SystemClock(), parts=True)


@pytest.mark.parametrize("source", ["", "hosts", "host:x", "replay", "replay:", "emulated:5"])
def test_a_source_that_is_unknown_is_refused_with_the_choices(source: str) -> None:
    with pytest.raises(InvalidConfiguration, match="replay:DIR"):
        open_source(SourceConfig(kind=source), "d-agent", 0, SystemClock())


def test_an_idle_host_with_all_its_parts_costs_at_most_a_hundredth_of_a_core(
    clock: Any, run_virtual: Run
) -> None:
    async def a_minute() -> float:
        source = HostSource(clock, parts=True)
        begun_s = time.process_time()
        await lists(source, 60)  # a minute, with one listing of the processes in it
        return time.process_time() - begun_s

    assert run_virtual(a_minute()) <= 0.6
