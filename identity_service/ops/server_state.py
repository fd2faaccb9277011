"""What one server tells of itself. Of its keys only a probe is written, and none is read."""

import time
from collections.abc import Container, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from statistics import median

from redis.crc import key_slot

from identity_service.ops.commands import CLUSTERED, COMMANDS, KEY, REPLICATED
from identity_service.store.keys import probe_of
from identity_service.store.redis.batch import confirm
from identity_service.store.redis.wire import Forbidden, Refused, Wire, place_of

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
    "min-replicas-to-write",
    "min-replicas-max-lag",
    "cluster-require-full-coverage",
    "cluster-node-timeout",
)
WRITES = 50
PINGS = 9


@dataclass(frozen=True, slots=True)
class Writes:
    """To a primary's probe key. `seconds`: one each, until its file and its replicas had it. `refusal`: why one was not done, or empty."""

    seconds: Sequence[float]
    refusal: str


@dataclass(frozen=True, slots=True)
class Server:
    """`config`: None where it does not tell. `ahead`: seconds by which its clock is before this machine's. `round_trip`: seconds, a median.
    `forbidden`: what the login may not run, as `command` or `command|subcommand`; `multi` where that hides the rest. `writes`: None of a
    replica, which is not written."""

    place: str
    info: Mapping[str, str]
    config: Mapping[str, str] | None
    ahead: float
    round_trip: float
    forbidden: Sequence[str]
    writes: Writes | None


def examine_server(url: str, timeout: float, replicas: int, slots: Container[int] | None) -> Server:
    """`slots`: those of a primary in a cluster, empty of one elsewhere; None for a replica. Raises StoreUnavailable, and Refused where
    even INFO is."""
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
        )


def _probe_key(slots: Container[int] | None) -> str:
    """One that this server holds."""
    return next(key for key in map(probe_of, count()) if slots is None or key_slot(key.encode()) in slots)


def _config(wire: Wire) -> dict[str, str] | None:
    try:
        return wire.table("CONFIG", "GET", *SETTINGS)
    except Refused:
        return None


def _ahead(wire: Wire) -> float:
    """Zero where the server does not tell."""
    before = time.time()
    try:
        seconds, micros = wire.ask("TIME")
    except Refused:
        return 0.0
    return int(seconds) + int(micros) / 1e6 - (before + time.time()) / 2


def _round_trip(wire: Wire) -> float:
    began = time.perf_counter()
    wire.ask("PING")
    return time.perf_counter() - began


def _forbidden(wire: Wire, key: str, commands: Iterable[Sequence[str]]) -> list[str]:
    """Queues them in a transaction that is then thrown away: the server checks each login's right when it queues a command."""
    found = []
    try:
        wire.ask("MULTI")
    except Refused:
        return ["multi"]
    for command in commands:
        try:
            wire.ask(*(key if word == KEY else word for word in command))
        except Forbidden:
            found.append("|".join(command[:2] if command[0] == "CLUSTER" else command[:1]).lower())
        except Refused:
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
    except Refused as error:
        return Writes(seconds, str(error))
    return Writes(seconds, "")
