"""A log file for what a child says: bounded, and never in anybody's way."""

from pathlib import Path

from tests.system.small_disk import fill, small_disk
from twin_runtime.adapters.log_file import append


def test_what_is_said_is_kept_in_order(tmp_path: Path) -> None:
    log = tmp_path / "e-1.log"
    append(log, b"one\n", 100)
    append(log, b"two\n", 100)
    assert log.read_bytes() == b"one\ntwo\n"


def test_a_log_at_its_bound_becomes_the_one_older_file(tmp_path: Path) -> None:
    log = tmp_path / "e-1.log"
    for number in range(5):
        append(log, b"line %d\n" % number, 15)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "e-1.log": b"line 4\n",
        "e-1.log.1": b"line 2\nline 3\n",
    }


def test_a_line_without_room_is_lost_and_the_next_one_with_room_is_kept(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "64k") as disk:
        log, filler = disk / "e-1.log", disk / "filler"
        append(log, bytes(4096), 10_000)
        fill(filler)
        append(log, b"lost\n", 10_000)
        filler.unlink()
        append(log, b"kept\n", 10_000)
        assert log.read_bytes() == bytes(4096) + b"kept\n"
