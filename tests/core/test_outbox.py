"""The outbox, one rule at a time; `test_outbox_delivery.py` plays it against a lossy network."""

from typing import Any

import pytest

from twin_runtime.core import messages
from twin_runtime.core.effects import Delete, Put
from twin_runtime.core.limits import (
    DESIRED_PER_TWIN_MAX,
    EDITED_BYTES_MAX,
    WINDOW_BYTES_MAX,
    WINDOW_REPORTS_MAX,
)
from twin_runtime.core.messages import ReportAck
from twin_runtime.core.outbox import Appended, Mark, Outbox, next_session


def outbox(reports: int = 0, *, session: int = 7, **bounds: int) -> Outbox:
    """An outbox with reports 1, 2, ... whose feature `n` is their number."""
    box = Outbox("d-1", session, **bounds)
    for number in range(1, reports + 1):
        append(box, number)
    return box


def append(box: Outbox, number: int) -> Appended:
    return box.append(1_000 * number, {"features": {"n": number}})


def ack(applied: int, *, session: int = 7, epoch: int = 1, stable: int = 0) -> ReportAck:
    return ReportAck(edge="e-1", epoch=epoch, session=session, applied=applied, stable=stable)


def numbers(rows: list[bytes]) -> list[int]:
    return [messages.load(row)["features"]["n"] for row in rows]


def kept(box: Outbox) -> dict[int, int]:
    """What each position holds."""
    return {seq: messages.load(row)["features"]["n"] for seq, row in box.rows.items()}


# --- appending ----------------------------------------------------------------------------


def test_a_report_is_one_row_under_the_next_position() -> None:
    box = outbox()
    stored = box.append(5, {"features": {"n": 1}})
    assert (stored.outcome, stored.given_up) == ("stored", 0)
    (put,) = stored.writes
    assert isinstance(put, Put)
    assert (put.kind, put.key) == ("outbox", "d-1/7/1")
    assert messages.load(put.value) == {"seq": 1, "observed_ms": 5, "features": {"n": 1}}
    assert box.newest_observed_ms == 5


def test_a_full_outbox_overwrites_the_newest_row_as_long_as_it_was_not_sent() -> None:
    box = outbox(3, reports_max=3)
    outcome = box.append(9, {"features": {"m": 4}})
    assert outcome.outcome == "coalesced"
    assert [write.key for write in outcome.writes] == ["d-1/7/3"]
    assert messages.load(box.rows[3])["features"] == {"n": 3, "m": 4}
    assert messages.load(box.rows[3])["observed_ms"] == 9
    assert box.last_seq == 3


def test_a_full_outbox_of_sent_rows_gives_up_the_oldest_that_was_applied() -> None:
    box = outbox(3, reports_max=3)
    box.window(again=False)
    box.acknowledge(ack(1))
    outcome = append(box, 4)
    assert (outcome.outcome, outcome.given_up) == ("unprotected", 1)
    assert kept(box) == {2: 2, 3: 3, 4: 4}
    assert Delete("outbox", "d-1/7/1") in outcome.writes


def test_a_full_outbox_of_which_nothing_was_applied_holds_the_newest_state_in_memory() -> None:
    box = outbox(2, reports_max=2)
    box.window(again=False)
    assert append(box, 3) == Appended([], "held")
    assert append(box, 4) == Appended([], "held")
    box.acknowledge(ack(2))
    box.stabilise(7, 2)
    assert append(box, 5).outcome == "stored"
    assert kept(box) == {3: 5}


def test_a_held_state_says_when_there_is_room_for_it() -> None:
    box = outbox(1, reports_max=1)
    box.window(again=False)
    append(box, 2)
    assert box.held_ms is None
    box.acknowledge(ack(1))
    assert box.held_ms == 2_000
    assert box.append(2_000, {}).outcome == "unprotected"
    assert kept(box) == {2: 2}
    assert box.held_ms is None


def test_what_is_held_is_not_forgotten_when_the_next_report_is_partial() -> None:
    box = outbox(1, reports_max=1)
    box.window(again=False)
    box.append(2, {"features": {"n": 2, "m": 2}, "obeyed": (1, 1)})
    box.acknowledge(ack(1))
    assert box.append(3, {"features": {"n": 3}}).outcome == "unprotected"
    content = messages.load(box.rows[2])
    assert content["features"] == {"n": 3, "m": 2}
    assert content["obeyed"] == [1, 1]
    assert content["observed_ms"] == 3


