"""What is held of a person, visitor by visitor, and what an erasure does with each and why. It reads counts, not the data, so it costs the
same however much somebody did."""

from collections.abc import Sequence
from dataclasses import dataclass

from identity_service.model.consent import Millis, millis_of
from identity_service.model.handle import Handle
from identity_service.model.link import Link
from identity_service.model.shop import Shop
from identity_service.model.visitor import Mode, VisitorId, VisitorState
from identity_service.service.rights import is_shared, reason_to_keep
from identity_service.store import Clock, Store
from identity_service.store.holdings import Sizes

MOST_ORDERS_READ = 2_000
"""With more orders, they are not counted exactly."""


@dataclass(frozen=True, slots=True)
class Holding:
    """One visitor. `link`: to the handle that was named; None if the visitor itself was. `mode`: null if its grant does not count any more.
    `shared`: it is another person's, too. `recorded`: whether more is held than its events. `kept`: why an erasure keeps it, `unproven` or
    `shared`; None if it goes. `kept_if_unproven`: the same for an erasure with `unproven`."""

    visitor: VisitorId
    link: Link | None
    mode: Mode
    shared: bool
    handles: list[Handle]
    events: int
    receipts: int
    orders: int
    recorded: bool
    kept: str | None
    kept_if_unproven: str | None

    def goes(self, *, unproven: bool) -> bool:
        """Whether an erasure takes the whole visitor. Of one that has no record, it takes the link alone."""
        kept = self.kept_if_unproven if unproven else self.kept
        return kept is None and (self.recorded or self.link is None)


@dataclass(frozen=True, slots=True)
class HandleOfVisitor:
    handle: Handle
    link: Link


@dataclass(frozen=True, slots=True)
class Holdings:
    """`clock`: seconds since 1970."""

    store: Store
    clock: Clock

    async def of_handle(self, shop: Shop, handle: Handle) -> list[Holding]:
        """Newest link first."""
        [links] = await self.store.links.living(shop.shop_id, [handle], self._now())
        visitors = [link.visitor for link in links]
        states = await self.store.visitors.states(shop.shop_id, visitors, self._now())
        sizes = await self.store.holdings.sizes(shop.shop_id, visitors)
        found = zip(links, states, sizes, strict=True)
        return [self._holding(shop, link.visitor, link, state, size) for link, state, size in found]

    async def of_visitor(self, shop: Shop, visitor: VisitorId) -> list[Holding]:
        """One, or none if nothing is held."""
        [state] = await self.store.visitors.states(shop.shop_id, [visitor], self._now())
        [sizes] = await self.store.holdings.sizes(shop.shop_id, [visitor])
        if state.record is None and not (sizes.events or sizes.sales):
            return []
        return [self._holding(shop, visitor, None, state, sizes)]

    async def others(self, shop: Shop, held: Sequence[Holding], besides: Handle | None = None) -> dict[VisitorId, list[HandleOfVisitor]]:
        """The emails and customer IDs that are linked to each visitor, without one."""
        pairs = [(handle, one.visitor) for one in held for handle in one.handles if handle != besides]
        found: dict[VisitorId, list[HandleOfVisitor]] = {one.visitor: [] for one in held}
        for (handle, visitor), link in zip(pairs, await self.store.holdings.links(shop.shop_id, pairs), strict=True):
            if link:
                found[visitor].append(HandleOfVisitor(handle, link))
        return found

    async def count_orders(self, shop: Shop, handle: Handle | None, whole: Sequence[Holding]) -> int | None:
        """Orders that name the handle or one of the visitors that go whole, and so lose these names. None if there are too many to
        read."""
        if sum(one.orders for one in whole) > MOST_ORDERS_READ:
            return None
        visitors = {one.visitor for one in whole}
        digests = await self.store.holdings.sale_digests(shop.shop_id, sorted(visitors))
        digests |= set(await self.store.sales.of_handle(shop.shop_id, handle) if handle else ())
        named = {handle.name if handle else "", *visitors}
        stored = await self.store.sales.named_by(shop.shop_id, sorted(digests)) if digests else {}
        return sum(bool(named & {one.get("email"), one.get("customer"), one.get("visitor")}) for one in stored.values())

    def _holding(self, shop: Shop, visitor: VisitorId, link: Link | None, state: VisitorState, sizes: Sizes) -> Holding:
        record = state.record
        return Holding(
            visitor=visitor,
            link=link,
            mode=shop.mode_of(record, self._millis()) if record else Mode.COOKIELESS,
            shared=is_shared(record, link.proof) if link else is_shared(record),
            handles=sizes.handles,
            events=sizes.events,
            receipts=sizes.earlier_receipts + (state.receipts.newest is not None),
            orders=sizes.sales,
            recorded=record is not None,
            kept=reason_to_keep(link, record, unproven=False) if link and record else None,
            kept_if_unproven=reason_to_keep(link, record, unproven=True) if link and record else None,
        )

    def _now(self) -> int:
        return int(self.clock())

    def _millis(self) -> Millis:
        return millis_of(self.clock())
