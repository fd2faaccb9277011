"""Inspects all servers of a store, and its sentinels, for the operator. It writes one probe key, and reads no key."""

import re
import time
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import count
from statistics import median
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from redis.crc import key_slot

from identity_service.errors import StoreUnavailable
from identity_service.ops.blocking import NotPermitted, ServerError, Wire, table
from identity_service.settings.store_url import StoreAddress, parse_address, place_of
from identity_service.store.keys import probe_of
from identity_service.store.redis.command import confirm

KEY = "KEY"
COMMANDS = tuple(
    tuple(line.split())
    for line in """
BGREWRITEAOF
DBSIZE
DEL KEY
EVAL return 1 KEY
EVALSHA 0 1 KEY
EXISTS KEY
EXPIRE KEY 1
GET KEY
GETRANGE KEY 0 0
HDEL KEY a
HEXISTS KEY a
HGET KEY a
HGETALL KEY
HINCRBY KEY a 1
HKEYS KEY
HLEN KEY
HMGET KEY a
HSET KEY a 1
HSETNX KEY a 1
HVALS KEY
INFO
LINDEX KEY 0
LLEN KEY
LPUSH KEY a
LRANGE KEY 0 0
LREM KEY 0 a
LTRIM KEY 0 0
PFADD KEY a
PFCOUNT KEY
PING
RPOP KEY
RPUSH KEY a
SCAN 0
SET KEY 1
SETRANGE KEY 0 1
TTL KEY
ZADD KEY 1 a
ZCOUNT KEY 0 0
ZRANGE KEY 0 0
ZREM KEY a
ZREMRANGEBYRANK KEY 0 0
ZREVRANGE KEY 0 0
ZREVRANK KEY a
ZSCORE KEY a
""".strip().splitlines()
)
REPLICATED = (("WAIT", "0", "1"),)
CLUSTERED = (("CLUSTER", "SLOTS"), ("ASKING",))
SETTINGS = (
    "appendonly",
    "appendfsync",
    "no-appendfsync-on-rewrite",
    "save",
    "active-expire-effort",
    "maxmemory",
    "maxmemory-policy",
    "slowlog-log-slower-than",
    "slowlog-max-len",
    "crash-log-enabled",
    "timeout",
    "auto-aof-rewrite-percentage",
    "maxclients",
    "busy-reply-threshold",
    "hash-max-listpack-entries",
    "min-replicas-to-write",
    "min-replicas-max-lag",
    "cluster-require-full-coverage",
    "cluster-node-timeout",
)
WRITES = 50
PINGS = 9


@dataclass(frozen=True, slots=True)
class Writes:
    """Writes to a primary's probe key. `seconds`: per write, until file and replicas have it. `refusal`: why a write failed, or empty."""

    seconds: Sequence[float]
    refusal: str


@dataclass(frozen=True, slots=True)
class Server:
    """`config`: None if it does not show its settings. `ahead`: seconds by which its clock is ahead of this machine's. `round_trip`:
    seconds, a median. `forbidden`: what the login may not run, as `command` or `command|subcommand`; only `multi` if that hides the
    rest. `writes`: None for a replica. `unguarded`: it answers over the network without a password."""

    place: str
    info: Mapping[str, str]
    config: Mapping[str, str] | None
    ahead: float
    round_trip: float
    forbidden: Sequence[str]
    writes: Writes | None
    unguarded: bool = False


def examine_server(url: str, timeout: float, replicas: int, slots: Container[int] | None) -> Server:
    """`slots`: those of a primary in a cluster; empty for a primary elsewhere; None for a replica. Raises StoreUnavailable, and
    ServerError if even INFO fails."""
    with closing(Wire(url, timeout)) as wire:
        info = wire.table("INFO")
        clustered = info.get("cluster_enabled") == "1"
        key = _probe_key(slots if clustered and slots else None)
        return Server(
            place=place_of(url),
            info=info,
            config=_config(wire),
            ahead=_ahead(wire),
            round_trip=median(_round_trip(wire) for _ in range(PINGS)),
            forbidden=_forbidden(wire, key, (*COMMANDS, *(CLUSTERED if clustered else ()), *(REPLICATED if replicas else ()))),
            writes=None if slots is None else _writes(wire, key, replicas, timeout),
            unguarded=_is_unguarded(url, timeout),
        )


def _is_unguarded(url: str, timeout: float) -> bool:
    """Whether a client without a login gets an answer. A socket is guarded by the rights of its file."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return False
    without_login = urlunsplit((parts.scheme, place_of(url), parts.path, parts.query, ""))
    try:
        with closing(Wire(without_login, timeout)) as wire:
            return bool(wire.ask("PING") == "PONG")
    except (StoreUnavailable, ServerError):
        return False


def _probe_key(slots: Container[int] | None) -> str:
    """A probe key in one of this server's slots."""
    return next(key for key in map(probe_of, count()) if slots is None or key_slot(key.encode()) in slots)


def _config(wire: Wire) -> dict[str, str] | None:
    try:
        return wire.table("CONFIG", "GET", *SETTINGS)
    except ServerError:
        return None


def _ahead(wire: Wire) -> float:
    """Zero if the login may not ask for the time."""
    before = time.time()
    try:
        seconds, micros = wire.ask("TIME")
    except ServerError:
        return 0.0
    return int(seconds) + int(micros) / 1e6 - (before + time.time()) / 2


def _round_trip(wire: Wire) -> float:
    began = time.perf_counter()
    wire.ask("PING")
    return time.perf_counter() - began


