"""Blobs at an edge: attached with a commit, fetched on arrival, copied ahead when ordered."""

import pytest

from edge_node.history import HISTORY
from tests.edge_node.an_edge import (
    Edge,
    acks,
    activate,
    checkpoints,
    documents,
    owning,
    release,
    report,
    stable,
)
from twin_runtime.core import messages, orders, topics
from twin_runtime.core.effects import (
    Answer,
    Append,
    Asked,
    Attach,
    BlobComplete,
    BlobFailed,
    Effects,
    FetchBlob,
    Message,
    Refused,
)
from twin_runtime.core.limits import BLOBS_PER_TWIN_MAX, PRECOPIES_MAX
from twin_runtime.core.messages import BlobRef, Snapshot
from twin_runtime.core.orders import Activate, Fetch, Fetched, Seal

MODEL = BlobRef(sha256="a" * 64, bytes=1_000)
OTHER = BlobRef(sha256="b" * 64, bytes=2_000)


def attach(edge: Edge, ref: BlobRef | None, name: str = "model", twin: str = "d-1") -> Effects:
    return edge.handle(Asked(7, Attach(twin, name, ref)))


def refused(fx: Effects) -> str:
    (answer,) = fx.answers
    assert isinstance(answer.refused, Refused)
    assert fx.writes == []
    return answer.refused.code


def seal(twin: str = "d-1") -> Message:
    return Message(topics.order("e-1"), messages.encode(Seal(store="s-1", twin=twin, epoch=1)))


def fetch(twin: str = "d-9", *blobs: BlobRef, store: str = "s-1") -> Message:
    order = Fetch(store=store, twin=twin, blobs=blobs or (MODEL, OTHER), source="e-2")
    return Message(topics.order("e-1"), orders.encode(order))


def arriving(source: str | None = "e-2") -> Message:
    """A twin that refers to a blob, from another edge."""
    snapshot = Snapshot(twin="d-1", epoch=1, revision=3, blobs={"model": MODEL})
    order = Activate(store="s-1", twin="d-1", epoch=2, snapshot=snapshot, source=source)
    return Message(topics.order("e-1"), orders.encode(order))


def fetched(fx: Effects) -> list[Fetched]:
    sent = (send.payload for send in fx.sends if send.topic == topics.event("e-1"))
    events = [messages.parse(orders.EDGE_EVENT, payload) for payload in sent]
    return [event for event in events if isinstance(event, Fetched)]


def test_a_blob_is_attached_with_a_commit_and_shown_and_checkpointed() -> None:
    edge = owning("d-1")
    fx = attach(edge, MODEL)
    assert fx.answers == [Answer(7, value=edge.document("d-1"))]
    assert b"a" * 64 in edge.disk["twin", "d-1"]
    (document,) = documents(fx)
    assert (document.blobs, document.revision) == ({"model": MODEL}, 1)
    edge.now_s += 10.0
    (checkpoint,) = checkpoints(edge.handle())
    assert (checkpoint.blobs, checkpoint.revision) == ({"model": MODEL}, 1)


def test_attaching_the_same_again_changes_nothing_and_another_takes_its_place() -> None:
    edge = owning("d-1")
    attach(edge, MODEL)
    fx = attach(edge, MODEL)
    assert (fx.answers, fx.writes) == ([Answer(7, value=edge.document("d-1"))], [])
    attach(edge, OTHER)
    assert (edge.machine.wants_blob(MODEL.sha256), edge.machine.wants_blob(OTHER.sha256)) == (
        *(False, True),
    )


def test_a_reference_is_removed_and_leaves_no_trace_in_the_row() -> None:
    edge = owning("d-1")
    before = edge.disk["twin", "d-1"]
    attach(edge, MODEL)
    assert attach(edge, None).answers == [Answer(7, value=edge.document("d-1"))]
    after = messages.load(edge.disk["twin", "d-1"])
    written = {"revision": 2, "written_wall_ms": edge.now.wall_ms}
    assert after == {**messages.load(before), **written}
    assert not edge.machine.wants_blob(MODEL.sha256)


def test_what_cannot_be_attached_is_refused() -> None:
    edge = owning("d-1", "d-2")
    edge.handle(release("d-2"))
    assert refused(attach(edge, MODEL, twin="d-2")) == "unknown_twin"
    assert refused(attach(edge, MODEL, twin="d-3")) == "unknown_twin"
    assert refused(attach(edge, None)) == "unknown_blob"
    for number in range(BLOBS_PER_TWIN_MAX):
        attach(edge, MODEL, name=f"blob_{number}")
    assert refused(attach(edge, OTHER, name="one_more")) == "too_many_blobs"
    assert attach(edge, OTHER, name="blob_0").answers[0].refused is None
    edge.handle(seal())
    assert refused(attach(edge, OTHER, name="blob_1")) == "moving"


