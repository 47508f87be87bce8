"""MQTT topics: one builder per topic, one parser for all. Prefix `dt/v1/`.

Where a device or an edge speaks for itself its identity is a segment, so that a few
static ACL patterns secure any fleet (`docs/protocol.md`, section 2).
"""

import re
from typing import NamedTuple

from twin_runtime.core.errors import MalformedMessage
from twin_runtime.core.ids import CLOUD, SHA256_PATTERN, parse_edge_id, parse_twin_id

PREFIX = "dt/v1/"
BLOB_PREFIX = f"{PREFIX}blob/"
_PREFIX_LENGTH = len(PREFIX)


class Topic(NamedTuple):
    """A parsed topic: `kind` and the identities it names ('' where it names none)."""

    kind: str  # up, down, assign, order, event, twin, td, status
    twin: str = ""
    edge: str = ""
    verb: str = ""  # up: report, live; down: ack, command, desired, error


class BlobTopic(NamedTuple):
    """A parsed topic of a blob on its way: `verb` is want, lack or a chunk's number."""

    to: str
    source: str
    sha256: str
    verb: str


def report(edge: str, twin: str) -> str:
    return f"{PREFIX}up/{edge}/{twin}/report"


def live(edge: str, twin: str) -> str:
    return f"{PREFIX}up/{edge}/{twin}/live"


def down(twin: str, edge: str, verb: str) -> str:
    """`verb` is ack, command, desired or error."""
    return f"{PREFIX}down/{twin}/{edge}/{verb}"


def assign(twin: str) -> str:
    return f"{PREFIX}assign/{twin}"


def order(edge: str) -> str:
    return f"{PREFIX}order/{edge}"


def event(edge: str) -> str:
    return f"{PREFIX}event/{edge}"


def twin(twin_id: str) -> str:
    return f"{PREFIX}twin/{twin_id}"


def thing_description(twin_id: str) -> str:
    return f"{PREFIX}td/{twin_id}"


def status(identity: str) -> str:
    return f"{PREFIX}status/{identity}"


def blob(to: str, source: str, sha256: str, verb: str) -> str:
    """`verb` is want, lack or a chunk's number."""
    return f"{PREFIX}blob/{to}/{source}/{sha256}/{verb}"


# Subscriptions. Each role's filters never overlap: some brokers deliver one copy per filter.


def device_filters(twin_id: str) -> list[str]:
    return [f"{PREFIX}down/{twin_id}/+/+", assign(twin_id)]


def edge_filters(edge: str) -> list[str]:
    return [f"{PREFIX}up/{edge}/+/+", order(edge), f"{PREFIX}status/+", _blobs_to(edge)]


def cloud_filters() -> list[str]:
    return [f"{PREFIX}event/+", f"{PREFIX}twin/+", f"{PREFIX}status/+", _blobs_to(CLOUD)]


def _blobs_to(identity: str) -> str:
    return f"{BLOB_PREFIX}{identity}/+/+/+"


def is_of_a_move(topic: str) -> bool:
    """Whether a twin may be paused until this is answered: orders, what edges say of them, and
    where a device is to send."""
    return topic.startswith(_OF_A_MOVE)


_OF_A_MOVE = (f"{PREFIX}order/", f"{PREFIX}event/", f"{PREFIX}assign/")
_UP_VERBS = frozenset({"report", "live"})
_DOWN_VERBS = frozenset({"ack", "command", "desired", "error"})
_SHA256 = re.compile(SHA256_PATTERN[1:-1])
_BLOB_VERB = re.compile(r"want|lack|[0-9]{1,6}")


def parse(topic: str) -> Topic:
    """Return the parts of `topic`, every id checked, or raise `MalformedMessage`
    (`bad_topic`, `bad_id`)."""
    if topic.startswith(PREFIX):
        match topic[_PREFIX_LENGTH:].split("/"):
            case ["up", edge, twin_id, verb] if verb in _UP_VERBS:
                return Topic("up", parse_twin_id(twin_id), parse_edge_id(edge), verb)
            case ["down", twin_id, edge, verb] if verb in _DOWN_VERBS:
                return Topic("down", parse_twin_id(twin_id), parse_edge_id(edge), verb)
            case [("assign" | "twin" | "td") as kind, twin_id]:
                return Topic(kind, parse_twin_id(twin_id))
            case [("order" | "event") as kind, edge]:
                return Topic(kind, edge=parse_edge_id(edge))
            case ["status", identity] if identity == CLOUD:
                return Topic("status")
            case ["status", identity] if identity.startswith("e-"):
                return Topic("status", edge=parse_edge_id(identity))
            case ["status", identity]:
                return Topic("status", parse_twin_id(identity))
    raise MalformedMessage("bad_topic", f"{topic[:120]!r} is not a topic of {PREFIX}")


def named(topic: str) -> Topic:
    """As `parse`; of what is no topic of ours, one that names nobody."""
    try:
        return parse(topic)
    except MalformedMessage:
        return Topic("")


def parse_blob(topic: str) -> BlobTopic:
    """Return the parts of a topic under `BLOB_PREFIX`, or raise `MalformedMessage`
    (`bad_topic`, `bad_id`)."""
    match topic.removeprefix(BLOB_PREFIX).split("/"):
        case [to, source, sha256, verb] if _SHA256.fullmatch(sha256) and _BLOB_VERB.fullmatch(verb):
            return BlobTopic(_peer(to), _peer(source), sha256, verb)
    raise MalformedMessage("bad_topic", f"{topic[:200]!r} is not a topic of {BLOB_PREFIX}")


def _peer(identity: str) -> str:
    """Whoever keeps blobs: the cloud or an edge."""
    return identity if identity == CLOUD else parse_edge_id(identity)
