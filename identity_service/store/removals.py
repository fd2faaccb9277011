"""Withdrawal and erasure, the other half of the link protocol that `links` tells. What they leave open in a crash, `repair` ends."""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from identity_service.consent import Choice, Millis
from identity_service.errors import StoreUnavailable
from identity_service.handle import Handle, handle_named
from identity_service.link import Link, parse_link
from identity_service.shop import ShopId
from identity_service.store.batch import call, read, write
from identity_service.store.client import Client
from identity_service.store.erasure import HandleErasure, erasure_of
from identity_service.store.keys import Keys
from identity_service.store.links import LinkStore
from identity_service.store.notes import note_destroyed, note_removal
from identity_service.store.visitors import NAME_LENGTH, Grant, VisitorStore
from identity_service.visitor import Kind, VisitorId

SHORTEST_GONE = 3_600
"""Seconds that a gone mark stays at least, so that it outlives its own removal."""

MOST_REMOVALS = 3
"""How many removals one grant ends before it gives up."""


@dataclass(frozen=True, slots=True)
class Erased:
    visitors: int = 0
    links: int = 0
    events: int = 0

    def __add__(self, other: "Erased") -> "Erased":
        return Erased(self.visitors + other.visitors, self.links + other.links, self.events + other.events)


class RemovalStore:
    """`gone_life`: seconds that a withdrawn or erased visitor stays refused."""

    def __init__(self, client: Client, keys: Keys, visitors: VisitorStore, links: LinkStore, gone_life: int) -> None:
        self._client = client
        self._keys = keys
        self._visitors = visitors
        self._links = links
        self._gone_life = gone_life

    async def withdraw(self, shop: ShopId, visitor: VisitorId, now: Millis, gone_life: int | None = None) -> Erased:
        """Marks the visitor gone and removes everything held under it. `gone_life`: seconds, shorter for a derived ID."""
        return await self._noted(shop, "w", visitor, now, "now", max(gone_life or self._gone_life, SHORTEST_GONE))

    async def grant(self, shop: ShopId, visitor: VisitorId, grant: Grant, now: Millis) -> tuple[str, list[str]]:
        """Returns the outcome (granted, gone or older) and the names of handles whose links may live as long as the grant; where it
        refuses links they are removed. A removal of the visitor that is under way is ended first; raises StoreUnavailable where there is
        always another."""
        refuses = grant.consent.linking is Choice.REFUSED
        note = await self._note(shop, f"r {visitor}", now) if refuses else None
        for _ in range(MOST_REMOVALS):
            outcome, names = await self._visitors.grant(shop, visitor, grant, now // 1000)
            if outcome != "open":
                if note:
                    await self._unlink_all(shop, visitor, names, now, note)
                return outcome, [] if refuses else names
            await self.finish_withdrawal(shop, visitor, now)
        raise StoreUnavailable("The visitor is being withdrawn at the same time; repeat the call if the grant still stands.")

    async def refuse_linking(self, shop: ShopId, visitor: VisitorId, kind: Kind, expires: int, now: Millis, proof: tuple[str, str]) -> None:
        """Remembers the refusal, so that no link comes after it; then removes the links there are. `proof`: see `VisitorStore`."""
        note = await self._note(shop, f"r {visitor}", now)
        names = await self._visitors.refuse_linking(shop, visitor, kind, expires, now // 1000, proof)
        await self._unlink_all(shop, visitor, names, now, note)

    async def repair_refusal(self, shop: ShopId, visitor: VisitorId, now: Millis) -> None:
        """Of links that was cut off: what it left of them, unless a newer choice allows them."""
        [state] = await self._visitors.states(shop, [visitor], now // 1000)
        if state.record and state.record.linking is Choice.REFUSED:
            await self._unlink_all(shop, visitor, await self._visitors.pointers(shop, visitor), now)

    async def _unlink_all(self, shop: ShopId, visitor: VisitorId, names: Sequence[str], now: Millis, note: str | None = None) -> None:
        for name in names:
            await self._links.unlink(shop, handle_named(name), visitor, now // 1000, revoke=True)
        if note:
            self._client.post(write("ZREM", self._keys.notes(shop), note))

    async def finish_withdrawal(self, shop: ShopId, visitor: VisitorId, now: Millis) -> Erased:
        """Ends the removal of the visitor that another call has open, if any."""
        return await self._noted(shop, "f", visitor, now, "join", self._gone_life)

    async def unmark(self, shop: ShopId, visitor: VisitorId) -> None:
        """Lets an ID be given out again that was withdrawn. Nothing but the demo shop does so."""
        await self._client.run(write("DEL", self._keys.visitor(shop, visitor).gone))

    async def repair_withdrawal(self, shop: ShopId, visitor: VisitorId, at: Millis, *, noted_to_finish: bool) -> None:
        """Ends a removal noted at `at` that may have died at any step: does what is left of it, unless something newer stands."""
        await self._remove(shop, visitor, at, "join" if noted_to_finish else "again", self._gone_life)
        await self._settle_all(shop, visitor, [handle_named(name) for name in await self._visitors.pointers(shop, visitor)])

    async def _noted(self, shop: ShopId, letter: str, visitor: VisitorId, now: Millis, how: str, gone_life: int) -> Erased:
        note = await self._note(shop, f"{letter} {visitor}", now)
        removed = await self._remove(shop, visitor, now, how, gone_life)
        await self._client.run(write("ZREM", self._keys.notes(shop), note), note_destroyed(now))
        return removed

    async def _note(self, shop: ShopId, what: str, now: Millis) -> str:
        note = f"{what} {secrets.token_urlsafe(8)}"
        await self._client.run(*note_removal(self._keys, shop, note, now))
        return note

    async def _remove(self, shop: ShopId, visitor: VisitorId, at: Millis, how: str, gone_life: int) -> Erased:
        """`how`: see withdraw_mark. A removal that another call has ended meanwhile, and that a grant may have followed, drops nothing
        more; what this one took off the handles after that is settled."""
        keys = self._keys.visitor(shop, visitor)
        arguments = (at, gone_life, NAME_LENGTH, secrets.token_urlsafe(8), how)
        [marked] = await self._client.run(call("withdraw_mark", (keys.record, keys.gone, keys.sales), *arguments))
        if not marked:
            return Erased()
        nonce, names, sales = marked
        scrubbed = await self.scrub_sales(shop, sales, "visitor", visitor)
        handles = [handle_named(name) for name in dict.fromkeys([*names, *scrubbed])]
        named = await self._client.read_many([read("HMGET", self._keys.sale_of(shop, sale), "email", "customer") for sale in sales])
        # an order of somebody else, which the visitor only repeated, stays where an erasure of its email looks for it
        taken = {handle: [sale for sale, kept in zip(sales, named, strict=True) if handle.name not in kept] for handle in handles}
        unlinked = await asyncio.gather(*(self._take_off(shop, handle, visitor, taken[handle]) for handle in handles))
        drop = call("withdraw_drop", (keys.record, keys.events, keys.receipts, keys.sales, keys.gone), nonce)
        [[dropped, *counts]] = await self._client.run(drop)
        if not dropped:
            await self._settle_all(shop, visitor, handles)
            return Erased(links=sum(unlinked))
        existed, events = counts
        return Erased(int(existed), sum(unlinked), int(events))

    async def _settle_all(self, shop: ShopId, visitor: VisitorId, handles: Sequence[Handle]) -> None:
        await asyncio.gather(*(self._links.settle(shop, handle, visitor) for handle in handles))

    async def links_at(self, shop: ShopId, handle: Handle) -> list[Link]:
        """All that an erasure by the handle takes: also those that have ended, and were not swept yet."""
        [stored] = await self._client.run(read("HGETALL", self._keys.handle(shop, handle).links))
        return [parse_link(visitor, value) for visitor, value in stored.items()]

    async def count_links(self, shop: ShopId, names: Sequence[str], visitor: VisitorId) -> int:
        """At how many of the handles the visitor is linked."""
        keys = [self._keys.handle(shop, handle_named(name)) for name in names]
        return sum(await self._client.read_many([read("HEXISTS", one.links, visitor) for one in keys]))

    async def erase(self, shop: ShopId, handle: Handle, now: Millis, *, unproven: bool = False) -> Erased:
        """Visitors that this handle alone holds by proof go whole; others lose only this link. Orders lose the handle. `unproven`: those
        that it holds without proof, and nobody by proof, go whole, too."""
        keys = self._keys.handle(shop, handle)
        await self._note(shop, f"e {handle.name}", now)
        take = call("erase_take", (keys.links, keys.intents, keys.removals, keys.sales), now, HandleErasure(now, unproven).kind)
        [[links, names, kinds, sales]] = await self._client.run(take)
        await self.scrub_sales(shop, sales, "handle", handle.name)
        taken = [(VisitorId(name), erasure_of(f"{kind} {now}")) for name, kind in zip(names, kinds, strict=True)]
        erased = await asyncio.gather(*(self.erase_name(shop, handle, *one) for one in taken))
        return sum(erased, Erased(links=int(links)))

    async def erase_name(self, shop: ShopId, handle: Handle, visitor: VisitorId, erasure: HandleErasure | None) -> Erased:
        """One visitor that an erasure took off `handle`; None for one that it reaches no further than its link. Safe to repeat."""
        await self._links.settle(shop, handle, visitor, erasure)
        if erasure is None:
            return Erased()
        [state] = await self._visitors.states(shop, [visitor], erasure.at // 1000)
        return await self.finish_withdrawal(shop, visitor, erasure.at) if state.leaving else Erased()

    async def scrub_sales(self, shop: ShopId, sales: Sequence[str], scope: str, value: str) -> list[str]:
        """Takes a visitor or a handle out of sales; returns the names of handles dropped."""
        if not sales:
            return []
        dropped = await self._client.run(*(call("scrub_sale", [self._keys.sale_of(shop, sale)], scope, value) for sale in sales))
        return [name for names in dropped for name in names]

    async def unname_sale(self, shop: ShopId, digest: str, visitor: VisitorId) -> None:
        """Takes the visitor, and with it every handle, out of a sale of its own; the order stays."""
        for name in await self.scrub_sales(shop, [digest], "visitor", visitor):
            await self._client.run(write("SREM", self._keys.handle(shop, handle_named(name)).sales, digest))

    async def repair_sale(self, shop: ShopId, digest: str, visitor: VisitorId) -> None:
        """Of a sale that was cut off: it may name the visitor only while the visitor's withdrawal would find it."""
        [indexed] = await self._client.run(read("SISMEMBER", self._keys.visitor(shop, visitor).sales, digest))
        if not indexed:
            await self.unname_sale(shop, digest, visitor)

    async def _take_off(self, shop: ShopId, handle: Handle, visitor: VisitorId, sales: Sequence[str]) -> int:
        keys = self._keys.handle(shop, handle)
        [existed] = await self._client.run(call("withdraw_unlink", (keys.links, keys.intents, keys.sales), visitor, *sales))
        return int(existed)
