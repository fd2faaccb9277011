"""What the main calls cost beside a bare answer, as CPU time of one process; a machine that is busy with other things changes nothing."""

import subprocess
import sys

from tests.benchmarks.install import ROOT


def gate(*flags: str) -> "subprocess.CompletedProcess[str]":
    """In a process of its own, whose memory holds nothing else."""
    command = [sys.executable, "-m", "tests.benchmarks", "gate", *flags]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


def test_no_main_call_has_become_dear() -> None:
    run = gate()
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_gate_sees_calls_that_are_made_three_times() -> None:
    run = gate("--times", "3", "--rounds", "2")
    assert run.returncode == 1, run.stderr
    assert run.stdout.count("TOO DEAR") == len(run.stdout.splitlines()), run.stdout
