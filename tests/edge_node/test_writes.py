"""Edits at an edge: answered with their commit, guarded in it, and remembered."""

from typing import Any

import pytest

from edge_node.history import HISTORY
from tests.edge_node.an_edge import (
    checkpoints,
    documents,
    owning,
    release,
    report,
    stable,
)
from twin_runtime.core import messages, topics
from twin_runtime.core.effects import (
    Answer,
    Append,
    Asked,
    Attach,
    AwaitStable,
    Edit,
    Edited,
    Effects,
    Guard,
    Instruct,
    Message,
    Refused,
)
from twin_runtime.core.limits import QUESTIONS_MAX, TWIN_PUBLISH_PERIOD_S
from twin_runtime.core.messages import BlobRef
from twin_runtime.core.orders import Release, Seal
from twin_runtime.core.thing import thing_of, timestamp

ROOM = ("attributes", "room")


def put(path: tuple[str, ...], value: Any, guard: Guard | None = None, number: int = 7) -> Asked:
    return Asked(number, Edit("d-1", "put", path, value, guard or Guard()))


def edited(fx: Effects) -> Edited:
    (answer,) = fx.answers
    assert isinstance(answer.value, Edited), answer
    return answer.value


def refused(fx: Effects) -> str:
    (answer,) = fx.answers
    assert isinstance(answer.refused, Refused)
    assert fx.writes == []
    return answer.refused.code


def entries(fx: Effects) -> list[tuple[int, dict[str, Any]]]:
    return [
        (write.number, messages.load(write.value))
        for write in fx.writes
        if isinstance(write, Append) and write.log == HISTORY
    ]


def seal() -> Message:
    order = Seal(store="s-1", twin="d-1", epoch=1)
    return Message(topics.order("e-1"), messages.encode(order))


def test_g8_an_edit_is_in_the_row_when_it_is_answered_and_survives_a_restart() -> None:
    edge = owning("d-1")
    fx = edge.handle(put(ROOM, {"name": "north"}))
    made = edited(fx)
    assert (made.epoch, made.revision, made.is_new) == (1, 1, True)
    assert made.tag.startswith('"hash:')
    (document,) = documents(fx)
    assert document.attributes == {"room": {"name": "north"}}
    edge.start()
    assert edited(edge.handle(put(ROOM, {"name": "north"}))).revision == 1
    edge.now_s += 10.0
    (checkpoint,) = checkpoints(edge.handle())
    assert checkpoint.attributes == {"room": {"name": "north"}}


def test_an_edit_is_answered_with_the_twin_as_it_is_committed() -> None:
    edge = owning("d-1")
    made = edited(edge.handle(put(ROOM, "north")))
    assert made.document == edge.document("d-1")


def test_whatever_changes_a_twin_says_when() -> None:
    edge = owning("d-1")
    blob = BlobRef(sha256="a" * 64, bytes=1)
    wish = Edit("d-1", "put", ("features", "level", "desiredProperties", "value"), 2, valid_for_s=5)
    for change in (
        put(ROOM, "north"),
        Asked(7, Attach("d-1", "model", blob)),
        Asked(7, Instruct("d-1", "blink", {}, 1.0)),
        Asked(7, wish),
    ):
        edge.now_s += 1.5
        fx = edge.handle(change)
        (_, shown) = fx.shown[-1]
        assert thing_of(shown.document(), "s")["_modified"] == timestamp(edge.now.wall_ms)
    edge.now_s += 5.0
    (_, shown) = edge.handle().shown[-1]
    thing = thing_of(shown.document(), "s")
    assert thing["features"]["level"]["desiredState"]["state"] == "expired"
    assert thing["_modified"] == timestamp(edge.now.wall_ms)
    assert shown.state().modified_wall_ms == edge.now.wall_ms


def test_a_wish_says_since_when_it_is_wanted() -> None:
    edge = owning("d-1")
    path = ("features", "level", "desiredProperties", "value")
    edge.handle(put(path, 2))
    wanted_ms = edge.now.wall_ms
    edge.now_s += 60.0
    edge.handle(put(ROOM, "north"))
    thing = thing_of(messages.load(edge.document("d-1")), "s")
    assert thing["features"]["level"]["desiredState"]["wanted_ms"] == wanted_ms


def test_what_follows_a_write_within_a_second_is_published_at_once() -> None:
    edge = owning("d-1")
    edge.handle(report(1))
    assert documents(edge.handle(report(2))) == [], "the device alone is heard once a second"
    edge.now_s += 0.1
    assert len(documents(edge.handle(put(ROOM, "north")))) == 1
    edge.now_s += 0.1
    assert [each.revision for each in documents(edge.handle(report(3)))] == [4]
    edge.now_s += TWIN_PUBLISH_PERIOD_S - 0.1
    assert documents(edge.handle(report(4))) == [], "nobody waits for that any more"
    edge.now_s += TWIN_PUBLISH_PERIOD_S
    assert [each.revision for each in documents(edge.handle())] == [5]


def test_an_edit_that_changes_nothing_writes_nothing() -> None:
    edge = owning("d-1")
    first = edited(edge.handle(put(ROOM, "north")))
    fx = edge.handle(put(ROOM, "north"))
    assert edited(fx) == first._replace(is_new=False)
    assert fx.writes == []


