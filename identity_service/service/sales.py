"""Sales: decided from what was read, and written in one step, which says what is not as it was read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from identity_service.attribution import Attribution, Break, attribute
from identity_service.cookieless import DAY
from identity_service.errors import ConsentRequired, StoreUnavailable
from identity_service.event import Event, EventType, Sale, compact, events_of, first_products, total
from identity_service.handle import Handle
from identity_service.link import LinkSource, Proof
from identity_service.metrics import LINK_CONFLICTS, SALE_CONFLICTS
from identity_service.service.subjects import ATTEMPTS, CHANGING, NOBODY, Subject, Subjects
from identity_service.service.tally import Tally
from identity_service.service.tracking import Tracking
from identity_service.service.visits import Visit
from identity_service.shop import Shop
from identity_service.store import Clock, Store
from identity_service.store.links import LinkCall, refusal
from identity_service.store.sales import HandleOfSale, NewSale, SaleAnswer

MOST_ANSWERS = 24
"""How often a sale may be told that something is not as it was read: others that have to give way, a full list, a sale that has gone."""
LAST_OF_SECOND = 0.999
"""Orders are listed within the second of their sale, however late they come."""


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

    async def log(self, visit: Visit, sale: Sale, handles: Sequence[Handle], claimed: Proof) -> Sold:
        """The first call with a sale ID wins, and gets its attribution. `claimed`: see `Subject.proof`."""
        for assumed in ATTEMPTS:
            subject = await self._subjects.find(visit, assumed=assumed)
            if assumed and subject.visitor is None and not subject.unread:
                continue
            named = handles if subject.personal and (subject.visitor is None or subject.linkable) else ()
            sold = await self._sell(visit.shop, subject, sale, named, subject.proof(claimed))
            if sold:
                return sold
        raise StoreUnavailable(CHANGING)

    async def _sell(self, shop: Shop, subject: Subject, sale: Sale, handles: Sequence[Handle], proof: Proof) -> Sold | None:
        """None where the visitor is not as it was when the subject was found. The sale names no visitor that is gone or has too many sales,
        and no handle that has."""
        events: list[str] = []
        if subject.visitor:
            known, events = await self._store.sales.before(shop.shop_id, sale.sale, subject.visitor, subject.bridged_from)
            if known and await self._store.sales.confirm(shop.shop_id, sale.sale):
                return _repeated(sale, known, subject)
        attribution = _attribution(shop, subject, sale, events)
        told = [HandleOfSale(handle, self._linking(shop, subject, handle, proof)) for handle in handles]
        for _ in range(MOST_ANSWERS):
            fields = _fields(subject, sale, [one.handle for one in told if one.named], attribution)
            of = (subject.visitor, self._tracking.entry(shop, subject, _event(sale))) if subject.visitor else None
            answer = await self._store.sales.sell(shop.shop_id, NewSale(sale.sale, fields, self._listed_at(sale.time), of, told))
            if answer.outcome == "sold":
                self._tally.sold(shop.shop_id, sale.revenue, sale.products, _credited(sale, attribution))
                return Sold(subject, attribution)
            if answer.outcome == "otherwise":
                return None
            if answer.outcome == "known":
                stored = await self._store.sales.by_id(shop.shop_id, sale.sale)
                if stored and await self._store.sales.confirm(shop.shop_id, sale.sale):
                    return _repeated(sale, stored, subject)
            elif answer.place is not None:
                told = _without_obstacle(told, answer.place, answer)
            else:
                subject, told = NOBODY, []
                attribution = _attribution(shop, subject, sale, [])
        raise StoreUnavailable(CHANGING)

    def _linking(self, shop: Shop, subject: Subject, handle: Handle, proof: Proof) -> LinkCall | None:
        linkable = self._tracking.linkable(shop, subject, proof)
        return LinkCall(shop.shop_id, handle, linkable, LinkSource.SALE, int(self._clock())) if linkable else None

    def _listed_at(self, time: int) -> float:
        return min(max(self._clock(), time), time + LAST_OF_SECOND)


def _repeated(sale: Sale, stored: Mapping[str, str], subject: Subject) -> Sold:
    SALE_CONFLICTS.inc(stored["products"] != _products(sale))
    return Sold(subject, None)


def _without_obstacle(told: Sequence[HandleOfSale], place: int, answer: SaleAnswer) -> list[HandleOfSale]:
    """What came with a sale, after the handle at `place` could not be written: the sale does not name it; or others give way for its link;
    or there is none; and where the person forbids a link, the sale names no handle."""
    one = told[place]
    if answer.outcome == "full":
        changed = replace(one, named=False)
    elif answer.outcome == "link yield" and one.link:
        changed = replace(one, link=replace(one.link, giving_way=answer.told))
    else:
        error = refusal(answer.outcome.removeprefix("link "), *answer.told)
        LINK_CONFLICTS.labels(error.code).inc()
        if isinstance(error, ConsentRequired):
            return []
        changed = replace(one, link=None)
    return [*told[:place], changed, *told[place + 1 :]]


def _event(sale: Sale) -> Event:
    return Event(EventType.SALE, sale.time, first_products(line.product for line in sale.lines), text=sale.sale)


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


def _fields(subject: Subject, sale: Sale, handles: Sequence[Handle], attribution: Attribution) -> dict[str, str]:
    fields = {"sale": sale.sale, "time": str(sale.time), "revenue": f"{sale.revenue:f}", "mode": subject.mode}
    fields["products"] = _products(sale)
    if subject.visitor:
        fields["visitor"] = subject.visitor
    if attribution.credits:
        fields["attribution"] = compact([credit.members() for credit in attribution.credits])
    if attribution.missing:
        fields["missing"] = attribution.missing
    names = {"e": "email", "c": "customer"}
    return fields | {names[handle.kind]: handle.name for handle in handles}
