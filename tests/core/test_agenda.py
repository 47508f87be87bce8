"""Who is due when."""

from hypothesis import given
from hypothesis import strategies as st

from twin_runtime.core.agenda import Agenda

KEYS = st.sampled_from("abcde")
STEPS = st.lists(st.tuples(KEYS, st.integers(0, 9) | st.just(float("inf"))), max_size=60)


@given(STEPS, st.integers(0, 9))
def test_the_last_time_set_for_a_key_is_the_one_that_counts(
    steps: list[tuple[str, float]], now_s: int
) -> None:
    agenda = Agenda()
    wanted: dict[str, float] = {}
    for key, due_s in steps:
        agenda.set(key, due_s)
        wanted[key] = due_s
    due = sorted((due_s, key) for key, due_s in wanted.items() if due_s <= now_s)
    later = [due_s for due_s in wanted.values() if now_s < due_s < float("inf")]
    assert agenda.take(now_s, 99) == [key for _, key in due]
    assert agenda.next_s() == min(later, default=None)
    assert len(agenda) == len(later)


def test_no_more_than_asked_for_are_taken_and_the_rest_stays() -> None:
    agenda = Agenda()
    for n, key in enumerate("abc"):
        agenda.set(key, n)
    assert agenda.take(9, 2) == ["a", "b"]
    assert agenda.next_s() == 2


def test_a_key_that_is_dropped_is_not_due() -> None:
    agenda = Agenda()
    agenda.set("a", 1)
    agenda.drop("a")
    assert agenda.take(9, 9) == []
    assert agenda.next_s() is None


def test_outdated_entries_do_not_pile_up() -> None:
    agenda = Agenda()
    for n in range(10_000):
        agenda.set("a", n)
    assert agenda.entries < 100
