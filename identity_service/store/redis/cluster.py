"""A cluster: each of 16,384 slots has a primary, which may change at any time (Redis Cluster specification).

A unit concerns one shop, and so one slot. A server that does not hold the slot names the server that does (MOVED), or that will (ASK). It
has not run the command, which is sent to that server. Each server has its own connections and breaker, so that a dead one delays only calls
that need it.
"""

import asyncio
from collections.abc import Mapping, Sequence

from redis.crc import key_slot

from identity_service.errors import StoreUnavailable
from identity_service.settings.store_url import StoreAddress, place_of
from identity_service.store.redis.cause import Cause
from identity_service.store.redis.command import Command, Reply, ReplyError, read
from identity_service.store.redis.episodes import Failover, Report
from identity_service.store.redis.server import Node
from identity_service.store.redis.topology import MakeNode, Watch

MOST_REDIRECTS = 16
PAUSE = 0.02
"""Seconds before a command is sent again because its keys are being moved (TRYAGAIN)."""


class Cluster:
    """`timeout`: seconds within which a command must find its server."""

    def __init__(self, address: StoreAddress, make_node: MakeNode, timeout: float, report: Report) -> None:
        self._address = address
        self._report = report
        self._make_node = make_node
        self._timeout = timeout
        self._nodes: dict[str, Node] = {url: make_node(url) for url in address.servers}
        self._owners: dict[int, Node] = {}
        self._followers: dict[Node, set[str]] = {}
        self._watch = Watch(self._look)
        self._stale = True

    async def submit(self, unit: Sequence[Command]) -> list[Reply]:
        self._watch.begin()
        if not self._owners:
            await self._watch.look_now()
        return await self._at(slot_of(unit[0].key), unit)

    async def primaries(self) -> list[Node]:
        await self._watch.look_now()
        return list(dict.fromkeys(self._owners.values()))

    def server_of(self, key: str) -> Node | None:
        return self._owners.get(slot_of(key))

    async def shard_of(self, key: str) -> list[Node]:
        primaries, owner = await self.primaries(), self.server_of(key)
        if owner not in primaries:
            raise StoreUnavailable(reason=Cause.CLUSTER_DOWN)
        return [owner, *(self._node(url) for url in sorted(self._followers.get(owner, ())))]

    def nodes(self) -> list[Node]:
        return list(dict.fromkeys(self._owners.values()))

    async def close(self) -> None:
        await self._watch.end()
        for node in self._nodes.values():
            node.close()

    async def _at(self, slot: int, commands: Sequence[Command]) -> list[Reply]:
        owner = self._owners.get(slot)
        if owner is None:
            self._stale = True
            raise StoreUnavailable(reason=Cause.CLUSTER_DOWN)
        replies = await owner.submit(commands)
        for index, reply in enumerate(replies):
            if isinstance(reply, ReplyError):
                replies[index] = await self._sent_on(slot, owner, commands[index], reply)
        return replies

    async def _sent_on(self, slot: int, owner: Node, command: Command, error: ReplyError) -> Reply:
        """Returns the command's reply from the server that holds its keys, or the last error."""
        until = asyncio.get_running_loop().time() + self._timeout
        for _ in range(MOST_REDIRECTS):
            if error.code == "MOVED":
                self._stale = True
                owner = self._owners[slot] = self._named_in(error, owner)
                [reply] = await owner.submit([command])
            elif error.code == "ASK":
                _, reply = await self._named_in(error, owner).submit([read("ASKING"), command.with_source()])
            elif error.code == "TRYAGAIN":
                await asyncio.sleep(PAUSE)
                [reply] = await owner.submit([command])
            else:
                self._stale = self._stale or error.code in {"CLUSTERDOWN", "READONLY", "MASTERDOWN"}
                return error
            if not isinstance(reply, ReplyError) or asyncio.get_running_loop().time() > until:
                return reply
            error = reply
        return error

    def _named_in(self, error: ReplyError, by: Node) -> Node:
        """The server in an error such as `MOVED 3999 127.0.0.1:6381`. Without a host, it is on the host of the server that answered."""
        host, _, port = str(error).split(" ")[2].rpartition(":")
        return self._node(self._url(host, int(port), by))

    def _url(self, host: str | None, port: int, by: Node) -> str:
        return self._address.server(host, port) if host and host != "?" else self._address.beside(by.url, port)

    def _node(self, url: str) -> Node:
        node = self._nodes.get(url)
        if node is None:
            node = self._nodes[url] = self._make_node(url)
        return node

    async def _look(self) -> None:
        """Asks all servers at once and takes the first answer. MOVED corrects what is wrong in it."""
        if self._owners and not self._stale and not any(node.breaker.failing for node in self.nodes()):
            return
        asked = [asyncio.ensure_future(self._slots(node)) for node in self._nodes.values()]
        failure = StoreUnavailable()
        try:
            for answer in asyncio.as_completed(asked):
                try:
                    self._take(*(await answer))
                except StoreUnavailable as error:
                    failure = error
                    continue
                self._stale = False
                return
        finally:
            for task in asked:
                task.cancel()
        raise failure

    async def _slots(self, node: Node) -> tuple[Node, Reply]:
        [slots] = await node.run(read("CLUSTER", "SLOTS"))
        return node, slots

    def _take(self, answering: Node, ranges: Sequence[Sequence[Reply]]) -> None:
        owners, followers = {}, dict[Node, set[str]]()
        for first, last, primary, *others in ranges:
            owner = self._node(self._url(primary[0], primary[1], answering))
            owners.update(dict.fromkeys(range(first, last + 1), owner))
            followers.setdefault(owner, set()).update(self._url(other[0], other[1], answering) for other in others)
        for before, after in self._taken_over(owners):
            self._report(Failover(place_of(before.url), place_of(after.url)))
        self._owners, self._followers = owners, followers

    def _taken_over(self, owners: Mapping[int, Node]) -> set[tuple[Node, Node]]:
        """Primaries whose slots are a follower's now. Slots that were only moved have another primary."""
        changed = {(self._owners[slot], owner) for slot, owner in owners.items() if self._owners.get(slot) not in {None, owner}}
        return {(before, after) for before, after in changed if after.url in self._followers.get(before, ())}


def slot_of(key: str) -> int:
    return int(key_slot(key.encode(errors="replace")))