def test_reports_around_an_attachment_keep_their_revisions() -> None:
    edge = owning("d-1")
    asked = Asked(7, Attach("d-1", "model", MODEL))
    fx = edge.handle(report(1, 2, level_m=1.0), asked, report(3, level_m=2.0))
    appended = [write for write in fx.writes if isinstance(write, Append) and write.log == HISTORY]
    assert [(each.number, each.value.count(b'"seq"')) for each in appended] == [
        (2, 2),
        (3, 0),
        (4, 1),
    ]
    assert acks(fx)["d-1"].applied == 3


def test_a_checkpoint_from_before_an_attachment_does_not_make_it_stable() -> None:
    edge = owning("d-1")
    edge.handle(report(1, level_m=1.0))
    attach(edge, MODEL)
    edge.handle(stable(1))
    edge.now_s += 10.0
    assert [each.blobs for each in checkpoints(edge.handle())] == [{"model": MODEL}]


def test_a_twin_that_arrives_is_owned_at_once_and_its_blobs_are_fetched_afterwards() -> None:
    edge = Edge()
    fx = edge.handle(arriving())
    assert ("twin", "d-1") in edge.disk
    assert fx.fetches == [FetchBlob(MODEL.sha256, MODEL.bytes, ("e-2", "cloud"))]
    assert edge.machine.wants_blob(MODEL.sha256)
    fx = edge.handle(BlobFailed(MODEL.sha256, "silent"))
    lacking = edge.machine.readings()["blobs_lacking"]
    assert lacking() == 1
    edge.now_s += 5.0
    assert len(edge.handle().fetches) == 1
    edge.handle(BlobComplete(MODEL.sha256, MODEL.bytes))
    assert lacking() == 0
    edge.now_s += 500.0
    assert edge.handle().fetches == []


def test_a_restarted_edge_asks_for_all_that_its_twins_refer_to() -> None:
    edge = Edge()
    edge.handle(arriving())
    edge.start()
    assert edge.machine.wants_blob(MODEL.sha256)
    assert edge.handle().fetches == [FetchBlob(MODEL.sha256, MODEL.bytes, ("cloud",))]


def test_a_sealed_twin_keeps_its_blobs_until_it_is_released() -> None:
    edge = owning("d-1")
    attach(edge, MODEL)
    edge.handle(seal())
    assert edge.machine.wants_blob(MODEL.sha256)
    edge.start()
    assert edge.machine.wants_blob(MODEL.sha256)
    edge.handle(release("d-1"))
    assert not edge.machine.wants_blob(MODEL.sha256)


def test_copying_ahead_is_answered_once_every_blob_has_come() -> None:
    edge = owning()
    fx = edge.handle(fetch())
    assert fx.fetches == [
        FetchBlob(MODEL.sha256, MODEL.bytes, ("e-2", "cloud")),
        FetchBlob(OTHER.sha256, OTHER.bytes, ("e-2", "cloud")),
    ]
    fx = edge.handle(BlobComplete(MODEL.sha256, MODEL.bytes))
    assert (fetched(fx), fx.counts["move_bytes_total", ""]) == ([], MODEL.bytes)
    fx = edge.handle(BlobComplete(OTHER.sha256, 0))
    assert fetched(fx) == [Fetched(twin="d-9", missing=0)]
    assert ("move_bytes_total", "") not in fx.counts, "it was here already"


def test_what_cannot_be_copied_ahead_is_counted_in_the_answer() -> None:
    edge = owning()
    edge.handle(fetch())
    assert fetched(edge.handle(BlobFailed(MODEL.sha256, "full"))) == []
    fx = edge.handle(BlobComplete(OTHER.sha256, 0))
    assert fetched(fx) == [Fetched(twin="d-9", missing=1)]


def test_an_order_to_fetch_is_repeated_without_harm_and_is_for_one_store() -> None:
    edge = owning()
    edge.handle(fetch())
    edge.handle(BlobComplete(MODEL.sha256, 0))
    assert len(edge.handle(fetch()).fetches) == 2
    edge.handle(BlobComplete(MODEL.sha256, 0))
    fx = edge.handle(BlobComplete(OTHER.sha256, 0))
    assert len(fetched(fx)) == 1
    fx = edge.handle(fetch(store="s-0"))
    assert (fx.fetches, fx.counts) == ([], {("fenced_total", "order"): 1})


def test_g7_of_too_many_twins_that_will_come_the_first_is_forgotten() -> None:
    edge = owning()
    for number in range(PRECOPIES_MAX + 1):
        edge.handle(fetch(f"d-{number}", MODEL))
    fx = edge.handle(BlobComplete(MODEL.sha256, 0))
    assert {event.twin for event in fetched(fx)} == {
        f"d-{number}" for number in range(1, PRECOPIES_MAX + 1)
    }


@pytest.mark.parametrize("event", [BlobComplete("c" * 64, 5), BlobFailed("c" * 64, "silent")])
def test_news_of_a_blob_that_nobody_waits_for_changes_nothing(
    event: BlobComplete | BlobFailed,
) -> None:
    fx = owning("d-1").handle(event, activate("d-1"))
    assert (fx.fetches, fetched(fx)) == ([], [])
