"""A transfer wants a few chunks at a time, again after silence, and from the next source."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from twin_runtime.core.limits import (
    BLOB_SILENCE_FIRST_S,
    BLOB_SILENCE_LAST_S,
    BLOB_SILENCES_MAX,
    BLOB_WINDOW_CHUNKS,
)
from twin_runtime.core.transfer import Transfer


def test_a_window_is_wanted_and_the_next_chunks_once_half_of_it_has_come() -> None:
    transfer = Transfer(range(10), ["e-1"])
    assert transfer.wants() == (0, 1, 2, 3)
    assert transfer.wants() == ()
    transfer.took(2)
    assert transfer.wants() == ()
    transfer.took(0)
    assert transfer.wants() == (4, 5)


def test_only_outstanding_chunks_of_the_present_source_are_expected() -> None:
    transfer = Transfer(range(10), ["e-1", "e-2"])
    assert not transfer.expects("e-1", 0)
    transfer.wants()
    assert transfer.expects("e-1", 0)
    assert not transfer.expects("e-2", 0)
    assert not transfer.expects("e-1", 4)
    transfer.took(0)
    assert not transfer.expects("e-1", 0)


def test_after_silence_the_same_is_wanted_again_and_waited_for_longer() -> None:
    transfer = Transfer(range(6), ["e-1"])
    transfer.wants()
    transfer.took(1)
    assert transfer.silence_s == BLOB_SILENCE_FIRST_S
    transfer.silent()
    assert transfer.wants() == (0, 2, 3, 4)
    assert transfer.silence_s == min(2 * BLOB_SILENCE_FIRST_S, BLOB_SILENCE_LAST_S)
    transfer.took(0)
    assert transfer.silence_s == BLOB_SILENCE_FIRST_S


def test_a_silent_source_is_left_for_the_next_and_what_came_stays() -> None:
    transfer = Transfer(range(2), ["e-1", "cloud"])
    transfer.wants()
    transfer.took(0)
    for _ in range(BLOB_SILENCES_MAX):
        transfer.silent()
    assert (transfer.source, transfer.wants()) == ("cloud", (1,))
    for _ in range(BLOB_SILENCES_MAX):
        transfer.silent()
    assert (transfer.source, transfer.failure) == (None, "silent")


def test_a_source_that_lacks_it_is_left_at_once() -> None:
    transfer = Transfer(range(2), ["e-1", "cloud"])
    transfer.wants()
    transfer.lacks()
    assert (transfer.source, transfer.wants()) == ("cloud", (0, 1))
    transfer.lacks()
    assert (transfer.source, transfer.failure) == (None, "lacking")


def test_without_a_source_it_fails_and_without_chunks_it_is_complete() -> None:
    assert Transfer(range(2), []).source is None
    assert Transfer([], ["e-1"]).is_complete


@given(st.integers(1, 40), st.randoms(use_true_random=False))
def test_whatever_is_lost_every_chunk_is_taken_once_and_few_are_outstanding(
    chunks: int, rng: Random
) -> None:
    transfer, taken, outstanding = Transfer(range(chunks), ["e-1"]), set[int](), set[int]()
    while not transfer.is_complete:
        assert transfer.source is not None
        outstanding |= set(transfer.wants())
        assert len(outstanding) <= BLOB_WINDOW_CHUNKS
        came = {number for number in sorted(outstanding) if rng.random() < 0.5}
        for number in came:
            assert transfer.expects("e-1", number)
            transfer.took(number)
            taken.add(number)
        outstanding -= came
        if not came and rng.random() < 0.1:
            transfer.silent()
            outstanding.clear()
            if transfer.source is None:
                return
    assert taken == set(range(chunks))
