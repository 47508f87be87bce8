"""What goes into a machine and what comes out: events and effects.

A machine never waits, stores or sends. It turns events into `Effects`, and the shell
carries them out in one fixed order: the writes are committed first, and only then
are messages sent, acts and jobs begun, metrics counted and the committed view shown. All
that a crash can do is to cut this order short, so a restarted machine must be able to
say everything again from its rows alone (level-triggered, never remembered).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from twin_runtime.core import topics
from twin_runtime.core.errors import MalformedMessage
from twin_runtime.core.messages import BlobRef

_TOPIC_CHARS_MAX = 160  # of a topic that is logged: ours end below, a stranger's at 64 KiB


class Now(NamedTuple):
    """The two clocks: `monotonic_s` for waiting, `wall_ms` for labels. Never mixed."""

    monotonic_s: float
    wall_ms: int


# --- events -------------------------------------------------------------------------


class Message(NamedTuple):
    """One message from the bus; `payload` is not yet believed."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Connected:
    """The bus is up and every subscription is granted: repeat your levels."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The bus is gone; what was in flight may be lost."""


@dataclass(frozen=True, slots=True)
class Stopping:
    """The process was asked to stop: say goodbye. A stop is a crash that was announced."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What a source measured on one device.

    `features` maps names to JSON scalars; `None` says the sensor did not answer.
    `live` values are sent at once, latest wins, and are never stored.
    """

    twin: str
    observed_ms: int
    features: Mapping[str, Any]
    live: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Acted:
    """What became of an `Act`: `outcome` is `done`, `rejected` or `expired`, with a reason."""

    twin: str
    path: str
    number: int
    outcome: str
    reason: str = ""


EdgeState = Literal["serving", "draining", "lost"]


class Move(NamedTuple):
    """A request: let `target` own the twin. Two with the same `key` are one."""

    twin: str
    target: str
    key: str = ""


class SetEdge(NamedTuple):
    """A request: let an edge be `serving`, `draining` or `lost`, by an operator's word."""

    edge: str
    state: EdgeState


class ListEdges(NamedTuple):
    """A request: which edges there are, and how they are."""


class ListTwins(NamedTuple):
    """A request: at most `limit` twins whose place or presence changed after change `after`."""

    after: int
    limit: int


class NewestEvent(NamedTuple):
    """A request: the number of the last entry in the log of events."""


class WhoOwns(NamedTuple):
    """A request: which edge owns a twin, at which epoch, and where the twin is going."""

    twin: str


class NewestDecision(NamedTuple):
    """A request: the number of the last receipt of the association."""


class Attach(NamedTuple):
    """A request: let a twin refer to a blob by `name`, or to none by that name (None); answered
    with the twin as readers see it."""

    twin: str
    name: str
    blob: BlobRef | None


class Guard(NamedTuple):
    """What must hold in the commit of a write, or it is refused: If-Match and If-None-Match as
    HTTP has them ('': not sent), and whether a condition `holds` of the thing."""

    if_match: str = ""
    if_none_match: str = ""
    holds: Callable[[Mapping[str, Any]], bool] | None = None


class Edit(NamedTuple):
    """A request: let what people may write of a thing become `value` at `path`: replaced (`put`),
    merged with it (`patch`, RFC 7396), or removed. What is wanted of the device by it expires
    after `valid_for_s`, if that is given. `site` is the namespace of the thing's id."""

    twin: str
    method: Literal["put", "patch", "delete"]
    path: tuple[str, ...]
    value: Any = None
    guard: Guard = Guard()
    site: str = ""
    valid_for_s: float | None = None


class Edited(NamedTuple):
    """What an edit made: the twin's state is known by `epoch` and `revision`, the part by its
    entity `tag`; `is_new` where nothing stood before. `document` is the twin as readers see it."""

    epoch: int
    revision: int
    tag: str
    document: bytes
    is_new: bool = False


class AwaitStable(NamedTuple):
    """A request: answer when a checkpoint of this revision is on the cloud's disk."""

    twin: str
    epoch: int
    revision: int


class Instruct(NamedTuple):
    """A request: let the device obey a command at most once, not after `valid_for_s`; answered
    with its `messages.Outcome`."""

    twin: str
    kind: str
    arguments: Mapping[str, Any]
    valid_for_s: float


class Learn(NamedTuple):
    """A request to the cloud: show what a twin's owner answered a write with (its document), so
    that whoever wrote reads it; refused where somebody else owns the twin by now."""

    twin: str
    document: bytes


class CreateTwin(NamedTuple):
    """A request: let there be a twin for a device that will come."""

    twin: str


Request = (
    Attach | Edit | AwaitStable | Instruct | CreateTwin | Learn
    | Move | SetEdge | WhoOwns | ListEdges | ListTwins | NewestEvent | NewestDecision
)  # fmt: skip


class Asked(NamedTuple):
    """Somebody asks for something, and waits for the `Answer` with the same number."""

    number: int
    request: Request


@dataclass(frozen=True, slots=True)
class JobEnded:
    """What became of a `Job`: its `outcome`, or the reason why there is none."""

    name: str
    outcome: Any = None
    failure: str = ""


