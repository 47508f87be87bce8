"""What `diten doctor` found: how bad it is, what it costs, what to do."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "warning", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    about: str
    found: str
    verdict: Verdict = "ok"
    costs: str = ""
    do: str = ""
