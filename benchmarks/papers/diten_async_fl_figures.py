"""The figures of `docs/papers/diten_async_fl.md`."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.papers import diten_async_fl as paper
from twin_runtime.problems.scenarios.industrial_iot import IndustrialIot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SEEDS = range(3)
SHOWN = {
    "sync-random": "synchronous, random",
    "paper-column": "paper, column order",
    "paper-own": "paper, own order",
    "fastest": "update weights, best division",
    "fastest-speed": "the same, weighed by speed",
    "sync-best": "random users, best division",
}
SCALE = paper.Scale()
MIDDLE = 50  # participants of the curves over rounds


def draw(folder: Path, scale: paper.Scale = SCALE) -> list[Path]:
    """Accumulated time over rounds, time over participants, accuracy over rounds."""
    runs = {
        (name, count): paper.learn(
            paper.SCHEMES[name], IndustrialIot(participants=count), SEEDS, scale.rounds
        )
        for name in SHOWN
        for count in scale.participants
    }
    middle = MIDDLE if MIDDLE in scale.participants else scale.participants[0]
    rounds = np.arange(1, scale.rounds + 1)
    accumulated = _Figure("round", "accumulated time [s]")
    for name, label in SHOWN.items():
        times = runs[name, middle].time_s.cumsum(axis=-1).mean(axis=0)
        accumulated.axes.plot(rounds, times, label=label)
    totals = _Figure("participants", f"time of {scale.rounds} rounds [s]")
    for name, label in SHOWN.items():
        each = [runs[name, count].time_s.sum(axis=-1).mean() for count in scale.participants]
        totals.axes.plot(scale.participants, each, marker="o", label=label)
    totals.axes.set_xticks(scale.participants)
    learned = _Figure("round", "test accuracy [1]")
    for count in scale.participants:
        right = runs["fastest", count].accuracy.mean(axis=0)
        learned.axes.plot(rounds, right, label=f"{count} participants")
    return [
        accumulated.saved(folder / "diten_async_fl_accumulated.svg"),
        totals.saved(folder / "diten_async_fl_participants.svg"),
        learned.saved(folder / "diten_async_fl_accuracy.svg"),
    ]


class _Figure:
    """One diagram with a legend; the same runs give the same bytes."""

    def __init__(self, x: str, y: str) -> None:
        from matplotlib import rcParams
        from matplotlib.figure import Figure

        rcParams["svg.hashsalt"] = "diten"
        self.figure = Figure(figsize=(6.0, 3.6), layout="constrained")
        self.axes: Axes = self.figure.subplots()
        self.axes.set_xlabel(x)
        self.axes.set_ylabel(y)

    def saved(self, path: Path) -> Path:
        self.figure.legend(loc="outside upper center", ncols=2, frameon=False)
        self.figure.savefig(path, metadata={"Date": None})
        return path
