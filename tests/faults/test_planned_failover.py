"""A primary that is replaced as planned, by the operator's command behind sentinels and by CLUSTER FAILOVER in a cluster, on Valkey and on
Redis: nothing acknowledged is lost, although a write waits for one of two replicas only."""

import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.faults.checker import AssertKept
from tests.faults.durable import NEEDS_REDIS, REDIS, VALKEY, durable_cluster, durable_sentinels
from tests.faults.load import Load
from tests.faults.running import RunningService
from tests.topologies import Server, eventually

PROGRAMS = pytest.mark.parametrize(
    "program", [pytest.param(VALKEY, marks=pytest.mark.thorough), pytest.param(REDIS, marks=NEEDS_REDIS)], ids=["valkey", "redis"]
)
Record = Callable[[str, object], None]
"""The fixture `record_property`."""


def failover(url: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "identity_service", "failover", url]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def is_primary(server: Server) -> bool:
    return server.told("INFO", "replication")["role"] == "master"


def refused_between(load: Load, began: float, ended: float) -> int:
    """Calls that were not served although they came while the primary was replaced."""
    return sum(one.status not in {200, 409} for one in load.history.operations if one.ended > began and one.began < ended)


@PROGRAMS
def test_the_command_replaces_a_primary_and_loses_nothing(
    tmp_path: Path, writes: int, long: bool, assert_kept: AssertKept, record_property: Record, program: str
) -> None:
    with durable_sentinels(program) as store, RunningService(tmp_path, store.url, 2, IDENTITY_STORE__REPLICAS="1") as service:
        with Load(service.url, seed=61) as load:
            writes, rounds = (writes, 3) if long else (500, 1)
            for _ in range(rounds):
                primary = store.primary()
                load.wait(writes // 4)
                began = time.monotonic()
                run = failover(store.url)
                assert (run.returncode, run.stderr) == (0, ""), run.stderr
                assert store.primary() is not primary
                assert f"{primary.place} follows it" in run.stdout
                record_property("told", run.stdout)
                load.recovery(time.monotonic())
                record_property("refused", refused_between(load, began, time.monotonic()))
                eventually(store.is_whole, "the old primary as a replica")
            load.wait(max(0, writes - load.history.acknowledged))
        assert 500 not in load.history.statuses()
        assert_kept(load.history, service)


@pytest.mark.thorough
@PROGRAMS
def test_a_clusters_own_command_replaces_a_primary_and_loses_nothing(
    tmp_path: Path, writes: int, assert_kept: AssertKept, record_property: Record, program: str
) -> None:
    with durable_cluster(program) as store, RunningService(tmp_path, store.url, 2, IDENTITY_STORE__REPLICAS="1") as service:
        with Load(service.url, seed=62) as load:
            for number in range(3):
                load.wait(writes // 4)
                began = time.monotonic()
                replica = store.data[number + 3]
                replica.ask("CLUSTER", "FAILOVER")
                eventually(partial(is_primary, replica), "the replica as primary")
                load.recovery(began)
                record_property("refused", refused_between(load, began, time.monotonic()))
                eventually(store.is_whole, "the old primary as a replica")
            load.wait(max(0, writes - load.history.acknowledged))
        assert 500 not in load.history.statuses()
        assert_kept(load.history, service)
