"""Blobs on a disk: intact or not there, bounded, and kept for as long as somebody may want them."""

import errno
import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from twin_runtime.adapters.blob_files import BlobFiles
from twin_runtime.core.errors import BlobsFull, Unavailable
from twin_runtime.core.limits import BLOB_GRACE_S, BLOBS_FREE_BYTES_MIN, CHUNK_BYTES_MAX
from twin_runtime.core.messages import BlobRef

CONTENT = os.urandom(2 * CHUNK_BYTES_MAX + 5)
REF = BlobRef(sha256=sha256(CONTENT).hexdigest(), bytes=len(CONTENT))


def chunk(number: int) -> bytes:
    return CONTENT[number * CHUNK_BYTES_MAX :][:CHUNK_BYTES_MAX]


def uploaded(files: BlobFiles, content: bytes = CONTENT) -> BlobRef:
    upload = files.upload()
    upload.write(content[:3])
    upload.write(content[3:])
    return upload.finish()


def received(files: BlobFiles, *numbers: int) -> None:
    files.begin(REF)
    for number in numbers:
        files.write(REF.sha256, number, chunk(number))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_uploaded_is_kept_under_its_hash_and_is_still_there_after_a_restart(
    tmp_path: Path,
) -> None:
    assert uploaded(BlobFiles(tmp_path)) == REF
    files = BlobFiles(tmp_path)
    assert (len(files), files.size(REF.sha256), files.bytes_held) == (1, REF.bytes, REF.bytes)
    with files.open(REF.sha256) as file:
        assert file.read() == CONTENT
    assert [files.chunk(REF.sha256, number) for number in range(3)] == list(map(chunk, range(3)))


def test_an_upload_that_is_abandoned_leaves_nothing(tmp_path: Path) -> None:
    files = BlobFiles(tmp_path)
    upload = files.upload()
    upload.write(CONTENT)
    assert files.bytes_held == REF.bytes
    upload.abandon()
    assert (names(tmp_path), files.bytes_held) == ([], 0)
    (tmp_path / "upload-1").write_bytes(CONTENT)  # as a crash leaves it
    assert (len(BlobFiles(tmp_path)), names(tmp_path)) == (0, [])


def test_the_same_bytes_twice_are_one_blob(tmp_path: Path) -> None:
    files = BlobFiles(tmp_path)
    assert uploaded(files) == uploaded(files)
    assert (len(files), files.bytes_held) == (1, REF.bytes)


def test_chunks_in_any_order_become_the_blob(tmp_path: Path) -> None:
    files = BlobFiles(tmp_path)
    received(files, 2, 0, 1)
    assert files.size(REF.sha256) is None
    assert files.finish(REF.sha256)
    with files.open(REF.sha256) as file:
        assert file.read() == CONTENT
    assert (names(tmp_path), files.bytes_held) == ([REF.sha256], REF.bytes)


def test_what_was_damaged_on_the_disk_is_found_out_and_is_here_no_more(tmp_path: Path) -> None:
    files = BlobFiles(tmp_path)
    uploaded(files)
    assert files.verify(REF.sha256)
    (tmp_path / REF.sha256).write_bytes(CONTENT[:-1] + b"?")
    assert not files.verify(REF.sha256)
    assert (names(tmp_path), files.bytes_held, files.touch(REF.sha256)) == ([], 0, False)
    uploaded(files)
    (tmp_path / REF.sha256).unlink()
    assert not files.verify(REF.sha256)
    assert not files.touch(REF.sha256)


def test_an_upload_takes_the_place_of_what_was_damaged(tmp_path: Path) -> None:
    files = BlobFiles(tmp_path)
    uploaded(files)
    (tmp_path / REF.sha256).write_bytes(CONTENT[:-1] + b"?")
    uploaded(files)
    assert files.verify(REF.sha256)


def test_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    received(BlobFiles(tmp_path), 0, 2)
    files = BlobFiles(tmp_path)
    assert files.bytes_held == REF.bytes
    assert files.begin(REF) == [1]
    files.write(REF.sha256, 1, chunk(1))
    assert files.finish(REF.sha256)


def test_what_is_not_what_its_name_says_is_dropped_and_begun_anew(tmp_path: Path) -> None:
    files = BlobFiles(tmp_path)
    received(files, 0, 1)
    files.write(REF.sha256, 2, b"wrong")
    assert not files.finish(REF.sha256)
    assert (files.size(REF.sha256), files.bytes_held, names(tmp_path)) == (None, 0, [])
    assert files.begin(REF) == [0, 1, 2]


def test_a_map_without_its_part_or_of_another_size_is_not_believed(tmp_path: Path) -> None:
    received(BlobFiles(tmp_path), 0, 1)
    (tmp_path / f"{REF.sha256}.part").unlink()
    assert BlobFiles(tmp_path).begin(REF) == [0, 1, 2]
    (tmp_path / f"{REF.sha256}.chunks").write_bytes(b"\1")
    assert BlobFiles(tmp_path).begin(REF) == [0, 1, 2]
    larger = BlobRef(sha256=REF.sha256, bytes=REF.bytes + CHUNK_BYTES_MAX)
    assert BlobFiles(tmp_path).begin(larger) == [0, 1, 2, 3]


