"""How much is stored of each of many visitors: counts alone, in one batch of reads."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from identity_service.model.handle import Handle, handle_named
from identity_service.model.link import Link, parse_link
from identity_service.model.shop import ShopId
from identity_service.model.visitor import VisitorId
from identity_service.store.keys import Keys, sales_in
from identity_service.store.redis.client import StoreClient
from identity_service.store.redis.command import Command, call, read

COUNTED_AT_ONCE = 64
"""Visitors in one call of the script, so that other calls do not wait long."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """`handles`: those that the visitor's record points to. `earlier_receipts`: those before the newest. `sales`: listed under the visitor,
    even if they do not name it any more."""

    handles: list[Handle]
    events: int
    earlier_receipts: int
    sales: int


class HoldingStore:
    def __init__(self, client: StoreClient, keys: Keys) -> None:
        self._client = client
        self._keys = keys

    async def sizes(self, shop: ShopId, visitors: Sequence[VisitorId]) -> list[Sizes]:
        """In the order of `visitors`."""
        parts = [visitors[start : start + COUNTED_AT_ONCE] for start in range(0, len(visitors), COUNTED_AT_ONCE)]
        found = await asyncio.gather(*(self._client.run(self._counting(shop, part)) for part in parts))
        return [
            Sizes([handle_named(name) for name in sorted(names)], int(events), int(receipts), int(sales))
            for [counted] in found
            for events, receipts, sales, *names in counted
        ]

    def _counting(self, shop: ShopId, visitors: Sequence[VisitorId]) -> Command:
        keys = (self._keys.visitor(shop, visitor) for visitor in visitors)
        places = [place for of in keys for place in (of.record, of.events, of.receipts, of.sales)]
        return call("count_held", places, reads=True)

    async def sale_digests(self, shop: ShopId, visitors: Sequence[VisitorId]) -> set[str]:
        """Of the sales that are listed under any of the visitors."""
        found = await self._client.read_many([read("HKEYS", self._keys.visitor(shop, visitor).sales) for visitor in visitors])
        return {digest for fields in found for digest in sales_in(fields)}

    async def links(self, shop: ShopId, pairs: Sequence[tuple[Handle, VisitorId]]) -> list[Link | None]:
        """The link of each handle and visitor, None where there is none."""
        found = await self._client.read_many([read("HGET", self._keys.handle(shop, handle), visitor) for handle, visitor in pairs])
        return [parse_link(visitor, value) if value else None for (_, visitor), value in zip(pairs, found, strict=True)]
