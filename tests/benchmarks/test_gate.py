"""What the main calls cost beside a bare answer, as CPU time of one process; a machine that is busy with other things changes nothing."""

import subprocess
import sys

from tests.benchmarks.gate import Measured, verdict
from tests.benchmarks.install import ROOT


def gate(*flags: str) -> "subprocess.CompletedProcess[str]":
    """In a process of its own, whose memory holds nothing else."""
    command = [sys.executable, "-m", "tests.benchmarks", "gate", *flags]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


def test_no_main_call_has_become_dear() -> None:
    run = gate()
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_gate_sees_calls_that_are_made_twice() -> None:
    run = gate("--times", "2", "--rounds", "4")
    assert run.returncode == 1, run.stderr
    lines = run.stdout.splitlines()
    assert all("TOO DEAR" in line for line in lines), run.stdout
    assert all(("TOO MANY COMMANDS" in line) != (" 0 before" in line) for line in lines), run.stdout


def test_what_became_much_cheaper_needs_a_new_base() -> None:
    assert verdict(Measured(2.0, 8), Measured(3.5, 8)) == "CHEAPER: GIVE IT A NEW BASE"
    assert verdict(Measured(3.4, 4), Measured(3.5, 8)) == "CHEAPER: GIVE IT A NEW BASE"
    assert verdict(Measured(3.0, 7), Measured(3.5, 8)) == "ok"
