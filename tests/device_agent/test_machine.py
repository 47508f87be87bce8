"""A device as a machine: it stores before it sends, repeats until it is heard, and obeys once."""

import json
from typing import Any

import pytest

from device_agent.fleet import FleetMachine
from device_agent.machine import DeviceMachine
from twin_runtime.adapters.metrics import METRICS
from twin_runtime.core import messages, topics
from twin_runtime.core.effects import (
    Act,
    Acted,
    Connected,
    Delete,
    Disconnected,
    Effects,
    Event,
    Message,
    Now,
    Put,
    Row,
    Sample,
    Stopping,
)
from twin_runtime.core.limits import (
    COMMANDS_OBEYING_MAX,
    DESIRED_PER_TWIN_MAX,
    HEARTBEAT_PERIOD_S,
    RETRY_FIRST_S,
    RETRY_LAST_S,
    STRING_CHARS_MAX,
    WINDOW_REPORTS_MAX,
)
from twin_runtime.core.messages import (
    Assignment,
    Command,
    Description,
    Desired,
    DesiredValue,
    FeatureSpec,
    Refusal,
    ReportAck,
    Window,
    Wire,
)

DESCRIPTION = Description(
    features={
        "level_m": FeatureSpec(type="number"),
        "valve": FeatureSpec(type="boolean", writable=True),
        "wave": FeatureSpec(type="number", live=True),
    }
)
WALL_MS = 1_750_000_000_000
SESSION = WALL_MS // 1000 << 20  # the first guess of a device without memory
NEXT = SESSION + 2**20  # the next one of the same store
ROUTED = Assignment(edge="e-1", epoch=1)
VALVE = "features/valve/value"


class Device:
    """A device machine, its clock and its disk: effects are committed as the shell does it."""

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.disk: dict[tuple[str, str], bytes] = {}
        self.now_s = 0.0
        self.start()

    def start(self) -> Effects:
        """Begin anew from the disk alone."""
        self.one = DeviceMachine("d-1", DESCRIPTION, **self.options)
        self.machine = FleetMachine([self.one])
        rows = [Row(kind, key, value) for (kind, key), value in sorted(self.disk.items())]
        return self.commit(self.machine.restore(rows, self.now))

    @property
    def now(self) -> Now:
        return Now(self.now_s, WALL_MS + round(1000 * self.now_s))

    def handle(self, *events: Event) -> Effects:
        return self.commit(self.machine.handle(events, self.now))

    def commit(self, fx: Effects) -> Effects:
        for write in fx.writes:
            match write:
                case Put(kind, key, value):
                    self.disk[kind, key] = value
                case Delete(kind, key):
                    self.disk.pop((kind, key), None)
        return fx

    def measure(self, level_m: Any = 1.0, **live: Any) -> Effects:
        return self.handle(Sample("d-1", round(1000 * self.now_s), {"level_m": level_m}, live))

    def hear(self, verb: str, message: Wire, edge: str = "e-1") -> Effects:
        return self.handle(Message(topics.down("d-1", edge, verb), messages.encode(message)))

    def assign(self, edge: str, epoch: int) -> Effects:
        assignment = Assignment(edge=edge, epoch=epoch)
        return self.handle(Message(topics.assign("d-1"), messages.encode(assignment)))

    def ack(self, applied: int, **fields: Any) -> Effects:
        ack = {"edge": "e-1", "epoch": 1, "session": SESSION, "stable": 0, **fields}
        return self.hear("ack", ReportAck(applied=applied, **ack), edge=ack["edge"])

    def command(self, number: int, **fields: Any) -> Effects:
        order = {"edge": "e-1", "epoch": 1, "kind": "stop", "valid_for_s": 10.0, **fields}
        return self.hear("command", Command(number=number, **order), edge=order["edge"])

    def desire(self, number: int, value: Any, **fields: Any) -> Effects:
        wish = {"edge": "e-1", "epoch": 1, **fields}
        entries = {VALVE: DesiredValue(number=number, value=value)}
        return self.hear("desired", Desired(entries=entries, **wish), edge=wish["edge"])

    def wake(self) -> Effects:
        """Let time pass until the machine is due."""
        self.now_s = self.one.due_s
        return self.handle()


def online(reports: int = 0, **options: Any) -> Device:
    device = Device(**options)
    device.handle(Connected())
    device.assign("e-1", 1)
    for _ in range(reports):
        device.measure()
    return device


def windows(fx: Effects) -> list[Window]:
    return [
        messages.parse(messages.WINDOW, send.payload)
        for send in fx.sends
        if send.topic.endswith("/report")
    ]


def seqs(fx: Effects) -> list[int]:
    return [report.seq for window in windows(fx) for report in window.reports]


def states(fx: Effects) -> list[dict[str, Any]]:
    return [json.loads(send.payload) for send in fx.sends if send.topic == topics.status("d-1")]


def outcomes(fx: Effects) -> list[tuple[str, str, str]]:
    """What a device reports of orders: path, outcome, reason; from the rows it commits."""
    rows = [messages.load(write.value) for write in fx.writes if write.kind == "outbox"]  # type: ignore[union-attr]
    return [
        (path, each["outcome"], each["reason"])
        for row in rows
        for path, each in row.get("outcomes", {}).items()
    ]


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


def test_an_acknowledgement_is_measured_from_the_moment_of_the_report() -> None:
    device = online(1)
    device.now_s += 0.25
    assert device.ack(1).observed == [("ack_latency_seconds", 0.25)]
    assert device.ack(1).observed == []


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
    assert all(key.startswith(f"d-1/{NEXT}/") for kind, key in device.disk if kind != "device")


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


def test_an_agent_whose_id_is_taken_over_halts_and_says_why() -> None:
    device = online(1)
    device.ack(1)
    fx = device.ack(1, session=SESSION + 9)
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


