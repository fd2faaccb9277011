"""The person's rights: everything that is held, and its erasure. What an export shows is what an erasure removes."""

import json
from typing import Any

from msgspec.structs import asdict

from identity_service.consent import Millis
from identity_service.handle import Handle, HandleKind, handle_named
from identity_service.service.receipts import Receipts
from identity_service.shop import Shop
from identity_service.store import Clock, Store
from identity_service.store.removals import Erased
from identity_service.visitor import VisitorId, VisitorState

Export = dict[str, Any]


class Rights:
    """`clock`: seconds since 1970. A repeated sale ID is indexed under whom the repetition named, too: only those whom the order itself
    names are shown it."""

    def __init__(self, store: Store, receipts: Receipts, clock: Clock) -> None:
        self._store = store
        self._receipts = receipts
        self._clock = clock

    async def export_handle(self, shop: Shop, handle: Handle) -> Export:
        """Of a visitor that other people's handles share, or shared until they were erased, only the link is shown: the rest may be
        theirs."""
        [links] = await self._store.links.living(shop.shop_id, [handle], self._now())
        visitors = []
        for link in links:
            [state] = await self._store.visitors.states(shop.shop_id, [link.visitor], self._now())
            entry: Export = {"visitor": link.visitor, "shared": _is_shared(state)}
            if not entry["shared"]:
                entry |= await self._held(shop, link.visitor, state)
            entry["link"] = {"first_seen": link.first_seen, "last_seen": link.last_seen, "source": link.source, "verified": link.verified}
            visitors.append(entry)
        whole = [VisitorId(entry["visitor"]) for entry in visitors if not entry["shared"]]
        digests = await self._store.sales.of_handle(shop.shop_id, handle)
        digests += [digest for visitor in whole for digest in await self._store.visitors.sale_digests(shop.shop_id, visitor)]
        found = await self._store.sales.read(shop.shop_id, sorted(set(digests)))
        named = {handle.name, *whole}
        orders = [_order(one) for one in found if named & {one.get("email"), one.get("customer"), one.get("visitor")}]
        return {"visitors": visitors, "orders": orders}

    async def export_visitor(self, shop: Shop, visitor: VisitorId) -> Export:
        [state] = await self._store.visitors.states(shop.shop_id, [visitor], self._now())
        held = await self._held(shop, visitor, state)
        if state.record is None and not any(held.values()):
            return {"visitors": [], "orders": []}
        found = await self._store.sales.read(shop.shop_id, await self._store.visitors.sale_digests(shop.shop_id, visitor))
        orders = [_order(order) for order in found if order.get("visitor") == visitor]
        return {"visitors": [{"visitor": visitor, "shared": _is_shared(state)} | held], "orders": orders}

    async def erase_handle(self, shop: Shop, handle: Handle) -> Erased:
        """Dated no earlier than the grants it ends, which a faster clock may have stamped: a later grant would stand."""
        [links] = await self._store.links.living(shop.shop_id, [handle], self._now())
        states = await self._store.visitors.states(shop.shop_id, [link.visitor for link in links], self._now())
        granted = [state.record.consent.granted_at for state in states if state.record and state.record.consent]
        return await self._store.removals.erase(shop.shop_id, handle, max([self._millis(), *granted]))

    async def erase_visitor(self, shop: Shop, visitor: VisitorId) -> Erased:
        return await self._store.removals.withdraw(shop.shop_id, visitor, self._millis())

    async def _held(self, shop: Shop, visitor: VisitorId, state: VisitorState) -> Export:
        record = state.record
        pointers = [handle_named(name) for name in await self._store.visitors.pointers(shop.shop_id, visitor)]
        held: Export = {
            "emails": [handle.digest for handle in pointers if handle.kind is HandleKind.EMAIL],
            "customers": [handle.digest for handle in pointers if handle.kind is HandleKind.CUSTOMER],
            "receipts": [asdict(receipt) for receipt in await self._receipts.of_visitor(shop, visitor)],
            "events": [json.loads(event) for event in await self._store.events.of(shop.shop_id, visitor)],
        }
        if record:
            held |= {"mode": record.mode, "first_seen": record.first_seen, "last_seen": record.last_seen, "expires_at": record.expires}
            held["consent"] = asdict(record.consent) | {"granted_at": record.consent.granted_at // 1000} if record.consent else None
            held["sale_share_opt_out"] = record.opted_out
        return held

    def _now(self) -> int:
        return int(self._clock())

    def _millis(self) -> Millis:
        return Millis(int(self._clock() * 1000))


def _is_shared(state: VisitorState) -> bool:
    return state.record is not None and (state.record.shared or state.record.mixed)


def _order(stored: dict[str, str]) -> Export:
    shown: Export = {name: stored[name] for name in ("sale", "visitor") if name in stored}
    shown |= {name: handle_named(stored[name]).digest for name in ("email", "customer") if name in stored}
    shown |= {"time": int(stored["time"]), "revenue": stored["revenue"], "products": json.loads(stored["products"])}
    return shown | ({"attribution": json.loads(stored["attribution"])} if "attribution" in stored else {})
