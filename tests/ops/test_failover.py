"""What the command refuses before it changes anything, and that it leaves no primary paused. `tests/faults/test_planned_failover.py` has
what it does."""

from collections.abc import Iterator
from functools import partial

import pytest
import redis

from identity_service.cli import main
from identity_service.ops.blocking import table
from tests.topologies import SERVICE, Sentinels, Server, eventually, sentinels


@pytest.fixture(scope="module")
def store() -> Iterator[Sentinels]:
    with sentinels() as made:
        yield made


def refusal(url: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["failover", url]) == 1
    return capsys.readouterr().err


def accepts_writes(primary: Server) -> bool:
    """At once: a paused server would not answer."""
    with redis.Redis("127.0.0.1", primary.port, password="secret", socket_timeout=2) as client:
        return bool(client.set("probe", 1))


@pytest.mark.parametrize("url", ["embedded:data", "redis://127.0.0.1:1", "redis+cluster://127.0.0.1:1"])
def test_only_a_primary_behind_sentinels_is_replaced(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "run CLUSTER FAILOVER on the replica" in refusal(url, capsys)


def test_sentinels_that_do_not_know_the_name_are_named(store: Sentinels, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no sentinel knows other" in refusal(store.url.replace(f"/{SERVICE}", "/other"), capsys)


@pytest.mark.parametrize("missing", ["client|pause", "replicaof"])
def test_a_login_that_lacks_a_right_changes_nothing(store: Sentinels, capsys: pytest.CaptureFixture[str], missing: str) -> None:
    for server in store.data:
        server.ask("ACL", "SETUSER", "reader", "reset", "on", ">reader", "~*", "&*", "+@all", f"-{missing}")
    assert "the login lacks a right" in refusal(store.url.replace("//:secret@", "//reader:reader@"), capsys)
    assert accepts_writes(store.data[0])


def test_a_replica_that_does_not_follow_is_waited_for(store: Sentinels, capsys: pytest.CaptureFixture[str]) -> None:
    store.data[2].ask("CONFIG", "SET", "masterauth", "wrong")
    store.data[2].ask("REPLICAOF", "NO", "ONE")
    store.data[2].ask("REPLICAOF", "127.0.0.1", store.data[0].port)
    assert f"{store.data[2].place} does not follow the primary" in refusal(store.url, capsys)
    assert accepts_writes(store.data[0])
    store.data[2].ask("CONFIG", "SET", "masterauth", "replica")
    eventually(store.is_whole, "the replica follows")
    store.data[2].kill()
    assert f"{store.data[2].place} does not follow the primary" in refusal(store.url, capsys)
    store.data[2].start()
    store.data[2].ask("REPLICAOF", "127.0.0.1", store.data[0].port)
    eventually(store.is_whole, "the replica follows again")


def test_a_refusal_of_the_sentinels_ends_the_pause(store: Sentinels, capsys: pytest.CaptureFixture[str]) -> None:
    for replica in store.data[1:]:
        replica.ask("CONFIG", "SET", "replica-priority", 0)
    for sentinel in store.watching:
        eventually(partial(_all_stand_back, sentinel), "sentinels that know of it")
    assert "the sentinels refuse (NOGOODSLAVE" in refusal(store.url, capsys)
    assert accepts_writes(store.data[0])


def _all_stand_back(sentinel: Server) -> bool:
    """Whether it knows of no replica that may take over."""
    found = map(table, sentinel.ask("SENTINEL", "REPLICAS", SERVICE))
    return {one["slave-priority"] for one in found} == {"0"}
