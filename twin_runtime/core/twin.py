"""What a twin is: the edge's half of delivery.

A twin is the durable image of one device, owned by one edge per *epoch*. Its reported
state is a fold over the device's reports: `(session, last_seq)` says how far the fold has
come, is part of the twin, and is committed with it, so a report is either in the twin
with its number or not there at all. Reports apply strictly in order (go-back-N):

    same session, seq = last_seq + 1      apply
    larger session, seq = 1               apply: the device began anew
    same session, seq <= last_seq, or     duplicate: it is in the twin already
      a smaller session                     (or belongs to a device that lost its memory)
    anything else                         gap: the device sends again from last_seq + 1

Whatever comes, the answer is the same cumulative acknowledgement of `last_seq`. It also says
where the session before ended: a late report of a store that a device lost may begin a
larger session than the device's own, which then has to know what of its own was applied.

A window names the epoch whose owner it was sent to, and nothing of another epoch applies.
Without that, reports on their way to an earlier owner could arrive after the device has
renumbered the same reports for this one, and count twice.

A report in order always moves the fold forward. If one of its values cannot be used
(undeclared, wrong type, not finite), that value is left out and the fault is answered
and counted; refusing the report would block all that follow it for ever.

Phases: `active` applies reports; `sealed` (a move has begun) and `absent` (owned
elsewhere) apply nothing. Only `activate` makes a twin active, only at an epoch above all
seen; `seal` ends what its owner may do at an epoch, for ever; `release` makes it absent.
The epoch is kept in every phase.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

from twin_runtime.core import messages
from twin_runtime.core.desired import settled
from twin_runtime.core.features import NONE, Feature, Features, features_of
from twin_runtime.core.ids import TwinId
from twin_runtime.core.limits import BLOBS_PER_TWIN_MAX, REPORT_BYTES_MAX
from twin_runtime.core.messages import (
    BlobRef,
    Description,
    DesiredState,
    Place,
    Snapshot,
    StateReport,
    Window,
)
from twin_runtime.core.refusals import pointer
from twin_runtime.core.shape import Shape, accepts, shape_of, shared, worst_case_bytes


class Phase(StrEnum):
    ACTIVE = "active"
    SEALED = "sealed"
    ABSENT = "absent"


class Fault(NamedTuple):
    """A value that was left out: JSON pointer, code and sentence for the refusal."""

    pointer: str
    code: str
    message: str


_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Twin(NamedTuple):
    """One twin. `revision` rises by one with each committed change.

    A tuple, too: for each report an edge makes a new one, and a frozen dataclass of so many
    fields takes three times as long to make.
    """

    twin: TwinId
    epoch: int
    phase: Phase = Phase.ACTIVE
    session: int = 0
    last_seq: int = 0
    former: tuple[int, int] | None = None
    stable_seq: int = 0
    revision: int = 0
    reported_wall_ms: int = 0
    written_wall_ms: int = 0  # 0: nobody wrote anything
    attributes: Mapping[str, Any] = _NOTHING
    title: str = ""
    position: Place | None = None
    shape: Shape | None = None
    features: Features = NONE
    desired: Mapping[str, DesiredState] = _NOTHING
    blobs: Mapping[str, BlobRef] = _NOTHING

    @property
    def modified_wall_ms(self) -> int:
        """When its state changed last."""
        return messages.modified_wall_ms(self.reported_wall_ms, self.written_wall_ms)

    @property
    def description(self) -> Description | None:
        """What the device says it is, or None as long as it has not."""
        if self.shape is None:
            return None
        return Description(
            title=self.title, position=self.position, features=dict(self.shape.features)
        )


class Applied(NamedTuple):
    """The outcome of a window: the twin after it, the reports that were applied, and how
    many were duplicates, came too early, or were sent to the owner of another epoch.

    The i-th applied report has revision `twin.revision - len(applied) + 1 + i`.
    """

    twin: Twin
    applied: tuple[StateReport, ...]
    duplicates: int = 0
    gaps: int = 0
    faults: tuple[Fault, ...] = ()
    fenced: int = 0


def apply_window(twin: Twin, window: Window, wall_ms: int) -> Applied:
    """Fold `window` into an active `twin`; `wall_ms` only labels the change."""
    assert twin.phase is Phase.ACTIVE, f"{twin.twin} is {twin.phase}: nothing may be applied"
    if window.epoch != twin.epoch:
        return Applied(twin, (), fenced=len(window.reports))
    session, last_seq = twin.session, twin.last_seq
    applied: list[StateReport] = []
    faults: list[Fault] = []
    duplicates = gaps = 0
    folded = twin
    for index, report in enumerate(window.reports):
        if window.session > session and report.seq == 1:
            folded = folded._replace(former=(session, last_seq) if last_seq else None)
            session = window.session
        elif window.session < session or (window.session == session and report.seq <= last_seq):
            duplicates += 1
            continue
        elif window.session > session or report.seq != last_seq + 1:
            gaps += 1
            continue
        last_seq = report.seq
        folded = _apply(folded, session, report, index, wall_ms, faults)
        applied.append(report)
    return Applied(folded, tuple(applied), duplicates, gaps, tuple(faults))


def activate(
    twin: Twin | None, twin_id: TwinId, epoch: int, snapshot: Snapshot | None
) -> Twin | None:
    """Own `twin_id` at `epoch`, from `snapshot` (None: a new twin), which the cloud holds, so
    that all of it is stable. Returns None where the epoch is not above everything seen;
    whatever was held before is discarded (E2)."""
    if twin is not None and epoch <= twin.epoch:
        return None
    if snapshot is None:
        return Twin(twin=twin_id, epoch=epoch)
    return restore(snapshot)._replace(epoch=epoch, stable_seq=snapshot.last_seq)


def attach(twin: Twin, name: str, ref: BlobRef | None) -> Twin | None:
    """Refer to a blob by `name`, or no more (None), as a change of its own; None where the twin
    refers to as many as it may."""
    assert twin.phase is Phase.ACTIVE, f"{twin.twin} is {twin.phase}: it may not change"
    blobs = {each: held for each, held in twin.blobs.items() if each != name}
    if ref is not None:
        if len(blobs) == BLOBS_PER_TWIN_MAX:
            return None
        blobs[name] = ref
    return twin._replace(blobs=blobs, revision=twin.revision + 1)


def seal(twin: Twin | None, epoch: int) -> Twin | None:
    """Apply nothing more at `epoch`, so that what is held can be handed over (E1); None where
    the twin is not owned at that epoch. Sealing it again changes nothing."""
    if twin is None or twin.phase is Phase.ABSENT or twin.epoch != epoch:
        return None
    return twin._replace(phase=Phase.SEALED)


def release(twin: Twin | None, twin_id: TwinId, epoch: int) -> Twin | None:
    """Forget a twin that is owned elsewhere at `epoch`, and keep that epoch; None where
    the order is not news (E3)."""
    if twin is not None and (twin.phase is Phase.ABSENT or epoch <= twin.epoch):
        return None
    return Twin(twin=twin_id, epoch=epoch, phase=Phase.ABSENT)


def stabilise(twin: Twin, epoch: int, session: int, seq: int) -> Twin | None:
    """Note that the cloud holds reports up to `seq`; None where that is not news (E5)."""
    if twin.phase is not Phase.ACTIVE or (epoch, session) != (twin.epoch, twin.session):
        return None
    if seq <= twin.stable_seq:
        return None
    return twin._replace(stable_seq=seq)


def encode(twin: Twin) -> bytes:
    """A twin's row, and its snapshot: `messages.Snapshot` as JSON (see `restore`)."""
    content = _content(twin)
    content["session"] = twin.session
    content["last_seq"] = twin.last_seq
    if twin.former:
        content["former"] = twin.former
    return _with_description(twin, content)