class BlobComplete(NamedTuple):
    """A blob that was to be fetched is here, intact; `copied_bytes` of it came for that."""

    sha256: str
    copied_bytes: int


class BlobFailed(NamedTuple):
    """A blob did not come; `reason` is `lacking`, `silent`, `digest`, `full`, `disk` or `busy`;
    or it was here and is `damaged`."""

    sha256: str
    reason: str


Happened = Acted | JobEnded | BlobComplete | BlobFailed  # each answers an effect
Event = Message | Connected | Disconnected | Stopping | Sample | Asked | Happened


# --- effects ------------------------------------------------------------------------


class Refused(NamedTuple):
    """Why something that was asked for is not done."""

    code: str
    message: str


class Answer(NamedTuple):
    """What became of a request, said once it is durable: it is done or under way, with what
    was asked for as the `value`, or refused."""

    number: int
    refused: Refused | None = None
    value: Any = None


class Put(NamedTuple):
    """Set the row `(kind, key)`."""

    kind: str
    key: str
    value: bytes


class Delete(NamedTuple):
    """Remove the row `(kind, key)`; removing what is not there is fine."""

    kind: str
    key: str


class Append(NamedTuple):
    """Add an entry to a bounded log. `(key, number)` is unique within `log`."""

    log: str
    key: str
    number: int
    value: bytes


Write = Put | Delete | Append


class Send(NamedTuple):
    """Publish `payload` on `topic` after the commit; it may be lost. `again`: it says what those
    before it on its topic said, as far as that matters, so those that have not left need not."""

    topic: str
    payload: bytes
    retain: bool = False
    again: bool = False


@dataclass(frozen=True, slots=True)
class Act:
    """Do something in the device's world after the commit; answered by `Acted`.
    It must not begin after `expires_s` (monotonic; None: a level, always in time)."""

    twin: str
    path: str
    number: int
    value: Any
    expires_s: float | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """Work that would hold up a batch: the pure function `work` of `arguments`, begun after
    the commit, outside the loop; answered by `JobEnded`, at `deadline_s` from now at the
    latest. It is forgotten by a restart, so a machine must be able to ask again."""

    name: str
    work: Callable[..., Any]
    arguments: tuple[Any, ...]
    deadline_s: float


class FetchBlob(NamedTuple):
    """Get a blob from the first of its `sources` that has it; answered by `BlobComplete` or
    `BlobFailed`. Asking again while it is under way does nothing."""

    sha256: str
    bytes: int
    sources: tuple[str, ...]


class Note(NamedTuple):
    """A line for the log: `level` is `info`, `warning` or `error`; the rest is what it is about,
    as far as that is known."""

    level: str
    text: str
    twin: str = ""
    edge: str = ""
    epoch: int = 0


class Row(NamedTuple):
    """A stored row as `Store.load` yields it."""

    kind: str
    key: str
    value: bytes


@dataclass(slots=True)
class Effects:
    """What a machine wants done.

    `timed` names the metric under which the shell observes how long this batch took, from
    its taking to its last send. `wake_in_s` is when it wants to be called again at the
    latest (None: only for an event); `hurry` that the next event is not to linger for more,
    because a device is paused until it is answered.
    """

    writes: list[Write] = field(default_factory=list)
    sends: list[Send] = field(default_factory=list)
    acts: list[Act] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    fetches: list[FetchBlob] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    shown: list[tuple[str, Any]] = field(default_factory=list)
    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    observed: list[tuple[str, float]] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    timed: str | None = None
    wake_in_s: float | None = None
    hurry: bool = False
    stop: str | None = None

    def count(self, metric: str, label: str = "", by: int = 1) -> None:
        """Add `by` to a counter; `label` is the value of its one label, if it has one."""
        key = (metric, label)
        self.counts[key] = self.counts.get(key, 0) + by

    def refuse(self, topic: str, error: MalformedMessage) -> None:
        """Count a message that cannot be used, and say why: of a batch only the first for
        each code, since a flood of lines holds up whoever writes them."""
        if ("rejects_total", error.code) not in self.counts:
            where, about = error.pointer or "the whole message", topics.named(topic)
            text = f"refused {topic[:_TOPIC_CHARS_MAX]}: {error.message} at {where} ({error.code})"
            self.notes.append(Note("warning", text, about.twin, about.edge))
        self.count("rejects_total", error.code)

    def wake_by(self, delay_s: float) -> None:
        """Ask to be woken in `delay_s` seconds at the latest."""
        delay_s = max(delay_s, 0.0)
        if self.wake_in_s is None or delay_s < self.wake_in_s:
            self.wake_in_s = delay_s


class Machine(Protocol):
    """A service as a value: rows and events in, effects out, no waiting."""

    def restore(self, rows: Iterable[Row], now: Now) -> Effects:
        """Take the stored rows (once, first); say what must be said after a restart."""
        ...

    def handle(self, events: Sequence[Event], now: Now) -> Effects:
        """Fold a batch of events (empty when woken by time) into effects."""
        ...
