"""`diten up`: a whole system on one machine, as real processes.

    broker ── cloud ── edges ── fleets of devices         each a process of its own
    │
    └ DATA_DIR/broker  cloud/  e-1/  e-2/  fleet-*/       each a directory of its own

`up` starts them in that order, each when the one before is ready, watches them, and
stops them in the opposite order: devices first, so that what they sent is applied, the
broker last. Then it compares the stores (`deploy.audit`) and prints the summary. State is
kept in the data directory: a second `up` goes on where the first stopped.
"""

import asyncio
import json
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import httpx

from deploy import links, mobility
from deploy.audit import Audit, audit
from deploy.plan import (
    API_PORT,
    Plan,
    api_port,
    broker_address,
    broker_kind,
    check_mobility,
    check_source,
    free_ports,
    sources_of,
    write_toml,
)
from deploy.progress import progress
from deploy.supervisor import RESTART_LAST_S, Role, keep_running, stop
from deploy.system_file import (
    SYSTEM,
    Part,
    System,
    boot,
    can_be_written,
    name_process,
    write_system,
)
from deploy.turn import my_turn
from twin_runtime.adapters import broker as brokers
from twin_runtime.adapters.data_dir import open_data_dir
from twin_runtime.core.backoff import backoff_s
from twin_runtime.core.errors import Unavailable
from twin_runtime.core.limits import OUTBOX_REPORTS_MAX

# What devices keep beyond need so that the audit can compare contents: at most so many
# reports in all, 50 MB of disk.
AUDITED_REPORTS_MAX = 200_000
READY_S = 20.0
READY_POLL_S = 0.05
WATCH_PERIOD_S = 0.5
DESCRIBE_PERIOD_S = 0.1
LINK_HOST = "127.0.0.1"
SUMMARY = "summary.json"  # what an agent leaves behind in its directory


