"""Reports about tracking: events of a visitor, orders and their attribution, labels, the log, products, health. Revenue is exact decimal
text: unit price times quantity."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from identity_service.errors import Invalid, NotFound
from identity_service.model.agent import KnownBy
from identity_service.model.attribution import ATTRIBUTED, Break
from identity_service.model.audit import Act
from identity_service.model.estimate import Estimate
from identity_service.model.event import EventType
from identity_service.model.utc import rfc3339
from identity_service.model.visitor import own_visitor_id
from identity_service.service.figures import AgentFigures, LabelFigures, PageCounts, revenues, silent_clicks
from identity_service.service.health import Rhythm
from identity_service.service.orders import Order
from identity_service.web.call import Call, Reply
from identity_service.web.calls.figures import EstimateAnswer, estimate_answer
from identity_service.web.lists import (
    MOST_CALLS,
    MOST_EVENTS,
    MOST_LABELS,
    MOST_PRODUCTS,
    TAKE_NEXT,
    keys_of_times,
    number,
    page_of,
    page_query,
)
from identity_service.web.payloads import CURSOR, LIMIT, NEXT, Body, Count, Cursor, Share, Time, VisitorText, about, listed
from identity_service.web.visit import count_lookup

LightText = Literal["green", "not_started", "amber", "red"]
Money = Annotated[str, Meta(extra_json_schema={"format": "decimal"})]
CURSOR_FORM = re.compile(r"[A-Za-z0-9_-]{22}")
USUAL_ORDERS, MOST_ORDERS = 50, 200
MOST_AGENTS = 200
MOST_DAYS = 400
OF_ORDERS = page_query(MOST_ORDERS, USUAL_ORDERS) | {
    "cursor": ({"type": "string", "pattern": "^[A-Za-z0-9_-]{22}$"}, "`next` of the page before. Absent, the first page.")
}
OF_LABELS = page_query(MOST_LABELS) | {
    "days": ({"type": "integer", "minimum": 1, "maximum": MOST_DAYS}, "Days to count. Absent, the shop's `attribution_days`.")
}


class EventsBody(Body, frozen=True):
    """One visitor."""

    visitor: Annotated[VisitorText, about("The visitor's ID.")]
    limit: Annotated[int, Meta(ge=1, le=MOST_EVENTS), LIMIT] = MOST_EVENTS
    cursor: Annotated[Cursor | None, CURSOR] = None


class EventEntry(Struct, frozen=True, kw_only=True):
    """What a visitor did."""

    type: Annotated[EventType, about("What happened.")]
    time: Annotated[Time, about("When it happened, in RFC 3339.")]
    products: Annotated[list[str | int] | UnsetType, about("Product IDs: the one clicked, those shown, or those held.", maxItems=100)] = (
        UNSET
    )
    labels: Annotated[list[str] | UnsetType, about("Labels of the element. Empty where they were blank.", maxItems=20)] = UNSET
    api: Annotated[str | UnsetType, about("The call that filled the element.")] = UNSET
    text: Annotated[str | UnsetType, about("The category, the words searched, the sale's ID, or what was done to the cart.")] = UNSET
    override: Annotated[bool | UnsetType, about("Whether the ID was typed into the address for a test.")] = UNSET
    backtracked: Annotated[bool | UnsetType, about("Whether the labels are those of results that were shown before.")] = UNSET


class EventsAnswer(Struct, frozen=True):
    """What was logged under one visitor."""

    events: Annotated[list[dict[str, Any]], listed(EventEntry, "Newest first, at most `limit`.", maxItems=MOST_EVENTS)]
    next: Annotated[str | None, NEXT]


class CreditEntry(Struct, frozen=True):
    """A product of an order and the click it is credited to."""

    product: Annotated[str | int, about("The product's ID.")]
    labels: Annotated[list[str], about("Labels of the clicks on it, newest first. The events that are kept bound them.")]
    api: Annotated[str | None, about("The call that filled the element.")]
    clicked_at: Annotated[Time, about("When it was last clicked, in RFC 3339.")]


class SoldLine(Struct, frozen=True):
    """A line of an order."""

    id: Annotated[str | int | None, about("The product's ID. Null where none was named.")]
    quantity: Annotated[int | str, about("How many were bought; a decimal text if it is not whole. Negative for a return.")]
    price: Annotated[Money | UnsetType, about("Price of one, where it is known.")] = UNSET
    returned: Annotated[int | str | UnsetType, about("How many were returned; a decimal text if it is not whole.")] = UNSET


class OrderAnswer(Struct, frozen=True):
    """An order and the labels it is credited to."""

    sale: Annotated[str, about("The shop's order ID.")]
    time: Annotated[Time, about("When the sale was logged, in RFC 3339.")]
    verified: Annotated[bool, about("Whether a private key reported it. If not, the first call with a private key replaces it.")]
    mode: Annotated[
        str, about("Mode of the visitor at that time. `none`: it was not known.", enum=["null", "none", "cookieless", "persistent"])
    ]
    channel: Annotated[str | None, about("`agent:NAME` or `bot` for an order that no person's browser placed. Null for a person's.")]
    visitor: Annotated[str | None, about("ID of the visitor who bought. Null where it was not known or was erased.")]
    products: Annotated[list[dict[str, Any]], listed(SoldLine, "The order's lines.", maxItems=1000)]
    revenue: Annotated[Money, about("Unit price times quantity, summed, without returns.")]
    currency: Annotated[str, about("ISO 4217: the sale's, or the shop's.")]
    attributed: Annotated[bool, about("Whether a click led to the order.")]
    labels: Annotated[list[str], about("Labels the order is credited to. The events that are kept bound them.")]
    attribution: Annotated[list[CreditEntry], about("Which click each product is credited to.", maxItems=1000)]


class ExportedOrder(Struct, frozen=True):
    """An order. `visitor` and `attribution` are shown only with the visitor itself."""

    sale: Annotated[str, about("The shop's order ID.")]
    time: Annotated[Time, about("When the sale was logged, in RFC 3339.")]
    revenue: Annotated[Money, about("Unit price times quantity, summed.")]
    products: Annotated[list[SoldLine], about("The order's lines.", maxItems=1000)]
    currency: Annotated[str | UnsetType, about("Currency of the amounts, if the sale had one.")] = UNSET
    visitor: Annotated[str | UnsetType, about("ID of the visitor who bought.")] = UNSET
    email: Annotated[str | UnsetType, about("Digest of the order's email.")] = UNSET
    customer: Annotated[str | UnsetType, about("Digest of the order's customer ID.")] = UNSET
    attribution: Annotated[list[CreditEntry] | UnsetType, about("What the order is credited to.", maxItems=1000)] = UNSET


class OrdersAnswer(Struct, frozen=True):
    """One page of the orders."""

    orders: Annotated[list[Any], listed(OrderAnswer, "Newest first, at most `limit`.", maxItems=200)]
    next: Annotated[str | None, NEXT]


class AttributionAnswer(Struct, frozen=True):
    """Why an order is attributed, or the first missing link of the chain label → click → sale."""

    sale: Annotated[str, about("The shop's order ID.")]
    attributed: Annotated[bool, about("Whether a click led to the order.")]
    labels: Annotated[list[str], about("Labels the order is credited to. The events that are kept bound them.")]
    attribution: Annotated[list[CreditEntry], about("Which click each product is credited to.", maxItems=1000)]
    broken: Annotated[Break | None, about("The first missing link. Null for an attributed order.")]
    explanation: Annotated[str, about("The same in a sentence, with what to do.")]
    hint: Annotated[str | None, about("A problem of an attributed order.")]


class LabelEntry(Struct, frozen=True):
    """What one label led to."""

    label: Annotated[str, about("Its first 120 characters. `...` stands for labels beyond an hour's 500 counters.", maxLength=120)]
    clicks: Annotated[Count, about("Clicks that carried it.")]
    orders: Annotated[Count, about("Orders credited to it.")]
    revenue: Annotated[Money, about("Revenue credited to it, in the shop's currency, without returns.")]
    revenues: Annotated[dict[str, Money], about("The same in each currency that orders had. Amounts of two are never added.")]
    counted: Annotated[
        EstimateAnswer | UnsetType,
        about("Further clicks, of visitors who said nothing, on the last `days` days in UTC. Absent where there are none to show."),
    ] = UNSET


class AgentEntry(Struct, frozen=True):
    """What one agent did. It is in no figure about people."""

    name: Annotated[str, about("`unknown` for agents that nobody verified and whose user agent is not known.", maxLength=64)]
    visits: Annotated[Count, about("Its calls for an ID. It got none.")]
    clicks: Annotated[Count, about("Its clicks. They attribute nobody's order.")]
    orders: Annotated[int, about("Orders that it placed.")]
    revenues: Annotated[dict[str, Money], about("Their revenue in each currency, without returns.")]


class RobotsEntry(Struct, frozen=True):
    """What robots did. It is in no figure about people."""

    visits: Annotated[Count, about("Their calls for an ID. They got none.")]
    clicks: Annotated[Count, about("Their clicks.")]
    orders: Annotated[int, about("Orders that they placed.")]
    revenues: Annotated[dict[str, Money], about("Their revenue in each currency, without returns.")]


class SignatureCounts(Struct, frozen=True):
    """How agents' calls for an ID were recognised."""

    verified: Annotated[Count, about("By a signature that holds.")]
    edge: Annotated[Count, about("By the verdict of the shop's server.")]
    user_agent: Annotated[Count, about("By the user agent alone.")]
    unverified: Annotated[Count, about("By a signature, or a name, that could not be checked.")]
    invalid: Annotated[Count, about("By a signature that does not hold.")]


