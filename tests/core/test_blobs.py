"""References to blobs: each is asked for until it is here, and wanted while a twin names it."""

from collections.abc import Sequence

from twin_runtime.core.blobs import Blobs
from twin_runtime.core.effects import Effects, FetchBlob
from twin_runtime.core.limits import (
    BLOB_FETCHES_ASKED_MAX,
    BLOB_RETRY_FIRST_S,
    BLOB_RETRY_LAST_S,
    BLOB_SOURCES_MAX,
)
from twin_runtime.core.messages import BlobRef


def ref(digit: int, size: int = 5) -> BlobRef:
    return BlobRef(sha256=f"{digit:064x}", bytes=size)


def name(digit: int) -> str:
    return ref(digit).sha256


def from_owner(twin: str, attempt: int) -> Sequence[str]:
    return [f"e-{twin}", "cloud"]


def asked(blobs: Blobs, now_s: float = 0.0) -> list[FetchBlob]:
    fx = Effects()
    blobs.settle(now_s, from_owner, fx)
    return fx.fetches


def wake(blobs: Blobs, now_s: float) -> float | None:
    fx = Effects()
    blobs.settle(now_s, from_owner, fx)
    return fx.wake_in_s


def test_what_a_twin_refers_to_is_asked_for_once_and_not_again_when_it_is_here() -> None:
    blobs = Blobs()
    blobs.refer("d-1", {"model": ref(1)})
    assert asked(blobs) == [FetchBlob(name(1), 5, ("e-d-1", "cloud"))]
    assert (asked(blobs, 1_000.0), blobs.lacking) == ([], 1)
    blobs.complete(name(1))
    assert (asked(blobs, 1_000.0), blobs.lacking) == ([], 0)


def test_the_same_references_again_ask_for_nothing() -> None:
    blobs = Blobs()
    blobs.refer("d-1", {"model": ref(1)})
    asked(blobs)
    blobs.complete(name(1))
    blobs.refer("d-1", {"model": ref(1)})
    blobs.refer("d-2", {"history": ref(1)})
    assert asked(blobs) == []


def test_a_blob_is_wanted_until_the_last_twin_refers_to_another() -> None:
    blobs = Blobs()
    blobs.refer("d-1", {"model": ref(1), "old": ref(1)})
    blobs.refer("d-2", {"model": ref(1)})
    blobs.refer("d-1", {"model": ref(2)})
    assert blobs.wants(name(1))
    assert blobs.wants(name(2))
    blobs.refer("d-2", {})
    assert not blobs.wants(name(1))
    assert [each.sha256 for each in asked(blobs)] == [name(2)]


def test_a_blob_of_two_names_is_let_go_with_the_last_of_them() -> None:
    blobs = Blobs()
    blobs.refer("d-1", {"model": ref(1), "spare": ref(1)})
    blobs.refer("d-1", {"model": ref(1)})
    assert blobs.wants(name(1))
    blobs.refer("d-1", {"model": ref(1), "spare": ref(1)})
    blobs.refer("d-1", {})
    assert not blobs.wants(name(1))
    assert asked(blobs) == []


def test_what_did_not_come_is_asked_for_again_ever_more_rarely() -> None:
    blobs = Blobs()
    blobs.refer("d-1", {"model": ref(1)})
    asked(blobs)
    pauses, now_s = [], 0.0
    for _ in range(10):
        blobs.failed(name(1), now_s)
        pause_s = wake(blobs, now_s)
        assert pause_s is not None
        pauses.append(pause_s)
        now_s += pause_s
        assert len(asked(blobs, now_s)) == 1
    assert BLOB_RETRY_FIRST_S / 2 <= pauses[0] <= BLOB_RETRY_FIRST_S
    assert BLOB_RETRY_LAST_S / 2 <= pauses[-1] <= BLOB_RETRY_LAST_S
    assert pauses[1] < pauses[4] < pauses[-1]


def test_what_was_here_and_was_damaged_is_asked_for_anew() -> None:
    blobs = Blobs()
    blobs.refer("d-1", {"model": ref(1)})
    asked(blobs)
    blobs.complete(name(1))
    blobs.failed(name(1), 0.0)
    assert blobs.lacking == 1
    assert len(asked(blobs, BLOB_RETRY_FIRST_S)) == 1


def test_what_is_not_wanted_any_more_is_not_asked_for_again() -> None:
    blobs = Blobs()
    blobs.refer("d-1", {"model": ref(1)})
    asked(blobs)
    blobs.refer("d-1", {})
    blobs.failed(name(1), 0.0)
    assert (asked(blobs, 1_000.0), blobs.lacking, wake(blobs, 0.0)) == ([], 0, None)
    blobs.complete(name(1))


def test_g7_few_are_asked_for_at_once_and_the_next_when_one_has_ended() -> None:
    blobs = Blobs()
    for digit in range(BLOB_FETCHES_ASKED_MAX + 3):
        blobs.refer(f"d-{digit}", {"model": ref(digit)})
    first = asked(blobs)
    assert len(first) == BLOB_FETCHES_ASKED_MAX
    assert wake(blobs, 0.0) is None, "the end of one wakes it"
    blobs.complete(first[0].sha256)
    blobs.failed(first[1].sha256, 0.0)
    assert len(asked(blobs)) == 2


def test_a_blob_of_many_twins_is_asked_of_few() -> None:
    blobs = Blobs()
    for digit in range(100):
        blobs.refer(f"d-{digit}", {"model": ref(1)})
    (fetch,) = asked(blobs)
    assert fetch.sources == ("e-d-0", "cloud", "e-d-1", "e-d-2")
    assert len(fetch.sources) == BLOB_SOURCES_MAX
