"""Who runs, as seen from outside: a process is touched only if it is the one that was named."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.system_file import (
    SYSTEM,
    Part,
    ProcessName,
    System,
    boot,
    name_process,
    read_system,
    runs,
    signal_process,
    write_system,
)
from twin_runtime.core.errors import InvalidConfiguration, Unavailable

ENDED_S = 10.0
ARGUMENT = "a-folder/config.toml"


@contextmanager
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process with `ARGUMENT` in its command line."""
    sleeps = "import time\nprint(flush=True)\nwhile True: time.sleep(60)"
    command = [sys.executable, "-c", sleeps, ARGUMENT]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # while it is being started, its command line may be empty
        try:
            yield process
        finally:
            process.kill()


def named(process: subprocess.Popen[bytes]) -> ProcessName:
    name = name_process(process.pid, ARGUMENT)
    assert name is not None
    return name


def own() -> ProcessName:
    # The last word of our own command line, whatever started us.
    name = name_process(os.getpid(), own_words()[-1])
    assert name is not None
    return name


def own_words() -> list[str]:
    return Path("/proc/self/cmdline").read_text().rstrip("\0").split("\0")


def a_system() -> System:
    parts = (
        Part("e-1", "edge_node", "there/e-1", 2, own()),
        Part("cloud", "cloud", "there/cloud", 0, None),
    )
    return System(boot(), own(), "127.0.0.1", 1883, 8420, links=False, parts=parts)


def test_a_process_that_was_named_gets_the_signal() -> None:
    with sleeper() as process:
        assert signal_process(named(process), signal.SIGTERM)
        assert process.wait(ENDED_S) == -signal.SIGTERM
        assert not runs(ProcessName(process.pid, 1, ARGUMENT))


def test_a_stranger_that_was_given_the_same_number_is_not_touched() -> None:
    with sleeper() as process:
        name = named(process)
        stranger = replace(name, started_ticks=name.started_ticks - 1)
        assert not runs(stranger)
        assert not signal_process(stranger, signal.SIGKILL)
        assert process.poll() is None
        assert runs(name)


def test_a_process_with_another_command_line_is_not_touched() -> None:
    with sleeper() as process:
        stranger = replace(named(process), argument="another-folder/config.toml")
        assert not signal_process(stranger, signal.SIGKILL)
        assert process.poll() is None


def test_a_process_that_ended_has_no_name_and_gets_no_signal() -> None:
    with sleeper() as process:
        name = named(process)
        process.kill()
        process.wait()
        assert not signal_process(name, signal.SIGCONT)
        assert name_process(process.pid, ARGUMENT) is None
    assert name_process(None, ARGUMENT) is None


def test_a_system_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_system(tmp_path, a_system())
    assert read_system(tmp_path) == a_system()
    assert read_system(tmp_path).part("e-1").restarts == 2


def test_where_no_up_runs_one_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no `diten up` runs in"):
        read_system(tmp_path)
    gone = replace(own(), started_ticks=1)
    for old in (replace(a_system(), up=gone), replace(a_system(), boot="another")):
        write_system(tmp_path, old)
        with pytest.raises(Unavailable, match="no `diten up` runs in"):
            read_system(tmp_path)


def test_where_processes_cannot_be_told_apart_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_system(tmp_path, a_system())
    monkeypatch.delattr("os.pidfd_open")
    with pytest.raises(Unavailable, match="only be told from others on Linux"):
        read_system(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"v": 2}', '{"v": 1, "parts": 1}'])
def test_a_file_of_somebody_else_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / SYSTEM).write_text(text)
    with pytest.raises(InvalidConfiguration, match="is not what this `diten up` writes"):
        read_system(tmp_path)
