"""Sales: in one step where the store is one server, once it is read what they are decided from.

A cluster takes steps, and so does one server where others have to give way, a cap is reached, or the sale is known already. Their order
survives a crash after any of them: first the index through which a withdrawal finds a sale, then the sale itself, once per sale ID, then
side by side its place in the shop's list, its event and its links, which a repeated call resumes from what the first one stored. A
withdrawal that comes between index and sale finds no sale yet: the step of the event sees that, and takes the visitor out again.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, auto

from msgspec import json

from identity_service.attribution import Attribution, Break, attribute
from identity_service.cookieless import DAY
from identity_service.errors import StoreUnavailable
from identity_service.event import Event, EventType, Sale, compact, events_of, first_products, total
from identity_service.handle import Handle, handle_named
from identity_service.link import LinkSource, Proof
from identity_service.metrics import SALE_CONFLICTS
from identity_service.service.subjects import ATTEMPTS, CHANGING, NOBODY, Subject, Subjects
from identity_service.service.tally import Tally
from identity_service.service.tracking import Tracking
from identity_service.service.visits import Visit
from identity_service.shop import Shop
from identity_service.store import Clock, Store
from identity_service.store.selling import NewSale, SaleOfVisitor
from identity_service.visitor import Kind, VisitorId

LAST_OF_SECOND = 0.999
"""Orders are listed within the second of their sale, however late they are completed."""


@dataclass(frozen=True, slots=True)
class Sold:
    """Whom a sale is about. `attribution`: of the first call with its ID, None for a later one."""

    subject: Subject
    attribution: Attribution | None


class Changed(Enum):
    """The visitor is not as assumed; the call has to be decided again. `NOTED`: what was written names it for a moment."""

    UNSEEN = auto()
    NOTED = auto()


class Sales:
    """`clock`: seconds since 1970."""

    def __init__(self, store: Store, subjects: Subjects, tracking: Tracking, tally: Tally, clock: Clock) -> None:
        self._store = store
        self._subjects = subjects
        self._tracking = tracking
        self._tally = tally
        self._clock = clock

    async def log(self, visit: Visit, sale: Sale, handles: Sequence[Handle], claimed: Proof) -> Sold:
        """The first call with a sale ID wins, and gets its attribution; a later one only ends what the first could not. `claimed`: see
        `Subject.proof`."""
        noted = False
        for assumed in ATTEMPTS:
            subject = await self._subjects.find(visit, assumed=assumed)
            if assumed and subject.visitor is None and not subject.unread:
                continue
            if noted and subject.visitor is None:
                self._store.sales.forget_withdrawn(sale.time)
            named = handles if subject.personal and (subject.visitor is None or subject.linkable) else ()
            sold = await self._sell(visit.shop, subject, sale, named, subject.proof(claimed))
            if isinstance(sold, Sold):
                return sold
            noted = noted or sold is Changed.NOTED
        raise StoreUnavailable(CHANGING)

    async def _sell(self, shop: Shop, subject: Subject, sale: Sale, handles: Sequence[Handle], proof: Proof) -> Sold | Changed:
        if self._store.client.one_server:
            sold = await self._sell_in_one_step(shop, subject, sale, handles, proof)
            if sold:
                return sold
        return await self._sell_in_steps(shop, subject, sale, handles, proof)

    async def _sell_in_one_step(
        self, shop: Shop, subject: Subject, sale: Sale, handles: Sequence[Handle], proof: Proof
    ) -> Sold | Changed | None:
        """None where it takes the steps."""
        events: list[str] = []
        if subject.visitor:
            known, events = await self._store.sales.before(shop.shop_id, sale.sale, subject.visitor, subject.bridged_from)
            if known:
                finished = "linked" in known and await self._store.sales.confirm(shop.shop_id, sale.sale)
                return self._repeated(sale, known, subject) if finished else None
        attribution = _attribution(shop, subject, sale, events)
        fields = _fields(subject, sale, handles, proof, attribution)
        of = None
        if subject.visitor:
            entry = self._tracking.entry(shop, subject, _event(fields))
            of = SaleOfVisitor(subject.visitor, entry, self._tracking.linkable(shop, subject, proof))
        new = NewSale(sale.sale, fields | {"linked": "1"}, handles, self._listed_at(sale.time), of)
        outcome = await self._store.selling.sell(shop.shop_id, new)
        if outcome == "otherwise":
            return Changed.UNSEEN
        return self._first(shop, sale, attribution, subject) if outcome == "sold" else None

    async def _sell_in_steps(self, shop: Shop, subject: Subject, sale: Sale, handles: Sequence[Handle], proof: Proof) -> Sold | Changed:
        events, stored, note = [], None, None
        if subject.visitor:
            index = self._store.sales.index_under_visitor(shop.shop_id, sale.sale, subject.visitor, subject.bridged_from, sale.time)
            indexed = await index
            events, stored, note = indexed.events, indexed.sale, indexed.note
            if indexed.outcome == "otherwise":
                self._store.sales.close(shop.shop_id, note)
                return Changed.NOTED
            if indexed.outcome != "indexed":
                subject, handles = NOBODY, ()
        attribution = _attribution(shop, subject, sale, events)
        fields = _fields(subject, sale, handles, proof, attribution)
        if stored is None:
            stored = await self._store.sales.claim(shop.shop_id, sale.sale, fields, handles)
        sold = self._repeated(sale, stored, subject) if stored else self._first(shop, sale, attribution, subject)
        unfinished = stored is None or "linked" not in stored
        if unfinished:
            await self._complete(shop, sale.sale, stored or fields, _stored_subject(stored) if stored else subject)
        self._store.sales.close(shop.shop_id, note, finished=sale.sale if unfinished else None)
        return sold

    def _first(self, shop: Shop, sale: Sale, attribution: Attribution, subject: Subject) -> Sold:
        self._tally.sold(shop.shop_id, sale.revenue, sale.products, _credited(sale, attribution))
        return Sold(subject, attribution)

    def _repeated(self, sale: Sale, stored: Mapping[str, str], subject: Subject) -> Sold:
        SALE_CONFLICTS.inc(stored["products"] != _products(sale))
        return Sold(subject, None)

    def _listed_at(self, time: int) -> float:
        return min(max(self._clock(), time), time + LAST_OF_SECOND)

    async def _complete(self, shop: Shop, sale: str, stored: dict[str, str], subject: Subject) -> None:
        """Everything after the claim; each step may have been taken before. Where the visitor was withdrawn meanwhile, the order loses what
        is personal; where it refuses the links, its handles."""
        digest, time = self._store.keys.sale_digest(shop.shop_id, sale), int(stored["time"])
        listing = self._store.activity.list_order(shop.shop_id, digest, self._listed_at(time))
        if subject.visitor is None:
            await listing
        else:
            entry = self._tracking.entry(shop, subject, _event(stored))
            recording = self._store.events.record_sale(shop.shop_id, subject.visitor, entry, digest)
            _, recorded, linked = await asyncio.gather(listing, recording, self._link(shop, subject, stored))
            if not recorded:
                await self._store.removals.unname_sale(shop.shop_id, digest, subject.visitor)
            elif not linked:
                await self._store.sales.drop_handles(shop.shop_id, digest, _handles(stored))

    async def _link(self, shop: Shop, subject: Subject, stored: dict[str, str]) -> bool:
        """False where consent forbids a link."""
        proof = Proof(stored.get("proof", Proof.KEY if stored.get("verified") == "1" else Proof.NONE))
        return all([await self._tracking.link(shop, subject, handle, proof, LinkSource.SALE) for handle in _handles(stored)])


def _stored_subject(stored: dict[str, str]) -> Subject:
    if "visitor" not in stored:
        return NOBODY
    return Subject(True, VisitorId(stored["visitor"]), Kind(stored["kind"]), int(stored["expires"]), linkable=True)


def _handles(stored: Mapping[str, str]) -> list[Handle]:
    return [handle_named(stored[field]) for field in ("email", "customer") if field in stored]


def _event(stored: Mapping[str, str]) -> Event:
    """Of an order as it is stored: that of a repeated call is the same, and so is known."""
    products = first_products(line["id"] for line in json.decode(stored["products"]))
    return Event(EventType.SALE, int(stored["time"]), products, text=stored["sale"])


def _products(sale: Sale) -> str:
    return compact([line.stored() for line in sale.lines])


def _credited(sale: Sale, attribution: Attribution) -> dict[str, Decimal]:
    """Revenue by label: that of each product counts in full under each of its labels."""
    amounts: dict[str, list[Decimal]] = {}
    for line in sale.lines:
        if line.creditable:
            amounts.setdefault(str(line.product), []).append(line.revenue)
    found: dict[str, list[Decimal]] = {}
    for credit in {str(credit.product): credit for credit in attribution.credits}.values():
        for label in credit.labels:
            found.setdefault(label, []).extend(amounts[str(credit.product)])
    return {label: total(revenues) for label, revenues in found.items()}


def _attribution(shop: Shop, subject: Subject, sale: Sale, events: Sequence[str]) -> Attribution:
    if subject.visitor is None:
        return Attribution(missing=Break.NO_VISITOR if subject.personal else Break.NULL_MODE)
    products = [line.product for line in sale.lines if line.creditable and line.product is not None]
    return attribute(products, events_of(events, EventType.CLICK), sale.time, shop.attribution_days * DAY)


def _fields(subject: Subject, sale: Sale, handles: Sequence[Handle], proof: Proof, attribution: Attribution) -> dict[str, str]:
    fields = {"sale": sale.sale, "time": str(sale.time), "revenue": f"{sale.revenue:f}", "mode": subject.mode}
    fields["products"] = _products(sale)
    if subject.visitor:
        fields |= {"visitor": subject.visitor, "kind": subject.kind, "expires": str(subject.expires), "proof": proof}
    if attribution.credits:
        fields["attribution"] = compact([credit.members() for credit in attribution.credits])
    if attribution.missing:
        fields["missing"] = attribution.missing
    names = {"e": "email", "c": "customer"}
    return fields | {names[handle.kind]: handle.name for handle in handles}
