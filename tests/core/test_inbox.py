"""The bounded inbox: it drops messages, newest first, and never a change of connection."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from twin_runtime.core.effects import Connected, Disconnected, Message
from twin_runtime.core.inbox import Inbox


def message(number: int) -> Message:
    return Message("t", b"%d" % number)


def test_a_full_inbox_keeps_the_oldest_and_counts_the_rest() -> None:
    inbox = Inbox(3)
    inbox.put([message(1)])
    inbox.put([message(2), message(3), message(4)])
    inbox.put([message(5)])
    assert (inbox.drops, inbox.waiting) == (2, 3)
    assert inbox.take() == [message(1), message(2), message(3)]
    assert inbox.waiting == 0
    assert inbox.take() == []
    inbox.put([message(6)])
    assert inbox.take() == [message(6)]


def test_g7_large_messages_fill_an_inbox_before_it_holds_many() -> None:
    inbox = Inbox(100, bytes_max=250)
    large = [Message("t", bytes(100)) for _ in range(5)]
    inbox.put(large)
    assert inbox.drops == 2
    assert inbox.take() == large[:3]
    inbox.put(large[:1])
    assert inbox.take() == large[:1]


def test_a_full_inbox_still_tells_of_the_connection() -> None:
    inbox = Inbox(1)
    inbox.put([message(1)])
    inbox.disconnected()
    inbox.connected()
    assert inbox.take() == [message(1), Disconnected(), Connected()]


def test_a_connection_that_nobody_saw_is_forgotten() -> None:
    inbox = Inbox(1)
    inbox.connected()
    inbox.disconnected()
    assert inbox.take() == []


@given(st.lists(st.integers(0, 3), max_size=200), st.integers(1, 5))
def test_it_never_holds_much_more_than_its_bound(steps: list[int], events_max: int) -> None:
    inbox = Inbox(events_max)
    connected = False
    for step in steps:
        if step > 1:
            inbox.put([message(step)])
        elif connected:
            inbox.disconnected()
            connected = False
        else:
            inbox.connected()
            connected = True
    events = inbox.take()
    assert len(events) <= 3 * events_max + 2
    changes = [each for each in events if not isinstance(each, Message)]
    assert all(a != b for a, b in pairwise(changes))
    if changes:
        assert isinstance(changes[-1], Connected if connected else Disconnected)
