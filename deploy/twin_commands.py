"""`diten twin`: look at twins, and move them, through the API of an edge or of the cloud.

Exit codes: 0 ok, 1 the answer is not what was asked for, 2 usage, 3 unreachable.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from deploy import completion
from deploy.api import Refused, Unreachable, answer, api_client, reads_the_api, send
from deploy.edge_id import EdgeId
from deploy.journey import Event, Journey, in_words
from deploy.patches import merge_patch
from deploy.tables import changes, heading, print_table, refusals, thing_table, things_table
from deploy.twin_history import history
from deploy.twin_id import TwinId, name_of
from twin_runtime.core.limits import THINGS_PAGE_MAX

if TYPE_CHECKING:
    import httpx

_POLL_PERIOD_S = 1.0
_MOVE_POLL_PERIOD_S = 0.05  # a move takes about as long
_MOVE_WAIT_S = 45.0  # copying ahead takes at most 30; beyond this an edge is away


@click.group()
def twin() -> None:
    """Look at twins, and move them."""


@twin.command()
@reads_the_api
def ls(*, api: str, as_json: bool) -> None:
    """List all twins that the API knows."""
    with api_client(api) as client:
        things = list(_things(client))
    if as_json:
        click.echo(json.dumps(things))
    elif things:
        print_table(things_table(things, _now_ms()), Console())
    else:
        click.echo(f"{api} has no twins yet.", err=True)


@twin.command()
@click.argument("thing_id", metavar="ID", type=TwinId(), shell_complete=completion.twins)
@reads_the_api
def get(*, thing_id: str, api: str, as_json: bool) -> None:
    """Show one twin: values, units, ages, what is desired."""
    with api_client(api) as client:
        thing = answer(send(client, "GET", _path(thing_id)))
    if as_json:
        click.echo(json.dumps(thing))
    else:
        _print_thing(thing)


@twin.command()
@click.argument("thing_id", metavar="ID", type=TwinId(), shell_complete=completion.twins)
@reads_the_api
def watch(*, thing_id: str, api: str, as_json: bool) -> None:
    """Follow one twin as it changes and moves, until Ctrl-C."""
    with api_client(api) as client, _ended_by_ctrl_c():
        before: dict[str, Any] = {}
        for thing, events in _looks(client, thing_id):
            if as_json:
                _print_json(before, thing, events)
            else:
                _print_look(before, thing, events)
            before = thing


@twin.command()
@click.argument("twin_id", metavar="ID", type=TwinId(), shell_complete=completion.twins)
@click.option("--to", "edge", required=True, metavar="EDGE", type=EdgeId(),
              shell_complete=completion.edges, help="The edge that is to own it.")  # fmt: skip
@reads_the_api
def move(*, twin_id: str, edge: str, api: str, as_json: bool) -> None:
    """Let another edge own a twin, and wait until it does.

    The API must be the cloud's. Repeating it does no harm."""
    twin_id = name_of(twin_id)
    with api_client(api) as client:
        journey = Journey(client, twin_id)
        before = journey.news()
        answer(send(client, "POST", "/api/v1/moves", {"twin": twin_id, "to": edge}))
        there = [event for event in before if event.get("owner") == edge]
        arrival = there[0] if there else _arrival(journey, edge)
    if arrival is None:
        raise Refused(
            f"{twin_id} is not on {edge} after {_MOVE_WAIT_S:g} s: the move goes on by itself,"
            f" and `diten twin watch {twin_id}` shows it"
        )
    click.echo(json.dumps(arrival) if as_json else in_words(arrival))


