"""A device as a machine: it stores before it sends, repeats until it is heard, and obeys once."""

import json

import pytest

from device_agent.machine import DeviceMachine
from tests.device_agent.a_device import (
    DESCRIPTION,
    NEXT,
    SESSION,
    Device,
    online,
    seqs,
    states,
    windows,
)
from twin_runtime.adapters.metrics import METRICS
from twin_runtime.core import messages, topics
from twin_runtime.core.effects import (
    Connected,
    Disconnected,
    Effects,
    Message,
    Row,
    Sample,
    Stopping,
)
from twin_runtime.core.limits import (
    HEARTBEAT_PERIOD_S,
    OVERTAKEN_MAX,
    RETRY_FIRST_S,
    RETRY_LAST_S,
    WINDOW_REPORTS_MAX,
)
from twin_runtime.core.messages import (
    Command,
    Description,
    FeatureSpec,
    Refusal,
    ReportAck,
)

# --- reporting ----------------------------------------------------------------------------


def test_a_report_is_committed_with_the_effects_that_send_it() -> None:
    device = online()
    fx = device.measure(2.5)
    (window,) = windows(fx)
    assert (window.session, seqs(fx)) == (SESSION, [1])
    assert window.reports[0].features == {"level_m": 2.5}
    stored = [write.value for write in fx.writes if write.kind == "outbox"]  # type: ignore[union-attr]
    assert [json.loads(stored[0])["seq"]] == [1]
    assert stored[0] in fx.sends[0].payload


def test_the_first_report_describes_the_device_and_the_next_one_does_not() -> None:
    device = online()
    assert windows(device.measure())[0].reports[0].description == DESCRIPTION
    assert windows(device.measure())[0].reports[0].description is None
    device.start()
    device.handle(Connected())
    assert windows(device.measure())[0].reports[0].description is None


def test_a_device_whose_description_changed_says_so_with_its_next_report() -> None:
    device = online(1)
    renamed = DeviceMachine("d-1", Description(title="Tank", features=DESCRIPTION.features))
    renamed.restore(
        [Row(kind, key, value) for (kind, key), value in device.disk.items()], device.now, Effects()
    )
    fx = Effects()
    renamed.sample(Sample("d-1", 0, {"level_m": 1.0}), device.now, fx)
    assert messages.load(fx.writes[0].value)["description"]["title"] == "Tank"  # type: ignore[union-attr]


def test_without_a_route_or_a_connection_reports_are_stored_and_nothing_is_sent() -> None:
    device = Device()
    assert seqs(device.measure()) == []
    device.handle(Connected())
    assert seqs(device.measure()) == []
    assert seqs(device.assign("e-1", 1)) == [1, 2]
    device.handle(Disconnected())
    assert seqs(device.measure()) == []
    assert seqs(device.handle(Connected())) == [1, 2, 3]


def test_no_more_than_a_window_is_in_flight_and_an_acknowledgement_makes_room() -> None:
    device = online()
    sent = [seq for _ in range(WINDOW_REPORTS_MAX + 3) for seq in seqs(device.measure())]
    assert sent == list(range(1, WINDOW_REPORTS_MAX + 1))
    assert seqs(device.ack(2)) == [WINDOW_REPORTS_MAX + 1, WINDOW_REPORTS_MAX + 2]


def test_unanswered_reports_are_sent_again_with_a_pause_that_doubles_up_to_its_bound() -> None:
    device = online(2)
    pauses_s = []
    for _ in range(8):
        began_s = device.now_s
        fx = device.wake()
        if seqs(fx):
            assert seqs(fx) == [1, 2]
            assert fx.counts[("retransmissions_total", "")] == 1
            pauses_s.append(device.now_s - began_s)
    spread = pauses_s[0] / RETRY_FIRST_S
    assert 1.0 <= spread <= 1.25
    doubled = [min(RETRY_FIRST_S * 2**attempt, RETRY_LAST_S) * spread for attempt in range(5)]
    assert pauses_s[:5] == pytest.approx(doubled)


