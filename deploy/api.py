"""Ask the HTTP API of an edge or of the cloud, as commands do.

Exit codes: 0 ok, 1 the answer is not what was asked for, 2 usage, 3 unreachable.
"""

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import click

if TYPE_CHECKING:
    import httpx

API_DEFAULT = "http://127.0.0.1:8420"
WRITERS_VARIABLE = "DITEN_TOKEN"  # not an option: other users of a machine see those
UNAUTHENTICATED = 401
_TIMEOUT_S = 5.0  # a page takes 50 ms; beyond this a person wants to know

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


def checked_api(
    _context: click.Context, _parameter: click.Parameter, value: str | None
) -> str | None:
    """Refuse what no client could call."""
    if value is None:
        return None
    if not _can_be_called(value):
        raise click.BadParameter(f"{value!r} is not a URL: write it like {API_DEFAULT}")
    return value.rstrip("/")


def _can_be_called(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none, brackets that do not close
        return False


def reads_the_api(command: Command) -> Command:
    """Give a command the two options that all of them share."""
    command = click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)
    return click.option(
        "--api",
        envvar="DITEN_API",
        default=API_DEFAULT,
        show_default=True,
        show_envvar=True,
        callback=checked_api,
        metavar="URL",
        help="Where an edge or the cloud serves HTTP.",
    )(command)


def api_client(api: str) -> "httpx.Client":
    """A client of the API at this address."""
    try:
        import httpx
    except ModuleNotFoundError:
        raise Missing(
            "this needs httpx, which a device's install lacks: install diten[edge]"
        ) from None
    token = os.environ.get(WRITERS_VARIABLE)
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    # An edge is reached directly, whatever proxy the environment names.
    return httpx.Client(base_url=api, timeout=_TIMEOUT_S, trust_env=False, headers=headers)


def send(
    client: "httpx.Client",
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
) -> "httpx.Response":
    """The API's response, whatever it is, or `Unreachable`. An edge that a twin has left says
    where it is: what is read is read there; a write is not sent on, for its token is not meant
    for whatever address an answer names."""
    import httpx

    try:
        return client.request(method, path, json=body, follow_redirects=method == "GET")
    except (httpx.RequestError, httpx.InvalidURL) as error:
        raise Unreachable(
            f"nobody answers at {client.base_url} ({str(error) or type(error).__name__}): "
            "start one with `diten up`, or name another with --api"
        ) from None


def answer(response: "httpx.Response") -> Any:
    """The JSON of a good answer (None: it has no body), or `Refused` with the reason the API
    gave."""
    if response.is_success and not response.content:
        return None
    if response.next_request is not None:
        there = str(response.next_request.url.join("/")).rstrip("/")
        raise Refused(f"the twin is at another edge by now: write to it with --api {there}")
    try:
        body = response.json()
    except ValueError:
        raise Refused(f"{response.url} answered {response.status_code}, not with JSON") from None
    if response.is_success:
        return body
    said = body.get("detail") or body.get("message", response.reason_phrase)
    advice = f"{body.get('description', '')}"
    if response.status_code == UNAUTHENTICATED:
        advice = f"Set {WRITERS_VARIABLE} to the token of the API's [http] table."
    raise Refused(f"{said} {advice}".rstrip())
