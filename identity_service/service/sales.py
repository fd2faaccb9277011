"""Sales, in an order that survives a crash after any step: first the index through which a withdrawal finds a sale, then the sale itself,
once per sale ID, then side by side its place in the shop's list, its event and its links, which a repeated call resumes from what the first
one stored.

A withdrawal that comes between index and sale finds no sale yet: the step of the event sees that, and takes the visitor out again.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from msgspec import json

from identity_service.attribution import Attribution, Break, attribute
from identity_service.cookieless import DAY
from identity_service.errors import StoreUnavailable
from identity_service.event import Event, EventType, Sale, compact, event_of
from identity_service.handle import Handle, handle_named
from identity_service.link import LinkSource
from identity_service.metrics import SALE_CONFLICTS
from identity_service.service.subjects import ATTEMPTS, CHANGING, NOBODY, Subject, Subjects
from identity_service.service.tally import Tally
from identity_service.service.tracking import Tracking
from identity_service.service.visits import Visit
from identity_service.shop import Shop
from identity_service.store import Clock, Store
from identity_service.visitor import Kind, VisitorId

LAST_OF_SECOND = 0.999
"""Orders are listed within the second of their sale, however late they are completed."""


@dataclass(frozen=True, slots=True)
class Sold:
    """Whom a sale is about. `attribution`: of the first call with its ID, None for a later one."""

    subject: Subject
    attribution: Attribution | None


class Sales:
    """`clock`: seconds since 1970."""

    def __init__(self, store: Store, subjects: Subjects, tracking: Tracking, tally: Tally, clock: Clock) -> None:
        self._store = store
        self._subjects = subjects
        self._tracking = tracking
        self._tally = tally
        self._clock = clock

    async def log(self, visit: Visit, sale: Sale, handles: Sequence[Handle], verified: bool) -> Sold:
        """The first call with a sale ID wins, and gets its attribution; a later one only ends what the first could not."""
        tried = False
        for assumed in ATTEMPTS:
            subject = await self._subjects.find(visit, assumed=assumed)
            if assumed and subject.visitor is None:
                continue
            if tried and subject.visitor is None:
                self._store.sales.forget_withdrawn(sale.time)
            named = handles if subject.personal and (subject.visitor is None or subject.linkable) else ()
            sold = await self._sell(visit.shop, subject, sale, named, verified)
            if sold:
                return sold
            tried = True
        raise StoreUnavailable(CHANGING)

    async def _sell(self, shop: Shop, subject: Subject, sale: Sale, handles: Sequence[Handle], verified: bool) -> Sold | None:
        """None where the visitor is not as assumed."""
        events, stored, note = [], None, None
        if subject.visitor:
            index = self._store.sales.index_under_visitor(shop.shop_id, sale.sale, subject.visitor, subject.bridged_from, sale.time)
            indexed = await index
            events, stored, note = indexed.events, indexed.sale, indexed.note
            if indexed.outcome == "otherwise":
                self._store.sales.close(shop.shop_id, note)
                return None
            if indexed.outcome != "indexed":
                subject, handles = NOBODY, ()
        attribution = _attribution(shop, subject, sale, events)
        fields = _fields(subject, sale, handles, verified, attribution)
        if stored is None:
            stored = await self._store.sales.claim(shop.shop_id, sale.sale, fields, handles)
        if stored is None:
            self._tally.sold(shop.shop_id, sale.revenue, [line.product for line in sale.lines], _credited(sale, attribution))
        else:
            SALE_CONFLICTS.inc(stored["products"] != fields["products"])
        unfinished = stored is None or "linked" not in stored
        if unfinished:
            await self._complete(shop, sale.sale, stored or fields, _stored_subject(stored) if stored else subject)
        self._store.sales.close(shop.shop_id, note, finished=sale.sale if unfinished else None)
        return Sold(subject, attribution if stored is None else None)

    async def _complete(self, shop: Shop, sale: str, stored: dict[str, str], subject: Subject) -> None:
        """Everything after the claim; each step may have been taken before. Where the visitor was withdrawn meanwhile, or refuses the
        links, the order loses what is personal."""
        digest, time = self._store.keys.sale_digest(shop.shop_id, sale), int(stored["time"])
        listing = self._store.activity.list_order(shop.shop_id, digest, min(max(self._clock(), time), time + LAST_OF_SECOND))
        if subject.visitor is None:
            await listing
        else:
            event = Event(EventType.SALE, time, tuple(line["id"] for line in json.decode(stored["products"])), text=sale)
            recording = self._tracking.record_sale(shop, subject, subject.visitor, event, digest)
            _, recorded, linked = await asyncio.gather(listing, recording, self._link(shop, subject, stored))
            if not (recorded and linked):
                await self._store.removals.unname_sale(shop.shop_id, digest, subject.visitor)

    async def _link(self, shop: Shop, subject: Subject, stored: dict[str, str]) -> bool:
        """False where consent forbids a link."""
        handles = [handle_named(stored[field]) for field in ("email", "customer") if field in stored]
        verified = stored.get("verified") == "1"
        return all([await self._tracking.link(shop, subject, handle, verified, LinkSource.SALE) for handle in handles])


def _stored_subject(stored: dict[str, str]) -> Subject:
    if "visitor" not in stored:
        return NOBODY
    return Subject(True, VisitorId(stored["visitor"]), Kind(stored["kind"]), int(stored["expires"]), linkable=True)


def _credited(sale: Sale, attribution: Attribution) -> dict[str, Decimal]:
    """Revenue by label: that of each product counts in full under each of its labels."""
    found: dict[str, Decimal] = {}
    for credit in {str(credit.product): credit for credit in attribution.credits}.values():
        revenue = sum((line.revenue for line in sale.lines if str(line.product) == str(credit.product)), Decimal(0))
        for label in credit.labels:
            found[label] = found.get(label, Decimal(0)) + revenue
    return found


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