def test_large_reports_do_not_push_a_full_outbox_beyond_its_bytes() -> None:
    box = outbox(20, bytes_max=1_000)
    box.window(again=False)
    box.acknowledge(ack(20))
    given_up = 0
    for number in range(21, 40):
        outcome = box.append(0, {"features": {"n": number, "text": "x" * 256}})
        given_up += outcome.given_up
        assert box.bytes < 1_000 + 400
        box.window(again=False)
        box.acknowledge(ack(box.last_seq))
    assert given_up == box.last_seq - len(box.rows)
    assert box.bytes == sum(map(len, box.rows.values()))


def test_merged_outcomes_stay_as_few_and_as_short_as_an_edge_accepts() -> None:
    box = outbox(1, reports_max=1)
    for number in range(3 * DESIRED_PER_TWIN_MAX):
        outcome = {"number": number, "outcome": "rejected", "reason": "\x00" * 200}
        box.append(0, {"outcomes": {f"commands/c{number}": outcome}})
    content = messages.load(box.rows[1])
    assert 1 < len(content["outcomes"]) <= DESIRED_PER_TWIN_MAX
    assert list(content["outcomes"])[-1] == f"commands/c{3 * DESIRED_PER_TWIN_MAX - 1}"
    assert len(messages.dump(content["outcomes"])) <= EDITED_BYTES_MAX
    assert box.window(again=False)


def test_a_stable_row_leaves_memory_at_once_and_the_disk_with_the_next_report() -> None:
    box = outbox(3)
    box.stabilise(7, 2)
    assert kept(box) == {3: 3}
    deleted = [write for write in append(box, 4).writes if isinstance(write, Delete)]
    assert deleted == [Delete("outbox", "d-1/7/1"), Delete("outbox", "d-1/7/2")]


def test_so_many_stable_rows_stay_on_disk_as_are_asked_for() -> None:
    box = outbox(5, keep_stable=2)
    box.stabilise(7, 5)
    deleted = [write for write in append(box, 6).writes if isinstance(write, Delete)]
    assert deleted == [Delete("outbox", f"d-1/7/{seq}") for seq in (1, 2, 3)]


# --- the window -------------------------------------------------------------------------------


def test_a_window_is_what_was_not_sent_yet_and_again_all_that_is_not_applied() -> None:
    box = outbox(3)
    assert numbers(box.window(again=False)) == [1, 2, 3]
    append(box, 4)
    assert numbers(box.window(again=False)) == [4]
    assert box.window(again=False) == []
    box.acknowledge(ack(2))
    assert box.window(again=False) == []
    assert numbers(box.window(again=True)) == [3, 4]


def test_no_more_reports_are_in_flight_than_a_window_holds() -> None:
    box = outbox(WINDOW_REPORTS_MAX + 5)
    assert len(box.window(again=False)) == WINDOW_REPORTS_MAX
    assert box.window(again=False) == []
    box.acknowledge(ack(2))
    assert numbers(box.window(again=False)) == [WINDOW_REPORTS_MAX + 1, WINDOW_REPORTS_MAX + 2]


