"""Routes that FastAPI does not know, in the API's description of itself.

Whoever accepts an event stream, or asks for the past, is answered by a route of its own that
stands before the one that reads: the path and the method are the same, so that OpenAPI has one
operation for them all. What such a route is asked and answers is added to that operation.
"""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from starlette.routing import Match, Route
from starlette.types import Scope

Operation = dict[str, Any]  # of OpenAPI, or a part of one: its parameters and responses


class AlsoRoute(Route):
    """GET of `path` for those whom it `is_for`; others find the next route of the same path."""

    def __init__(
        self, path: str, endpoint: Any, is_for: Callable[[Scope], bool], adds: Operation
    ) -> None:
        super().__init__(path, endpoint)
        self.adds = adds
        self._is_for = is_for

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] != "http" or not self._is_for(scope):
            return Match.NONE, {}
        return super().matches(scope)


def describe_also(app: FastAPI, paths: dict[str, dict[str, Operation]]) -> None:
    """Add to the operations that read at `paths` what else answers there."""
    for route in app.routes:
        if isinstance(route, AlsoRoute):
            for path, operations in paths.items():
                if "get" in operations and route.path_regex.match(path):
                    _add(operations["get"], route.adds)


def _add(operation: Operation, more: Operation) -> None:
    parameters = operation.setdefault("parameters", [])
    known = {(each["in"], each["name"]) for each in parameters}
    new = (each for each in more["parameters"] if (each["in"], each["name"]) not in known)
    parameters.extend(new)
    for status, added in more["responses"].items():
        said = operation["responses"][status]
        for part in ("content", "headers"):
            if part in added:
                said[part] = {**said.get(part, {}), **added[part]}
