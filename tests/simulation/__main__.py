"""`python -m tests.simulation`: run one seed or many; show what happened where one fails.

python -m tests.simulation --seed 17 --trace
python -m tests.simulation --seeds 0:10000
"""

import argparse
import sys
import time

from tests.simulation.world import simulate


def main() -> int:
    options = _options()
    if options.seed is not None:
        outcome = simulate(options.seed, show=print if options.trace else None)
        print(outcome.report())
        print(outcome.digest)
        return 1 if outcome.failure else 0
    return _run_all(range(*map(int, options.seeds.split(":"))))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--seed", type=int)
    chosen.add_argument("--seeds", metavar="A:B", help="from A, up to but not including B")
    parser.add_argument("--trace", action="store_true", help="print every event of --seed")
    return parser.parse_args()


def _run_all(seeds: range) -> int:
    began_s = time.monotonic()
    failed = []
    for seed in seeds:
        outcome = simulate(seed)
        if outcome.failure:
            failed.append(seed)
            print(f"seed {seed}: {outcome.failure}", flush=True)
    pace = len(seeds) / (time.monotonic() - began_s)
    print(f"{len(seeds)} seeds, {pace:.1f}/s, {len(failed)} failed: {failed}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
