"""Sales: decided from what was read, then written in one step. The step reports if anything has changed since it was read.

An order from a public key is provisional. What was counted for it is kept, so that it can be subtracted when a private key reports the
order.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from msgspec import structs

from identity_service.errors import ConsentRequired, StoreUnavailable
from identity_service.model.attribution import Attribution, Break, attribute
from identity_service.model.event import Event, EventType, Sale, SaleLine, compact, first_products, total
from identity_service.model.handle import Handle
from identity_service.model.link import LinkSource, Proof
from identity_service.model.policy import Asked
from identity_service.model.shop import Shop
from identity_service.model.utc import DAY
from identity_service.model.visitor import Kind, VisitorId
from identity_service.server.metrics import LINK_CONFLICTS, SALE_CONFLICTS
from identity_service.service.counters import Amounts, Counters
from identity_service.service.track import ATTEMPTS, CHANGING, NO_SESSION, NOBODY, Subject, Subjects, Tracking
from identity_service.service.visit import Visit
from identity_service.store import Clock, Store
from identity_service.store.events import Entry
from identity_service.store.links import MOST_YIELDS, LinkCall, refusal
from identity_service.store.sales import (
    FormerSale,
    HandleOfSale,
    NewSale,
    OfVisitor,
    SaleAnswer,
    packed_credits,
    packed_lines,
    unpacked_lines,
)

MOST_COUNTED = Decimal(10**9)
"""The largest provisional amount in the shop's figures, so that a stranger's number cannot overflow a counter."""
MOST_ANSWERS = 32
"""How often a sale is retried after a change: links that must give way, a full list, a sale that has gone."""
MOST_LEAVES = 12
"""After so many attempts to make room in full lists, the sale names nobody, because other calls keep being faster."""
LAST_OF_SECOND = 0.999
"""Orders are listed within the second of their sale, however late they arrive."""


def bound_amounts(counted: Amounts) -> Amounts:
    labels = {label: _bound(amount) for label, amount in counted.labels.items()}
    return Amounts(_bound(counted.revenue), labels, counted.currency, counted.channel)


def amount_fields(counted: Amounts) -> dict[str, str]:
    """Fields of the stored sale. Empty if its revenue says it all."""
    if not counted.labels and abs(counted.revenue) < MOST_COUNTED:
        return {}
    labels = {label: f"{amount:f}" for label, amount in counted.labels.items()}
    return {"counted": compact({"revenue": f"{counted.revenue:f}", "labels": labels})}


def is_provisional(stored: Mapping[str, str]) -> bool:
    """Whether there is a sale, and no private key has reported it."""
    return bool(stored) and "verified" not in stored


def amounts_of(stored: Mapping[str, str], own_currency: str) -> Amounts:
    """What a stored sale counts, even after a withdrawal removed its visitor and credits."""
    found = json.loads(stored.get("counted", "{}"))
    labels = {label: Decimal(amount) for label, amount in found.get("labels", {}).items()}
    revenue = Decimal(found.get("revenue", stored["revenue"]))
    return Amounts(revenue, labels, foreign(stored, own_currency), stored.get("channel", ""))


def foreign(stored: Mapping[str, str], own_currency: str) -> str:
    """The currency of a sale. Empty if it is the shop's own."""
    currency = stored.get("currency", own_currency)
    return "" if currency == own_currency else currency


def session_fields(subject: Subject) -> dict[str, str]:
    """Fields for a visitor that sent its token: kind and end of its ID."""
    return {"by_token": f"{subject.kind} {subject.expires}"}


def restore_session(found: Subject, by_token: str) -> Subject:
    """The visitor with kind and end as `session_fields` stored them, so that a later call does not extend its ID. `found`: its present
    state."""
    kind, expires = by_token.split(" ")
    return structs.replace(found, kind=Kind(kind), expires=int(expires), signed=True, presented=True)


def former_sale(stored: Mapping[str, str], *, same_visitor: bool) -> FormerSale:
    """The sale to replace. `same_visitor`: its event stays."""
    event = sale_event(Sale(stored["sale"], unpacked_lines(stored["products"]), int(stored["time"])))
    return FormerSale(stored, () if same_visitor else (event, structs.replace(event, override=True)))


