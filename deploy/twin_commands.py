"""`diten twin`: look at twins, and move them, through the API of an edge or of the cloud.

Exit codes: 0 ok, 1 the answer is not what was asked for, 2 usage, 3 unreachable.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich.console import Console

from deploy.tables import changes, heading, print_table, thing_table, things_table
from twin_runtime.core.limits import THINGS_PAGE_MAX

if TYPE_CHECKING:
    import httpx

API_DEFAULT = "http://127.0.0.1:8420"
_TIMEOUT_S = 5.0  # a page takes 50 ms; beyond this a person wants to know
_POLL_PERIOD_S = 1.0

Command = TypeVar("Command", bound=Callable[..., None])


class Refused(click.ClickException):
    """The API answered, but not with what was asked for."""

    exit_code = 1


class Missing(click.ClickException):
    """This installation lacks what the command needs."""

    exit_code = 2


class Unreachable(click.ClickException):
    """Nobody answers at the API's address."""

    exit_code = 3


def _checked_api(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if not value.startswith(("http://", "https://")):
        raise click.BadParameter(f"{value!r} is not a URL: write it like {API_DEFAULT}")
    return value.rstrip("/")


def _reads_the_api(command: Command) -> Command:
    """The two options all commands share."""
    command = click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)
    return click.option(
        "--api",
        envvar="DITEN_API",
        default=API_DEFAULT,
        show_default=True,
        show_envvar=True,
        callback=_checked_api,
        metavar="URL",
        help="Where an edge or the cloud serves HTTP.",
    )(command)


@click.group()
def twin() -> None:
    """Look at twins, and move them."""


@twin.command()
@_reads_the_api
def ls(*, api: str, as_json: bool) -> None:
    """List all twins that the API knows."""
    with _client(api) as client:
        things = list(_things(client))
    if as_json:
        click.echo(json.dumps(things))
    elif things:
        print_table(things_table(things, _now_ms()), Console())
    else:
        click.echo(f"{api} has no twins yet.", err=True)


@twin.command()
@click.argument("thing_id", metavar="ID")
@_reads_the_api
def get(*, thing_id: str, api: str, as_json: bool) -> None:
    """Show one twin: its values, their units and ages, and what is desired."""
    with _client(api) as client:
        thing = _answer(_get(client, _path(thing_id)))
    if as_json:
        click.echo(json.dumps(thing))
    else:
        _print_thing(thing)


@twin.command()
@click.argument("thing_id", metavar="ID")
@_reads_the_api
def watch(*, thing_id: str, api: str, as_json: bool) -> None:
    """Print what changes in one twin, until Ctrl-C."""
    with _client(api) as client, _ended_by_ctrl_c():
        before = None
        for thing in _revisions(client, thing_id):
            if as_json:
                click.echo(json.dumps(thing))
            elif before is None:
                _print_thing(thing)
            else:
                _print_changes(before, thing)
            before = thing


@twin.command()
@click.argument("twin_id", metavar="ID")
@click.option("--to", "edge", required=True, metavar="EDGE", help="The edge that is to own it.")
@_reads_the_api
def move(*, twin_id: str, edge: str, api: str, as_json: bool) -> None:
    """Let another edge own a twin; the API must be the cloud's. Repeating it does no harm."""
    with _client(api) as client:
        moved = _answer(_send(client, "POST", "/api/v1/moves", {"twin": twin_id, "to": edge}))
    click.echo(json.dumps(moved) if as_json else f"{twin_id} moves to {edge}")


def _print_thing(thing: dict[str, Any]) -> None:
    click.echo(heading(thing, _now_ms()))
    print_table(thing_table(thing, _now_ms()), Console())


def _print_changes(before: dict[str, Any], after: dict[str, Any]) -> None:
    moment = time.strftime("%H:%M:%S")
    for line in changes(before, after) or ["(no value changed)"]:
        click.echo(f"{moment}  rev {after['_revision']}  {line}")


def _revisions(client: "httpx.Client", thing_id: str) -> Iterator[dict[str, Any]]:
    """The thing now and whenever a poll finds it changed. Once it was seen, an outage is
    waited out: an edge that restarts is something to watch."""
    seen: dict[str, Any] = {}
    away = False
    while True:
        try:
            thing = _answer(_get(client, _path(thing_id)))
        except Unreachable as unreachable:
            if not seen:
                raise
            if not away:
                click.echo(f"{unreachable.message}; trying again", err=True)
            away = True
        else:
            away = False
            if thing != seen:
                yield thing
            seen = thing
        time.sleep(_POLL_PERIOD_S)


def _things(client: "httpx.Client") -> Iterator[dict[str, Any]]:
    """All things, page by page; pages end, since their cursors rise."""
    path: str | None = f"/api/2/things?limit={THINGS_PAGE_MAX}"
    while path is not None:
        response = _get(client, path)
        yield from _answer(response)
        path = response.links.get("next", {}).get("url")


def _client(api: str) -> "httpx.Client":
    try:
        import httpx
    except ModuleNotFoundError:
        raise Missing(
            "this needs httpx, which a device's install lacks: install diten[edge]"
        ) from None
    # An edge is reached directly, whatever proxy the environment names.
    return httpx.Client(base_url=api, timeout=_TIMEOUT_S, trust_env=False)


def _get(client: "httpx.Client", path: str) -> "httpx.Response":
    return _send(client, "GET", path)


def _send(
    client: "httpx.Client", method: str, path: str, body: dict[str, str] | None = None
) -> "httpx.Response":
    import httpx

    try:
        return client.request(method, path, json=body)
    except (httpx.TransportError, httpx.InvalidURL) as error:
        raise Unreachable(
            f"nobody answers at {client.base_url} ({str(error) or type(error).__name__}): "
            "start one with `diten up`, or name another with --api"
        ) from None


def _answer(response: "httpx.Response") -> Any:
    """The JSON of a good answer, or `Refused` with the reason the API gave."""
    try:
        body = response.json()
    except ValueError:
        raise Refused(f"{response.url} answered {response.status_code}, not with JSON") from None
    if response.is_success:
        return body
    said = body.get("detail") or body.get("message", response.reason_phrase)
    raise Refused(f"{said} {body.get('description', '')}".rstrip())


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
