"""The edges: the store of each, what an operator said of it, and how many twins it has.

serving    it may be given twins
draining   its twins move elsewhere, and it is given none
lost       its twins are given to others from their checkpoints, until it says hello
"""

from typing import Any, NamedTuple

from twin_runtime.core import messages
from twin_runtime.core.effects import EdgeState, Effects, Put, Row
from twin_runtime.core.ids import EdgeId

EDGE_ROW = "edge"


class Edge(NamedTuple):
    """One edge: the id of the store that its orders name, its state, and where it serves HTTP."""

    store: str
    state: EdgeState = "serving"
    api: str | None = None


class Edges:
    """All edges that ever said hello."""

    def __init__(self) -> None:
        self._edges: dict[str, Edge] = {}
        self._load: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._edges)

    def __contains__(self, edge: str) -> bool:
        return edge in self._edges

    def restore(self, row: Row) -> None:
        self._edges[row.key] = Edge(**messages.load(row.value))
        self._load.setdefault(row.key, 0)

    def store_of(self, edge: str) -> str | None:
        """The id of the store it has; None: it never said hello."""
        known = self._edges.get(edge)
        return known.store if known else None

    def state_of(self, edge: str) -> EdgeState | None:
        known = self._edges.get(edge)
        return known.state if known else None

    def set(self, edge: str, store: str, state: EdgeState, fx: Effects) -> None:
        """Take on an edge, or change what is known of it."""
        self._keep(edge, Edge(store, state, self.api_of(edge)), fx)

    def reach(self, edge: str, api: str | None, fx: Effects) -> None:
        """An edge that is known says where it serves HTTP, or that it does not."""
        known = self._edges.get(edge)
        if known is not None:
            self._keep(edge, known._replace(api=api), fx)

    def api_of(self, edge: str) -> str | None:
        """Where it serves HTTP, if it has said so."""
        known = self._edges.get(edge)
        return known.api if known else None

    def _keep(self, edge: str, changed: Edge, fx: Effects) -> None:
        if self._edges.get(edge) != changed:
            self._edges[edge] = changed
            self._load.setdefault(edge, 0)
            row = {name: value for name, value in changed._asdict().items() if value is not None}
            fx.writes.append(Put(EDGE_ROW, edge, messages.dump(row)))

    def count(self, edge: str, by: int) -> None:
        """It has so many twins more."""
        self._load[edge] = self._load.get(edge, 0) + by

    def serving(self) -> list[str]:
        """The edges that may be given twins."""
        return [edge for edge, known in self._edges.items() if known.state == "serving"]

    def leaving(self) -> list[str]:
        """The edges that their twins are to leave."""
        return [edge for edge, known in self._edges.items() if known.state != "serving"]

    def least_loaded(self, but: str = "") -> EdgeId | None:
        """The serving edge with the fewest twins (ties: the smaller id), if there is one."""
        candidates = [edge for edge in self.serving() if edge != but]
        if not candidates:
            return None
        return EdgeId(min(candidates, key=lambda edge: (self._load[edge], edge)))

    def listed(self) -> list[dict[str, Any]]:
        """All of them, as they are answered to whoever asks."""
        return [
            {"edge": edge, "state": known.state, "twins": self._load[edge], "api": known.api}
            for edge, known in sorted(self._edges.items())
        ]
