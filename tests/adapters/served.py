"""Things as a service shows them, and a client of the real server in a thread of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests.adapters.serving import serving
from twin_runtime.adapters.reading import Shown
from twin_runtime.adapters.things_http import things_app
from twin_runtime.core import messages
from twin_runtime.core.look import State, state_of
from twin_runtime.core.messages import (
    Description,
    DesiredState,
    FeatureSpec,
    FeatureState,
    Place,
    TwinDocument,
)
from twin_runtime.ports import Health

WALL_MS = 1_900_000_000_000

DESCRIPTION = Description(
    title="Greenhouse",
    features={
        "temperature_c": FeatureSpec(type="number", unit="Cel"),
        "target_c": FeatureSpec(type="number", unit="Cel", writable=True),
    },
    position=Place(x_m=1.5, y_m=2.0),
)


@dataclass(frozen=True, slots=True)
class Committed:
    """A twin as the view holds it."""

    content: TwinDocument
    known_wall_ms: int | None = None

    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = messages.load(messages.encode(self.content))
        return document

    def state(self) -> State:
        return state_of(self.content)


def a_twin(name: str = "d-1", value: float | None = 21.5, **attributes: Any) -> Committed:
    """A twin that reports a temperature; of another one, nothing was ever heard (None)."""
    read = {} if value is None else {"temperature_c": value}
    return Committed(
        TwinDocument(
            twin=name,
            epoch=2,
            revision=7,
            reported_wall_ms=WALL_MS,
            attributes=attributes or {"room": "north"},
            description=DESCRIPTION,
            features={
                feature: FeatureState(value=each, observed_ms=WALL_MS - 100)
                for feature, each in read.items()
            },
            desired={"features/target_c/value": DesiredState(number=6, value=19.0)},
        )
    )


@contextmanager
def served(
    view: dict[str, Shown], health: Health | None = None, metrics: bytes = b""
) -> Iterator[httpx.Client]:
    """A client of the app, served by the real server."""
    app = things_app(view, health or Health(ready=True), lambda: metrics, "home", lambda: WALL_MS)
    with serving(app) as api, httpx.Client(base_url=api, trust_env=False) as client:
        yield client
