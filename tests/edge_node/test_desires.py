"""Desired values: said at once, again until the device answers, and again where it comes online."""

from typing import Any

from tests.edge_node.an_edge import Edge, activate, owning, release
from twin_runtime.core import messages, topics
from twin_runtime.core.effects import (
    Asked,
    Connected,
    Disconnected,
    Edit,
    Effects,
    Message,
)
from twin_runtime.core.limits import DESIRED_RETRY_FIRST_S, DESIRED_RETRY_LAST_S
from twin_runtime.core.messages import (
    Description,
    Desired,
    DesiredValue,
    FeatureSpec,
    Outcome,
    Snapshot,
    StateReport,
    Window,
)

PERIOD = "features/period_s/value"
DESCRIPTION = Description(
    features={
        "period_s": FeatureSpec(type="number", writable=True),
        "mode": FeatureSpec(type="string", writable=True),
    }
)


def want(value: Any, feature: str = "period_s", twin: str = "d-1") -> Asked:
    path = ("features", feature, "desiredProperties", "value")
    return Asked(7, Edit(twin, "put", path, value))


def reports(seq: int, path: str = "", epoch: int = 1, **outcome: Any) -> Message:
    """A report of `d-1`, with what became of an entry."""
    outcomes = {path: Outcome(**outcome)} if path else {}
    described = DESCRIPTION if seq == 1 else None
    said = StateReport(seq=seq, observed_ms=seq, description=described, outcomes=outcomes)
    window = Window(epoch=epoch, session=7, reports=(said,))
    return Message(topics.report("e-1", "d-1"), messages.encode(window))


def online(twin: str = "d-1") -> Message:
    return Message(topics.status(twin), messages.encode(messages.Status(state="online")))


def said(fx: Effects) -> list[Desired]:
    return [
        messages.parse(messages.DESIRED, send.payload)
        for send in fx.sends
        if topics.parse(send.topic).verb == "desired"
    ]


def wanting(value: Any = 2.0) -> Edge:
    """An edge that has told `d-1` what is wanted of it; it was revision 1, and is 2."""
    edge = owning("d-1")
    edge.handle(reports(1))
    (desired,) = said(edge.handle(want(value)))
    assert desired.entries == {PERIOD: DesiredValue(number=2, value=value)}
    assert (desired.edge, desired.epoch) == ("e-1", 1)
    return edge


def waits_s(edge: Edge, rounds: int) -> list[float]:
    """After which waits it is said again."""
    found: list[float] = []
    last_s = edge.now_s
    for _ in range(rounds):
        while not said(edge.handle()):
            edge.now_s += 0.25
            assert edge.now_s - last_s < 2 * DESIRED_RETRY_LAST_S
        found.append(edge.now_s - last_s)
        last_s = edge.now_s
    return found


def test_a_desired_value_is_said_in_the_commit_that_stores_it() -> None:
    wanting()


def test_it_is_said_again_ever_more_rarely_until_the_device_answers() -> None:
    edge = wanting()
    waits = waits_s(edge, 9)
    assert waits[0] <= DESIRED_RETRY_FIRST_S + 0.25
    assert DESIRED_RETRY_LAST_S / 2 <= waits[-1] <= DESIRED_RETRY_LAST_S + 0.25
    edge.handle(reports(2, PERIOD, number=2, outcome="done"))
    edge.now_s += 10 * DESIRED_RETRY_LAST_S
    assert said(edge.handle()) == []


def test_an_answer_to_an_older_wish_ends_nothing() -> None:
    edge = wanting()
    (newer,) = said(edge.handle(want(3.0)))
    assert newer.entries[PERIOD] == DesiredValue(number=3, value=3.0)
    edge.handle(reports(2, PERIOD, number=2, outcome="done"))
    edge.now_s += DESIRED_RETRY_LAST_S
    (again,) = said(edge.handle())
    assert again.entries == newer.entries


def test_only_what_has_not_ended_is_said() -> None:
    edge = wanting()
    edge.handle(reports(2, PERIOD, number=2, outcome="rejected", reason="no"))
    (desired,) = said(edge.handle(want("eco", "mode")))
    assert list(desired.entries) == ["features/mode/value"]


