"""`python -m edge_node --config edge.toml`: run one edge."""

import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import click

from edge_node.config import EdgeConfig
from edge_node.counters import COUNTERS, LEVELS
from edge_node.machine import EdgeMachine
from edge_node.twins import HISTORY
from twin_runtime.adapters import metrics, mqtt_bus, things_http
from twin_runtime.adapters.collector import collect_daily, spare_the_old
from twin_runtime.adapters.config import load_config
from twin_runtime.adapters.data_dir import open_data_dir
from twin_runtime.adapters.gmqtt_session import gmqtt_session
from twin_runtime.adapters.log import configure_log
from twin_runtime.adapters.process import SystemClock, exit_code, run_process
from twin_runtime.adapters.sqlite_store import LogBound, SqliteStore
from twin_runtime.core import messages, topics
from twin_runtime.core.effects import Send
from twin_runtime.core.messages import Status
from twin_runtime.ports import Health, Ports
from twin_runtime.shell import Inbox


def start(config: Path) -> int:
    """Run with the configuration in the file `config`; return the exit code."""
    configure_log("edge")

    async def body() -> None:
        settings = load_config(EdgeConfig, "edge", config, {}, os.environ)
        configure_log(settings.id)
        await run_edge(settings)

    return exit_code(body)


async def run_edge(config: EdgeConfig) -> None:
    """Run until asked to stop."""
    listener = things_http.bind(config.http.host, config.http.port)
    with open_data_dir(config.data_dir) as folder:
        bounds = {HISTORY: LogBound(config.history.rows_max, config.history.bytes_max)}
        store = SqliteStore(folder / "edge.sqlite", bounds)
        gone = messages.encode(Status(state="lost"))
        bus = mqtt_bus.MqttBus(
            config.bus.host,
            config.bus.port,
            client_id=config.id,
            filters=topics.edge_filters(config.id),
            will=Send(topics.status(config.id), gone, retain=True),
            session=gmqtt_session,
        )
        clock, health = SystemClock(), Health()
        view: dict[str, Any] = {}
        machine = EdgeMachine(config.id, store.store_id)
        recorder = metrics.ServiceMetrics(
            {
                "bus_connected": lambda: bus.connected,
                "bus_reconnects_total": lambda: bus.reconnects,
                "bus_drops_total": lambda: bus.sends_dropped,
                "inbox_drops_total": lambda: bus.inbox_drops,
                "twins": machine.phases,
                **{name: partial(machine.device_total, name) for name in (*LEVELS, *COUNTERS)},
            },
            view,
            lambda: clock.now().wall_ms,
        )
        app = things_http.things_app(view, health, recorder.render, config.site)
        ports = Ports(bus, store, clock, recorder, health, view)
        spare_the_old()
        beside = [things_http.serve(app, listener), collect_daily()]
        await run_process(machine, ports, Inbox(), beside)
        store.close()


@click.command()
@click.option("--config", type=click.Path(path_type=Path), required=True, help="A TOML file.")
def main(config: Path) -> None:
    """Run one edge process until it is asked to stop."""
    sys.exit(start(config))


if __name__ == "__main__":
    main()
