"""`python -m cloud --config cloud.toml`: run the cloud."""

import os
import sys
from functools import partial
from pathlib import Path

import click

from cloud.association import DECISIONS, Association
from cloud.config import CloudConfig
from cloud.events import ALL, EVENTS
from cloud.machine import CloudMachine
from cloud.recall import Recall
from cloud.snapshots import CHECKPOINTS
from twin_runtime.adapters.bench_http import with_bench
from twin_runtime.adapters.blobs_forward import with_forwarded_writes
from twin_runtime.adapters.config import load_config
from twin_runtime.adapters.decisions_http import with_decisions
from twin_runtime.adapters.directory_http import directory_router
from twin_runtime.adapters.events_stream import EventsStream
from twin_runtime.adapters.forward_http import Forwards, edge_client
from twin_runtime.adapters.history_forward import with_forwarded_history
from twin_runtime.adapters.log import configure_log
from twin_runtime.adapters.metrics_forward import with_edge_metrics
from twin_runtime.adapters.process import exit_code
from twin_runtime.adapters.questions import Questions
from twin_runtime.adapters.service import Service, run_service
from twin_runtime.adapters.sqlite_store import LogBound
from twin_runtime.adapters.web_http import with_page
from twin_runtime.core import topics
from twin_runtime.core.effects import NewestEvent
from twin_runtime.core.ids import CLOUD
from twin_runtime.core.limits import (
    CHECKPOINTS_KEPT_BYTES_MAX,
    CHECKPOINTS_KEPT_MAX,
    DECISIONS_BYTES_MAX,
    DECISIONS_MAX,
    EVENTS_BYTES_MAX,
    EVENTS_MAX,
)
from twin_runtime.ports import Store


def start(config: Path) -> int:
    """Run with the configuration in the file `config`; return the exit code."""
    configure_log(CLOUD)

    async def body() -> None:
        settings = load_config(CloudConfig, "cloud", config, {}, os.environ)
        edges = edge_client()
        cloud = Service(
            identity=CLOUD,
            machine=lambda *_: CloudMachine(_association(settings)),
            filters=topics.cloud_filters(),
            store_name="cloud.sqlite",
            logs={
                EVENTS: LogBound(EVENTS_MAX, EVENTS_BYTES_MAX),
                DECISIONS: LogBound(DECISIONS_MAX, DECISIONS_BYTES_MAX),
                CHECKPOINTS: LogBound(CHECKPOINTS_KEPT_MAX, CHECKPOINTS_KEPT_BYTES_MAX),
            },
            states=lambda store: Recall(partial(store.scan, CHECKPOINTS)),
            events=_events,
            routes=lambda questions, store: with_forwarded_writes(
                with_page(
                    with_edge_metrics(
                        with_forwarded_history(
                            with_decisions(
                                with_bench(
                                    directory_router(
                                        questions.ask, partial(store.scan, EVENTS, ALL)
                                    ),
                                    settings.data_dir,
                                ),
                                questions.ask,
                                partial(store.scan, DECISIONS, ALL),
                            ),
                            *(questions.ask, edges),
                        ),
                        *(questions.ask, edges),
                    )
                ),
                Forwards(questions.ask, settings.site, edges, settings.http.secret),
            ),
        )
        await run_service(cloud, settings)

    return exit_code(body)


def _events(questions: Questions, store: Store) -> EventsStream:
    async def newest() -> int:
        number: int = (await questions.ask(NewestEvent())).value
        return number

    return EventsStream(EVENTS, partial(store.scan, EVENTS, ALL), newest)


def _association(settings: CloudConfig) -> Association | None:
    chosen = settings.association
    if chosen is None:
        return None
    from cloud.decision import compare, decide  # solvers: 40 MB that most clouds do without

    return Association(chosen.policy, chosen.period_s, decide, compare)


@click.command()
@click.option("--config", type=click.Path(path_type=Path), required=True, help="A TOML file.")
def main(config: Path) -> None:
    """Run one cloud process until it is asked to stop."""
    sys.exit(start(config))


if __name__ == "__main__":
    main()
