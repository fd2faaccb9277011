"""Repair: ends erasures that a crash left open, at start and every 60 seconds.

It also has append-only files rewritten, so that what was erased leaves the disk: within an hour, and after five quiet minutes. Each shop
notes what it destroyed, and only the servers that hold it rewrite.
"""

import secrets
from collections.abc import Iterable, Sequence

from identity_service.errors import StoreUnavailable
from identity_service.model.consent import Millis
from identity_service.model.shop import ShopId
from identity_service.store.failures import Failures
from identity_service.store.keys import REPAIR_LOCK, Keys
from identity_service.store.redis.client import StoreClient
from identity_service.store.redis.command import call, read, write
from identity_service.store.redis.server import Node
from identity_service.store.removals import RemovalStore

INTERVAL = 60
MOST_ERASURES = 1_000
"""Of a shop in one round."""
QUIET_SECONDS = 300
LATEST_SECONDS = 3_300


class Repair:
    def __init__(self, client: StoreClient, keys: Keys, removals: RemovalStore) -> None:
        self._client = client
        self._keys = keys
        self._removals = removals

    async def claim_turn(self) -> bool:
        """True for one worker a minute; the others have nothing to do."""
        [claimed] = await self._client.run(call("claim_turn", [REPAIR_LOCK], secrets.token_urlsafe(8), INTERVAL * 1000 - 5000))
        return bool(claimed)

    async def run(self, shops: Iterable[ShopId], now: Millis) -> int:
        """Ends all erasures whose time is 60 seconds past; returns how many. A shop whose server is away keeps no other
        waiting. Raises StoreUnavailable, once all have been seen to."""
        ended, failures = 0, Failures()
        limits = ("-inf", now - INTERVAL * 1000, "WITHSCORES", "LIMIT", 0, MOST_ERASURES)
        for shop in shops:
            with failures.noted():
                [notes] = await self._client.run(read("ZRANGEBYSCORE", self._keys.erasures(shop), *limits))
                for note, at in notes:
                    with failures.noted():
                        await self._removals.erase_noted(shop, note, Millis(int(at)))
                        ended += 1
        failures.tell()
        return ended

    async def rewrite_if_due(self, shops: Iterable[ShopId], now: int) -> bool:
        """Asks servers to rewrite their append-only files if something destroyed has waited there long enough; returns whether any does.
        A server is asked once for all its shops. Where a primary refuses, or is busy with a rewrite, all of its shard are asked again a
        minute later. Raises StoreUnavailable, once all shops have been seen to."""
        asked, failures = dict[Node, bool](), Failures()
        for shop in shops:
            with failures.noted():
                await self._rewrite_for(shop, now, asked)
        failures.tell()
        return any(asked.values())

    async def _rewrite_for(self, shop: ShopId, now: int, asked: dict[Node, bool]) -> None:
        [destroyed] = await self._client.run(read("HGETALL", self._keys.rewrite(shop)))
        done = sorted(int(time) for time in destroyed if int(time) <= now)
        if not done or (now - done[-1] < QUIET_SECONDS and now - done[0] < LATEST_SECONDS):
            return
        if await self._rewrite(await self._client.shard_of(self._keys.rewrite(shop)), asked):
            covered = [text for time in done for text in (str(time), destroyed[str(time)])]
            await self._client.run(call("forget_unchanged", [self._keys.rewrite(shop)], *covered))

    async def _rewrite(self, servers: Sequence[Node], asked: dict[Node, bool]) -> bool:
        """Whether the primary does; replicas are asked in their order behind it."""
        for server in servers:
            if server not in asked:
                try:
                    await server.run(write("BGREWRITEAOF"))
                    asked[server] = True
                except StoreUnavailable:
                    asked[server] = False
        return asked[servers[0]]