@twin.command()
@click.argument("thing_id", metavar="ID", type=TwinId(), shell_complete=completion.twins)
@click.argument("attributes", metavar="[PATH=VALUE]...", nargs=-1)
@click.option("--desired", "wishes", multiple=True, metavar="FEATURE=VALUE", help="Want a value.")
@reads_the_api
def patch(
    *, thing_id: str, attributes: tuple[str, ...], wishes: tuple[str, ...], api: str, as_json: bool
) -> None:
    """Write attributes of a twin and what is desired of it.

    All or nothing. A VALUE is JSON, or else text; null removes. PATH is the attribute's, as
    place/room.
    """
    changes = merge_patch(attributes, wishes)
    if not changes:
        raise click.UsageError("nothing to write: give PATH=VALUE or --desired FEATURE=VALUE")
    with api_client(api) as client:
        response = send(client, "PATCH", _path(thing_id), changes)
        answer(response)
    tag = response.headers["etag"].strip('"')
    written = {"twin": thing_id, "etag": tag, "patch": changes}
    click.echo(json.dumps(written) if as_json else f"{thing_id} is at {tag.replace(':', ' ')}")


twin.add_command(history)


def _arrival(journey: Journey, edge: str) -> Event | None:
    """The event with which `edge` owns the twin; None: it did not come in time."""
    deadline_s = time.monotonic() + _MOVE_WAIT_S
    while time.monotonic() < deadline_s:
        for event in journey.news():
            if event["kind"] == "owned" and event["to"] == edge:
                return event
        time.sleep(_MOVE_POLL_PERIOD_S)
    return None


def _print_thing(thing: dict[str, Any]) -> None:
    click.echo(heading(thing, _now_ms()))
    print_table(thing_table(thing, _now_ms()), Console())
    for line in refusals(thing):
        click.echo(line)


def _print_json(before: dict[str, Any], thing: dict[str, Any], events: list[Event]) -> None:
    for each in (*events, *([thing] if thing != before else [])):
        click.echo(json.dumps(each))


def _print_look(before: dict[str, Any], thing: dict[str, Any], events: list[Event]) -> None:
    if not before:
        _print_thing(thing)
    for event in events:
        click.echo(in_words(event))
    if before and thing != before:
        _print_changes(before, thing)


def _print_changes(before: dict[str, Any], after: dict[str, Any]) -> None:
    moment = time.strftime("%H:%M:%S")
    for line in changes(before, after) or ["(no value changed)"]:
        click.echo(f"{moment}  rev {after['_revision']}  {line}")


def _looks(client: "httpx.Client", thing_id: str) -> Iterator[tuple[dict[str, Any], list[Event]]]:
    """The thing, and what moved it, now and whenever a poll finds news. Once it was seen, an
    outage is waited out: an edge that restarts is something to watch."""
    seen: dict[str, Any] = {}
    journey = Journey(client, name_of(thing_id))
    away = False
    while True:
        try:
            thing = answer(send(client, "GET", _path(thing_id)))
            events = journey.news()
        except Unreachable as unreachable:
            if not seen:
                raise
            if not away:
                click.echo(f"{unreachable.message}; trying again", err=True)
            away = True
        else:
            away = False
            if _state_of(thing) < _state_of(seen):
                thing = seen  # a cloud that was started again shows its checkpoint first
            if thing != seen or events:
                yield thing, events
            seen = thing
        time.sleep(_POLL_PERIOD_S)


def _state_of(thing: dict[str, Any]) -> tuple[int, int]:
    """Which state of its twin a thing shows."""
    return thing.get("epoch", 0), thing.get("_revision", 0)


def _things(client: "httpx.Client") -> Iterator[dict[str, Any]]:
    """All things, page by page; pages end, since their cursors rise."""
    path: str | None = f"/api/2/things?limit={THINGS_PAGE_MAX}"
    while path is not None:
        response = send(client, "GET", path)
        yield from answer(response)
        path = response.links.get("next", {}).get("url")


def _path(thing_id: str) -> str:
    from urllib.parse import quote

    return f"/api/2/things/{quote(thing_id, safe=':')}"


@contextmanager
def _ended_by_ctrl_c() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        click.echo(err=True)  # below the terminal's ^C


def _now_ms() -> int:
    return round(time.time() * 1000)
