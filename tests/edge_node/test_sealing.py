"""A sealed twin: nothing more is applied, it is handed over until it is let go, and it is shown."""

from tests.edge_node.an_edge import (
    Edge,
    acks,
    activate,
    kinds,
    live,
    owning,
    refusals,
    release,
    report,
    stable,
)
from twin_runtime.core import messages, orders, topics
from twin_runtime.core.effects import Connected, Effects, Message
from twin_runtime.core.limits import CHECKPOINT_PERIOD_S
from twin_runtime.core.messages import Snapshot
from twin_runtime.core.orders import Seal, Sealed


def seal(twin: str = "d-1", epoch: int = 1, store: str = "s-1") -> Message:
    order = Seal(store=store, twin=twin, epoch=epoch)
    return Message(topics.order("e-1"), messages.encode(order))


def handed_over(fx: Effects) -> list[Snapshot]:
    events = [
        messages.parse(orders.EDGE_EVENT, send.payload)
        for send in fx.sends
        if send.topic == topics.event("e-1")
    ]
    return [twin for event in events if isinstance(event, Sealed) for twin in event.twins]


def sealed_after(*seqs: int) -> Edge:
    edge = owning("d-1")
    edge.handle(report(*seqs), seal())
    return edge


def test_what_was_applied_before_the_seal_is_handed_over_with_the_commit_that_seals() -> None:
    edge = owning("d-1")
    fx = edge.handle(report(1, 2, level_m=2.5), seal())
    (snapshot,) = handed_over(fx)
    assert (snapshot.epoch, snapshot.last_seq, snapshot.revision) == (1, 2, 2)
    assert snapshot.features["level_m"].value == 2.5
    assert acks(fx)["d-1"].applied == 2
    assert ("sealed", "d-1") in edge.disk
    assert ("twin", "d-1") not in edge.disk


def test_a_sealed_twin_applies_and_acknowledges_nothing_more_and_complains_of_nothing() -> None:
    edge = sealed_after(1)
    disk = dict(edge.disk)
    fx = edge.handle(report(2), live(wave=1.0))
    assert (fx.writes, acks(fx), refusals(fx), fx.shown) == ([], {}, [], [])
    assert fx.counts == {("fenced_total", "report"): 1, ("fenced_total", "live"): 1}
    assert edge.disk == disk


def test_it_is_handed_over_again_when_asked_and_until_it_is_let_go() -> None:
    edge = sealed_after(1)
    assert len(handed_over(edge.handle(seal()))) == 1
    edge.now_s += CHECKPOINT_PERIOD_S
    fx = edge.handle()
    assert (len(handed_over(fx)), kinds(fx).count("checkpoint")) == (1, 0)
    edge.handle(stable(1))
    edge.now_s += CHECKPOINT_PERIOD_S
    assert len(handed_over(edge.handle())) == 1, "a checkpoint answers no seal"
    edge.handle(release("d-1", 2))
    edge.now_s += CHECKPOINT_PERIOD_S
    assert handed_over(edge.handle()) == []


def test_a_restart_keeps_it_sealed_and_hands_it_over_again() -> None:
    edge = sealed_after(1, 2)
    ((twin, _),) = edge.start().shown
    assert twin == "d-1"
    fx = edge.handle(Connected(), report(3))
    assert [snapshot.last_seq for snapshot in handed_over(fx)] == [2]
    assert acks(fx) == {}


def test_only_the_owner_at_that_epoch_with_that_store_can_be_asked_to_seal() -> None:
    edge = owning("d-1")
    for order in (seal(epoch=2), seal(epoch=1, store="s-other"), seal(twin="d-2")):
        fx = edge.handle(order)
        assert (fx.writes, handed_over(fx)) == ([], [])
    edge.handle(release("d-1", 2))
    assert edge.handle(seal(epoch=2)).writes == [], "what is owned elsewhere is not ours to seal"


def test_it_may_be_owned_again_at_the_next_epoch_only() -> None:
    edge = sealed_after(1, 2)
    (snapshot,) = handed_over(edge.handle(seal()))
    edge.handle(activate("d-1", 1, snapshot=snapshot))
    assert acks(edge.handle(report(3))) == {}
    edge.handle(activate("d-1", 2, snapshot=snapshot))
    assert acks(edge.handle(report(3, epoch=2)))["d-1"].applied == 3
    assert ("sealed", "d-1") not in edge.disk
    assert ("twin", "d-1") in edge.disk


def test_a_move_and_its_next_owner_in_one_batch_leave_the_epoch_alone() -> None:
    edge = owning("d-1")
    edge.handle(report(1), seal(), release("d-1", 2))
    assert {kind for kind, key in edge.disk if key == "d-1"} == {"absent"}


def test_readers_of_a_sealed_twin_are_told_since_when_it_may_be_old() -> None:
    edge = owning("d-1")
    ((_, thing),) = edge.handle(report(1)).shown
    assert thing.known_wall_ms is None
    ((_, thing),) = edge.handle(seal()).shown
    assert thing.known_wall_ms == edge.now.wall_ms
