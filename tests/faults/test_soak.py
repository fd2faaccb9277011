"""Half an hour of load: nothing grows, nothing fails, nothing is lost."""

import os
import statistics
import time
from pathlib import Path

import pytest

from tests.faults.checker import AssertKept
from tests.faults.load import PATIENT, Load
from tests.faults.running import RunningService

SECONDS, WARM_UP, EVERY = 1_800, 600, 5
PAUSE = 0.1
MOST_GROWTH = 8 * 1024 * 1024
"""Bytes an hour of one worker's resident memory after the warm-up, while its bounded caches still fill: some 130 bytes a call."""
MOST_ERRORS = 0.0001
PAGE = os.sysconf("SC_PAGE_SIZE")


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


@pytest.mark.soak
def test_half_an_hour_of_load_leaves_memory_files_and_answers_as_they_were(tmp_path: Path, assert_kept: AssertKept) -> None:
    with RunningService(tmp_path, tmp_path / "data", 2, **PATIENT) as service:
        soak(service, assert_kept)


def soak(service: RunningService, assert_kept: AssertKept) -> None:
    workers, began = service.workers, time.monotonic()
    times: list[float] = []
    memory: dict[int, list[int]] = {pid: [] for pid in workers}
    files: dict[int, set[int]] = {pid: set() for pid in workers}
    with Load(service.url, seed=41, pause=PAUSE, seconds=20) as load:
        while (elapsed := time.monotonic() - began) < SECONDS:
            time.sleep(EVERY)
            if elapsed > WARM_UP:
                times.append(elapsed)
                for pid in workers:
                    memory[pid].append(resident(pid))
                    files[pid].add(open_files(pid))
    assert service.workers == workers
    assert len(load.history.unanswered()) <= MOST_ERRORS * len(load.history.operations)
    assert_kept(load.history, service)
    for pid in workers:
        assert statistics.linear_regression(times, memory[pid]).slope * 3_600 <= MOST_GROWTH
        assert max(files[pid]) - min(files[pid]) <= load.clients