def test_a_window_of_large_reports_ends_below_its_bytes() -> None:
    box = outbox()
    for number in range(4):
        box.append(0, {"features": {"n": number, "text": "x" * (WINDOW_BYTES_MAX // 3)}})
    assert len(box.window(again=False)) == 2
    assert len(box.window(again=False)) == 2
    assert len(box.window(again=True)) == 2
    assert len(box.window(again=False)) == 2


def test_something_is_outstanding_until_all_is_applied() -> None:
    box = outbox(2)
    assert box.outstanding
    box.acknowledge(ack(1))
    assert box.outstanding
    box.acknowledge(ack(2))
    assert not box.outstanding
    assert not outbox().outstanding


# --- acknowledgements ---------------------------------------------------------------------------


def test_a_larger_position_is_progress_and_an_equal_one_is_not() -> None:
    box = outbox(3)
    assert box.acknowledge(ack(1)) == "progress"
    assert box.acknowledge(ack(1)) == "same"
    assert box.acknowledge(ack(3)) == "progress"
    assert kept(box) == {1: 1, 2: 2, 3: 3}


def test_a_smaller_position_at_the_same_epoch_came_late() -> None:
    box = outbox(3)
    box.acknowledge(ack(3))
    assert box.acknowledge(ack(1)) == "stale"
    assert box.applied == 3


def test_a_new_owner_may_begin_lower_and_an_old_one_is_not_heard_again() -> None:
    box = outbox(3)
    box.acknowledge(ack(3))
    box.reassigned()
    assert box.acknowledge(ack(1, epoch=2)) == "progress"
    assert box.acknowledge(ack(3, epoch=1)) == "stale"
    assert box.applied == 1
    assert numbers(box.window(again=True)) == [2, 3]


def test_no_owner_is_behind_what_is_stable() -> None:
    box = outbox(3)
    box.stabilise(7, 2)
    assert box.acknowledge(ack(1, epoch=2)) == "stale"
    assert box.acknowledge(ack(0, epoch=2, session=6)) == "stale"


def test_an_edge_that_knows_an_older_session_has_applied_nothing_of_this_one() -> None:
    box = outbox(2)
    assert box.acknowledge(ack(99, session=6)) == "progress"
    assert numbers(box.window(again=True)) == [1, 2]


@pytest.mark.parametrize("position", [ack(0, session=8), ack(4), ack(3, session=9)])
def test_positions_that_were_never_reached_ask_for_a_new_session(position: ReportAck) -> None:
    assert outbox(3).acknowledge(position) == "renumber"


def test_an_owner_that_needs_what_was_given_up_asks_for_a_new_session() -> None:
    box = outbox(2, reports_max=2)
    box.window(again=False)
    box.acknowledge(ack(2))
    append(box, 3)
    box.reassigned()
    assert box.acknowledge(ack(0, epoch=2)) == "renumber"


@pytest.mark.parametrize("session, stable", [(6, 2), (8, 2), (7, 0)])
def test_only_news_of_this_session_makes_rows_stable(session: int, stable: int) -> None:
    box = outbox(3)
    box.stabilise(session, stable)
    assert kept(box) == {1: 1, 2: 2, 3: 3}
    assert box.mark == Mark(7)


def test_stable_never_reaches_beyond_the_last_report() -> None:
    box = outbox(3)
    box.stabilise(7, 99)
    assert box.mark.stable == 3
    assert append(box, 4).outcome == "stored"
    assert kept(box) == {4: 4}


# --- restart and new sessions ---------------------------------------------------------------------


def restarted(box: Outbox, mark: Mark | None) -> Outbox:
    rows = [(f"d-1/{box.mark.session}/{seq}", row) for seq, row in box.rows.items()]
    again = Outbox("d-1", 1)
    again.restore(reversed(rows), mark)
    return again


def test_a_restart_finds_the_rows_and_counts_all_of_them_as_sent() -> None:
    box = restarted(outbox(12), None)
    assert kept(box) == {seq: seq for seq in range(1, 13)}
    assert (box.mark, box.last_seq, box.sent) == (Mark(7), 12, 12)
    assert box.newest_observed_ms == 12_000
    assert box.bytes == sum(map(len, box.rows.values()))
    assert len(box.window(again=True)) == 12


def test_a_restart_remembers_what_was_stable_and_told() -> None:
    mark = Mark(7, stable=2, told_epoch=3, told_applied=4)
    box = restarted(outbox(5), mark)
    assert kept(box) == {3: 3, 4: 4, 5: 5}
    assert box.acknowledge(ack(3, epoch=3)) == "stale"
    assert box.acknowledge(ack(4, epoch=3)) == "progress"


def test_a_mark_of_another_session_says_nothing_of_these_rows() -> None:
    assert restarted(outbox(2), Mark(6, stable=2)).mark == Mark(7)


def test_a_restart_without_rows_goes_on_in_its_session() -> None:
    assert restarted(outbox(), Mark(9)).mark == Mark(9)
    assert restarted(outbox(), None).mark == Mark(1)


def test_only_the_rows_of_the_largest_session_count() -> None:
    box = Outbox("d-1", 1)
    old = messages.dump({"seq": 1, "observed_ms": 0, "features": {"n": 0}})
    new = messages.dump({"seq": 1, "observed_ms": 0, "features": {"n": 1}})
    box.restore([("d-1/10/1", new), ("d-1/9/1", old)], None)
    assert (box.mark.session, kept(box)) == (10, {1: 1})


def test_a_new_session_numbers_all_rows_from_one_and_describes_itself_first() -> None:
    box = outbox(4, reports_max=4)
    box.window(again=False)
    box.acknowledge(ack(2))
    append(box, 5)
    description: dict[str, Any] = {"features": {"n": {"type": "number"}}}
    writes = box.renumber(12, description)
    assert kept(box) == {1: 2, 2: 3, 3: 4, 4: 5}
    assert (box.mark, box.applied, box.last_seq) == (Mark(12), None, 4)
    assert messages.load(box.rows[1])["description"] == description
    assert "description" not in messages.load(box.rows[2])
    assert [write.key for write in writes if isinstance(write, Delete)] == [
        f"d-1/7/{seq}" for seq in (2, 3, 4, 5)
    ]
    assert [write.key for write in writes if isinstance(write, Put)] == [
        f"d-1/12/{seq}" for seq in (1, 2, 3, 4)
    ]


def test_a_row_that_was_sent_is_not_overwritten_in_a_new_session_either() -> None:
    box = outbox(2, reports_max=2)
    box.window(again=False)
    box.renumber(8, {"features": {}})
    assert append(box, 3).outcome == "held"


def test_a_new_session_without_rows_begins_empty() -> None:
    box = outbox(2)
    box.stabilise(7, 2)
    writes = box.renumber(8, {"features": {}})
    assert writes == [Delete("outbox", "d-1/7/1"), Delete("outbox", "d-1/7/2")]
    assert append(box, 3).writes[0].key == "d-1/8/1"


@pytest.mark.parametrize("above", [5 << 20 | 7, 5 << 20 | 8, 5 << 20 | 9, 6 << 20 | 1])
def test_the_next_session_is_larger_and_keeps_the_tag_of_its_store(above: int) -> None:
    session = next_session(above, 3 << 20 | 8)
    assert above < session <= above + 2**20
    assert session % 2**20 == 8


# --- overtaken ------------------------------------------------------------------------------


def overtaking(former: tuple[int, int] | None = None, epoch: int = 1) -> ReportAck:
    return ack(9, session=8, epoch=epoch).model_copy(update={"former": former})


def test_what_was_applied_before_a_larger_session_began_is_in_its_acknowledgement() -> None:
    box = outbox(5)
    box.acknowledge(ack(2))
    assert box.overtaken(overtaking((7, 4))) == 4
    assert box.overtaken(overtaking((6, 4))) == 2
    assert box.overtaken(overtaking()) == 2
    assert box.overtaken(overtaking(epoch=2)) == 0


def test_what_was_applied_is_stated_again_as_one_report() -> None:
    box = outbox()
    box.append(1, {"features": {"n": 1, "m": 1}, "outcomes": {"a": {"number": 1}}})
    box.append(2, {"features": {"n": 2}})
    box.append(3, {"features": {"n": 3}})
    assert box.restate(2) == 1
    box.renumber(12, {"title": "Tank"})
    first, second = map(messages.load, box.rows.values())
    assert (first["features"], first["observed_ms"]) == ({"n": 2, "m": 1}, 2)
    assert first["outcomes"] == {"a": {"number": 1}}
    assert (second["features"], second["seq"]) == ({"n": 3}, 2)


def test_a_state_that_is_stable_is_stated_again_too() -> None:
    box = outbox(3)
    box.stabilise(7, 3)
    assert (box.restate(3), kept(box)) == (0, {3: 3})
    again = restarted(outbox(3), Mark(7, stable=3))
    assert (again.restate(3), kept(again)) == (0, {3: 3})


def test_where_nothing_was_applied_all_is_kept() -> None:
    box = outbox(3)
    assert (box.restate(0), kept(box)) == (0, {1: 1, 2: 2, 3: 3})
    assert outbox().restate(4) == 0
