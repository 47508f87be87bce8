"""The configuration of the cloud: one TOML file (`docs/operations.md` shows a whole one)."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from twin_runtime.adapters.config import BusConfig, Configuration, HttpConfig


class CloudConfig(Configuration):
    data_dir: Path
    site: Annotated[str, Field(pattern=r"^[a-z0-9.-]{1,64}$")] = "diten"
    bus: BusConfig = BusConfig()
    http: HttpConfig = HttpConfig(port=8420)
