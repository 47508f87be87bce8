"""A fleet whose link carries less than the fleet says: it is late, and does not get later.

In virtual time: the machines and the queue are the real ones, the link carries some messages
a second, and the edge acknowledges what it has applied.
"""

import pytest

from device_agent.fleet import FleetMachine
from device_agent.machine import DeviceMachine
from tests.device_agent.a_device import DESCRIPTION, SESSION, WALL_MS
from twin_runtime.core import messages, topics
from twin_runtime.core.effects import Connected, Event, Message, Now, Sample, Send
from twin_runtime.core.messages import Assignment, ReportAck
from twin_runtime.core.outgoing import Outgoing

DEVICES = [f"d-{number}" for number in range(60)]
STEP_S = 0.05
SLOW, FAST = 1, 12  # messages in a step: a third of what the fleet says at first, and four times
STEPS = 1_200  # a minute


class Fleet:
    """Devices that report once a second, the link that they share, and their edge."""

    def __init__(self, *, repetitions_replace: bool) -> None:
        self.machine = FleetMachine([DeviceMachine(twin, DESCRIPTION) for twin in DEVICES])
        self.machine.restore([], Now(0.0, WALL_MS))
        self.replace = repetitions_replace
        self.queue = Outgoing()
        self.applied = dict.fromkeys(DEVICES, 0)
        route = messages.encode(Assignment(edge="e-1", epoch=1))
        self.heard: list[Event] = [Connected()]
        self.heard += [Message(topics.assign(twin), route) for twin in DEVICES]
        self.step_number = 0

    def step(self, per_step: int) -> None:
        """Let 50 ms pass on a link that carries `per_step` messages meanwhile."""
        now = Now(self.step_number * STEP_S, WALL_MS + round(1000 * self.step_number * STEP_S))
        due = DEVICES[self.step_number % 20 :: 20]
        samples = [Sample(twin, now.wall_ms, {"level_m": 1.0}) for twin in due]
        fx = self.machine.handle([*self.heard, *samples], now)
        for send in fx.sends:
            assert self.queue.put(send._replace(again=send.again and self.replace))
        self.heard = [ack for send in self.queue.take(per_step) for ack in self.apply(send)]
        self.queue.left()
        self.step_number += 1

    def apply(self, send: Send) -> list[Event]:
        topic = topics.parse(send.topic)
        if topic.verb != "report":
            return []
        for report in messages.parse(messages.WINDOW, send.payload).reports:
            if report.seq == self.applied[topic.twin] + 1:
                self.applied[topic.twin] = report.seq
        ack = ReportAck(
            edge="e-1", epoch=1, session=SESSION, applied=self.applied[topic.twin], stable=0
        )
        return [Message(topics.down(topic.twin, "e-1", "ack"), messages.encode(ack))]

    def slow_then_fast(self) -> None:
        for _ in range(STEPS):
            self.step(SLOW)
        self.waiting = len(self.queue)
        self.steps_to_recover = 0
        while self.queue:
            assert self.steps_to_recover < STEPS
            self.step(FAST)
            self.steps_to_recover += 1


@pytest.fixture(scope="module")
def fleets() -> tuple[Fleet, Fleet]:
    """What comes of a slow link where repetitions replace, and where they wait, too."""
    fleets = Fleet(repetitions_replace=True), Fleet(repetitions_replace=False)
    for fleet in fleets:
        fleet.slow_then_fast()
    return fleets


def test_g7_copies_do_not_wait_behind_each_other(fleets: tuple[Fleet, Fleet]) -> None:
    fleet, copying = fleets
    assert fleet.waiting < 4 * len(DEVICES)
    assert copying.waiting > 10 * fleet.waiting  # or this test shows nothing


def test_g7_an_overload_ends_soon_after_its_cause(fleets: tuple[Fleet, Fleet]) -> None:
    fleet, copying = fleets
    assert fleet.steps_to_recover * STEP_S < 2.0
    assert copying.steps_to_recover > 10 * fleet.steps_to_recover


def test_g2_what_was_replaced_is_applied_once_and_in_order(fleets: tuple[Fleet, Fleet]) -> None:
    fleet, _ = fleets
    reported_s = round(fleet.step_number * STEP_S)
    assert min(fleet.applied.values()) >= reported_s - 1
    assert max(fleet.applied.values()) <= reported_s + 1
