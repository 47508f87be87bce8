"""A role whose disk is slow.

    python -m tests.system.slow_disk SECONDS MODULE CONFIG

runs MODULE as it always runs, but each commit takes SECONDS longer.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from threading import Event

from twin_runtime.adapters.sqlite_store import SqliteStore
from twin_runtime.core.effects import Write


def main(commit_s: float, module: str, config: Path) -> int:
    plain = SqliteStore.commit

    def commit(self: SqliteStore, writes: Sequence[Write]) -> None:
        Event().wait(commit_s)
        plain(self, writes)

    SqliteStore.commit = commit  # type: ignore[method-assign]
    code: int = import_module(f"{module}.__main__").start(config)
    return code


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2], Path(sys.argv[3])))
