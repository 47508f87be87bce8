"""How soon the page shows a fleet: `python -m tests.browser ADDRESS [LOADS]`; what is
measured, `benchmarks/runtime/page.py` says."""

import statistics
import sys

from benchmarks.runtime.page import loads

LOADS = 5


def main(address: str, times: int = LOADS) -> None:
    found = loads(address, times)
    print(f"{found[-1]['twins']:.0f} twins, {times} loads (median; slowest)")
    for name, mark in (
        ("first paint", "first-contentful-paint"),
        ("a row", "diten-row"),
        ("all twins", "diten-all-twins"),
        ("blocked", "blocked"),
    ):
        times_ms = [each[mark] for each in found]
        print(f"{name:12} {statistics.median(times_ms):6.0f} ms {max(times_ms):6.0f} ms")


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
