"""Everything that crosses a wire, as frozen pydantic models.

Every payload has a version `v`; receivers ignore fields they do not know. `parse` is the
one way in: it gives a typed message or raises `MalformedMessage`, nothing else. `encode`
is the one way out.

Reports are an exception in form, not in content: a device keeps each `StateReport` as
the JSON bytes it stored, and `encode_window` joins those bytes, so that what was
committed, what is sent and what is sent again are the same bytes.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Annotated, Any, Final, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, FailFast, Field, TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from twin_runtime.core.attributes import Attributes
from twin_runtime.core.errors import MalformedMessage
from twin_runtime.core.ids import EDGE_PATTERN, FEATURE_PATTERN, SHA256_PATTERN, TWIN_PATTERN
from twin_runtime.core.limits import (
    BLOB_BYTES_MAX,
    BLOB_WINDOW_CHUNKS,
    BLOBS_PER_TWIN_MAX,
    CHUNK_BYTES_MAX,
    COMMAND_VALID_S_MAX,
    DESIRED_PER_TWIN_MAX,
    FEATURES_MAX,
    PACKET_BYTES_MAX,
    STRING_CHARS_MAX,
    WINDOW_REPORTS_MAX,
)
from twin_runtime.core.refusals import refusal_of
from twin_runtime.core.scalar import INTEGER_MAX, Scalar

VERSION: Final = 1

FeatureName = Annotated[str, Field(pattern=FEATURE_PATTERN)]
TwinName = Annotated[str, Field(pattern=TWIN_PATTERN)]
EdgeName = Annotated[str, Field(pattern=EDGE_PATTERN)]
Position53 = Annotated[int, Field(ge=0, le=INTEGER_MAX)]
Pair = tuple[Position53, Position53]
Epoch = Annotated[int, Field(ge=1, le=INTEGER_MAX)]
WallMs = Annotated[int, Field(ge=-INTEGER_MAX, le=INTEGER_MAX)]
ShortText = Annotated[str, Field(max_length=STRING_CHARS_MAX)]
T = TypeVar("T")
# One finding refuses a packet; to list all that is wrong, with the values, pydantic took four
# hundred times what was sent.
ByFeature = Annotated[dict[FeatureName, T], FailFast(), Field(max_length=FEATURES_MAX)]
ByPath = Annotated[dict[ShortText, T], FailFast(), Field(max_length=DESIRED_PER_TWIN_MAX)]


class Wire(BaseModel):
    """Base of what crosses a wire: immutable, finite numbers only, tolerant of more."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, defer_build=True)


class Versioned(Wire):
    v: Literal[1] = VERSION


class Heard(Versioned):
    """Base of what a device hears: without the parser's table of strings seen before, which
    would take a quarter of a megabyte of a board for a few short messages."""

    model_config = ConfigDict(cache_strings="none")


# --- what a device says of itself -----------------------------------------------------


class FeatureSpec(Wire):
    """One feature: its JSON type, its unit (UCUM where there is one), what may be done
    with it. `live` features are sent at once and never stored."""

    type: Literal["number", "integer", "boolean", "string"]
    unit: Annotated[str, Field(max_length=32)] = ""
    title: Annotated[str, Field(max_length=128)] = ""
    writable: bool = False
    live: bool = False


class Place(Wire):
    """Where a device is, in metres, in the site's own frame."""

    x_m: float
    y_m: float
    z_m: float = 0.0


class Description(Wire):
    """What a device is: sent with the first report of a session and on every change."""

    title: Annotated[str, Field(max_length=128)] = ""
    features: ByFeature[FeatureSpec]
    position: Place | None = None


class Outcome(Wire):
    """What became of a desired entry or a command, as the device reports it."""

    number: Position53
    outcome: Literal["accepted", "rejected", "done", "expired"]
    reason: ShortText = ""


class StateReport(Wire):
    """One report: the features that were read, under the outbox position `seq`.

    Feature values are checked against the description by `twin.apply_window`, which
    knows it; here they are only known to be JSON.
    """

    seq: Annotated[int, Field(ge=1, le=INTEGER_MAX)]
    observed_ms: WallMs
    features: dict[str, Any] = {}
    description: Description | None = None
    obeyed: Pair | None = None
    outcomes: ByPath[Outcome] = Field(default_factory=dict)


class Window(Versioned):
    """`up/{edge}/{twin}/report`: consecutive reports of one session, sent to the owner of
    `epoch`: what was on its way to an earlier one is not for the next."""

    epoch: Epoch
    session: Annotated[int, Field(ge=1, le=INTEGER_MAX)]
    reports: Annotated[
        tuple[StateReport, ...], FailFast(), Field(min_length=1, max_length=WINDOW_REPORTS_MAX)
    ]


