"""The configuration of an edge: one TOML file (`docs/operations.md` shows a whole one)."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from twin_runtime.adapters.config import BusConfig, Configuration, HttpConfig
from twin_runtime.core.ids import EDGE_PATTERN
from twin_runtime.core.limits import HISTORY_BYTES_MAX, HISTORY_BYTES_MIN, HISTORY_ROWS_MAX


class HistoryConfig(Configuration):
    """How much of the past is kept: whichever bound is reached first."""

    rows_max: Annotated[int, Field(ge=1)] = HISTORY_ROWS_MAX
    bytes_max: Annotated[int, Field(ge=HISTORY_BYTES_MIN)] = HISTORY_BYTES_MAX


class PositionConfig(Configuration):
    """Where the edge is, in metres, in the site's own frame."""

    x_m: float
    y_m: float


class HomeAssistantConfig(Configuration):
    """Whether Home Assistant is told of the edge's twins, or that they are gone; without this
    section, neither."""

    enabled: bool


class EdgeConfig(Configuration):
    id: Annotated[str, Field(pattern=EDGE_PATTERN)]
    data_dir: Path
    site: Annotated[str, Field(pattern=r"^[a-z0-9.-]{1,64}$")] = "diten"
    bus: BusConfig = BusConfig()
    http: HttpConfig = HttpConfig(port=8421)
    history: HistoryConfig = HistoryConfig()
    position: PositionConfig | None = None  # without it, the cloud moves no twin to it by itself
    home_assistant: HomeAssistantConfig | None = None
