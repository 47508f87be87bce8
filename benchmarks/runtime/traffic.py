"""What the load says: reports as real devices encode them, made before the clock starts.

A room has the four features of an emulated device (one report in a message is 190
bytes); a board has twelve numbers.
"""

from collections.abc import Iterator
from typing import Any

from device_agent.emulated import DESCRIPTION as ROOM
from device_agent.emulated import air, room
from twin_runtime.core import messages, topics
from twin_runtime.core.messages import Description, FeatureSpec

EDGE = "e-1"
STARTED_MS = 1_760_000_000_000
BOARD = Description(
    title="Board",
    features={f"channel_{n:02}": FeatureSpec(type="number", unit="V") for n in range(12)},
)


def twin_id(number: int) -> str:
    return f"d-load-{number:06}"


def report_topic(number: int) -> str:
    return topics.report(EDGE, twin_id(number))


def rows(number: int, reports: int, *, board: bool) -> list[bytes]:
    """The reports of one device, as its outbox stores them; the first one describes it."""
    return [_row(number, seq, board=board) for seq in range(1, reports + 1)]


def floods(devices: int, reports: int, session: int) -> Iterator[tuple[str, bytes]]:
    """`(topic, payload)` of every report in a message of its own, one round of all devices
    after the other."""
    encoded = [rows(number, reports, board=False) for number in range(devices)]
    for index in range(reports):
        for number in range(devices):
            yield report_topic(number), messages.encode_window(1, session, [encoded[number][index]])


def _row(number: int, seq: int, *, board: bool) -> bytes:
    observed_ms = STARTED_MS + 1000 * seq
    report: dict[str, Any] = {
        "features": _channels(number, seq) if board else _air(number, observed_ms),
        "seq": seq,
        "observed_ms": observed_ms,
    }
    if seq == 1:
        description = BOARD if board else ROOM
        report["description"] = description.model_dump(exclude_none=True)
    return messages.dump(report)


def _air(number: int, observed_ms: int) -> dict[str, float]:
    return {**air(room(0, number), observed_ms), "sample_period_s": 1.0}


def _channels(number: int, seq: int) -> dict[str, float]:
    return {
        name: round(3.3 * ((number * 7 + seq * 13 + index * 31) % 997) / 997, 4)
        for index, name in enumerate(BOARD.features)
    }