class Live(Versioned):
    """`up/{edge}/{twin}/live`: the latest values of live features."""

    observed_ms: WallMs
    features: ByFeature[Scalar]


class Status(Versioned):
    """`status/{id}`, retained and the will: a hint for people, never evidence.

    `epoch` is the assignment the speaker knows (0: none). `via` is the process whose
    connection carries it: when that one is lost, so is this.
    """

    state: Literal["online", "offline", "lost", "sleeping"]
    session: Position53 = 0
    ts_ms: WallMs = 0
    epoch: Position53 = 0
    via: Annotated[str, Field(max_length=64)] = ""
    next_wake_s: float | None = None
    counters: Annotated[dict[ShortText, Position53], FailFast(), Field(max_length=32)] = {}


# --- what an edge says to a device ------------------------------------------------------


class ReportAck(Heard):
    """`down/{twin}/{edge}/ack`: everything up to `applied` is durable at the edge,
    everything up to `stable` is in the cloud's checkpoint. Cumulative. `former` is the last
    position of the session before."""

    edge: EdgeName
    epoch: Epoch
    session: Position53
    applied: Position53
    stable: Position53
    former: Pair | None = None


class Refusal(Heard):
    """`down/{twin}/{edge}/error`: an input that was refused, and why."""

    code: ShortText
    message: ShortText
    pointer: ShortText = ""


class Command(Heard):
    """`down/{twin}/{edge}/command`: a momentary order, obeyed at most once and only in time."""

    edge: EdgeName
    epoch: Epoch
    number: Annotated[int, Field(ge=1, le=INTEGER_MAX)]
    kind: FeatureName
    arguments: ByFeature[Scalar] = {}
    valid_for_s: Annotated[float, Field(gt=0, le=COMMAND_VALID_S_MAX)]


class DesiredValue(Wire):
    """A wanted value; `number` is the revision that set it, so a later one is larger."""

    number: Annotated[int, Field(ge=1, le=INTEGER_MAX)]
    value: Scalar = None


class Desired(Heard):
    """`down/{twin}/{edge}/desired`: what is wanted and not yet reported, by path
    (`features/f/value`)."""

    edge: EdgeName
    epoch: Epoch
    entries: ByPath[DesiredValue]


# --- a twin at rest and in motion -------------------------------------------------------


class FeatureState(Wire):
    """A feature's last usable value. `quality`: `good`; `uncertain` (the sensor did not
    answer since; OPC UA's 'last usable value'); `live` (not stored)."""

    value: Scalar = None
    observed_ms: WallMs
    quality: Literal["good", "uncertain", "live"] = "good"


class DesiredState(DesiredValue):
    """A wish and what became of it; one that is `valid_for_s` expires where it has not ended by
    then, counted anew by each owner and after each restart. `wanted_ms` is when somebody
    wrote it, by the owner's clock then."""

    wanted_ms: WallMs = 0
    valid_for_s: Annotated[
        Annotated[float, Field(gt=0, le=COMMAND_VALID_S_MAX)] | None,
        Field(exclude_if=lambda limit: limit is None),
    ] = None
    state: Literal["pending", "accepted", "rejected", "expired", "done"] = "pending"
    reason: ShortText = ""


class BlobRef(Wire):
    """What is too large for a twin's row, by the SHA-256 of its bytes, and how many they are."""

    sha256: Annotated[str, Field(pattern=SHA256_PATTERN)]
    bytes: Annotated[int, Field(ge=1, le=BLOB_BYTES_MAX)]


BlobRefs = Annotated[dict[FeatureName, BlobRef], FailFast(), Field(max_length=BLOBS_PER_TWIN_MAX)]


def modified_wall_ms(reported_wall_ms: int, written_wall_ms: int) -> int:
    """When a twin's state changed last: a device reported, or somebody wrote (0: never)."""
    return max(reported_wall_ms, written_wall_ms) if written_wall_ms else reported_wall_ms


class Snapshot(Wire):
    """A whole twin as it travels and as it is stored: an edge's row, a checkpoint, what an
    activation brings."""

    twin: TwinName
    epoch: Epoch
    session: Position53 = 0
    last_seq: Position53 = 0
    former: Pair | None = None
    revision: Position53 = 0
    reported_wall_ms: WallMs = 0
    written_wall_ms: WallMs = 0
    attributes: Attributes = {}
    description: Description | None = None
    features: ByFeature[FeatureState] = {}
    desired: ByPath[DesiredState] = {}
    blobs: BlobRefs = {}

    @property
    def modified_wall_ms(self) -> int:
        """When its state changed last."""
        return modified_wall_ms(self.reported_wall_ms, self.written_wall_ms)


