"""`python -m benchmarks.runtime.observed_edge --config edge.toml`: the edge, its garbage
collector watched.

It is `edge_node` and nothing else, but for a callback that times each collection; on a
stop it leaves `collections.json` in the data directory: when each ended (wall clock),
of which generation it was, and how long it worked (CPU time, so that a neighbour who takes
the core away is not counted).
"""

import gc
import json
import sys
import time
from pathlib import Path

from edge_node.__main__ import start

COLLECTIONS = "collections.json"
_KEPT_MAX = 1_000_000  # an hour of an edge under full load


class Watch:
    """A `gc` callback that remembers how long each collection took."""

    def __init__(self) -> None:
        self.collections: list[tuple[float, int, float]] = []
        self._began_s = 0.0

    def __call__(self, phase: str, about: dict[str, int]) -> None:
        if phase == "start":
            self._began_s = time.thread_time()
        elif len(self.collections) < _KEPT_MAX:
            took_s = time.thread_time() - self._began_s
            self.collections.append((time.time(), about["generation"], took_s))


def main() -> None:
    config = Path(sys.argv[-1])
    watch = Watch()
    gc.callbacks.append(watch)
    code = start(config)
    (config.parent / COLLECTIONS).write_text(json.dumps(watch.collections))
    sys.exit(code)


if __name__ == "__main__":
    main()
