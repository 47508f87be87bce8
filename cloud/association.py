"""Association: every period the cloud lets a policy of [P3] choose an edge for each twin.

What is committed here becomes `Observed`; a job decides (`cloud.decision`: the problem, the
policies and the cost of every experiment); its decision becomes moves, begun like an
operator's, at most `MOVES_AT_ONCE_MAX` at one time. Each decision leaves a receipt in a log:
what was seen, what it costs, what standing still would have cost; and beside it, as soon as
another job has found it, what could not have been beaten.

    live      where devices are and what they have to train on (features `x_m`, `y_m`,
              `samples`), the size of each twin, its edge, where the serving edges are
    assumed   all else of the scenario `walking_site`: budgets, energies, weights, the law
              of utility; a device that announces no samples has the middle of the range

A twin that never reported a position is left alone, and so is one whose edge is draining,
lost, or does not say where it is. While a decision is under way no other begins. Nothing of
it is stored: after a restart the next period decides anew, from where the twins are then.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from cloud.directory import Directory
from twin_runtime.core import messages
from twin_runtime.core.effects import Append, Delete, Effects, Job, JobEnded, Note, Now, Put, Row
from twin_runtime.core.limits import (
    ASSOCIATION_PAIRS_MAX,
    DECISION_S_MIN,
    MOVES_AT_ONCE_MAX,
    SITE_M_MAX,
)
from twin_runtime.core.messages import FeatureState, Place, TwinDocument

DECISIONS = "decision"  # the log
ALL = "all"  # the one key in it
DECISIONS_ROW = "decisions"  # the number of the last receipt
POSITION_ROW = "position"  # of an edge

NEVER = float("inf")


class Device(NamedTuple):
    """What a device said last: where it is, and what it has to train on (None: not said)."""

    x_m: float
    y_m: float
    samples: float | None
    twin_bits: int


class Observed(NamedTuple):
    """What is known when a decision begins. `hosts` are places in `edges`, `old_samples` what
    each device had when it was last decided."""

    edges: tuple[str, ...]
    edge_m: tuple[tuple[float, float], ...]
    twins: tuple[str, ...]
    devices: tuple[Device, ...]
    old_samples: tuple[float, ...]
    hosts: tuple[int, ...]


class Decided(NamedTuple):
    """The edge of each twin, as a place in `edges`; what the policy saw and by which
    specification, as digests; the cost of it, and of leaving all twins where they are."""

    hosts: tuple[int, ...]
    samples: tuple[float, ...]
    spec: str
    observation: str
    cost: float
    cost_if_all_stay: float


class Compared(NamedTuple):
    """What no decision could have gone below: the `optimum` itself, or a `bound` on it."""

    kind: str
    cost: float


Decide = Callable[[Observed, str, int], Decided]
Compare = Callable[[Observed], Compared]


class Association:
    """Decides every `period_s` by the policy of this name; `decide` and `compare` are jobs."""

    def __init__(self, policy: str, period_s: float, decide: Decide, compare: Compare) -> None:
        self.newest = 0
        self._policy = policy
        self._period_s = period_s
        self._decide = decide
        self._compare = compare
        self._due_s = NEVER
        self._devices: dict[str, Device] = {}
        self._edges: dict[str, tuple[float, float]] = {}
        self._old_samples: dict[str, float] = {}
        self._pending: tuple[Observed, float] | None = None  # and since when
        self._left_out = 0
        self._decision = 0  # the number of the last one's receipt
        self._wanted: dict[str, tuple[str, str]] = {}  # from, to
        self._moving: set[str] = set()

    def restore(self, rows: Iterable[Row]) -> None:
        for row in rows:
            if row.kind == POSITION_ROW:
                place = messages.load(row.value)
                self._edges[row.key] = (place["x_m"], place["y_m"])
            elif row.kind == DECISIONS_ROW:
                self.newest = int(row.value)

    # --- what is seen -------------------------------------------------------------------

    def edge_at(self, edge: str, position: Place | None, fx: Effects) -> None:
        """An edge said where it is, or that it does not know (any more)."""
        place = (position.x_m, position.y_m) if position is not None else None
        if place is None or not _on_site(place):
            if self._edges.pop(edge, None):
                fx.writes.append(Delete(POSITION_ROW, edge))
        elif self._edges.get(edge) != place:
            self._edges[edge] = place
            row = messages.dump({"x_m": place[0], "y_m": place[1]})
            fx.writes.append(Put(POSITION_ROW, edge, row))

    def heard(self, document: TwinDocument, document_bytes: int) -> None:
        """A twin's newest document, which was shown."""
        x_m, y_m, samples = (
            _number(document.features.get(name)) for name in ("x_m", "y_m", "samples")
        )
        if x_m is not None and y_m is not None and _on_site((x_m, y_m)):
            known = samples if samples is not None and samples >= 0 else None
            self._devices[document.twin] = Device(x_m, y_m, known, 8 * document_bytes)

    # --- what is decided ----------------------------------------------------------------

    def settle(self, directory: Directory, now: Now, fx: Effects, *, connected: bool) -> None:
        """Decide when it is time, and go on with the moves decided."""
        if self._due_s == NEVER:
            self._due_s = now.monotonic_s + self._period_s
        if now.monotonic_s >= self._due_s:
            self._due_s = now.monotonic_s + self._period_s
            if connected and self._pending is None:
                self._begin(directory, now, fx)
        self._move_on(directory, now, fx)
        fx.wake_by(self._due_s - now.monotonic_s)

    def ended(self, ended: JobEnded, now: Now, fx: Effects) -> None:
        """A job is done, or is not going to be."""
        match ended.outcome:
            case Decided() as decided:
                self._decided(decided, now, fx)
            case Compared(kind, cost):
                self._append("compared", now, fx, of=self._decision, reference=kind, cost=cost)
            case _:
                self._failed(ended, now, fx)

    def _begin(self, directory: Directory, now: Now, fx: Effects) -> None:
        observed = self._observe(directory)
        if observed is not None:
            self._pending = (observed, now.monotonic_s)
            arguments = (observed, self._policy, self.newest + 1)
            fx.jobs.append(Job("decide", self._decide, arguments, self._deadline_s))

    @property
    def _deadline_s(self) -> float:
        return max(self._period_s, DECISION_S_MIN)

    def _observe(self, directory: Directory) -> Observed | None:
        """All that takes part; None where there is nothing to choose."""
        edges = [edge for edge in directory.edges.serving() if edge in self._edges]
        places = {edge: number for number, edge in enumerate(edges)}
        hosts: dict[str, int] = {}
        for twin in self._devices:
            placed = directory.placements.get(twin)
            host = placed and (placed.target or placed.owner)
            if host in places:
                hosts[twin] = places[host]
        if len(edges) < 2 or not hosts:  # noqa: PLR2004 - one edge is no choice
            return None
        twins = tuple(hosts)[: ASSOCIATION_PAIRS_MAX // len(edges)]
        self._left_out = len(hosts) - len(twins)
        return Observed(
            tuple(edges),
            tuple(self._edges[edge] for edge in edges),
            twins,
            tuple(self._devices[twin] for twin in twins),
            tuple(self._old_samples.get(twin, 0.0) for twin in twins),
            tuple(hosts[twin] for twin in twins),
        )

    def _decided(self, decided: Decided, now: Now, fx: Effects) -> None:
        assert self._pending is not None, "a decision is pending until it has ended"
        (observed, since_s), self._pending = self._pending, None
        edges = observed.edges
        self._wanted = {
            twin: (edges[host], edges[chosen])
            for twin, host, chosen in zip(
                observed.twins, observed.hosts, decided.hosts, strict=True
            )
            if chosen != host
        }
        self._old_samples = dict(zip(observed.twins, decided.samples, strict=True))
        fx.count("decisions_total", "decided")
        self._append(
            "decided",
            now,
            fx,
            policy=self._policy,
            spec=decided.spec,
            observation=decided.observation,
            twins=len(observed.twins),
            left_out=self._left_out,
            edges=edges,
            took_s=round(now.monotonic_s - since_s, 4),
            cost=decided.cost,
            cost_if_all_stay=decided.cost_if_all_stay,
            moves=[
                {"twin": twin, "from": source, "to": target}
                for twin, (source, target) in self._wanted.items()
            ],
        )
        self._decision = self.newest
        fx.jobs.append(Job("compare", self._compare, (observed,), self._deadline_s))

    def _failed(self, ended: JobEnded, now: Now, fx: Effects) -> None:
        """Without a decision, nobody moves; without a comparison, the receipt has none."""
        if ended.name == "decide":
            self._pending = None
            fx.count("decisions_total", "failed")
            text = f"no decision by {self._policy} ({ended.failure}): no twin moves for it"
            fx.notes.append(Note("warning", text))
        self._append("failed", now, fx, job=ended.name, reason=ended.failure)

    def _append(self, kind: str, now: Now, fx: Effects, **about: object) -> None:
        self.newest += 1
        receipt = {"number": self.newest, "at_ms": now.wall_ms, "kind": kind, **about}
        fx.writes.append(Append(DECISIONS, ALL, self.newest, messages.dump(receipt)))
        fx.writes.append(Put(DECISIONS_ROW, "newest", b"%d" % self.newest))

    # --- what is done about it ----------------------------------------------------------

    def _move_on(self, directory: Directory, now: Now, fx: Effects) -> None:
        """Begin moves that were decided, a few at a time, where the twin still is as it was."""
        placements = directory.placements
        self._moving = {
            twin
            for twin in self._moving
            if placements[twin].phase != "owned" or twin in directory.precopy
        }
        while self._wanted and len(self._moving) < MOVES_AT_ONCE_MAX:
            twin, (source, target) = self._wanted.popitem()
            placed = placements[twin]
            is_there = placed.phase == "owned" and placed.owner == source
            if is_there and twin not in directory.claims:
                refused = directory.move(twin, target, now, fx)
                if refused is None:
                    self._moving.add(twin)


def _number(feature: FeatureState | None) -> float | None:
    value = None if feature is None else feature.value
    return None if isinstance(value, bool | str | None) else float(value)


def _on_site(place: tuple[float, float]) -> bool:
    return max(map(abs, place)) <= SITE_M_MAX
