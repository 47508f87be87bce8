"""A token, once configured, guards every write.

Whoever writes says `Authorization: Bearer TOKEN`: without it 401, with another one 403.
Reading is free. The guard stands before all routes, so that none can forget it.
"""

from hmac import compare_digest

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from twin_runtime.adapters.ditto_http import refused_early

READING = frozenset({"GET", "HEAD", "OPTIONS"})
_ADVICE = "Send the token of the [http] table as Authorization: Bearer TOKEN."


class TokenGuard:
    """ASGI middleware: lets requests through to `app` that read, or bring `token`."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self._app
        if scope["type"] == "http" and scope["method"] not in READING:
            request = Request(scope)
            said = request.headers.get("authorization")
            if said is None:
                text = "Writing needs a token."
                answer = refused_write(request, 401, "unauthenticated", text, _ADVICE)
            elif not compare_digest(said.encode(), self._expected):
                text = "This token is not the one."
                answer = refused_write(request, 403, "forbidden", text, _ADVICE)
        await answer(scope, receive, send)


def refused_write(request: Request, status: int, code: str, text: str, advice: str) -> Response:
    """Why `request` may not write, in the words of whichever dialect it speaks."""
    error = "failed" if status == 401 else code  # noqa: PLR2004 - Ditto's word for it
    codes = code, f"gateway:authentication.{error}"
    answer = refused_early(request, status, codes, text, advice)
    if status == 401:  # noqa: PLR2004 - the one that must say how
        answer.headers["WWW-Authenticate"] = 'Bearer realm="diten"'
    return answer
