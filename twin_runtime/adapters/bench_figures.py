"""What `diten bench` measured last, kept beside a cloud's store for its page.

One file of JSON, replaced as a whole: whoever reads meanwhile has the old one or the new one.
A figure takes the place of the one with its name, so each says when it was measured.
"""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from twin_runtime.core.errors import Unavailable

FILE = "bench.json"
_BYTES_MAX = 1_000_000  # all there are take 12 kB
_Text = Annotated[str, Field(max_length=1_000)]


class Figure(BaseModel):
    """One target of `diten bench`, and when it was measured; no value: it could not be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(max_length=100)]
    value: float | None
    unit: _Text
    bar: _Text
    met: bool
    against: _Text
    measured_ms: Annotated[int, Field(ge=0)]


_FIGURES = TypeAdapter(list[Figure])


def keep(folder: Path, target: dict[str, Any], measured_ms: int) -> None:
    """Put what `target` says in the place of what its name had in `folder`.

    Raises:
        Unavailable: what is there cannot be read.
    """
    figures = {figure.name: figure for figure in kept(folder)}
    figures[target["name"]] = Figure(**target, measured_ms=measured_ms)
    new = folder / f"{FILE}.new"
    new.write_bytes(_FIGURES.dump_json(list(figures.values())))
    new.replace(folder / FILE)


def kept(folder: Path) -> list[Figure]:
    """Every figure in `folder`, in the order in which they were first measured.

    Raises:
        Unavailable: the file cannot be read.
    """
    path = folder / FILE
    try:
        with path.open("rb") as file:
            return _FIGURES.validate_json(file.read(_BYTES_MAX))
    except FileNotFoundError:
        return []
    except (OSError, ValidationError):
        raise Unavailable(f"{FILE} in the data_dir cannot be read: remove it") from None
