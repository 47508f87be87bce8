"""An edge as a machine: it commits, then acknowledges; it owns what it was told to own."""

import json
from itertools import pairwise
from typing import Any

import pytest

from edge_node.machine import EdgeMachine
from tests.edge_node.an_edge import (
    BEYOND_EVERY_METRIC,
    Edge,
    acks,
    activate,
    checkpoints,
    cloud_says,
    documents,
    kinds,
    live,
    owning,
    refusals,
    release,
    report,
    stable,
)
from twin_runtime.core import messages, orders, topics
from twin_runtime.core.effects import (
    Connected,
    Disconnected,
    Message,
    Now,
    Put,
    Stopping,
)
from twin_runtime.core.limits import (
    ARRIVAL_S,
    CHECKPOINT_PERIOD_S,
    CHECKPOINT_RETRY_LAST_S,
    HEARTBEAT_PERIOD_S,
    REFUSAL_PERIOD_S,
    REPUBLISH_PERIOD_S,
    TWIN_PUBLISH_PERIOD_S,
)
from twin_runtime.core.messages import (
    Description,
    FeatureSpec,
    Place,
    Snapshot,
    StateReport,
    Window,
)

# --- reports --------------------------------------------------------------------------------


def test_g8_an_acknowledgement_goes_out_with_the_commit_that_makes_it_true() -> None:
    edge = owning("d-1")
    fx = edge.handle(report(1, 2, level_m=1.5))
    assert acks(fx)["d-1"].model_dump() == {
        "v": 1,
        "edge": "e-1",
        "epoch": 1,
        "session": 7,
        "applied": 2,
        "stable": 0,
        "former": None,
    }
    (put,) = (write for write in fx.writes if isinstance(write, Put))
    row = messages.parse(messages.SNAPSHOT, put.value)
    assert (put.kind, put.key) == ("twin", "d-1")
    assert (row.session, row.last_seq, row.revision) == (7, 2, 2)
    assert row.features["level_m"].value == 1.5


def test_many_messages_of_one_batch_are_one_row_one_answer_and_one_document_per_twin() -> None:
    edge = owning("d-1", "d-2")
    events = [report(seq, twin=twin) for seq in range(1, 20) for twin in ("d-1", "d-2")]
    fx = edge.handle(*events)
    assert sorted(write.key for write in fx.writes if isinstance(write, Put)) == ["d-1", "d-2"]
    assert {twin: ack.applied for twin, ack in acks(fx).items()} == {"d-1": 19, "d-2": 19}
    assert [document.revision for document in documents(fx)] == [19, 19]
    assert [key for key, _ in fx.shown] == ["d-1", "d-2"]


def test_g2_a_duplicate_report_is_acknowledged_but_not_applied() -> None:
    edge = owning("d-1")
    edge.handle(report(1, 2))
    fx = edge.handle(report(1, 2))
    assert acks(fx)["d-1"].applied == 2
    assert (fx.writes, fx.shown) == ([], [])
    assert fx.counts == {("reports_total", "duplicate"): 2}


def test_a_gap_is_answered_with_the_last_position_so_that_the_device_goes_back() -> None:
    edge = owning("d-1")
    fx = edge.handle(report(2))
    assert acks(fx)["d-1"].applied == 0
    assert fx.writes == []
    assert fx.counts == {("reports_total", "gap"): 1}


# --- refusals -------------------------------------------------------------------------------


def test_a_value_left_out_is_answered_with_a_pointer_and_the_report_still_counts() -> None:
    edge = owning("d-1")
    fx = edge.handle(report(1, depth_m=1.0))
    (refusal,) = refusals(fx)
    assert (refusal.code, refusal.pointer) == ("unknown_feature", "/reports/0/features/depth_m")
    assert acks(fx)["d-1"].applied == 1


def test_a_malformed_report_is_answered_and_acknowledges_nothing() -> None:
    fx = owning("d-1").handle(Message(topics.report("e-1", "d-1"), b'{"epoch":1,"session":7}'))
    (refusal,) = refusals(fx)
    assert (refusal.code, refusal.pointer) == ("bad_value", "/reports")
    assert (acks(fx), fx.writes) == ({}, [])