class LabelsAnswer(Struct, frozen=True):
    """An order counts for each of its labels. The totals count it once. Orders of agents and robots are in none of these."""

    days: Annotated[int, about("Days that were counted.", minimum=1, maximum=400)]
    labels: Annotated[list[LabelEntry], about("By revenue, highest first, at most `limit`.", maxItems=MOST_LABELS)]
    attributed_orders: Annotated[Count, about("Orders that a click led to.")]
    other_orders: Annotated[int, about("Orders of people that no click led to.")]
    currency: Annotated[str, about("The shop's. `attributed_revenue`, `other_revenue` and each `revenue` are in it.")]
    attributed_revenue: Annotated[Money, about("Revenue of the orders that a click led to.")]
    other_revenue: Annotated[Money, about("Revenue of the other orders of people.")]
    attributed_revenues: Annotated[dict[str, Money], about("By currency, of the orders that a click led to.")]
    other_revenues: Annotated[dict[str, Money], about("By currency, of the other orders of people.")]
    agents: Annotated[list[AgentEntry], about("By revenue, highest first.", maxItems=MOST_AGENTS)]
    known_by: Annotated[SignatureCounts, about("How the agents were recognised.")]
    robots: Annotated[RobotsEntry, about("Robots, all together.")]
    next: Annotated[str | None, NEXT]