def encode_document(twin: Twin, live: Mapping[str, Feature]) -> bytes:
    """The committed twin for anyone, with its live values: `messages.TwinDocument` as JSON."""
    content = _content(twin)
    content["v"] = messages.VERSION
    if live:
        content["features"] |= _live(live)
    return _with_description(twin, content)


def restore(snapshot: Snapshot) -> Twin:
    """The active twin that `snapshot` describes. Whether it is stable is not known: an
    edge's row may be ahead of the cloud's checkpoint."""
    description = snapshot.description
    shape = shape_of(description.features) if description else None
    features = {
        name: (state.value, state.observed_ms, state.quality)
        for name, state in snapshot.features.items()
    }
    return Twin(
        twin=TwinId(snapshot.twin),
        epoch=snapshot.epoch,
        session=snapshot.session,
        last_seq=snapshot.last_seq,
        former=snapshot.former,
        revision=snapshot.revision,
        reported_wall_ms=snapshot.reported_wall_ms,
        written_wall_ms=snapshot.written_wall_ms,
        attributes=snapshot.attributes,
        title=shared(description.title) if description else "",
        position=description.position if description else None,
        shape=shape,
        features=features_of(shape, features) if shape else NONE,
        desired=snapshot.desired,
        blobs=snapshot.blobs,
    )


