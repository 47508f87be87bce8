"""The configuration of the cloud: one TOML file (`docs/operations.md` shows a whole one)."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from twin_runtime.adapters.config import BusConfig, Configuration, HttpConfig


class AssociationConfig(Configuration):
    """Who decides which edge owns which twin, and how often; without this section, nobody."""

    policy: Literal["pack_and_hold", "nearest", "hold", "greedy"]
    period_s: Annotated[float, Field(ge=0.1, le=86_400.0)] = 10.0  # a slot of [P3]


class CloudConfig(Configuration):
    data_dir: Path
    site: Annotated[str, Field(pattern=r"^[a-z0-9.-]{1,64}$")] = "diten"
    bus: BusConfig = BusConfig()
    http: HttpConfig = HttpConfig(port=8420)
    association: AssociationConfig | None = None
