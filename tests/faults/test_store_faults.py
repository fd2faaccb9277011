"""A store that dies, loses power, is full, may not be written or is not there: nothing acknowledged is lost, and it heals by itself."""

import resource
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.checker import AssertKept
from tests.faults.history import READS, Kind, Operation, Outcome
from tests.faults.load import PATIENT, Load
from tests.faults.running import RunningService, RunningStore, kill, seconds_until
from tests.test_command import eventually

DEATHS = 3
RECOVERY, HEALING, READINESS = 3, 5, 2
"""Promised seconds: after the store's death, after a full disk, after the store's first start."""
FULL = "500kb"
REMOVALS = frozenset({Kind.WITHDRAW, Kind.ERASE, Kind.UNLINK})
WRITES = frozenset(Kind) - READS - {Kind.CLICK}
"""A click of a withdrawn visitor is answered, and writes nothing."""


@pytest.mark.parametrize("power", ["kept", "cut"])
def test_a_store_that_dies_loses_nothing(
    tmp_path: Path, slack: float, power_cut: dict[str, str], writes: int, assert_kept: AssertKept, power: str
) -> None:
    environment = power_cut if power == "cut" else {}
    with RunningService(tmp_path, tmp_path / "data", 2, **environment) as service:
        with Load(service.url, seed=21) as load:
            for _ in range(DEATHS):
                load.wait(writes // (DEATHS + 1))
                moment = time.monotonic()
                kill(service.store_pid)
                assert load.recovery(moment) <= RECOVERY * slack
            load.wait(writes - load.history.acknowledged)
        assert_kept(load.history, service)


def test_a_full_memory_refuses_writes_but_no_removal(tmp_path: Path, writes: int, assert_kept: AssertKept) -> None:
    with (
        RunningStore(tmp_path / "store") as store,
        RunningService(tmp_path, store.url, 2, **PATIENT) as service,
        store.database() as database,
    ):
        with Load(service.url, seed=22, seconds=60) as load:
            load.wait(writes // 2)
            database.config_set("maxmemory", FULL)
            during = told_meanwhile(load, 500)
            database.config_set("maxmemory", "0")
            load.wait(writes - load.history.acknowledged)
        assert {one.outcome for one in during if one.kind in REMOVALS} == {Outcome.OK}
        assert not any(one.acknowledged for one in during if one.kind in WRITES - REMOVALS)
        assert_kept(load.history, service)


def told_meanwhile(load: Load, answers: int) -> list[Operation]:
    """The calls that began and ended while the load made so many."""
    began, before = time.monotonic(), len(load.history.operations)
    load.wait_until(lambda history: len(history.operations) > before + answers)
    return load.history.between(began, time.monotonic())


def test_a_store_that_becomes_a_replica_takes_no_write(tmp_path: Path, writes: int, assert_kept: AssertKept) -> None:
    with (
        RunningStore(tmp_path / "store") as store,
        RunningService(tmp_path, store.url, 2, **PATIENT) as service,
        store.database() as database,
    ):
        with Load(service.url, seed=23) as load:
            load.wait(writes // 2)
            database.replicaof("127.0.0.1", 1)
            during = told_meanwhile(load, 500)
            assert service.call("/readyz")[0] == 503
            database.replicaof("NO", "ONE")
            load.wait(writes - load.history.acknowledged)
        assert not any(one.acknowledged for one in during if one.kind in WRITES)
        assert {one.status for one in during if one.kind in READS} == {200}
        assert_kept(load.history, service)


def limit_files(service: RunningService, size: int) -> None:
    """First of those whom the service will start, then of the store that runs, if it does not die meanwhile."""
    limits = (size, resource.RLIM_INFINITY)
    resource.prlimit(service.pid, resource.RLIMIT_FSIZE, limits)
    with suppress(ProcessLookupError):
        resource.prlimit(service.store_pid, resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_loses_nothing_and_heals(tmp_path: Path, slack: float, writes: int, assert_kept: AssertKept) -> None:
    """The server may not write its file beyond the size that it has, nor may any that is started in its place."""
    with RunningService(tmp_path, tmp_path / "data", 2) as service:
        with Load(service.url, seed=24) as load:
            load.wait(writes // 2)
            [file] = (tmp_path / "data").glob("appendonlydir/*.incr.aof")
            limit_files(service, file.stat().st_size)
            load.wait_until(lambda history: history.statuses()[503] > 100)
            during = told_meanwhile(load, 200)
            limit_files(service, resource.RLIM_INFINITY)
            moment = time.monotonic()
            assert load.recovery(moment) <= HEALING * slack
            load.wait(writes - load.history.acknowledged)
        assert not any(one.acknowledged for one in during if one.kind in WRITES)
        assert_kept(load.history, service)


def test_a_store_that_is_away_at_the_start_is_waited_for(tmp_path: Path, slack: float, assert_kept: AssertKept) -> None:
    store = RunningStore(tmp_path / "store", tcp=True)
    with RunningService(tmp_path, store.url, 2) as service:
        workers = set(service.workers)
        assert service.call("/healthz")[0] == 200
        assert service.call("/readyz")[0] == 503
        with store:
            assert seconds_until(lambda: all(service.call("/readyz")[0] == 200 for _ in range(8))) <= READINESS * slack
            with Load(service.url, seed=25) as load:
                load.wait(100)
            assert eventually(lambda: set(service.workers) == workers)
            assert_kept(load.history, service)
