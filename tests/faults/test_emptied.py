"""A running service whose store is emptied, and what its metrics tell of workers that have died."""

import signal
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

from identity_service.store.keys import SCHEMA
from tests.faults.connection import NoAnswer
from tests.faults.running import RunningService, RunningStore, kill, paused
from tests.test_command import eventually

PATIENCE = 150
BREAKER = "identity_store_breaker_open"
CALLS = 8
"""At once, so that each of two workers is asked."""


def statuses(service: RunningService, path: str, body: object = None) -> set[int]:
    """0: a worker ended meanwhile."""
    try:
        return {service.call(path, body)[0] for _ in range(CALLS)}
    except NoAnswer:
        return {0}


def lookups(service: RunningService) -> set[int]:
    return statuses(service, "/v1/lookups", {"email": "a@example.com"})


def gauges(service: RunningService, name: str) -> set[str]:
    """What scrapes tell, whichever worker answers."""
    try:
        texts = [urlopen(f"{service.url}/metrics", timeout=PATIENCE).read().decode() for _ in range(CALLS)]
    except (OSError, HTTPException):
        return set()
    return {line.rpartition(" ")[2] for text in texts for line in text.splitlines() if line.startswith(f"{name} ")}


def test_a_store_that_is_emptied_is_refused_by_all_workers_and_those_that_come_later(tmp_path: Path) -> None:
    store, service = RunningStore(tmp_path / "store"), RunningService(tmp_path / "service", f"unix://{tmp_path}/store/s.sock", 2)
    with store, service, store.database() as database:
        assert database.exists(SCHEMA)
        assert statuses(service, "/readyz") == {200}
        assert gauges(service, "identity_store_refused") == {"0.0"}
        database.flushall()
        assert eventually(lambda: statuses(service, "/readyz") == lookups(service) == {503}, PATIENCE)
        assert "was emptied" in service.call("/readyz")[1]["detail"]
        assert eventually(lambda: gauges(service, "identity_store_refused") == {"1.0"}, PATIENCE)
        for _ in range(2):
            kill(min(service.workers))
            assert eventually(lambda: len(service.workers) == 2, PATIENCE)
        assert eventually(lambda: statuses(service, "/readyz") == {503}, PATIENCE)
        assert eventually(lambda: '"level":"error"' in service.log and "was emptied" in service.log, PATIENCE)
        assert not database.exists(SCHEMA)
        service.stop()
        service.start()
        assert statuses(service, "/readyz") == {200}
        assert database.exists(SCHEMA)


def test_the_gauge_of_an_open_breaker_ends_with_the_worker_that_had_it(tmp_path: Path) -> None:
    with RunningStore(tmp_path / "store") as store, RunningService(tmp_path / "service", store.url, 2) as service:
        for restarted in (False, True):
            before = set(service.workers)
            with paused(store.pid):
                assert eventually(lambda: lookups(service) == {503} and gauges(service, BREAKER) == {"1.0"}, PATIENCE)
                replace(service, before, restarted)
            assert eventually(lambda: statuses(service, "/readyz") == {200}, PATIENCE)
            assert eventually(lambda: gauges(service, BREAKER) == {"0.0"}, PATIENCE)


def replace(service: RunningService, before: set[int], restarted: bool) -> None:
    """All workers, in order or by kill -9."""
    if restarted:
        service.signal(signal.SIGHUP)
    else:
        for pid in before:
            kill(pid)
    assert eventually(lambda: len(service.workers) == 2 and not before & set(service.workers), PATIENCE)