class Laptop:
    """One `diten up`. `say` gets a line for people, now and then."""

    def __init__(self, plan: Plan, say: Callable[[str], None]) -> None:
        self._plan = plan
        self._say = say
        self._broker: brokers.Broker | None = None
        self._broker_name = ""
        self._broker_restarts = 0
        self._bus = ("", 0)
        self._links: dict[str, int] = {}  # each role's port, where links are offered
        self._servers: list[Role] = []
        self._fleets: list[Role] = []
        self._stopped = asyncio.Event()
        self._all_listen: Callable[[], None]

    async def run(self) -> dict[str, Any]:
        """Run until Ctrl-C or the end of the duration; return the summary."""
        with open_data_dir(self._plan.data_dir) as folder:
            loop = asyncio.get_running_loop()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, self._asked_to_stop)
            async with my_turn(self._stopped.is_set) as self._all_listen:
                await self._from_start_to_end(folder)
            return self._summary(self._audit(folder), folder)

    async def _from_start_to_end(self, folder: Path) -> None:
        try:
            self._plan_roles(folder)
            await self._start_broker(folder)
            await self._while_running(folder)
        finally:
            (folder / SYSTEM).unlink(missing_ok=True)
            for role in (*self._fleets, *self._servers):
                await stop(role)  # those still running after an error
            if self._broker is not None:
                await self._broker.stop()

    def _asked_to_stop(self) -> None:
        """Ctrl-C: stop in order. Once more: end everything now, as a power cut would."""
        if self._stopped.is_set():
            for role in (*self._fleets, *self._servers):
                if role.process is not None and role.pid is not None:
                    role.process.kill()
        self._stopped.set()

    # --- the plan -----------------------------------------------------------------------

    def _plan_roles(self, folder: Path) -> None:
        (folder / "logs").mkdir(exist_ok=True)
        check_source(self._plan.source, self._plan.trace)
        check_mobility(self._plan)
        self._api_port = api_port(self._plan.api_port)
        self._servers = [self._role(folder, "cloud", "cloud")]
        for n in range(1, self._plan.edges + 1):
            self._servers.append(self._role(folder, f"e-{n}", "edge_node"))
        self._sources = sources_of(self._plan)
        self._fleets = [self._role(folder, name, "device_agent") for name in self._sources]
        for left in sorted(folder.glob("e-*/edge.sqlite")):
            if left.parent.name not in [role.id for role in self._servers]:
                edge = left.parent.name
                self._say(f"{edge} of an earlier run is not started; its twins wait for --edges")

    def _role(self, folder: Path, identity: str, module: str) -> Role:
        own = folder / identity
        own.mkdir(exist_ok=True)
        return Role(identity, module, own / "config.toml", folder / "logs" / f"{identity}.log")

    def _configure(self) -> None:
        """Write every role's configuration: the broker's port is known now."""
        ports = iter([self._api_port, *free_ports(self._api_port + 1, self._plan.edges)])
        self._http: dict[str, int] = {}
        moving = self._mobility() if self._plan.mobility else {}
        for role in self._servers:
            self._http[role.id] = next(ports)
            identity = {} if role.id == "cloud" else {"id": role.id}
            http = {"port": self._http[role.id]}
            top = {**identity, **_own(role)}
            tables = {"bus": self._bus_of(role), "http": http, **moving.get(role.id, {})}
            write_toml(role.config, top, **tables)
        kept = AUDITED_REPORTS_MAX // max(self._plan.devices, 20)
        for role in self._fleets:
            (role.config.parent / SUMMARY).unlink(missing_ok=True)  # an earlier run's
            source = self._sources[role.id]
            outbox = {"reports_max": OUTBOX_REPORTS_MAX, "keep_stable_reports": kept}
            top = {"id": role.id, **_own(role)}
            write_toml(role.config, top, bus=self._bus_of(role), source=source, outbox=outbox)

    def _mobility(self) -> dict[str, dict[str, Any]]:
        """What servers are told beside: edges where they stand, the cloud who decides."""
        edges = [role.id for role in self._servers if role.id != "cloud"]
        places = zip(edges, mobility.edge_places(len(edges)), strict=True)
        told: dict[str, dict[str, Any]] = {edge: {"position": place} for edge, place in places}
        return told | {"cloud": {"association": mobility.association(self._plan.speed)}}

    def _bus_of(self, role: Role) -> dict[str, Any]:
        host, port = self._bus
        link = self._links.get(role.id)
        return {"host": host, "port": port} if link is None else {"host": LINK_HOST, "port": link}

    # --- running ------------------------------------------------------------------------

    async def _start_broker(self, folder: Path) -> None:
        wanted = self._plan.broker
        if ":" in wanted:
            self._bus, self._broker_name = broker_address(wanted), f"{wanted} (not ours)"
            await brokers.check_broker(*self._bus)
            return
        own = folder / "broker"
        own.mkdir(exist_ok=True)
        choice = brokers.choose(broker_kind(wanted))
        self._broker = brokers.Broker(choice, own, brokers.free_port())
        await self._broker.start()
        self._bus, self._broker_name = (self._broker.host, self._broker.port), choice.name
        self._tell("broker", f"{choice.name} on port {self._broker.port} ({choice.why})")

    async def _while_running(self, folder: Path) -> None:
        async with AsyncExitStack() as stack:
            if self._plan.links:
                roles = [role.id for role in (*self._servers, *self._fleets)]
                offered = links.offered(folder, roles, self._bus)
                self._links = await stack.enter_async_context(offered)
            self._configure()
            await self._run_roles(folder)

    async def _run_roles(self, folder: Path) -> None:
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._watch_broker(), name="broker")
            describing = group.create_task(self._describe(folder), name="describe")
            for role in self._servers:
                group.create_task(keep_running(role, self._say), name=role.id)
            for role in self._servers:
                await self._ready(role)
            self._all_listen()
            if not self._stopped.is_set():
                await self._measure(group)
            for role in (*self._fleets, *reversed(self._servers)):
                await stop(role)
            watching.cancel()
            describing.cancel()

    async def _measure(self, group: asyncio.TaskGroup) -> None:
        """Start the devices; return when it is time to stop."""
        for role in self._fleets:
            group.create_task(keep_running(role, self._say), name=role.id)
            await self._started(role)
        self._tell_api()
        following = group.create_task(self._follow(), name="follow")
        duration_s = self._plan.duration_s
        with suppress(TimeoutError):
            async with progress(duration_s), asyncio.timeout(duration_s):
                await self._stopped.wait()
        following.cancel()

    async def _follow(self) -> None:
        if self._plan.mobility:
            await mobility.follow(f"http://127.0.0.1:{self._api_port}", self._say)

    async def _ready(self, role: Role) -> None:
        """Wait until the role answers that it can work."""
        url = f"http://127.0.0.1:{self._http[role.id]}"
        async with httpx.AsyncClient(timeout=READY_S) as client:
            try:
                async with asyncio.timeout(READY_S):
                    while not await _is_ready(client, url):
                        if self._stopped.is_set():
                            return
                        await asyncio.sleep(READY_POLL_S)
            except TimeoutError:
                raise Unavailable(
                    f"{role.id} was not ready after {READY_S:g} s; {role.log} says why"
                ) from None
        self._tell(role.id, f"{url}  pid {role.pid}")

    async def _started(self, role: Role) -> None:
        await role.started.wait()
        about = self._sources[role.id]
        what = about["kind"]
        if what in ("emulated", "walking"):
            what = f"{what} {about['first']} to {about['last']}"
        self._tell(role.id, f"devices: {what}  pid {role.pid}")

    def _tell_api(self) -> None:
        url = f"http://127.0.0.1:{self._api_port}"
        self._tell("API", f"{url}/api/2/things")
        self._tell("page", f"{url}/")
        if self._api_port not in (API_PORT, self._plan.api_port):
            self._say(f"port {API_PORT} is in use; tell `diten twin`: export DITEN_API={url}")

    async def _watch_broker(self) -> None:
        """Start our broker again when it ends; everybody reconnects and repeats."""
        attempt = 0
        while self._broker is not None:
            await asyncio.sleep(backoff_s("broker", attempt, WATCH_PERIOD_S, RESTART_LAST_S))
            if self._broker.pid is not None:
                continue
            try:
                if attempt == 0:
                    self._say("the broker ended; starting it again")
                await self._broker.start()
            except Unavailable as error:
                if attempt == 0:
                    self._say(f"{error}; trying again, at least every {RESTART_LAST_S:g} s")
                attempt += 1
            else:
                attempt = 0
                self._broker_restarts += 1
                self._say(f"the broker runs again on port {self._broker.port}")

    async def _describe(self, folder: Path) -> None:
        """Keep word of who runs; where the disk is full it is left when there is room."""
        described: System | None = None
        while can_be_written():
            system = self._system(folder)
            if system != described:
                with suppress(OSError):
                    write_system(folder, system)
                    described = system
            await asyncio.sleep(DESCRIBE_PERIOD_S)

    def _system(self, folder: Path) -> System:
        parts = [_part(role) for role in (*self._servers, *self._fleets)]
        if self._broker is not None:
            own = folder / "broker"
            process = name_process(self._broker.pid, str(self._broker.config))
            parts.append(Part("broker", "broker", str(own), self._broker_restarts, process))
        up = name_process(os.getpid(), "up")
        assert up is not None, "it runs"
        return System(boot(), up, *self._bus, self._api_port, bool(self._links), tuple(parts))

    def _tell(self, identity: str, text: str) -> None:
        width = max(len(role.id) for role in (*self._servers, *self._fleets))
        self._say(f"{identity:<{width}}  {text}")

    # --- the end ------------------------------------------------------------------------

    def _audit(self, folder: Path) -> Audit:
        return audit(
            devices=sorted(folder.glob("d-*/device.sqlite")),
            edges=sorted(folder.glob("e-*/edge.sqlite")),
            cloud=folder / "cloud" / "cloud.sqlite",
        )

    def _summary(self, found: Audit, folder: Path) -> dict[str, Any]:
        fleets = [folder / role.id / SUMMARY for role in self._fleets]
        roles = [
            {"id": role.id, **role.usage, "restarts": role.restarts}
            for role in (*self._servers, *self._fleets)
        ]
        return {
            "twins": found.twins,
            "reports": {
                "produced": found.produced,
                "applied": found.applied,
                "stable": found.stable,
                "lost": found.lost,
                "twice": found.twice,
                "compared": found.compared,
            },
            "ack_ms": _spread_ms(fleets, "ack_latency_s"),
            "move_pause_ms": _spread_ms(fleets, "move_pause_s"),
            "roles": roles,
            "broker": self._broker_name,
            "problems": found.examples,
        }


def _own(role: Role) -> dict[str, Any]:
    return {"data_dir": str(role.config.parent)}


def _part(role: Role) -> Part:
    process = name_process(role.pid, str(role.config))
    return Part(role.id, role.module, str(role.config.parent), role.restarts, process)


async def _is_ready(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(f"{url}/readyz")).is_success
    except httpx.TransportError:
        return False


def _spread_ms(fleets: Sequence[Path], what: str) -> dict[str, float | int | None]:
    """Of all that devices have measured of this: how many, and two quantiles."""
    ordered_s = sorted(seconds for path in fleets for seconds in _measured_s(path, what))
    quantiles = {"p50": _quantile_ms(ordered_s, 0.5), "p99": _quantile_ms(ordered_s, 0.99)}
    return {"count": len(ordered_s), **quantiles}


def _measured_s(path: Path, what: str) -> list[float]:
    if not path.exists():
        return []
    measured: list[float] = json.loads(path.read_text())[what]
    return measured


def _quantile_ms(ordered_s: list[float], share: float) -> float | None:
    if not ordered_s:
        return None
    return round(1000 * ordered_s[min(int(share * len(ordered_s)), len(ordered_s) - 1)], 2)
