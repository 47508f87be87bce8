"""What an edge says its twins are, retained beside their documents."""

from typing import Any

from edge_node.descriptions import Descriptions
from edge_node.machine import EdgeMachine
from tests.edge_node.an_edge import Edge, activate, documents, release, report
from twin_runtime.core import messages, topics
from twin_runtime.core.effects import Connected, Effects, Message
from twin_runtime.core.messages import Description, FeatureSpec, StateReport, Window
from twin_runtime.core.thing_description import Access

ACCESS = Access("http://edge:8421", "mqtt://broker:1883")


def an_edge(access: Access | None = ACCESS) -> Edge:
    """An edge that owns d-1, connected; nothing is known of d-1."""
    edge = Edge()
    edge.machine = EdgeMachine("e-1", "s-1", descriptions=Descriptions("home", access))
    edge.own("d-1")
    edge.handle(Connected())
    return edge


def after_a_second(edge: Edge, *events: Message) -> Effects:
    edge.now_s += 2.0
    return edge.handle(*events)


def described(seq: int, description: Description) -> Message:
    reports = (StateReport(seq=seq, observed_ms=seq, description=description),)
    window = Window(epoch=1, session=7, reports=reports)
    return Message(topics.report("e-1", "d-1"), messages.encode(window))


def said(fx: Effects) -> list[dict[str, Any]]:
    """The descriptions that are published."""
    sends = [send for send in fx.sends if topics.parse(send.topic).kind == "td"]
    assert all(send.retain and send.topic == "dt/v1/td/d-1" for send in sends)
    return [messages.load(send.payload) for send in sends]


def test_a_twin_is_described_once_its_device_has_described_itself() -> None:
    edge = an_edge()
    (description,) = said(after_a_second(edge, report(1, level_m=1.0)))
    assert description["id"] == "urn:diten:home:d-1"
    assert description["base"] == "http://edge:8421/"
    assert set(description["properties"]) == {"level_m", "wave", "whole-twin"}


def test_it_is_not_described_again_while_only_its_values_change() -> None:
    edge = an_edge()
    after_a_second(edge, report(1, level_m=1.0))
    fx = after_a_second(edge, report(2, level_m=2.0))
    assert documents(fx)
    assert said(fx) == []


def test_it_is_described_anew_when_its_device_does_so() -> None:
    edge = an_edge()
    features = {"level_m": FeatureSpec(type="number")}
    after_a_second(edge, described(1, Description(title="Tank", features=features)))
    (renamed,) = said(
        after_a_second(edge, described(2, Description(title="Well", features=features)))
    )
    assert renamed["title"] == "Well"
    more = Description(title="Well", features={**features, "mode": FeatureSpec(type="string")})
    (extended,) = said(after_a_second(edge, described(3, more)))
    assert "mode" in extended["properties"]


def test_a_broker_that_has_forgotten_it_is_told_again() -> None:
    edge = an_edge()
    after_a_second(edge, report(1, level_m=1.0))
    edge.now_s += 2.0
    assert len(said(edge.handle(Connected()))) == 1


def test_a_twin_that_returns_is_described_again() -> None:
    edge = an_edge()
    after_a_second(edge, report(1, level_m=1.0))
    after_a_second(edge, release())
    after_a_second(edge, activate(epoch=3))
    assert len(said(after_a_second(edge, report(1, epoch=3, session=8)))) == 1


def test_a_description_larger_than_a_packet_is_left_to_http() -> None:
    edge = an_edge()
    features = {f"feature_{number}": FeatureSpec(type="number") for number in range(200)}
    fx = after_a_second(edge, described(1, Description(features=features)))
    assert said(fx) == []
    assert "only HTTP has it" in fx.notes[-1].text
    assert fx.notes[-1].twin == "d-1"


def test_where_nobody_reaches_the_edge_nothing_is_described() -> None:
    edge = an_edge(None)
    assert said(after_a_second(edge, report(1, level_m=1.0))) == []
