"""A system with several edges, between which twins move, and how it is asked to move them."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.runtime.testbed import POLL_S, READY_S, WAIT_S, Role
from twin_runtime.adapters.broker import Broker, start_broker

REQUESTS_AT_ONCE = 16
EDGES = ("e-1", "e-2")  # of those benchmarks in which twins move to and fro
QUICK = "benchmarks.runtime.quick_agent"
_AGENT = "device_agent"


@dataclass(frozen=True, slots=True)
class Site:
    """A broker, a cloud, edges and agents, all of them processes; `api` asks the cloud."""

    folder: Path
    broker: Broker
    cloud: Role
    edges: tuple[Role, ...]
    api: httpx.AsyncClient

    def agent(self, name: str, source: Mapping[str, Any], module: str = _AGENT) -> Role:
        """A device agent, started."""
        role = Role(module, self.folder / name)
        role.configure({"id": name}, bus=_bus(self.broker), source=source)
        role.start()
        return role

    async def say(self, edge: str, state: str) -> None:
        """Say of an edge that it is to `drain`, is `lost`, or is to `resume`."""
        (await self.api.post(f"edges/{edge}/{state}")).raise_for_status()

    async def move(self, twin: str, edge: str) -> None:
        """Return when the move is accepted; one that is under way is waited for."""
        async with asyncio.timeout(WAIT_S):
            while True:
                answer = await self.api.post("moves", json={"twin": twin, "to": edge})
                if answer.status_code != httpx.codes.CONFLICT:
                    break
                await asyncio.sleep(POLL_S)
        answer.raise_for_status()

    async def move_all(self, moves: Iterable[tuple[str, str]]) -> None:
        """Ask for these moves, a few requests at one time."""
        waiting = iter(moves)

        async def ask() -> None:
            for twin, edge in waiting:
                await self.move(twin, edge)

        async with asyncio.TaskGroup() as group:
            for number in range(REQUESTS_AT_ONCE):
                group.create_task(ask(), name=f"moves {number}")

    async def loads(self) -> dict[str, int]:
        """How many twins each edge has."""
        listed = (await self.api.get("edges")).json()
        return {entry["edge"]: entry["twins"] for entry in listed}

    async def owner(self, twin: str) -> str:
        """The edge that owns it; a twin that is on its way is waited for."""
        async with asyncio.timeout(WAIT_S):
            while True:
                about = (await self.api.get(f"twins/{twin}")).json()
                if about["phase"] == "owned":
                    return str(about["owner"])
                await asyncio.sleep(POLL_S)

    async def owned_by(self, twin: str, edge: str) -> None:
        """Return when it is."""
        async with asyncio.timeout(WAIT_S):
            while True:
                if await self.owner(twin) == edge:
                    return
                await asyncio.sleep(POLL_S)

    def cpu_s(self) -> dict[str, float]:
        """CPU time that each service has used so far."""
        return {role.folder.name: role.child.cpu_s() for role in (self.cloud, *self.edges)}


@asynccontextmanager
async def site(
    folder: Path, edges: int, *, cloud_module: str = "cloud", edge_module: str = "edge_node"
) -> AsyncIterator[Site]:
    """Run a system in the directory `folder`; its edges are configured and not started."""
    async with start_broker("mosquitto", folder=folder) as broker:
        cloud = Role(cloud_module, folder / "cloud")
        cloud.configure({}, bus=_bus(broker), http={"port": cloud.http_port})
        roles = tuple(_edge(edge_module, folder / f"e-{n + 1}", broker) for n in range(edges))
        client = httpx.AsyncClient(base_url=cloud.url("api/v1/"), timeout=READY_S, trust_env=False)
        async with client as api:
            try:
                await started([cloud])
                yield Site(folder, broker, cloud, roles, api)
            finally:
                for role in (*roles, cloud):
                    await role.stop()


async def started(roles: Sequence[Role]) -> None:
    """Start these, and return when they are ready."""
    for role in roles:
        role.start()
    for role in roles:
        await role.ready()


def other(edge: str) -> str:
    """The one of two that it is not."""
    return EDGES[1 - EDGES.index(edge)]


def twin_id(number: int) -> str:
    """The id of an emulated device."""
    return f"d-emulated-{number:05}"


def _edge(module: str, folder: Path, broker: Broker) -> Role:
    role = Role(module, folder)
    role.configure({"id": folder.name}, bus=_bus(broker), http={"port": role.http_port})
    return role


def _bus(broker: Broker) -> dict[str, Any]:
    return {"host": broker.host, "port": broker.port}
