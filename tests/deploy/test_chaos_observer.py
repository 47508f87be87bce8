"""What an observer makes of acknowledgements: claims, moves, pauses, and who is missing."""

import json

import pytest

from deploy.chaos_observer import Moved, Observer, Span
from twin_runtime.core import topics
from twin_runtime.core.effects import Message

TWIN = "d-1"
SESSION = 7


def ack(applied: int, *, twin: str = TWIN, edge: str = "e-1", epoch: int = 1,
        session: int = SESSION) -> Message:  # fmt: skip
    said = {"v": 1, "edge": edge, "epoch": epoch, "session": session, "applied": applied}
    return Message(topics.down(twin, edge, "ack"), json.dumps(said).encode())


@pytest.fixture
def observer() -> Observer:
    return Observer()


def test_a_claim_reaches_from_the_first_position_heard_to_the_highest(observer: Observer) -> None:
    observer.hear([ack(40), ack(42), ack(41), ack(45)], 1.0)
    assert observer.claims == {TWIN: {SESSION: Span(40, 45)}}
    assert observer.acknowledged == 5
    assert observer.per_second == {1: 5}


def test_a_session_that_began_meanwhile_is_claimed_as_a_whole(observer: Observer) -> None:
    observer.hear([ack(40), ack(3, session=8)], 1.0)
    assert observer.claims[TWIN] == {SESSION: Span(40, 40), 8: Span(1, 3)}
    assert observer.acknowledged == 3


def test_news_from_another_edge_is_a_move_and_its_pause(observer: Observer) -> None:
    observer.hear([ack(1)], 1.0)
    observer.hear([ack(2)], 1.5)
    observer.hear([ack(2, edge="e-2", epoch=2)], 1.75)  # says nothing that was not known
    observer.hear([ack(3, edge="e-2", epoch=2)], 2.0)
    assert list(observer.moves) == [Moved(TWIN, "e-1", "e-2", 2.0, 0.5)]
    assert list(observer.gaps_s) == [0.5]
    assert observer.owner(TWIN) == "e-2"


def test_a_former_owner_s_late_word_is_a_claim_and_no_move(observer: Observer) -> None:
    observer.hear([ack(1), ack(2, edge="e-2", epoch=2), ack(3)], 1.0)
    assert len(observer.moves) == 1
    assert observer.owner(TWIN) == "e-2"
    assert observer.claims[TWIN][SESSION].last == 3


def test_a_twin_is_missing_until_there_is_news_of_it(observer: Observer) -> None:
    observer.hear([ack(1), ack(1, twin="d-2")], 1.0)
    watch = observer.watch(2.0)
    observer.hear([ack(1), ack(2, twin="d-2")], 3.0)
    assert (watch.missing, watch.last_s) == ({TWIN}, 3.0)
    assert observer.silent(["d-1", "d-2"], 2.5) == {TWIN}
    observer.hear([ack(2)], 4.0)
    observer.hear([ack(3)], 5.0)
    assert (watch.missing, watch.last_s) == (set(), 4.0)


@pytest.mark.parametrize(
    "payload",
    [b"", b"[]", b"7", b'{"epoch": 1}', b'{"epoch":1,"session":2,"applied":"x"}', b"\xff"],
)
def test_what_is_no_acknowledgement_is_not_heard(payload: bytes, observer: Observer) -> None:
    observer.hear([Message(topics.down(TWIN, "e-1", "ack"), payload)], 1.0)
    observer.hear([Message("dt/v1/down/nobody/e-1/ack", ack(1).payload)], 1.0)
    assert observer.claims == {}
