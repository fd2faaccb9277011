"""Workers that are killed, and workers that are replaced one by one, under load."""

import multiprocessing
import os
import signal
import threading
import time
from http.client import HTTPConnection
from pathlib import Path

from identity_service.server.supervisor import Worker
from tests.faults.checker import AssertKept
from tests.faults.load import PATIENT, Load
from tests.faults.running import RunningService, kill
from tests.test_command import eventually

KILLS = 5
RECOVERY = 2
"""Promised seconds from a worker's death to the next answer."""
PATIENCE = 90
TIME_OUT, MARGIN = 2.0, 0.5
"""Seconds: of a client, and in which it may not know yet that its connection has gone."""


def test_killed_workers_lose_nothing_but_calls_in_flight(
    service: RunningService, slack: float, writes: int, assert_kept: AssertKept
) -> None:
    with Load(service.url, seed=11, seconds=TIME_OUT) as load:
        moments = []
        for _ in range(KILLS):
            load.wait(writes // (KILLS + 1))
            moments.append(moment := time.monotonic())
            kill(min(service.workers))
            assert eventually(lambda: len(service.workers) == 2, PATIENCE)
            assert load.recovery(moment) <= RECOVERY * slack
        load.wait(writes - load.history.acknowledged)
    reset = [one for one in load.history.unanswered() if one.status == 0 and one.ended - one.began < TIME_OUT]
    assert all(any(one.began - MARGIN < moment < one.ended for moment in moments) for one in reset)
    assert_kept(load.history, service)


def test_the_only_worker_is_back_in_two_seconds_after_its_death(tmp_path: Path, slack: float) -> None:
    with RunningService(tmp_path, tmp_path / "data") as service, Load(service.url, seed=12) as load:
        load.wait(50)
        moment = time.monotonic()
        kill(service.workers[0])
        assert load.recovery(moment) <= RECOVERY * slack


def test_the_death_of_a_worker_that_had_frozen_is_noticed_at_once() -> None:
    """The supervisor is waiting for its answer then, for as long as a worker may take for that: here an hour."""
    worker = Worker.__new__(Worker)
    worker.parent_conn, worker.child_conn = multiprocessing.Pipe()
    worker.process = multiprocessing.get_context("spawn").Process(target=signal.pause)
    worker.process.start()
    os.kill(worker.process.pid or 0, signal.SIGSTOP)
    asking = threading.Thread(target=worker.is_alive, args=(3600,), daemon=True)
    asking.start()
    time.sleep(0.2)  # it asks; without this the test would pass, too
    worker.process.kill()
    asking.join(PATIENCE)
    assert not asking.is_alive()
    worker.process.join()


def test_a_frozen_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    with RunningService(tmp_path, tmp_path / "data") as service, Load(service.url, seed=13) as load:
        load.wait(50)
        os.kill(service.workers[0], signal.SIGSTOP)
        moment = time.monotonic()
        kill(service.workers[0])
        load.recovery(moment)


def restart(service: RunningService) -> None:
    """Returns once all workers are new ones. Asked again where a new one was too slow, which gives up the restart."""
    before = set(service.workers)
    while before & set(service.workers):
        service.signal(signal.SIGHUP)
        eventually(lambda: len(service.workers) == 2 and not before & set(service.workers), PATIENCE)


def test_a_rolling_restart_fails_no_call(tmp_path: Path, long: bool, assert_kept: AssertKept) -> None:
    requests = 20_000 if long else 1_500
    with RunningService(tmp_path, tmp_path / "data", 2, **PATIENT) as service:
        with Load(service.url, seed=13, seconds=PATIENCE) as load:
            restarts = 0
            while len(load.history.operations) < requests or restarts < 2:
                restart(service)
                restarts += 1
        assert set(load.history.statuses()) <= {200, 409}, load.history.statuses()
        assert_kept(load.history, service)


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
