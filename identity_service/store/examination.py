"""What a server must be like before the service trusts it with links: it never evicts, is new enough, and can be written."""

from collections.abc import Mapping

from identity_service.errors import StoreUnavailable
from identity_service.store.batch import read, write
from identity_service.store.client import Client
from identity_service.store.keys import PROBE

OLDEST_VERSION = (7, 0)


async def examine(client: Client) -> list[str]:
    """One line a fault, none for a good store. Raises StoreUnavailable where nothing answers."""
    found = await examine_servers(client)
    if not found and not await _can_be_written(client):
        found.append("store.url: the server cannot be written (a read-only replica, a full disk or memory, or missing rights)")
    return found


async def examine_servers(client: Client) -> list[str]:
    """Of those primaries that answer. Raises StoreUnavailable where none does."""
    found, failures, servers = list[str](), list[StoreUnavailable](), await client.primaries()
    for server in servers:
        try:
            [told] = await server.run(read("INFO"))
        except StoreUnavailable as error:
            failures.append(error)
        else:
            found += [f"store.url: the server {fault}" for fault in unfit(information(told))]
    if len(failures) == len(servers):
        raise StoreUnavailable from next(iter(failures), None)
    return found


def information(told: str) -> dict[str, str]:
    """The values of INFO by their names."""
    return dict(line.split(":", 1) for line in told.splitlines() if ":" in line)


def unfit(info: Mapping[str, str]) -> list[str]:
    """What is wrong with a server that tells `info`, the values of INFO by their names."""
    found = []
    version = info.get("valkey_version") or info["redis_version"]
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_VERSION:
        found.append(f"is version {version}; 7.0 or newer is needed")
    if info.get("maxmemory_policy", "noeviction") != "noeviction":
        found.append(f"evicts keys (maxmemory-policy {info['maxmemory_policy']}) and would lose links; set it to noeviction")
    return found


async def _can_be_written(client: Client) -> bool:
    try:
        await client.run(write("SET", PROBE, "1", "EX", 60))
    except StoreUnavailable:
        return False
    return True
