"""The cloud as a machine: it hears devices and edges, and shows the newest of every twin."""

import json
from typing import Any

import pytest

from cloud.machine import CloudMachine
from twin_runtime.core import messages, orders, topics
from twin_runtime.core.effects import (
    Answer,
    Append,
    Asked,
    Connected,
    Disconnected,
    Effects,
    Event,
    Learn,
    ListEdges,
    ListTwins,
    Message,
    Move,
    Now,
    Put,
    Request,
    Row,
    Stopping,
)
from twin_runtime.core.limits import HEARTBEAT_PERIOD_S, REPUBLISH_PERIOD_S
from twin_runtime.core.messages import (
    Place,
    Snapshot,
    Status,
    TwinDocument,
)
from twin_runtime.core.orders import (
    Activated,
    Checkpoint,
    Hello,
)

WALL_MS = 1_750_000_000_000


class Cloud:
    """A cloud machine with its disk, its clock and what readers see."""

    def __init__(self) -> None:
        self.disk: dict[tuple[str, str], bytes] = {}
        self.now_s = 0.0
        self.start()

    def start(self) -> Effects:
        """Begin anew from the disk alone."""
        self.machine = CloudMachine()
        rows = [Row(kind, key, value) for (kind, key), value in sorted(self.disk.items())]
        return self.machine.restore(rows, self.now)

    @property
    def now(self) -> Now:
        return Now(self.now_s, WALL_MS + round(1000 * self.now_s))

    def handle(self, *events: Event) -> Effects:
        fx = self.machine.handle(events, self.now)
        for write in fx.writes:
            if isinstance(write, Append):
                continue
            assert isinstance(write, Put)
            self.disk[write.kind, write.key] = write.value
        return fx


def said(edge: str, event: orders.EdgeEvent) -> Message:
    return Message(topics.event(edge), orders.encode(event))


def online(twin: str = "d-1", epoch: int = 0) -> Message:
    return Message(topics.status(twin), messages.encode(Status(state="online", epoch=epoch)))


def published(revision: int, epoch: int = 1, twin: str = "d-1") -> Message:
    document = TwinDocument(twin=twin, epoch=epoch, revision=revision, reported_wall_ms=5)
    return Message(topics.twin(twin), messages.encode(document))


def learnt(revision: int, epoch: int = 1, twin: str = "d-1") -> Asked:
    return Asked(7, Learn("d-1", published(revision, epoch, twin).payload))


def owning() -> Cloud:
    """A connected cloud with one twin, `d-1`, on one edge, `e-1`."""
    cloud = Cloud()
    cloud.handle(Connected(), said("e-1", Hello(store="s-1")), online())
    cloud.handle(said("e-1", Activated(twin="d-1", epoch=1)))
    cloud.handle()
    return cloud


def topics_of(fx: Effects) -> list[str]:
    return [send.topic for send in fx.sends]


# --- what it hears --------------------------------------------------------------------------


def test_a_device_an_edge_and_a_confirmation_make_an_assignment() -> None:
    cloud = Cloud()
    assert topics_of(cloud.handle(Connected())) == [topics.status("cloud")]
    cloud.handle(said("e-1", Hello(store="s-1")))
    assert topics_of(cloud.handle(online())) == [topics.order("e-1")]
    assert cloud.machine.readings()["twins"]() == {
        "activating": 1,
        "owned": 0,
        "sealing": 0,
    }
    fx = cloud.handle(said("e-1", Activated(twin="d-1", epoch=1)))
    assert (topics_of(fx), fx.writes) == ([topics.assign("d-1")], [])
    assert topics_of(cloud.handle()) == []
    assert cloud.machine.readings()["twins"]() == {
        "activating": 0,
        "owned": 1,
        "sealing": 0,
    }


def test_what_an_owner_answered_a_write_with_is_shown_before_it_is_published() -> None:
    cloud = owning()
    cloud.handle(published(1))
    fx = cloud.handle(learnt(2))
    assert fx.answers == [Answer(7)]
    ((twin, thing),) = fx.shown
    assert (twin, thing.revision, thing.received_wall_ms) == ("d-1", 2, cloud.now.wall_ms)
    assert cloud.handle(published(1)).shown == []


def test_what_was_answered_before_what_is_shown_is_old_news() -> None:
    cloud = owning()
    cloud.handle(published(2))
    fx = cloud.handle(learnt(1))
    assert (fx.answers, fx.shown) == ([Answer(7)], [])


def test_only_the_owners_word_is_learnt() -> None:
    cloud = owning()
    nonsense = Asked(7, Learn("d-1", b"{"))
    for each in (learnt(3, epoch=2), learnt(3, twin="d-2"), nonsense):
        fx = cloud.handle(each)
        (answer,) = fx.answers
        assert answer.refused is not None
        assert (answer.refused.code, fx.shown) == ("not_owner", [])


