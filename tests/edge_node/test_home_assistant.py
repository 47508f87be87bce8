"""When an edge tells Home Assistant of its twins, and when it takes that back."""

from typing import Any

from edge_node.descriptions import Descriptions
from edge_node.home_assistant import HomeAssistant
from edge_node.machine import EdgeMachine
from tests.edge_node.an_edge import Edge, activate, documents, release, report
from twin_runtime.core import messages, topics
from twin_runtime.core.effects import Connected, Effects, Event, Message
from twin_runtime.core.messages import Description, FeatureSpec, StateReport, Status, Window

TOPIC = "homeassistant/device/diten_home_d-1/config"


def an_edge(site: str = "home", *, enabled: bool = True) -> Edge:
    """An edge that owns d-1, connected; nothing is known of d-1."""
    edge = Edge()
    told = HomeAssistant(site, enabled=enabled)
    edge.machine = EdgeMachine("e-1", "s-1", descriptions=Descriptions(site, None, told))
    edge.own("d-1")
    edge.handle(Connected())
    return edge


def after_a_second(edge: Edge, *events: Event) -> Effects:
    edge.now_s += 2.0
    return edge.handle(*events)


def said(fx: Effects) -> list[dict[str, Any]]:
    """What Home Assistant is told; nothing: that the twin is gone."""
    sends = [send for send in fx.sends if send.topic.startswith("homeassistant/")]
    assert all(send.retain and send.topic == TOPIC for send in sends)
    return [messages.load(send.payload) if send.payload else {} for send in sends]


def described(seq: int, *names: str) -> Message:
    features = {name: FeatureSpec(type="number") for name in names}
    report = StateReport(seq=seq, observed_ms=seq, description=Description(features=features))
    window = Window(epoch=1, session=7, reports=(report,))
    return Message(topics.report("e-1", "d-1"), messages.encode(window))


def spoken_for_by(via: str) -> Message:
    status = Status(state="online", session=7, epoch=1, via=via)
    return Message(topics.status("d-1"), messages.encode(status))


def test_a_twin_is_announced_once_its_device_has_described_itself() -> None:
    edge = an_edge()
    (announced,) = said(after_a_second(edge, report(1, level_m=1.0)))
    assert announced["state_topic"] == "dt/v1/twin/d-1"
    assert set(announced["components"]) == {"level_m", "wave"}
    fx = after_a_second(edge, report(2, level_m=2.0))
    assert documents(fx)
    assert said(fx) == []


def test_what_a_device_no_longer_has_is_taken_back_and_stays_so() -> None:
    edge = an_edge()
    after_a_second(edge, described(1, "level_m", "wave"))
    (announced,) = said(after_a_second(edge, described(2, "level_m")))
    assert announced["components"]["wave"] == {"platform": "sensor"}
    (again,) = said(after_a_second(edge, Connected()))
    assert again == announced
    (returned,) = said(after_a_second(edge, described(3, "level_m", "wave")))
    assert "unique_id" in returned["components"]["wave"]


def test_it_is_announced_anew_when_another_process_speaks_for_it() -> None:
    edge = an_edge()
    after_a_second(edge, report(1, level_m=1.0))
    fx = after_a_second(edge, spoken_for_by("d-agent"), report(2, level_m=1.0))
    (announced,) = said(fx)
    assert len(announced["availability"]) == 2
    assert said(after_a_second(edge, spoken_for_by("d-agent"), report(3, level_m=1.0))) == []


def test_the_next_owner_announces_a_twin_in_the_same_words() -> None:
    edge = an_edge()
    (first,) = said(after_a_second(edge, report(1, level_m=1.0)))
    assert said(after_a_second(edge, release())) == []
    after_a_second(edge, activate(epoch=3))
    assert said(after_a_second(edge, report(1, epoch=3, session=8, level_m=1.0))) == [first]


def test_an_edge_that_is_to_take_it_back_does_so_on_each_connection() -> None:
    edge = an_edge(enabled=False)
    edge.now_s += 2.0
    assert said(edge.handle(Connected())) == [{}]
    assert said(after_a_second(edge, report(1, level_m=1.0))) == []
    edge.now_s += 2.0
    assert said(edge.handle(Connected())) == [{}]


def test_a_twin_too_large_to_announce_is_said_to_be_so_once() -> None:
    edge = an_edge("home" * 16)
    before, after = ([f"{letter * 50}_{number}" for number in range(140)] for letter in "ab")
    after_a_second(edge, described(1, *before))
    fx = after_a_second(edge, described(2, *after))
    assert said(fx) == []
    assert "too large for Home Assistant" in fx.notes[-1].text
    assert after_a_second(edge, report(3)).notes == []


def test_an_edge_that_was_told_nothing_tells_nothing() -> None:
    edge = Edge()
    edge.own("d-1")
    edge.handle(Connected())
    assert said(after_a_second(edge, report(1, level_m=1.0))) == []
