"""`diten up --links`: every role reaches the broker over a link that can be cut.

    role ── link ── broker        a LinkProxy each, in the process of `up`
              │
              └ DATA_DIR/links.sock

Who connects to that socket sends one line, `{"role": "e-1", "up": "held", "down": "held",
"for_s": 3.0}`, and gets one when the link delivers again. `up` is what the role says,
`down` what it is told; the words are those of `twin_runtime.adapters.link_proxy`. A link
heals when its time is over, or at once when whoever cut it goes away: nothing stays cut
because a tool was killed.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deploy.system_file import LINKS
from twin_runtime.adapters.link_proxy import Fate, Link, LinkProxy
from twin_runtime.core.errors import Unavailable

CUT_S_MAX = 300.0
_LINE_BYTES_MAX = 1024
_ANSWER_S = 5.0


class Cut(BaseModel):
    """How one link is to be, and for how long."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: str
    up: Fate
    down: Fate
    for_s: Annotated[float, Field(gt=0, le=CUT_S_MAX)]


Links = dict[str, LinkProxy]


@asynccontextmanager
async def offered(
    folder: Path, roles: Iterable[str], broker: tuple[str, int]
) -> AsyncIterator[dict[str, int]]:
    """Links of all `roles` to the broker, and the socket to cut them; yield each one's port."""
    links: Links = {role: LinkProxy(*broker) for role in roles}
    ports = {role: await link.start() for role, link in links.items()}
    with _short(folder / LINKS) as path:
        path.unlink(missing_ok=True)  # of an `up` that was killed
        server = await asyncio.start_unix_server(
            lambda reader, writer: _serve(links, reader, writer), path, limit=_LINE_BYTES_MAX
        )
    try:
        yield ports
    finally:
        server.close()
        for link in links.values():
            await link.stop()
        (folder / LINKS).unlink(missing_ok=True)


async def cut(folder: Path, wanted: Cut) -> None:
    """Let the `up` that runs in `folder` cut a link; return when it delivers again.

    Raises:
        Unavailable: there is no such link, or it is cut already, or `up` is gone.
    """
    try:
        with _short(folder / LINKS) as path:
            reader, writer = await asyncio.open_unix_connection(path)
    except OSError:
        raise Unavailable(f"{folder} offers no links: start it with `diten up --links`") from None
    try:
        writer.write(wanted.model_dump_json().encode() + b"\n")
        async with asyncio.timeout(wanted.for_s + _ANSWER_S):
            said = await reader.readline()
    except (OSError, TimeoutError):
        said = b""
    finally:
        writer.close()
    if said != b"{}\n":
        raise Unavailable(f"the link of {wanted.role}: {said.decode().strip() or 'no answer'}")


async def _serve(links: Links, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One request of one connection."""
    try:
        answer = await _answered(links, await reader.readline(), reader)
        writer.write(json.dumps(answer).encode() + b"\n")
        await writer.drain()
    except (OSError, ValueError):
        return  # it is gone, or its line has no end
    finally:
        writer.close()


async def _answered(links: Links, line: bytes, reader: asyncio.StreamReader) -> dict[str, str]:
    try:
        wanted = Cut.model_validate_json(line)
    except ValidationError as error:
        return {"error": str(error.errors(include_url=False)[0]["msg"])}
    link = links.get(wanted.role)
    if link is None:
        return {"error": f"no role {wanted.role!r}; there are {', '.join(links)}"}
    if Link() != link.up or Link() != link.down:
        return {"error": f"the link of {wanted.role} is cut already"}
    link.up, link.down = Link(fate=wanted.up), Link(fate=wanted.down)
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(wanted.for_s):
                await reader.read(1)  # its end: whoever cut it went away
    finally:
        link.up, link.down = Link(), Link()
    return {}


@contextmanager
def _short(path: Path) -> Iterator[Path]:
    """The same path through its folder's descriptor: a socket's name has 107 bytes at most."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield Path(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)
