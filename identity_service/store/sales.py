"""Sales, step by step: indexed under whom they concern first, then claimed, once for each sale ID."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from identity_service.consent import Millis
from identity_service.handle import Handle
from identity_service.shop import ShopId
from identity_service.store.assumed import AssumedVisitors
from identity_service.store.batch import Command, Part, call, call_with, read, write
from identity_service.store.client import Client
from identity_service.store.keys import Keys
from identity_service.store.notes import note_destroyed, note_first
from identity_service.visitor import VisitorId

MOST_SALES_OF_A_VISITOR = 1_000
MOST_SALES_OF_A_HANDLE = 1_000
"""Later ones are kept without naming it, so that whatever names it is found."""


@dataclass(frozen=True, slots=True)
class Indexed:
    """`outcome`: indexed, gone, full, or otherwise (the visitor is not as this worker assumed: decide again). `sale`: what an earlier call
    stored. `events`: the visitor's, newest first, then those of the session before its grant. `note`: of this call, for `close`."""

    outcome: str
    sale: dict[str, str] | None
    events: list[str]
    note: str


class SaleStore:
    """`life`: seconds a sale is kept."""

    def __init__(self, client: Client, keys: Keys, assumed: AssumedVisitors, life: int) -> None:
        self._client = client
        self._keys = keys
        self._assumed = assumed
        self._life = life

    async def index_under_visitor(self, shop: ShopId, sale: str, visitor: VisitorId, bridged_from: str | None, now: int) -> Indexed:
        """Before the sale names the visitor; only where it is indexed may the sale name it. Noted for the repair until `close`: a sale
        that is cut off must not name a visitor that withdraws meanwhile."""
        digest = self._keys.sale_digest(shop, sale)
        note = f"s {visitor} {digest} {secrets.token_urlsafe(8)}"
        index = call_with("index_sale", self.indexing(shop, digest, visitor))
        unit = (note_first(self._keys, shop, note, Millis(now * 1000)), index, *self._before(shop, digest, visitor, bridged_from))
        _, outcome, stored, *found = await self._client.run(*unit)
        return Indexed(outcome, stored or None, [event for events in found for event in events], note)

    async def before(
        self, shop: ShopId, sale: str, visitor: VisitorId, bridged_from: str | None
    ) -> tuple[dict[str, str] | None, list[str]]:
        """What a sale is decided from: what an earlier call of it stored, and the visitor's events as of `Indexed`."""
        stored, *found = await self._client.run(*self._before(shop, self._keys.sale_digest(shop, sale), visitor, bridged_from))
        return stored or None, [event for events in found for event in events]

    def _before(self, shop: ShopId, digest: str, visitor: VisitorId, bridged_from: str | None) -> list[Command]:
        lists = [self._keys.visitor_digest(shop, visitor), *([bridged_from] if bridged_from else [])]
        events = (read("LRANGE", self._keys.visitor_of(shop, one).events, 0, -1) for one in lists)
        return [read("HGETALL", self._keys.sale_of(shop, digest)), *events]

    def indexing(self, shop: ShopId, digest: str, visitor: VisitorId) -> Part:
        keys = self._keys.visitor(shop, visitor)
        return (keys.record, keys.gone, keys.sales), (digest, self._life, MOST_SALES_OF_A_VISITOR, self._assumed.of(keys.digest).decisive)

    def naming(self, digest: str) -> Sequence[str | int]:
        """What a handle's index takes."""
        return digest, self._life, MOST_SALES_OF_A_HANDLE

    def claiming(self, shop: ShopId, digest: str, fields: Mapping[str, str]) -> Part:
        return [self._keys.sale_of(shop, digest)], (self._life, *(text for pair in fields.items() for text in pair))

    async def claim(self, shop: ShopId, sale: str, fields: Mapping[str, str], handles: Sequence[Handle]) -> dict[str, str] | None:
        """None for the first call with this sale ID, which stores `fields`; else what the first one stored. `handles`: those that the
        sale names; it is indexed under them just before, so that an erasure finds it."""
        digest = self._keys.sale_digest(shop, sale)
        keys, naming = [self._keys.handle(shop, handle).sales for handle in handles], self.naming(digest)
        index = [call("index_under_handle", [key], *naming).with_source() for key in keys]  # the claim must not run without
        *indexed, reply = await self._client.run(*index, call_with("claim_sale", self.claiming(shop, digest, fields)))
        await self.drop_handles(shop, digest, [handle for handle, outcome in zip(handles, indexed, strict=True) if outcome == "full"])
        if reply[0] == 1:
            return None
        return dict(zip(reply[1][::2], reply[1][1::2], strict=True))

    async def drop_handles(self, shop: ShopId, digest: str, handles: Sequence[Handle]) -> None:
        """Takes them out of a sale; its visitor stays."""
        for handle in handles:
            await self._client.run(call("scrub_sale", [self._keys.sale_of(shop, digest)], "handle", handle.name))
            await self._client.run(write("SREM", self._keys.handle(shop, handle).sales, digest))

    async def confirm(self, shop: ShopId, sale: str) -> bool:
        """Returns once replicas have a sale that an earlier call stored, and that perhaps heard that they do not. False where it is lost
        meanwhile."""
        [stored] = await self._client.run(call("known_sale", [self._keys.sale_of(shop, self._keys.sale_digest(shop, sale))]))
        return bool(stored)

    def close(self, shop: ShopId, note: str | None, *, finished: str | None = None) -> None:
        """Sent without waiting, once nothing of the call is open; other calls of the sale have notes of their own. `finished`: a sale whose
        links are done; were that lost, a duplicate would make the same links again."""
        unit = [call("finish_sale", [self._keys.sale_of(shop, self._keys.sale_digest(shop, finished))])] if finished is not None else []
        if note:
            unit.append(write("ZREM", self._keys.notes(shop), note))
        if unit:
            self._client.post(*unit)

    def forget_withdrawn(self, now: int) -> None:
        """What was noted of a sale named a visitor that had been withdrawn: it leaves the append-only file, too."""
        self._client.post(note_destroyed(Millis(now * 1000)))

    async def by_id(self, shop: ShopId, sale: str) -> dict[str, str] | None:
        found = await self.read(shop, [self._keys.sale_digest(shop, sale)])
        return found[0] if found else None

    async def of_handle(self, shop: ShopId, handle: Handle) -> list[str]:
        """Digests of the sales that name the handle."""
        [sales] = await self._client.run(read("SMEMBERS", self._keys.handle(shop, handle).sales))
        return sorted(sales)

    async def read(self, shop: ShopId, digests: Sequence[str]) -> list[dict[str, str]]:
        if not digests:
            return []
        found = await self._client.run(*(read("HGETALL", self._keys.sale_of(shop, digest)) for digest in digests))
        return [sale for sale in found if sale]
