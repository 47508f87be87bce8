"""Twins' ids as people type them: `d-core-0`, or `diten:d-core-0` as things are named."""

import re
from typing import Any, Final

import click

from twin_runtime.core.ids import TWIN_PATTERN

_NAMED: Final = re.compile(rf"(?:[^:/]+:)?{TWIN_PATTERN[1:]}")


class TwinId(click.ParamType[str]):
    """An id that may be sent; whether there is such a twin the API knows."""

    name = "id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not _NAMED.fullmatch(value):
            self.fail(f"{value!r} is not like d-core-0: `diten twin ls` has all ids", param, ctx)
        return str(value)


def name_of(thing_id: str) -> str:
    """The twin's own name in a thing's id."""
    return thing_id.rpartition(":")[2]
