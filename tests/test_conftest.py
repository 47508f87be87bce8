"""The rules of tests/conftest.py bite: each is broken in a small run of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SKIPPED_GUARANTEE = """
import pytest
def test_g1_holds():
    pytest.skip("no broker")
"""
MISSING_COMPONENT = """
import pytest
@pytest.mark.skipif(True, reason="no mosquitto_sub (mosquitto-clients)")
def test_it_listens():
    pass
"""
FORGOTTEN_PROCESS = """
import subprocess
kept = []
def test_that_forgets_a_process():
    kept.append(subprocess.Popen(["sleep", "30"]))
"""


def run_pytest(folder: Path, program: str, ci: str) -> subprocess.CompletedProcess[str]:
    shutil.copy(Path(__file__).with_name("conftest.py"), folder)
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (folder / "test_it.py").write_text(program, encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q"],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "CI": ci},
    )


@pytest.mark.parametrize("program", [SKIPPED_GUARANTEE, MISSING_COMPONENT])
@pytest.mark.parametrize("ci, code", [("true", 1), ("", 0)])
def test_what_must_not_be_skipped_fails_in_ci_only(
    tmp_path: Path, program: str, ci: str, code: int
) -> None:
    done = run_pytest(tmp_path, program, ci)
    assert done.returncode == code, done.stdout


def test_a_process_left_behind_fails_the_run_and_is_ended(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, FORGOTTEN_PROCESS, ci="")
    assert done.returncode == 1, done.stdout
    assert "left behind: pid" in done.stdout
    assert "sleep 30" in done.stdout
