"""`python -m tests.simulation`: run one seed or many; show what happened where one fails.

python -m tests.simulation --seed 17 --trace
python -m tests.simulation --seed 17 --shrink
python -m tests.simulation --seeds 0:100000 --jobs 2

A campaign goes on after a failure, prints its whole report at once, and ends in one line.
"""

import argparse
import sys
import time

from tests.simulation.campaign import failures
from tests.simulation.shrinking import shrunk
from tests.simulation.world import simulate

SEEDS_PER_LINE = 1_000


def main() -> int:
    options = _options()
    if options.seed is not None:
        outcome = simulate(options.seed, show=print if options.trace else None)
        if outcome.failure and options.shrink:
            outcome = shrunk(outcome)
        print(outcome.report())
        print(outcome.digest)
        return 1 if outcome.failure else 0
    return _run_all(range(*map(int, options.seeds.split(":"))), options.jobs)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--seed", type=int)
    chosen.add_argument("--seeds", metavar="A:B", help="from A, up to but not including B")
    parser.add_argument("--trace", action="store_true", help="print every event of --seed")
    parser.add_argument(
        "--shrink", action="store_true", help="leave out the faults that --seed fails without"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes that share --seeds")
    return parser.parse_args()


def _run_all(seeds: range, jobs: int) -> int:
    began_s = time.monotonic()
    failed: list[int] = []
    for done, (seed, failure) in enumerate(zip(seeds, failures(seeds, jobs), strict=True), 1):
        if failure is not None:
            failed.append(seed)
            print(failure.report(), flush=True)
        if done % SEEDS_PER_LINE == 0 or done == len(seeds):
            pace = done / (time.monotonic() - began_s)
            print(f"{done} of {len(seeds)}: {pace:.1f}/s, {len(failed)} failed", flush=True)
    print(f"seeds {seeds.start}:{seeds.stop}: {len(failed)} broke a promise {failed}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
