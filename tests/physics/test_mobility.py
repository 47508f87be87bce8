import dataclasses
import itertools

import numpy as np
import pytest

from twin_runtime.physics.arguments import InvalidArgument
from twin_runtime.physics.geometry import distance_m
from twin_runtime.physics.mobility import Walk, Waypoints, begin_walk, walk_on

LAW = Waypoints(side_m=120.0, speed_min_mps=0.5, speed_max_mps=2.0, pause_slots_max=2, slot_s=10.0)


def steps(count: int) -> list[Walk]:
    generator = np.random.default_rng(4)
    walks = [begin_walk(generator, (50, 20), law=LAW)]
    for _ in range(count):
        walks.append(walk_on(generator, walks[-1], law=LAW))
    return walks


def test_walkers_stay_in_the_square_and_below_their_speed() -> None:
    walks = steps(200)
    for before, after in itertools.pairwise(walks):
        moved = distance_m(source_m=before.position_m, target_m=after.position_m)
        assert (moved <= before.speed_mps * LAW.slot_s + 1e-9).all()
        assert (after.position_m >= 0).all()
        assert (after.position_m <= LAW.side_m).all()


def test_who_rests_does_not_move_and_goes_on_after_at_most_two_slots() -> None:
    walks = steps(50)
    for before, after in itertools.pairwise(walks):
        resting = before.pause_slots > 0
        assert (before.position_m[resting] == after.position_m[resting]).all()
        assert (after.pause_slots[resting] == before.pause_slots[resting] - 1).all()
    assert max(walk.pause_slots.max() for walk in walks) == LAW.pause_slots_max


def test_a_leg_is_straight_and_ends_exactly_at_its_waypoint() -> None:
    walks = steps(60)
    arrivals = 0
    for before, after in itertools.pairwise(walks):
        arrived = (before.waypoint_m != after.waypoint_m).any(axis=-1)
        assert (after.position_m[arrived] == before.waypoint_m[arrived]).all()
        under_way = ~arrived & (before.pause_slots == 0)
        whole = distance_m(source_m=before.position_m, target_m=before.waypoint_m)
        parts = distance_m(source_m=before.position_m, target_m=after.position_m) + distance_m(
            source_m=after.position_m, target_m=before.waypoint_m
        )
        np.testing.assert_allclose(parts[under_way], whole[under_way])
        arrivals += int(arrived.sum())
    assert arrivals > 1000


def test_walkers_gather_in_the_middle() -> None:
    middle = np.abs(steps(300)[-1].position_m - 60.0).mean()
    assert middle < 28.0  # 30 if they were uniform


def test_the_same_generator_gives_the_same_walk() -> None:
    first, second = steps(20)[-1], steps(20)[-1]
    assert (first.position_m == second.position_m).all()


def test_bad_laws_are_named() -> None:
    with pytest.raises(InvalidArgument, match="slot_s is 0"):
        dataclasses.replace(LAW, slot_s=0.0)
    with pytest.raises(InvalidArgument, match=r"speed_max_mps is 0\.1; it must be at least"):
        dataclasses.replace(LAW, speed_max_mps=0.1)
    with pytest.raises(InvalidArgument, match="pause_slots_max is -1"):
        dataclasses.replace(LAW, pause_slots_max=-1)
