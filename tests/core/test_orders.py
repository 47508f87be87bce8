"""What carries whole twins has a checksum: a damaged one is refused, every bit of it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin_runtime.core import messages, orders
from twin_runtime.core.errors import MalformedMessage
from twin_runtime.core.messages import Snapshot
from twin_runtime.core.orders import Activate, Checkpoint, Seal, Sealed

SNAPSHOT = Snapshot(twin="d-1", epoch=3, session=7, last_seq=20, revision=25)
ACTIVATE = Activate(store="s-1", twin="d-1", epoch=4, snapshot=SNAPSHOT)
EVENTS = (Sealed(twins=(SNAPSHOT,)), Checkpoint(twins=(SNAPSHOT, SNAPSHOT)))


def test_what_was_said_is_heard() -> None:
    assert orders.parse_order(orders.encode(ACTIVATE)) == ACTIVATE
    for event in EVENTS:
        assert orders.parse_event(orders.encode(event)) == event
    seal = Seal(store="s-1", twin="d-1", epoch=3)
    assert orders.encode(seal) == messages.encode(seal), "it carries no twin"
    assert orders.parse_order(orders.encode(seal)) == seal


@given(st.data())
def test_a_snapshot_with_one_wrong_bit_is_refused(data: st.DataObject) -> None:
    said: Any = data.draw(st.sampled_from((ACTIVATE, *EVENTS)))
    payload = bytearray(orders.encode(said))
    bit = data.draw(st.integers(0, 8 * len(payload) - 1))
    payload[bit // 8] ^= 1 << bit % 8
    parse = orders.parse_order if said is ACTIVATE else orders.parse_event
    try:
        heard = parse(bytes(payload))
    except MalformedMessage:
        return
    assert heard == said, "only what says the same may pass"


@pytest.mark.parametrize("said", [ACTIVATE, *EVENTS])
def test_a_snapshot_without_its_checksum_is_refused(said: Any) -> None:
    parse = orders.parse_order if said is ACTIVATE else orders.parse_event
    with pytest.raises(MalformedMessage) as refused:
        parse(messages.encode(said))
    assert refused.value.code == "corrupt"