def sale_event(sale: Sale) -> Event:
    return Event(EventType.SALE, sale.time, first_products(line.product for line in sale.lines), text=sale.sale)


def _bound(amount: Decimal) -> Decimal:
    return min(max(amount, -MOST_COUNTED), MOST_COUNTED)


@dataclass(frozen=True, slots=True)
class ReportedSale:
    """A sale as a call reports it. `handles`: email and customer ID. `claimed`: see `Subject.proof`. `private`: reported with a private
    key; its first report replaces that of a public key. `currency`: None for the shop's own."""

    sale: Sale
    handles: Sequence[Handle]
    claimed: Proof
    private: bool
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class SaleResult:
    """The subject of a sale. `attribution`: from the first call with its ID, None for later ones."""

    subject: Subject
    attribution: Attribution | None


@dataclass(frozen=True, slots=True)
class SaleContext:
    """What is known before a sale is written. `stored`: the sale under its ID. `clicks`: the visitor's. `assumed`: the view of the
    visitor by which the subject was found. `session`: the browser's, which a private key's call takes over (`by_token`)."""

    subject: Subject
    proof: Proof
    stored: Mapping[str, str]
    clicks: Sequence[Event] = ()
    assumed: str = ""
    session: str = ""


class Sales:
    """`clock`: seconds since 1970."""

    def __init__(self, store: Store, subjects: Subjects, tracking: Tracking, counters: Counters, clock: Clock) -> None:
        self._store = store
        self._subjects = subjects
        self._tracking = tracking
        self._counters = counters
        self._clock = clock

    async def log(self, visit: Visit, reported: ReportedSale) -> SaleResult:
        """The first call with a sale ID wins and gets the attribution. The first one with a private key replaces one with a public key.
        Raises StoreUnavailable."""
        for assumed in ATTEMPTS:
            subject = await self._subjects.find(visit, assumed=assumed)
            if assumed and subject.visitor is None and not subject.unread:
                continue
            known = await self._read_context(visit, subject, reported)
            sold = await self._result_of_repetition(visit.shop, reported, known.stored, known.subject) or await self._sell(
                visit.shop, reported, known
            )
            if sold:
                return sold
        raise StoreUnavailable(CHANGING)

    async def _read_context(self, visit: Visit, subject: Subject, reported: ReportedSale) -> SaleContext:
        """The assumed view is taken before any await, because another call may update it."""
        shop, sale = visit.shop.shop_id, reported.sale.sale
        if subject.visitor:
            assumed = self._store.events.assumption(shop, subject.visitor)
            found = await self._store.sales.before(shop, sale, subject.visitor, subject.bridged_from)
            return SaleContext(subject, subject.proof(reported.claimed), *found, assumed)
        if not reported.private:
            return SaleContext(subject, Proof.NONE, {})
        stored = await self._store.sales.by_id(shop, sale) or {}
        if not subject.personal or subject.agent or "by_token" not in stored or not is_provisional(stored):
            return SaleContext(subject, Proof.NONE, stored)
        return await self._known_of_session(visit, reported, stored)

    async def _known_of_session(self, visit: Visit, reported: ReportedSale, stored: Mapping[str, str]) -> SaleContext:
        """If a private key's call names no visitor, the session stays that the browser proved with its token."""
        named = VisitorId(stored["visitor"])
        own = structs.replace(visit, asked=Asked.OWN, own=named, own_since=int(stored["time"]), trusted=True, tokens=())
        found = await self._subjects.find(own)
        if found.visitor is None:
            return SaleContext(NO_SESSION, Proof.NONE, stored)
        subject, proof = restore_session(found, stored["by_token"]), Proof.NONE if reported.claimed is Proof.NONE else Proof.TOKEN
        assumed = self._store.events.assumption(visit.shop.shop_id, found.visitor)
        again = await self._store.sales.before(visit.shop.shop_id, reported.sale.sale, found.visitor, found.bridged_from)
        return SaleContext(subject, proof, *again, assumed, stored["by_token"])

    async def _sell(self, shop: Shop, reported: ReportedSale, known: SaleContext) -> SaleResult | None:
        """None if something has changed since it was read. The sale does not name a visitor or handle that is gone or has too many
        sales. It names nobody if room cannot be made after several attempts."""
        subject, former = known.subject, known.stored if reported.private and is_provisional(known.stored) else None
        same = former is not None and subject.visitor is not None and former.get("visitor") == subject.visitor
        sale = replace(reported.sale, time=int(former["time"])) if former and same and "by_token" in former else reported.sale
        attribution = _attribution(shop, subject, sale, known.clicks)
        named = reported.handles if subject.personal and (subject.visitor is None or subject.linkable) else ()
        handles = [HandleOfSale(handle, self._link_call(shop, subject, handle, known.proof, reported.sale.time)) for handle in named]
        leaving, told_leaving = dict[str, dict[str, str]](), 0
        for attempt in range(MOST_ANSWERS):
            channel = subject.channel or (former.get("channel", "") if former else "")
            counted = _amounts(shop, sale, attribution, reported, channel)
            fields = _fields(subject, sale, [one.handle for one in handles if one.named], attribution)
            if channel:
                fields["channel"] = channel
            fields |= _origin_fields(reported, known, subject, counted)
            of = OfVisitor(subject.visitor, known.assumed, None if same else self._entry(shop, subject, sale)) if subject.visitor else None
            takes = former_sale(former, same_visitor=same) if former else None
            new = NewSale(sale.sale, fields, self._listed_at(sale.time), of, handles, takes, leaving, told_leaving)
            answer = await self._store.sales.sell(shop.shop_id, new)
            if answer.outcome == "sold":
                self._counters.count_crowded_links(shop.shop_id, answer.crowded)
                self._count(shop, sale, counted, former, private=reported.private)
                return SaleResult(subject, attribution)
            if answer.outcome == "known":
                return await self._result_of_repetition(
                    shop, reported, await self._store.sales.by_id(shop.shop_id, sale.sale) or {}, subject
                )
            if answer.outcome == "otherwise":
                return None
            if answer.outcome == "leaves" and told_leaving < MOST_LEAVES:
                leaving, told_leaving = await self._store.sales.named_by(shop.shop_id, answer.told), told_leaving + 1
            elif answer.place is not None:
                self._counters.count_crowded_links(shop.shop_id, int(answer.full_of_visitors))
                handles = _without_obstacle(handles, answer.place, answer, patient=attempt < MOST_YIELDS)
            else:
                subject, handles, same = structs.replace(NOBODY, automated=subject.automated, agent=subject.agent), [], False
                attribution = _attribution(shop, subject, sale, [])
        raise StoreUnavailable(CHANGING)

    async def _result_of_repetition(
        self, shop: Shop, reported: ReportedSale, stored: Mapping[str, str], subject: Subject
    ) -> SaleResult | None:
        """A repeated call changes nothing. None if the sale must be written: it is new, or a private key's first report replaces it."""
        if (
            not stored
            or (reported.private and is_provisional(stored))
            or not await self._store.sales.confirm(shop.shop_id, reported.sale.sale)
        ):
            return None
        SALE_CONFLICTS.inc(stored["products"] != packed_lines(reported.sale.lines))
        return SaleResult(subject, None)

    def _count(self, shop: Shop, sale: Sale, counted: Amounts, former: Mapping[str, str] | None, *, private: bool) -> None:
        """Each order counts at its own time."""
        if former:
            self._counters.count_replaced_sale(shop.shop_id, int(former["time"]), amounts_of(former, shop.settings.currency))
        self._counters.count_sale(shop.shop_id, sale.time, counted, sale.products, private=private)

    def _entry(self, shop: Shop, subject: Subject, sale: Sale) -> Entry:
        return self._tracking.entry(shop, subject, sale_event(sale))

    def _link_call(self, shop: Shop, subject: Subject, handle: Handle, proof: Proof, now: int) -> LinkCall | None:
        linkable = self._tracking.linkable(shop, subject, proof)
        return LinkCall(shop.shop_id, handle, linkable, LinkSource.SALE, now) if linkable else None

    def _listed_at(self, time: int) -> float:
        return min(max(self._clock(), time), time + LAST_OF_SECOND)