class CallEntry(Struct, frozen=True):
    """One tracking call."""

    time: Annotated[Time, about("When it arrived, in RFC 3339.")]
    call: Annotated[str, about("The call without its version: `log/sale`.")]
    mode: Annotated[str | None, about("The visitor's mode, `none`, `bot`, or `agent`. Null for a call about no visit.")]
    outcome: Annotated[Literal["ok", "error"], about("How it was answered.")]
    labels: Annotated[list[str] | UnsetType, about("The labels it carried or was credited to.")] = UNSET
    unread: Annotated[
        list[str] | UnsetType, about("Arguments that could not be read and were left out, by name and index.", maxItems=20)
    ] = UNSET
    error: Annotated[str | UnsetType, about("The error text that the caller got.")] = UNSET


class CallsAnswer(Struct, frozen=True):
    """The log of tracking calls. It holds nothing personal."""

    calls: Annotated[
        list[dict[str, Any]], listed(CallEntry, "Newest first, of 24 hours: at most 1,000 calls and 1,000 failures.", maxItems=MOST_CALLS)
    ]
    next: Annotated[str | None, NEXT]


class SeenProduct(Struct, frozen=True):
    """A product that was clicked or bought."""

    product: Annotated[str, about("Its ID, as text.")]
    type: Annotated[Literal["integer", "string"], about("The type it was sent as.")]
    last_seen: Annotated[Time, about("When it was last clicked or bought, in RFC 3339.")]


class ProductsAnswer(Struct, frozen=True):
    """The products that calls named."""

    products: Annotated[list[SeenProduct], about("Newest first, at most `limit`.", maxItems=MOST_PRODUCTS)]
    next: Annotated[str | None, NEXT]


