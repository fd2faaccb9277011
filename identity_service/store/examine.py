"""Checks whether a server is fit for the service: it never evicts and is new enough. Whether it can be written may change at any time."""

import asyncio
from collections.abc import Mapping

from identity_service.errors import StoreUnavailable
from identity_service.store.keys import PROBE
from identity_service.store.redis.cause import Cause
from identity_service.store.redis.client import StoreClient
from identity_service.store.redis.command import ReplyError, read, write

OLDEST_VERSION = (7, 0)


async def examine_servers(client: StoreClient) -> list[str]:
    """The faults of the primaries that answer. Raises StoreUnavailable if none answers."""
    asked = [server.run(read("INFO")) for server in await client.primaries()]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    failures = [one for one in answers if isinstance(one, BaseException)]
    for failure in failures:
        if not isinstance(failure, StoreUnavailable) or len(failures) == len(answers):
            raise failure
    texts = [text for one in answers if not isinstance(one, BaseException) for text in one]
    return [f"store.url: the server {fault}" for text in texts for fault in unfit(information(text))]


def information(reply: str) -> dict[str, str]:
    """The values of a reply to INFO, by name."""
    return dict(line.split(":", 1) for line in reply.splitlines() if ":" in line)


def unfit(info: Mapping[str, str]) -> list[str]:
    """Returns the faults of a server. `info`: the values of INFO, by name."""
    found = []
    version = info.get("valkey_version") or info["redis_version"]
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_VERSION:
        found.append(f"is version {version}; 7.0 or newer is needed")
    if info.get("maxmemory_policy", "noeviction") != "noeviction":
        found.append(f"evicts keys (maxmemory-policy {info['maxmemory_policy']}) and would lose links; set it to noeviction")
    return found


async def why_not_written(client: StoreClient) -> Cause | None:
    """Why the server answers and refuses writes; None if it takes them. Raises StoreUnavailable if it does not answer, as one shard of a
    cluster may while others do."""
    try:
        await client.run(write("SET", PROBE, "1", "EX", 60))
    except StoreUnavailable as failure:
        if isinstance(failure.__cause__, ReplyError) and failure.__cause__.code != "CLUSTERDOWN":
            return Cause(failure.reason)
        raise
    return None
