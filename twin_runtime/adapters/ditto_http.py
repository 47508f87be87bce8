"""What the routes of Ditto's dialect share: its error body, and how a route is read.

Whatever is wrong with a request becomes one body, `{status, error, message, description}`,
with a code of Ditto's where it has one; below `/api/v1` the same becomes a problem.
"""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from http import HTTPStatus
from typing import Any, Literal

from fastapi import APIRouter, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic_core import to_json
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.responses import JSONResponse
from starlette.routing import Match

from twin_runtime.adapters.http_problem import OUR_PREFIX, problem
from twin_runtime.core.errors import MalformedMessage
from twin_runtime.core.thing import ABSENT, part_of

_NAME_CHARS_MAX = 100  # of what a client sent, when it is said again
_VALUE_CHARS_MAX = 60
_NAMED = ("twin", "edge")
_METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
_BARE = {405: "gateway:method.notallowed"}  # Ditto's codes for what no route refuses


Endpoint = Callable[..., Awaitable[Response]]
Said = dict[int | str, dict[str, Any]]  # what a route answers, for its documentation


class Json(JSONResponse):
    """JSON that is bytes already; FastAPI documents any other response as a string."""

    def render(self, content: bytes) -> bytes:
        return content


class DittoError(BaseModel):
    """Ditto's error body."""

    status: int
    error: str
    message: str
    description: str


class Direct(APIRoute):
    """A route that hands its endpoint the request and the names in the path, nothing else:
    FastAPI takes longer to work out what an endpoint wants than a read takes."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        endpoint = self.endpoint

        async def handle(request: Request) -> Response:
            response: Response = await endpoint(request, **request.path_params)
            return response

        return handle


def read(
    router: APIRouter,
    path: str,
    endpoint: Endpoint,
    responses: Said | None = None,
    kind: type[Response] = Json,
    extra: dict[str, Any] | None = None,
    route: type[APIRoute] = APIRoute,
) -> None:
    """Serve GET and HEAD at `path`; `extra` is what the endpoint's signature does not document."""
    said: dict[str, Any] = {"response_class": kind, "responses": responses, "openapi_extra": extra}
    router.add_api_route(path, endpoint, **said, route_class_override=route)
    router.add_api_route(
        path, endpoint, methods=["HEAD"], include_in_schema=False, route_class_override=route
    )


def path_as_sent(request: Request) -> str:
    """The path of a request with its escapes, as a header can carry it."""
    raw: bytes = request.scope["raw_path"]
    return raw.decode("latin-1").partition("?")[0]


def refusal(status: int, error: str, message: str, description: str) -> HTTPException:
    """A refusal with Ditto's body."""
    body = {"error": error, "message": message, "description": description}
    return HTTPException(status, body)


def refused_early(
    request: Request, status: int, codes: tuple[str, str], text: str, advice: str
) -> Response:
    """A refusal before any route, in the dialect of the path; `codes` are ours and Ditto's."""
    if request.url.path.startswith(OUR_PREFIX):
        return problem(status, codes[0], f"{text} {advice}")
    body = {"status": status, "error": codes[1], "message": text, "description": advice}
    return Json(to_json(body), status)


def no_thing(thing_id: str) -> HTTPException:
    """404: there is no such thing here."""
    name = repr(thing_id[:_NAME_CHARS_MAX])
    return refusal(
        *(404, "things:thing.notfound", f"The thing {name} is not known here."),
        "Check its id; an edge knows its own twins only, the cloud all of them.",
    )


def no_part(thing: Mapping[str, Any], path: tuple[str, ...]) -> HTTPException:
    """404: the thing has nothing at this path."""
    ends = range(1, len(path) + 1)
    missing = next(path[:end] for end in ends if part_of(thing, path[:end]) is ABSENT)
    where, name = "/".join(path)[:_NAME_CHARS_MAX], repr(thing["thingId"])
    return refusal(
        *(404, f"things:{kind_of(missing)}.notfound", f"The thing {name} has no {where!r}."),
        "A device names its features in its description, an attribute is there once written.",
    )