def test_progress_resets_the_pause_and_the_last_acknowledgement_ends_it() -> None:
    device = online(2)
    for _ in range(3):
        device.wake()
    device.ack(1)
    assert device.one.due_s - device.now_s <= RETRY_FIRST_S * 1.25
    device.ack(2)
    assert seqs(device.wake()) == []
    assert device.now_s > HEARTBEAT_PERIOD_S / 2


def test_a_device_that_backs_off_returns_as_soon_as_its_edge_speaks() -> None:
    device = online(2)
    device.ack(0)
    for _ in range(4):
        device.wake()
    assert device.one.due_s - device.now_s > 2 * RETRY_FIRST_S
    assert seqs(device.ack(0, epoch=2)) == [], "not its edge at its epoch"
    assert seqs(device.ack(0)) == [1, 2]
    assert device.one.due_s - device.now_s <= RETRY_FIRST_S * 1.25
    assert seqs(device.ack(0)) == [], "it was only just sent"


def test_an_acknowledgement_is_measured_from_the_moment_of_the_report() -> None:
    device = online(1)
    device.now_s += 0.25
    assert device.ack(1).observed == [("ack_latency_seconds", 0.25)]
    assert device.ack(1).observed == []


def test_a_pause_is_measured_from_the_last_word_of_one_edge_to_the_first_of_the_next() -> None:
    device = online(1)
    device.ack(1)
    device.now_s += 1.0
    assert "move_pause_seconds" not in dict(device.ack(1).observed), "it is still the same edge"
    device.now_s += 0.25
    device.assign("e-2", 2)
    device.now_s += 0.5
    device.ack(1)  # of the former edge: it is old
    assert device.ack(1, edge="e-2", epoch=2).observed == [("move_pause_seconds", 0.75)]
    assert device.ack(1, edge="e-2", epoch=2).observed == []


def test_an_edge_that_returns_at_another_epoch_has_not_moved_the_twin() -> None:
    device = online(1)
    device.ack(1)
    device.assign("e-1", 2)
    assert device.ack(1, epoch=2).observed == []


def test_stable_reports_leave_the_disk_with_the_next_report() -> None:
    device = online(3)
    device.ack(3, stable=2)
    device.measure()
    rows = [key for kind, key in device.disk if kind == "outbox"]
    assert rows == [f"d-1/{SESSION}/3", f"d-1/{SESSION}/4"]
    assert json.loads(device.disk["device", "d-1"])["mark"]["stable"] == 2


def test_a_restart_sends_everything_that_is_not_stable_to_the_edge_it_knew() -> None:
    device = online(3)
    device.ack(2, stable=1)
    device.measure()
    device.start()
    fx = device.handle(Connected())
    assert seqs(fx) == [2, 3, 4]
    assert fx.sends[-1].topic == topics.report("e-1", "d-1")


def test_a_full_offline_outbox_overwrites_its_newest_row_and_counts_it() -> None:
    device = Device(outbox_reports_max=2)
    device.measure(1.0)
    device.measure(2.0)
    assert device.measure(3.0).counts == {("reports_coalesced_total", ""): 1}
    assert device.measure(4.0).counts == {("reports_coalesced_total", ""): 1}
    device.handle(Connected())
    (window,) = windows(device.assign("e-1", 1))
    assert [report.features["level_m"] for report in window.reports] == [1.0, 4.0]


def test_a_report_given_up_is_counted_and_what_was_told_is_made_durable_with_it() -> None:
    device = online(2, outbox_reports_max=2)
    device.ack(2)
    fx = device.measure()
    assert fx.counts == {
        ("reports_produced_total", ""): 1,
        ("reports_unprotected_total", ""): 1,
    }
    assert json.loads(device.disk["device", "d-1"])["mark"]["told_applied"] == 2


def test_a_state_that_waited_for_room_is_stored_with_the_acknowledgement_that_makes_it() -> None:
    device = online(1, outbox_reports_max=1)
    assert device.measure(9.0).writes == []
    assert windows(device.ack(1))[0].reports[0].features == {"level_m": 9.0}


def test_live_values_are_sent_at_once_and_never_stored() -> None:
    device = online()
    fx = device.handle(Sample("d-1", 5, {}, {"wave": 0.5}))
    assert fx.writes == []
    (send,) = fx.sends
    live = messages.parse(messages.LIVE, send.payload)
    assert (send.topic, send.retain) == (topics.live("e-1", "d-1"), False)
    assert (live.observed_ms, live.features) == (5, {"wave": 0.5})
    device.handle(Disconnected())
    assert device.handle(Sample("d-1", 6, {}, {"wave": 0.6})).sends == []


