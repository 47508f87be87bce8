"""Many devices in one machine: each hears its own, wakes at its own time, and stops alone."""

import pytest

from device_agent.fleet import FleetMachine
from device_agent.machine import DeviceMachine
from twin_runtime.core import messages, topics
from twin_runtime.core.effects import (
    Act,
    Acted,
    Connected,
    Disconnected,
    Effects,
    Event,
    Message,
    Now,
    Put,
    Row,
    Sample,
    Send,
    Stopping,
)
from twin_runtime.core.limits import HEARTBEAT_PERIOD_S, OVERTAKEN_MAX, RETRY_FIRST_S
from twin_runtime.core.messages import Assignment, Description, FeatureSpec, ReportAck
from twin_runtime.core.outbox import next_session

DESCRIPTION = Description(features={"level_m": FeatureSpec(type="number")})
SESSION = 1_000 << 20


def new_fleet(count: int) -> FleetMachine:
    return FleetMachine([DeviceMachine(f"d-{number}", DESCRIPTION) for number in range(count)])


def now(monotonic_s: float = 0.0) -> Now:
    return Now(monotonic_s, 1_000_000)


def assigned(number: int, epoch: int = 1) -> Message:
    payload = messages.encode(Assignment(edge="e-1", epoch=epoch))
    return Message(topics.assign(f"d-{number}"), payload)


def acked(number: int, applied: int, session: int | None = None) -> Message:
    ack = ReportAck(edge="e-1", epoch=1, session=session or SESSION, applied=applied, stable=0)
    return Message(topics.down(f"d-{number}", "e-1", "ack"), messages.encode(ack))


def overtaken(fleet: FleetMachine, number: int) -> Effects:
    """Let another agent answer each session of a device, until the device gives way."""
    session, fx = SESSION, Effects()
    for _ in range(OVERTAKEN_MAX + 1):
        fleet.handle([acked(number, 1, session)], now())
        fx = fleet.handle([acked(number, 1, session + 9)], now())
        session = next_session(session + 9, session)
    return fx


def measured(number: int) -> Sample:
    return Sample(f"d-{number}", 0, {"level_m": 1.0})


def online(count: int) -> FleetMachine:
    fleet = new_fleet(count)
    fleet.restore([], now())
    events: list[Event] = [Connected(), *(assigned(number) for number in range(count))]
    fleet.handle(events, now())
    fleet.handle([], now())  # routes are stored
    return fleet


def test_a_fleet_that_is_back_takes_back_what_the_broker_said_for_it() -> None:
    fleet = FleetMachine([DeviceMachine(f"d-{n}", DESCRIPTION, via="d-fleet") for n in range(2)])
    fleet.restore([], now())
    fx = fleet.handle([Connected()], now())
    assert fx.sends[0] == Send(topics.status("d-fleet"), b"", retain=True)
    assert [send.topic for send in fx.sends if send.topic == topics.status("d-fleet")] == [
        topics.status("d-fleet")
    ]


def reporting(fx: Effects) -> list[str]:
    """Who sends a window, in order."""
    parsed = [topics.parse(send.topic) for send in fx.sends]
    return [topic.twin for topic in parsed if topic.verb == "report"]


def test_each_event_reaches_the_device_it_names() -> None:
    fleet = online(3)
    assert reporting(fleet.handle([measured(1)], now())) == ["d-1"]
    fx = fleet.handle([Acted("d-2", "commands/stop", 1, "done")], now())
    assert reporting(fx) == ["d-2"]


def test_events_of_devices_that_live_elsewhere_are_left_alone() -> None:
    fleet = online(1)
    elsewhere: list[Event] = [assigned(7), measured(7), Acted("d-7", "commands/stop", 1, "done")]
    fx = fleet.handle(elsewhere, now())
    assert (fx.writes, fx.sends, fx.counts) == ([], [], {})


def test_one_batch_of_many_devices_is_one_commit() -> None:
    fx = online(50).handle([measured(number) for number in range(50)], now())
    assert len({write.key for write in fx.writes if write.kind == "outbox"}) == 50  # type: ignore[union-attr]
    assert len(reporting(fx)) == 50


@pytest.mark.parametrize(
    "topic, payload, code",
    [
        ("dt/v1/nonsense", b"", "bad_topic"),
        (topics.assign("d-0"), b"{", "not_json"),
        (topics.down("d-0", "e-1", "ack"), b"{}", "bad_value"),
    ],
)
def test_g9_nonsense_is_counted_and_every_device_goes_on(
    topic: str, payload: bytes, code: str
) -> None:
    fleet = online(1)
    fx = fleet.handle([Message(topic, payload), measured(0)], now())
    assert fx.counts[("rejects_total", code)] == 1
    assert fx.notes[0].level == "warning"
    assert reporting(fx) == ["d-0"]


