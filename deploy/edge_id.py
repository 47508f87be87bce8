"""Edges' ids as people type them."""

import re
from typing import Any, Final

import click

from twin_runtime.core.ids import EDGE_PATTERN

_ID: Final = re.compile(EDGE_PATTERN)


class EdgeId(click.ParamType[str]):
    """An id that may be sent; whether there is such an edge the API knows."""

    name = "edge"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not _ID.fullmatch(value):
            self.fail(f"{value!r} is not like e-1: `diten edge ls` has all ids", param, ctx)
        return str(value)
