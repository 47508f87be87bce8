"""What readers see of a twin."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from twin_runtime.core import messages
from twin_runtime.core import twin as core
from twin_runtime.core.features import Feature
from twin_runtime.core.look import State
from twin_runtime.core.twin import Twin

NOT_LIVE: Mapping[str, Feature] = MappingProxyType({})


class Thing(NamedTuple):
    """What readers see of a twin: its committed state and, apart, what is only live.

    `reported_wall_ms` is the twin's, at hand: a scrape reads it of every twin there is.
    `known_wall_ms` is when this was the present state for sure; None: it is, we own it.
    """

    twin: Twin
    live: Mapping[str, Feature]
    reported_wall_ms: int
    known_wall_ms: int | None

    def encode(self) -> bytes:
        return core.encode_document(self.twin, self.live)

    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = messages.load(self.encode())
        return document

    def state(self) -> State:
        twin = self.twin
        # One by one: a search makes thousands, and a tuple to unpack takes a fifth longer.
        return State(
            twin.twin,
            twin.epoch,
            twin.revision,
            twin.modified_wall_ms,
            twin.attributes,
            twin.features,
            self.live,
            twin.desired,
        )