class TwinDocument(Versioned):
    """`twin/{twin}`, retained: the committed twin, for anyone. The largest
    `(epoch, revision)` is the newest."""

    twin: TwinName
    epoch: Epoch
    revision: Position53
    reported_wall_ms: WallMs = 0
    written_wall_ms: WallMs = 0
    attributes: Attributes = {}
    description: Description | None = None
    features: ByFeature[FeatureState] = {}
    desired: ByPath[DesiredState] = {}
    blobs: BlobRefs = {}

    @property
    def modified_wall_ms(self) -> int:
        """When its state changed last."""
        return modified_wall_ms(self.reported_wall_ms, self.written_wall_ms)


# --- a blob in motion -------------------------------------------------------------------

ChunkNumber = Annotated[int, Field(ge=0, lt=BLOB_BYTES_MAX // CHUNK_BYTES_MAX)]


class Want(Versioned):
    """`blob/{to}/{from}/{sha256}/want`: send these chunks."""

    chunks: Annotated[
        tuple[ChunkNumber, ...], FailFast(), Field(min_length=1, max_length=BLOB_WINDOW_CHUNKS)
    ]


class Lack(Versioned):
    """`blob/{to}/{from}/{sha256}/lack`: it is not here."""


# --- what the cloud says to a device ----------------------------------------------------


class Assignment(Heard):
    """`assign/{twin}`, retained: whom the device reports to. The largest epoch wins."""

    edge: EdgeName
    epoch: Epoch


class Parser(Generic[T]):
    """What turns bytes into one kind of message, a model or one of several. Validators are
    built when the first such message comes: a device hears five of the thirteen kinds."""

    def __init__(self, kind: Any) -> None:
        self._kind = kind

    @cached_property
    def read(self) -> Callable[[bytes], T]:
        """Pydantic's own for this kind. A model has one already, and only that one heeds the
        model's configuration."""
        if isinstance(self._kind, type) and issubclass(self._kind, BaseModel):
            return self._kind.__pydantic_validator__.validate_json
        return TypeAdapter(self._kind).validate_json


WINDOW = Parser[Window](Window)
LIVE = Parser[Live](Live)
DESCRIPTION = Parser[Description](Description)
STATUS = Parser[Status](Status)
ACK = Parser[ReportAck](ReportAck)
REFUSAL = Parser[Refusal](Refusal)
COMMAND = Parser[Command](Command)
DESIRED = Parser[Desired](Desired)
ASSIGNMENT = Parser[Assignment](Assignment)
SNAPSHOT = Parser[Snapshot](Snapshot)
DOCUMENT = Parser[TwinDocument](TwinDocument)
REPORT = Parser[StateReport](StateReport)
WANT = Parser[Want](Want)


def parse(parser: Parser[T], payload: bytes) -> T:
    """Return the typed message in `payload`, or raise `MalformedMessage` with a code of
    `too_large`, `not_json`, `unknown_version`, `unknown_kind`, `unknown_type`, `not_finite`
    or `bad_value`."""
    if len(payload) > PACKET_BYTES_MAX:
        raise MalformedMessage(
            "too_large", f"{len(payload)} bytes; a payload is at most {PACKET_BYTES_MAX}"
        )
    try:
        return parser.read(payload)
    except ValidationError as error:
        raise refusal_of(error) from None


def encode(message: Wire) -> bytes:
    """Return `message` as JSON; fields at their default are sent too, absent ones are not."""
    return message.__pydantic_serializer__.to_json(message, exclude_none=True)


def encode_received(message: Wire) -> bytes:
    """Return a parsed message as JSON again: only what was sent is in it."""
    return message.__pydantic_serializer__.to_json(message, exclude_unset=True)


def encode_window(epoch: int, session: int, reports: Iterable[bytes]) -> bytes:
    """Return a `Window` made of stored report rows, byte for byte."""
    head = b'{"v":1,"epoch":%d,"session":%d,"reports":[' % (epoch, session)
    return b"%b%b]}" % (head, b",".join(reports))


def encode_ack(
    edge: str, epoch: int, session: int, applied: int, stable: int, former: Pair | None = None
) -> bytes:
    """Return a `ReportAck`, at a fifth of the price: an edge says one per twin and batch."""
    ack = b'{"v":1,"edge":"%b","epoch":%d,"session":%d,"applied":%d,"stable":%d%b}'
    end = b',"former":[%d,%d]' % former if former else b""
    return ack % (edge.encode(), epoch, session, applied, stable, end)


def dump(value: Mapping[str, Any]) -> bytes:
    """Plain JSON of values already known to be finite and of JSON's types; what a model among
    them lacks is left out, a value that is null is not."""
    return to_json(value, exclude_none=True)


def load(payload: bytes) -> Any:
    """The inverse of `dump`, for rows we wrote ourselves; see `Heard` for the strings."""
    return from_json(payload, cache_strings="none")
