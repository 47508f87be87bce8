"""`diten edge`: run an edge, list them all, let twins leave one.

All but `run` ask the API of the cloud. Exit codes: 0 ok, 1 the answer is not what was asked
for, 2 usage, 3 unreachable.
"""

import json
import sys
from pathlib import Path

import click
from rich.console import Console

from deploy import completion
from deploy.api import answer, api_client, reads_the_api, send
from deploy.edge_id import EdgeId
from deploy.tables import edges_table, print_table


@click.group()
def edge() -> None:
    """Edges: run one, list them, let twins leave one."""


@edge.command("run")
@click.option("--config", type=click.Path(path_type=Path), required=True, help="A TOML file.")
def run(config: Path) -> None:
    """Run an edge: keep its twins, acknowledge what is durable."""
    from edge_node.__main__ import start

    sys.exit(start(config))


@edge.command()
@reads_the_api
def ls(*, api: str, as_json: bool) -> None:
    """List the edges, their states, and how many twins they have."""
    with api_client(api) as client:
        edges = answer(send(client, "GET", "/api/v1/edges"))
    if as_json:
        click.echo(json.dumps(edges))
    elif edges:
        print_table(edges_table(edges), Console())
    else:
        click.echo(f"No edge has said hello to {api} yet.", err=True)


@edge.command()
@click.argument("edge_id", metavar="EDGE", type=EdgeId(), shell_complete=completion.edges)
@reads_the_api
def drain(*, edge_id: str, api: str, as_json: bool) -> None:
    """Let all twins of an edge move elsewhere, a few at a time.

    It is given no others until `diten edge resume`."""
    _set(edge_id, "drain", api, as_json=as_json)


@edge.command()
@click.argument("edge_id", metavar="EDGE", type=EdgeId(), shell_complete=completion.edges)
@reads_the_api
def resume(*, edge_id: str, api: str, as_json: bool) -> None:
    """Let an edge serve again.

    Twins that left it do not return by themselves."""
    _set(edge_id, "resume", api, as_json=as_json)


@edge.command()
@click.argument("edge_id", metavar="EDGE", type=EdgeId(), shell_complete=completion.edges)
@click.confirmation_option(
    prompt="Its twins go on elsewhere from their checkpoints. Is it gone?",
    help="Do not ask whether it is really gone.",
)
@reads_the_api
def lost(*, edge_id: str, api: str, as_json: bool) -> None:
    """Give the twins of an edge that is gone to others, at once.

    For an edge that will not come back soon. Nothing acknowledged is lost by it: devices send
    again what the checkpoints lack. An edge that comes back after all is told, twin by twin,
    that it owns them no more."""
    _set(edge_id, "lost", api, as_json=as_json)


def _set(edge_id: str, verb: str, api: str, *, as_json: bool) -> None:
    with api_client(api) as client:
        said = answer(send(client, "POST", f"/api/v1/edges/{edge_id}/{verb}"))
    click.echo(json.dumps(said) if as_json else f"{edge_id} is {said['state']}")
