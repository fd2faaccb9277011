"""The recommended form of the store, from its files: a primary and two replicas with `redis.conf`, and three sentinels with
`sentinel.conf`."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from identity_service.cli import main
from tests.deploy.files import replaced
from tests.faults.durable import NEEDS_REDIS, REDIS, VALKEY
from tests.topologies import Sentinels, Server, eventually, free_port

OPERATOR = "0123456789abcdef"
OF_REPLICAS = ("min-replicas-to-write", "min-replicas-max-lag", "masteruser", "masterauth")


@contextmanager
def running(server: Server) -> Iterator[Server]:
    server.start()
    try:
        yield server
    finally:
        server.kill()


def data_server(place: Path, program: str, primary: int | None) -> Server:
    """`primary`: the port of the one that it follows."""
    place.mkdir()
    port = free_port()
    (place / "store_users").write_text(replaced("store-users.acl", PASSWORD="any-other", OPERATOR=OPERATOR))
    lines = replaced(
        "redis.conf", **{"dir /data": f"dir {place}", "/run/secrets/store_users": f"{place}/store_users", "OPERATOR": OPERATOR}
    )
    for setting in OF_REPLICAS:
        lines = lines.replace(f"# {setting} ", f"{setting} ")
    follows = f"replicaof 127.0.0.1 {primary}\n" if primary else ""
    (place / "redis.conf").write_text(f"{lines}port {port}\n{follows}")
    server = Server(place.name, port, place, str(place / "redis.conf"), password=OPERATOR, program=program)
    server.client.connection_pool.connection_kwargs["username"] = "operator"
    return server


def sentinel(place: Path, program: str, primary: int) -> Server:
    place.mkdir()
    port = free_port()
    lines = replaced("sentinel.conf", **{"port 26379": f"port {port}", "10.0.0.1 6379": f"127.0.0.1 {primary}", "OPERATOR": OPERATOR})
    (place / "sentinel.conf").write_text(lines)
    return Server(place.name, port, place, str(place / "sentinel.conf"), "--sentinel", program=program)


@pytest.mark.thorough
@pytest.mark.parametrize("program", [VALKEY, pytest.param(REDIS, marks=NEEDS_REDIS)], ids=["valkey", "redis"])
def test_doctor_finds_nothing_wrong_and_the_primary_can_be_replaced(
    tmp_path: Path, program: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(running(data_server(tmp_path / "server-0", program, None)))
        data = [first] + [stack.enter_context(running(data_server(tmp_path / f"server-{n}", program, first.port))) for n in (1, 2)]
        watching = [stack.enter_context(running(sentinel(tmp_path / f"sentinel-{n}", program, first.port))) for n in range(3)]
        store = Sentinels(data, watching)
        eventually(store.is_whole, "three sentinels and two replicas", 60)
        monkeypatch.setenv("IDENTITY_STORE__REPLICAS", "1")
        monkeypatch.setenv("IDENTITY_STORE__TIMEOUT_SECONDS", "10")
        url = store.url.replace(":secret@", f"operator:{OPERATOR}@")
        assert main(["doctor", url]) == 0
        assert main(["failover", url]) == 0
        assert f"{first.place} follows it" in capsys.readouterr().out
        assert store.primary() is not first
