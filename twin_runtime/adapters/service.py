"""A service process: a machine with twins that others read, on a bus, with a store and HTTP.

An edge and the cloud differ in their machine, their topics and their logs; the rest of
their processes is here.
"""

import shutil
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from fastapi import APIRouter, FastAPI
from pydantic_core import to_json

from twin_runtime.adapters import blobs_http, http_server, metrics, mqtt_bus, things_http
from twin_runtime.adapters.blob_files import BlobFiles
from twin_runtime.adapters.blob_threads import BlobThreads
from twin_runtime.adapters.blob_transport import BlobTransport
from twin_runtime.adapters.blobs_http import BlobRoutes
from twin_runtime.adapters.bus_tls import tls_context
from twin_runtime.adapters.changes import Changes
from twin_runtime.adapters.collector import collect_daily, spare_the_old
from twin_runtime.adapters.config import BusConfig, HttpConfig
from twin_runtime.adapters.cross_site import CrossSiteGuard
from twin_runtime.adapters.data_dir import open_data_dir
from twin_runtime.adapters.elsewhere_http import Elsewhere
from twin_runtime.adapters.events_stream import EventsStream, add_events_stream
from twin_runtime.adapters.gmqtt_session import gmqtt_session
from twin_runtime.adapters.head_bound_http import HeadBound
from twin_runtime.adapters.history_http import States, Values, add_past_states, history_router
from twin_runtime.adapters.job_process import JobProcess
from twin_runtime.adapters.openapi_before import describe_what_stands_before
from twin_runtime.adapters.process import SystemClock, run_process
from twin_runtime.adapters.questions import Questions
from twin_runtime.adapters.sqlite_store import LogBound, SqliteStore
from twin_runtime.adapters.stream_http import add_thing_streams
from twin_runtime.adapters.tokens import TokenGuard
from twin_runtime.core import messages, topics
from twin_runtime.core.effects import Effects, Machine, Send
from twin_runtime.core.ids import CLOUD, StoreId
from twin_runtime.core.messages import Status
from twin_runtime.core.thing import thing_of
from twin_runtime.core.thing_description import Access
from twin_runtime.ports import Health, Ports, Store
from twin_runtime.shell import Inbox


class ServiceMachine(Machine, Protocol):
    """A machine that can be asked for numbers at any time."""

    def readings(self) -> Mapping[str, metrics.Reading]:
        """Its own metrics: by name, the function that knows the present value."""
        ...

    def wants_blob(self, sha256: str) -> bool:
        """Whether this blob is to be kept."""
        ...

    @property
    def elsewhere(self) -> Mapping[str, str]:
        """Of twins that left, where the owner serves HTTP."""
        ...


class ServiceConfig(Protocol):
    """What every service is told."""

    @property
    def data_dir(self) -> Path: ...
    @property
    def site(self) -> str: ...
    @property
    def bus(self) -> BusConfig: ...
    @property
    def http(self) -> HttpConfig: ...


@dataclass(frozen=True, slots=True)
class Service:
    """What makes a service the one it is; `machine` is made for the id of its store and the
    address at which others reach its HTTP, if they do."""

    identity: str
    machine: Callable[[StoreId, str | None], ServiceMachine]
    filters: list[str]
    store_name: str
    logs: Mapping[str, LogBound] = field(default_factory=dict)
    routes: Callable[[Questions, Store], APIRouter] | None = None  # what else is served over HTTP
    states: Callable[[Store], States] | None = None  # who rebuilds twins as they were
    values: Callable[[Store], Values] | None = None  # who reads what was reported of them
    events: Callable[[Questions, Store], EventsStream] | None = None  # what else is followed
    blob_routes: Callable[[BlobRoutes], APIRouter] = blobs_http.reading