def _forbidden(wire: Wire, key: str, commands: Iterable[Sequence[str]]) -> list[str]:
    """Queues the commands in a transaction and discards it: the server checks the login's rights when it queues a command."""
    found = []
    try:
        wire.ask("MULTI")
    except ServerError:
        return ["multi"]
    for command in commands:
        try:
            wire.ask(*(key if word == KEY else word for word in command))
        except NotPermitted:
            found.append("|".join(command[:2] if command[0] == "CLUSTER" else command[:1]).lower())
        except ServerError:
            continue
    wire.ask("DISCARD")
    return found


def _writes(wire: Wire, key: str, replicas: int, timeout: float) -> Writes:
    seconds: list[float] = []
    try:
        for _ in range(WRITES):
            began = time.perf_counter()
            wire.ask("SET", key, "1", "EX", 60)
            if replicas and wire.ask(*confirm(replicas, timeout).words) < replicas:
                return Writes(seconds, f"fewer than {replicas} replicas had a write in time")
            seconds.append(time.perf_counter() - began)
    except ServerError as error:
        return Writes(seconds, str(error))
    return Writes(seconds, "")


@dataclass(frozen=True, slots=True)
class Shard:
    """`slots`: those of the cluster's 16,384 that it holds. `leaving`: those of them that are being moved key by key. `replicas`: their
    places."""

    primary: str
    replicas: Sequence[str]
    slots: Collection[int]
    leaving: Collection[int] = ()


@dataclass(slots=True)
class Inspection:
    """Places are `host:port`, or the path of a socket. `sentinels`: what each reports about the primary. `silent`: place → reason."""

    servers: list[Server] = field(default_factory=list)
    sentinels: dict[str, Mapping[str, str]] = field(default_factory=dict)
    shards: list[Shard] = field(default_factory=list)
    silent: dict[str, str] = field(default_factory=dict)


def inspect(url: str, timeout: float, replicas: int) -> Inspection:
    """`replicas`: how many must have a write. Raises ValueError for a URL of no known form, and StoreUnavailable if no server describes the
    store."""
    address = parse_address(url)
    if address.topology == "sentinel":
        return _of_sentinels(address, timeout, replicas)
    if address.topology == "cluster":
        return _of_cluster(address, timeout, replicas)
    found = Inspection()
    found.servers.append(examine_server(url, timeout, replicas, ()))
    return found


def _of_sentinels(address: StoreAddress, timeout: float, replicas: int) -> Inspection:
    found = Inspection()
    followers: dict[str, None] = {}
    for url in address.servers:
        with _recording_silence(found, place_of(url)), closing(Wire(url, timeout)) as wire:
            found.sentinels[place_of(url)] = wire.table("SENTINEL", "MASTER", address.service)
            followers |= dict.fromkeys(_url(address, table(reply)) for reply in wire.ask("SENTINEL", "REPLICAS", address.service))
    if not found.sentinels:
        raise StoreUnavailable(f"no sentinel knows {address.service}: {'; '.join(found.silent.values())}")
    primary = _url(address, max(found.sentinels.values(), key=lambda state: int(state["config-epoch"])))
    found.servers.append(examine_server(primary, timeout, replicas, ()))
    _add_replicas(found, [url for url in followers if url != primary], timeout)
    return found


def _of_cluster(address: StoreAddress, timeout: float, replicas: int) -> Inspection:
    found = Inspection()
    slots: dict[str, set[int]] = {}
    followers: dict[str, dict[str, None]] = {}
    for first, last, (host, port, *_), *others in _ranges(address, timeout, found):
        primary = address.server(host, port)
        slots.setdefault(primary, set()).update(range(first, last + 1))
        followers.setdefault(primary, {}).update(dict.fromkeys(address.server(other[0], other[1]) for other in others))
    for primary, held in slots.items():
        leaving: Collection[int] = ()
        with _recording_silence(found, place_of(primary)):
            leaving = _leaving(primary, timeout)
            found.servers.append(examine_server(primary, timeout, replicas, held))
        found.shards.append(Shard(place_of(primary), [place_of(url) for url in followers[primary]], held, leaving))
        _add_replicas(found, followers[primary], timeout)
    return found


def _leaving(url: str, timeout: float) -> list[int]:
    """Slots that the server is giving away. It reports them only for itself, in its own line: `[SLOT->-NODE]`."""
    try:
        with closing(Wire(url, timeout)) as wire:
            lines = str(wire.ask("CLUSTER", "NODES")).splitlines()
    except ServerError:  # the service's login does not need this right
        return []
    return [int(slot) for line in lines if "myself" in line.split(" ")[2] for slot in re.findall(r"\[(\d+)->-", line)]


def _ranges(address: StoreAddress, timeout: float, found: Inspection) -> Any:
    for url in address.servers:
        with _recording_silence(found, place_of(url)), closing(Wire(url, timeout)) as wire:
            return wire.ask("CLUSTER", "SLOTS")
    raise StoreUnavailable(f"no server describes the cluster: {'; '.join(found.silent.values())}")


def _add_replicas(found: Inspection, urls: Iterable[str], timeout: float) -> None:
    for url in urls:
        with _recording_silence(found, place_of(url)):
            found.servers.append(examine_server(url, timeout, 0, None))


@contextmanager
def _recording_silence(found: Inspection, place: str) -> Iterator[None]:
    """Records a server that does not answer, and continues with the others."""
    try:
        yield
    except (StoreUnavailable, ServerError) as error:
        found.silent[place] = str(error)


def _url(address: StoreAddress, state: Mapping[str, str]) -> str:
    return address.server(state["ip"], int(state["port"]))
