"""The checks that every change has to pass beside its tests."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import HERE, LONGEST, dealt

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("command", [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"]], ids=" ".join)
def test_the_sources_pass(command: list[str]) -> None:
    run = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_dockerfile_passes() -> None:
    """Errors, warnings and advice alike."""
    run = subprocess.run([Path(sys.executable).parent / "hadolint", "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_a_test_that_hangs_ends_the_run_and_is_named(tmp_path: Path) -> None:
    """With the settings of this project, but for how long it may take."""
    (tmp_path / "test_stuck.py").write_text("import time\n\ndef test_stuck():\n    time.sleep(600)\n")
    command = [sys.executable, "-m", "pytest", "-n", "1", "-c", str(ROOT / "pyproject.toml"), "-o", "faulthandler_timeout=1"]
    run = subprocess.run([*command, str(tmp_path)], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 1
    assert "test_stuck.py::test_stuck" in run.stdout
    assert "in test_stuck" in run.stderr


def test_every_test_is_run_once_in_whatever_order(request: pytest.FixtureRequest) -> None:
    assert [name for name in LONGEST if not (HERE / name).exists()] == []
    for processes in (1, 2, 7):
        assert sorted(one.nodeid for one in dealt(request.session.items, processes)) == sorted(one.nodeid for one in request.session.items)
