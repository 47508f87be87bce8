"""What a shell offers at Tab beside commands and options: ids and features, as the API knows them.

Where nobody answers in time, nothing is offered: whoever types does not want to hear why.
"""

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import click

from deploy.api import API_DEFAULT, api_client

_ID: Final = re.compile(r"[a-z0-9-]*")  # what the beginning of an id is made of
_OFFERED_MAX: Final = 100  # a screen or two
_ANSWERED_S: Final = 1.0


def twins(context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """The twins whose ids begin so."""
    if not _ID.fullmatch(begun):
        return []
    query = {
        "filter": f'like(thingId,"*:{begun}*")',
        "fields": "thingId",
        "option": f"size({_OFFERED_MAX})",
    }
    found = _found(context, "/api/2/search/things", query) or {"items": []}
    return [thing["thingId"].partition(":")[2] for thing in found["items"]]


def edges(context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """The edges whose ids begin so."""
    found = _found(context, "/api/v1/edges", {}) or []
    return [edge["edge"] for edge in found if edge["edge"].startswith(begun)]


def features(context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """The features of the twin that was named before."""
    path = f"/api/2/things/{quote(context.params.get('twin_id') or '', safe=':')}"
    thing = _found(context, path, {"fields": "features"}) or {}
    return sorted(name for name in thing.get("features", {}) if name.startswith(begun))


def _found(context: click.Context, path: str, query: Mapping[str, str]) -> Any:
    """What the API answers; None: nothing that is of use here."""
    try:
        client = api_client(context.params.get("api") or API_DEFAULT)
    except click.ClickException:
        return None
    import httpx

    try:
        with client:
            answer = client.get(path, params=query, timeout=_ANSWERED_S)
            return answer.json() if answer.is_success else None
    except (httpx.TransportError, httpx.InvalidURL, ValueError):
        return None