def test_g7_blobs_take_no_more_of_the_disk_than_they_may(tmp_path: Path) -> None:
    files = BlobFiles(tmp_path, bytes_max=REF.bytes + 10)
    uploaded(files)
    with pytest.raises(BlobsFull, match=f"{REF.bytes} of {REF.bytes + 10} bytes"):
        files.begin(BlobRef(sha256="0" * 64, bytes=11))
    upload = files.upload()
    upload.write(bytes(10))
    with pytest.raises(BlobsFull):
        upload.write(bytes(1))
    upload.abandon()
    assert files.begin(BlobRef(sha256="0" * 64, bytes=10)) == [0]


def test_g7_there_are_no_more_blobs_than_there_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twin_runtime.adapters.blob_files.BLOBS_MAX", 1)
    files = BlobFiles(tmp_path)
    uploaded(files)
    upload = files.upload()
    with pytest.raises(BlobsFull, match="there are 1 blobs already"):
        upload.write(b"another")
    upload.abandon()


def test_g7_blobs_leave_room_on_their_disk_for_the_stores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = BlobFiles(tmp_path)
    left = BLOBS_FREE_BYTES_MIN + 10
    monkeypatch.setattr("twin_runtime.adapters.blob_files._free_bytes", lambda _: left)
    assert files.begin(BlobRef(sha256="0" * 64, bytes=10)) == [0]
    with pytest.raises(BlobsFull, match=f"{left} bytes of their disk are free"):
        files.begin(BlobRef(sha256="1" * 64, bytes=11))


@pytest.mark.parametrize(
    "code, kind", [(errno.ENOSPC, BlobsFull), (errno.EDQUOT, BlobsFull), (errno.EIO, Unavailable)]
)
def test_g8_a_disk_that_fails_is_said_and_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, kind: type[Unavailable]
) -> None:
    files = BlobFiles(tmp_path)
    files.begin(REF)

    def failing(*_: Any) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "pwrite", failing)
    with pytest.raises(kind):
        files.write(REF.sha256, 0, chunk(0))
    monkeypatch.undo()
    files.write(REF.sha256, 0, chunk(0))
    assert files.begin(REF) == [1, 2], "what failed was not called received"


def swept(files: BlobFiles, wanted: Callable[[str], bool], now_s: float) -> list[str]:
    names = files.unwanted(wanted, now_s)
    for name in names:
        files.drop(name)
    return names


def test_what_nobody_wants_is_deleted_some_time_later(tmp_path: Path) -> None:
    files = BlobFiles(tmp_path)
    uploaded(files)
    kept = uploaded(files, b"another").sha256
    assert swept(files, kept.__eq__, 0.0) == []
    assert swept(files, kept.__eq__, BLOB_GRACE_S - 1) == []
    assert swept(files, kept.__eq__, BLOB_GRACE_S) == [REF.sha256]
    assert (names(tmp_path), files.bytes_held) == ([kept], len(b"another"))


def test_a_part_that_nobody_wants_any_more_is_deleted_too(tmp_path: Path) -> None:
    files = BlobFiles(tmp_path)
    received(files, 0)
    swept(files, lambda _: False, 0.0)
    assert swept(files, lambda _: False, BLOB_GRACE_S) == [REF.sha256]
    assert (names(tmp_path), files.bytes_held) == ([], 0)


def test_whoever_comes_for_a_blob_in_time_finds_it(tmp_path: Path) -> None:
    files = BlobFiles(tmp_path)
    uploaded(files)
    files.unwanted(lambda _: False, 0.0)
    (due,) = files.unwanted(lambda _: False, BLOB_GRACE_S)
    assert files.touch(due)
    files.drop(due)
    assert files.size(due) == REF.bytes
    files.unwanted(lambda _: False, 0.0)
    (due,) = files.unwanted(lambda _: False, BLOB_GRACE_S)
    uploaded(files)
    files.drop(due)
    assert files.size(due) == REF.bytes


def test_a_blob_that_is_deleted_while_it_is_read_is_read_to_its_end(tmp_path: Path) -> None:
    files = BlobFiles(tmp_path)
    uploaded(files)
    with files.open(REF.sha256) as file:
        swept(files, lambda _: False, 0.0)
        assert swept(files, lambda _: False, BLOB_GRACE_S) == [REF.sha256]
        assert file.read() == CONTENT
    with pytest.raises(Unavailable, match="cannot be used"):
        files.open(REF.sha256)


def test_a_folder_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "blobs").write_text("a file")
    with pytest.raises(Unavailable, match="blobs cannot be used"):
        BlobFiles(tmp_path / "blobs")
