"""Sentinel and Cluster of real servers on loopback ports: each server is killed, held, cut off and started again by its name.

No server outlives the test process: the kernel kills them with it.
"""

import itertools
import math
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import redis

from identity_service.store.embedded import server_binary
from tests.stores import valkey

SERVICE = "main"
DOWN_AFTER_MS = 1000
NODE_TIMEOUT_MS = 2000
SLOTS = 16_384
DURABLE = ("--appendonly", "yes", "--appendfsync", "always")
PASSWORD = "secret"
"""Of clients behind sentinels; a sentinel whose own login is gone would come in by a user without one."""
PEERS = ("sentinel", "replica")
"""Users of every data server: sentinels and replicas reach it by them, and are cut off without."""

# Below the ports of connections on their way out; processes that run at the same time begin apart from each other.
_ports = itertools.chain(range(10_000 + os.getpid() * 40 % 12_000, 22_000), itertools.cycle(range(10_000, 22_000)))

# Runs in the child before the server does. A server that is held heeds no other signal.
SHIM = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


def eventually(holds: Callable[[], object], what: str, seconds: float = 90) -> None:
    """A server that does not answer yet is one for which it does not hold."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if holds():
                return
        except (redis.RedisError, OSError):
            pass
        time.sleep(0.02)
    raise TimeoutError(f"{what}: not within {seconds:g} seconds")


class Server:
    """One process on one port of 127.0.0.1. What it wrote into `directory` is there when it starts again. `program`: another server than
    the embedded store's."""

    def __init__(self, name: str, port: int, directory: Path, *flags: str, password: str | None = None, program: str = "") -> None:
        self.name = name
        self.program = program or str(server_binary())
        self.port = port
        self.directory = directory
        self.flags = flags
        self.client: redis.Redis = redis.Redis("127.0.0.1", port, password=password, decode_responses=True, socket_timeout=5)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    def start(self) -> None:
        """Returns once it answers."""
        command = [sys.executable, "-I", "-S", "-c", SHIM, str(os.getpid()), self.program, *self.flags]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(command, cwd=self.directory, stdout=log, stderr=log, start_new_session=True)
        eventually(self.client.ping, f"an answer of {self.name}")

    def ask(self, *words: str | int) -> Any:
        """The reply as it comes. Raises redis.RedisError."""
        return self.client.execute_command(*words)  # type: ignore[no-untyped-call]

    def told(self, *words: str | int) -> dict[str, str]:
        """A reply that consists of lines `name:value`, or of names and values by turns."""
        reply = self.ask(*words)
        if isinstance(reply, str):
            return dict(line.split(":", 1) for line in reply.splitlines() if ":" in line)
        return reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2], strict=True))

    def follows(self) -> bool:
        """Whether it is a primary, or has all that its primary has."""
        return self.told("INFO", "replication").get("master_link_status", "up") == "up"

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        if self._process:
            self._process.wait(10)
        self.client.close()

    def hold(self) -> None:
        """Its connections stay open, and it answers nobody until it is released."""
        self._signal(signal.SIGSTOP)

    def release(self) -> None:
        self._signal(signal.SIGCONT)

    def cut_off(self) -> None:
        """From sentinels and replicas, as a partition does that has the clients on its own side."""
        self.client.acl_deluser(*PEERS)

    def rejoin(self) -> None:
        for user in PEERS:
            self.ask("ACL", "SETUSER", *_user(user))

    def _signal(self, number: signal.Signals) -> None:
        if self._process:
            self._process.send_signal(number)


@dataclass(frozen=True)
class Single:
    """One server, for what runs on every topology alike. `replicas`: how many must have a write, as the service is to be set."""

    url: str
    replicas = 0


