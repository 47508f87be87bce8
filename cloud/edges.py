"""The edges: the store of each, what an operator said of it, and how many twins it has.

serving    it may be given twins
draining   its twins move elsewhere, and it is given none
lost       its twins are given to others from their checkpoints, until it says hello
"""

from typing import Any, NamedTuple

from twin_runtime.core import messages
from twin_runtime.core.effects import EdgeState, Effects, Put, Refused, Row
from twin_runtime.core.ids import EdgeId
from twin_runtime.core.orders import Hello

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
        self._former: dict[str, str] = {}  # the store before the present one, if it is known
        self._doubted: dict[str, int] = {}  # the number of a hello with that one
        self._gone: set[str] = set()  # as their statuses say: a hint, and nothing is decided by it

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
        before = self.store_of(edge)
        if before not in (None, store):
            self._former[edge] = before
            self._doubted.pop(edge, None)
        self._keep(edge, Edge(store, state, self.api_of(edge)), fx)

    def seen(self, edge: str, status: str) -> None:
        """What an edge, or the broker for it, said of itself."""
        if status in ("offline", "lost") and edge in self._edges:
            self._gone.add(edge)
        else:
            self._gone.discard(edge)

    def is_there(self, edge: str) -> bool:
        """Whether it is, as far as anybody knows."""
        return edge not in self._gone

    def refusal(self, edge: str) -> Refused | None:
        """Why an edge is to be given no twin now, if it is not."""
        if edge not in self._edges:
            known = ", ".join(sorted(self._edges)) or "none"
            return Refused("unknown_edge", f"no edge {edge} has said hello; known: {known}")
        if (state := self._edges[edge].state) != "serving":
            advice = f"choose another edge, or `diten edge resume {edge}`"
            return Refused("not_serving", f"{edge} is {state}: {advice}")
        if edge in self._gone:
            return Refused("not_serving", f"{edge} is gone: start it, or choose another edge")
        return None

    def doubts(self, edge: str, hello: Hello) -> bool:
        """Whether an edge may have said this before it had its present store, and it comes
        late. One that goes on so, and says nothing else, is believed: the old disk is back."""
        if self._former.get(edge) != hello.store:
            self._doubted.pop(edge, None)
            return False
        return self._doubted.setdefault(edge, hello.number) == hello.number

    def heard(self, edge: str, hello: Hello, fx: Effects) -> None:
        """An edge that is known is there, and says where it serves HTTP, or that it does not."""
        known = self._edges.get(edge)
        if known is not None:
            self._gone.discard(edge)
            self._keep(edge, known._replace(api=hello.api), fx)

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

    def load_of(self, edge: str) -> int:
        """How many twins it has."""
        return self._load.get(edge, 0)

    def serving(self) -> list[str]:
        """The edges that may be given twins: those that are there, or else all of them."""
        serving = [edge for edge, known in self._edges.items() if known.state == "serving"]
        return [edge for edge in serving if self.is_there(edge)] or serving

    def leaving(self) -> list[str]:
        """The edges that their twins are to leave."""
        return [edge for edge, known in self._edges.items() if known.state != "serving"]

    def least_loaded(self) -> EdgeId | None:
        """Of the edges that may be given twins the one with the fewest (ties: the smaller id)."""
        edge = min(self.serving(), key=lambda edge: (self._load[edge], edge), default=None)
        return None if edge is None else EdgeId(edge)

    def listed(self) -> list[dict[str, Any]]:
        """All of them, as they are answered to whoever asks."""
        return [
            {"edge": edge, "state": known.state, "twins": self._load[edge], "api": known.api}
            for edge, known in sorted(self._edges.items())
        ]
