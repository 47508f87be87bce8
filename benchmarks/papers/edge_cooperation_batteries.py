"""P5's battery check: how many sensors are available if all that are send, and with what power.

A battery's books balance: what a sensor spends in the long run is what it harvests, less what
a full battery turns away. So the share of circles in which a far sensor is available is its
harvest over what a collection takes it, its power times the time of the collection, and that
time rises with the number of sensors that share the band.

The digest does not say in how large an area it was made. Its numbers are those of a small one:
`SEVEN` is its other area, and `less_likely` compares all six numbers with many areas at once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from benchmarks.papers.paper import Row
from twin_runtime.problems.cooperation import PROBLEM, State, collected, with_helpers
from twin_runtime.problems.cooperation_sensors import Asked, ask, collection_s, mean_power_w
from twin_runtime.problems.environment import Environment
from twin_runtime.problems.scenarios.wide_area import WideArea

# By tenths of the highest received power, if all that are available send: the share of eMBB
# sensors that are, and the mean power of the active [mW].
REFERENCE: Final = {1: (0.95, 8.8), 5: (0.57, 31.9), 10: (0.44, 55.6)}
DEFAULT: Final = WideArea()
SEVEN: Final = replace(DEFAULT, servers=7, side_m=1200.0)
AREAS: Final = {"": DEFAULT, ", 7 servers": SEVEN}
CIRCLES_BEFORE: Final = 100  # until the first charge is forgotten
CIRCLES: Final = 200
METRICS: Final = ("available_embb_share", "mean_power_mw", "spent_mj")


def battery_rows(seeds: Sequence[int], before: int, circles: int) -> Iterator[Row]:
    """Availability, mean power and energy of eMBB sensors after `before` of `circles`."""
    for name, area in AREAS.items():
        for tenths, references in REFERENCE.items():
            found = np.array([batteries(area, seed, tenths, before, circles) for seed in seeds])
            about = ("P5", "alone", f"level {tenths}{name}")
            for metric, values, value in zip(METRICS, found.T, (*references, None), strict=True):
                yield Row.of((*about, metric), values.tolist(), value)


def less_likely(area: WideArea, seeds: Sequence[int]) -> float:
    """The part of these areas whose six numbers lie farther out than the reference's, in the
    Gaussian distribution that has the mean and the covariance of them all."""
    found = np.array(
        [
            np.ravel(
                [batteries(area, seed, tenths, CIRCLES_BEFORE, CIRCLES)[:2] for tenths in REFERENCE]
            )
            for seed in seeds
        ]
    )
    off = np.vstack([found, np.ravel(list(REFERENCE.values()))]) - found.mean(axis=0)
    far = (off * np.linalg.solve(np.cov(found.T), off.T).T).sum(axis=1)
    return float((far[:-1] > far[-1]).mean())


def batteries(
    area: WideArea, seed: int, tenths: int, before: int, circles: int
) -> tuple[float, float, float]:
    """Share of available eMBB sensors, mean power of the active [mW], and what a sensor
    spends in a circle [mJ], available or not, in one world."""
    environment = Environment(PROBLEM, area, seed)
    found = []
    for circle in range(circles):
        state = environment.state
        asked = _asked_at(state, tenths)
        if circle >= before:
            found.append(_books(state, asked))
        nobody = np.broadcast_to(np.arange(state.scenario.servers), state.base_fraction.shape)
        environment.step(with_helpers(state, asked, collected(state, asked), nobody))
    share, power_mw, spent_mj = np.mean(found, axis=0)
    return float(share), float(power_mw), float(spent_mj)


def _books(state: State, asked: Asked) -> tuple[float, float, float]:
    """The three numbers of one circle."""
    present = state.embb.present.sum()
    power = mean_power_w(state.scenario, state.embb.gain, asked.received_w) * asked.embb
    time = collection_s(state.scenario, asked.embb, asked.urllc, asked.received_w)
    spent = (power.sum(axis=-1) * time).sum()
    share = state.embb.available().sum() / present
    return float(share), 1e3 * power.sum() / asked.embb.sum(), 1e3 * float(spent) / present


def _asked_at(state: State, tenths: int) -> Asked:
    counts = (state.embb.counts(), state.urllc.counts())
    received_w = np.full(counts[0].shape, tenths / 10 * state.scenario.received_max_w)
    return ask(state.scenario, state.embb, state.urllc, counts, received_w)
