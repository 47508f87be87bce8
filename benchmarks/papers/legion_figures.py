"""The figures of `docs/papers/legion.md`: delay, energy and shares of one park."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks.papers.legion import PARK, Run, deficits, drive
from benchmarks.papers.legion_reference import (
    BANDIT,
    HEAD_TO_HEAD,
    PRIORITY_BANDIT,
    RANDOM_EXACT,
)
from twin_runtime.problems.scenarios.smart_park import SmartPark

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Runs = dict[str, Run]
SEED: Final = 0
SHOWN: Final = {
    "exact, V = 60": (HEAD_TO_HEAD, "#1f4e79"),
    "random, exact clocks": (RANDOM_EXACT, "#c07a30"),
    "CS-UCB-Q": (PRIORITY_BANDIT, "#5f8f5f"),
    "CS-UCB": (BANDIT, "#8a8a8a"),
}


def draw(folder: Path, park: SmartPark = PARK) -> list[Path]:
    """Write the three figures."""
    import matplotlib as mpl

    mpl.use("svg")
    runs = {label: drive(case, SEED, park) for label, (case, _) in SHOWN.items()}
    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context({"svg.hashsalt": "legion", "font.size": 9}):
        return [
            _figure(folder / "legion_delay.svg", runs, _delay),
            _figure(folder / "legion_energy.svg", runs, _energy),
            _figure(folder / "legion_shares.svg", runs, _shares),
        ]


def _figure(path: Path, runs: Runs, fill: Callable[["Axes", Runs], None]) -> Path:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(5.2, 3.0))
    fill(axes, runs)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure)
    return path


def _delay(axes: "Axes", runs: Runs) -> None:
    for label, run in runs.items():
        slots = np.arange(1, run.iteration_s.size + 1)
        axes.plot(slots, run.iteration_s.cumsum() / slots, label=label, color=SHOWN[label][1])
    axes.set(xlabel="slot", ylabel="mean iteration delay so far [s]")
    axes.legend(frameon=False)


def _energy(axes: "Axes", runs: Runs) -> None:
    for label, run in runs.items():
        slots = np.arange(1, run.energy_j.size + 1)
        axes.plot(slots, run.energy_j.cumsum() / 1e3, label=label, color=SHOWN[label][1])
    axes.set(xlabel="slot", ylabel="energy of all devices [kJ]")
    axes.legend(frameon=False)


def _shares(axes: "Axes", runs: Runs) -> None:
    axes.boxplot(
        [deficits(run.end)[0] for run in reversed(runs.values())],
        tick_labels=list(reversed(runs)),
        orientation="horizontal",
        whis=(1, 99),
        flierprops={"markersize": 2},
        medianprops={"color": "black"},
    )
    axes.axvline(0.0, color="#b0b0b0", linewidth=0.8)
    axes.set(xlabel="promised less given share of slots [1]")
