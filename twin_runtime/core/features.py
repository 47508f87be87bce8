"""The values of a twin's features, laid out like its shape.

An edge keeps millions of values and makes a twin anew for each report. So a twin does not
have a dictionary with an entry for each feature: its values stand in one tuple in the order
of its shape, beside a tuple of stamps, and all that one report brought share one stamp.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from twin_runtime.core.shape import Shape, accepts

# A feature's last usable value, when the device observed it, and its quality.
Feature = tuple[Any, int, str]
Stamp = tuple[int, str]  # when it was observed, and its quality


class Features(Mapping[str, Feature]):
    """Those features of a shape that were ever reported, by name; immutable."""

    __slots__ = ("_places", "_stamps", "_values")

    def __init__(
        self,
        places: Mapping[str, int],
        values: tuple[Any, ...],
        stamps: tuple[Stamp | None, ...],
    ) -> None:
        self._places = places
        self._values = values
        self._stamps = stamps

    def __getitem__(self, name: str) -> Feature:
        place = self._places[name]
        stamp = self._stamps[place]
        if stamp is None:
            raise KeyError(name)
        return (self._values[place], *stamp)

    def get(self, name: str, default: Any = None) -> Any:
        """As of any mapping, in a third of the time: a search looks at thousands."""
        place = self._places.get(name)
        if place is None or (stamp := self._stamps[place]) is None:
            return default
        return (self._values[place], *stamp)

    def __iter__(self) -> Iterator[str]:
        return (name for name, stamp in zip(self._places, self._stamps, strict=True) if stamp)

    def __len__(self) -> int:
        return len(self._stamps) - self._stamps.count(None)

    def parts(self) -> tuple[list[Any], list[Stamp | None]]:
        """Values and stamps in the order of the shape, to be changed and `laid_out` again."""
        return list(self._values), list(self._stamps)

    def document(self) -> dict[str, Any]:
        """As it stands in a snapshot or a twin's document."""
        return {
            name: {"value": value, "observed_ms": stamp[0], "quality": stamp[1]}
            for name, value, stamp in zip(self._places, self._values, self._stamps, strict=True)
            if stamp is not None
        }


NONE = Features({}, (), ())


def features_of(shape: Shape, features: Mapping[str, Feature]) -> Features:
    """Lay `features` out like `shape`; those it does not declare, or with another type, are
    left out."""
    values: list[Any] = [None] * len(shape.places)
    stamps: list[Stamp | None] = [None] * len(shape.places)
    for name, (value, observed_ms, quality) in features.items():
        place = shape.places.get(name)
        if place is not None and accepts(shape.kinds[name], value):
            values[place], stamps[place] = value, (observed_ms, quality)
    return Features(shape.places, tuple(values), tuple(stamps))
