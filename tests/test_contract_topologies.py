"""The contract behind sentinels and on a cluster: a part of its tests in every run, all of them with --long."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONTRACT = Path(__file__).parent / "contract"
PART = ("consents", "links", "lookups", "rights", "tracking")


@pytest.mark.parametrize("topology", ["sentinel", "cluster"])
def test_the_contract_holds_on(topology: str, pytestconfig: pytest.Config) -> None:
    files = [CONTRACT] if pytestconfig.getoption("--long") else [CONTRACT / f"test_{name}.py" for name in PART]
    command = [sys.executable, "-m", "pytest", "-n", "0", "--store", topology, *map(str, files)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    run = subprocess.run(command, cwd=CONTRACT.parent.parent, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-10_000:]