def test_what_an_edge_said_before_it_lost_its_store_and_comes_late_moves_no_twin() -> None:
    cloud = Cloud()

    def epoch_after(store: str, number: int) -> int:
        cloud.handle(said("e-1", Hello(store=store, number=number)), online())
        return cloud.machine.directory.placements["d-1"].epoch

    assert epoch_after("s-1", number=1) == 1
    assert epoch_after("s-2", number=1) == 2
    assert epoch_after("s-1", number=2) == 2
    assert epoch_after("s-1", number=2) == 2, "late, and twice"
    assert epoch_after("s-2", number=2) == 2
    late = said("e-1", Hello(store="s-1", number=3))
    assert cloud.handle(late).counts == {("fenced_total", "hello"): 1}
    assert epoch_after("s-1", number=4) == 3, "the old disk is back"
    assert epoch_after("s-2", number=3) == 3
    assert epoch_after("s-2", number=4) == 4, "and gone again"


def test_a_checkpoint_is_stored_and_answered_in_the_same_effects() -> None:
    fx = owning().handle(
        said("e-1", Checkpoint(twins=(Snapshot(twin="d-1", epoch=1, revision=3),)))
    )
    assert [(write.kind, write.key) for write in fx.writes if isinstance(write, Put)] == [
        ("snapshot", "d-1")
    ]
    assert topics_of(fx) == [topics.order("e-1")]


def test_a_status_that_is_taken_back_is_no_news() -> None:
    fx = owning().handle(Message(topics.status("d-1"), b""), Message(topics.status("e-1"), b""))
    assert (fx.counts, fx.notes, fx.writes) == ({}, [], [])


@pytest.mark.parametrize("state", ["offline", "lost", "sleeping"])
def test_only_a_device_that_is_there_gets_a_twin(state: str) -> None:
    cloud = owning()
    status = messages.dump({"state": state})
    assert cloud.handle(Message(topics.status("d-2"), status)).writes == []
    assert cloud.handle(Message(topics.status("e-1"), status)).writes == []


@pytest.mark.parametrize(
    "topic, payload, code",
    [
        ("elsewhere", b"{}", "bad_topic"),
        (topics.event("e-1"), b'{"kind":"explode"}', "unknown_kind"),
        (topics.status("d-1"), b"{", "not_json"),
        (topics.twin("d-1"), b"{}", "bad_value"),
    ],
)
def test_g9_nonsense_is_counted_and_the_cloud_goes_on(
    topic: str, payload: bytes, code: str
) -> None:
    fx = owning().handle(Message(topic, payload), published(1))
    assert fx.counts == {("rejects_total", code): 1}
    assert [key for key, _ in fx.shown] == ["d-1"]
    assert fx.notes[0].level == "warning"


# --- what it shows ----------------------------------------------------------------------------


def test_the_newest_document_of_a_twin_is_shown_as_it_came() -> None:
    cloud = owning()
    cloud.now_s = 3.0
    message = published(2)
    ((key, thing),) = cloud.handle(message).shown
    assert key == "d-1"
    assert (thing.epoch, thing.revision, thing.reported_wall_ms) == (1, 2, 5)
    assert thing.received_wall_ms == WALL_MS + 3_000
    assert thing.encoded is message.payload
    assert thing.document()["revision"] == 2


def test_an_older_document_is_not_shown_and_an_equal_one_renews_its_arrival() -> None:
    cloud = owning()
    cloud.handle(published(2))
    assert cloud.handle(published(1)).shown == []
    assert len(cloud.handle(published(2)).shown) == 1


def test_a_document_below_the_directorys_epoch_or_of_an_unknown_twin_is_fenced() -> None:
    cloud = owning()
    cloud.handle(said("e-1", Hello(store="s-2")))
    for message in (published(9), published(1, twin="d-9")):
        fx = cloud.handle(message)
        assert (fx.shown, fx.counts) == ([], {("fenced_total", "document"): 1})
    assert len(cloud.handle(published(1, epoch=2)).shown) == 1


def test_g9_no_document_hides_the_owners_own_ones() -> None:
    cloud = owning()
    beyond = published(9, epoch=999)
    elsewhere = Message(topics.twin("d-9"), published(9).payload)
    for message in (beyond, elsewhere):
        fx = cloud.handle(message)
        assert (fx.shown, fx.counts) == ([], {("fenced_total", "document"): 1})
    assert len(cloud.handle(published(2)).shown) == 1


def test_a_document_that_was_withdrawn_is_no_news() -> None:
    fx = owning().handle(Message(topics.twin("d-1"), b""))
    assert (fx.shown, fx.counts) == ([], {})


