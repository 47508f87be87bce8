"""An edge full of changed twins speaks of them a part at a time, and of all in the end."""

import json

from edge_node.machine import EdgeMachine
from twin_runtime.core import topics
from twin_runtime.core.effects import Connected, Effects, Message, Now
from twin_runtime.core.limits import CHECKPOINT_DUE_MAX, CHECKPOINT_PERIOD_S
from twin_runtime.core.orders import (
    Activate,
    encode,
)

TWINS = 2 * CHECKPOINT_DUE_MAX + 1


def checkpointed(fx: Effects) -> list[str]:
    payloads = [send.payload for send in fx.sends if b'"checkpoint"' in send.payload]
    return [twin["twin"] for payload in payloads for twin in json.loads(payload)["twins"]]


def test_many_due_twins_are_checkpointed_in_parts_and_none_is_left_out() -> None:
    edge = EdgeMachine("e-1", "s-1")
    orders = [Activate(store="s-1", twin=f"d-{n}", epoch=1) for n in range(TWINS)]
    heard = [Message(topics.order("e-1"), encode(order)) for order in orders]
    edge.handle([Connected(), *heard], Now(0.0, 0))
    parts = []
    for step in range(4):
        fx = edge.handle([], Now(CHECKPOINT_PERIOD_S + step / 100, 0))
        parts.append(checkpointed(fx))
        assert fx.wake_in_s is not None
        assert (fx.wake_in_s == 0) == (step < 2), "what is still due comes without a pause"
    assert [len(part) for part in parts] == [CHECKPOINT_DUE_MAX, CHECKPOINT_DUE_MAX, 1, 0]
    assert len({twin for part in parts for twin in part}) == TWINS
