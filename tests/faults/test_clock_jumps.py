"""Clocks that jump under load, the service's and the store's: no call fails for it, and nothing that was acknowledged is lost."""

import time
from collections.abc import Callable
from pathlib import Path

from tests.faults.checker import AssertKept, check
from tests.faults.inside import MovedClock, inside
from tests.faults.load import Load, Request
from tests.faults.moved_clock import StoreClock
from tests.faults.running import RunningService, RunningStore
from tests.test_command import eventually

HOUR, DAY = 3_600, 86_400
JUMPS = (0, HOUR, 0, -HOUR, 0, DAY, 0)
"""Seconds ahead of the real time, one after the other."""


def comparable(request: Request) -> bool:
    """Elsewhere cookieless IDs and their links end with their day."""
    return request.shop == "strict"


def load_between_jumps(url: str, move: Callable[[int], None], writes: int) -> Load:
    with Load(url, only=comparable) as load:
        for ahead in JUMPS:
            move(ahead)
            load.wait(writes // 2 // len(JUMPS))
    return load


def test_a_service_whose_clock_jumps_goes_on(tmp_path: Path, writes: int) -> None:
    clock = MovedClock()
    with RunningStore(tmp_path / "store") as store, inside(store.url, clock) as service:
        load = load_between_jumps(service.url, lambda ahead: setattr(clock, "ahead", ahead), writes)
        service.repair(clock() + DAY + 120)
        assert check(load.history, service.url, store.url) == []


def test_a_store_whose_clock_jumps_loses_nothing_that_lives_longer(tmp_path: Path, writes: int, assert_kept: AssertKept) -> None:
    clock = StoreClock(tmp_path)
    with (
        RunningStore(tmp_path / "store", environment=clock.environment) as store,
        RunningService(tmp_path / "service", store.url) as service,
    ):
        load = load_between_jumps(service.url, clock.move, writes)
        with store.database() as database:
            clock.move(DAY)
            assert eventually(lambda: database.time()[0] > time.time() + DAY - 60)
            clock.move(0)
        assert_kept(load.history, service)
