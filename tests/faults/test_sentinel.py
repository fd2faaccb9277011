"""A primary behind sentinels that dies, hangs, is cut off or is replaced as planned: nothing acknowledged is lost.

One of two replicas must have each write. Where a replica may go on following the old primary after another took over, as in a failover that
is asked for without COORDINATED, both must.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.checker import AssertKept, check
from tests.faults.history import History, Kind
from tests.faults.load import Load
from tests.faults.running import RunningService
from tests.topologies import DURABLE, SERVICE, Sentinels, Server, eventually, sentinels

GUARDED = (*DURABLE, "--min-replicas-to-write", "1", "--min-replicas-max-lag", "2")


@dataclass(frozen=True)
class Fault:
    """What happens to a primary, how it comes back, and how many replicas must have a write."""

    strike: Callable[[Sentinels, Server], object]
    heal: Callable[[Server], None] = lambda _: None
    replicas: int = 1


FAULTS = {
    "dies": Fault(lambda _, primary: primary.kill(), Server.start),
    "hangs": Fault(lambda _, primary: primary.hold(), Server.release),
    "is cut off": Fault(lambda _, primary: primary.cut_off(), Server.rejoin),
    "is replaced in order": Fault(lambda store, _: store.watching[0].ask("SENTINEL", "FAILOVER", SERVICE, "COORDINATED")),
    "is replaced at once": Fault(lambda store, _: store.watching[0].ask("SENTINEL", "FAILOVER", SERVICE), replicas=2),
}


def seconds_until_linked(load: Load, moment: float) -> float:
    """From a moment to the first link that began after it: other calls may be answered without a write."""

    def links(history: History) -> list[float]:
        return [one.ended - moment for one in history.operations if one.kind is Kind.LINK and one.acknowledged and one.began > moment]

    load.wait_until(lambda history: bool(links(history)))
    load.history.recoveries.append(links(load.history)[0])
    return load.history.recoveries[-1]


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_failover_loses_nothing(tmp_path: Path, writes: int, takeover: float, assert_kept: AssertKept, fault: Fault) -> None:
    with sentinels(*GUARDED) as store, RunningService(tmp_path, store.url, 2, IDENTITY_STORE__REPLICAS=str(fault.replicas)) as service:
        primary = store.primary()
        with Load(service.url, seed=31) as load:
            load.wait(writes // 2)
            moment = time.monotonic()
            fault.strike(store, primary)
            eventually(lambda: store.primary() is not primary, "another primary")
            fault.heal(primary)
            assert seconds_until_linked(load, moment) <= takeover
            load.wait(writes - load.history.acknowledged)
        eventually(store.is_whole, "the old primary as a replica")
        assert_kept(load.history, service)


def test_a_failover_that_no_write_waited_for_a_replica_before_is_found_to_lose(tmp_path: Path) -> None:
    """The same partition without WAIT: what the checker does not see here, it would not see above."""
    with sentinels(*DURABLE) as store, RunningService(tmp_path, store.url, 2, IDENTITY_STORE__REPLICAS="0") as service:
        primary = store.primary()
        with Load(service.url, seed=32) as load:
            load.wait(500)
            primary.cut_off()
            eventually(lambda: store.primary() is not primary, "another primary")
            load.wait(500)
            primary.rejoin()
        eventually(store.is_whole, "the old primary as a replica")
        assert "lost" in {violation.name for violation in check(load.history, service.url, store.url)}
