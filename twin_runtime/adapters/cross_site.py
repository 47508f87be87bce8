"""Pages of other sites may not write: a browser would send what they ask for.

Whoever looks at any page in the world has a browser that reaches his own site, and sends a
plain POST there without asking, such as the one that drains an edge. It says where the page
is from (`Origin`), and most say so in a word (`Sec-Fetch-Site`), which holds behind a proxy
that has another name for us, too. What is no browser says neither.
"""

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from twin_runtime.adapters.tokens import READING, refused_write

_OWN = frozenset({"same-origin", "none"})


class CrossSiteGuard:
    """ASGI middleware: lets requests through to `app` that read, or are not a foreign page's."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self._app
        if scope["type"] == "http" and scope["method"] not in READING:
            request = Request(scope)
            if _is_foreign(request.headers):
                text = f"A page of {request.headers['origin'][:200]!r} may not write here."
                advice = "Write from the page of this server, or with a program."
                answer = refused_write(request, 403, "cross_site", text, advice)
        await answer(scope, receive, send)


def _is_foreign(headers: Headers) -> bool:
    origin = headers.get("origin")
    if origin is None or headers.get("sec-fetch-site") in _OWN:
        return False
    try:
        return urlsplit(origin).netloc != headers.get("host")
    except ValueError:  # no address at all, such as `http://[`
        return True