def test_each_edit_has_an_entry_of_its_own_between_the_reports_around_it() -> None:
    edge = owning("d-1")
    edits = (put(ROOM, "north"), put(ROOM, "south"))
    fx = edge.handle(report(1, level_m=1.0), *edits, report(2, 3, level_m=2.0))
    found = entries(fx)
    assert [number for number, _ in found] == [1, 2, 3, 5]
    assert [len(entry.get("reports", ())) for _, entry in found] == [1, 0, 0, 2]
    assert [entry["edit"]["attributes"] for _, entry in found if "edit" in entry] == [
        {"room": "north"},
        {"room": "south"},
    ]


def test_conditions_are_checked_in_the_commit_that_writes() -> None:
    edge = owning("d-1")
    tag = edited(edge.handle(put(ROOM, "north"))).tag
    first, second = put(ROOM, "a", Guard(if_match=tag), 1), put(ROOM, "b", Guard(if_match=tag), 2)
    fx = edge.handle(first, second)
    answers = {answer.number: answer for answer in fx.answers}
    assert isinstance(answers[1].value, Edited)
    assert answers[2].refused is not None
    assert answers[2].refused.code == "changed"
    assert edited(edge.handle(put(ROOM, "c", Guard(if_match="*")))).revision == 3
    assert refused(edge.handle(put(ROOM, "d", Guard(if_none_match="*")))) == "changed"


def test_a_thing_is_guarded_by_its_epoch_and_revision() -> None:
    edge = owning("d-1")
    whole = Asked(7, Edit("d-1", "patch", (), {"attributes": {"a": 1}}, Guard('"rev:1.0"')))
    assert edited(edge.handle(whole)).tag == '"rev:1.1"'
    assert refused(edge.handle(whole)) == "changed"


def test_a_condition_is_asked_of_the_thing_as_it_is_in_the_commit() -> None:
    edge = owning("d-1")
    seen: list[Any] = []

    def is_empty(thing: Any) -> bool:
        seen.append(thing["attributes"].get("room"))
        return not seen[-1]

    edge.handle(put(ROOM, "a", Guard(holds=is_empty), 1), put(ROOM, "b", Guard(holds=is_empty), 2))
    assert seen == [None, "a"]


@pytest.mark.parametrize("twin, code", [("d-1", "moving"), ("d-2", "unknown_twin")])
def test_a_twin_that_moves_or_is_elsewhere_takes_no_edit(twin: str, code: str) -> None:
    edge = owning("d-1")
    edge.handle(seal())
    assert refused(edge.handle(Asked(7, Edit(twin, "put", ROOM, 1)))) == code


def test_who_asks_for_a_twin_that_left_is_sent_to_where_it_is_after_a_restart_too() -> None:
    edge = owning("d-1", "d-2")
    order = Release(store="s-1", twin="d-1", epoch=2, api="http://10.0.0.2:8421")
    edge.handle(Message(topics.order("e-1"), messages.encode(order)), release("d-2"))
    assert dict(edge.machine.elsewhere) == {"d-1": "http://10.0.0.2:8421"}
    edge.start()
    assert dict(edge.machine.elsewhere) == {"d-1": "http://10.0.0.2:8421"}
    assert refused(edge.handle(put(ROOM, 1))) == "unknown_twin"
    edge.own("d-1", epoch=3)
    assert dict(edge.machine.elsewhere) == {}


def test_g8_who_waits_for_a_checkpoint_is_answered_when_the_cloud_has_it() -> None:
    edge = owning("d-1")
    edge.handle(put(ROOM, 1), put(ROOM, 2))
    fx = edge.handle(Asked(8, AwaitStable("d-1", 1, 2)))
    assert [twin.revision for twin in checkpoints(fx)] == [2]
    assert fx.answers == []
    assert edge.handle(stable(1)).answers == []
    assert edge.handle(stable(2)).answers == [Answer(8)]
    assert edge.handle(stable(2)).answers == []


def test_who_asks_for_what_is_stable_already_is_answered_by_the_next_mark() -> None:
    edge = owning("d-1")
    edge.handle(put(ROOM, 1))
    edge.handle(stable(1))
    assert len(checkpoints(edge.handle(Asked(8, AwaitStable("d-1", 1, 1))))) == 1
    assert edge.handle(stable(1)).answers == [Answer(8)]


def test_g8_a_checkpoint_of_a_later_owner_proves_nothing_about_a_write_before_it() -> None:
    edge = owning("d-1")
    edge.handle(put(ROOM, 1), Asked(8, AwaitStable("d-1", 1, 1)))
    edge.handle(release(epoch=2))
    edge.own("d-1", epoch=3)
    edge.handle(put(ROOM, 2))
    assert edge.handle(stable(1, epoch=3)).answers == []


def test_g7_no_more_wait_for_checkpoints_than_may_ask() -> None:
    edge = owning("d-1")
    edge.handle(*(Asked(n, AwaitStable("d-1", 1, 0)) for n in range(QUESTIONS_MAX + 1)))
    answered = [answer.number for answer in edge.handle(stable(0)).answers]
    assert answered == list(range(1, QUESTIONS_MAX + 1))
