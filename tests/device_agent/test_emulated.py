"""Emulated rooms: the same air for everyone who asks, evenly spread, cheap."""

import asyncio
import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import pytest

from device_agent.choice import open_source
from device_agent.config import SourceConfig
from device_agent.emulated import DAY_MS, EmulatedSource, air, room
from twin_runtime.core.effects import Sample
from twin_runtime.core.errors import InvalidConfiguration
from twin_runtime.core.limits import BATCH_EVENTS_MAX
from twin_runtime.core.shape import accepts

NONE: Mapping[str, int] = {}
WALL_MS = 1_750_000_000_000  # where the virtual clock begins

Run = Callable[[Any], Any]


async def play(
    source: EmulatedSource, for_s: float, resume: Mapping[str, int] = NONE
) -> list[Sample]:
    samples: list[Sample] = []
    try:
        async with asyncio.timeout(for_s):
            async for batch in source.samples(resume):
                samples += batch
    except TimeoutError:
        return samples
    raise AssertionError("it never ends")


def rooms(clock: Any, first: int = 1, last: int = 1, seed: int = 7, period_s: float = 1.0) -> Any:
    return EmulatedSource(clock, first=first, last=last, seed=seed, period_s=period_s)


def by_name(samples: list[Sample]) -> list[tuple[str, int, tuple[Any, ...]]]:
    return sorted((s.twin, s.observed_ms, tuple(s.features.values())) for s in samples)


def test_the_same_seed_is_the_same_air_and_another_is_not(clock: Any, run_virtual: Run) -> None:
    once = run_virtual(play(rooms(clock, last=20), 10))
    again = run_virtual(play(rooms(clock, last=20), 10))
    other = run_virtual(play(rooms(clock, last=20, seed=8), 10))
    assert once == again
    assert by_name(once) != by_name(other)


def test_every_device_is_sampled_once_a_period_on_its_own_grid(
    clock: Any, run_virtual: Run
) -> None:
    times = defaultdict(list)
    for sample in run_virtual(play(rooms(clock, last=50, period_s=2.0), 20)):
        times[sample.twin].append(sample.observed_ms)
    assert {b - a for of_twin in times.values() for a, b in pairwise(of_twin)} == {2000}
    assert len({of_twin[0] % 2000 for of_twin in times.values()}) == 50


