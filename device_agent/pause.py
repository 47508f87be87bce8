"""How long a device was without acknowledgements because its twin moved.

From the last acknowledgement by one edge to the first by another, so it holds what the
directory cannot see: the time between two reports, the way to the device and back.
"""

from twin_runtime.core.effects import Effects


class Pause:
    """Of one device: who has acknowledged last, and when."""

    __slots__ = ("_edge", "_told_s")

    def __init__(self) -> None:
        self._edge = ""
        self._told_s = 0.0

    def told(self, edge: str, now_s: float, fx: Effects) -> None:
        """The assigned edge has acknowledged."""
        if self._edge not in ("", edge):
            fx.observed.append(("move_pause_seconds", now_s - self._told_s))
        self._edge, self._told_s = edge, now_s
