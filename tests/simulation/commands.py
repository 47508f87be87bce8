"""Commands in the name of edges, and whether devices obey only those that they may.

An edge gives one where somebody asks it over HTTP. Here one is given by whoever believes to own
the twin, a deposed owner included, and an act says in its value at which epoch it was asked for.
"""

from collections.abc import Sequence

from device_agent.machine import DEVICE_ROW
from tests.simulation.lineage import Violation
from twin_runtime.core import messages, topics
from twin_runtime.core.effects import Act, Put, Send, Write
from twin_runtime.core.messages import Command

VALID_FOR_S = 3600.0


class Commands:
    """Those that were given, and how far each device has obeyed."""

    def __init__(self) -> None:
        self._given = 0
        self._epochs: dict[str, list[int]] = {}  # that each device knew in its last commit
        self._obeyed: dict[str, tuple[int, int]] = {}

    def give(self, edge: str, twin: str, epoch: int) -> Send:
        """The next one: numbers only grow."""
        self._given += 1
        command = Command(
            edge=edge,
            epoch=epoch,
            number=self._given,
            kind="ring",
            arguments={"epoch": epoch},
            valid_for_s=VALID_FOR_S,
        )
        return Send(topics.down(twin, edge, "command"), messages.encode(command))

    def committed(self, writes: Sequence[Write]) -> None:
        epochs: dict[str, list[int]] = {}
        for write in writes:
            if isinstance(write, Put) and write.kind == DEVICE_ROW:
                epochs.setdefault(write.key, []).append(messages.load(write.value)["route"][1])
        self._epochs |= epochs

    def obeyed(self, act: Act) -> None:
        """A device begins to act: only at an epoch it knew when it heard the command, and never
        again or backwards."""
        fence, last = (act.value["epoch"], act.number), self._obeyed.get(act.twin, (0, 0))
        if fence[0] not in self._epochs[act.twin]:
            raise Violation(f"G4: {act.twin} knows {self._epochs[act.twin]}, and obeys {fence}")
        if fence <= last:
            raise Violation(f"G4: {act.twin} obeys {fence} after {last}")
        self._obeyed[act.twin] = fence

    def disk_lost(self, twin: str) -> None:
        """It knows nothing of what it obeyed."""
        self._obeyed.pop(twin, None)
