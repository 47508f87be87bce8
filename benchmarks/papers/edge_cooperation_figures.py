"""The figures of `docs/papers/edge_cooperation.md`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks.papers import edge_cooperation as paper
from twin_runtime.physics.arguments import Array
from twin_runtime.problems.cooperation_policies import POLICIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN: Final = {  # policies by their label
    "alone": "alone",
    "random": "random",
    "greedy": "greedy",
    "local_max": "local maxima",
    "local_search": "local search",
}
GREYS: Final = ("#b0b0b0", "#8a8a8a", "#5f7f9f", "#c07a30", "#1f4e79")


def draw(folder: Path, seeds: Sequence[int] = range(8)) -> list[Path]:
    """Write the three figures."""
    import matplotlib as mpl

    mpl.use("svg")
    with mpl.rc_context({"svg.hashsalt": paper.PAPER.slug, "font.size": 9}):
        return [
            _saved(folder, "servers", _curves("servers", (*paper.SIZES, paper.DEFAULT), seeds)),
            _saved(folder, "deadline", _curves("deadline", _deadlines(), seeds)),
            _saved(folder, "stars", _stars(seeds[0])),
        ]


def _deadlines() -> tuple[paper.Setting, ...]:
    return (*paper.DEADLINES, paper.DEFAULT)


def _saved(folder: Path, what: str, figure: "Figure") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{paper.PAPER.slug}_{what}.svg"
    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")
    return path


def _axes(title: str) -> tuple["Figure", "Axes"]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.0, 3.2))
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _curves(what: str, settings: Sequence[paper.Setting], seeds: Sequence[int]) -> "Figure":
    """Energy of a circle over `servers` or the `deadline`, one curve a policy."""
    from matplotlib.ticker import NullFormatter, StrMethodFormatter

    label = {"servers": "number of servers", "deadline": "deadline [s]"}[what]
    figure, axes = _axes("Energy of all servers in a circle")
    of = {"servers": lambda s: s.scenario.servers, "deadline": lambda s: s.scenario.deadline_s}
    ordered = sorted(settings, key=of[what])
    places = [of[what](setting) for setting in ordered]
    for (policy, name), colour in zip(SHOWN.items(), GREYS, strict=True):
        energies = np.array([_mean_kj(policy, setting, seeds) for setting in ordered])
        axes.plot(places, energies, marker="o", markersize=3.5, color=colour, label=name)
    axes.set_xlabel(label)
    axes.set_ylabel("energy [kJ]")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_yticks([10, 20, 50, 100, 200, 500])
    axes.set_xticks(places)
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def _mean_kj(policy: str, setting: paper.Setting, seeds: Sequence[int]) -> float:
    sums = [
        paper.snapshots(policy, setting, seed)[1].parts["energy_j"].sum(axis=-1) for seed in seeds
    ]
    return float(np.mean(sums)) / 1e3


def _stars(seed: int) -> "Figure":
    """One world with its best stars: who helps whom, and how many sensors each server has."""
    state, cost = paper.snapshots("oracle", paper.DEFAULT, seed)
    action = POLICIES["oracle"](state, np.random.default_rng(seed))
    place = state.position_m[0] / 1e3
    sensors = (state.embb.counts() + state.urllc.counts())[0]
    figure, axes = _axes("The best stars of one circle: dots as large as servers have sensors")
    for server, helper in enumerate(action.helper[0]):
        pair = place[[server, helper]]
        axes.plot(pair[:, 0], pair[:, 1], color="#b0b0b0", linewidth=1.0, zorder=1)
    for name, colour, chosen in _roles(cost.parts["helper"][0], cost.parts["recipient"][0]):
        axes.scatter(
            place[chosen, 0],
            place[chosen, 1],
            s=sensors[chosen] * 1.5,
            color=colour,
            label=name,
            zorder=2,
        )
    axes.set_xlabel("x [km]")
    axes.set_ylabel("y [km]")
    axes.set_aspect("equal")
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def _roles(helper: Array, recipient: Array) -> list[tuple[str, str, Array]]:
    alone = (helper == 0) & (recipient == 0)
    return [
        ("helper", GREYS[3], helper == 1),
        ("recipient", GREYS[2], recipient == 1),
        ("alone", GREYS[0], alone),
    ]
