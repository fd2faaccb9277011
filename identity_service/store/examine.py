"""What a server must be like before the service trusts it with links: it never evicts, is new enough, and can be written."""

import asyncio
from collections.abc import Mapping

from identity_service.errors import StoreUnavailable
from identity_service.store.keys import PROBE
from identity_service.store.redis.client import StoreClient
from identity_service.store.redis.command import read, write

OLDEST_VERSION = (7, 0)


async def examine(client: StoreClient) -> list[str]:
    """One line a fault, none for a good store. Raises StoreUnavailable where nothing answers."""
    found = await examine_servers(client)
    if not found and not await _can_be_written(client):
        found.append("store.url: the server cannot be written (a read-only replica, a full disk or memory, or missing rights)")
    return found


async def examine_servers(client: StoreClient) -> list[str]:
    """Of those primaries that answer. Raises StoreUnavailable where none does."""
    asked = [server.run(read("INFO")) for server in await client.primaries()]
    told = await asyncio.gather(*asked, return_exceptions=True)
    failures = [one for one in told if isinstance(one, BaseException)]
    for failure in failures:
        if not isinstance(failure, StoreUnavailable) or len(failures) == len(told):
            raise failure
    texts = [text for one in told if not isinstance(one, BaseException) for text in one]
    return [f"store.url: the server {fault}" for text in texts for fault in unfit(information(text))]


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


async def _can_be_written(client: StoreClient) -> bool:
    try:
        await client.run(write("SET", PROBE, "1", "EX", 60))
    except StoreUnavailable:
        return False
    return True
