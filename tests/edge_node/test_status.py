"""What an edge does about a device that only says that it is there, and when it returns itself."""

import pytest

from tests.edge_node.an_edge import acks, checkpoints, owning, report, stable
from twin_runtime.core import messages, topics
from twin_runtime.core.effects import Connected, Disconnected, Message
from twin_runtime.core.limits import REPUBLISH_PERIOD_S
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


@pytest.mark.parametrize("known_epoch, asked", [(2, True), (1, False), (0, False)])
def test_g4_an_edge_whose_device_knows_of_a_later_owner_asks_the_cloud_about_it(
    known_epoch: int,
    asked: bool,  # noqa: FBT001 - a case
) -> None:
    edge = owning("d-1")
    edge.handle(report(1), stable(1))
    status = Status(state="online", epoch=known_epoch)
    fx = edge.handle(Message(topics.status("d-1"), messages.encode(status)))
    assert bool(checkpoints(fx)) is asked


def test_g4_an_edge_that_was_away_tells_the_cloud_of_all_it_has_lest_it_own_it_no_more() -> None:
    edge = owning("d-1", "d-2")
    edge.handle(report(1), stable(1), stable(0, twin="d-2", session=0))
    assert checkpoints(edge.handle(Disconnected())) == []
    assert {twin.twin for twin in checkpoints(edge.handle(Connected()))} == {"d-1", "d-2"}
    edge.now_s += REPUBLISH_PERIOD_S + 1
    edge.handle(stable(1), stable(0, twin="d-2", session=0))
    edge.now_s += REPUBLISH_PERIOD_S + 1
    assert checkpoints(edge.handle()) == [], "once, not with every repetition"