def test_a_device_says_on_its_status_what_it_refused_and_no_other_does() -> None:
    fleet = online(2)
    strange = messages.encode(ReportAck(edge="e-9", epoch=1, session=SESSION, applied=1, stable=0))
    fleet.handle(
        [
            Message(topics.assign("d-0"), b"{"),
            Message(topics.down("d-0", "e-9", "ack"), strange),
            Message(topics.down("d-0", "e-9", "ack"), strange),
        ],
        now(),
    )
    said = [messages.parse(messages.STATUS, send.payload).counters
            for send in fleet.handle([Stopping()], now()).sends]  # fmt: skip
    refused = {"rejects_by_devices_total": 1, "fenced_by_devices_total": 2}
    assert said == [{**refused, "outbox_rows": 0}, {"outbox_rows": 0}]


def test_a_restart_gives_each_device_its_own_rows() -> None:
    fleet = online(3)
    fx = fleet.handle([measured(0), measured(2), measured(2)], now())
    rows = [Row(*write) for write in fx.writes if isinstance(write, Put)]
    again = new_fleet(3)
    again.restore([*rows, Row("outbox", "d-77/1/1", b"of a device that moved away")], now())
    sends = again.handle([Connected()], now()).sends
    windows = [send for send in sends if send.topic.endswith("/report")]
    assert [
        (send.topic, len(messages.parse(messages.WINDOW, send.payload).reports)) for send in windows
    ] == [(topics.report("e-1", "d-0"), 1), (topics.report("e-1", "d-2"), 2)]


def test_a_device_wakes_at_its_own_time_and_the_others_sleep() -> None:
    fleet = online(3)
    fx = fleet.handle([measured(0)], now())
    assert fx.wake_in_s is not None
    assert RETRY_FIRST_S <= fx.wake_in_s <= 1.25 * RETRY_FIRST_S
    fx = fleet.handle([measured(1)], now(0.3))
    assert reporting(fleet.handle([], now(fx.wake_in_s + 0.3 if fx.wake_in_s else 0.0))) == ["d-0"]


def test_a_quiet_fleet_sleeps_until_the_next_heartbeat() -> None:
    fleet = online(3)
    fleet.handle([measured(0)], now())
    fx = fleet.handle([acked(0, 1)], now(0.01))
    assert fx.wake_in_s is not None
    assert fx.wake_in_s > 0.7 * HEARTBEAT_PERIOD_S


def test_a_device_that_is_put_off_again_and_again_leaves_no_trail() -> None:
    fleet = online(2)
    for seq in range(1, 500):
        fleet.handle([measured(0)], now(seq / 100))
        fleet.handle([acked(0, seq)], now(seq / 100))
    assert fleet._agenda.entries < 100
    fx = fleet.handle([], now(HEARTBEAT_PERIOD_S))
    assert sorted(send.topic for send in fx.sends) == [topics.status("d-0"), topics.status("d-1")]


def test_a_disconnected_fleet_waits_for_its_connection_alone() -> None:
    fleet = online(3)
    assert fleet.handle([Disconnected()], now()).wake_in_s is None


def test_a_fleet_goes_on_without_a_halted_device_and_stops_with_the_last_one() -> None:
    fleet = online(2)
    fleet.handle([measured(0), measured(1)], now())
    assert overtaken(fleet, 0).stop is None
    assert reporting(fleet.handle([measured(0), measured(1)], now())) == ["d-1"]
    assert overtaken(fleet, 1).stop is not None


def test_the_device_itself_refuses_what_its_source_could_not_do() -> None:
    assert "not writable" in new_fleet(1).refuse(Act("d-0", "features/level_m/value", 1, 2.0))


def test_every_device_says_goodbye() -> None:
    fx = online(3).handle([Stopping()], now())
    assert sorted(send.topic for send in fx.sends) == [topics.status(f"d-{n}") for n in range(3)]


def test_the_newest_observation_of_all_devices_is_where_a_source_goes_on() -> None:
    fleet = online(2)
    assert fleet.newest_observed_ms() == {}
    fleet.handle([Sample("d-1", 77, {"level_m": 1.0})], now())
    assert fleet.newest_observed_ms() == {"d-1": 77}
