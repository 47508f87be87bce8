"""How devices move: random waypoints in a square. Metres, seconds, slots."""

from dataclasses import dataclass

import numpy as np

from twin_runtime.physics.arguments import Array, Integers, InvalidArgument, positive
from twin_runtime.physics.geometry import uniform_in_square


@dataclass(frozen=True, slots=True)
class Waypoints:
    """The law: straight legs between uniform places, at a speed drawn for each, with pauses."""

    side_m: float
    speed_min_mps: float
    speed_max_mps: float
    pause_slots_max: int
    slot_s: float

    def __post_init__(self) -> None:
        for name in ("side_m", "speed_min_mps", "speed_max_mps", "slot_s"):
            positive(name, getattr(self, name))
        if self.speed_max_mps < self.speed_min_mps:
            least = f"at least speed_min_mps, {self.speed_min_mps}"
            raise InvalidArgument(f"speed_max_mps is {self.speed_max_mps}; it must be {least}")
        if self.pause_slots_max < 0:
            raise InvalidArgument(f"pause_slots_max is {self.pause_slots_max}; it must be >= 0")


@dataclass(frozen=True, slots=True)
class Walk:
    """Where walkers are `[..., 2]`, where they go, how fast, and how long they still rest."""

    position_m: Array
    waypoint_m: Array
    speed_mps: Array
    pause_slots: Integers


def begin_walk(generator: np.random.Generator, shape: tuple[int, ...], *, law: Waypoints) -> Walk:
    """Walkers at uniform places, at the start of their first leg. [P3] S2."""
    position = uniform_in_square(generator, shape, side_m=law.side_m)
    waypoint, speed = _leg(generator, shape, law)
    return Walk(position, waypoint, speed, np.zeros(shape, dtype=np.int64))


def walk_on(generator: np.random.Generator, walk: Walk, *, law: Waypoints) -> Walk:
    """One slot later. Who arrives stops there for this slot, then rests, then goes on. [P3] S2."""
    to_go = walk.waypoint_m - walk.position_m
    distance = np.hypot(to_go[..., 0], to_go[..., 1])
    resting = walk.pause_slots > 0
    step = np.where(resting, 0.0, np.minimum(walk.speed_mps * law.slot_s, distance))
    fraction = step / np.where(distance > 0, distance, 1.0)
    position = walk.position_m + fraction[..., None] * to_go
    arrived = ~resting & (step >= distance)
    waypoint, speed = _leg(generator, walk.speed_mps.shape, law)
    pause = generator.integers(0, law.pause_slots_max, walk.pause_slots.shape, endpoint=True)
    return Walk(
        np.where(arrived[..., None], walk.waypoint_m, position),
        np.where(arrived[..., None], waypoint, walk.waypoint_m),
        np.where(arrived, speed, walk.speed_mps),
        np.where(arrived, pause, np.maximum(walk.pause_slots - 1, 0)),
    )


def _leg(
    generator: np.random.Generator, shape: tuple[int, ...], law: Waypoints
) -> tuple[Array, Array]:
    waypoint = uniform_in_square(generator, shape, side_m=law.side_m)
    return waypoint, generator.uniform(law.speed_min_mps, law.speed_max_mps, shape)
