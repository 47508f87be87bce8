"""The configuration of a device agent: one TOML file (`docs/operations.md` shows one)."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from twin_runtime.adapters.config import BusConfig, Configuration
from twin_runtime.core.ids import TWIN_PATTERN
from twin_runtime.core.limits import OUTBOX_REPORTS_MAX


class SourceConfig(Configuration):
    """Where values come from: `board` (this machine as one device), `host` (with its cores
    and processes as devices of their own), `replay:DIR`, `emulated`, or `walking`
    (emulated, and carried about)."""

    kind: str = "board"
    period_s: Annotated[float, Field(gt=0)] = 1.0
    trace: str = "library1"
    speed: Annotated[float, Field(gt=0)] = 1.0
    first: Annotated[int, Field(ge=1)] = 1
    last: Annotated[int, Field(ge=1)] = 1
    seed: int = 0


class OutboxConfig(Configuration):
    """What is kept until it is stable and, for an audit, afterwards."""

    reports_max: Annotated[int, Field(ge=1, le=10_000_000)] = OUTBOX_REPORTS_MAX
    keep_stable_reports: Annotated[int, Field(ge=0, le=10_000_000)] = 0


class DeviceConfig(Configuration):
    """`id` names the agent; with the source `board` it is the device's id, too."""

    id: Annotated[str, Field(pattern=TWIN_PATTERN)]
    data_dir: Path
    bus: BusConfig = BusConfig()
    source: SourceConfig = SourceConfig()
    outbox: OutboxConfig = OutboxConfig()
