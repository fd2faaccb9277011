"""All calls to the store: a unit of commands gets its replies, and every failure is a StoreUnavailable.

Timeouts are short. A read whose connection broke is sent once more. A write is not, because it may have happened: the caller gets 503, and
repeats the call, which is safe. While the breaker of a server is open, calls that need the server fail at once.
"""

import asyncio
import time
from collections.abc import Sequence
from functools import partial

from identity_service.errors import StoreUnavailable
from identity_service.settings.store_url import parse_address
from identity_service.store.redis.cause import Cause, cause_of_reply
from identity_service.store.redis.cluster import Cluster
from identity_service.store.redis.command import MOST_COMMANDS, Command, Reply, ReplyError, only_reads, read
from identity_service.store.redis.episodes import Report, report_nothing
from identity_service.store.redis.server import Node, Observe
from identity_service.store.redis.topology import Sentinels, Single, Topology


class StoreClient:
    """`url`: as in `settings.store_url`. `timeout`: seconds. `replicas`: how many must have a write before it is acknowledged. `report`:
    gets failures with their causes, recoveries and failovers. Use it inside one event loop and close it there."""

    def __init__(
        self,
        url: str,
        timeout: float,
        *,
        replicas: int = 0,
        observe: Observe = lambda _seconds, _outcome: None,
        report: Report = report_nothing,
    ) -> None:
        self._topology = _topology(url, timeout, replicas, observe, report)
        self._timeout = timeout
        self.replicas = replicas
        self.refused = ""
        self._refused_for = Cause.OTHER

    @property
    def open(self) -> bool:
        """Whether the breaker of any server is open."""
        return any(node.breaker.open for node in self._topology.nodes())

    async def run(self, *unit: Command) -> list[Reply]:
        """Returns the replies in the order of the commands. Raises StoreUnavailable; then a write may have happened or not."""
        if not unit:
            return []
        if self.refused:
            raise StoreUnavailable(reason=self._refused_for)
        began = time.monotonic()
        try:
            replies = await self._topology.submit(unit)
        except StoreUnavailable as error:
            slow, server = time.monotonic() - began > self._timeout / 2, self.server_of(unit[0].key)
            if server and error.reason == Cause.NOREPLICAS:  # the pipeline itself was answered
                server.episodes.failed(Cause.NOREPLICAS)
            if slow or server is None or server.breaker.open or not only_reads(unit):
                raise
            replies = await self._topology.submit(unit)
        for reply in replies:
            if isinstance(reply, ReplyError):
                raise self._failure(unit, reply) from reply
        return replies

    def _failure(self, unit: Sequence[Command], reply: ReplyError) -> StoreUnavailable:
        cause, server = cause_of_reply(reply), self.server_of(unit[0].key)
        if server:
            server.episodes.failed(cause)
        return StoreUnavailable(reason=cause)

    async def read_many(self, commands: Sequence[Command]) -> list[Reply]:
        """For thousands of reads. It sends several pipelines, so that other calls do not wait long."""
        if len(commands) <= MOST_COMMANDS:
            return await self.run(*commands)
        chunks = [commands[start : start + MOST_COMMANDS] for start in range(0, len(commands), MOST_COMMANDS)]
        return [reply for replies in await asyncio.gather(*(self.run(*chunk) for chunk in chunks)) for reply in replies]

    async def hashes(self, keys: Sequence[str], at_once: int) -> list[dict[str, int]]:
        """Hashes of numbers. Each may have hundreds of fields, so only `at_once` are read together, and other calls run in between."""
        found = []
        for start in range(0, len(keys), at_once):
            for one in await self.run(*(read("HGETALL", key) for key in keys[start : start + at_once])):
                found.append({name: int(number) for name, number in one.items()})
                await asyncio.sleep(0)
        return found

    def refuse(self, fault: str, cause: Cause = Cause.OTHER) -> None:
        """Makes every later call raise StoreUnavailable, because the store is not this service's. `refused` keeps the fault."""
        self.refused = fault
        self._refused_for = cause

    async def primaries(self) -> list[Node]:
        """Raises StoreUnavailable."""
        return await self._topology.primaries()

    def server_of(self, key: str) -> Node | None:
        """The primary that gets the key's commands. None while no primary is known to hold it."""
        return self._topology.server_of(key)

    async def shard_of(self, key: str) -> list[Node]:
        """The servers that hold the key, its primary first. Raises StoreUnavailable."""
        return await self._topology.shard_of(key)

    async def drain(self) -> None:
        """Returns once everything submitted so far is answered."""
        for node in self._topology.nodes():
            await node.drain()

    async def close(self) -> None:
        await self.drain()
        await self._topology.close()
        await asyncio.sleep(0)  # the loop closes sockets in its next turn


def _topology(url: str, timeout: float, replicas: int, observe: Observe, report: Report) -> Topology:
    address = parse_address(url)
    make_node = partial(Node, timeout=timeout, replicas=replicas, observe=observe, report=report)
    if address.topology == "cluster":
        return Cluster(address, make_node, timeout, report)
    if address.topology == "sentinel":
        make_sentinel = partial(Node, timeout=timeout, replicas=0, observe=lambda _seconds, _outcome: None, report=report, sentinel=True)
        return Sentinels(address, make_node, make_sentinel, report)
    return Single(address, make_node)