class RhythmEntry(Struct, frozen=True):
    """How long ago the last call of one kind was, compared to the usual interval."""

    status: Annotated[LightText, about("Green; amber after three times the usual interval; red after ten; not_started before the first.")]
    age_seconds: Annotated[int | None, about("Seconds since the last one. Null where there was none.")]
    usual_seconds: Annotated[int | None, about("The usual interval over 14 days. Null until there were five, on at least three days.")]
    text: Annotated[str, about("The same in a sentence.")]


class UnreadEntry(Struct, frozen=True):
    """An argument of one call that was left out or got its default. Lines of an order are not told apart."""

    call: Annotated[str, about("The call without its version: `log/sale`.")]
    argument: Annotated[str, about("The argument without its index: `products.id`.")]
    calls: Annotated[Count, about("Calls in which it could not be read, last day.")]
    share: Annotated[Share, about("Of all calls of this name that were accepted or refused.")]
    remedy: Annotated[str, about("What the shop can do.")]


class TrackingHealthAnswer(Struct, frozen=True):
    """How well the shop's tracking works."""

    status: Annotated[
        LightText, about("The worst of the following; not_started before the first click and sale, unless something is wrong.")
    ]
    click: Annotated[RhythmEntry, about("Clicks.")]
    sale: Annotated[RhythmEntry, about("Sales.")]
    error_rate: Annotated[Share, about("Share of failed calls, this hour and the one before.")]
    without_labels: Annotated[Share, about("Share of clicks without labels, last day.")]
    without_visitor: Annotated[Share, about("Share of clicks without a visitor, last day.")]
    unread: Annotated[list[UnreadEntry], about("Arguments that could not be read, last day. Most calls first.", maxItems=100)]
    reasons: Annotated[list[str], about("What is not green, or the next step, in sentences.", maxItems=11)]


async def events(call: Call) -> Reply:
    count_lookup(call)
    return Reply(await events_of(call))


async def events_of(call: Call) -> EventsAnswer:
    visitor = own_visitor_id(call.body.visitor)
    found = await call.services.store.events.of(call.shop.shop_id, visitor)
    await call.services.audit.look(call.shop, call.actor, Act.VISITOR, [(visitor, len(found))])
    shown, following = page_of(found, keys_of_times([event.time for event in found]), call.body.cursor, call.body.limit)
    return EventsAnswer([event.members() | {"time": rfc3339(event.time)} for event in shown], following)


async def page(call: Call) -> Reply:
    cursor, most = call.query.get("cursor"), number(call.query, "limit", USUAL_ORDERS, MOST_ORDERS)
    if cursor is not None and not CURSOR_FORM.fullmatch(cursor):
        raise Invalid(TAKE_NEXT)
    return Reply(OrdersAnswer(*await call.services.orders.search(call.shop, _encoded, cursor, most, most)))


def _encoded(order: Order) -> Raw:
    """Each by itself: a page of large orders has many MiB, and encoding it at once would block other calls."""
    return Raw(msgspec.json.encode(order_answer(order)))


async def one(call: Call) -> Reply:
    return Reply(order_answer(await _order(call)))


async def attribution(call: Call) -> Reply:
    told = await call.services.orders.explain(call.shop, await _order(call))
    credited = (told.text == ATTRIBUTED, told.order.labels, _credits(told.order))
    return Reply(AttributionAnswer(told.order.sale, *credited, told.broken, told.text, told.hint))


async def labels(call: Call, counts: PageCounts | None = None) -> Reply:
    """`counts`: if they were read already."""
    days = number(call.query, "days", call.shop.settings.attribution_days, MOST_DAYS)
    counts = counts or await call.services.figures.counts(call.shop, days)
    figures, totals = await call.services.figures.labels(call.shop, days, counts.hours)
    silent = await silent_clicks(counts.days)
    figures += [LabelFigures.without_figures(call.shop, label) for label in silent.keys() - {one.label for one in figures}]
    figures.sort(key=_place)
    keys = [_place(one) for one in figures]
    shown, following = page_of(figures, keys, call.query.get("cursor"), number(call.query, "limit", MOST_LABELS, MOST_LABELS))
    attributed, agents, robots, whole = (totals[f"orders {kind}"] for kind in ("attributed", "agent", "bot", "all"))
    money, of_agents, of_robots, all_money = (
        revenues(call.shop, totals, "revenue_all", f" {kind}") for kind in ("attributed", "agent", "bot", "all")
    )
    zero, own = Decimal(0), call.shop.settings.currency
    other = {
        currency: amount - sum((one.get(currency, zero) for one in (money, of_agents, of_robots)), zero)
        for currency, amount in all_money.items()
    }
    return Reply(
        LabelsAnswer(
            days,
            [_label(one, silent.get(one.label)) for one in shown],
            attributed,
            whole - attributed - agents - robots,
            own,
            _text(money[own]),
            _text(other[own]),
            _texts(money),
            _texts(other),
            [_agent_entry(one) for one in call.services.figures.agents(call.shop, totals)[:MOST_AGENTS]],
            SignatureCounts(**{known_by.value: totals[f"agents {known_by}"] for known_by in KnownBy}),
            RobotsEntry(totals["issued bot"], totals["clicks bot"], robots, _texts(of_robots)),
            following,
        )
    )