def test_values_that_cannot_be_used_are_counted_and_the_rest_is_reported() -> None:
    device = online()
    values = {"level_m": float("nan"), "valve": True, "unknown": 1, "wave": "high"}
    fx = device.handle(Sample("d-1", 0, values))
    assert fx.counts[("samples_refused_total", "")] == 3
    assert windows(fx)[0].reports[0].features == {"level_m": None, "valve": True, "wave": None}
    assert device.handle(Sample("d-1", 0, {"unknown": 1})).writes == []


# --- routes and sessions ------------------------------------------------------------------------


def test_only_an_assignment_to_a_larger_epoch_is_followed() -> None:
    device = online(1)
    assert seqs(device.assign("e-2", 1)) == []
    fx = device.assign("e-2", 2)
    assert seqs(fx) == [1]
    assert fx.sends[0].topic == topics.report("e-2", "d-1")
    assert device.assign("e-1", 1).sends == []
    assert device.measure().sends[0].topic == topics.report("e-2", "d-1")


def test_g4_a_restart_does_not_bring_a_former_owner_back_though_nothing_was_measured() -> None:
    device = online(1)
    fx = device.assign("e-2", 2)
    assert fx.writes == [], "the new owner does not wait for it"
    device.handle()
    device.start()
    device.handle(Connected())
    assert device.command(9).acts == []


def test_a_new_owner_that_is_behind_gets_what_it_lacks() -> None:
    device = online(3)
    device.ack(3, stable=1)
    device.assign("e-2", 2)
    fx = device.ack(1, edge="e-2", epoch=2, stable=1)
    assert seqs(fx) == []  # it was sent with the assignment: the pause has begun
    assert seqs(device.wake()) == [2, 3]


def test_another_edge_makes_rows_stable_and_nothing_else() -> None:
    device = online(3)
    fx = device.ack(3, edge="e-2", epoch=1, stable=2)
    assert fx.counts == {("fenced_total", "ack"): 1}
    assert seqs(device.wake()) == [3]
    device.ack(3, epoch=2, stable=3)
    assert states(device.handle(Connected()))[0]["counters"]["outbox_rows"] == 0


def test_an_edge_that_speaks_for_another_is_not_believed() -> None:
    device = online(3)
    lie = ReportAck(edge="e-1", epoch=1, session=SESSION, applied=3, stable=3)
    fx = device.hear("ack", lie, edge="e-2")
    assert fx.counts == {("rejects_total", "wrong_sender"): 1}
    order = Command(edge="e-1", epoch=1, number=1, kind="stop", valid_for_s=1.0)
    assert device.hear("command", order, edge="e-2").acts == []
    assert seqs(device.wake()) == [1, 2, 3]


def test_an_edge_that_knows_a_larger_session_makes_a_fresh_device_renumber() -> None:
    device = online(2)
    fx = device.ack(40, session=SESSION + 5)
    (window,) = windows(fx)
    assert window.session == NEXT
    assert [report.seq for report in window.reports] == [1, 2]
    assert window.reports[0].description == DESCRIPTION
    assert fx.counts[("sessions_opened_total", "")] == 1
    assert json.loads(device.disk["device", "d-1"])["mark"]["session"] == NEXT
    assert all(key.startswith(f"d-1/{NEXT}/") for kind, key in device.disk if kind == "outbox")


def test_a_restored_disk_is_noticed_and_opens_a_new_session() -> None:
    device = online(2)
    backup = dict(device.disk)
    for _ in range(3):
        device.measure()
    device.ack(5)
    device.disk = backup
    device.start()
    device.handle(Connected())
    (window,) = windows(device.ack(5))
    assert (window.session, len(window.reports)) == (NEXT, 2)


def test_g5_a_device_overtaken_by_a_lost_store_goes_on_above_it() -> None:
    device = online(3)
    device.ack(2)
    fx = device.ack(40, session=SESSION + 5, former=(SESSION, 2))
    (window,) = windows(fx)
    assert (window.session, fx.stop) == (NEXT, None)
    assert fx.counts[("reports_unprotected_total", "")] == 1
    assert [report.seq for report in window.reports] == [1, 2]


