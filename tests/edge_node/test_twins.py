"""The twins of an edge together: packets, turns, and tables that stay within their bounds."""

import pytest

from edge_node import twins as edge_twins
from edge_node.twins import Twins
from twin_runtime.core import messages, orders, topics
from twin_runtime.core.effects import Effects, Now
from twin_runtime.core.limits import (
    CHECKPOINT_TWINS_MAX,
    PACKET_BYTES_MAX,
    REFUSALS_REMEMBERED_MAX,
    REPUBLISH_PAUSE_S,
    REPUBLISH_PERIOD_S,
    REPUBLISH_TWINS_MAX,
    SNAPSHOT_BYTES_MAX,
)
from twin_runtime.core.messages import (
    Snapshot,
    Status,
)
from twin_runtime.core.orders import (
    Activate,
    Checkpoint,
    Release,
)


def now(monotonic_s: float) -> Now:
    return Now(monotonic_s, 0)


def owning(count: int, attribute: str = "") -> Twins:
    """So many twins, each as large as its attributes."""
    twins, fx = Twins("e-1"), Effects()
    attributes = {f"a{number}": attribute for number in range(40)} if attribute else {}
    for number in range(count):
        snapshot = Snapshot(twin=f"d-{number}", epoch=1, attributes=attributes)
        twins.activate(Activate(store="s", twin=f"d-{number}", epoch=2, snapshot=snapshot), fx)
    return twins


def settled(twins: Twins, at_s: float) -> Effects:
    fx = Effects()
    twins.settle(now(at_s), fx)
    return fx


def packets(fx: Effects) -> list[Checkpoint]:
    found = [
        messages.parse(orders.EDGE_EVENT, send.payload)
        for send in fx.sends
        if send.topic == topics.event("e-1")
    ]
    return [event for event in found if isinstance(event, Checkpoint)]


def published(fx: Effects) -> list[str]:
    parsed = [topics.parse(send.topic) for send in fx.sends]
    return [topic.twin for topic in parsed if topic.kind == "twin"]


def test_a_checkpoint_packs_as_many_twins_as_one_packet_takes() -> None:
    twins = owning(2 * CHECKPOINT_TWINS_MAX + 1)
    settled(twins, 0.0)
    sizes = [len(packet.twins) for packet in packets(settled(twins, 5.0))]
    assert sizes == [CHECKPOINT_TWINS_MAX, CHECKPOINT_TWINS_MAX, 1]


def test_g7_large_twins_travel_in_more_packets_each_below_its_bytes() -> None:
    twins = owning(20, attribute="x" * 200)
    settled(twins, 0.0)
    fx = settled(twins, 5.0)
    assert [twin.twin for packet in packets(fx) for twin in packet.twins] == [
        f"d-{number}" for number in range(20)
    ]
    assert len(packets(fx)) > 1
    assert all(len(send.payload) <= PACKET_BYTES_MAX for send in fx.sends)
    assert max(len(send.payload) for send in fx.sends) > SNAPSHOT_BYTES_MAX // 2


def test_documents_are_repeated_a_few_at_a_time_and_again_after_the_period() -> None:
    count = 2 * REPUBLISH_TWINS_MAX + 3
    twins = owning(count)
    settled(twins, 0.0)
    twins.connected(now(10.0))
    turns = []
    for turn in range(4):
        fx = settled(twins, 10.0 + 2 * turn * REPUBLISH_PAUSE_S)
        turns.append(len(published(fx)))
    assert turns == [REPUBLISH_TWINS_MAX, REPUBLISH_TWINS_MAX, 3, 0]
    began_s = 10.0 + 6 * REPUBLISH_PAUSE_S
    assert len(published(settled(twins, began_s + REPUBLISH_PERIOD_S - 1))) == 0
    again = published(settled(twins, began_s + REPUBLISH_PERIOD_S))
    assert len(again) == REPUBLISH_TWINS_MAX


def test_a_twin_released_while_documents_are_repeated_is_left_out() -> None:
    twins = owning(3)
    settled(twins, 0.0)
    twins.connected(now(10.0))
    twins.release(Release(store="s", twin="d-1", epoch=3), Effects())
    assert published(settled(twins, 10.0)) == ["d-0", "d-2"]


