"""Withdrawal and erasure, the other half of the link protocol that `links` tells. What they leave open in a crash, `repair` ends."""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from identity_service.consent import Millis
from identity_service.handle import Handle, handle_named
from identity_service.shop import ShopId
from identity_service.store.batch import call, read, write
from identity_service.store.client import Client
from identity_service.store.keys import Keys
from identity_service.store.links import LinkStore, note_removal
from identity_service.store.visitors import NAME_LENGTH
from identity_service.visitor import VisitorId


@dataclass(frozen=True, slots=True)
class Erased:
    visitors: int = 0
    links: int = 0
    events: int = 0

    def __add__(self, other: "Erased") -> "Erased":
        return Erased(self.visitors + other.visitors, self.links + other.links, self.events + other.events)


class RemovalStore:
    """`gone_life`: seconds that a withdrawn or erased visitor stays refused."""

    def __init__(self, client: Client, keys: Keys, links: LinkStore, gone_life: int) -> None:
        self._client = client
        self._keys = keys
        self._links = links
        self._gone_life = gone_life

    async def withdraw(self, shop: ShopId, visitor: VisitorId, now: Millis, gone_life: int | None = None) -> Erased:
        """Marks the visitor gone and removes everything held under it. `gone_life`: seconds, shorter for a derived ID."""
        note = f"w {visitor}"
        keys = self._keys.visitor(shop, visitor)
        await self._client.run(*note_removal(self._keys, shop, note, now))
        mark = call("withdraw_mark", (keys.record, keys.gone, keys.sales), now, gone_life or self._gone_life, NAME_LENGTH)
        [[names, sales]] = await self._client.run(mark)
        scrubbed = await self.scrub_sales(shop, sales, "visitor", visitor)
        handles = [handle_named(name) for name in dict.fromkeys([*names, *scrubbed])]
        unlinked = await asyncio.gather(*(self._take_off(shop, handle, visitor, sales) for handle in handles))
        [[existed, events]] = await self._client.run(call("withdraw_drop", (keys.record, keys.events, keys.receipts, keys.sales)))
        await self._client.run(write("ZREM", self._keys.notes(shop), note))
        return Erased(int(existed), sum(unlinked), int(events))

    async def finish_withdrawal(self, shop: ShopId, visitor: VisitorId) -> None:
        """If a removal of the visitor is open, ends it as of its own time; a grant may lift the gone mark only after that."""
        [noted] = await self._client.run(read("ZSCORE", self._keys.notes(shop), f"w {visitor}"))
        if noted is not None:
            await self.withdraw(shop, visitor, Millis(int(float(noted))))

    async def erase(self, shop: ShopId, handle: Handle, now: Millis) -> Erased:
        """Visitors that this handle alone holds go whole; a shared one loses only this link. Orders lose the handle."""
        seconds = now // 1000
        keys = self._keys.handle(shop, handle)
        await self._client.run(*note_removal(self._keys, shop, f"e {handle.name} {secrets.token_urlsafe(8)}", now))
        take = call("erase_take", (keys.links, keys.intents, keys.removals, keys.sales), seconds)
        [[links, names, sales]] = await self._client.run(take)
        await self.scrub_sales(shop, sales, "handle", handle.name)
        erased = await asyncio.gather(*(self.erase_name(shop, handle, VisitorId(name), now) for name in names))
        return sum(erased, Erased(links=int(links)))

    async def erase_name(self, shop: ShopId, handle: Handle, visitor: VisitorId, now: Millis) -> Erased:
        """One visitor that an erasure took off `handle`; safe to repeat."""
        await self._links.settle(shop, handle, visitor, erase_at=now)
        [gone] = await self._client.run(read("GET", self._keys.visitor(shop, visitor).gone))
        return await self.withdraw(shop, visitor, now) if gone else Erased()

    async def scrub_sales(self, shop: ShopId, sales: Sequence[str], scope: str, value: str) -> list[str]:
        """Takes a visitor or a handle out of sales; returns the names of handles dropped."""
        if not sales:
            return []
        dropped = await self._client.run(*(call("scrub_sale", [self._keys.sale_of(shop, sale)], scope, value) for sale in sales))
        return [name for names in dropped for name in names]

    async def _take_off(self, shop: ShopId, handle: Handle, visitor: VisitorId, sales: Sequence[str]) -> int:
        keys = self._keys.handle(shop, handle)
        [existed] = await self._client.run(call("withdraw_unlink", (keys.links, keys.intents, keys.sales), visitor, *sales))
        return int(existed)
