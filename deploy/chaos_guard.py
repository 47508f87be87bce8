"""Heals what `diten chaos` broke, should it not live to do so itself.

A process of its own, started before anything is broken. It reads lines from chaos:

    {"hold": 3, "within_s": 9.0, "go_on": {process name}}    this process is stopped
    {"hold": 4, "within_s": 9.0, "remove": "…/chaos-ballast"}    this file fills a disk
    {"drop": 3}                                               that one is healed

When chaos is gone, however it went, the pipe ends and the guard undoes what is held; and
so it does with anything that is held for longer than was said, since chaos may be stopped
itself. Links need no guard: they heal when whoever cut them goes away.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from deploy.system_file import ProcessName, signal_process

BALLAST = "chaos-ballast"
ENDED_S = 10.0
_READ_BYTES = 64 * 1024
_IDLE_S = 3600.0


class Guard:
    """Chaos' end of the pipe."""

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "deploy.chaos_guard"]
        # Ctrl-C is not for it, and it outlives us.
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
        self._holds = 0
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.stdin.close()  # type: ignore[union-attr] # it is a pipe
        self._process.wait(ENDED_S)

    def hold_process(self, name: ProcessName, within_s: float) -> int:
        """To be called before the process is stopped."""
        return self._hold(within_s, go_on=asdict(name))

    def hold_file(self, path: Path, within_s: float) -> int:
        """To be called before the file is made; it is named `BALLAST`."""
        assert path.name == BALLAST, f"{path} is not ours to remove"
        return self._hold(within_s, remove=str(path))

    def drop(self, hold: int) -> None:
        self._tell({"drop": hold})

    def _hold(self, within_s: float, **undo: Any) -> int:
        self._holds += 1
        self._tell({"hold": self._holds, "within_s": within_s, **undo})
        return self._holds

    def _tell(self, line: dict[str, Any]) -> None:
        pipe = self._process.stdin
        assert pipe is not None, "it is a pipe"
        pipe.write(json.dumps(line).encode() + b"\n")
        pipe.flush()


@dataclass(slots=True)
class _Held:
    """What is broken now, by its number: `(when it must be healed, how)`."""

    undos: dict[int, tuple[float, dict[str, Any]]] = field(default_factory=dict)

    def hear(self, line: dict[str, Any], now_s: float) -> None:
        if "drop" in line:
            self.undos.pop(line["drop"], None)
        else:
            self.undos[line["hold"]] = (now_s + line["within_s"], line)

    def undo(self, until_s: float) -> None:
        for hold, (due_s, line) in list(self.undos.items()):
            if due_s <= until_s:
                del self.undos[hold]
                _undo(line)


def _undo(line: dict[str, Any]) -> None:
    if "go_on" in line:
        signal_process(ProcessName(**line["go_on"]), signal.SIGCONT)
    elif Path(line["remove"]).name == BALLAST:
        Path(line["remove"]).unlink(missing_ok=True)


def watch(pipe: int) -> None:
    """Follow chaos until it is gone; then heal all that is still held."""
    held, unread = _Held(), b""
    while True:
        due_s = min((due_s for due_s, _ in held.undos.values()), default=time.monotonic() + _IDLE_S)
        ready, _, _ = select.select([pipe], [], [], max(due_s - time.monotonic(), 0))
        held.undo(time.monotonic())
        if not ready:
            continue
        said = os.read(pipe, _READ_BYTES)
        if not said:
            break
        *lines, unread = (unread + said).split(b"\n")
        for line in lines:
            held.hear(json.loads(line), time.monotonic())
    held.undo(float("inf"))


if __name__ == "__main__":
    watch(sys.stdin.fileno())