def test_any_range_of_devices_is_spread_evenly_over_the_period(
    clock: Any, run_virtual: Run
) -> None:
    samples = run_virtual(play(rooms(clock, first=301, last=500), 10.0))
    counts = Counter(sample.observed_ms % 1000 // 100 for sample in samples)
    assert len(counts) == 10
    assert max(counts.values()) <= 1.15 * min(counts.values())


def test_processes_that_share_a_fleet_emulate_it_as_one_would(clock: Any, run_virtual: Run) -> None:
    whole = run_virtual(play(rooms(clock, last=30), 5))
    parts = [
        *run_virtual(play(rooms(clock, last=11), 5)),
        *run_virtual(play(rooms(clock, first=12, last=30), 5)),
    ]
    assert by_name(parts) == by_name(whole)


def test_a_restarted_process_goes_on_after_its_newest_stored_report(
    clock: Any, run_virtual: Run
) -> None:
    whole = run_virtual(play(rooms(clock, last=5), 20))
    before = run_virtual(play(rooms(clock, last=5), 8.5))
    clock.ahead_ms = 8_500
    stored = {sample.twin: sample.observed_ms for sample in before}
    after = run_virtual(play(rooms(clock, last=5), 11.5, stored))
    assert by_name(before + after) == by_name(whole)


def test_a_clock_set_back_leaves_the_times_increasing_and_the_devices_talking(
    clock: Any, run_virtual: Run
) -> None:
    before = run_virtual(play(rooms(clock), 10.5))
    clock.ahead_ms = -3_600_000
    after = run_virtual(play(rooms(clock), 10.5, {before[-1].twin: before[-1].observed_ms}))
    times = [sample.observed_ms for sample in before + after]
    assert len(after) >= 10
    assert times == sorted(set(times))


def test_a_slow_consumer_gets_current_samples_not_old_ones(clock: Any, run_virtual: Run) -> None:
    async def lateness() -> list[int]:
        late: list[int] = []
        async for batch in rooms(clock, last=3).samples({}):
            late += [clock.now().wall_ms - sample.observed_ms for sample in batch]
            if len(late) > 30:
                break
            await asyncio.sleep(4.7)
        return late

    assert max(map(abs, run_virtual(lateness()))) <= 500


def test_a_new_period_holds_and_is_reported_at_once(clock: Any, run_virtual: Run) -> None:
    async def arrivals() -> list[tuple[float, Any]]:
        source = rooms(clock, period_s=100.0)
        loop = asyncio.get_running_loop()
        loop.call_later(250.0, source.act, "d-emulated-00001", "features/sample_period_s/value", 5)
        seen: list[tuple[float, Any]] = []
        async for batch in source.samples({}):
            seen += [(loop.time(), s.features["sample_period_s"]) for s in batch]
            if loop.time() > 280:
                return seen
        return seen

    seen = run_virtual(arrivals())
    at_once = seen.index((pytest.approx(250.0, abs=0.03), 5.0))
    assert {period for _, period in seen[:at_once]} == {100.0}
    gaps = [b[0] - a[0] for a, b in pairwise(seen[at_once:])]
    assert 5 <= len(gaps) <= 7
    assert max(gaps) <= 7.5


def test_a_device_that_is_asked_samples_at_once_and_keeps_its_pace(
    clock: Any, run_virtual: Run
) -> None:
    async def times() -> list[int]:
        source = rooms(clock, period_s=60.0)
        loop = asyncio.get_running_loop()
        loop.call_later(70.0, source.act, "d-emulated-00001", "commands/sample_now", {})
        return [sample.observed_ms for sample in await play(source, 185)]

    found = run_virtual(times())
    assert WALL_MS + 70_000 in found
    assert len({at_ms % 60_000 for at_ms in found if at_ms != WALL_MS + 70_000}) == 1
    assert len(found) == 4


@pytest.mark.parametrize("value", [0.05, 100_000, -1, float("nan"), True, "1", None])
def test_a_period_out_of_range_is_refused_with_the_value(clock: Any, value: Any) -> None:
    source = rooms(clock)
    reason = source.act("d-emulated-00001", "features/sample_period_s/value", value)
    assert str(value) in reason
    if not isinstance(value, float | int):
        return
    with pytest.raises(InvalidConfiguration, match="sample_period_s"):
        rooms(clock, period_s=value)


def test_what_is_not_there_cannot_be_written(clock: Any) -> None:
    source = rooms(clock)
    assert "d-other" in source.act("d-other", "commands/sample_now", None)
    assert "temperature_c" in source.act("d-emulated-00001", "features/temperature_c/value", 1)


@pytest.mark.parametrize("first,last", [(3, 2), (1, 5_001)])
def test_a_range_that_cannot_be_emulated_is_refused(clock: Any, first: int, last: int) -> None:
    choice = SourceConfig(kind="emulated", first=first, last=last)
    with pytest.raises(InvalidConfiguration, match=f"{first} to {last}"):
        open_source(choice, "d-agent", 0, clock)


def test_a_full_process_yields_bounded_lists_of_declared_values(
    clock: Any, run_virtual: Run
) -> None:
    async def batches() -> list[list[Sample]]:
        source = rooms(clock, last=5_000, period_s=0.1)
        specs = source.devices[0].description.features
        seen = []
        async for batch in source.samples({}):
            seen.append(batch)
            for name, value in batch[0].features.items():
                assert accepts(specs[name].type, value)
            if len(seen) == 20:
                return seen
            await asyncio.sleep(0.2)
        return seen

    assert max(map(len, run_virtual(batches()))) == BATCH_EVENTS_MAX


def test_the_air_is_that_of_a_room(clock: Any) -> None:
    for number in range(1, 6):
        week = [air(room(7, number), WALL_MS + ms) for ms in range(0, 7 * DAY_MS, 600_000)]
        temperatures_c = [sample["temperature_c"] for sample in week]
        humidities_pct = [sample["relative_humidity_pct"] for sample in week]
        assert 18 <= min(temperatures_c) <= max(temperatures_c) <= 26
        assert 30 <= min(humidities_pct) <= max(humidities_pct) <= 70
        assert correlation(temperatures_c, humidities_pct) < -0.5
        steps = [abs(b - a) for a, b in pairwise(temperatures_c)]
        assert max(steps) < 1.8  # in ten minutes


def test_a_battery_runs_down(clock: Any) -> None:
    days = [air(room(7, 1), WALL_MS + d * DAY_MS)["supply_voltage_v"] for d in range(180)]
    assert sum(b > a for a, b in pairwise(days)) <= 1
    assert (min(days), max(days)) == (2.4, 3.0)


def correlation(x: list[float], y: list[float]) -> float:
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    covariance = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    spread_x = math.sqrt(sum((a - mean_x) ** 2 for a in x))
    spread_y = math.sqrt(sum((b - mean_y) ** 2 for b in y))
    return covariance / (spread_x * spread_y)


def test_two_thousand_devices_at_1_hz_cost_a_fraction_of_a_core(
    clock: Any, run_virtual: Run
) -> None:
    source = rooms(clock, last=2_000)
    begun_s = time.process_time()
    samples = run_virtual(play(source, 5))
    cost_s = time.process_time() - begun_s
    assert len(samples) == pytest.approx(10_000, rel=0.01)
    assert cost_s / len(samples) < 100e-6  # 20 µs where it was measured
