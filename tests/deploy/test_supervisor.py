"""Roles that end, refuse, ignore and return: processes of a few lines each."""

import asyncio
import os
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest

from deploy import supervisor
from deploy.supervisor import Role, keep_running, stop
from twin_runtime.core.errors import InvalidConfiguration

WITHIN_S = 20.0

OBEDIENT = """\
import signal, sys
print("2030-01-01T00:00:00.000Z d-1 info: here", file=sys.stderr, flush=True)
signal.pause()
"""
STUBBORN = """\
import signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("2030-01-01T00:00:00.000Z d-1 warning: here", file=sys.stderr, flush=True)
while True:
    signal.pause()
"""
REFUSING = """\
import sys
print("2030-01-01T00:00:00.000Z d-1 error: nonsense", file=sys.stderr, flush=True)
sys.exit(2)
"""
SAYING_HOW = """\
import os, signal, sys
how = os.environ["DITEN_LOG"]
print(f"2030-01-01T00:00:00.000Z d-1 warning: as {how!r}", file=sys.stderr, flush=True)
signal.pause()
"""
ENDING = "raise SystemExit(1)"

Scene = Callable[[Role, list[str]], Awaitable[None]]


@pytest.fixture
def role_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Role]:
    """Make a role of a program's text."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path)]))

    def make(program: str) -> Role:
        (tmp_path / "made_up_role.py").write_text(program)
        return Role("d-1", "made_up_role", tmp_path / "config.toml", tmp_path / "d-1.log")

    return make


def play(role: Role, scene: Scene) -> list[str]:
    """Keep `role` running while `scene` is played, stop it, and return what was said."""
    said: list[str] = []

    async def run() -> None:
        async with asyncio.timeout(WITHIN_S), asyncio.TaskGroup() as group:
            group.create_task(keep_running(role, said.append))
            await scene(role, said)
            await stop(role)

    asyncio.run(run())
    return said


async def until(holds: Callable[[], object]) -> None:
    while not holds():  # noqa: ASYNC110 - nobody tells when a file or a list changes
        await asyncio.sleep(0.01)


def logged(role: Role) -> str:
    return role.log.read_text() if role.log.exists() else ""


def test_a_role_runs_until_it_is_stopped_and_is_measured(
    role_of: Callable[[str], Role],
) -> None:
    role = role_of(OBEDIENT)

    async def scene(role: Role, said: list[str]) -> None:
        await until(lambda: "here" in logged(role))

    assert play(role, scene) == []
    assert role.pid is None
    assert role.usage["rss_mb"] > 0
    assert role.restarts == 0


def test_a_role_that_is_killed_is_started_again_and_that_is_said(
    role_of: Callable[[str], Role],
) -> None:
    role = role_of(OBEDIENT)

    async def scene(role: Role, said: list[str]) -> None:
        await until(lambda: "here" in logged(role))
        assert role.pid is not None
        psutil.Process(role.pid).kill()
        await until(lambda: logged(role).count("here") == 2)

    said = play(role, scene)
    ended, again = said
    assert ended.startswith("d-1 ended with signal 9; starting it again in 0.")
    assert re.fullmatch(r"d-1 runs again  pid \d+", again)
    assert role.restarts == 1


def test_stopping_does_not_wait_for_the_pause_before_a_restart(
    role_of: Callable[[str], Role], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "RESTART_FIRST_S", 2 * WITHIN_S)

    async def scene(role: Role, said: list[str]) -> None:
        await until(lambda: said)

    assert "d-1 ended with code 1" in play(role_of(ENDING), scene)[0]


def test_a_role_stopped_while_it_is_being_started_ends(role_of: Callable[[str], Role]) -> None:
    async def scene(role: Role, said: list[str]) -> None:
        await asyncio.sleep(0)  # one turn: the child is being made

    role = role_of(OBEDIENT)
    play(role, scene)
    assert role.pid is None


def test_a_line_without_end_does_not_end_the_supervision(role_of: Callable[[str], Role]) -> None:
    role = role_of(f"import sys\nprint('x' * 100_000, file=sys.stderr)\n{OBEDIENT}")

    async def scene(role: Role, said: list[str]) -> None:
        await until(lambda: "info: here" in logged(role))

    play(role, scene)
    assert role.restarts == 0
    assert "(a line of more than 64 KiB)" in logged(role)


def test_a_role_that_does_not_heed_a_stop_is_killed(
    role_of: Callable[[str], Role], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "STOP_S", 0.2)
    role = role_of(STUBBORN)

    async def scene(role: Role, said: list[str]) -> None:
        await until(lambda: said)

    assert play(role, scene) == ["d-1 warning: here"]
    assert role.pid is None


def test_a_role_that_refuses_its_configuration_is_not_started_again(
    role_of: Callable[[str], Role],
) -> None:
    role = role_of(REFUSING)
    said: list[str] = []
    with pytest.raises(InvalidConfiguration, match=r"d-1 cannot run like that; .*d-1\.log"):
        asyncio.run(keep_running(role, said.append))
    assert said == ["d-1 error: nonsense"]
    assert role.restarts == 0


def test_a_role_speaks_to_people_whatever_the_environment_asks_of_services(
    role_of: Callable[[str], Role], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DITEN_LOG", "json")
    role = role_of(SAYING_HOW)

    async def scene(_: Role, said: list[str]) -> None:
        while not said:  # noqa: ASYNC110 - bounded by `play`
            await asyncio.sleep(0.01)

    assert play(role, scene)[0] == "d-1 warning: as ''"
