"""Which kinds of faults a failed run needs: each is left out in turn, while it still fails."""

from dataclasses import fields, replace

from tests.simulation.faults import Faults
from tests.simulation.world import Outcome, simulate

# What can be left out; sizes and delays belong to every run.
KINDS = (
    *("loss", "duplication", "commit_failure", "clock_reads_zero"),
    *(each.name for each in fields(Faults) if each.name.endswith("_per_s")),
)


def kinds(faults: Faults) -> list[str]:
    """Those that are on."""
    return [kind for kind in KINDS if getattr(faults, kind)]


def shrunk(outcome: Outcome) -> Outcome:
    """A run of the same seed that fails, too, and does with none of its kinds of faults less."""
    for kind in kinds(outcome.faults):
        off = {kind: type(getattr(outcome.faults, kind))()}
        fewer = simulate(outcome.seed, replace(outcome.faults, **off))
        if fewer.failure:
            return shrunk(fewer)
    return outcome
