"""The `diten` program. From its first moment on, Ctrl-C ends it quietly, with exit code 130.

While the commands are loaded, a tenth of a second, there is nothing to leave in order. From
then on Ctrl-C is an exception, as everywhere in Python, and `deploy.cli` says how it ends.
"""

import os
import signal
from types import FrameType


def start() -> None:
    """Run the command that the arguments name."""
    before = signal.signal(signal.SIGINT, _end)
    from deploy.cli import main

    signal.signal(signal.SIGINT, before)
    main()


def _end(_number: int, _frame: FrameType | None) -> None:
    os._exit(128 + signal.SIGINT)


if __name__ == "__main__":
    start()
