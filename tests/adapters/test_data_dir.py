import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.system.small_disk import small_disk
from twin_runtime.adapters.data_dir import open_data_dir
from twin_runtime.core.errors import InvalidConfiguration, Unavailable

ROOT = Path(__file__).parents[2]
NOBODY = 65_534

_HOLDER = """
import sys
from pathlib import Path
from twin_runtime.adapters.data_dir import open_data_dir
with open_data_dir(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def _holder(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds `folder` until its input ends."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(folder)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield holder


@contextmanager
def _as_an_ordinary_user() -> Iterator[None]:
    """Rights do not bind root, so root takes them off for a moment."""
    user = os.geteuid()
    os.seteuid(NOBODY if user == 0 else user)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user can reach (pytest's own are closed to others)."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_a_missing_directory_is_made_with_its_parents_for_this_user_alone(tmp_path: Path) -> None:
    with open_data_dir(tmp_path / "var" / "e-1") as path:
        assert path == tmp_path / "var" / "e-1"
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_a_relative_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with open_data_dir(Path("e-1")) as path:
        assert path == tmp_path / "e-1"


def test_nothing_but_the_lock_is_left_in_it(tmp_path: Path) -> None:
    with open_data_dir(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["lock"]


def test_a_directory_in_use_is_refused_and_its_user_named(tmp_path: Path) -> None:
    with _holder(tmp_path) as holder:
        sentence = rf"another process \(pid {holder.pid}\) uses it: stop that one, or name another"
        with pytest.raises(Unavailable, match=sentence), open_data_dir(tmp_path):
            pass
        assert (tmp_path / "lock").read_text() == f"{holder.pid}\n"


def test_a_directory_in_use_by_this_process_is_refused_too(tmp_path: Path) -> None:
    with (
        open_data_dir(tmp_path),
        pytest.raises(Unavailable, match=f"pid {os.getpid()}"),
        open_data_dir(tmp_path),
    ):
        pass


def test_a_killed_process_leaves_no_lock_behind(tmp_path: Path) -> None:
    with _holder(tmp_path) as holder:
        holder.send_signal(signal.SIGKILL)
        holder.wait(timeout=10)
        with open_data_dir(tmp_path):
            pass


def test_a_directory_can_be_taken_again_once_it_is_let_go(tmp_path: Path) -> None:
    for _ in range(2):
        with open_data_dir(tmp_path):
            pass


def test_a_started_program_does_not_keep_the_lock_of_its_parent(tmp_path: Path) -> None:
    with open_data_dir(tmp_path):
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with child, open_data_dir(tmp_path):
        assert child.poll() is None
        child.kill()


@pytest.mark.parametrize("garbage", [b"", b"\xff\xfe", b"-12", b"twelve"])
def test_a_lock_without_a_pid_still_refuses(tmp_path: Path, garbage: bytes) -> None:
    with open_data_dir(tmp_path):
        (tmp_path / "lock").write_bytes(garbage)
        with pytest.raises(Unavailable, match="another process uses it"), open_data_dir(tmp_path):
            pass


@pytest.mark.parametrize("inside", ["", "e-1", "e-1/deeper"])
def test_a_file_is_no_directory(tmp_path: Path, inside: str) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / inside
    with pytest.raises(InvalidConfiguration, match="is not a directory"), open_data_dir(path):
        pass


@pytest.mark.parametrize("name", ["", "new"])
def test_a_directory_of_somebody_else_is_refused_with_both_sides_named(
    open_folder: Path, name: str
) -> None:
    open_folder.chmod(0o555)
    with (
        _as_an_ordinary_user(),
        pytest.raises(InvalidConfiguration, match="not writable") as refusal,
        open_data_dir(open_folder / name),
    ):
        pass
    assert f"{open_folder} belongs to user {os.getuid()} " in str(refusal.value)
    assert "with mode 0555" in str(refusal.value)


@pytest.mark.parametrize("name", ["", "new"])
def test_a_disk_that_takes_no_writes_is_called_that_and_no_rights_are(
    tmp_path: Path, name: str
) -> None:
    with small_disk(tmp_path / "disk", "1m") as disk:
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        with pytest.raises(InvalidConfiguration) as refusal, open_data_dir(disk / name):
            pass
    assert "is on a file system that is mounted read-only: mount it for" in str(refusal.value)
    assert "belongs to" not in str(refusal.value)


def test_a_lock_that_may_be_opened_does_not_make_a_directory_writable(open_folder: Path) -> None:
    lock = open_folder / "lock"
    lock.write_text("1\n")
    lock.chmod(0o666)
    open_folder.chmod(0o555)
    with (
        _as_an_ordinary_user(),
        pytest.raises(InvalidConfiguration, match="not writable"),
        open_data_dir(open_folder),
    ):
        pass


def test_a_directory_behind_a_closed_door_is_not_writable(open_folder: Path) -> None:
    (open_folder / "closed" / "e-1").mkdir(parents=True)
    (open_folder / "closed").chmod(0o000)
    with (
        _as_an_ordinary_user(),
        pytest.raises(InvalidConfiguration, match=r"closed belongs to user .* with mode 0000"),
        open_data_dir(open_folder / "closed" / "e-1"),
    ):
        pass
    (open_folder / "closed").chmod(0o700)


def test_a_name_that_no_file_can_have_is_said_plainly(tmp_path: Path) -> None:
    with (
        pytest.raises(Unavailable, match="cannot be used: File name too long"),
        open_data_dir(tmp_path / ("e" * 300)),
    ):
        pass


def test_a_full_disk_is_said_before_anything_starts(tmp_path: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", str(tmp_path)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a disk to fill needs a mount, and a mount needs root")
    try:
        with pytest.raises(Unavailable, match="its disk is full"), open_data_dir(tmp_path):
            pass
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
