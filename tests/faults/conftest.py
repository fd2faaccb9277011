"""How much the fault tests do: enough for every run, or with --long as much as the promises say."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.checker import AssertKept, check, explained
from tests.faults.history import History
from tests.faults.power import library
from tests.faults.running import RunningService


@pytest.fixture(scope="session")
def writes(long: bool) -> int:
    """Acknowledged writes of a scenario, at least."""
    return 10_000 if long else 500


@pytest.fixture(scope="session")
def slack(long: bool) -> float:
    """Times a promised recovery that tests allow: the promise is for a machine of its own, and tests share theirs."""
    return 5 if long else 40


@pytest.fixture(scope="session")
def takeover(long: bool) -> float:
    """Seconds from a primary's end to the next acknowledged write, at most; the promise, for a machine that does nothing else, is 6."""
    return 6 if long else 60


@pytest.fixture(scope="session")
def patience(long: bool) -> float:
    """Seconds that a service waits for its store, where every refusal is counted."""
    return 0.5 if long else 5


@pytest.fixture(scope="session")
def power_cut() -> dict[str, str]:
    """Environment of a store that loses at kill -9 what it has not synced."""
    built = library()
    if built is None:
        pytest.skip("needs a C compiler: apt-get install gcc")
    return {"LD_PRELOAD": str(built)}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[RunningService]:
    """Two workers on an embedded store."""
    with RunningService(tmp_path, tmp_path / "data", workers=2) as running:
        yield running


@pytest.fixture
def assert_kept(record_property: Callable[[str, object], None]) -> AssertKept:
    """Fails, with the operations concerned, where the service did not keep what its history says. With --junit-xml and
    -o junit_family=xunit1 the figures are written down."""

    def assert_kept(history: History, service: RunningService) -> None:
        found = check(history, service.url, service.store_url)
        record_property("acknowledged", history.acknowledged)
        record_property("recoveries", [round(seconds, 2) for seconds in history.recoveries])
        assert not found, "\n".join(explained(history, violation) for violation in found)

    return assert_kept
