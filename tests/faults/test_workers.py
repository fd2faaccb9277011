"""Workers that are killed, and workers that are replaced one by one, under load."""

import os
import signal
import time
from http.client import HTTPConnection
from pathlib import Path

from tests.faults.checker import check
from tests.faults.history import Kind
from tests.faults.load import Load
from tests.faults.running import RunningService, kill, seconds_until
from tests.test_command import eventually

KILLS = 5
CLIENTS = 12
REMOVALS = frozenset({Kind.UNLINK, Kind.WITHDRAW, Kind.ERASE})
"""A link that races with one is answered 503, so a load that shows every other 503 leaves them out."""


def test_killed_workers_lose_nothing_but_calls_in_flight(service: RunningService, writes: int) -> None:
    with Load(service.url, seed=11, clients=CLIENTS) as load:
        for _ in range(KILLS):
            load.wait(writes // (KILLS + 1))
            moment = time.monotonic()
            kill(min(service.workers))
            assert eventually(lambda: len(service.workers) == 2)
            assert load.recovery(moment) <= 2
        load.wait(writes - load.history.acknowledged)
    assert load.history.statuses()[0] <= KILLS * CLIENTS
    assert check(load.history, service.url, service.store_url) == []


def test_the_only_worker_is_back_in_two_seconds_after_its_death(tmp_path: Path) -> None:
    with RunningService(tmp_path, tmp_path / "data") as service, Load(service.url, seed=12) as load:
        load.wait(50)
        moment = time.monotonic()
        kill(service.workers[0])
        assert load.recovery(moment) <= 2
    assert load.history.statuses()[0] <= 2 * CLIENTS


def test_a_rolling_restart_fails_no_call(service: RunningService, long: bool) -> None:
    requests = 20_000 if long else 4_000
    with Load(service.url, seed=13, clients=CLIENTS, only=lambda one: one.kind not in REMOVALS) as load:
        restarts = 0
        while len(load.history.operations) < requests or restarts < 2:
            before = set(service.workers)
            service.signal(signal.SIGHUP)
            seconds_until(lambda before=before: len(service.workers) == 2 and not before & set(service.workers))  # type: ignore[misc]
            restarts += 1
    assert set(load.history.statuses()) <= {200, 409}, load.history.statuses()
    assert check(load.history, service.url, service.store_url) == []


def test_a_worker_that_ends_answers_one_more_call_on_every_open_connection(tmp_path: Path) -> None:
    with RunningService(tmp_path, tmp_path / "data", IDENTITY_SERVER__LOG_LEVEL="info") as service:
        fresh, used = (HTTPConnection("127.0.0.1", service.port, timeout=10) for _ in range(2))
        fresh.connect()
        used.request("GET", "/healthz")
        assert used.getresponse().read()
        os.kill(service.workers[0], signal.SIGTERM)
        assert eventually(lambda: "Shutting down" in service.log)
        for connection in (fresh, used):
            connection.request("GET", "/healthz")
            answer = connection.getresponse()
            assert (answer.status, answer.getheader("connection")) == (200, "close")
            connection.close()
