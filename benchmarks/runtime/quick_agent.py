"""`python -m benchmarks.runtime.quick_agent --config device.toml`: an agent whose devices may
sample fifty times a second.

It is `device_agent` and nothing else, but that two bounds are lower which keep an operator
from filling an outbox, and a processor with wake-ups.
"""

import sys
from pathlib import Path

from device_agent import pace
from device_agent.__main__ import start


def main() -> None:
    pace.SAMPLE_PERIOD_S_MIN = 0.01
    pace.WAKE_PERIOD_S_MIN = 0.005  # as often as its shell commits
    sys.exit(start(Path(sys.argv[-1])))


if __name__ == "__main__":
    main()
