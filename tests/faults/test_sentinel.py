"""A primary behind sentinels that dies, hangs, is cut off or is replaced as planned: nothing acknowledged is lost, and it is back soon."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.checker import AssertKept, check
from tests.faults.load import Load
from tests.faults.running import RunningService
from tests.topologies import DURABLE, SERVICE, Sentinels, Server, eventually, sentinels

GUARDED = (*DURABLE, "--min-replicas-to-write", "1", "--min-replicas-max-lag", "2")


def replaced_as_planned(store: Sentinels, primary: Server) -> None:
    store.watching[0].ask("SENTINEL", "FAILOVER", SERVICE)


FAULTS: dict[str, tuple[Callable[[Sentinels, Server], None], Callable[[Server], None]]] = {
    "dies": (lambda _, primary: primary.kill(), Server.start),
    "hangs": (lambda _, primary: primary.hold(), Server.release),
    "is cut off": (lambda _, primary: primary.cut_off(), Server.rejoin),
    "is replaced as planned": (replaced_as_planned, lambda _: None),
}
"""What happens to a primary, and how it comes back, since both replicas must have what is written."""


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failover_loses_nothing(tmp_path: Path, writes: int, takeover: float, assert_kept: AssertKept, fault: str) -> None:
    strike, heal = FAULTS[fault]
    with sentinels(*GUARDED) as store, RunningService(tmp_path, store.url, 2, IDENTITY_STORE__REPLICAS=str(store.replicas)) as service:
        primary = store.primary()
        with Load(service.url, seed=31) as load:
            load.wait(writes // 2)
            moment = time.monotonic()
            strike(store, primary)
            eventually(lambda: store.primary() is not primary, "another primary")
            heal(primary)
            assert load.recovery(moment) <= takeover
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