def test_a_status_that_is_taken_back_is_no_news() -> None:
    fx = owning("d-1").handle(*(Message(topics.status(each), b"") for each in ("cloud", "d-1")))
    assert (fx.counts, fx.notes, fx.writes) == ({}, [], [])


def test_g9_every_refusal_is_counted_and_only_one_a_second_is_answered() -> None:
    edge = owning("d-1")
    broken = Message(topics.report("e-1", "d-1"), b"{")
    fx = edge.handle(broken, broken, broken)
    assert (len(refusals(fx)), len(fx.notes)) == (1, 1)
    assert fx.counts == {("rejects_total", "not_json"): 3}
    edge.now_s += REFUSAL_PERIOD_S / 2
    assert refusals(edge.handle(broken)) == []
    edge.now_s += REFUSAL_PERIOD_S / 2
    assert len(refusals(edge.handle(broken))) == 1


def test_a_device_that_was_never_owned_is_told_so() -> None:
    (refusal,) = refusals(owning("d-1").handle(report(1, twin="d-9")))
    assert refusal.code == "not_owner"


def test_what_a_device_sent_before_it_heard_of_a_move_is_counted_and_no_error() -> None:
    edge = owning("d-1")
    edge.handle(release())
    fx = edge.handle(report(1))
    assert refusals(fx) == []
    assert fx.counts == {("fenced_total", "report"): 1}


@pytest.mark.parametrize(
    "topic, payload, code",
    [
        ("dt/v1/up/e-1/nobody/report", b"{}", "bad_id"),
        ("dt/v1/order/e-1", b'{"kind":"explode"}', "unknown_kind"),
        ("dt/v1/status/cloud", b"{", "not_json"),
        ("dt/v1/status/d-1", b"{", "not_json"),
        ("dt/v1/status/d-1", BEYOND_EVERY_METRIC, "bad_value"),
        ("elsewhere", b"{}", "bad_topic"),
    ],
)
def test_g9_nonsense_is_counted_and_the_edge_goes_on(topic: str, payload: bytes, code: str) -> None:
    fx = owning("d-1").handle(Message(topic, payload), report(1))
    assert fx.counts[("rejects_total", code)] == 1
    assert acks(fx)["d-1"].applied == 1


# --- live values ------------------------------------------------------------------------------


def test_a_live_value_is_published_and_shown_but_never_stored() -> None:
    edge = owning("d-1")
    edge.handle(report(1, level_m=1.0))
    edge.now_s += 2
    fx = edge.handle(live(wave=0.5))
    assert fx.writes == []
    (document,) = documents(fx)
    assert document.features["wave"].quality == "live"
    assert fx.shown[0][1].document()["features"]["wave"]["value"] == 0.5
    assert document.revision == 1


@pytest.mark.parametrize("values", [{"level_m": 1.0}, {"gone": 1.0}, {"wave": "high"}])
def test_only_a_feature_declared_live_takes_live_values(values: dict[str, Any]) -> None:
    edge = owning("d-1")
    edge.handle(report(1))
    edge.now_s += 2
    fx = edge.handle(live(**values))
    assert refusals(fx)[0].code == "bad_feature"
    assert documents(fx) == []


def test_g7_live_values_of_an_earlier_description_are_forgotten() -> None:
    edge = owning("d-1")
    edge.handle(report(1), live(wave=0.5))
    other = Description(features={"level_m": FeatureSpec(type="number")})
    changed = Window(
        epoch=1, session=7, reports=(StateReport(seq=2, observed_ms=2, description=other),)
    )
    fx = edge.handle(Message(topics.report("e-1", "d-1"), messages.encode(changed)))
    assert "wave" not in fx.shown[0][1].document()["features"]


# --- publishing ----------------------------------------------------------------------------------


