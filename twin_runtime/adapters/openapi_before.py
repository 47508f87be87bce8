"""What stands before all routes, in the API's description of itself: FastAPI knows routes only.

a former owner   may answer 307 on each path of a twin (`elsewhere_http.py`)
a token          is wanted by each write: 401 without one, 403 with another (`tokens.py`)
a bad parameter  is a 400, and not what FastAPI would answer by itself (`ditto_http.py`)
another route    answers who accepts an event stream, or asks for the past (`openapi_also.py`)
"""

from typing import Any, Final

from fastapi import FastAPI

from twin_runtime.adapters.elsewhere_http import OF_A_TWIN
from twin_runtime.adapters.openapi_also import describe_also
from twin_runtime.adapters.openapi_bodies import ANYTHING
from twin_runtime.adapters.tokens import READING

_SENT_ON: Final = {"description": "It is another edge's by now: ask at `Location`."}
_REFUSED: Final = {
    "401": {"description": "It needs the token."},
    "403": {"description": "It may not be written, or not with this token."},
}
_BEARER: Final = {"type": "http", "scheme": "bearer"}


def describe_what_stands_before(app: FastAPI, *, sends_on: bool, has_token: bool) -> None:
    """Complete the description of `app`, once it is made."""
    described = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            _complete(described(), sends_on=sends_on, has_token=has_token)
            describe_also(app, described()["paths"])
        return described()

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI's own page does it


def _complete(description: dict[str, Any], *, sends_on: bool, has_token: bool) -> None:
    if has_token:
        description.setdefault("components", {})["securitySchemes"] = {"token": _BEARER}
    schemas = description.setdefault("components", {}).setdefault("schemas", {})
    schemas["Anything"] = ANYTHING
    for schema in ("HTTPValidationError", "ValidationError"):
        schemas.pop(schema, None)
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            operation["responses"].pop("422", None)
            if sends_on and OF_A_TWIN.match(path):
                operation["responses"]["307"] = _SENT_ON
            if has_token and method.upper() not in READING:
                operation["security"] = [{"token": []}]
                operation["responses"] = {**_REFUSED, **operation["responses"]}
