"""Lengths of time as people type them."""

import re
from typing import Any

import click

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Duration(click.ParamType[float]):
    """`30s`, `2m`, `1.5h`, `1d`: in seconds."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", str(value))
        if not found:
            self.fail(f"{value!r} is not a duration: write 30s, 2m or 1.5h", param, ctx)
        return float(found[1]) * _UNITS_S[found[2]]