def test_a_quiet_twin_is_published_at_once_and_a_busy_one_once_a_second() -> None:
    edge = owning("d-1")
    assert [document.revision for document in documents(edge.handle(report(1)))] == [1]
    edge.now_s += 0.1
    fx = edge.handle(report(2))
    assert documents(fx) == []
    assert fx.wake_in_s == pytest.approx(TWIN_PUBLISH_PERIOD_S - 0.1)
    edge.now_s += 0.1
    edge.handle(report(3))
    edge.now_s += TWIN_PUBLISH_PERIOD_S - 0.2
    assert [document.revision for document in documents(edge.handle())] == [3]
    edge.now_s += TWIN_PUBLISH_PERIOD_S
    assert documents(edge.handle()) == []


def test_a_released_twin_is_not_published_any_more() -> None:
    edge = owning("d-1")
    edge.handle(report(1))
    edge.handle(report(2))
    fx = edge.handle(release())
    assert fx.shown == [("d-1", None)]
    edge.now_s += TWIN_PUBLISH_PERIOD_S
    assert documents(edge.handle()) == []


def test_every_document_is_repeated_after_a_reconnect() -> None:
    edge = owning("d-1", "d-2")
    edge.handle(Disconnected())
    fx = edge.handle(Connected())
    assert [document.twin for document in documents(fx)] == ["d-1", "d-2"]


# --- ownership ----------------------------------------------------------------------------------


def test_an_activation_is_confirmed_with_the_commit_that_makes_it_true() -> None:
    edge = Edge()
    fx = edge.own("d-1")
    assert kinds(fx) == ["activated"]
    assert [(write.kind, write.key) for write in fx.writes if isinstance(write, Put)] == [
        ("twin", "d-1")
    ]
    assert [document.twin for document in documents(fx)] == ["d-1"]


def test_an_edge_to_which_a_twin_has_come_hurries_until_its_device_should_have_reported() -> None:
    edge = Edge()
    assert edge.own("d-1").hurry
    assert edge.handle(report(1)).hurry  # of one twin; another may have come with it
    edge.now_s += ARRIVAL_S
    assert not edge.handle(report(2)).hurry


def test_an_activation_heard_again_is_confirmed_again_and_changes_nothing() -> None:
    edge = owning("d-1")
    edge.handle(report(1))
    fx = edge.handle(activate())
    assert kinds(fx) == ["activated"]
    assert fx.writes == []
    assert acks(edge.handle(report(2)))["d-1"].applied == 2


def test_an_order_of_the_past_is_fenced() -> None:
    edge = owning("d-1")
    edge.handle(activate(epoch=5))
    fx = edge.handle(activate(epoch=4), release(epoch=5))
    assert kinds(fx) == []
    assert fx.counts == {("fenced_total", "activate"): 1, ("fenced_total", "release"): 1}
    assert acks(edge.handle(report(1, epoch=5)))["d-1"].epoch == 5


def test_an_order_to_another_store_is_for_an_edge_that_is_no_more() -> None:
    edge = Edge()
    fx = edge.handle(activate(store="s-0"), release(store="s-0"))
    assert (fx.writes, kinds(fx)) == ([], [])
    assert fx.counts == {("fenced_total", "order"): 2}


def test_an_activation_takes_the_snapshot_and_discards_what_was_held() -> None:
    edge = owning("d-1")
    edge.handle(report(1, 2, 3))
    snapshot = Snapshot(twin="d-1", epoch=1, session=6, last_seq=40, revision=50)
    edge.handle(activate(epoch=2, snapshot=snapshot))
    ack = acks(edge.handle(report(1, epoch=2, session=6)))["d-1"]
    assert (ack.epoch, ack.session, ack.applied, ack.stable) == (2, 6, 40, 40)


def test_a_released_twin_is_forgotten_and_its_epoch_is_kept_for_ever() -> None:
    edge = owning("d-1")
    edge.handle(report(1))
    edge.handle(release(epoch=4))
    assert edge.disk == {("absent", "d-1"): b"4"}
    edge.start()
    assert edge.handle(activate(epoch=4)).counts == {("fenced_total", "activate"): 1}
    assert kinds(edge.handle(activate(epoch=5))) == ["activated"]
    assert list(edge.disk) == [("twin", "d-1")]


