"""[P2] S7: FedAsync and FedBuff, by events, beside rounds of update weights.

30 users are in flight, each with an equal share of the sub-channels from its grant to the end
of its upload. Whenever one is done its model is merged, and another user, at random, takes its
place with the newest model. Compared are time and uplink until an accuracy is reached.
"""

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.papers import softmax_regression
from benchmarks.papers.paper import Row
from benchmarks.papers.softmax_regression import Floats, World
from twin_runtime.physics import asynchronous as asyn
from twin_runtime.physics.arguments import Array, Integers
from twin_runtime.problems import subchannels_fleet as fleet
from twin_runtime.problems.scenarios.industrial_iot import Gate, IndustrialIot

IN_FLIGHT = 30
ARRIVALS = 50 * IN_FLIGHT  # as many uploads as 50 rounds have
TARGET_ACCURACY = 0.70  # what all schemes reach
LEARNING_RATE = 1.5
MIXING = 0.6  # of FedAsync
BUFFER = 10  # of FedBuff


@dataclass(slots=True)
class Server:
    """The model, how often it has changed, and what waits to be merged."""

    model: Floats
    version: int = 0
    changes: list[Floats] = field(default_factory=list)
    delays: list[int] = field(default_factory=list)


Merge = Callable[[Server, Floats, Floats, int], None]


def fedasync(server: Server, base: Floats, trained: Floats, version: int) -> None:
    """Mix every model in as it comes, the less the later."""
    del base
    stale = asyn.polynomial_staleness(delay_versions=server.version - version)
    mixed = asyn.fedasync_step(model=server.model, trained=trained, mixing=MIXING, staleness=stale)
    server.model, server.version = mixed.astype(np.float32), server.version + 1


def fedbuff(server: Server, base: Floats, trained: Floats, version: int) -> None:
    """Merge when the buffer is full."""
    server.changes.append(base - trained)
    server.delays.append(server.version - version)
    if len(server.changes) == BUFFER:
        merged = asyn.fedbuff_step(
            model=server.model, changes=np.stack(server.changes), delay_versions=server.delays
        )
        server.model, server.version = merged.astype(np.float32), server.version + 1
        server.changes.clear()
        server.delays.clear()


PEERS: Mapping[str, Merge] = {"fedasync": fedasync, "fedbuff": fedbuff}


def rows(policy: str, seeds: Sequence[int], arrivals: int) -> Iterator[Row]:
    """Time and uplink to the target, and the accuracy after as many uploads as 50 rounds have."""
    times, uplinks, ends = [], [], []
    for seed in seeds:
        time_s, right = fly(PEERS[policy], np.random.default_rng(seed), arrivals)
        first = first_at(right, TARGET_ACCURACY)
        times.append(float(time_s[first]))
        uplinks.append((first + 1) * IndustrialIot().model_bits)
        ends.append(float(right[-1]))
    where = f"industrial_iot in flight={IN_FLIGHT}"
    yield Row.of(("P2", policy, where, "time_to_target_s"), times, None)
    yield Row.of(("P2", policy, where, "uplink_to_target_bits"), uplinks, None)
    yield Row.of(("P2", policy, where, "accuracy"), ends, None)


def first_at(accuracy: Array, target: float) -> int:
    """The first place from which an accuracy is reached; the last where it never is."""
    reached = accuracy >= target
    return int(reached.argmax()) if reached.any() else len(accuracy) - 1


def fly(merge: Merge, generator: np.random.Generator, arrivals: int) -> tuple[Array, Array]:
    """When each upload arrives, and how accurate the model is then."""
    world = _World.begin(generator)
    for place in range(IN_FLIGHT):
        world.grant(place, 0.0)
    times, right = np.empty(arrivals), np.empty(arrivals)
    for arrival in range(arrivals):
        now, user, place = heapq.heappop(world.flights)
        base, version = world.bases.pop(user)
        merge(world.server, base, world.trained(user, base), version)
        times[arrival] = now
        right[arrival] = softmax_regression.accuracy(world.data, world.server.model)
        world.grant(place, now)
        world.idle.append(user)
        if arrival % IN_FLIGHT == IN_FLIGHT - 1:
            world.state = fleet.next_round(world.state, generator)
    return times, right


@dataclass(slots=True)
class _World:
    state: fleet.State
    data: World
    server: Server
    rates_bps: Array  # [user, state of the SNR]
    clock_hz: Array
    shares: list[Integers]  # of the sub-channels
    idle: list[int]
    generator: np.random.Generator
    flights: list[tuple[float, int, int]] = field(default_factory=list)  # done at, user, share
    bases: dict[int, tuple[Floats, int]] = field(default_factory=dict)  # model and its version

    @classmethod
    def begin(cls, generator: np.random.Generator) -> "_World":
        state = fleet.begin(IndustrialIot(gate=Gate.RANDOM), 1, generator)
        channels, rates = state.scenario.subchannels, fleet.rate_table_bps(state)
        return cls(
            state=state,
            data=softmax_regression.draw(np.rint(state.samples[0]).astype(np.int64), generator),
            server=Server(np.zeros(softmax_regression.WEIGHTS, dtype=np.float32)),
            rates_bps=rates[0],
            clock_hz=fleet.capped_hz(
                state.scenario, fleet.cycles(state), state.frequency_max_hz, rates.mean(axis=-1)
            )[0],
            shares=np.array_split(generator.permutation(channels), IN_FLIGHT),
            idle=[int(user) for user in generator.permutation(state.scenario.users)],
            generator=generator,
        )

    def grant(self, place: int, now_s: float) -> None:
        """Let an idle user, at random, train the newest model and upload it over a share."""
        user = self.idle.pop(int(self.generator.integers(len(self.idle))))
        self.bases[user] = (self.server.model, self.server.version)
        states = self.state.fading[0, user, self.shares[place]]
        upload_s = self.state.scenario.model_bits / self.rates_bps[user, states].sum()
        computing_s = fleet.cycles(self.state)[0, user] / self.clock_hz[user]
        heapq.heappush(self.flights, (now_s + computing_s + upload_s, user, place))

    def trained(self, user: int, base: Floats) -> Floats:
        samples = self.data.users[user]
        return softmax_regression.train(samples, base, learning_rate=LEARNING_RATE)
