"""What the main calls take, in steps that are counted; a machine that is busy with other things changes nothing."""

import subprocess
import sys

from tests.benchmarks.gate import Measured, Steps, verdict
from tests.benchmarks.install import ROOT


def gate(*flags: str) -> "subprocess.CompletedProcess[str]":
    """In a process of its own, whose memory holds nothing else."""
    command = [sys.executable, "-m", "tests.benchmarks", "gate", *flags]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


def test_no_main_call_has_become_dear() -> None:
    run = gate()
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_gate_sees_calls_that_are_made_twice() -> None:
    run = gate("--times", "2", "--rounds", "2")
    assert run.returncode == 1, run.stderr
    lines = run.stdout.splitlines()
    assert all("TOO DEAR" in line for line in lines), run.stdout
    assert all(("TOO MANY COMMANDS" in line) != (" 0 before" in line) for line in lines), run.stdout


def test_what_became_much_cheaper_needs_a_new_base() -> None:
    assert verdict(Measured(200, 8), Measured(350, 8)) == "CHEAPER: GIVE IT A NEW BASE"
    assert verdict(Measured(340, 4), Measured(350, 8)) == "CHEAPER: GIVE IT A NEW BASE"
    assert verdict(Measured(300, 7), Measured(350, 8)) == "ok"


def test_steps_are_lines_and_calls_of_python_and_c() -> None:
    """As many each time."""

    def work(times: int) -> None:
        for _ in range(times):
            len("")

    def steps(times: int) -> int:
        with Steps() as counted:
            work(times)
        return counted.count

    assert steps(20) == steps(20)
    assert steps(30) - steps(20) == steps(20) - steps(10) == 10 * (2 + 1)
