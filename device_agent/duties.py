"""What a device owes its edge: commands and desired values.

A command is momentary. It is marked as obeyed on disk *before* it is carried out, so it is
carried out at most once; if a crash comes in between, the device reports after its restart
that the command may or may not have been carried out.

A desired value is a level. It is kept on disk and carried out again after every start,
because what it changed may live in memory only.

Both are fenced: a command by `(epoch, number)`, a desired value by the same, for each path.
Whether the speaker is the assigned edge is the machine's business.
"""

from collections.abc import Mapping
from typing import Any

from twin_runtime.core.desired import feature_of
from twin_runtime.core.effects import Act, Acted
from twin_runtime.core.limits import COMMANDS_OBEYING_MAX, DESIRED_PER_TWIN_MAX
from twin_runtime.core.messages import Command, Desired, FeatureSpec
from twin_runtime.core.shape import accepts

_CUT_OFF = "interrupted by a restart: it may or may not have been carried out"
_TOO_MANY = f"{COMMANDS_OBEYING_MAX} commands are unfinished: wait until one has ended"


class Duties:
    """The duties of one device. Methods return the acts to carry out after the commit."""

    def __init__(self, twin: str, features: Mapping[str, FeatureSpec]) -> None:
        self._twin = twin
        self._features = features
        self.obeyed = (0, 0)
        self._obeying: dict[str, str] = {}  # number: path, as JSON has it
        self._desired: dict[str, dict[str, Any]] = {}

    def row(self) -> dict[str, Any]:
        """All that must be durable."""
        return {"obeyed": self.obeyed, "obeying": self._obeying, "desired": self._desired}

    def restore(self, row: Mapping[str, Any]) -> tuple[list[Act], list[Acted]]:
        """Take a stored row. Returns the levels to set again, and the commands cut off."""
        self.obeyed = (row["obeyed"][0], row["obeyed"][1])
        self._obeying = row["obeying"]
        self._desired = row["desired"]
        levels = [
            Act(self._twin, path, entry["number"], entry["value"])
            for path, entry in self._desired.items()
        ]
        cut_off = [
            Acted(self._twin, path, int(number), "rejected", _CUT_OFF)
            for number, path in self._obeying.items()
        ]
        return levels, cut_off

    def command(self, command: Command, now_s: float) -> Act | Acted | None:
        """Mark a command as obeyed: an act; its end where too many have none yet; None if
        one like it, or a later one, was obeyed."""
        fence = (command.epoch, command.number)
        if fence <= self.obeyed:
            return None
        path = f"commands/{command.kind}"
        self.obeyed = fence
        self._obeying[str(command.number)] = path
        if len(self._obeying) > COMMANDS_OBEYING_MAX:
            return Acted(self._twin, path, command.number, "rejected", _TOO_MANY)
        expires_s = now_s + command.valid_for_s
        return Act(self._twin, path, command.number, command.arguments, expires_s)

    def wish(self, desired: Desired) -> list[Act]:
        """Keep the values that are news. A new owner may number again from an older
        revision, so its epoch counts first."""
        acts: list[Act] = []
        for path, entry in desired.entries.items():
            known = self._desired.get(path, {"epoch": 0, "number": 0})
            if (desired.epoch, entry.number) <= (known["epoch"], known["number"]):
                continue
            wanted = {"epoch": desired.epoch, "number": entry.number, "value": entry.value}
            self._desired[path] = wanted
            acts.append(Act(self._twin, path, entry.number, entry.value))
        while len(self._desired) > DESIRED_PER_TWIN_MAX:
            self._desired.pop(next(iter(self._desired)))
        return acts

    def refuse(self, act: Act) -> str:
        """Why `act` cannot be carried out whatever the source says, or ''."""
        feature = feature_of(act.path)
        if feature is None:
            return "" if act.path.startswith("commands/") else f"{act.path} is not a desired path"
        spec = self._features.get(feature)
        if spec is None or not spec.writable:
            return f"feature {feature!r} is not writable"
        return "" if accepts(spec.type, act.value) else f"{feature!r} takes a {spec.type}"

    def settle(self, acted: Acted) -> bool:
        """An act has ended; whether it was a command that was being obeyed."""
        if self._obeying.get(str(acted.number)) != acted.path:
            return False
        del self._obeying[str(acted.number)]
        return True
