"""The head of a request has a bound: nobody asks for anything with more.

uvicorn refuses what does not fit its buffer, without a word in our dialects, and where that
ends depends on how the bytes come. What is let through here fits everywhere, so that the
cloud sends on no entity tag that makes an edge hang up.
"""

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from twin_runtime.adapters.ditto_http import refused_early
from twin_runtime.core.limits import HTTP_HEAD_BYTES_MAX

_TOO_LARGE = 431
_CODES = ("head_too_large", "gateway:head.toolarge")


class HeadBound:
    """ASGI middleware: lets requests through to `app` whose heads are small enough."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self._app
        if scope["type"] == "http" and (size := _bytes_of(scope)) > HTTP_HEAD_BYTES_MAX:
            text = f"The head of this request has {size} bytes."
            advice = f"Address and headers together take at most {HTTP_HEAD_BYTES_MAX}."
            answer = refused_early(Request(scope), _TOO_LARGE, _CODES, text, advice)
        await answer(scope, receive, send)


def _bytes_of(scope: Scope) -> int:
    target = len(scope["raw_path"]) + len(scope["query_string"])
    return target + sum(len(name) + len(value) for name, value in scope["headers"])
