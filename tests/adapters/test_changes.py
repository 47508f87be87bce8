"""What readers of changes share: bounded, and kept only while somebody reads."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest

from tests.adapters.a_stream import until
from twin_runtime.adapters import changes as changes_module
from twin_runtime.adapters.changes import Change, Changes
from twin_runtime.core.limits import STREAM_WAITING_MAX

Body = Callable[[Changes], Awaitable[None]]


def followed(body: Body) -> None:
    """Run `body` while the changes of states that are bytes already make their rounds."""

    async def run() -> None:
        changes = Changes({}, bytes)
        rounds = asyncio.create_task(changes.run())
        await body(changes)
        rounds.cancel()
        await asyncio.wait([rounds])

    asyncio.run(run())


def test_without_a_reader_changes_are_counted_and_nothing_is_kept() -> None:
    async def body(changes: Changes) -> None:
        changes.take([("d-1", b"1"), ("d-2", b"2")])
        assert (changes.newest, changes.kept) == (2, (0, 0))
        with changes.listening():
            assert changes.holds(2)
            assert not changes.holds(1)

    followed(body)


def test_what_is_shown_again_as_it_was_is_no_change() -> None:
    async def body(changes: Changes) -> None:
        with changes.listening():
            for shown in (b"1", b"1", b"2", b"2", b"1"):
                changes.take([("d-1", shown), ("d-2", b"1")])
            await until(lambda: changes.newest == 9)
            assert [change.number for change in changes.after(0)] == [1, 2, 5, 9]

    followed(body)


def test_what_is_shown_again_after_the_ring_has_gone_on_is_no_change_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(changes_module, "STREAM_RING_ROWS_MAX", 10)

    async def body(changes: Changes) -> None:
        with changes.listening():
            changes.take([("d-quiet", b"1")])
            for n in range(30):
                changes.take([("d-busy", b"%d" % n)])
                await until(lambda n=n: changes.newest == n + 2)  # type: ignore[misc]
            assert "d-quiet" in changes.missed(0)[0]
            changes.take([("d-quiet", b"1"), ("d-busy", b"30")])
            await until(lambda: changes.newest == 33)
            assert [change.twin for change in changes.after(31)] == ["d-busy"]
            changes.take([("d-quiet", None), ("d-quiet", b"1")])
            await until(lambda: changes.newest == 35)
            assert [change.body for change in changes.after(33)] == [None, b"1"]

    followed(body)


def test_of_a_flood_the_newest_of_each_twin_comes_in_order() -> None:
    async def body(changes: Changes) -> None:
        with changes.listening():
            flood = 10 * STREAM_WAITING_MAX
            for n in range(1, flood + 1):
                changes.take([(f"d-{n % 7}", b"%d" % n)])
            await until(lambda: changes.newest == flood)
            found = changes.after(0)
            assert len(found) <= STREAM_WAITING_MAX + 1
            newest = {change.twin: change.body for change in found}
            assert newest == {f"d-{n % 7}": b"%d" % n for n in range(flood - 6, flood + 1)}
            assert [change.number for change in found] == sorted(c.number for c in found)

    followed(body)


def test_the_ring_is_bounded_by_bytes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes_module, "STREAM_RING_BYTES_MAX", 10_000)

    async def body(changes: Changes) -> None:
        with changes.listening():
            for n in range(1, 101):
                changes.take([(f"d-{n % 3}", b"%4d" % n * 250)])
                await until(lambda n=n: changes.newest == n)  # type: ignore[misc]
            rows, size = changes.kept
            assert size <= 10_000
            assert rows == size // 1_000
            twins, number = changes.missed(0)
            assert (twins, number) == ([], 100 - rows)
            assert not changes.missed(number)[0]

    followed(body)


FEW = [(f"d-{n * n % 7}", b"%d" % n if n % 11 else None) for n in range(1, 61)]
PASSING = [(f"d-{n // 2}", None if n % 2 else b"%d" % n) for n in range(80)]


@pytest.mark.parametrize("history", [FEW, PASSING], ids=["few twins", "twins that come and go"])
def test_wherever_a_reader_stopped_it_learns_once_what_became_of_each_twin(
    monkeypatch: pytest.MonkeyPatch, history: list[tuple[str, bytes | None]]
) -> None:
    monkeypatch.setattr(changes_module, "STREAM_RING_ROWS_MAX", 10)

    async def body(changes: Changes) -> None:
        known: list[dict[str, bytes | None]] = [{}]
        with changes.listening():
            for number, (twin, state) in enumerate(history, 1):
                changes.take([(twin, state)])
                await until(lambda number=number: changes.newest == number)  # type: ignore[misc]
                known.append({**known[-1], twin: state})
            held = [number for number in range(len(known)) if changes.holds(number)]
            assert held[-11:] == list(range(len(known)))[-11:]
            for number in held:
                twins, reached = changes.missed(number)
                newer = {change.twin: change.body for change in all_after(changes, reached)}
                learnt = {twin: known[-1][twin] for twin in twins}
                assert {**known[number], **learnt, **newer} == known[-1]
                assert all(known[number].get(twin, ...) != state for twin, state in learnt.items())
                assert not learnt.keys() & newer.keys()

    followed(body)


def all_after(changes: Changes, number: int) -> Iterator[Change]:
    while piece := changes.after(number):
        yield from piece
        number = piece[-1].number


def test_a_piece_ends_where_it_is_full_and_the_next_goes_on() -> None:
    async def body(changes: Changes) -> None:
        with changes.listening():
            changes.take([(f"d-{n}", b"x" * 20_000) for n in range(10)])
            await until(lambda: changes.newest == 10)
            seen, number = [], 0
            while piece := changes.after(number):
                assert len(piece) <= 4
                seen += [change.number for change in piece]
                number = seen[-1]
            assert seen == list(range(1, 11))

    followed(body)


def test_what_is_kept_is_forgotten_a_while_after_the_last_reader(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(changes_module, "STREAM_KEPT_S", 0.0)

    async def body(changes: Changes) -> None:
        with changes.listening():
            changes.take([("d-1", b"1")])
            await until(lambda: changes.newest == 1)
            assert changes.kept == (1, 1)
        changes.take([("d-1", b"2")])
        assert (changes.newest, changes.kept) == (2, (0, 0))

    followed(body)
