"""Walking devices: emulated rooms' sensors, carried about a site.

The site is the world of a decision problem, `problems.association`, and walks by the problem's
own `transition`: the same equations in a paper's experiment and here. Only reality is left out:
who hosts whom is decided by the cloud, and the walk does not depend on it.

A world steps from slot to slot; between two slots a device is on the straight line. The slot
follows from the wall clock and from when this agent's store was new, so a restarted process
finds everybody where they would have been. After `WALK_SLOTS` slots the same walk begins
again: that bounds what a restart has to replay.

This is emulation and needs NumPy, which a board's install lacks; see `choice.py`.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from device_agent.emulated import DESCRIPTION, EmulatedSource
from device_agent.sources import Device
from twin_runtime.core.effects import Sample
from twin_runtime.core.messages import Description, FeatureSpec
from twin_runtime.ports import Clock
from twin_runtime.problems.association import PROBLEM
from twin_runtime.problems.association_state import Action, State
from twin_runtime.problems.scenarios.walking_site import walking_site

WALK_SLOTS = 8_640  # a day; to walk through it takes a second

WALKER = Description(
    title="Emulated walker",
    features={
        **DESCRIPTION.features,
        "x_m": FeatureSpec(type="number", unit="m", title="East of the site's corner"),
        "y_m": FeatureSpec(type="number", unit="m", title="North of the site's corner"),
        "samples": FeatureSpec(type="integer", unit="1", title="New samples to train on"),
    },
)


class Whereabouts(NamedTuple):
    """What one walker says of itself."""

    x_m: float
    y_m: float
    samples: int


class World:
    """`users` walkers, all drawn from `seed`."""

    def __init__(self, users: int, seed: int) -> None:
        self._scenario = walking_site(users, edges=1)
        self._seed = seed
        self.slot_s = self._scenario.slot_s
        self._begin()

    def at(self, elapsed_s: float, walkers: Sequence[int]) -> list[Whereabouts]:
        """These walkers, so long after the beginning."""
        slot, within = divmod(max(elapsed_s, 0.0) / self.slot_s, 1.0)
        self._reach(int(slot) % WALK_SLOTS)
        here, there = (state.walk.position_m[0, walkers] for state in (self._state, self._next))
        place = here + within * (there - here)
        new = self._state.new_samples[0, walkers]
        return [
            Whereabouts(round(float(x), 2), round(float(y), 2), int(samples))
            for (x, y), samples in zip(place, new, strict=True)
        ]

    def _begin(self) -> None:
        self._generator = np.random.default_rng(self._seed)
        self._slot = 0
        self._state = PROBLEM.begin(self._scenario, 1, self._generator)
        self._next = self._after(self._state)

    def _reach(self, slot: int) -> None:
        if slot < self._slot:
            self._begin()
        while self._slot < slot:
            self._slot += 1
            self._state, self._next = self._next, self._after(self._next)

    def _after(self, state: State) -> State:
        nobody_moves = Action(state.host, np.zeros(state.host.shape))
        return PROBLEM.transition(state, nobody_moves, self._generator)


class WalkingSource:
    """Walkers `first` to `last`, `speed` times as fast as people walk; see the module."""

    def __init__(
        self, rooms: EmulatedSource, clock: Clock, *, seed: int, started_ms: int, speed: float
    ) -> None:
        self._rooms = rooms
        self._clock = clock
        self._started_ms = started_ms
        self._speed = speed
        twins = [device.twin for device in rooms.devices]
        self._places = {twin: index for index, twin in enumerate(twins)}
        self._world = World(len(twins), seed)
        self.devices: Sequence[Device] = [Device(twin, WALKER) for twin in twins]

    async def samples(self, resume: Mapping[str, int]) -> AsyncIterator[list[Sample]]:
        """See `Source.samples`; it never ends."""
        async for batch in self._rooms.samples(resume):
            elapsed_ms = self._clock.now().wall_ms - self._started_ms
            walkers = [self._places[sample.twin] for sample in batch]
            there = self._world.at(elapsed_ms / 1000 * self._speed, walkers)
            yield [
                replace(sample, features={**sample.features, **whereabouts._asdict()})
                for sample, whereabouts in zip(batch, there, strict=True)
            ]

    def act(self, twin: str, path: str, value: Any) -> str:
        """See `Source.act`."""
        return self._rooms.act(twin, path, value)
