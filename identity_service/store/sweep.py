"""What has ended leaves the store. Nothing tells when a link ends at a handle that others still hold, which would cost every link some
bytes: all keys are gone through, bit by bit. A server frees a key whose life has ended as a plain scan passes it, and with a pattern only
those that match.
"""

import asyncio
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress

from identity_service.errors import StoreUnavailable
from identity_service.model.consent import Millis
from identity_service.model.handle import Handle, HandleKind
from identity_service.model.shop import ShopId
from identity_service.model.visitor import VisitorId
from identity_service.settings.store_url import place_of
from identity_service.store.failures import Failures
from identity_service.store.keys import PREFIX, SWEEP, Keys
from identity_service.store.links import LinkStore
from identity_service.store.redis.client import StoreClient
from identity_service.store.redis.command import call, read
from identity_service.store.redis.server import Node

KEYS_A_SCAN = 1_000
ROUNDS_OF_A_PASS = 60
"""A round is a minute: in an hour it has gone through all keys of each primary, or through as many as MOST_SCANS reach."""
MOST_SCANS = 100
"""Of a round: 6 million keys an hour, 100 million in 17 hours."""
LONGEST_ROUND = 20_000
"""Milliseconds on one primary; what is left waits for the next round."""
HANDLES_AT_ONCE = 16
"""Nobody waits long behind them, though each may hold a thousand links."""
MOST_ENDED = 500
"""Of one handle in a round."""
MARGIN = 86_400
"""Seconds after its end that a link stays, for clocks of workers that differ."""
BEGINNING = "0"
CURSOR_LIFE = 86_400
NAME = re.compile(rf"{PREFIX}\{{([^}}]+)\}}:E:([\w-]{{22}})")
"""Of a handle's key: shop and digest."""


class Sweep:
    def __init__(self, client: StoreClient, keys: Keys, links: LinkStore) -> None:
        self._client = client
        self._keys = keys
        self._links = links

    async def round(self, shops: Collection[ShopId], now: Callable[[], Millis]) -> int:
        """Goes on where the last one ended, of whichever worker, and from the end to the beginning. Returns how many links it took away.
        Raises StoreUnavailable, once every server that can be reached has been looked at."""
        taken, failures = 0, Failures()
        [cursors] = await self._client.run(read("HGETALL", SWEEP))
        for node in await self._client.primaries():
            with failures.noted():
                taken += await self._sweep(node, cursors.get(place_of(node.url), BEGINNING), shops, now)
        failures.tell()
        return taken

    async def _sweep(self, node: Node, cursor: str, shops: Collection[ShopId], now: Callable[[], Millis]) -> int:
        taken, until = 0, now() + LONGEST_ROUND
        [size] = await node.run(read("DBSIZE"))
        for _ in range(min(MOST_SCANS, 1 + size // (ROUNDS_OF_A_PASS * KEYS_A_SCAN))):
            [[cursor, names]] = await node.run(read("SCAN", cursor, "COUNT", KEYS_A_SCAN))
            found = [(ShopId(name[1]), name[2]) for name in map(NAME.fullmatch, names) if name and name[1] in shops]
            for start in range(0, len(found), HANDLES_AT_ONCE):
                taken += await self._clean(found[start : start + HANDLES_AT_ONCE], now)
            if cursor == BEGINNING or now() > until:
                break
        await self._client.run(call("keep_cursor", [SWEEP], place_of(node.url), cursor, CURSOR_LIFE))
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
        """A link that the visitor's record still points to is unlinked; mostly the record has ended, too."""
        handles = [Handle(kind, digest) for kind in HandleKind]
        records = [self._keys.visitor(shop, visitor).record for visitor in ended]
        pointers = await self._client.read_many([read("HMGET", record, *(one.name for one in handles)) for record in records])
        taken, unpointed = 0, list[str]()
        for (visitor, link), found in zip(ended.items(), pointers, strict=True):
            for handle in (one for one, pointer in zip(handles, found, strict=True) if pointer):
                with suppress(StoreUnavailable):  # or the next call fails, too
                    taken += await self._links.unlink(shop, handle, VisitorId(visitor), now() // 1000, only=link)
            unpointed += [] if any(found) else [visitor, link]
        if unpointed:
            await self._client.run(call("forget_unchanged", [key], *unpointed))
        return taken + len(unpointed) // 2
