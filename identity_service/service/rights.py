"""A person's rights: export of everything stored, and erasure. An erasure removes what the export shows, once it covers every email and
customer ID that is linked to the visitor with proof.

Rights depend on proof. Anybody who has seen a visitor's ID can link an email to it. Such a link therefore shows and erases nothing of the
visitor, unless an officer decides otherwise for one request (`unproven`).
"""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import asdict

from identity_service.model.audit import AuditEntry
from identity_service.model.consent import Millis, millis_of
from identity_service.model.handle import Handle, HandleKind, handle_named
from identity_service.model.link import Link, Proof
from identity_service.model.shop import Shop
from identity_service.model.visitor import VisitorId, VisitorRecord, VisitorState
from identity_service.service.receipts import Receipts
from identity_service.service.returns import shown_lines
from identity_service.store import Clock, Store
from identity_service.store.removals import Erased
from identity_service.store.sales import unpacked_credits

Export = dict[str, Any]


class Erasure(Struct, frozen=True):
    """What was erased, and how many visitors were kept. `unproven`: their link has no proof. `shared`: another email or customer ID is
    linked to them with proof."""

    erased: Erased
    unproven: int = 0
    shared: int = 0


class Rights:
    """`clock`: seconds since 1970. Old orders may be indexed under a visitor or handle that only a repeated call named. An order is shown
    only to those that it names itself."""

    def __init__(self, store: Store, receipts: Receipts, clock: Clock) -> None:
        self._store = store
        self._receipts = receipts
        self._clock = clock

    async def export_handle(self, shop: Shop, handle: Handle, *, unproven: bool = False) -> Export:
        """For a visitor that other people share, or shared before they were erased, only the link is shown, because the rest may be
        theirs. A visitor linked without proof is not shown, not even its ID, unless `unproven`."""
        linked = await self._links_with_states(shop, handle)
        proven = [(link, state) for link, state in linked if unproven or link.proof is not Proof.NONE]
        visitors = [await self._entry(shop, link, state) for link, state in proven]
        whole = [VisitorId(entry["visitor"]) for entry in visitors if not entry["shared"]]
        digests = await self._store.sales.of_handle(shop.shop_id, handle)
        digests += [digest for visitor in whole for digest in await self._store.visitors.sale_digests(shop.shop_id, visitor)]
        found = await self._store.sales.read(shop.shop_id, sorted(set(digests)))
        named = {handle.name, *whole}
        orders = [_order(one, whole) for one in found if named & {one.get("email"), one.get("customer"), one.get("visitor")}]
        hidden = [_link_members(link) for link, _ in linked if not unproven and link.proof is Proof.NONE]
        return {"visitors": visitors, "unproven": hidden, "orders": orders}

    async def _entry(self, shop: Shop, link: Link, state: VisitorState) -> Export:
        entry: Export = {"visitor": link.visitor, "shared": is_shared(state.record, link.proof)}
        if not entry["shared"]:
            entry |= await self._stored_data(shop, link.visitor, state)
        return entry | {"link": _link_members(link)}

    async def export_visitor(self, shop: Shop, visitor: VisitorId) -> Export:
        [state] = await self._store.visitors.states(shop.shop_id, [visitor], self._now())
        held = await self._stored_data(shop, visitor, state)
        if state.record is None and not any(held.values()):
            return {"visitors": [], "unproven": [], "orders": []}
        found = await self._store.sales.read(shop.shop_id, await self._store.visitors.sale_digests(shop.shop_id, visitor))
        orders = [_order(order, [visitor]) for order in found if order.get("visitor") == visitor]
        return {"visitors": [{"visitor": visitor, "shared": is_shared(state.record)} | held], "unproven": [], "orders": orders}

    async def erase_handle(self, shop: Shop, handle: Handle, entry: AuditEntry, *, unproven: bool = False) -> Erasure:
        """The erasure is dated no earlier than the grants that it ends, since a fast clock may have dated them, and a newer grant would
        survive. `entry`: kept in the audit in the same step as the first change; it gets the number of links."""
        links = await self._store.removals.links_at(shop.shop_id, handle)
        states = await self._store.visitors.states(shop.shop_id, [link.visitor for link in links], self._now())
        held = [(link, state.record) for link, state in zip(links, states, strict=True) if state.record]
        staying = [reason_to_keep(link, record, unproven=unproven) for link, record in held]
        granted = [record.consent.granted_at for _, record in held if record.consent]
        at = max([self._millis(), *granted])
        entered = msgspec.structs.replace(entry, found=len(links))
        erased = await self._store.removals.erase(shop.shop_id, handle, at, unproven=unproven, entry=entered)
        return Erasure(erased, staying.count("unproven"), staying.count("shared"))

    async def erase_visitor(self, shop: Shop, visitor: VisitorId, entry: AuditEntry | None) -> Erasure:
        """`entry`: kept in the audit in the same step."""
        [state] = await self._store.visitors.states(shop.shop_id, [visitor], self._now())
        entered = msgspec.structs.replace(entry, found=int(state.record is not None)) if entry else None
        return Erasure(await self._store.removals.withdraw(shop.shop_id, visitor, self._millis(), entry=entered))

    async def _links_with_states(self, shop: Shop, handle: Handle) -> list[tuple[Link, VisitorState]]:
        [links] = await self._store.links.living(shop.shop_id, [handle], self._now())
        states = await self._store.visitors.states(shop.shop_id, [link.visitor for link in links], self._now())
        return list(zip(links, states, strict=True))

    async def _stored_data(self, shop: Shop, visitor: VisitorId, state: VisitorState) -> Export:
        record = state.record
        pointers = [handle_named(name) for name in await self._store.visitors.pointers(shop.shop_id, visitor)]
        held: Export = {
            "emails": [handle.digest for handle in pointers if handle.kind is HandleKind.EMAIL],
            "customers": [handle.digest for handle in pointers if handle.kind is HandleKind.CUSTOMER],
            "receipts": [receipt.members() for receipt in await self._receipts.of_visitor(shop, visitor)],
            "events": [event.members() for event in await self._store.events.of(shop.shop_id, visitor)],
        }
        if record:
            held |= {"mode": shop.mode_of(record, self._millis())}
            held |= {"first_seen": record.first_seen, "last_seen": record.last_seen, "expires_at": record.expires}
            held["consent"] = asdict(record.consent) | {"granted_at": record.consent.granted_at // 1000} if record.consent else None
            held["sale_share_opt_out"] = record.opted_out
            held |= {"sale_opt_in_at": record.newest_opt_in // 1000} if record.newest_opt_in is not None else {}
        return held

    def _now(self) -> int:
        return int(self._clock())

    def _millis(self) -> Millis:
        return millis_of(self._clock())


def is_shared(record: VisitorRecord | None, by: Proof = Proof.KEY) -> bool:
    """`by`: proof of the link to the visitor. If it has none, any handle with proof belongs to somebody else."""
    if record is None:
        return False
    return record.mixed or record.shared or (by is Proof.NONE and record.proven_handles > 0)


def reason_to_keep(link: Link, record: VisitorRecord, *, unproven: bool) -> str | None:
    """Why an erasure by the link's handle keeps the visitor, as the store decides it. None if it is erased."""
    proven = link.proof is not Proof.NONE
    if not proven and not unproven:
        return "unproven"
    return "shared" if record.proven_handles > int(proven) else None


def _link_members(link: Link) -> Export:
    return {
        "first_seen": link.first_seen,
        "last_seen": link.last_seen,
        "source": link.source,
        "verified": link.verified,
        "proof": link.proof,
    }


def _order(stored: dict[str, str], visitors: Iterable[VisitorId]) -> Export:
    """`visitors`: those that may be shown. An order is shown to its own email even if its visitor is not; then its credits are left out,
    because they reveal what that visitor did."""
    told, credited = stored.get("visitor") in set(visitors), unpacked_credits(stored)
    shown: Export = {"sale": stored["sale"]} | ({"visitor": stored["visitor"]} if told else {})
    shown |= {name: handle_named(stored[name]).digest for name in ("email", "customer") if name in stored}
    shown |= {"time": int(stored["time"]), "revenue": stored["revenue"], "products": shown_lines(stored)}
    shown |= {"currency": stored["currency"]} if "currency" in stored else {}
    return shown | ({"attribution": [credit.members() for credit in credited]} if told and credited else {})