def test_a_twin_released_and_activated_in_one_batch_is_owned_afterwards() -> None:
    edge = owning("d-1")
    edge.handle(report(1), release(epoch=2), activate(epoch=3), report(1, epoch=3))
    assert list(edge.disk) == [("twin", "d-1")]
    edge.start()
    assert acks(edge.handle(report(2, epoch=3)))["d-1"].applied == 2


def test_g2_a_window_sent_to_the_owner_of_another_epoch_is_not_for_this_one() -> None:
    edge = owning("d-1")
    edge.handle(release(epoch=2), activate(epoch=3))
    for epoch in (1, 2, 4):
        fx = edge.handle(report(1, epoch=epoch))
        assert (fx.writes, acks(fx), fx.counts) == ([], {}, {("fenced_total", "report"): 1})


def test_a_twin_released_in_the_batch_of_its_report_is_neither_stored_nor_acknowledged() -> None:
    edge = owning("d-1")
    fx = edge.handle(report(1), release())
    assert acks(fx) == {}
    assert list(edge.disk) == [("absent", "d-1")]
    assert fx.shown == [("d-1", None)]


# --- checkpoints ---------------------------------------------------------------------------------


def test_a_changed_twin_is_checkpointed_within_the_period() -> None:
    edge = owning("d-1")
    edge.handle(stable(0, session=0))
    fx = edge.handle(report(1))
    assert checkpoints(fx) == []
    edge.now_s += CHECKPOINT_PERIOD_S
    (snapshot,) = checkpoints(edge.handle())
    assert (snapshot.twin, snapshot.epoch, snapshot.last_seq) == ("d-1", 1, 1)


def test_what_the_cloud_calls_stable_rides_to_the_device_and_ends_the_checkpoints() -> None:
    edge = owning("d-1")
    edge.handle(report(1))
    fx = edge.handle(stable(1))
    assert acks(fx)["d-1"].stable == 1
    assert fx.writes == []
    edge.now_s += 2 * CHECKPOINT_PERIOD_S
    assert checkpoints(edge.handle()) == []


def test_a_twin_that_changed_meanwhile_is_checkpointed_again_after_the_period() -> None:
    edge = owning("d-1")
    edge.handle(report(1, 2))
    edge.now_s += CHECKPOINT_PERIOD_S
    edge.handle()
    assert acks(edge.handle(stable(1)))["d-1"].stable == 1
    edge.now_s += CHECKPOINT_PERIOD_S
    assert [snapshot.last_seq for snapshot in checkpoints(edge.handle())] == [2]


@pytest.mark.parametrize("mark", [stable(1, epoch=2), stable(1, twin="d-9")])
def test_what_is_stable_of_another_epoch_or_twin_is_fenced(mark: Message) -> None:
    edge = owning("d-1")
    edge.handle(report(1))
    fx = edge.handle(mark)
    assert (acks(fx), fx.counts) == ({}, {("fenced_total", "stable"): 1})


def test_g3_a_restarted_edge_calls_nothing_stable_before_the_cloud_does() -> None:
    edge = owning("d-1")
    edge.handle(report(1, 2))
    edge.start()
    assert acks(edge.handle(report(2)))["d-1"].stable == 0
    assert acks(edge.handle(stable(2)))["d-1"].stable == 2


def test_an_edge_checkpoints_everything_when_it_or_the_cloud_returns() -> None:
    edge = owning("d-1")
    edge.handle(report(1), cloud_says("online", 1))
    edge.start()
    assert len(checkpoints(edge.handle(Connected()))) == 1
    fx = edge.handle(cloud_says("online", 1))
    assert len(checkpoints(fx)) == 1
    assert "hello" in kinds(fx)
    assert kinds(edge.handle(cloud_says("online", 1))) == []
    assert kinds(edge.handle(cloud_says("offline", 2))) == []
    assert len(checkpoints(edge.handle(cloud_says("online", 2)))) == 1
    assert len(checkpoints(edge.handle(Stopping()))) == 1


