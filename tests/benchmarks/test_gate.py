"""What the main calls take, in functions and commands that are counted; a machine that is busy with other things changes nothing."""

import json
import math
import subprocess
import sys

import pytest

from identity_service.model.visitor import own_visitor_id
from tests.benchmarks.gate import BASE, SLACK, Functions, Measured, verdict
from tests.benchmarks.install import ROOT


def gate(*flags: str) -> "subprocess.CompletedProcess[str]":
    """In a process of its own, whose memory holds nothing else."""
    command = [sys.executable, "-m", "tests.benchmarks", "gate", *flags]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


def test_no_main_call_has_changed_what_it_takes() -> None:
    run = gate()
    assert run.returncode == 0, run.stdout + run.stderr
    assert len(run.stdout.splitlines()) == len(BASE)


def test_the_gate_sees_calls_that_are_made_twice() -> None:
    run = gate("--times", "2", "--rounds", "2")
    assert run.returncode == 1, run.stderr
    lines = run.stdout.splitlines()
    assert all(("MORE FUNCTIONS" in line) == (not math.isinf(SLACK)) for line in lines), run.stdout
    assert all(("MORE COMMANDS" in line) != (" 0 before;" in line) for line in lines), run.stdout


@pytest.mark.skipif(math.isinf(SLACK), reason="functions are counted exactly on Python 3.11 alone")
def test_what_became_cheaper_needs_a_new_base() -> None:
    base = Measured(200, 8, 1.0)
    assert verdict(Measured(196, 8, 1.0), base) == "FEWER FUNCTIONS"
    assert verdict(Measured(204, 7, 1.0), base) == "MORE FUNCTIONS, FEWER COMMANDS"
    assert verdict(Measured(202, 8, 9.0), base) == "ok"


def test_only_functions_of_the_service_are_counted() -> None:
    with Functions() as counted:
        json.dumps(list(map(str, range(9))))
        own_visitor_id("somebody")
    assert counted.count == 1
