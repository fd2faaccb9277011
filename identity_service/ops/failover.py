"""`identity-service failover`: replaces the primary that sentinels name, and loses no acknowledged write.

After a plain SENTINEL FAILOVER the old primary goes on accepting writes for seconds, and a replica that still follows it confirms them.
Only newer sentinels know COORDINATED. So this command pauses writes on the old primary, waits until every replica has all of them, and ends
the pause once the old primary follows the new one. Calls that write are answered 503 meanwhile.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from identity_service.errors import StoreUnavailable
from identity_service.ops.blocking import ServerError, Wire, table
from identity_service.ops.stores import CommandRefused
from identity_service.settings.store_url import EMBEDDED, StoreAddress, parse_address, place_of

PAUSE_SECONDS = 60
"""Longer than all steps may take together. The pause ends by itself if this command is killed."""
CATCH_UP_SECONDS = 5.0
TAKEOVER_SECONDS = 40.0
POLL_SECONDS = 0.05
OTHERWISE = "in a cluster, run CLUSTER FAILOVER on the replica that is to take over; a single server has none"


@dataclass(frozen=True, slots=True)
class Group:
    """The servers that sentinels watch under one name, as URLs. `sentinel`: one of those that name the primary."""

    sentinel: str
    primary: str
    replicas: Sequence[str]


def fail_over(url: str, timeout: float) -> str:
    """Returns one line about the new primary. `timeout`: seconds for each reply. Raises CommandRefused and StoreUnavailable."""
    address = _address(url)
    group = _group(address, timeout)
    began = time.monotonic()
    _check_rights(group, timeout)
    try:
        _ask(group.primary, timeout, "CLIENT", "PAUSE", PAUSE_SECONDS * 1000, "WRITE")
        _catch_up(group, timeout)
    except BaseException:
        _resume(group, timeout)
        raise
    _begin(address, group, timeout)
    primary = _new_primary(address, group, timeout)
    _follow(group, primary, timeout)
    seconds = time.monotonic() - began
    return f"{place_of(primary)} is the primary, and {place_of(group.primary)} follows it; writes were refused for {seconds:.1f} seconds"


def _address(url: str) -> StoreAddress:
    try:
        address = None if url.startswith(EMBEDDED) else parse_address(url)
    except ValueError as error:
        raise CommandRefused(f"store.url: {error}") from None
    if not address or address.topology != "sentinel":
        raise CommandRefused(f"only a primary behind sentinels is replaced by this command; {OTHERWISE}")
    return address


def _group(address: StoreAddress, timeout: float) -> Group:
    """Raises CommandRefused unless a majority of sentinels can agree and every replica follows."""
    states = _states(address, timeout)
    if not states:
        raise CommandRefused(f"no sentinel knows {address.service}; correct the address, or start them")
    sentinel, newest = max(states.items(), key=lambda one: int(one[1]["config-epoch"]))
    primary = _server(address, newest)
    try:
        _ask(sentinel, timeout, "SENTINEL", "CKQUORUM", address.service)
    except ServerError as error:
        raise CommandRefused(f"the sentinels cannot agree on another primary ({error}); start them first") from None
    replicas = [_server(address, table(reply)) for reply in _ask(sentinel, timeout, "SENTINEL", "REPLICAS", address.service)]
    if not replicas:
        raise CommandRefused("the primary has no replica that could take over; add one")
    for replica in replicas:
        if not _within(0, partial(_is_linked, replica, timeout)):
            raise CommandRefused(f"{place_of(replica)} does not follow the primary; wait for it, or take it out with SENTINEL RESET")
    return Group(sentinel, primary, replicas)


def _check_rights(group: Group, timeout: float) -> None:
    """Queues what will be sent to the primary, and discards it: the server checks the login's rights when it queues a command."""
    try:
        with closing(Wire(group.primary, timeout)) as wire:
            for words in ("MULTI", "CLIENT PAUSE 1 WRITE", "CLIENT UNPAUSE", "REPLICAOF NO ONE", "DISCARD"):
                wire.ask(*words.split())
    except ServerError as error:
        raise CommandRefused(f"the login lacks a right ({error}); use the URL of an operator's login") from None


