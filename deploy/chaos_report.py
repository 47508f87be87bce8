"""What `diten chaos run` found, as numbers and for people.

A pause is the time between the last acknowledgement of a moved twin by its former owner
and the first by the next. It contains the wait for the device's next report, so it is
given beside the usual gap between two acknowledgements of a twin; and it may contain a
fault, so those of moves that no fault touched are given apart.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from deploy.chaos import Outcome
from deploy.chaos_check import Place
from deploy.chaos_observer import Moved
from deploy.chaos_strikes import Strike

VERSION = 1
_EXAMPLES_MAX = 10


def as_json(outcome: Outcome) -> dict[str, Any]:
    """Everything, with times in seconds since the beginning."""
    plan, observer = outcome.plan, outcome.observer
    end_s = round(max(outcome.healed_s, outcome.converged_s or 0), 3)
    moves = list(observer.moves)
    undisturbed = [move for move in moves if not _is_disturbed(move, outcome.strikes)]
    return {
        "v": VERSION,
        "verdict": "good" if outcome.is_good else "bad",
        "system": {
            "data_dir": str(plan.folder),
            "roles": [part.id for part in outcome.system.parts],
            "twins": len(observer.twins()),
        },
        "command": _command(outcome),
        "seed": plan.seed,
        "duration_s": plan.duration_s,
        "healed_s": round(outcome.healed_s, 3),
        "converged_s": _rounded(outcome.converged_s),
        "acknowledged": observer.acknowledged,
        "lost": len(outcome.verdict.lost),
        "twice": len(outcome.verdict.twice),
        "looked_up": outcome.verdict.looked_up,
        "compared": outcome.verdict.compared,
        "unseen": outcome.verdict.unseen,
        "missing_twins": outcome.missing,
        "quiet_twins": outcome.quiet,
        "problems": list(_problems(outcome)),
        "faults": [_fault(strike) for strike in outcome.strikes],
        "left_out": list(plan.choice.left_out),
        "recovery_s": _recoveries(outcome.strikes),
        "moves": {
            "asked": outcome.moves_asked,
            "refused": outcome.moves_refused,
            "made": len(moves),
        },
        "pause_s": _distribution(move.pause_s for move in moves),
        "undisturbed_pause_s": _distribution(move.pause_s for move in undisturbed),
        "gap_s": _distribution(observer.gaps_s),
        "pauses_s": [round(move.pause_s, 4) for move in moves],
        "restarts": outcome.restarts,
        "acknowledged_per_s": [observer.per_second[second] for second in range(int(end_s) + 1)],
    }


def print_report(report: dict[str, Any]) -> None:
    """Print faults, figures and the verdict."""
    console = Console(highlight=False)
    if report["faults"]:
        console.print(_faults_table(report["faults"]))
        console.print()
    for name, text in figures(report):
        console.print(f"{name:<26}{text}", soft_wrap=True)
    console.print(_verdict(report), soft_wrap=True)


def quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def _distribution(values: Iterable[float]) -> dict[str, float | int | None]:
    ordered = sorted(values)
    if not ordered:
        return {"count": 0, "p50": None, "p99": None, "max": None}
    p50, p99 = (round(quantile(ordered, share), 4) for share in (0.5, 0.99))
    return {"count": len(ordered), "p50": p50, "p99": p99, "max": round(ordered[-1], 4)}


def _is_disturbed(move: Moved, strikes: Iterable[Strike]) -> bool:
    """Whether anything was broken, or had not recovered, during the pause."""
    began_s = move.at_s - move.pause_s
    return any(
        strike.began_s <= move.at_s and began_s <= (strike.recovered_s or move.at_s)
        for strike in strikes
        if not strike.why_not
    )


def _fault(strike: Strike) -> dict[str, Any]:
    return {
        "kind": strike.fault.kind,
        "role": strike.fault.role,
        "began_s": round(strike.began_s, 3),
        "ended_s": _rounded(strike.ended_s),
        "recovered_s": _rounded(strike.recovered_s),
        "not_done": strike.why_not,
    }


def _recoveries(strikes: Iterable[Strike]) -> dict[str, Any]:
    """The time from the end of a fault to the first news of the last twin, by kind."""
    took: dict[str, list[float]] = {}
    for strike in strikes:
        if strike.ended_s is not None and strike.recovered_s is not None:
            took.setdefault(strike.fault.kind, []).append(strike.recovered_s - strike.ended_s)
    return {kind: _distribution(values) for kind, values in sorted(took.items())}


def _problems(outcome: Outcome) -> Iterator[str]:
    if outcome.converged_s is None:
        waited = f"after {outcome.plan.duration_s:g} s of faults it did not recover"
        yield f"{waited}; no news of {', '.join(outcome.missing[:_EXAMPLES_MAX]) or 'a role'}"
    for place in _first(outcome.verdict.lost):
        yield f"lost: report {place} {outcome.verdict.why[place]}"
    for place in _first(outcome.verdict.twice):
        yield f"applied twice: report {place}"


def _first(places: Iterable[Place]) -> list[Place]:
    return sorted(places)[:_EXAMPLES_MAX]


def _faults_table(faults: Iterable[dict[str, Any]]) -> Table:
    table = Table("fault", "role", box=None, header_style="dim", pad_edge=False)
    for name in ("at s", "lasted s", "recovered in s"):
        table.add_column(name, justify="right")
    for fault in faults:
        cells = (f"{fault['began_s']:.1f}", *times(fault))
        table.add_row(fault["kind"], fault["role"], *cells)
    return table


def times(fault: dict[str, Any]) -> tuple[str, str]:
    """How long a fault lasted and how long it took to recover, in words."""
    if fault["not_done"]:
        return "–", "not done"
    if fault["ended_s"] is None:
        return "–", "never"
    lasted = f"{fault['ended_s'] - fault['began_s']:.1f}"
    if fault["recovered_s"] is None:
        return lasted, "never"
    return lasted, f"{fault['recovered_s'] - fault['ended_s']:.1f}"


def figures(report: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The report's numbers, each with its name."""
    yield "twins", f"{report['system']['twins']}"
    yield "acknowledged", f"{report['acknowledged']:,} reports"
    moves, pause = report["moves"], report["pause_s"]
    if moves["asked"] or moves["made"]:
        yield "moves", f"{moves['made']} made, {moves['asked']} asked, {moves['refused']} refused"
    if pause["count"]:
        yield "pause of a move", _spread(pause)
    if report["undisturbed_pause_s"]["count"]:
        yield "  without a fault", _spread(report["undisturbed_pause_s"])
    if report["gap_s"]["count"]:
        yield "between acknowledgements", _spread(report["gap_s"])
    restarted = [f"{role} {count}" for role, count in report["restarts"].items() if count]
    yield "restarts", ", ".join(restarted) or "none"
    if report["quiet_twins"]:
        yield "nothing to report", f"{len(report['quiet_twins'])} twins, whose devices fell silent"


