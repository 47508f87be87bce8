"""P4's figures: what a round is made of, how rounds add up, and how large batches should be."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.papers.edge_association_ledger import (
    ONE_MODEL,
    PAPER,
    STATIC,
    Setting,
    metrics,
    round_parts,
    training,
)

SEED = 0


def draw(folder: Path, setting: Setting = ONE_MODEL) -> list[Path]:
    """All figures, of one seed."""
    mpl.use("svg")
    with mpl.rc_context({"svg.hashsalt": PAPER.slug, "font.size": 9.0, "legend.frameon": False}):
        return [
            _saved(folder, "round", lambda axes: _round(axes, setting)),
            _saved(folder, "progress", lambda axes: _progress(axes, setting)),
            _saved(folder, "training", _training),
        ]


def _round(axes: Axes, setting: Setting) -> None:
    """A round by its parts, per policy."""
    names = list(setting.reference)
    of_policy = [metrics(name, setting, SEED) for name in names]
    left = np.zeros(len(names))
    for part in ("training_s", "upload_s", "verification_s", "rest_s"):
        width = np.array([each[part] for each in of_policy])
        axes.barh(names, width, left=left, label=part.removesuffix("_s"))
        left += width
    axes.set_xlabel("mean time of a round [s]")
    axes.invert_yaxis()
    axes.legend(ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0))


def _progress(axes: Axes, setting: Setting) -> None:
    """Cumulative time over rounds, as figure 5 of the paper has it."""
    for name in ("random", "average", "average_best", "live_flat", "oracle"):
        minutes = round_parts(name, setting, SEED)["round_s"].cumsum() / 60.0
        axes.plot(np.arange(1, len(minutes) + 1), minutes, label=name)
    axes.set_xlabel("rounds")
    axes.set_ylabel("time since the first began [min]")
    axes.legend()


def _training(axes: Axes) -> None:
    """The time of a whole training over the batch fraction, and with the best fractions."""
    fractions = np.geomspace(0.02, 1.0, 40)
    scenarios = [replace(STATIC.scenario, fraction=float(each)) for each in fractions]
    for policy, adaptive, colour in (
        ("average", "average_adaptive", "C0"),
        ("oracle", "oracle_best_batches", "C1"),
    ):
        seconds = [training(policy, scenario, SEED)["learning_s"] for scenario in scenarios]
        axes.loglog(fractions, seconds, color=colour, label=f"{policy}, one fraction for all")
        _mark(axes, adaptive, "o", colour, f"{policy} at 0.1, then its best fractions")
    _mark(axes, "oracle_adaptive", "s", "black", "hosts and fractions decided together")
    axes.set_xlabel("batch, as a fraction of a twin's samples")
    axes.set_ylabel("time of a training [s]")
    axes.legend()


def _mark(axes: Axes, policy: str, marker: str, colour: str, label: str) -> None:
    best = training(policy, STATIC.scenario, SEED)
    axes.plot(best["mean_fraction"], best["learning_s"], marker, color=colour, label=label)


def _saved(folder: Path, what: str, fill: Callable[[Axes], None]) -> Path:
    figure = Figure(figsize=(6.4, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    fill(axes)
    path = folder / f"{PAPER.slug}_{what}.svg"
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    return path
