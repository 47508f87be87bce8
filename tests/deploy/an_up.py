"""`diten up` as a process of its own, for tests that look at one from outside."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil

DITEN = Path(sys.executable).with_name("diten")
STARTED_S = 40.0
STOPPED_S = 15.0
POLL_S = 0.05


class Up:
    """One `diten up` in `folder`; what it says is in a file beside it."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self._said = folder.with_suffix(".out")
        command = [str(DITEN), "up", "--data-dir", str(folder), *options]
        with self._said.open("wb") as said:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT
            )

    def said(self) -> str:
        return self._said.read_text()

    def await_said(self, text: str) -> str:
        """Wait until it has said `text`; return the line."""
        self.wait_for(repr(text), lambda: text in self.said())
        return next(line for line in self.said().splitlines() if text in line)

    def wait_for(self, what: str, holds: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + STARTED_S
        while not holds():
            assert self.process.poll() is None, f"waiting for {what}: it ended: {self.said()}"
            assert time.monotonic() < deadline_s, f"{what}: not yet; it said {self.said()}"
            time.sleep(POLL_S)

    def await_twins(self, count: int) -> None:
        """Wait until the API shows so many twins that have reported."""
        self.await_said("API")
        self.wait_for(f"{count} twins", lambda: len(reported(self.things())) == count)

    def things(self) -> list[dict[str, Any]]:
        url = self.await_said("API").split()[1]
        page: list[dict[str, Any]] = httpx.get(f"{url}?limit=200", timeout=5).json()
        return page

    def pid_of(self, role: str) -> int:
        """The newest process of a role, as the kernel knows it."""
        name = "mosquitto" if role == "broker" else f"/{role}/config.toml"
        found = [each for each in self.children() if name in " ".join(each.cmdline())]
        return max(found, key=psutil.Process.create_time).pid

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(STOPPED_S)


@contextmanager
def up(folder: Path, *options: str) -> Iterator[Up]:
    """`diten up` for the time of the block; nothing of it is left behind."""
    one = Up(folder, *options)
    try:
        yield one
    finally:
        with suppress(psutil.NoSuchProcess):
            for child in one.children():
                child.kill()
        one.process.kill()
        one.process.wait()


def reported(things: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [thing for thing in things if thing["features"]]
