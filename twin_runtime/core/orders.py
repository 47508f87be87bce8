"""What the cloud orders an edge to do, and what edges tell the cloud.

Every order names the store of the edge it is for: an edge that has lost its disk is not the
one that was meant. All of it is cumulative or versioned, so that hearing something twice,
late or never is harmless.
"""

from typing import Annotated, Literal

from pydantic import FailFast, Field

from twin_runtime.core.limits import BLOBS_PER_TWIN_MAX
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
    """`order/{edge}`: you no longer own this twin below this epoch; forget it."""

    kind: Literal["release"] = "release"
    store: ShortText
    twin: TwinName
    epoch: Epoch


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
    """`event/{edge}`: this edge is up, with this store, at this place of the site if it knows."""

    kind: Literal["hello"] = "hello"
    store: ShortText
    position: Place | None = None


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

ORDER = Parser[Order](Annotated[Order, Field(discriminator="kind")])
EDGE_EVENT = Parser[EdgeEvent](Annotated[EdgeEvent, Field(discriminator="kind")])