def _without_obstacle(handles: Sequence[HandleOfSale], place: int, answer: SaleAnswer, *, patient: bool) -> list[HandleOfSale]:
    """The sale's handles after the one at `place` could not be written. If its list is full, the sale does not name it. If its link needs
    room, other links give way, or it is left out once that failed too often. If the person forbids the link, the sale names no handle."""
    one = handles[place]
    if answer.outcome == "full":
        changed = replace(one, named=False)
    elif answer.outcome == "link yield" and one.link and patient:
        changed = replace(one, link=replace(one.link, giving_way=answer.told))
    elif answer.outcome == "link yield":
        changed = replace(one, link=None)
    else:
        error = refusal(answer.outcome.removeprefix("link "), *answer.told)
        LINK_CONFLICTS.labels(error.code).inc()
        if isinstance(error, ConsentRequired):
            return []
        changed = replace(one, link=None)
    return [*handles[:place], changed, *handles[place + 1 :]]


def _origin_fields(reported: ReportedSale, known: SaleContext, subject: Subject, counted: Amounts) -> dict[str, str]:
    """The sale's currency, who reported it, and what to subtract if it is replaced."""
    if reported.private:
        return _currency(reported) | {"verified": "1"} | ({"by_token": known.session} if known.session and subject.visitor else {})
    shown = subject.visitor is not None and subject.presented and known.proof is Proof.TOKEN
    return _currency(reported) | amount_fields(counted) | (session_fields(subject) if shown else {})


