"""What waits for a slow link: in order, bounded, and each thing once however often it is said."""

from hypothesis import given
from hypothesis import strategies as st

from twin_runtime.core.effects import Send
from twin_runtime.core.outgoing import Outgoing

SENDS = st.builds(
    Send, st.sampled_from(["a", "b", "c"]), st.binary(max_size=40), again=st.booleans()
)


def first(payload: bytes, topic: str = "t") -> Send:
    return Send(topic, payload)


def again(payload: bytes, topic: str = "t") -> Send:
    return Send(topic, payload, again=True)


def test_what_is_said_again_takes_the_place_of_what_still_waits() -> None:
    waiting = Outgoing()
    for send in (first(b"1"), first(b"x", "other"), first(b"2"), again(b"1 2"), first(b"3")):
        assert waiting.put(send)
    assert waiting.take(10) == [again(b"1 2"), first(b"x", "other"), first(b"3")]


def test_what_was_taken_is_said_again_behind_what_waits() -> None:
    waiting = Outgoing()
    waiting.put(first(b"1"))
    waiting.put(first(b"x", "other"))
    assert waiting.take(1) == [first(b"1")]
    waiting.put(again(b"1"))
    waiting.left()
    assert waiting.take(10) == [first(b"x", "other"), again(b"1")]


def test_g7_what_waits_is_bounded_until_it_has_left() -> None:
    waiting = Outgoing(bytes_max=10)
    assert waiting.put(first(b"12345678"))  # and a topic of one letter
    assert not waiting.put(first(b"1"))
    waiting.take(1)
    assert not waiting.put(first(b"1"))
    waiting.left()
    assert waiting.put(first(b"1"))


def test_what_does_not_fit_when_said_again_leaves_what_waits() -> None:
    waiting = Outgoing(bytes_max=10)
    waiting.put(first(b"1234"))
    assert not waiting.put(again(b"1234567890"))
    assert waiting.put(again(b"123456789"))
    assert waiting.take(10) == [again(b"123456789")]


@given(st.lists(st.one_of(SENDS, st.integers(1, 4)), max_size=60))
def test_nothing_is_lost_that_was_not_said_again(events: list[Send | int]) -> None:
    """Against a list: what is put waits in order, a repetition for all that it repeats."""
    outgoing, waits = Outgoing(bytes_max=100), list[Send]()
    for event in events:
        if isinstance(event, int):
            taken, waits = waits[:event], waits[event:]
            assert outgoing.take(event) == taken
            outgoing.left()
        else:
            after = repeated(waits, event)
            fits = sum(len(each.topic) + len(each.payload) for each in after) <= 100
            waits = after if fits else waits
            assert outgoing.put(event) == fits
        assert len(outgoing) == len(waits)
    assert outgoing.take(100) == waits


def repeated(waits: list[Send], send: Send) -> list[Send]:
    places = [n for n, each in enumerate(waits) if send.again and each.topic == send.topic]
    if not places:
        return [*waits, send]
    kept = [each for n, each in enumerate(waits) if n not in places]
    return [*kept[: places[0]], send, *kept[places[0] :]]
