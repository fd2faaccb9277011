"""The one way to the store: units of commands in, replies out, every failure a StoreUnavailable.

Timeouts are short. A read whose connection broke is sent once more, a write never: after a lost write nobody knows whether it happened, so
the caller hears 503 and repeats a call that is safe to repeat. While the breaker of a server is open, calls that need it fail at once.
"""

import asyncio
import time
from collections.abc import Sequence
from functools import partial

from identity_service.errors import StoreUnavailable
from identity_service.settings.store_url import parse_address
from identity_service.store.redis.cluster import Cluster
from identity_service.store.redis.command import MOST_COMMANDS, Command, Reply, ReplyError, only_reads
from identity_service.store.redis.server import Node, Observe
from identity_service.store.redis.topology import Sentinels, Single, Topology


class StoreClient:
    """`url`: as in `settings.store_url`. `timeout`: seconds. `replicas`: how many must have a write before it counts as done. Use it
    inside one event loop and close it there."""

    def __init__(self, url: str, timeout: float, *, replicas: int = 0, observe: Observe = lambda _seconds, _outcome: None) -> None:
        self._topology = _topology(url, timeout, replicas, observe)
        self._timeout = timeout
        self.replicas = replicas
        self.refused = ""

    @property
    def open(self) -> bool:
        """Whether the breaker of any server is open."""
        return any(node.breaker.open for node in self._topology.nodes())

    async def run(self, *unit: Command) -> list[Reply]:
        """Replies in the order of the commands. Raises StoreUnavailable; for writes that means: perhaps done, perhaps not."""
        if not unit:
            return []
        if self.refused:
            raise StoreUnavailable
        began = time.monotonic()
        try:
            replies = await self._topology.submit(unit)
        except StoreUnavailable:
            slow = time.monotonic() - began > self._timeout / 2
            if slow or self.open or not only_reads(unit):
                raise
            replies = await self._topology.submit(unit)
        for reply in replies:
            if isinstance(reply, ReplyError):
                raise StoreUnavailable from reply
        return replies

    async def read_many(self, commands: Sequence[Command]) -> list[Reply]:
        """For reads that may be thousands: in several pipelines, so that nobody else waits behind them for long."""
        if len(commands) <= MOST_COMMANDS:
            return await self.run(*commands)
        chunks = [commands[start : start + MOST_COMMANDS] for start in range(0, len(commands), MOST_COMMANDS)]
        return [reply for replies in await asyncio.gather(*(self.run(*chunk) for chunk in chunks)) for reply in replies]

    def refuse(self, reason: str) -> None:
        """The store proved not to be this service's: from now on every call raises StoreUnavailable. `refused` keeps the reason."""
        self.refused = reason

    async def primaries(self) -> list[Node]:
        """Raises StoreUnavailable."""
        return await self._topology.primaries()

    async def shard_of(self, key: str) -> list[Node]:
        """The servers that hold the key, the primary first. Raises StoreUnavailable."""
        return await self._topology.shard_of(key)

    async def drain(self) -> None:
        """Returns once everything submitted so far has been answered."""
        for node in self._topology.nodes():
            await node.drain()

    async def close(self) -> None:
        await self.drain()
        await self._topology.close()
        await asyncio.sleep(0)  # sockets are closed in the loop's next turn


def _topology(url: str, timeout: float, replicas: int, observe: Observe) -> Topology:
    address = parse_address(url)
    make_node = partial(Node, timeout=timeout, replicas=replicas, observe=observe)
    if address.topology == "cluster":
        return Cluster(address, make_node, timeout)
    if address.topology == "sentinel":
        return Sentinels(address, make_node, partial(Node, timeout=timeout, replicas=0, observe=lambda _seconds, _outcome: None))
    return Single(address, make_node)