async def run_service(service: Service, config: ServiceConfig) -> None:
    """Run `service` until it is asked to stop."""
    listener = http_server.bind(config.http.host, config.http.port)
    with open_data_dir(config.data_dir) as folder:
        store = SqliteStore(folder / service.store_name, service.logs)
        address = config.http.address(listener.getsockname()[1])
        machine = service.machine(store.store_id, address)
        clock, health = SystemClock(), Health()
        view: dict[str, Any] = {}
        inbox, threads = Inbox(), BlobThreads()
        questions = Questions(inbox.push, inbox.withdraw)
        jobs = JobProcess(lambda ended: inbox.push((ended,)))
        bus, files = _bus(service, config), BlobFiles(folder / "blobs")
        readings = {**_bus_readings(bus), **_blob_readings(files), **machine.readings()}
        changes = Changes(view, lambda shown: to_json(thing_of(shown.document(), config.site)))
        readings |= {
            **_own_readings(health, folder, changes),
            "queue_backlog": lambda: _backlog(questions, jobs, inbox, bus),
        }
        recorder = metrics.ServiceMetrics(readings, view, lambda: clock.now().wall_ms)
        app = things_http.things_app(
            *(view, health, recorder.render, config.site),
            *(lambda: clock.now().wall_ms, access_of(config, config.http.advertise or "")),
        )
        _stand_before(app, service.identity, machine, config)
        add_thing_streams(app, changes, config.site, f"{store.store_id}-{clock.now().wall_ms:x}")
        _add_past(app, service, store, view, config.site)
        if service.routes is not None:
            app.include_router(service.routes(questions, store))
        blobs = BlobTransport(
            *(bus, service.identity, files),
            tell=inbox.push,
            wanted=machine.wants_blob,
            recorder=recorder,
            offload=threads.do,
        )
        blob_routes = BlobRoutes(files, threads, view, questions.ask, blobs.verify)
        app.include_router(service.blob_routes(blob_routes))
        ports = Ports(blobs, store, clock, recorder, health, view, answer=questions.answer)
        ports.begin, ports.fetch = jobs.begin, blobs.fetch
        spare_the_old()
        beside = {"http": http_server.serve(app, listener), "collector": collect_daily()}
        beside["jobs"], beside["blobs"] = jobs.run(), blobs.run()
        beside |= _streams(app, service, ports, questions, changes)
        await run_process(machine, ports, inbox, beside)
        threads.close()
        store.close()


def _streams(
    app: FastAPI, service: Service, ports: Ports, questions: Questions, changes: Changes
) -> dict[str, Coroutine[Any, Any, None]]:
    """Let readers follow what is committed; returns what has to run for that."""
    if service.events is None:
        ports.committed = lambda fx: changes.take(fx.shown)
        return {"changes": changes.run()}
    events = service.events(questions, ports.store)
    add_events_stream(app, events)

    def committed(fx: Effects) -> None:
        changes.take(fx.shown)
        events.take(fx.writes)

    ports.committed = committed
    return {"changes": changes.run(), "events": events.run()}


def _add_past(
    app: FastAPI, service: Service, store: Store, view: Mapping[str, Any], site: str
) -> None:
    if service.states is not None:
        add_past_states(app, service.states(store), view, site)
    if service.values is not None:
        app.include_router(history_router(service.values(store), view))


def access_of(config: ServiceConfig, http: str) -> Access:
    """Where twins are reached, for their Thing Descriptions; `http` is our own address."""
    host = f"[{config.bus.host}]" if ":" in config.bus.host else config.bus.host
    has_token = config.http.secret is not None
    return Access(http, f"{config.bus.scheme}://{host}:{config.bus.port}", has_token=has_token)


def _stand_before(
    app: FastAPI, identity: str, machine: ServiceMachine, config: ServiceConfig
) -> None:
    """What every request passes: its size, where it is from, the token, who sends it on."""
    has_token = config.http.secret is not None
    describe_what_stands_before(app, sends_on=identity != CLOUD, has_token=has_token)
    app.add_middleware(Elsewhere, elsewhere=machine.elsewhere, site=config.site)
    if config.http.secret is not None:
        app.add_middleware(TokenGuard, token=config.http.secret)
    app.add_middleware(CrossSiteGuard)
    app.add_middleware(HeadBound)


def _bus(service: Service, config: ServiceConfig) -> mqtt_bus.MqttBus:
    gone = messages.encode(Status(state="lost"))
    return mqtt_bus.MqttBus(
        config.bus.host,
        config.bus.port,
        client_id=service.identity,
        filters=service.filters,
        will=Send(topics.status(service.identity), gone, retain=True),
        session=partial(gmqtt_session, tls=tls_context(config.bus), password=config.bus.password),
    )


def _own_readings(health: Health, folder: Path, changes: Changes) -> dict[str, metrics.Reading]:
    return {
        "stream_readers": lambda: changes.readers,
        "ready": lambda: health.ready,
        "disk_free_bytes": lambda: shutil.disk_usage(folder).free,
    }


def _blob_readings(files: BlobFiles) -> dict[str, metrics.Reading]:
    return {"blobs_held": lambda: len(files), "blob_bytes_held": lambda: files.bytes_held}


def _backlog(
    questions: Questions, jobs: JobProcess, inbox: Inbox, bus: mqtt_bus.MqttBus
) -> dict[str, float]:
    events = inbox.waiting + bus.waiting
    return {"requests": questions.waiting, "jobs": jobs.waiting, "events": events}


def _bus_readings(bus: mqtt_bus.MqttBus) -> dict[str, metrics.Reading]:
    return {
        "bus_connected": lambda: bus.connected,
        "bus_reconnects_total": lambda: bus.reconnects,
        "bus_drops_total": lambda: bus.sends_dropped,
        "inbox_drops_total": lambda: bus.inbox_drops,
    }
