"""What is held of a person, visitor by visitor, and what an erasure does with each and why. It reads counts, not the data, so it costs the
same however much somebody did."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from identity_service.model.consent import Millis, millis_of
from identity_service.model.handle import Handle
from identity_service.model.link import Link, newest_first
from identity_service.model.person import Person
from identity_service.model.shop import Shop
from identity_service.model.visitor import Mode, VisitorId, VisitorState
from identity_service.service.rights import Erasure, is_shared, reason_to_keep
from identity_service.store import Clock, Store
from identity_service.store.holdings import Sizes
from identity_service.store.removals import Erased

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
        return self.stays(unproven=unproven) is None and (self.recorded or self.link is None)

    def stays(self, *, unproven: bool) -> str | None:
        return self.kept_if_unproven if unproven else self.kept


@dataclass(frozen=True, slots=True)
class HeldVisitors:
    """`visitors`: newest link first. `ended`: those whose link has ended and is not swept yet. They are shown nowhere, but an erasure takes
    their links."""

    visitors: list[Holding]
    ended: list[Holding]

    def going(self, *, unproven: bool) -> list[Holding]:
        """Visitors that an erasure takes whole. With `unproven`, these and more."""
        return [one for one in (*self.visitors, *self.ended) if one.goes(unproven=unproven)]


@dataclass(frozen=True, slots=True)
class HandleOfVisitor:
    handle: Handle
    link: Link


@dataclass(frozen=True, slots=True)
class Holdings:
    """`clock`: seconds since 1970."""

    store: Store
    clock: Clock

    async def of_person(self, shop: Shop, person: Person) -> HeldVisitors:
        if not isinstance(person, Handle):
            return HeldVisitors(await self.of_visitor(shop, person), [])
        links, now = newest_first(await self.store.removals.links_at(shop.shop_id, person)), self._now()
        visitors = [link.visitor for link in links]
        states = await self.store.visitors.states(shop.shop_id, visitors, now)
        sizes = await self.store.holdings.sizes(shop.shop_id, visitors)
        held = HeldVisitors([], [])
        for link, state, size in zip(links, states, sizes, strict=True):
            (held.visitors if link.expires > now else held.ended).append(self._holding(shop, link.visitor, link, state, size))
        return held

    async def of_visitor(self, shop: Shop, visitor: VisitorId) -> list[Holding]:
        """One, or none if nothing is held."""
        [state] = await self.store.visitors.states(shop.shop_id, [visitor], self._now())
        [sizes] = await self.store.holdings.sizes(shop.shop_id, [visitor])
        if state.record is None and not (sizes.events or sizes.sales):
            return []
        return [self._holding(shop, visitor, None, state, sizes)]

    async def others(self, shop: Shop, held: Sequence[Holding], besides: Person | None = None) -> dict[VisitorId, list[HandleOfVisitor]]:
        """The emails and customer IDs that are linked to each visitor, without one."""
        found: dict[VisitorId, list[HandleOfVisitor]] = {one.visitor: [] for one in held}
        pairs = [(handle, one.visitor) for one in held for handle in one.handles if handle != besides]
        for (handle, visitor), link in zip(pairs, await self.store.holdings.links(shop.shop_id, pairs), strict=True):
            if link:
                found[visitor].append(HandleOfVisitor(handle, link))
        return found

    async def erasures(self, shop: Shop, person: Person, held: HeldVisitors) -> dict[bool, Erasure]:
        """What an erasure would do, by its `unproven`."""
        others = await self.others(shop, held.going(unproven=True), person)
        links = sum(one.link is not None for one in (*held.visitors, *held.ended))
        found = {}
        for unproven in (False, True):
            going = held.going(unproven=unproven)
            kept = Counter(one.stays(unproven=unproven) for one in (*held.visitors, *held.ended))
            erased = Erased(sum(one.recorded for one in going), links, sum(one.events for one in going))
            erased += Erased(links=sum(len(others[one.visitor]) for one in going))
            found[unproven] = Erasure(erased, kept["unproven"], kept["shared"])
        return found

    async def count_orders(self, shop: Shop, person: Person, held: HeldVisitors) -> dict[bool, int | None]:
        """Orders that an erasure would take a name from, by its `unproven`: those that name the handle, or a visitor that goes whole. None
        if there are too many to read."""
        going = {unproven: held.going(unproven=unproven) for unproven in (False, True)}
        few = {unproven: whole for unproven, whole in going.items() if sum(one.orders for one in whole) <= MOST_ORDERS_READ}
        if not few:
            return dict.fromkeys(going)
        handle = person if isinstance(person, Handle) else None
        digests = await self.store.holdings.sale_digests(shop.shop_id, [one.visitor for one in few[max(few)] if one.orders])
        digests |= set(await self.store.sales.of_handle(shop.shop_id, handle) if handle else ())
        heads = (await self.store.sales.named_by(shop.shop_id, sorted(digests))).values()
        names = [{one.get("email"), one.get("customer"), one.get("visitor")} for one in heads]

        def count(whole: Sequence[Holding]) -> int:
            losing = {handle.name if handle else "", *(one.visitor for one in whole)}
            return sum(not losing.isdisjoint(one) for one in names)

        return {unproven: count(whole) if unproven in few else None for unproven, whole in going.items()}

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