def test_a_restart_shows_the_last_checkpoints_even_of_twins_that_wait_for_an_owner() -> None:
    cloud = owning()
    cloud.handle(said("e-1", Checkpoint(twins=(Snapshot(twin="d-1", epoch=1, revision=3),))))
    cloud.handle(said("e-1", Hello(store="s-2")))
    ((key, thing),) = cloud.start().shown
    assert (key, thing.revision, thing.received_wall_ms) == ("d-1", 3, 0)
    assert cloud.handle(published(9)).shown == []
    ((_, newer),) = cloud.handle(published(3, epoch=2)).shown
    assert newer.epoch == 2


# --- what it repeats --------------------------------------------------------------------------


def test_assignments_are_repeated_on_connection_and_once_a_period() -> None:
    cloud = owning()
    assert topics.assign("d-1") in topics_of(cloud.handle(Connected()))
    assert topics.assign("d-1") not in topics_of(cloud.handle())
    cloud.now_s += REPUBLISH_PERIOD_S
    assert topics.assign("d-1") in topics_of(cloud.handle())


def test_the_cloud_says_that_it_lives_until_it_stops() -> None:
    cloud = Cloud()
    fx = cloud.handle(Connected())
    first = json.loads(fx.sends[0].payload)
    assert (first["state"], first["session"]) == ("online", WALL_MS)
    assert fx.sends[0].retain
    assert fx.wake_in_s == HEARTBEAT_PERIOD_S
    cloud.now_s += HEARTBEAT_PERIOD_S
    assert topics_of(cloud.handle()) == [topics.status("cloud")]
    last = cloud.handle(Stopping()).sends[-1]
    assert json.loads(last.payload)["state"] == "offline"


def test_a_disconnected_cloud_says_nothing_and_sleeps() -> None:
    cloud = owning()
    fx = cloud.handle(Disconnected(), online("d-2"))
    assert (fx.sends, fx.wake_in_s) == ([], None)
    assert "d-2" in {key for kind, key in cloud.disk if kind == "placement"}
    assert topics.order("e-1") in topics_of(cloud.handle(Connected()))


def test_g1_a_restarted_cloud_repeats_the_same_orders_and_assignments() -> None:
    cloud = owning()
    cloud.handle(online("d-2"))
    cloud.now_s += 60.0
    before = sorted(cloud.handle(Connected()).sends)
    cloud.start()
    after = sorted(cloud.handle(Connected()).sends)
    assert [send for send in after if send.topic != topics.status("cloud")] == [
        send for send in before if send.topic != topics.status("cloud")
    ]


# --- what it tells ---------------------------------------------------------------------------


def answered(cloud: Cloud, request: Request) -> Any:
    (answer,) = cloud.handle(Asked(1, request)).answers
    assert answer.refused is None
    return answer.value


def lost(identity: str) -> Message:
    return Message(topics.status(identity), messages.encode(Status(state="lost")))


def test_edges_are_told_with_their_place_and_whether_they_are_there() -> None:
    cloud = owning()
    place = Place(x_m=1.0, y_m=2.0)
    hello = Hello(store="s-1", position=place, api="http://192.0.2.11:8421")
    cloud.handle(said("e-1", hello), lost("e-1"))
    (edge,) = answered(cloud, ListEdges())
    assert edge == {
        "edge": "e-1",
        "state": "serving",
        "twins": 1,
        "api": "http://192.0.2.11:8421",
        "presence": "lost",
        "heard_ms": WALL_MS,
        "position": {"x_m": 1.0, "y_m": 2.0},
    }


def test_twins_are_told_again_when_their_device_or_their_place_changes() -> None:
    cloud = owning()
    first = answered(cloud, ListTwins(0, 9))
    about = {"twin": "d-1", "phase": "owned", "owner": "e-1", "epoch": 1}
    assert first["twins"] == [{**about, "presence": "online"}]
    assert answered(cloud, ListTwins(first["next"], 9))["twins"] == []
    cloud.handle(lost("d-1"))
    second = answered(cloud, ListTwins(first["next"], 9))
    assert second["twins"] == [{**about, "presence": "lost"}]
    assert cloud.machine.readings()["devices"]() == {"lost": 1}
    cloud.handle(said("e-2", Hello(store="s-2")), Asked(2, Move("d-1", "e-2")))
    (moving,) = answered(cloud, ListTwins(second["next"], 9))["twins"]
    assert (moving["phase"], moving["to"]) == ("sealing", "e-2")


def test_a_restarted_cloud_tells_of_every_twin_anew() -> None:
    cloud = owning()
    before = answered(cloud, ListTwins(0, 9))["next"]
    cloud.now_s += 1
    cloud.start()
    (twin,) = answered(cloud, ListTwins(before, 9))["twins"]
    assert (twin["twin"], twin["presence"]) == ("d-1", "unknown")