def test_what_was_accepted_is_said_only_to_a_device_that_comes_online() -> None:
    edge = wanting()
    edge.handle(reports(2, PERIOD, number=2, outcome="accepted"))
    edge.now_s += DESIRED_RETRY_LAST_S
    edge.handle()
    edge.now_s += DESIRED_RETRY_LAST_S
    assert said(edge.handle()) == []
    assert [list(desired.entries) for desired in said(edge.handle(online()))] == [[PERIOD]]


def test_a_device_that_comes_online_is_told_at_once() -> None:
    edge = wanting()
    waits_s(edge, 6)
    assert len(said(edge.handle(online()))) == 1
    assert said(edge.handle(online("d-2"))) == []


def test_nothing_is_said_while_the_bus_is_gone_and_all_of_it_once_it_is_back() -> None:
    edge = wanting()
    edge.handle(Disconnected())
    edge.now_s += DESIRED_RETRY_LAST_S
    assert said(edge.handle()) == []
    assert len(said(edge.handle(Connected()))) == 1


def test_a_restart_forgets_no_wish() -> None:
    edge = wanting()
    edge.start()
    assert [desired.entries for desired in said(edge.handle(Connected()))] == [
        {PERIOD: DesiredValue(number=2, value=2.0)}
    ]


def test_a_move_takes_the_wishes_along_at_the_new_epoch() -> None:
    edge = owning("d-2")
    wish = messages.DesiredState(number=9, value=2.0)
    arriving = Snapshot(twin="d-1", epoch=4, revision=9, desired={PERIOD: wish})
    (desired,) = said(edge.handle(activate("d-1", 5, snapshot=arriving)))
    assert (desired.epoch, desired.entries[PERIOD].number) == (5, 9)
    edge.handle(release("d-1", epoch=6))
    edge.now_s += DESIRED_RETRY_LAST_S
    assert said(edge.handle()) == []


def test_what_is_wanted_no_more_is_said_no_more() -> None:
    edge = wanting()
    edge.handle(Asked(8, Edit("d-1", "delete", ("features", "period_s", "desiredProperties"))))
    edge.now_s += DESIRED_RETRY_LAST_S
    assert said(edge.handle()) == []


def want_for(valid_for_s: float, value: Any = 2.0) -> Asked:
    path = ("features", "period_s", "desiredProperties", "value")
    return Asked(7, Edit("d-1", "put", path, value, valid_for_s=valid_for_s))


def state(edge: Edge) -> str:
    row = messages.parse(messages.SNAPSHOT, edge.disk["twin", "d-1"])
    return row.desired[PERIOD].state


def test_what_is_wanted_for_a_while_expires_and_is_said_no_more() -> None:
    edge = owning("d-1")
    edge.handle(reports(1))
    assert edge.handle(want_for(5.0)).wake_in_s is not None
    edge.now_s += 4.9
    edge.handle()
    assert state(edge) == "pending"
    edge.now_s += 0.1
    edge.handle()
    assert state(edge) == "expired"
    assert said(edge.handle(online())) == []


def test_what_is_done_in_time_does_not_expire() -> None:
    edge = owning("d-1")
    edge.handle(reports(1))
    edge.handle(want_for(5.0))
    edge.handle(reports(2, PERIOD, number=2, outcome="done"))
    edge.now_s += 5.0
    assert edge.handle().writes == []
    assert state(edge) == "done"


def test_a_newer_wish_has_a_time_of_its_own() -> None:
    edge = owning("d-1")
    edge.handle(reports(1))
    edge.handle(want_for(5.0))
    edge.now_s += 4.0
    edge.handle(want_for(5.0, value=3.0))
    edge.now_s += 4.0
    edge.handle()
    assert state(edge) == "pending"
    edge.now_s += 1.0
    edge.handle()
    assert state(edge) == "expired"


def test_a_restart_gives_the_full_time_again() -> None:
    edge = owning("d-1")
    edge.handle(reports(1))
    edge.handle(want_for(5.0))
    edge.now_s += 4.0
    edge.start()
    edge.now_s += 4.0
    edge.handle()
    assert state(edge) == "pending"
    edge.now_s += 1.0
    edge.handle()
    assert state(edge) == "expired"
