"""A device that its agent is not asked to run any more owes what it was acknowledged."""

import json

from device_agent.fleet import FleetMachine
from device_agent.former import FormerDevice
from device_agent.machine import DeviceMachine
from tests.device_agent.a_device import (
    DESCRIPTION,
    NEXT,
    SESSION,
    Device,
    online,
    outcomes,
    seqs,
    states,
    windows,
)
from twin_runtime.core import messages, topics
from twin_runtime.core.effects import Act, Acted, Connected, Effects, Message, Stopping
from twin_runtime.core.limits import HEARTBEAT_PERIOD_S
from twin_runtime.core.messages import ReportAck


def former(device: Device) -> Device:
    """`device` after its agent was started without it."""
    device.kind = FormerDevice
    device.start()
    return device


def heard(fx: Effects) -> list[tuple[int, int]]:
    """The session and the number of reports of each window."""
    return [(window.session, len(window.reports)) for window in windows(fx)]


def after_beats(device: Device, beats: int) -> Device:
    """`device` after so many heartbeats and whatever else was due until then."""
    end_s = device.now_s + beats * HEARTBEAT_PERIOD_S
    while device.one.due_s <= end_s:
        device.wake()
    return device


def test_what_was_acknowledged_and_is_not_stable_is_sent_to_the_next_owner() -> None:
    device = online(reports=3)
    device.ack(3, stable=1)
    device.measure()
    device = former(device)
    assert seqs(device.handle(Connected())) == [2, 3, 4]
    assert seqs(device.assign("e-2", 2)) == [2, 3, 4]


def test_it_is_offline_and_kept_while_the_cloud_does_not_hold_all() -> None:
    device = former(online(reports=3))
    assert [said["state"] for said in states(device.handle(Connected()))] == ["offline"]
    device.ack(3, stable=2)
    assert not after_beats(device, 5).one.gone  # type: ignore[attr-defined]
    assert device.disk.keys() >= {("device", "d-1"), ("outbox", f"d-1/{SESSION}/3")}


def test_it_is_forgotten_once_the_cloud_holds_all() -> None:
    device = former(online(reports=3))
    device.handle(Connected())
    device.ack(3, stable=3)
    after_beats(device, 2)
    assert (device.machine.twins, device.disk) == ([], {})
    late = Act("d-1", "features/valve/value", 1, value=True)
    assert "not asked" in device.machine.refuse(late)
    assert device.handle(Acted("d-1", late.path, 1, "rejected", "x")).writes == []


def test_one_that_owes_nothing_still_says_that_it_is_offline() -> None:
    device = online(reports=1)
    device.ack(1, stable=1)
    device.handle(Stopping())
    device = former(device)
    assert states(device.handle(Connected()))[0]["state"] == "offline"
    assert after_beats(device, 2).disk == {}


def test_what_was_wanted_of_it_is_not_set_again_and_what_is_now_is_refused() -> None:
    device = online(reports=1)
    device.desire(1, 1)
    device.kind = FormerDevice
    assert device.start().acts == []
    device.handle(Connected())
    act, *_ = device.desire(2, 0).acts
    why = device.machine.refuse(act)
    assert "not asked" in why
    told = device.handle(Acted("d-1", act.path, act.number, "rejected", why))
    assert outcomes(told) == [(act.path, "rejected", why)]


def test_it_gives_way_at_once_to_who_runs_the_device_now_and_others_go_on() -> None:
    device = online(reports=2)
    device.kind = FormerDevice
    device.start()
    other = DeviceMachine("d-2", DESCRIPTION)
    device.machine = FleetMachine([other, device.one])
    device.handle(Connected())
    fx = device.ack(1, session=NEXT)
    assert "another agent" in device.one.halted
    assert (windows(fx), fx.stop) == ([], None)


def test_a_new_owner_that_knows_nothing_hears_what_it_is() -> None:
    device = online(reports=2)
    device.ack(2, stable=1)
    device = former(device)
    device.handle(Connected())
    device.assign("e-2", 2)
    ack = ReportAck(edge="e-2", epoch=2, session=SESSION, applied=9, stable=0)
    topic = topics.down("d-1", "e-2", "ack")
    fx = device.handle(Message(topic, messages.encode(ack)))
    first = json.loads(device.disk["outbox", f"d-1/{NEXT}/1"])
    assert first["description"] == DESCRIPTION.model_dump(exclude_none=True)
    assert heard(fx) == [(NEXT, 2)]
