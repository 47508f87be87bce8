"""What `diten twin patch` is told to write, as a merge patch (RFC 7396) of a thing."""

import json
from collections.abc import Iterable
from typing import Any

import click


def merge_patch(attributes: Iterable[str], wishes: Iterable[str]) -> dict[str, Any]:
    """The patch of `PATH=VALUE` for attributes and `FEATURE=VALUE` for desired values."""
    patch: dict[str, Any] = {}
    for path, value in map(_split, attributes):
        _set(patch, ["attributes", *path.split("/")], value)
    for feature, value in map(_split, wishes):
        _set(patch, ["features", feature, "desiredProperties", "value"], value)
    return patch


def _split(written: str) -> tuple[str, Any]:
    name, equals, text = written.partition("=")
    if not (name and equals):
        raise click.UsageError(f"{written!r} is not NAME=VALUE, as place/room=north")
    return name, _value(text)


def _value(text: str) -> Any:
    """JSON, or else the text itself; what Python alone takes for JSON is text."""
    try:
        value = json.loads(text, parse_constant=_no_json)
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):
        return text
    return value


def _no_json(name: str) -> None:
    raise ValueError(name)


def _set(patch: dict[str, Any], path: list[str], value: Any) -> None:
    *above, name = path
    for each in above:
        patch = patch.setdefault(each, {})
        if not isinstance(patch, dict):
            raise click.UsageError(f"{'/'.join(path)} is below a value that is written too")
    if name in patch:
        raise click.UsageError(f"{'/'.join(path)} is written twice")
    patch[name] = value
