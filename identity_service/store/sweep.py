"""The sweep removes what has ended. No index says when a link ends, because it would cost bytes per link. So the sweep passes all keys,
some each minute. It scans without a pattern, because a server then frees every ended key that the scan passes.
"""

import asyncio
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress

from identity_service.errors import StoreUnavailable
from identity_service.model.consent import Millis
from identity_service.model.handle import Handle, HandleKind
from identity_service.model.shop import ShopId
from identity_service.model.utc import DAY
from identity_service.model.visitor import VisitorId
from identity_service.settings.store_url import place_of
from identity_service.store.failures import Failures
from identity_service.store.keys import PREFIX, SWEEP, Keys
from identity_service.store.links import LinkStore
from identity_service.store.noted import NotedShops
from identity_service.store.redis.client import StoreClient
from identity_service.store.redis.command import call, read
from identity_service.store.redis.server import Node

KEYS_A_SCAN = 1_000
ROUNDS_OF_A_PASS = 60
"""A round takes place each minute. In an hour the sweep passes all keys of each primary, or as many as MOST_SCANS allow."""
MOST_SCANS = 100
"""The most scans of a round. They pass 6 million keys an hour, and 100 million in 17 hours."""
LONGEST_ROUND = 20_000
"""Milliseconds on one primary. The next round continues."""
HANDLES_AT_ONCE = 16
"""Few, because each may hold a thousand links, and other calls wait."""
MOST_ENDED = 500
"""The most links that are removed from one handle in a round."""
MARGIN = DAY
"""Seconds for which a link stays after its end, because clocks of workers differ."""
BEGINNING = "0"
CURSOR_LIFE = DAY
NAME = re.compile(rf"{PREFIX}\{{([^}}]+)\}}:E:([\w-]{{22}})")
"""The key of a handle. Groups: shop and digest."""
NOTES = re.compile(rf"{PREFIX}\{{([^}}]+)\}}:(?:Q|rewrite)")
"""The key of notes. Group: shop."""


class Sweep:
    """`most_scans`: of a round. `keys_a_scan`: about how many names each scan returns."""

    def __init__(self, client: StoreClient, keys: Keys, links: LinkStore, noted: NotedShops) -> None:
        self._client = client
        self._keys = keys
        self._noted = noted
        self._links = links
        self._passed: dict[str, int] = {}
        self.most_scans, self.keys_a_scan = MOST_SCANS, KEYS_A_SCAN

    def lag(self, now: Millis) -> int | None:
        """Seconds since the sweep passed all keys of a server, of the one that waits longest. A server that is new counts from its first
        round. None before this worker's first round."""
        return max((now // 1000 - passed for passed in self._passed.values()), default=None)

    async def round(self, shops: Collection[ShopId], now: Callable[[], Millis]) -> int:
        """Continues where the last round of any worker ended, and after the last key at the first. Returns how many links it removed.
        Raises StoreUnavailable after it swept every server that can be reached."""
        taken, failures = 0, Failures()
        [kept] = await self._client.run(read("HGETALL", SWEEP))
        nodes = {place_of(node.url): node for node in await self._client.primaries()}
        self._passed = {place: int(kept.get(f"{place} passed", now() // 1000)) for place in nodes}
        for place, node in nodes.items():
            with failures.collecting():
                taken += await self._sweep(node, kept.get(place, BEGINNING), shops, now)
        failures.raise_first()
        return taken

    async def _sweep(self, node: Node, cursor: str, shops: Collection[ShopId], now: Callable[[], Millis]) -> int:
        taken, until = 0, now() + LONGEST_ROUND
        [size] = await node.run(read("DBSIZE"))
        for _ in range(min(self.most_scans, 1 + size // (ROUNDS_OF_A_PASS * self.keys_a_scan))):
            [[cursor, names]] = await node.run(read("SCAN", cursor, "COUNT", self.keys_a_scan))
            for note in filter(None, map(NOTES.fullmatch, names)):
                if note[1] in shops:
                    self._noted.add(ShopId(note[1]), now() // 1000)
            found = [(ShopId(name[1]), name[2]) for name in map(NAME.fullmatch, names) if name and name[1] in shops]
            for start in range(0, len(found), HANDLES_AT_ONCE):
                taken += await self._clean(found[start : start + HANDLES_AT_ONCE], now)
            if cursor == BEGINNING or now() > until:
                break
        place = place_of(node.url)
        if cursor == BEGINNING:
            self._passed[place] = now() // 1000
        await self._client.run(call("keep_cursor", [SWEEP], place, cursor, CURSOR_LIFE, self._passed[place]))
        return taken

    async def _clean(self, handles: Sequence[tuple[ShopId, str]], now: Callable[[], Millis]) -> int:
        keys = [self._keys.handle(shop, Handle(HandleKind.EMAIL, digest)) for shop, digest in handles]
        time = now() // 1000 - MARGIN
        asked = [self._client.run(call("ended_links", [one], time, MOST_ENDED, reads=True)) for one in keys]  # of any shops
        taken = 0
        for (shop, digest), one, [pairs] in zip(handles, keys, await asyncio.gather(*asked), strict=True):
            if pairs:
                taken += await self._take(shop, digest, one, dict(zip(pairs[::2], pairs[1::2], strict=True)), now)
        return taken

    async def _take(self, shop: ShopId, digest: str, key: str, ended: Mapping[str, str], now: Callable[[], Millis]) -> int:
        """Removes links that have ended. In most cases their records have ended, too; if not, the record's pointer is removed."""
        handles = [Handle(kind, digest) for kind in HandleKind]
        records = [self._keys.visitor(shop, visitor).record for visitor in ended]
        pointers = await self._client.read_many([read("HMGET", record, *(one.name for one in handles)) for record in records])
        taken, unpointed = 0, list[str]()
        for (visitor, link), found in zip(ended.items(), pointers, strict=True):
            for handle in (one for one, pointer in zip(handles, found, strict=True) if pointer):
                with suppress(StoreUnavailable):  # if the store is away, the next call raises
                    taken += await self._links.unlink(shop, handle, VisitorId(visitor), now() // 1000, only=link)
            unpointed += [] if any(found) else [visitor, link]
        if unpointed:
            await self._client.run(call("forget_unchanged", [key], *unpointed))
        return taken + len(unpointed) // 2