def test_nothing_is_repeated_while_disconnected() -> None:
    twins = owning(3)
    settled(twins, 0.0)
    twins.connected(now(10.0))
    twins.disconnected()
    assert published(settled(twins, 200.0)) == []


def test_an_edge_that_is_full_owns_no_more_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge_twins, "TWINS_PER_EDGE_MAX", 2)
    twins, fx = owning(2), Effects()
    assert not twins.activate(Activate(store="s", twin="d-9", epoch=1), fx)
    assert fx.notes[0].level == "error"
    assert twins.activate(Activate(store="s", twin="d-1", epoch=3), fx)


def test_g7_refusals_of_many_strangers_are_remembered_within_their_bound() -> None:
    twins, fx = owning(0), Effects()
    for number in range(REFUSALS_REMEMBERED_MAX + 50):
        twins.hear(f"d-{number}", "report", b"{}", now(0.0), fx)
    assert len(twins._refusals._said_s) == REFUSALS_REMEMBERED_MAX
    assert fx.counts == {("rejects_total", "not_owner"): REFUSALS_REMEMBERED_MAX + 50}


def test_g7_tables_of_a_twin_that_is_gone_are_empty() -> None:
    twins, fx = owning(1), Effects()
    settled(twins, 0.0)
    twins.release(Release(store="s", twin="d-0", epoch=3), fx)
    settled(twins, 100.0)
    settled(twins, 200.0)
    publishing = twins._publishing
    tables = (twins._live, publishing._published_s, publishing._waiting, twins._checkpoints._due_s)
    assert tables == ({}, {}, {}, {})


def test_a_released_twin_takes_its_levels_along_and_leaves_its_counts() -> None:
    twins, fx = owning(2), Effects()
    for twin_id, rows in (("d-0", 5), ("d-1", 7)):
        counters = {"outbox_rows": rows, "reports_produced_total": 10}
        twins.device_said(twin_id, Status(state="online", counters=counters), now(0.0))
    twins.release(Release(store="s", twin="d-0", epoch=3), fx)
    assert twins.counters.totals["outbox_rows"] == 7
    assert twins.counters.totals["reports_produced_total"] == 20
    began_anew = Status(state="online", counters={"outbox_rows": 1, "reports_produced_total": 2})
    twins.device_said("d-1", began_anew, now(0.0))
    assert twins.counters.totals["outbox_rows"] == 1
    assert twins.counters.totals["reports_produced_total"] == 22


def test_what_a_former_owner_has_counted_of_a_device_is_not_counted_again() -> None:
    twins, fx = owning(1), Effects()
    snapshot = Snapshot(twin="d-9", epoch=4, revision=7)
    twins.activate(Activate(store="s", twin="d-9", epoch=5, snapshot=snapshot), fx)
    for produced, rows in ((1_000, 30), (1_002, 20)):
        counters = {"reports_produced_total": produced, "outbox_rows": rows}
        twins.device_said("d-9", Status(state="online", counters=counters), now(0.0))
    assert twins.counters.totals["reports_produced_total"] == 2
    assert twins.counters.totals["outbox_rows"] == 20
    twins.release(Release(store="s", twin="d-9", epoch=6), fx)
    assert twins.counters.totals["outbox_rows"] == 0
    came_and_went = Activate(store="s", twin="d-9", epoch=7, snapshot=snapshot)
    twins.activate(came_and_went, fx)
    twins.release(Release(store="s", twin="d-9", epoch=8), fx)
    assert twins.counters.totals["outbox_rows"] == 0


def test_what_the_devices_of_owned_twins_count_is_summed() -> None:
    twins = owning(2)
    for twin, produced in (("d-0", 5), ("d-1", 7), ("d-9", 100), ("d-0", 8)):
        counters = {"reports_produced_total": produced}
        twins.device_said(twin, Status(state="online", counters=counters), now(0.0))
    assert twins.counters.totals["reports_produced_total"] == 15
