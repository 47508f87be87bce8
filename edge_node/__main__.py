"""`python -m edge_node --config edge.toml`: run one edge."""

import os
import sys
from functools import partial
from pathlib import Path

import click

from edge_node.config import EdgeConfig
from edge_node.descriptions import Descriptions
from edge_node.history import HISTORY
from edge_node.home_assistant import HomeAssistant
from edge_node.machine import EdgeMachine
from edge_node.recall import Recall
from twin_runtime.adapters import blobs_http
from twin_runtime.adapters.commits_http import Commits
from twin_runtime.adapters.config import load_config
from twin_runtime.adapters.log import configure_log
from twin_runtime.adapters.process import exit_code
from twin_runtime.adapters.service import Service, access_of, run_service
from twin_runtime.adapters.sqlite_store import LogBound
from twin_runtime.adapters.writes_http import writing_router
from twin_runtime.core import topics
from twin_runtime.core.messages import Place
from twin_runtime.ports import Store


def start(config: Path) -> int:
    """Run with the configuration in the file `config`; return the exit code."""
    configure_log("edge")

    async def body() -> None:
        settings = load_config(EdgeConfig, "edge", config, {}, os.environ)
        configure_log(settings.id)
        bound = LogBound(settings.history.rows_max, settings.history.bytes_max)
        edge = Service(
            identity=settings.id,
            machine=partial(_machine, settings),
            filters=topics.edge_filters(settings.id),
            store_name="edge.sqlite",
            logs={HISTORY: bound},
            routes=lambda questions, _: writing_router(Commits(questions.ask, settings.site)),
            blob_routes=blobs_http.writing,
            states=_recall,
            values=_recall,
        )
        await run_service(edge, settings)

    return exit_code(body)


def _machine(settings: EdgeConfig, store_id: str, api: str | None) -> EdgeMachine:
    access = None if api is None else access_of(settings, api)
    descriptions = Descriptions(settings.site, access, _home_assistant(settings))
    return EdgeMachine(settings.id, store_id, _place(settings), api, descriptions)


def _home_assistant(settings: EdgeConfig) -> HomeAssistant | None:
    told = settings.home_assistant
    return None if told is None else HomeAssistant(settings.site, enabled=told.enabled)


def _recall(store: Store) -> Recall:
    return Recall(partial(store.scan, HISTORY))


def _place(settings: EdgeConfig) -> Place | None:
    position = settings.position
    return None if position is None else Place(x_m=position.x_m, y_m=position.y_m)


@click.command()
@click.option("--config", type=click.Path(path_type=Path), required=True, help="A TOML file.")
def main(config: Path) -> None:
    """Run one edge process until it is asked to stop."""
    sys.exit(start(config))


if __name__ == "__main__":
    main()
