"""Repair: completes erasures that a crash left open, at start and every 60 seconds.

It also has append-only files rewritten, so that what was erased leaves the disk: after five quiet minutes, and within an hour. The note of
what was destroyed is in the shop's slot, and only the servers of that slot rewrite. A round reads the shops that are due, not all shops.
"""

import secrets
from collections.abc import Iterable, Sequence

from identity_service.errors import StoreUnavailable
from identity_service.model.consent import Millis
from identity_service.model.shop import ShopId
from identity_service.store.failures import Failures
from identity_service.store.keys import REPAIR_LOCK, Keys
from identity_service.store.noted import NotedShops
from identity_service.store.redis.client import StoreClient
from identity_service.store.redis.command import call, read, write
from identity_service.store.redis.server import Node
from identity_service.store.removals import RemovalStore

INTERVAL = 60
MOST_ERASURES = 1_000
"""The most erasures of a shop in one round."""
QUIET_SECONDS = 300
LATEST_SECONDS = 3_300


class Repair:
    def __init__(self, client: StoreClient, keys: Keys, removals: RemovalStore, noted: NotedShops) -> None:
        self._client = client
        self._keys = keys
        self._removals = removals
        self._noted = noted
        self._saw_all = False
        self._waiting: dict[ShopId, int] = {}

    @property
    def waiting(self) -> int:
        """How many erasures the last rounds of this worker found and could not complete, at most MOST_ERASURES of a shop."""
        return sum(self._waiting.values())

    async def claim_turn(self) -> bool:
        """Returns True for one worker a minute."""
        [claimed] = await self._client.run(call("claim_turn", [REPAIR_LOCK], secrets.token_urlsafe(8), INTERVAL * 1000 - 5000))
        return bool(claimed)

    def due(self, shops: Iterable[ShopId], now: Millis, *, ours: bool) -> list[ShopId]:
        """The shops to read in this round. `ours`: it is this worker's turn; in its first turn all shops are due, for notes of workers that
        ended."""
        noted = self._noted.take(now // 1000)
        if self._saw_all or not ours:
            return noted
        self._saw_all = True
        return list(shops)

    async def run(self, shops: Iterable[ShopId], now: Millis) -> int:
        """Completes all erasures that began 60 seconds ago or earlier. Returns how many. A shop whose server is away does not block the
        others. Raises StoreUnavailable after all shops were tried."""
        completed, failures = 0, Failures()
        for shop in shops:
            with failures.collecting(), self._noted.until_read(shop, now // 1000):
                [notes] = await self._client.run(read("ZRANGE", self._keys.erasures(shop), 0, MOST_ERASURES - 1, "WITHSCORES"))
                old = [(note, int(at)) for note, at in notes if int(at) <= now - INTERVAL * 1000]
                if len(old) < len(notes):
                    self._noted.add(shop, int(notes[len(old)][1]) // 1000 + INTERVAL)
                before = completed
                for note, at in old:
                    with failures.collecting(), self._noted.until_read(shop, now // 1000):
                        await self._removals.erase_noted(shop, note, Millis(at))
                        completed += 1
                self._waiting[shop] = len(old) - (completed - before)
                if len(notes) == MOST_ERASURES:
                    self._noted.add(shop, now // 1000)
        failures.raise_first()
        return completed

    async def rewrite_if_due(self, shops: Iterable[ShopId], now: int) -> bool:
        """Makes servers rewrite their append-only files if these have held destroyed data long enough. Returns whether any server rewrites.
        A server gets one command for all its shops. If a primary refuses, or is busy with a rewrite, its shard is due again in the next
        round. Raises StoreUnavailable after all shops were tried."""
        asked, failures = dict[Node, bool](), Failures()
        for shop in shops:
            with failures.collecting(), self._noted.until_read(shop, now):
                due = await self._rewrite_for(shop, now, asked)
                if due is not None:
                    self._noted.add(shop, due)
        failures.raise_first()
        return any(asked.values())

    async def _rewrite_for(self, shop: ShopId, now: int, asked: dict[Node, bool]) -> int | None:
        """Returns when the shop is due again, None without notes."""
        [destroyed] = await self._client.run(read("HGETALL", self._keys.rewrite(shop)))
        times = sorted(map(int, destroyed))
        done = [time for time in times if time <= now]
        due = min(done[-1] + QUIET_SECONDS, done[0] + LATEST_SECONDS) if done else None
        if due is not None and due <= now and await self._rewrite(await self._client.shard_of(self._keys.rewrite(shop)), asked):
            covered = [text for time in done for text in (str(time), destroyed[str(time)])]
            await self._client.run(call("forget_unchanged", [self._keys.rewrite(shop)], *covered))
            due = None
        later = [time + QUIET_SECONDS for time in times[len(done) : len(done) + 1]]
        return min([*later, *([] if due is None else [due])], default=None)

    async def _rewrite(self, servers: Sequence[Node], asked: dict[Node, bool]) -> bool:
        """Returns whether the primary rewrites. Its replicas follow in their order."""
        for server in servers:
            if server not in asked:
                try:
                    await server.run(write("BGREWRITEAOF"))
                    asked[server] = True
                except StoreUnavailable:
                    asked[server] = False
        return asked[servers[0]]
