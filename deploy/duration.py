"""Lengths of time as people type them."""

import re
from typing import Any

import click

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Duration(click.ParamType[float]):
    """`30s`, `2m`, `1.5h`, `1d`: in seconds."""

    name = "duration"

    def __init__(self, least_s: float = 0.0) -> None:
        self._least_s = least_s

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", str(value))
        if not found:
            self.fail(f"{value!r} is not a duration: write 30s, 2m or 1.5h", param, ctx)
        seconds = float(found[1]) * _UNITS_S[found[2]]
        if seconds < self._least_s:
            self.fail(f"{value!r} is too short: {self._least_s:g}s at least", param, ctx)
        return seconds
