"""Who imports whom: the layers hold, and a board is not made to load what it does not need."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
LINT_IMPORTS = Path(sys.executable).parent / "lint-imports"
# What a device agent must not load: it may not be installed, or it costs a board 10 MB and more.
HEAVY = {
    *("cryptography", "fastapi", "httpx", "numpy", "onnxruntime", "prometheus_client", "scipy"),
    *("rich", "starlette", "torch", "uvicorn"),
}
# What it can do without for a megabyte less: one argument needs no library, and what
# explains a mistake in a configuration is loaded when there is one.
SPARED = {"argparse", "click", "difflib"}


def settings() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def packages() -> set[str]:
    return {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}


def loaded_by(module: str) -> set[str]:
    """The top-level modules in memory after `module` was imported in a fresh process."""
    program = f"import sys, {module}; print(*sorted({{m.partition('.')[0] for m in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=ROOT
    )
    return set(done.stdout.split())


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LINT_IMPORTS, "--no-cache"], check=False, capture_output=True, text=True, cwd=root
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of every package, to break a rule in."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in packages():
        shutil.copytree(
            ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    return tmp_path


def test_a_device_agent_loads_nothing_that_a_board_lacks() -> None:
    assert loaded_by("device_agent.__main__") & (HEAVY | SPARED) == set()


@pytest.mark.parametrize("role", ["edge_node", "cloud"])
def test_a_role_loads_no_machine_learning_framework_at_start(role: str) -> None:
    assert loaded_by(f"{role}.__main__") & {"onnxruntime", "scipy", "torch"} == set()


def test_imports_keep_to_the_layers() -> None:
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "module, line, contract",
    [
        pytest.param("twin_runtime/attic.py", "", "attic", id="a room without a place"),
        pytest.param(
            "twin_runtime/core/ids.py", "import time", "do not wait", id="a clock in the core"
        ),
        pytest.param(
            "device_agent/fleet.py", "import time", "do not wait", id="a clock in a machine"
        ),
        pytest.param(
            "twin_runtime/adapters/config.py",
            "import twin_runtime.testing",
            "point down",
            id="a test double in production",
        ),
        pytest.param(
            "cloud/__init__.py", "import edge_node", "never import each other", id="roles"
        ),
        pytest.param("cloud/__init__.py", "import deploy", "never import each other", id="upwards"),
        pytest.param(
            "cloud/__init__.py",
            "import twin_runtime.testing",
            "no test double",
            id="a test double in a role",
        ),
        pytest.param("cloud/__init__.py", "import sqlite3", "SQLite", id="a second store"),
        pytest.param("edge_node/__init__.py", "import torch", "no room yet", id="torch at an edge"),
    ],
)
def test_a_broken_rule_is_found(copy: Path, module: str, line: str, contract: str) -> None:
    with (copy / module).open("a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")
    done = lint_imports(copy)
    assert done.returncode != 0
    assert contract in done.stdout


def test_every_package_is_placed_in_a_layer_checked_and_shipped() -> None:
    tool = settings()["tool"]
    layers = tool["importlinter"]["contracts"][0]["layers"]
    assert {name.strip() for layer in layers for name in layer.split("|")} == packages()
    assert set(tool["importlinter"]["root_packages"]) == packages()
    assert packages() <= set(tool["mypy"]["files"])
    assert {path.parent.name for path in ROOT.glob("*/py.typed")} == packages()
    assert set(tool["hatch"]["build"]["targets"]["wheel"]["packages"]) == packages()