def _place(one: LabelFigures) -> tuple[int, int, str]:
    return -_micros(one.revenue), -one.clicks, one.label


def _label(one: LabelFigures, silent: Estimate | None) -> LabelEntry:
    counted = estimate_answer(silent) if silent else UNSET
    return LabelEntry(one.label, one.clicks, one.orders, _text(one.revenue), _texts(one.revenues), counted)


def _agent_entry(one: AgentFigures) -> AgentEntry:
    return AgentEntry(one.name, one.visits, one.clicks, one.orders, _texts(one.revenues))


async def calls(call: Call) -> Reply:
    found = await call.services.figures.calls(call.shop)
    limit = number(call.query, "limit", MOST_CALLS, MOST_CALLS)
    shown, following = page_of(found, keys_of_times([entry["time"] for entry in found]), call.query.get("cursor"), limit)
    return Reply(CallsAnswer([entry | {"time": rfc3339(entry["time"])} for entry in shown], following))


async def products(call: Call) -> Reply:
    newest = {}
    for time, product in sorted((time, product) for product, time in (await call.services.figures.products(call.shop)).items()):
        newest[product[1:]] = (time, product[0])  # if it was seen in both types, the last one counts
    keys = sorted((-time, product) for product, (time, _) in newest.items())
    seen = [SeenProduct(product, "integer" if newest[product][1] == "i" else "string", rfc3339(-time)) for time, product in keys]
    shown, following = page_of(seen, keys, call.query.get("cursor"), number(call.query, "limit", MOST_PRODUCTS, MOST_PRODUCTS))
    return Reply(ProductsAnswer(shown, following))


async def health(call: Call, counts: PageCounts | None = None) -> Reply:
    """`counts`: if they were read already."""
    found = await call.services.health.of_shop(call.shop, counts.hours if counts else None)
    shares = (found.error_rate, found.without_labels, found.without_visitor)
    unread = [UnreadEntry(one.call, one.argument, one.calls, one.share, one.remedy) for one in found.unread]
    return Reply(TrackingHealthAnswer(found.light.value, _rhythm(found.click), _rhythm(found.sale), *shares, unread, found.reasons))


def _rhythm(one: Rhythm) -> RhythmEntry:
    return RhythmEntry(one.light.value, one.age, one.usual, one.text)


def order_answer(order: Order) -> OrderAnswer:
    return OrderAnswer(
        sale=order.sale,
        time=rfc3339(order.time),
        verified=order.verified,
        mode=order.mode,
        channel=order.channel,
        visitor=order.visitor,
        products=order.products,
        revenue=f"{order.revenue:f}",
        currency=order.currency,
        attributed=bool(order.credits),
        labels=order.labels,
        attribution=_credits(order),
    )


def _credits(order: Order) -> list[CreditEntry]:
    return [CreditEntry(one["product"], one["labels"], one["api"], rfc3339(one["clicked_at"])) for one in order.credits]


async def _order(call: Call) -> Order:
    found = await call.services.orders.order(call.shop, call.parameters["sale"])
    if found is None:
        raise NotFound("There is no order with this sale ID. Percent-encode sale IDs in paths.")
    return found


def _micros(amount: Decimal) -> int:
    return int(amount.scaleb(6))


def _texts(amounts: Mapping[str, Decimal]) -> dict[str, str]:
    return {currency: _text(amount) for currency, amount in amounts.items()}


def _text(amount: Decimal) -> str:
    return f"{amount.normalize():f}"
