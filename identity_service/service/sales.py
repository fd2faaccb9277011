"""Sales, in an order that survives a crash after any step: first the indexes through which a removal finds a sale, then the sale itself,
once per sale ID, then its links; a repeated call resumes the links from what the first one stored.

Links are announced while the sale is still being claimed, and confirmed once it is: three dependent round trips for a sale with an email.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from identity_service.attribution import Attribution, Break, attribute
from identity_service.cookieless import DAY
from identity_service.errors import StoreUnavailable
from identity_service.event import Event, EventType, Sale, compact, event_of
from identity_service.handle import Handle, handle_named
from identity_service.link import LinkSource
from identity_service.metrics import SALE_CONFLICTS
from identity_service.service.subjects import ATTEMPTS, CHANGING, NOBODY, Subject, Subjects
from identity_service.service.tracking import Tracking
from identity_service.service.visits import Visit
from identity_service.shop import Shop
from identity_service.store import Store
from identity_service.store.links import Permits
from identity_service.visitor import Kind, VisitorId


@dataclass(frozen=True, slots=True)
class Sold:
    """Whom a sale is about. `attribution`: of the first call with its ID, None for a later one."""

    subject: Subject
    attribution: Attribution | None


class AnnouncedLinks:
    """Links of a sale that wait for it to be claimed."""

    def __init__(self, link: Callable[[Handle, Permits], Awaitable[bool]], handles: Sequence[Handle]) -> None:
        loop = asyncio.get_running_loop()
        self._permits = Permits(loop.create_future(), loop.create_future())
        self._links = [asyncio.ensure_future(link(handle, self._permits)) for handle in handles]

    def go_on(self) -> None:
        """The sale seems to be new."""
        self._permits.point.set_result(True)

    async def confirm(self) -> bool:
        """The sale is claimed. False where consent forbids a link."""
        self._permits.confirm.set_result(True)
        return all(await asyncio.gather(*self._links))

    async def drop(self) -> None:
        """Those that are not confirmed."""
        for permit in (self._permits.point, self._permits.confirm):
            if not permit.done():
                permit.set_result(False)
        await asyncio.gather(*self._links, return_exceptions=True)


class Sales:
    def __init__(self, store: Store, subjects: Subjects, tracking: Tracking) -> None:
        self._store = store
        self._subjects = subjects
        self._tracking = tracking

    async def log(self, visit: Visit, sale: Sale, handles: Sequence[Handle], verified: bool) -> Sold:
        """The first call with a sale ID wins, and gets its attribution; a later one only ends what the first could not."""
        for assumed in ATTEMPTS:
            subject = await self._subjects.find(visit, assumed=assumed)
            if assumed and subject.visitor is None:
                continue
            linked = handles if subject.personal and (subject.visitor is None or subject.linkable) else ()
            sold = await self._sell(visit.shop, subject, sale, linked, verified)
            if sold:
                return sold
        raise StoreUnavailable(CHANGING)

    async def _sell(self, shop: Shop, subject: Subject, sale: Sale, handles: Sequence[Handle], verified: bool) -> Sold | None:
        """None where the visitor is not as assumed."""

        def link(handle: Handle, permits: Permits) -> Awaitable[bool]:
            return self._tracking.link(shop, subject, handle, verified, LinkSource.SALE, permits)

        links = AnnouncedLinks(link, handles if subject.visitor else ())
        try:
            return await self._claim(shop, subject, sale, handles, verified, links)
        finally:
            await links.drop()

    async def _claim(
        self, shop: Shop, subject: Subject, sale: Sale, handles: Sequence[Handle], verified: bool, links: AnnouncedLinks
    ) -> Sold | None:
        events: list[str] = []
        stored: dict[str, str] | None = None
        if subject.visitor:
            indexed = await self._store.sales.index_under_visitor(shop.shop_id, sale.sale, subject.visitor, subject.bridged_from)
            events, stored = indexed.events, indexed.sale
            if indexed.outcome == "otherwise":
                return None
            if indexed.outcome != "indexed":
                subject, handles = NOBODY, ()
        attribution = _attribution(shop, subject, sale, events)
        fields = _fields(subject, sale, handles, verified, attribution)
        if stored is None:
            if subject.visitor:
                links.go_on()
            stored = await self._store.sales.claim(shop.shop_id, sale.sale, fields, handles)
        if stored is not None:
            await links.drop()
            if stored["products"] != fields["products"]:
                SALE_CONFLICTS.inc()
            if "linked" not in stored:
                await self._resume(shop, sale.sale, stored)
            return Sold(subject, None)
        await asyncio.gather(self._list(shop, subject, sale), self._finish(shop, subject, sale.sale, links))
        return Sold(subject, attribution)

    async def _list(self, shop: Shop, subject: Subject, sale: Sale) -> None:
        event = Event(EventType.SALE, sale.time, tuple(line.product for line in sale.lines), text=sale.sale)
        await asyncio.gather(
            self._store.activity.list_order(shop.shop_id, self._store.keys.sale_digest(shop.shop_id, sale.sale), sale.time),
            self._tracking.record(shop, subject, event, checked=False),
        )

    async def _finish(self, shop: Shop, subject: Subject, sale: str, links: AnnouncedLinks) -> None:
        """Where consent forbids the links, the order loses what is personal."""
        if subject.visitor and not await links.confirm():
            await self._scrub(shop, sale, subject.visitor)
        self._store.sales.finish(shop.shop_id, sale)

    async def _resume(self, shop: Shop, sale: str, stored: dict[str, str]) -> None:
        visitor = stored.get("visitor")
        if visitor:
            subject = Subject(True, VisitorId(visitor), Kind(stored["kind"]), int(stored["expires"]), linkable=True)
            for name in (stored[field] for field in ("email", "customer") if field in stored):
                if not await self._tracking.link(shop, subject, handle_named(name), stored["verified"] == "1", LinkSource.SALE):
                    await self._scrub(shop, sale, subject.visitor or "")
                    break
        self._store.sales.finish(shop.shop_id, sale)

    async def _scrub(self, shop: Shop, sale: str, visitor: str) -> None:
        await self._store.removals.scrub_sales(shop.shop_id, [self._store.keys.sale_digest(shop.shop_id, sale)], "visitor", visitor)


def _attribution(shop: Shop, subject: Subject, sale: Sale, events: Sequence[str]) -> Attribution:
    if subject.visitor is None:
        return Attribution(missing=Break.NO_VISITOR if subject.personal else Break.NULL_MODE)
    products = [line.product for line in sale.lines]
    return attribute(products, [event_of(one) for one in events], sale.time, shop.attribution_days * DAY)


def _fields(subject: Subject, sale: Sale, handles: Sequence[Handle], verified: bool, attribution: Attribution) -> dict[str, str]:
    fields = {"sale": sale.sale, "time": str(sale.time), "revenue": str(sale.revenue), "mode": subject.mode}
    fields["products"] = compact([line.stored() for line in sale.lines])
    if subject.visitor:
        fields |= {"visitor": subject.visitor, "kind": subject.kind, "expires": str(subject.expires), "verified": "1" if verified else "0"}
    if attribution.credits:
        fields["attribution"] = compact([credit.members() for credit in attribution.credits])
    if attribution.missing:
        fields["missing"] = attribution.missing
    names = {"e": "email", "c": "customer"}
    return fields | {names[handle.kind]: handle.name for handle in handles}
