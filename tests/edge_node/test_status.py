"""What an edge answers to a device that only says that it is there."""

import pytest

from tests.edge_node.an_edge import acks, owning, report
from twin_runtime.core import messages, topics
from twin_runtime.core.effects import Message
from twin_runtime.core.messages import Status


@pytest.mark.parametrize("rows, answered", [(3, True), (0, False)])
def test_a_quiet_device_that_keeps_reports_is_told_again_how_far_we_are(
    rows: int,
    answered: bool,  # noqa: FBT001 - a case
) -> None:
    edge = owning("d-1")
    edge.handle(report(1))
    status = Status(state="online", epoch=1, counters={"outbox_rows": rows})
    fx = edge.handle(Message(topics.status("d-1"), messages.encode(status)))
    assert ("d-1" in acks(fx)) is answered
