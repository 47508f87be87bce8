import numpy as np
import pytest

from tests.solvers.a_neighbourhood import servers_at_random
from twin_runtime.physics.arguments import Booleans, Integers, InvalidArgument
from twin_runtime.solvers import cooperation, star_choice


def chosen(servers: cooperation.Servers, helps: Booleans) -> Integers:
    return star_choice.one_shot(
        work_cycles=servers.work_cycles,
        ready_s=servers.ready_s,
        usefulness=servers.usefulness,
        neighbours=servers.neighbours,
        helps=helps,
        deadline_s=servers.deadline_s,
    )


@pytest.mark.parametrize("late_s", [0.6, 4.5])
def test_a_recipient_takes_the_cheapest_star_of_two(late_s: float) -> None:
    generator = np.random.default_rng(1)
    for _ in range(15):
        servers = servers_at_random(generator, 9, late_s=late_s)
        helps = generator.random(9) < 0.4
        prices, links = cooperation.Prices(servers), servers.links()
        for j, helper in enumerate(chosen(servers, helps).tolist()):
            offers = {i: prices.star(i, [j]) - prices.alone[i] for i in links[j] if helps[i]}
            best = min(offers, key=offers.__getitem__, default=j)
            if helps[j] or not offers or offers[best] >= prices.alone[j]:
                assert helper == j
            else:
                assert helper == best


def test_choices_in_many_worlds_are_those_in_each() -> None:
    generator = np.random.default_rng(2)
    each = [servers_at_random(generator, 9) for _ in range(4)]
    helps = generator.random((4, 9)) < 0.4
    together = star_choice.one_shot(
        work_cycles=np.stack([servers.work_cycles for servers in each]),
        ready_s=np.stack([servers.ready_s for servers in each]),
        usefulness=np.stack([servers.usefulness for servers in each]),
        neighbours=np.stack([servers.neighbours for servers in each]),
        helps=helps,
        deadline_s=5.0,
    )
    one_by_one = [chosen(servers, row) for servers, row in zip(each, helps, strict=True)]
    assert together.tolist() == [row.tolist() for row in one_by_one]


def test_a_random_choice_takes_any_helper_and_must_take_one() -> None:
    neighbours = np.ones((4, 4), dtype=bool) ^ np.eye(4, dtype=bool)
    helps = np.array([True, True, False, False])
    generator = np.random.default_rng(3)
    seen = {
        tuple(
            star_choice.at_random(neighbours=neighbours, helps=helps, generator=generator).tolist()
        )
        for _ in range(200)
    }
    assert seen == {(0, 1, i, j) for i in (0, 1) for j in (0, 1)}


def test_without_helpers_everybody_stays_alone() -> None:
    servers = servers_at_random(np.random.default_rng(4), 6)
    nobody = np.zeros(6, dtype=bool)
    assert chosen(servers, nobody).tolist() == list(range(6))
    drawn = star_choice.at_random(
        neighbours=servers.neighbours, helps=nobody, generator=np.random.default_rng(5)
    )
    assert drawn.tolist() == list(range(6))


def test_shapes_of_choices_that_do_not_fit_are_named() -> None:
    with pytest.raises(InvalidArgument, match="neighbours must be"):
        star_choice.at_random(
            neighbours=np.zeros((3, 3), dtype=bool),
            helps=np.zeros(4, dtype=bool),
            generator=np.random.default_rng(6),
        )
