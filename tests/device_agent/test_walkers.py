"""Walkers: the problem's own transition carries them, and a restart finds them on their way."""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from device_agent import walkers
from device_agent.choice import open_source
from device_agent.config import SourceConfig
from device_agent.sources import Source
from device_agent.walkers import WALK_SLOTS, WALKER, World
from tests.device_agent.conftest import WALL_MS
from twin_runtime.core.effects import Sample
from twin_runtime.core.errors import InvalidConfiguration
from twin_runtime.core.shape import accepts
from twin_runtime.problems import association
from twin_runtime.problems.association_state import Action
from twin_runtime.problems.scenarios.walking_site import walking_site

Run = Callable[[Any], Any]
NONE: Mapping[str, int] = {}
EVERYBODY = range(20)
SLOT_S = 10.0


def walking(clock: Any, **settings: Any) -> Source:
    config = SourceConfig(kind="walking", **{"last": 20, "seed": 3, **settings})
    return open_source(config, "d-fleet", WALL_MS, clock)


async def play(source: Source, for_s: float) -> list[Sample]:
    samples: list[Sample] = []
    try:
        async with asyncio.timeout(for_s):
            async for batch in source.samples(NONE):
                samples += batch
    except TimeoutError:
        return samples
    raise AssertionError("it never ends")


def places(samples: list[Sample]) -> dict[str, list[tuple[float, float]]]:
    found: dict[str, list[tuple[float, float]]] = {}
    for sample in samples:
        found.setdefault(sample.twin, []).append((sample.features["x_m"], sample.features["y_m"]))
    return found


def test_walkers_walk_by_the_transition_that_a_paper_run_uses() -> None:
    assert vars(walkers)["PROBLEM"] is association.PROBLEM
    scenario = walking_site(20, edges=1)
    generator = np.random.default_rng(5)
    state = association.begin(scenario, 1, generator)
    world = World(20, seed=5)
    for slot in range(6):
        there = world.at(slot * SLOT_S, EVERYBODY)
        assert [(each.x_m, each.y_m) for each in there] == [
            (round(float(x), 2), round(float(y), 2)) for x, y in state.walk.position_m[0]
        ]
        assert [each.samples for each in there] == state.new_samples[0].tolist()
        still = Action(state.host, np.zeros(state.host.shape))
        state = association.transition(state, still, generator)


def test_between_two_slots_a_walker_is_on_the_line() -> None:
    world = World(20, seed=5)
    (before,), (midway,), (after,) = (world.at(s, [4]) for s in (20.0, 25.0, 30.0))
    assert midway.x_m == pytest.approx((before.x_m + after.x_m) / 2, abs=0.01)
    assert midway.y_m == pytest.approx((before.y_m + after.y_m) / 2, abs=0.01)
    assert midway.samples == before.samples


def test_a_restarted_world_finds_everybody_where_they_would_have_been() -> None:
    world = World(20, seed=5)
    walked = [world.at(s, EVERYBODY) for s in np.arange(0.0, 300.0, 7.0)]
    assert World(20, seed=5).at(294.0, EVERYBODY) == walked[-1]
    assert world.at(0.0, EVERYBODY) == walked[0]  # a wall clock that was set back
    assert World(20, seed=6).at(294.0, EVERYBODY) != walked[-1]


def test_the_walk_begins_again_so_that_a_restart_has_little_to_replay() -> None:
    world = World(3, seed=5)
    assert world.at(WALK_SLOTS * SLOT_S, range(3)) == World(3, seed=5).at(0.0, range(3))


def test_a_walker_reports_its_place_beside_what_its_room_says(clock: Any, run_virtual: Run) -> None:
    samples = run_virtual(play(walking(clock), 30.0))
    assert len(places(samples)) == 20
    for sample in samples:
        assert set(sample.features) == set(WALKER.features)
        for name, value in sample.features.items():
            assert accepts(WALKER.features[name].type, value), name
    assert run_virtual(play(walking(clock), 30.0)) == samples


def test_walkers_go_as_fast_as_people_times_the_speed(clock: Any, run_virtual: Run) -> None:
    def fastest_mps(speed: float) -> float:
        walked = places(run_virtual(play(walking(clock, speed=speed), 30.0)))
        return max(
            float(np.hypot(x - a, y - b))
            for of_one in walked.values()
            for (a, b), (x, y) in pairwise(of_one)
        )

    assert 0.5 < fastest_mps(1.0) < 2.1
    assert 4.0 < fastest_mps(5.0) < 10.5


def test_agents_that_share_a_fleet_do_not_walk_in_step(clock: Any, run_virtual: Run) -> None:
    first = places(run_virtual(play(walking(clock), 3.0)))
    second = places(run_virtual(play(walking(clock, first=21, last=40), 3.0)))
    assert not set(map(tuple, first.values())) & set(map(tuple, second.values()))


def test_who_does_not_walk_does_not_load_numpy() -> None:
    program = """if True:
        import sys
        from device_agent.choice import open_source
        from device_agent.config import SourceConfig
        from twin_runtime.adapters.process import SystemClock
        open_source(SourceConfig(kind="emulated", last=9), "d-fleet", 0, SystemClock())
        assert "device_agent.emulated" in sys.modules
        sys.exit(bool({"numpy", "scipy", "device_agent.walkers"} & set(sys.modules)))
    """
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_without_numpy_a_walk_is_refused_with_what_to_install(
    clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    monkeypatch.delitem(sys.modules, "device_agent.walkers")
    with pytest.raises(InvalidConfiguration, match=r"needs numpy, .* install diten\[edge\]"):
        walking(clock)