def _apply(
    twin: Twin, session: int, report: StateReport, index: int, wall_ms: int, faults: list[Fault]
) -> Twin:
    if report.description is not None:
        twin = _describe(twin, report.description, index, faults)
    features = twin.features
    return twin._replace(
        session=session,
        last_seq=report.seq,
        stable_seq=twin.stable_seq if session == twin.session else 0,
        revision=twin.revision + 1,
        reported_wall_ms=wall_ms,
        features=_fold(features, report, twin.shape, index, faults)
        if report.features
        else features,
        desired=settled(twin.attributes, twin.desired, report.outcomes)
        if report.outcomes
        else twin.desired,
    )


def _describe(twin: Twin, description: Description, index: int, faults: list[Fault]) -> Twin:
    size = worst_case_bytes(description)
    if size > REPORT_BYTES_MAX:
        message = f"a twin so described can take {size} bytes; at most {REPORT_BYTES_MAX}"
        faults.append(Fault(f"/reports/{index}/description", "description_too_large", message))
        return twin
    shape = shape_of(description.features)
    return twin._replace(
        title=shared(description.title),
        position=description.position,
        shape=shape,
        features=features_of(shape, twin.features),
    )


def _fold(
    features: Features,
    report: StateReport,
    shape: Shape | None,
    index: int,
    faults: list[Fault],
) -> Features:
    if shape is None:
        faults += (_undeclared(index, name) for name in report.features)
        return features
    values, stamps = features.parts()
    observed_ms = report.observed_ms
    good = (observed_ms, "good")
    for name, value in report.features.items():
        place = shape.places.get(name)
        if place is None:
            faults.append(_undeclared(index, name))
        elif not accepts(kind := shape.kinds[name], value):
            problem = f"is declared {kind}, not {repr(value)[:60]}"
            code = "not_finite" if isinstance(value, float) and kind == "number" else "bad_feature"
            faults.append(_fault(index, name, code, problem))
        elif value is None:
            last = stamps[place]
            stamps[place] = (last[0] if last else observed_ms, "uncertain")
        else:
            values[place], stamps[place] = value, good
    return Features(shape.places, tuple(values), tuple(stamps))


def _undeclared(index: int, name: str) -> Fault:
    return _fault(index, name, "unknown_feature", "is not in the description")


def _fault(index: int, name: str, code: str, problem: str) -> Fault:
    name = name[:64]
    where = pointer(("reports", index, "features", name))
    return Fault(where, code, f"feature {name!r} {problem}")


def _content(twin: Twin) -> dict[str, Any]:
    content: dict[str, Any] = {
        "twin": twin.twin,
        "epoch": twin.epoch,
        "revision": twin.revision,
        "reported_wall_ms": twin.reported_wall_ms,
        "features": twin.features.document(),
    }
    if twin.written_wall_ms:
        content["written_wall_ms"] = twin.written_wall_ms
    if twin.attributes:
        content["attributes"] = twin.attributes
    if twin.desired:
        content["desired"] = twin.desired
    if twin.blobs:
        content["blobs"] = twin.blobs
    return content


def _live(live: Mapping[str, Feature]) -> dict[str, Any]:
    return {
        name: {"value": value, "observed_ms": observed_ms, "quality": quality}
        for name, (value, observed_ms, quality) in live.items()
    }


def _with_description(twin: Twin, content: dict[str, Any]) -> bytes:
    """`content` as JSON, the shape's features spliced in: they are encoded once for all
    the twins that share them."""
    encoded = messages.dump(content)
    if twin.shape is None:
        return encoded
    about = messages.dump({"title": twin.title})
    if twin.position is not None:
        about = messages.dump({"title": twin.title, "position": twin.position})
    return b'%b,"description":%b,"features":%b}}' % (encoded[:-1], about[:-1], twin.shape.json)
