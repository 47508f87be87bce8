"""What the cloud orders an edge to do, and what edges tell the cloud.

Every order names the store of the edge it is for: an edge that has lost its disk is not the
one that was meant. All of it is cumulative or versioned, so that hearing something twice,
late or never is harmless.

What carries whole twins (an activation, a checkpoint, what is handed over) has a CRC-32 of
all the rest in front: a damaged one is refused, and comes again as if it had been lost. A
damaged report is the device's to send again, and a damaged mark at worst a later one; but
what is in a snapshot is believed for good.
"""

import re
from typing import Annotated, Final, Literal, TypeVar
from zlib import crc32

from pydantic import FailFast, Field

from twin_runtime.core import messages
from twin_runtime.core.errors import MalformedMessage
from twin_runtime.core.limits import BLOBS_PER_TWIN_MAX, STRING_CHARS_MAX
from twin_runtime.core.messages import (
    BlobRef,
    EdgeName,
    Epoch,
    Parser,
    Place,
    Position53,
    ShortText,
    Snapshot,
    TwinName,
    Versioned,
    Wire,
)

# Where an edge serves HTTP, as others reach it.
ApiAddress = Annotated[str, Field(max_length=STRING_CHARS_MAX, pattern=r"^https?://[!-~]+$")]


class Activate(Versioned):
    """`order/{edge}`: own this twin at this epoch, from this snapshot (none: a new twin); what
    blobs it lacks the `source` may have, who owned it before."""

    kind: Literal["activate"] = "activate"
    store: ShortText
    twin: TwinName
    epoch: Epoch
    snapshot: Snapshot | None = None
    source: EdgeName | None = None


class Fetch(Versioned):
    """`order/{edge}`: get these blobs of a twin that is about to move here, from its owner."""

    kind: Literal["fetch"] = "fetch"
    store: ShortText
    twin: TwinName
    blobs: Annotated[
        tuple[BlobRef, ...], FailFast(), Field(min_length=1, max_length=BLOBS_PER_TWIN_MAX)
    ]
    source: EdgeName


class Seal(Versioned):
    """`order/{edge}`: apply nothing more to this twin at this epoch, and hand it over."""

    kind: Literal["seal"] = "seal"
    store: ShortText
    twin: TwinName
    epoch: Epoch


class Release(Versioned):
    """`order/{edge}`: you no longer own this twin below this epoch; forget it, and send whoever
    asks for it to the API of its owner."""

    kind: Literal["release"] = "release"
    store: ShortText
    twin: TwinName
    epoch: Epoch
    api: ApiAddress | None = None


class StableMark(Wire):
    twin: TwinName
    epoch: Epoch
    session: Position53
    seq: Position53
    revision: Position53


class Stable(Versioned):
    """`order/{edge}`: the cloud has stored checkpoints up to these positions."""

    kind: Literal["stable"] = "stable"
    marks: Annotated[tuple[StableMark, ...], FailFast()]


class Hello(Versioned):
    """`event/{edge}`: this edge is up, with this store, at this place of the site if it knows,
    and serves HTTP at this address if others can reach it; the `number`-th of its process."""

    kind: Literal["hello"] = "hello"
    store: ShortText
    number: Position53 = 0
    position: Place | None = None
    api: ApiAddress | None = None


class Activated(Versioned):
    """`event/{edge}`: the activation is durable here."""

    kind: Literal["activated"] = "activated"
    twin: TwinName
    epoch: Epoch


class Fetched(Versioned):
    """`event/{edge}`: the blobs of a twin that is about to move here came, but for so many."""

    kind: Literal["fetched"] = "fetched"
    twin: TwinName
    missing: Annotated[int, Field(ge=0, le=BLOBS_PER_TWIN_MAX)]


class Sealed(Versioned):
    """`event/{edge}`: twins that are sealed here: what is in them is all there will be."""

    kind: Literal["sealed"] = "sealed"
    twins: Annotated[tuple[Snapshot, ...], FailFast(), Field(min_length=1)]


class Checkpoint(Versioned):
    """`event/{edge}`: changed twins, to be stored by the cloud."""

    kind: Literal["checkpoint"] = "checkpoint"
    twins: Annotated[tuple[Snapshot, ...], FailFast(), Field(min_length=1)]


Order = Activate | Fetch | Seal | Release | Stable
EdgeEvent = Hello | Activated | Fetched | Sealed | Checkpoint

Said = TypeVar("Said", Order, EdgeEvent)

_CARRIES_TWINS = (Activate, Checkpoint, Sealed)
_HEAD: Final = b'{"v":1,'
_CHECKED = re.compile(rb'\{"v":1,"crc32":(\d{1,10}),')

ORDER = Parser[Order](Annotated[Order, Field(discriminator="kind")])
EDGE_EVENT = Parser[EdgeEvent](Annotated[EdgeEvent, Field(discriminator="kind")])


def encode(message: Order | EdgeEvent) -> bytes:
    """Return an order or event as JSON, with its checksum if it carries twins."""
    payload = messages.encode(message)
    return with_checksum(payload) if isinstance(message, _CARRIES_TWINS) else payload


def with_checksum(payload: bytes) -> bytes:
    """Return the JSON of an order or event with the CRC-32 of it as a field."""
    assert payload.startswith(_HEAD), payload[:20]
    return b'{"v":1,"crc32":%d,%b' % (crc32(payload), payload[len(_HEAD) :])


def parse_order(payload: bytes) -> Order:
    """Return the order in `payload`; see `messages.parse`, and `corrupt`."""
    return _checked(messages.parse(ORDER, payload), payload)


def parse_event(payload: bytes) -> EdgeEvent:
    """Return the event in `payload`; see `messages.parse`, and `corrupt`."""
    return _checked(messages.parse(EDGE_EVENT, payload), payload)


def _checked(message: Said, payload: bytes) -> Said:
    if isinstance(message, _CARRIES_TWINS):
        head = _CHECKED.match(payload)
        if head is None or crc32(_HEAD + payload[head.end() :]) != int(head[1]):
            raise MalformedMessage("corrupt", "the checksum is not that of what was received")
    return message
