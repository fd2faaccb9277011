"""Clocks that jump under load, the service's and the store's: no call fails for it, and nothing that was acknowledged is lost."""

from pathlib import Path

import pytest

from tests.faults.checker import check
from tests.faults.inside import MovedClock, inside
from tests.faults.load import Load
from tests.faults.running import RunningStore

HOUR, DAY = 3_600.0, 86_400.0


@pytest.mark.parametrize("jumps", [(HOUR, 0.0), (-HOUR, 0.0), (DAY, 0.0)], ids=["an hour ahead", "an hour behind", "a day ahead"])
def test_the_service_whose_clock_jumps_goes_on(tmp_path: Path, long: bool, jumps: tuple[float, ...]) -> None:
    clock, each = MovedClock(), 3_500 if long else 250
    with RunningStore(tmp_path / "store") as store, inside(store.url, clock) as service:
        with Load(service.url) as load:
            load.wait(each)
            for ahead in jumps:
                clock.ahead = ahead
                load.wait(each)
        print(load.history.statuses())
        assert check(load.history, service.url, store.url) == []