def test_a_silent_cloud_is_asked_ever_more_rarely_until_it_answers() -> None:
    edge = owning("d-1")
    edge.handle(report(1))
    sent_s = []
    while edge.now_s < 300:
        if checkpoints(edge.handle()):
            sent_s.append(edge.now_s)
        edge.now_s += 0.5
    pauses_s = [later - earlier for earlier, later in pairwise(sent_s)]
    assert pauses_s[:5] == [10.0, 20.0, 40.0, CHECKPOINT_RETRY_LAST_S, CHECKPOINT_RETRY_LAST_S]
    edge.handle(stable(0))
    edge.now_s += CHECKPOINT_PERIOD_S
    assert len(checkpoints(edge.handle())) == 1


def test_a_busy_twin_is_checkpointed_each_period_however_many_others_wait() -> None:
    edge = owning(*(f"d-{number}" for number in range(10)))
    sent_s: dict[str, float] = {}
    answers: list[tuple[float, Message]] = []
    for step in range(1, 600):
        edge.now_s += 0.1
        due = [message for due_s, message in answers if due_s <= edge.now_s]
        answers = answers[len(due) :]
        twin = f"d-{step % 10}"
        for snapshot in checkpoints(edge.handle(*due, report(1 + step // 10, twin=twin))):
            waited_s = edge.now_s - sent_s.get(snapshot.twin, edge.now_s)
            assert waited_s <= CHECKPOINT_PERIOD_S + 1.1
            sent_s[snapshot.twin] = edge.now_s
            late = stable(snapshot.revision, twin=snapshot.twin)
            answers.append((edge.now_s + 0.3, late))
    assert len(sent_s) == 10


# --- presence ---------------------------------------------------------------------------


def test_an_edge_names_its_store_when_connected_and_with_each_heartbeat() -> None:
    edge = Edge()
    fx = edge.handle(Connected())
    assert fx.sends[0].topic == topics.status("e-1")
    assert json.loads(fx.sends[0].payload)["state"] == "online"
    hello = {"v": 1, "kind": "hello", "store": "s-1", "number": 1}
    assert json.loads(fx.sends[1].payload) == hello
    assert fx.wake_in_s is not None
    edge.now_s += HEARTBEAT_PERIOD_S
    assert kinds(edge.handle()) == ["hello"]


def test_an_edge_that_knows_where_it_is_says_so_with_its_hello() -> None:
    machine = EdgeMachine("e-1", "s-1", Place(x_m=20.0, y_m=30.0))
    machine.restore((), Now(0.0, 0))
    hello = machine.handle([Connected()], Now(0.0, 0)).sends[1]
    said = messages.parse(orders.EDGE_EVENT, hello.payload)
    assert said == orders.Hello(store="s-1", number=1, position=Place(x_m=20.0, y_m=30.0))


def test_an_edge_that_stops_says_goodbye_and_one_without_a_connection_says_nothing() -> None:
    edge = Edge()
    edge.handle(Connected())
    assert json.loads(edge.handle(Stopping()).sends[0].payload)["state"] == "offline"
    edge.handle(Disconnected())
    edge.now_s += HEARTBEAT_PERIOD_S
    assert edge.handle().sends == []


def test_an_edge_that_returns_acknowledges_what_it_has_so_that_devices_need_not_wait() -> None:
    edge = owning("d-1", "d-2")
    edge.handle(report(1, 2))
    edge.start()
    assert acks(edge.handle()) == {}
    heard = acks(edge.handle(Connected()))
    assert {twin: ack.applied for twin, ack in heard.items()} == {"d-1": 2, "d-2": 0}
    edge.now_s += REPUBLISH_PERIOD_S + 1
    edge.handle()
    edge.now_s += REPUBLISH_PERIOD_S + 1
    assert acks(edge.handle()) == {}, "once, not with every repetition"


def test_a_restart_shows_the_twins_that_are_owned_and_no_others() -> None:
    edge = owning("d-1", "d-2")
    edge.handle(report(1, level_m=2.5), release("d-2"))
    ((key, thing),) = edge.start().shown
    assert key == "d-1"
    assert (thing.twin.revision, thing.reported_wall_ms) == (1, edge.now.wall_ms)
    assert thing.document()["features"]["level_m"]["value"] == 2.5
    assert edge.machine.readings()["twins"]() == {"active": 1, "sealed": 0, "absent": 1}
