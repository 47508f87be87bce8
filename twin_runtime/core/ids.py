"""Identities: who speaks, and how a name is checked before it is believed.

An id carries its role as a prefix (`d-` device, `e-` edge) and is one MQTT topic
segment, so that a broker can secure any fleet with a handful of static patterns.
A twin has its device's id.
"""

import re
from typing import NewType

from twin_runtime.core.errors import MalformedMessage

TwinId = NewType("TwinId", str)
EdgeId = NewType("EdgeId", str)
StoreId = NewType("StoreId", str)

CLOUD = "cloud"

# 64 characters in all: what a certificate's CN holds.
TWIN_PATTERN = r"^d-[a-z0-9-]{1,62}$"
EDGE_PATTERN = r"^e-[a-z0-9-]{1,62}$"
FEATURE_PATTERN = r"^[a-z0-9_]{1,64}$"
SHA256_PATTERN = r"^[0-9a-f]{64}$"
_TWIN = re.compile(TWIN_PATTERN[1:-1])
_EDGE = re.compile(EDGE_PATTERN[1:-1])


def parse_twin_id(text: str) -> TwinId:
    """Return `text` as a twin's id, or raise `MalformedMessage` (`bad_id`)."""
    if _TWIN.fullmatch(text):
        return TwinId(text)
    raise MalformedMessage(
        "bad_id",
        f"{text[:80]!r} is not a device id: use 'd-' and then 1 to 62 of a-z, 0-9 and '-'",
    )


def parse_edge_id(text: str) -> EdgeId:
    """Return `text` as an edge's id, or raise `MalformedMessage` (`bad_id`)."""
    if _EDGE.fullmatch(text):
        return EdgeId(text)
    raise MalformedMessage(
        "bad_id",
        f"{text[:80]!r} is not an edge id: use 'e-' and then 1 to 62 of a-z, 0-9 and '-'",
    )
