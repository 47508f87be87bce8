"""`python -m device_agent --config device.toml`: run one agent, of one device or of many."""

import json
import os
import sys
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any

from device_agent.choice import open_source
from device_agent.config import DeviceConfig
from device_agent.fleet import FleetMachine
from device_agent.former import FormerDevice
from device_agent.machine import DESCRIPTION_ROW, DeviceMachine
from device_agent.sources import Source
from twin_runtime.adapters.aiomqtt_session import aiomqtt_session
from twin_runtime.adapters.bus_tls import tls_context
from twin_runtime.adapters.config import load_config
from twin_runtime.adapters.data_dir import open_data_dir
from twin_runtime.adapters.log import configure_log
from twin_runtime.adapters.mqtt_bus import MqttBus
from twin_runtime.adapters.process import EXIT_USAGE, SystemClock, exit_code, run_process
from twin_runtime.adapters.sqlite_store import SqliteStore
from twin_runtime.adapters.tally import TallyRecorder
from twin_runtime.core import messages, topics
from twin_runtime.core.effects import Act, Acted, Put, Send
from twin_runtime.core.errors import InvalidConfiguration
from twin_runtime.core.limits import DEVICES_PER_PROCESS_MAX
from twin_runtime.core.messages import Description, Status
from twin_runtime.ports import Clock, Ports, Store
from twin_runtime.shell import Inbox

AGENT_ROW = "agent"
SUMMARY = "summary.json"


def start(config: Path) -> int:
    """Run with the configuration in the file `config`; return the exit code."""
    configure_log("device")

    async def body() -> None:
        settings = load_config(DeviceConfig, "device", config, {}, os.environ)
        configure_log(settings.id)
        await run_device(settings)

    return exit_code(body)


async def run_device(config: DeviceConfig) -> None:
    """Run until asked to stop."""
    clock = SystemClock()
    with open_data_dir(config.data_dir) as folder:
        store = SqliteStore(folder / "device.sqlite", {})
        started_ms, known = _found(store, clock)
        source = open_source(config.source, config.id, started_ms, clock)
        machine = _fleet(config, source, known, store.store_id)
        recorder = TallyRecorder()
        inbox = Inbox()
        ports = Ports(_bus(config, machine), store, clock, recorder)
        ports.act = lambda act: inbox.push([_carried_out(act, machine, source, clock)])
        await run_process(machine, ports, inbox, {"source": _feed(source, machine, inbox)})
        (folder / SUMMARY).write_text(json.dumps(_summary(recorder)))
        store.close()


def _summary(recorder: TallyRecorder) -> dict[str, Any]:
    def observed(metric: str) -> list[float]:
        return [round(seconds, 6) for seconds in recorder.observed.get(metric, ())]

    return {
        "counts": {f"{name}/{label}": n for (name, label), n in recorder.counts.items()},
        "ack_latency_s": observed("ack_latency_seconds"),
        "move_pause_s": observed("move_pause_seconds"),
    }


async def _feed(source: Source, machine: FleetMachine, inbox: Inbox) -> None:
    """Samples into the inbox; when it is full, the source waits."""
    async for samples in source.samples(machine.newest_observed_ms()):
        await inbox.put(samples)


def _carried_out(act: Act, machine: FleetMachine, source: Source, clock: Clock) -> Acted:
    if act.expires_s is not None and clock.now().monotonic_s >= act.expires_s:
        return Acted(act.twin, act.path, act.number, "expired", "its time had passed")
    reason = machine.refuse(act) or source.act(act.twin, act.path, act.value)
    return Acted(act.twin, act.path, act.number, "rejected" if reason else "done", reason)


def _fleet(
    config: DeviceConfig, source: Source, known: dict[str, Description], store_id: str
) -> FleetMachine:
    listed = {device.twin: device.description for device in source.devices}
    former = {twin: known[twin] for twin in known if twin not in listed}
    if len(listed) + len(former) > DEVICES_PER_PROCESS_MAX:
        was = f" and {len(former)} that it had before, whose reports it keeps" if former else ""
        raise InvalidConfiguration(
            f"{len(listed)} devices in one process{was}; at most {DEVICES_PER_PROCESS_MAX}: "
            "start several, each with a part of them"
        )
    return FleetMachine(
        [
            kind(
                twin,
                description,
                via="" if twin == config.id else config.id,
                store_id=store_id,
                outbox_reports_max=config.outbox.reports_max,
                keep_stable_reports=config.outbox.keep_stable_reports,
            )
            for kind, devices in ((DeviceMachine, listed), (FormerDevice, former))
            for twin, description in devices.items()
        ]
    )


def _bus(config: DeviceConfig, machine: FleetMachine) -> MqttBus:
    return MqttBus(
        config.bus.host,
        config.bus.port,
        client_id=config.id,
        filters=[each for twin in machine.twins for each in topics.device_filters(twin)],
        will=Send(topics.status(config.id), messages.encode(Status(state="lost")), retain=True),
        session=partial(aiomqtt_session, tls=tls_context(config.bus), password=config.bus.password),
    )


def _found(store: Store, clock: Clock) -> tuple[int, dict[str, Description]]:
    """The wall time at which this store's agent started for the first time, and the devices
    that it ever had and did not forget."""
    started_ms: int | None = None
    known: dict[str, Description] = {}
    for row in takewhile(lambda row: row.kind <= DESCRIPTION_ROW, store.load()):
        if row.kind == AGENT_ROW:
            started_ms = int(row.value)
        elif row.kind == DESCRIPTION_ROW:
            known[row.key] = messages.parse(messages.DESCRIPTION, row.value)
    if started_ms is None:
        started_ms = clock.now().wall_ms
        store.commit([Put(AGENT_ROW, "started_ms", str(started_ms).encode())])
    return started_ms, known


def main() -> None:
    """Run one device process until it is asked to stop."""
    # A board has better use for the megabyte and 10 ms of a library than one argument.
    match sys.argv[1:]:
        case ["--config", config]:
            sys.exit(start(Path(config)))
    sys.stderr.write("usage: python -m device_agent --config FILE\n")
    sys.exit(EXIT_USAGE)


if __name__ == "__main__":
    main()
