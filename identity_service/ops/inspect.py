"""What all servers of a store, and the sentinels that watch them, tell of themselves to an operator."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

from identity_service.errors import StoreUnavailable
from identity_service.ops.server_state import Server, examine_server
from identity_service.settings.store_url import StoreAddress, parse_address
from identity_service.store.redis.wire import Refused, Wire, place_of, table


@dataclass(frozen=True, slots=True)
class Shard:
    """`slots`: those of the cluster's 16,384 that it holds; `leaving`: of those, which are moved key by key. `replicas`: their places."""

    primary: str
    replicas: Sequence[str]
    slots: Collection[int]
    leaving: Collection[int] = ()


@dataclass(slots=True)
class Inspection:
    """Places are `host:port`, or the path of a socket. `sentinels`: what each tells of the primary. `silent`: place → why."""

    servers: list[Server] = field(default_factory=list)
    sentinels: dict[str, Mapping[str, str]] = field(default_factory=dict)
    shards: list[Shard] = field(default_factory=list)
    silent: dict[str, str] = field(default_factory=dict)


def inspect(url: str, timeout: float, replicas: int) -> Inspection:
    """`replicas`: how many must have a write. Raises ValueError for a URL of no known form, StoreUnavailable where nothing tells of it."""
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
        with _noting(found, place_of(url)), closing(Wire(url, timeout)) as wire:
            found.sentinels[place_of(url)] = wire.table("SENTINEL", "MASTER", address.service)
            followers |= dict.fromkeys(_url(address, table(reply)) for reply in wire.ask("SENTINEL", "REPLICAS", address.service))
    if not found.sentinels:
        raise StoreUnavailable(f"no sentinel tells of {address.service}: {'; '.join(found.silent.values())}")
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
        with _noting(found, place_of(primary)):
            leaving = _leaving(primary, timeout)
            found.servers.append(examine_server(primary, timeout, replicas, held))
        found.shards.append(Shard(place_of(primary), [place_of(url) for url in followers[primary]], held, leaving))
        _add_replicas(found, followers[primary], timeout)
    return found


def _leaving(url: str, timeout: float) -> list[int]:
    """A server tells of its own slots alone, in its own line, which of them it gives away: `[SLOT->-NODE]`."""
    try:
        with closing(Wire(url, timeout)) as wire:
            lines = str(wire.ask("CLUSTER", "NODES")).splitlines()
    except Refused:  # the service's own login need not be allowed to
        return []
    return [int(slot) for line in lines if "myself" in line.split(" ")[2] for slot in re.findall(r"\[(\d+)->-", line)]


def _ranges(address: StoreAddress, timeout: float, found: Inspection) -> Any:
    for url in address.servers:
        with _noting(found, place_of(url)), closing(Wire(url, timeout)) as wire:
            return wire.ask("CLUSTER", "SLOTS")
    raise StoreUnavailable(f"no server tells of the cluster: {'; '.join(found.silent.values())}")


def _add_replicas(found: Inspection, urls: Iterable[str], timeout: float) -> None:
    for url in urls:
        with _noting(found, place_of(url)):
            found.servers.append(examine_server(url, timeout, 0, None))


@contextmanager
def _noting(found: Inspection, place: str) -> Iterator[None]:
    """One server that is silent hides no other."""
    try:
        yield
    except (StoreUnavailable, Refused) as error:
        found.silent[place] = str(error)


def _url(address: StoreAddress, state: Mapping[str, str]) -> str:
    return address.server(state["ip"], int(state["port"]))