def _catch_up(group: Group, timeout: float) -> None:
    """Waits until every replica has what the primary wrote before the pause."""
    offset = int(_replication(group.primary, timeout)["master_repl_offset"])

    def has_all() -> bool:
        return all(int(_replication(replica, timeout)["slave_repl_offset"]) >= offset for replica in group.replicas)

    if not _within(CATCH_UP_SECONDS, has_all):
        raise CommandRefused(
            f"a replica is behind by more than {CATCH_UP_SECONDS:g} seconds; nothing was changed; try again when it is not"
        )


def _begin(address: StoreAddress, group: Group, timeout: float) -> None:
    """Ends the pause only if the sentinels refuse. Without an answer they may have begun."""
    try:
        _ask(group.sentinel, timeout, "SENTINEL", "FAILOVER", address.service)
    except StoreUnavailable:
        return
    except ServerError as error:
        if "INPROG" not in str(error):
            _resume(group, timeout)
            raise CommandRefused(f"the sentinels refuse ({error}); nothing was changed") from None


def _new_primary(address: StoreAddress, group: Group, timeout: float) -> str:
    """Its URL, once every sentinel names it and all other replicas follow it."""
    named = group.primary

    def has_taken_over() -> bool:
        nonlocal named
        found = {_server(address, state) for state in _states(address, timeout).values()}
        named = found.pop() if len(found) == 1 else group.primary
        others = [replica for replica in group.replicas if replica != named]
        return named != group.primary and all(_follows(replica, named, timeout) for replica in others)

    if not _within(TAKEOVER_SECONDS, has_taken_over):
        raise CommandRefused(
            f"no replica has wholly taken over after {TAKEOVER_SECONDS:g} seconds; {place_of(group.primary)} refuses writes for "
            f"{PAUSE_SECONDS} seconds in all; see the sentinels' logs, and run `identity-service doctor`"
        )
    return named


def _follow(group: Group, primary: str, timeout: float) -> None:
    """Makes the old primary a replica, which sentinels do only after ten seconds, and ends the pause."""
    host, _, port = place_of(primary).rpartition(":")
    with closing(Wire(group.primary, timeout)) as wire:
        wire.ask("REPLICAOF", host.strip("[]"), port)
    _resume(group, timeout)
    if not _within(TAKEOVER_SECONDS, lambda: _follows(group.primary, primary, timeout)):
        raise CommandRefused(f"{place_of(primary)} is the primary, but {place_of(group.primary)} does not follow it yet; see its log")


def _resume(group: Group, timeout: float) -> None:
    _ask(group.primary, timeout, "CLIENT", "UNPAUSE")


def _states(address: StoreAddress, timeout: float) -> dict[str, Mapping[str, str]]:
    """What each sentinel that answers reports about the primary."""
    found: dict[str, Mapping[str, str]] = {}
    for url in address.servers:
        with suppress(StoreUnavailable, ServerError):
            found[url] = table(_ask(url, timeout, "SENTINEL", "MASTER", address.service))
    return found


def _server(address: StoreAddress, state: Mapping[str, str]) -> str:
    return address.server(state["ip"], int(state["port"]))


def _follows(replica: str, primary: str, timeout: float) -> bool:
    told = _replication(replica, timeout)
    host, _, port = place_of(primary).rpartition(":")
    found = (told.get("master_host"), told.get("master_port"), told.get("master_link_status"))
    return found == (host.strip("[]"), port, "up")


def _is_linked(replica: str, timeout: float) -> bool:
    return _replication(replica, timeout).get("master_link_status") == "up"


def _replication(url: str, timeout: float) -> Mapping[str, str]:
    return table(_ask(url, timeout, "INFO", "replication"))


def _ask(url: str, timeout: float, *words: str | int) -> Any:
    """On a connection of its own, because sentinels end those of a server that they reconfigure."""
    with closing(Wire(url, timeout)) as wire:
        return wire.ask(*words)


def _within(seconds: float, holds: Callable[[], bool]) -> bool:
    """A server that does not answer yet is one for which it does not hold."""
    deadline = time.monotonic() + seconds
    while True:
        with suppress(StoreUnavailable, ServerError):
            if holds():
                return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_SECONDS)