class Sentinels:
    """One primary, two replicas and three sentinels. `servers`: by name."""

    replicas = 1

    def __init__(self, data: Sequence[Server], watching: Sequence[Server]) -> None:
        self.data = data
        self.watching = watching
        self.servers = {server.name: server for server in (*data, *watching)}

    @property
    def url(self) -> str:
        return f"redis+sentinel://:{PASSWORD}@{','.join(sentinel.place for sentinel in self.watching)}/{SERVICE}"

    def primary(self) -> Server:
        """Whom most sentinels take for it."""
        ports = [int(sentinel.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)[1]) for sentinel in self.watching]
        return next(server for server in self.data if server.port == max(ports, key=ports.count))

    def is_whole(self) -> bool:
        """Every sentinel knows the others and two replicas, and these follow the primary."""
        known = [sentinel.told("SENTINEL", "MASTER", SERVICE) for sentinel in self.watching]
        return all(one["num-other-sentinels"] == one["num-slaves"] == "2" for one in known) and all(
            server.follows() for server in self.data
        )


class Cluster:
    """Three primaries, each with a third of the slots and one replica. `servers`: by name."""

    replicas = 1

    def __init__(self, data: Sequence[Server]) -> None:
        self.data = data
        self.servers = {server.name: server for server in data}

    @property
    def url(self) -> str:
        return f"redis+cluster://{','.join(server.place for server in self.data)}"

    def slots(self, number: int) -> range:
        """Of the primary `data[number]`, and of its replica `data[number + 3]`, as they were at the beginning."""
        share = SLOTS // 3 + 1
        return range(number * share, min((number + 1) * share, SLOTS))

    def is_whole(self) -> bool:
        """Every server finds all slots served, each by a primary with one replica, and every replica follows its primary."""
        for server in self.data:
            shards = server.ask("CLUSTER", "SLOTS")
            if [len(shard) for shard in shards] != [4] * (len(self.data) // 2) or not server.follows():
                return False
        return all(server.told("CLUSTER", "INFO")["cluster_state"] == "ok" for server in self.data)


class Migration:
    """Of slots from one primary to another, by the commands that redis-cli sends."""

    def __init__(self, slots: Sequence[int], source: Server, target: Server, primaries: Sequence[Server]) -> None:
        self._slots = slots
        self._source, self._target = source, target
        self._primaries = [target, source, *(server for server in primaries if server not in {source, target})]
        self._from, self._to = source.ask("CLUSTER", "MYID"), target.ask("CLUSTER", "MYID")

    def begin(self) -> None:
        for slot in self._slots:
            self._target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", self._from)
            self._source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", self._to)

    def move(self, share: float = 1.0) -> int:
        """That share of each slot's keys, rounded up; returns how many."""
        moved = 0
        for slot in self._slots:
            keys = self._source.ask("CLUSTER", "GETKEYSINSLOT", slot, 10_000)
            some = keys[: math.ceil(len(keys) * share)]
            if some:
                self._source.ask("MIGRATE", "127.0.0.1", self._target.port, "", 0, 5000, "KEYS", *some)
            moved += len(some)
        return moved

    def move_all(self, at_once: int) -> int:
        """Every key, so many by one command; returns how many."""
        moved = 0
        for slot in self._slots:
            while keys := self._source.ask("CLUSTER", "GETKEYSINSLOT", slot, at_once):
                self._source.ask("MIGRATE", "127.0.0.1", self._target.port, "", 0, 5000, "KEYS", *keys)
                moved += len(keys)
        return moved

    def end(self) -> None:
        self.move_all(1_000)
        for slot in self._slots:
            for primary in self._primaries:
                primary.ask("CLUSTER", "SETSLOT", slot, "NODE", self._to)


def free_port(apart: int = 0) -> int:
    """One that this process has not given yet; the one `apart` from it is free, too."""
    for port in _ports:
        with suppress(OSError), socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", port))
            other.bind(("127.0.0.1", port + apart if apart else 0))
            return port
    raise AssertionError("ports never end")


@contextmanager
def single() -> Iterator[Single]:
    with valkey() as url:
        yield Single(url)


@contextmanager
def sentinels(*flags: str, program: str = "") -> Iterator[Sentinels]:
    """`flags`: of the data servers, DURABLE for what must survive a kill. `program`: another server than the embedded store's."""
    with _directory() as directory:
        data = [_data_server(f"server-{number}", directory, *flags, password=PASSWORD, program=program) for number in range(3)]
        watching = [_sentinel(f"sentinel-{number}", directory, data[0].port, program) for number in range(3)]
        topology = Sentinels(data, watching)
        with _running(data):
            for replica in data[1:]:
                replica.ask("REPLICAOF", "127.0.0.1", data[0].port)
            eventually(lambda: all(server.follows() for server in data), "replicas that follow")
            with _running(watching):
                _publish_every(watching, 100)
                eventually(topology.is_whole, "sentinels that know each other")
                _publish_every(watching, 2000)
                yield topology


@contextmanager
def cluster(*flags: str, program: str = "") -> Iterator[Cluster]:
    """`flags`: of every server, DURABLE for what must survive a kill. `program`: another server than the embedded store's."""
    own = ("--cluster-enabled", "yes", "--cluster-node-timeout", str(NODE_TIMEOUT_MS), "--cluster-require-full-coverage", "no")
    with _directory() as directory:
        topology = Cluster([_data_server(f"server-{number}", directory, *own, *flags, program=program) for number in range(6)])
        with _running(topology.data):
            _form(topology)
            eventually(topology.is_whole, "a whole cluster")
            yield topology


def _form(topology: Cluster) -> None:
    for number, primary in enumerate(topology.data[:3]):
        slots = topology.slots(number)
        primary.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        primary.ask("CLUSTER", "ADDSLOTSRANGE", slots[0], slots[-1])
    for server in topology.data[1:]:
        topology.data[0].ask("CLUSTER", "MEET", "127.0.0.1", server.port)
    for primary, replica in zip(topology.data[:3], topology.data[3:], strict=True):
        command = ("CLUSTER", "REPLICATE", primary.ask("CLUSTER", "MYID"))
        eventually(partial(replica.ask, *command), f"{replica.name} as a replica")


def _publish_every(watching: Sequence[Server], milliseconds: int) -> None:
    """How often sentinels tell of themselves: often, they find each other at once."""
    for sentinel in watching:
        sentinel.ask("SENTINEL", "DEBUG", "PUBLISH-PERIOD", milliseconds)


def _data_server(name: str, directory: Path, *flags: str, password: str | None = None, program: str = "") -> Server:
    own = directory / name
    own.mkdir()
    port = free_port(apart=10_000)
    place = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(own), "--save", "", "--repl-diskless-sync-delay", "0"]
    users = [word for user in PEERS for word in ("--user", *_user(user))]
    login = ["--masteruser", "replica", "--masterauth", "replica", *(["--requirepass", password] if password else [])]
    return Server(name, port, own, *place, *users, *login, *flags, password=password, program=program)


def _user(name: str) -> list[str]:
    return [name, "on", f">{name}", "~*", "&*", "+@all"]


def _sentinel(name: str, directory: Path, watched_port: int, program: str) -> Server:
    own = directory / name
    own.mkdir()
    port = free_port()
    path = own / "sentinel.conf"
    path.write_text(f"""port {port}
bind 127.0.0.1
dir {own}
sentinel monitor {SERVICE} 127.0.0.1 {watched_port} 2
sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}
sentinel failover-timeout {SERVICE} 5000
sentinel auth-user {SERVICE} sentinel
sentinel auth-pass {SERVICE} sentinel
""")
    return Server(name, port, own, str(path), "--sentinel", program=program)


@contextmanager
def _directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="identity-test-", ignore_cleanup_errors=True) as directory:
        yield Path(directory)


@contextmanager
def _running(servers: Sequence[Server]) -> Iterator[None]:
    try:
        for server in servers:
            server.start()
        yield
    finally:
        for server in servers:
            server.kill()


Topology = Single | Sentinels | Cluster
TOPOLOGIES: Mapping[str, Callable[[], AbstractContextManager[Topology]]] = {"single": single, "sentinel": sentinels, "cluster": cluster}
