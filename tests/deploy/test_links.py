"""Links of a running system: cut by who asks, healed in time and when whoever asked is gone."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from deploy.links import CUT_S_MAX, Cut, cut, offered
from twin_runtime.core.errors import Unavailable

BOUND_S = 5.0
SHORT_S = 0.2


class Echo:
    """A server that answers what it hears, and one connection to it over the link of e-1."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def run(self, body: Callable[["Echo"], Awaitable[None]]) -> None:
        server = await asyncio.start_server(self._echo, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        async with server, offered(self.folder, ["e-1", "e-2"], address) as ports:
            reader, self._writer = await asyncio.open_connection("127.0.0.1", ports["e-1"])
            self._reader = reader
            await body(self)
            self._writer.close()
        assert list(self.folder.iterdir()) == []

    @staticmethod
    async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while heard := await reader.read(100):
                writer.write(heard)
        writer.close()

    async def answers(self, within_s: float) -> bool:
        """Whether the server's answer comes."""
        self._writer.write(b"x")
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                return await self._reader.read(100) != b""
        return False

    def cutting(self, for_s: float, role: str = "e-1") -> "asyncio.Task[None]":
        wanted = Cut(role=role, up="held", down="held", for_s=for_s)
        return asyncio.create_task(cut(self.folder, wanted), name="cut")

    async def await_cut(self) -> None:
        async with asyncio.timeout(BOUND_S):
            while await self.answers(SHORT_S):
                pass


def run(folder: Path, body: Callable[[Echo], Awaitable[None]]) -> None:
    asyncio.run(Echo(folder).run(body))


def test_a_cut_link_carries_nothing_and_then_all(tmp_path: Path) -> None:
    async def body(echo: Echo) -> None:
        assert await echo.answers(BOUND_S)
        cutting = echo.cutting(1.0)
        await echo.await_cut()
        await cutting
        assert await echo.answers(BOUND_S)

    run(tmp_path, body)


def test_a_link_heals_when_whoever_cut_it_goes_away(tmp_path: Path) -> None:
    async def body(echo: Echo) -> None:
        cutting = echo.cutting(CUT_S_MAX)
        await echo.await_cut()
        cutting.cancel()
        assert await echo.answers(BOUND_S)

    run(tmp_path, body)


def test_a_link_is_cut_by_one_at_a_time(tmp_path: Path) -> None:
    async def body(echo: Echo) -> None:
        cutting = echo.cutting(CUT_S_MAX)
        await echo.await_cut()
        with pytest.raises(Unavailable, match="the link of e-1 is cut already"):
            await echo.cutting(1.0)
        cutting.cancel()

    run(tmp_path, body)


def test_who_cuts_a_link_that_is_not_there_is_told_which_are(tmp_path: Path) -> None:
    async def body(echo: Echo) -> None:
        with pytest.raises(Unavailable, match="no role 'e-9'; there are e-1, e-2"):
            await echo.cutting(1.0, "e-9")

    run(tmp_path, body)


def test_a_system_without_links_says_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="start it with `diten up --links`"):
        asyncio.run(cut(tmp_path, Cut(role="e-1", up="held", down="held", for_s=1.0)))


def test_a_folder_with_a_long_name_is_no_obstacle(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 50)
    folder.mkdir()

    async def body(echo: Echo) -> None:
        await echo.cutting(0.01)

    run(folder, body)
