"""Clocks that jump under load, the service's and the store's: no call fails for it, and nothing that was acknowledged is lost."""

from pathlib import Path

import pytest

from tests.faults.checker import check
from tests.faults.history import Kind
from tests.faults.inside import MovedClock, inside
from tests.faults.load import Load, Request
from tests.faults.running import RunningStore

HOUR, DAY = 3_600.0, 86_400.0


def comparable(request: Request) -> bool:
    """An erasure that a clock dates before the grant it is to end leaves that visitor; elsewhere cookieless IDs end with their day."""
    return request.kind is not Kind.ERASE and request.shop == "strict"


@pytest.mark.parametrize("ahead", [HOUR, -HOUR, DAY])
def test_a_service_whose_clock_jumps_and_comes_back_goes_on(tmp_path: Path, long: bool, ahead: float) -> None:
    clock, each = MovedClock(), 3_500 if long else 250
    with RunningStore(tmp_path / "store") as store, inside(store.url, clock) as service:
        with Load(service.url, only=comparable) as load:
            load.wait(each)
            clock.ahead = ahead
            load.wait(each)
            clock.ahead = 0
            load.wait(each)
        service.repair(clock() + max(ahead, 0) + 120)
        assert check(load.history, service.url, store.url) == []