# --- obeying ----------------------------------------------------------------------------------


def test_a_command_is_marked_obeyed_in_the_commit_before_the_act() -> None:
    device = online()
    fx = device.command(3, arguments={"speed": 1.5}, valid_for_s=4.0)
    assert fx.acts == [Act("d-1", "commands/stop", 3, {"speed": 1.5}, device.now_s + 4.0)]
    (put,) = fx.writes
    assert isinstance(put, Put)
    assert json.loads(put.value)["obeyed"] == [1, 3]


def test_a_command_is_obeyed_once_even_across_a_restart() -> None:
    device = online()
    device.command(3)
    assert device.command(3).acts == []
    assert device.command(2).acts == []
    device.start()
    device.handle(Connected())
    fx = device.command(3)
    assert fx.acts == []
    assert fx.counts[("fenced_total", "command")] == 1
    assert len(device.command(4).acts) == 1


@pytest.mark.parametrize("edge, epoch", [("e-2", 1), ("e-1", 2), ("e-2", 2)])
def test_only_the_assigned_edge_at_its_epoch_is_obeyed(edge: str, epoch: int) -> None:
    device = online()
    assert device.command(1, edge=edge, epoch=epoch).acts == []
    assert device.desire(1, value=True, edge=edge, epoch=epoch).acts == []


def test_numbers_of_commands_begin_again_with_an_epoch() -> None:
    device = online()
    device.command(9)
    device.assign("e-2", 2)
    assert len(device.command(1, edge="e-2", epoch=2).acts) == 1


def test_what_became_of_a_command_is_reported_with_its_number() -> None:
    device = online()
    device.command(3)
    fx = device.handle(Acted("d-1", "commands/stop", 3, "done"))
    assert outcomes(fx) == [("commands/stop", "done", "")]
    assert windows(fx)[0].reports[0].obeyed == (1, 3)
    assert outcomes(device.start()) == []


def test_a_command_that_a_crash_cut_off_is_reported_as_interrupted_and_not_repeated() -> None:
    device = online()
    device.command(3)
    fx = device.start()
    ((path, outcome, reason),) = outcomes(fx)
    assert (path, outcome) == ("commands/stop", "rejected")
    assert "interrupted by a restart" in reason
    assert fx.acts == []
    assert outcomes(device.start()) == []


def test_a_command_beyond_the_bound_is_rejected_with_the_reason_and_never_carried_out() -> None:
    device = online()
    for number in range(1, COMMANDS_OBEYING_MAX + 1):
        device.command(number)
    fx = device.command(number := COMMANDS_OBEYING_MAX + 1)
    reason = f"{COMMANDS_OBEYING_MAX} commands are unfinished: wait until one has ended"
    assert fx.acts == []
    assert outcomes(fx) == [("commands/stop", "rejected", reason)]
    assert windows(fx)[0].reports[0].obeyed == (1, number)
    again = device.command(number)
    assert (again.acts, outcomes(again)) == ([], [])
    device.handle(Acted("d-1", "commands/stop", 7, "done"))
    assert len(device.command(number + 1).acts) == 1
    cut_off = outcomes(device.start())
    assert len(cut_off) == COMMANDS_OBEYING_MAX
    assert all("interrupted by a restart" in why for _, _, why in cut_off)


def test_an_answer_to_an_earlier_command_leaves_the_current_one_open() -> None:
    device = online()
    device.command(3)
    device.command(4)
    device.handle(Acted("d-1", "commands/stop", 3, "done"))
    ((_, outcome, _),) = outcomes(device.start())
    assert outcome == "rejected"


def test_a_reason_longer_than_a_text_may_be_does_not_block_the_reports() -> None:
    device = online()
    fx = device.handle(Acted("d-1", "commands/stop", 1, "rejected", "x" * 1_000))
    (window,) = windows(fx)
    assert window.reports[0].outcomes["commands/stop"].reason == "x" * STRING_CHARS_MAX


def test_a_desired_value_is_carried_out_once_and_again_after_every_start() -> None:
    device = online()
    act = Act("d-1", VALVE, 5, value=True)
    assert device.desire(5, value=True).acts == [act]
    assert device.desire(5, value=True).acts == []
    assert device.desire(4, value=False).acts == []
    assert device.start().acts == [act]


def test_a_new_owner_is_obeyed_though_its_revisions_are_lower() -> None:
    device = online()
    device.desire(20, value=True)
    device.assign("e-2", 2)
    fx = device.desire(15, value=False, edge="e-2", epoch=2)
    assert fx.acts == [Act("d-1", VALVE, 15, value=False)]


def test_a_device_remembers_a_bounded_number_of_desired_values() -> None:
    device = online()
    for number in range(1, DESIRED_PER_TWIN_MAX + 10):
        entries = {f"features/f{number}/value": DesiredValue(number=number, value=1)}
        device.hear("desired", Desired(edge="e-1", epoch=1, entries=entries))
    remembered = json.loads(device.disk["device", "d-1"])["desired"]
    assert len(remembered) == DESIRED_PER_TWIN_MAX
    assert f"features/f{DESIRED_PER_TWIN_MAX + 9}/value" in remembered


@pytest.mark.parametrize(
    "path, value, reason",
    [
        (VALVE, True, ""),
        (VALVE, 1, "takes a boolean"),
        ("features/level_m/value", 1.0, "not writable"),
        ("features/gone/value", 1.0, "not writable"),
        ("commands/stop", {}, ""),
        ("attributes/site", "x", "not a desired path"),
    ],
)
def test_what_no_source_could_do_is_refused(path: str, value: Any, reason: str) -> None:
    assert reason in DeviceMachine("d-1", DESCRIPTION).refuse(Act("d-1", path, 1, value))


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
