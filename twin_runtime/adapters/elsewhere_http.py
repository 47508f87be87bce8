"""Whoever asks an edge for a twin that it gave away is sent to where it went: 307.

A redirect repeats the method and the body at the new address. An edge knows where a twin
went when it let go of it, not where it is now: each owner since then sends on in its turn.
"""

import re
from collections.abc import Mapping

from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

OF_A_TWIN = re.compile(r"/api/(?:2/things|v1/twins)/([^/]+)")


class Elsewhere:
    """ASGI middleware: `elsewhere` has the API of the owner of each twin that went, `site` is
    the namespace of thing ids."""

    def __init__(self, app: ASGIApp, elsewhere: Mapping[str, str], site: str) -> None:
        self._app = app
        self._elsewhere = elsewhere
        self._site = site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self._app
        if self._elsewhere and scope["type"] == "http":
            found = OF_A_TWIN.match(scope["path"])
            name = found[1].removeprefix(f"{self._site}:") if found else ""
            if (api := self._elsewhere.get(name)) is not None:
                answer = RedirectResponse(api + _target(scope), 307)
        await answer(scope, receive, send)


def _target(scope: Scope) -> str:
    """The path and the query, as they came."""
    query = scope["query_string"].decode("latin-1")
    path: str = scope["raw_path"].decode("latin-1").partition("?")[0]
    return f"{path}?{query}" if query else path