def test_g2_an_overtaken_device_repeats_no_report_but_its_newest_state() -> None:
    device = online()
    for level_m in (1.0, 2.0, 3.0):
        device.measure(level_m)
    (window,) = windows(device.ack(7, session=SESSION + 5, former=(SESSION, 2)))
    assert [report.features["level_m"] for report in window.reports] == [2.0, 3.0]


def test_a_device_that_another_agent_answers_again_and_again_halts_and_says_why() -> None:
    device = online(1)
    for _ in range(OVERTAKEN_MAX):
        device.ack(1, session=device.session)
        assert device.ack(1, session=device.session + 9).stop is None
    device.ack(1, session=device.session)
    fx = device.ack(1, session=device.session + 9)
    assert fx.stop is not None
    assert "another agent with this id" in fx.stop
    assert fx.notes[0].level == "error"
    for silent in (
        device.measure(),
        device.handle(Connected()),
        device.assign("e-2", 9),
        device.command(1),
        device.handle(),
    ):
        assert (silent.sends, silent.acts, silent.writes) == ([], [], [])


def test_a_renumbered_device_is_not_taken_for_another_agent() -> None:
    device = online(2)
    device.ack(0, session=SESSION + 5)
    fx = device.ack(0, session=NEXT + 7)
    assert fx.stop is None
    assert windows(fx)[0].session == NEXT + 2**20


# --- presence and refusals ---------------------------------------------------------------------


def test_a_device_says_that_it_is_there_when_connected_and_before_readers_call_it_lost() -> None:
    device = online(1, via="d-host")
    device.ack(1)
    (state,) = states(device.handle(Connected()))
    assert state["state"] == "online"
    assert (state["epoch"], state["session"], state["via"]) == (1, SESSION, "d-host")
    assert state["counters"] == {"reports_produced_total": 1, "outbox_rows": 1}
    before_s = device.now_s
    assert states(device.wake())[0]["state"] == "online"
    assert device.now_s - before_s <= HEARTBEAT_PERIOD_S


def test_everything_that_devices_are_said_to_count_is_on_their_status() -> None:
    device = Device(outbox_reports_max=1)
    for _ in range(2):
        device.measure("nonsense")
    device.handle(Connected())
    device.assign("e-1", 1)
    device.handle()
    device.wake()
    device.ack(40, session=SESSION + 5)
    device.ack(1, session=NEXT)
    device.measure()
    device.hear("error", Refusal(code="not_finite", message="NaN"))
    device.ack(1, edge="e-2")
    device.handle(Message(topics.assign("d-1"), b"{"))
    (state,) = states(device.handle(Stopping()))
    declared = {metric.name for metric in METRICS if metric.by_devices}
    assert set(state["counters"]) == declared | {"outbox_rows"}


def test_a_device_that_stops_saves_its_mark_and_says_goodbye() -> None:
    device = online(2)
    device.ack(2, stable=1)
    fx = device.handle(Stopping())
    assert states(fx)[0]["state"] == "offline"
    assert json.loads(device.disk["device", "d-1"])["mark"]["stable"] == 1
    device.handle(Disconnected())
    assert device.handle(Stopping()).sends == []


def test_a_disconnected_device_waits_for_the_connection_alone() -> None:
    device = online(1)
    fx = device.handle(Disconnected())
    assert fx.wake_in_s is None
    assert device.handle().sends == []


def test_a_refusal_of_the_edge_is_logged_and_counted() -> None:
    refusal = Refusal(code="not_finite", message="NaN", pointer="/reports/0")
    fx = online().hear("error", refusal)
    assert fx.counts == {("refusals_heard_total", ""): 1}
    assert fx.notes[0].text == "d-1: e-1 refused /reports/0: NaN (not_finite)"


def test_a_description_too_large_for_a_twin_is_our_own_mistake() -> None:
    large = Description(features={f"f{n}": FeatureSpec(type="string") for n in range(100)})
    with pytest.raises(AssertionError, match="described as"):
        DeviceMachine("d-1", large)
