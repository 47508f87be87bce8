"""`python -m cloud --config cloud.toml`: run the cloud."""

import os
import sys
from pathlib import Path
from typing import Any

import click

from cloud.config import CloudConfig
from cloud.machine import CloudMachine
from twin_runtime.adapters import metrics, mqtt_bus, things_http
from twin_runtime.adapters.config import load_config
from twin_runtime.adapters.data_dir import open_data_dir
from twin_runtime.adapters.gmqtt_session import gmqtt_session
from twin_runtime.adapters.log import configure_log
from twin_runtime.adapters.process import SystemClock, exit_code, run_process
from twin_runtime.adapters.sqlite_store import SqliteStore
from twin_runtime.core import messages, topics
from twin_runtime.core.effects import Send
from twin_runtime.core.ids import CLOUD
from twin_runtime.core.messages import Status
from twin_runtime.ports import Health, Ports
from twin_runtime.shell import Inbox


def start(config: Path) -> int:
    """Run with the configuration in the file `config`; return the exit code."""
    configure_log(CLOUD)

    async def body() -> None:
        await run_cloud(load_config(CloudConfig, "cloud", config, {}, os.environ))

    return exit_code(body)


async def run_cloud(config: CloudConfig) -> None:
    """Run until asked to stop."""
    listener = things_http.bind(config.http.host, config.http.port)
    with open_data_dir(config.data_dir) as folder:
        store = SqliteStore(folder / "cloud.sqlite", {})
        gone = messages.encode(Status(state="lost"))
        bus = mqtt_bus.MqttBus(
            config.bus.host,
            config.bus.port,
            client_id=CLOUD,
            filters=topics.cloud_filters(),
            will=Send(topics.status(CLOUD), gone, retain=True),
            session=gmqtt_session,
        )
        clock, health = SystemClock(), Health()
        view: dict[str, Any] = {}
        machine = CloudMachine()
        recorder = metrics.ServiceMetrics(
            {
                "bus_connected": lambda: bus.connected,
                "bus_reconnects_total": lambda: bus.reconnects,
                "bus_drops_total": lambda: bus.sends_dropped,
                "inbox_drops_total": lambda: bus.inbox_drops,
                "twins": machine.phases,
            },
            view,
            lambda: clock.now().wall_ms,
        )
        app = things_http.things_app(view, health, recorder.render, config.site)
        ports = Ports(bus, store, clock, recorder, health, view)
        await run_process(machine, ports, Inbox(), [things_http.serve(app, listener)])
        store.close()


@click.command()
@click.option("--config", type=click.Path(path_type=Path), required=True, help="A TOML file.")
def main(config: Path) -> None:
    """Run one cloud process until it is asked to stop."""
    sys.exit(start(config))


if __name__ == "__main__":
    main()
