"""Links that have ended leave handles that others still hold. Nothing tells when one ends, which would cost every link some bytes: all
handles are gone through, bit by bit.
"""

from collections.abc import Mapping, Sequence

from identity_service.handle import Handle, HandleKind
from identity_service.link import parse_link
from identity_service.shop import ShopId
from identity_service.store.batch import call, read, write
from identity_service.store.client import Client
from identity_service.store.keys import HANDLES, SWEEP, Keys
from identity_service.store.kinds import name_of
from identity_service.store.links import LinkStore
from identity_service.store.node import Node
from identity_service.store.wire import place_of
from identity_service.visitor import VisitorId

SCANS = 10
KEYS_A_SCAN = 1_000
"""Of a round, a minute: it looks at 10,000 keys of each primary, so that a million orders with visitors and handles take half a day."""
HANDLES_AT_ONCE = 50
"""Each may hold a thousand links."""
BEGINNING = "0"
CURSOR_LIFE = 86_400
MARGIN = 3_600
"""Seconds after its end that a link stays, for clocks of workers that differ."""


class Sweep:
    def __init__(self, client: Client, keys: Keys, links: LinkStore) -> None:
        self._client = client
        self._keys = keys
        self._links = links

    async def round(self, now: int) -> int:
        """Goes on where the last one ended, of whichever worker, and from the end to the beginning. `now`: seconds since 1970. Returns how
        many links it took away. Raises StoreUnavailable."""
        taken = 0
        [cursors] = await self._client.run(read("HGETALL", SWEEP))
        for node in await self._client.primaries():
            place = place_of(node.url)
            names, cursor = await _scanned(node, cursors.get(place, BEGINNING))
            for start in range(0, len(names), HANDLES_AT_ONCE):
                taken += await self._clean(names[start : start + HANDLES_AT_ONCE], now)
            await self._client.run(write("HSET", SWEEP, place, cursor), write("EXPIRE", SWEEP, CURSOR_LIFE))
        return taken

    async def _clean(self, names: Sequence[str], now: int) -> int:
        stored = await self._client.read_many([read("HGETALL", name) for name in names])
        found = {name: _ended(links, now) for name, links in zip(names, stored, strict=True)}
        return sum([await self._take(name, ended, now) for name, ended in found.items() if ended])

    async def _take(self, name: str, ended: Mapping[str, str], now: int) -> int:
        """A link that the visitor's record still points to is unlinked; mostly the record has ended, too."""
        key = name_of(name.encode())
        shop, handles = ShopId(key.owner.decode()), [Handle(kind, key.own.decode()) for kind in HandleKind]
        records = [self._keys.visitor(shop, visitor).record for visitor in ended]
        pointers = await self._client.read_many([read("HMGET", record, *(one.name for one in handles)) for record in records])
        taken, unpointed = 0, list[str]()
        for (visitor, link), found in zip(ended.items(), pointers, strict=True):
            for handle in (one for one, pointer in zip(handles, found, strict=True) if pointer):
                taken += await self._links.unlink(shop, handle, VisitorId(visitor), now, only=link)
            unpointed += [] if any(found) else [visitor, link]
        if unpointed:
            await self._client.run(call("release", [name], *unpointed))
        return taken + len(unpointed) // 2


async def _scanned(node: Node, cursor: str) -> tuple[list[str], str]:
    """Names of handles' keys on one server from a cursor on, and the cursor to go on with."""
    found: list[str] = []
    for _ in range(SCANS):
        [[cursor, names]] = await node.run(read("SCAN", cursor, "MATCH", HANDLES, "COUNT", KEYS_A_SCAN))
        found += names
        if cursor == BEGINNING:
            break
    return found, cursor


def _ended(links: Mapping[str, str], now: int) -> dict[str, str]:
    return {visitor: link for visitor, link in links.items() if parse_link(visitor, link).expires + MARGIN <= now}
