"""The figures of `docs/papers/migration.md`: one world's gain, its energy, and why it is hard."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks.papers.migration import course, drive
from benchmarks.papers.migration_reference import profile
from twin_runtime.physics.relocation import Valuation
from twin_runtime.problems.association_state import slot_of
from twin_runtime.solvers.association_bounds import gain_bound
from twin_runtime.solvers.historical_data import Edges, gain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SEED: Final = 0
EDGES: Final = 9
SLOTS: Final = 100
BITS_PER_SAMPLE: Final = 784.0
TWIN_BITS: Final = 4500.0
ENERGY_PER_BIT_M: Final = 1e-4
TRAINING_PER_SAMPLE: Final = 0.25872  # 784 bits, 55 cycles each, 60 epochs, 1e-7 a cycle
MOVED_M: Final = {0.0: "#8a8a8a", 10.0: "#5f8f5f", 20.0: "#c07a30", 60.0: "#1f4e79"}
SHOWN: Final = {
    "greedy": ("search in each slot", "#1f4e79"),
    "pack_and_hold": ("packed, then held", "#5f8f5f"),
    "hold": ("nearest, then held", "#8a8a8a"),
    "nearest": ("nearest", "#c07a30"),
}


def draw(folder: Path, slots: int = SLOTS) -> list[Path]:
    """Write the figures."""
    import matplotlib as mpl

    mpl.use("svg")
    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context({"svg.hashsalt": "migration", "font.size": 9}):
        return [
            _figure(folder / "migration_gain.svg", partial(_gain, slots=slots)),
            _figure(folder / "migration_optima.svg", _optima),
        ]


def _figure(path: Path, fill: Callable[["Axes"], None]) -> Path:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(5.2, 3.0))
    fill(axes)
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure)
    return path


def _gain(axes: "Axes", slots: int) -> None:
    """The mean gain so far, and its bound."""
    scenario = profile("T2", edges=EDGES)
    slot = np.arange(1, slots + 1)
    bound = [gain_bound(slot_of(state))[0] for state in course(scenario, SEED, slots)]
    axes.plot(slot, np.cumsum(bound) / slot, "k--", linewidth=1, label="no policy gains more")
    for policy, (label, colour) in SHOWN.items():
        series = drive(policy, scenario, SEED, slots)["gain"]
        axes.plot(slot, np.cumsum(series) / slot, label=label, color=colour)
    axes.set_xlabel("slot")
    axes.set_ylabel("mean gain so far (1)")


def _optima(axes: "Axes") -> None:
    """Five twins that moved to one edge, each with 200 new samples and 900 old ones."""
    twins, new_samples, old_samples = np.ones(5), 200.0, 900.0
    share = np.linspace(0.0, 1.0, 201)
    for metres, colour in MOVED_M.items():
        carried = ENERGY_PER_BIT_M * metres * twins
        edges = Edges(
            first=np.zeros(1, dtype=np.int64),
            new_samples=new_samples * twins,
            old_samples=old_samples * twins,
            label_distance=0.0 * twins,
            slope=old_samples * (TRAINING_PER_SAMPLE + BITS_PER_SAMPLE * carried),
            compute_slope=old_samples * TRAINING_PER_SAMPLE * twins,
            fixed_energy=(new_samples * TRAINING_PER_SAMPLE + TWIN_BITS * carried).sum(
                keepdims=True
            ),
            compute_slack=np.array([1200.0]),
            valuation=Valuation(0.3 / 20, 0.7 / 15, 200.0),
        )
        worth = gain(edges, share[:, None] * twins)[:, 0]
        axes.plot(share, worth, color=colour, label=f"moved by {metres:g} m")
    axes.set_xlabel("share of last slot's data that all of them reuse (1)")
    axes.set_ylabel("gain of the edge (1)")