def unmet(which: Literal["condition", "precondition"], said: str) -> HTTPException:
    """412: it is not in the state for which it is wanted; an entity tag is a precondition."""
    return refusal(
        *(412, f"things:{which}.failed", f"Not as wanted: {said}."),
        "Read it without this condition to see how it is.",
    )


def bad_query(said: str) -> HTTPException:
    """400: a parameter cannot be used."""
    return refusal(400, "things:query.invalid", *_bad_query(said))


_CODES = {
    "bad_fields": ("json.fieldselector.invalid", "fields"),
    "bad_query": ("rql.expression.invalid", "filter or condition"),
    "bad_option": ("thing-search:search.option.invalid", "option"),
}


def malformed(error: MalformedMessage) -> HTTPException:
    """400: what a query parameter says cannot be read."""
    code, parameter = _CODES[error.code]
    message = f"The {parameter} cannot be read: {error.message}."
    return refusal(400, code, message, "docs/api.md has the syntax; positions count from 1.")


def kind_of(path: tuple[str, ...]) -> str:
    """What Ditto's codes call that which stands at a path of a thing."""
    match path:
        case ():
            return "thing"
        case ("attributes" | "features" as all_of_them,):
            return all_of_them
        case ("attributes", *_):
            return "attribute"
        case ("features", _, "properties" | "desiredProperties" as which, *below):
            return f"feature.{which.replace('ies', 'y') if below else which}"
        case _:
            return "feature"


def answer_errors(app: FastAPI) -> None:
    """Give every error of `app` the body of its dialect."""
    app.add_exception_handler(AnyHTTPException, _on_http_error)
    app.add_exception_handler(RequestValidationError, _on_bad_query)


def _bad_query(said: str) -> tuple[str, str]:
    return (
        f"The query cannot be used: {said}.",
        "Correct this parameter; /openapi.json lists them all.",
    )


async def _on_http_error(request: Request, error: Exception) -> Response:
    """For unknown paths and methods, and what we refuse: Ditto's error body, or a problem
    where the path is ours."""
    assert isinstance(error, AnyHTTPException)
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_methods(request))
    if request.url.path.startswith(OUR_PREFIX):
        phrase = HTTPStatus(error.status_code).phrase.lower()
        text = f"{_asked(request)}: {phrase} here; see /openapi.json"
        answer = problem(error.status_code, phrase.replace(" ", "_"), text)
        answer.headers.update(headers)
        return answer
    detail: Any = error.detail
    if not isinstance(detail, dict):
        phrase = HTTPStatus(error.status_code).phrase
        detail = {
            "error": _BARE.get(error.status_code, "api:" + phrase.lower().replace(" ", ".")),
            "message": f"{_asked(request)}: {phrase}.",
            "description": "/openapi.json lists the paths and their methods.",
        }
    body = to_json({"status": error.status_code, **detail})
    return Json(body, status_code=error.status_code, headers=headers)


def _methods(request: Request) -> list[str]:
    """What can be asked of the request's path."""
    return [
        method
        for method in _METHODS
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL
            for route in request.app.routes
        )
    ]


async def _on_bad_query(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    (place, *_, name), value = first["loc"], str(first["input"])[:_VALUE_CHARS_MAX]
    said = f"{name} = {value!r}: {first['msg']}"
    if first["type"] == "missing":
        said = f"{name} is missing"
    if request.url.path.startswith(OUR_PREFIX):
        if place == "path" and name in _NAMED:  # what no id can be is no id
            return problem(404, f"unknown_{name}", f"there is no {name} {value!r}")
        return problem(400, "bad_request", f"{said}; see /openapi.json")
    message, description = _bad_query(said)
    body = {"status": 400, "error": "things:query.invalid", "message": message}
    return Json(to_json({**body, "description": description}), status_code=400)


def _asked(request: Request) -> str:
    return f"{request.method} {request.url.path[:_NAME_CHARS_MAX]}"
