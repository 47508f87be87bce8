"""What may go wrong in one run, and how often: one struct of numbers, drawn from the seed.

Each kind is on or off per run (a "swarm"): a run in which everything fails all the time
gets nowhere, and some mistakes show only where most things work. Sizes are drawn, too: most
worlds are small and short, since most mistakes need little, and many runs find more than
long ones.
"""

from dataclasses import dataclass
from random import Random

FLEETS: tuple[tuple[int, ...], ...] = ((1,), (2,), (1, 1), (1, 2), (1, 1, 3), (10, 40))
FLEET_WEIGHTS = (20, 20, 25, 20, 14, 1)


BLOBS = 0.35  # of all runs have any: their files make such a run slow


@dataclass(frozen=True, slots=True)
class Faults:
    """Probabilities per message or start, rates per second of the whole system, sizes."""

    loss: float = 0.0
    duplication: float = 0.0
    delay_mean_s: float = 0.005
    commit_mean_s: float = 0.005
    commit_failure: float = 0.0  # of a process's life to end at some commit
    crash_per_s: float = 0.0
    cut_per_s: float = 0.0
    clog_per_s: float = 0.0
    disconnect_per_s: float = 0.0
    broker_failure_per_s: float = 0.0
    pause_per_s: float = 0.0
    freeze_per_s: float = 0.0  # a process stops for so long that its connection is lost
    full_disk_per_s: float = 0.0
    clock_jump_per_s: float = 0.0
    edge_disk_loss_per_s: float = 0.0
    device_disk_loss_per_s: float = 0.0
    move_per_s: float = 0.0  # somebody asks for a twin to be moved, to any edge
    operator_per_s: float = 0.0  # somebody says that an edge drains, is lost, or serves
    command_per_s: float = 0.0  # some edge commands a device whose twin it believes to own
    usurper_per_s: float = 0.0  # an edge is replaced while its old process lives on
    trouble_mean_s: float = 2.0  # how long a cut, clog, pause, outage or full disk lasts
    clock_reads_zero: bool = False  # at every start of a device: it has no battery
    outbox_reports_max: int = 10_000
    edges: int = 2
    fleets: tuple[int, ...] = (1, 1, 3)  # how many devices each device process has
    blob_per_s: float = 0.0  # somebody attaches a blob to a twin, or takes one away
    faults_s: float = 40.0  # how long all of this goes on


def draw(rng: Random) -> Faults:
    """The faults of one run."""

    def sometimes(low: float, high: float) -> float:
        drawn = rng.uniform(low, high)
        return drawn if rng.random() < 0.5 else 0.0

    return Faults(
        loss=sometimes(0.01, 0.3),
        duplication=sometimes(0.01, 0.3),
        delay_mean_s=rng.choice((0.002, 0.02, 0.2, 1.0)),
        commit_mean_s=rng.choice((0.001, 0.01, 0.1)),
        commit_failure=sometimes(0.1, 0.6),
        crash_per_s=sometimes(0.05, 0.4),
        cut_per_s=sometimes(0.02, 0.2),
        clog_per_s=sometimes(0.02, 0.3),
        disconnect_per_s=sometimes(0.02, 0.3),
        broker_failure_per_s=sometimes(0.01, 0.1),
        pause_per_s=sometimes(0.02, 0.3),
        full_disk_per_s=sometimes(0.02, 0.1),
        clock_jump_per_s=sometimes(0.02, 0.2),
        edge_disk_loss_per_s=sometimes(0.01, 0.1),
        device_disk_loss_per_s=sometimes(0.01, 0.1),
        usurper_per_s=sometimes(0.01, 0.05),
        move_per_s=sometimes(0.1, 2.0),
        operator_per_s=sometimes(0.02, 0.3),
        freeze_per_s=sometimes(0.01, 0.1),
        command_per_s=sometimes(0.2, 2.0),
        trouble_mean_s=rng.choice((0.5, 2.0, 8.0)),
        clock_reads_zero=rng.random() < 0.25,
        outbox_reports_max=rng.choice((4, 12, 40, 10_000)),
        edges=rng.choice((2, 3)),
        fleets=rng.choices(FLEETS, FLEET_WEIGHTS)[0],
        faults_s=rng.choice((10.0, 15.0, 20.0, 40.0)),
        blob_per_s=rng.uniform(0.1, 1.0) if rng.random() < BLOBS else 0.0,
    )
