"""Real services and stores, started and ended by their process IDs, with what a fault needs to know of them."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import redis

from identity_service.store.embedded import server_binary
from identity_service.store.keys import SCHEMA
from tests.faults.connection import Connection
from tests.stores import view
from tests.test_command import LEAN, descendants, eventually, free_port

STORES = frozenset({"valkey-server", "redis-server"})
DURABLE = ("--appendonly", "yes", "--appendfsync", "always")
STOP_SECONDS = 300
"""For a service that is told to stop in the middle of a rolling restart, on a busy machine."""
ENVIRONMENT = LEAN | {"IDENTITY_LIMITS__ENABLED": "false", "IDENTITY_SERVER__LOG_LEVEL": "warning"}
"""Of every service: a load may be as fast as it can, and only what is wrong is logged."""


class RunningStore:
    """An own server in a directory, on TCP (`port`, kept over restarts) or a socket. `flags` come after the durable ones and win."""

    def __init__(self, directory: Path, *flags: str, tcp: bool = False, environment: Mapping[str, str] | None = None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.port = free_port() if tcp else 0
        self._socket = directory / "s.sock"
        self._flags = flags
        self._environment = environment or {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}" if self.port else f"unix://{self._socket}"

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    @property
    def log(self) -> str:
        return (self.directory / "server.log").read_text(errors="replace")

    def start(self) -> None:
        """Returns when it answers; what an earlier one kept in the directory is there again."""
        place = ["--dir", str(self.directory), "--port", str(self.port)]
        place += ["--bind", "127.0.0.1"] if self.port else ["--unixsocket", str(self._socket)]
        quiet = ["--save", "", "--slowlog-log-slower-than", "-1", "--slowlog-max-len", "0"]
        command = [str(server_binary()), *place, *quiet, *DURABLE, *self._flags]
        with (self.directory / "server.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | self._environment)
        assert eventually(self._answers), self.log

    def _answers(self) -> bool:
        try:
            with self.database() as database:
                return bool(database.ping())
        except redis.RedisError:
            return False

    def database(self) -> redis.Redis:
        """A direct view, to be closed by the caller."""
        return view(self.url)

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self._process:
            self._process.send_signal(number)
            self._process.wait(STOP_SECONDS)
            self._process = None

    def __enter__(self) -> "RunningStore":
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process:
            self._process.send_signal(signal.SIGCONT)
        self.stop()


class RunningService:
    """`identity-service serve`. `store`: a URL, or the directory of an embedded store."""

    def __init__(self, directory: Path, store: str | Path, workers: int = 1, **environment: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._log = directory / "service.log"
        self._embedded = isinstance(store, Path)
        self.store_url = f"unix://{store}/server.sock" if self._embedded else str(store)
        self.workers_asked = workers
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._environment = {"IDENTITY_STORE__URL": f"embedded:{store}" if self._embedded else str(store)} | ENVIRONMENT | environment
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Returns when it listens and all its workers are there."""
        command = [sys.executable, "-m", "identity_service", "serve", "--port", str(self.port), "--workers", str(self.workers_asked)]
        with self._log.open("a") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=os.environ | self._environment)
        assert self._process.stdout
        assert self._process.stdout.readline().startswith("listening on http://"), self.log
        assert eventually(lambda: len(self.workers) == self.workers_asked), self.log

    @property
    def pid(self) -> int:
        """Of the supervisor."""
        assert self._process
        return self._process.pid

    @property
    def workers(self) -> list[int]:
        return [pid for pid in descendants(self.pid) if b"spawn_main" in _command_line(pid)]

    @property
    def store_pid(self) -> int:
        """Of the embedded store; waits for one that is being restarted."""
        return living(lambda: next((pid for pid, name in descendants(self.pid).items() if name in STORES), None))

    @property
    def log(self) -> str:
        return self._log.read_text()

    def database(self) -> redis.Redis:
        """A direct view of its store, to be closed by the caller."""
        return view(self.store_url)

    def empty(self) -> None:
        """Its store, of all but the mark: without that the service would refuse it."""
        with self.database() as database, database.pipeline() as pipe:
            mark = database.hgetall(SCHEMA)
            pipe.flushall()
            pipe.hset(SCHEMA, mapping=mark)
            pipe.execute()

    def call(self, path: str, body: object = None, key: str = "demo-private-key") -> tuple[int, Any]:
        """Status and answer, on a connection of its own. Raises NoAnswer."""
        return asyncio.run(Connection(self.url, kept=False).call(path, key, body))

    def signal(self, number: signal.Signals) -> None:
        """To the supervisor: SIGHUP restarts the workers."""
        os.kill(self.pid, number)

    def stop(self) -> int:
        """In order; returns the exit code."""
        if not self._process:
            return 0
        assert self._process.stdout
        self._process.terminate()
        try:
            return self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end: {self.log[-3_000:]}") from None
        finally:
            self._process.stdout.close()
            self._process = None

    def __enter__(self) -> "RunningService":
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def living(pid: Callable[[], int | None]) -> int:
    """Never 0, which stands for the tests themselves where a process is named."""
    assert eventually(pid)
    return pid() or living(pid)


def kill(pid: int) -> None:
    """kill -9; returns when it is dead."""
    os.kill(pid, signal.SIGKILL)
    while _command_line(pid):
        time.sleep(0.001)


@contextmanager
def paused(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def seconds_until(holds: Callable[[], bool], limit: float = 120.0) -> float:
    """How long it took; raises AssertionError past the limit."""
    began = time.monotonic()
    assert eventually(holds, limit)
    return time.monotonic() - began