def _spread(found: dict[str, Any]) -> str:
    return f"p50 {_seconds(found['p50'])}, p99 {_seconds(found['p99'])}"


def _seconds(value_s: float) -> str:
    return f"{1000 * value_s:.0f} ms" if value_s < 1 else f"{value_s:.1f} s"


def _verdict(report: dict[str, Any]) -> Text:
    verdict = f"lost {report['lost']}, applied twice {report['twice']}"
    if report["verdict"] != "good":
        return Text("\n".join([verdict, *report["problems"]]), style="bold red")
    seen = f"{report['looked_up']:,} acknowledged reports found on disk"
    also = f", {report['unseen']:,} too old to be there" if report["unseen"] else ""
    return Text(f"{verdict} ({seen}, {report['compared']:,} compared{also})", style="green")


def _command(outcome: Outcome) -> str:
    """What repeats the faults, on a system like this one."""
    plan = outcome.plan
    reached = {role for roles in plan.choice.roles.values() for role in roles}
    parts = [part.id for part in outcome.system.parts]
    only = "" if reached == set(parts) else f" --roles {','.join(sorted(reached))}"
    return (
        f"diten chaos run --seed {plan.seed} --duration {plan.duration_s:g}s "
        f"--every {plan.every_s:g}s --moves-per-s {plan.moves_per_s:g} "
        f"--faults {','.join(plan.choice.roles)}{only}"
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
