"""What chaos broke is healed by its guard when chaos is killed, or stopped itself."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from deploy.chaos_guard import BALLAST, Guard
from deploy.system_file import ProcessName, name_process, signal_process

POLL_S = 0.02
BOUND_S = 10.0
FOR_EVER_S = 3600.0
# Chaos in small: it holds what it is told, stops its victim, and lives until it is killed.
CHAOS = """\
import signal, sys, time
from pathlib import Path
from deploy.chaos_guard import Guard
from deploy.system_file import ProcessName, signal_process
victim = ProcessName(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
with Guard() as guard:
    guard.hold_process(victim, 3600.0)
    guard.hold_file(Path(sys.argv[4]), 3600.0)
    Path(sys.argv[4]).write_bytes(b"full")
    signal_process(victim, signal.SIGSTOP)
    print("broken", flush=True)
    while True: time.sleep(60)
"""


@pytest.fixture
def victim() -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", "import time\nwhile True: time.sleep(60)", "victim"]
    process = subprocess.Popen(command)
    yield process
    process.kill()
    process.wait()


def named(process: subprocess.Popen[bytes]) -> ProcessName:
    name = name_process(process.pid, "victim")
    assert name is not None
    return name


def is_stopped(process: subprocess.Popen[bytes]) -> bool:
    return psutil.Process(process.pid).status() == psutil.STATUS_STOPPED


def wait_for(holds: Callable[[], bool]) -> None:
    due_s = time.monotonic() + BOUND_S
    while not holds():
        assert time.monotonic() < due_s
        time.sleep(POLL_S)


def test_a_guard_heals_everything_when_chaos_is_killed(
    victim: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    ballast, name = tmp_path / BALLAST, named(victim)
    words = [str(name.pid), str(name.started_ticks), name.argument, str(ballast)]
    with subprocess.Popen(
        [sys.executable, "-c", CHAOS, *words], stdout=subprocess.PIPE, text=True
    ) as chaos:
        assert chaos.stdout is not None
        assert chaos.stdout.readline() == "broken\n"
        wait_for(lambda: is_stopped(victim))
        assert ballast.exists()
        guards = psutil.Process(chaos.pid).children()
        chaos.kill()
    wait_for(lambda: not is_stopped(victim))
    wait_for(lambda: not ballast.exists())
    assert psutil.wait_procs(guards, timeout=BOUND_S)[1] == []


def test_what_is_held_for_too_long_is_healed_though_chaos_lives(
    victim: subprocess.Popen[bytes],
) -> None:
    with Guard() as guard:
        guard.hold_process(named(victim), 0.5)
        signal_process(named(victim), signal.SIGSTOP)
        wait_for(lambda: is_stopped(victim))
        wait_for(lambda: not is_stopped(victim))


def test_what_was_dropped_is_left_alone(victim: subprocess.Popen[bytes]) -> None:
    with Guard() as guard:
        guard.drop(guard.hold_process(named(victim), FOR_EVER_S))
        signal_process(named(victim), signal.SIGSTOP)
    wait_for(lambda: is_stopped(victim))  # the guard has ended


def test_a_guard_removes_nothing_that_chaos_did_not_make(tmp_path: Path) -> None:
    with Guard() as guard, pytest.raises(AssertionError, match="is not ours to remove"):
        guard.hold_file(tmp_path / "edge.sqlite", FOR_EVER_S)
