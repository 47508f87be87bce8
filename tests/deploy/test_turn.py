"""Two systems that start at the same time choose their ports one after the other."""

import asyncio
import json
import subprocess
from pathlib import Path

import pytest

from deploy import turn
from deploy.turn import my_turn
from tests.deploy.an_up import DITEN


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn, "gettempdir", lambda: str(tmp_path))


def never() -> bool:
    return False


def test_the_second_waits_until_all_of_the_first_listen() -> None:
    async def body() -> None:
        looks, has_waited = 0, asyncio.Event()

        def looks_twice() -> bool:
            nonlocal looks
            looks += 1
            if looks == 2:
                has_waited.set()
            return False

        async def second() -> None:
            async with my_turn(looks_twice):
                said.append("the second starts")

        said: list[str] = []
        async with (
            asyncio.timeout(10.0),
            asyncio.TaskGroup() as group,
            my_turn(never) as all_listen,
        ):
            group.create_task(second())
            await has_waited.wait()
            said.append("all of the first listen")
            all_listen()
        assert said == ["all of the first listen", "the second starts"]

    asyncio.run(body())


def test_nobody_waits_for_long_for_one_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn, "TURN_S", 2 * turn.POLL_S)

    async def body() -> None:
        async with my_turn(never), asyncio.timeout(10.0), my_turn(never):
            pass

    asyncio.run(body())


def test_who_is_asked_to_stop_waits_no_more() -> None:
    async def body() -> None:
        async with my_turn(never), asyncio.timeout(10.0), my_turn(lambda: True):
            pass

    asyncio.run(body())


@pytest.mark.system
def test_two_ups_at_the_same_time_both_come_up(tmp_path: Path) -> None:
    options = ("--source", "none", "--devices", "2", "--edges", "1", "--duration", "2s", "--json")
    ups = [
        subprocess.Popen(
            [str(DITEN), "up", "--data-dir", str(tmp_path / name), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "two")
    ]
    ended = [(up.communicate(timeout=120), up.returncode) for up in ups]
    for (said, complaints), code in ended:
        assert code == 0, complaints
        assert json.loads(said)["reports"]["lost"] == 0