def _amounts(shop: Shop, sale: Sale, attribution: Attribution, reported: ReportedSale, channel: str) -> Amounts:
    credited = _revenue_by_label(sale.lines, {str(credit.product): credit.labels for credit in attribution.credits})
    found = Amounts(sale.revenue, credited, foreign(_currency(reported), shop.settings.currency), channel)
    return found if reported.private else bound_amounts(found)


def _currency(reported: ReportedSale) -> dict[str, str]:
    return {"currency": reported.currency} if reported.currency else {}


def _revenue_by_label(lines: Sequence[SaleLine], labels: Mapping[str, Sequence[str]]) -> dict[str, Decimal]:
    """Revenue by label. A product's revenue counts in full for each of its labels. `labels`: by product, as text."""
    amounts: dict[str, list[Decimal]] = {}
    for line in lines:
        if line.creditable:
            amounts.setdefault(str(line.product), []).append(line.revenue)
    found: dict[str, list[Decimal]] = {}
    for product, names in labels.items():
        for label in names:
            found.setdefault(label, []).extend(amounts[product])
    return {label: total(revenues) for label, revenues in found.items()}


def _attribution(shop: Shop, subject: Subject, sale: Sale, clicks: Sequence[Event]) -> Attribution:
    if subject.agent:
        return Attribution(missing=Break.AGENT)
    if subject.visitor is None:
        return Attribution(missing=Break.NO_VISITOR if subject.personal else Break.NULL_MODE)
    products = [line.product for line in sale.lines if line.creditable and line.product is not None]
    return attribute(products, clicks, sale.time, shop.settings.attribution_days * DAY)


def _fields(subject: Subject, sale: Sale, handles: Sequence[Handle], attribution: Attribution) -> dict[str, str]:
    fields = {"sale": sale.sale, "time": str(sale.time), "revenue": f"{sale.revenue:f}", "mode": subject.mode}
    fields["products"] = packed_lines(sale.lines)
    if subject.visitor:
        fields["visitor"] = subject.visitor
    if attribution.credits:
        fields["attribution"] = packed_credits(attribution.credits)
    if attribution.missing:
        fields["missing"] = attribution.missing
    names = {"e": "email", "c": "customer"}
    return fields | {names[handle.kind]: handle.name for handle in handles}
