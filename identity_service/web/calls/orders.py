"""Reading what was tracked: events of a visitor, orders and their attribution, labels, the log, products, health."""

import re
from collections.abc import Mapping
from decimal import Decimal

from identity_service.errors import Invalid, NotFound
from identity_service.model.attribution import ATTRIBUTED
from identity_service.model.event import event_of
from identity_service.model.visitor import own_visitor_id
from identity_service.service.health import Rhythm
from identity_service.service.orders import Order, revenues
from identity_service.web.calls.order_payloads import (
    AttributionAnswer,
    CallsAnswer,
    CreditEntry,
    EventsAnswer,
    LabelEntry,
    LabelsAnswer,
    OrderAnswer,
    OrdersAnswer,
    ProductsAnswer,
    RhythmEntry,
    SeenProduct,
    TrackingHealthAnswer,
)
from identity_service.web.endpoint import Call, Reply
from identity_service.web.lists import MOST_CALLS, MOST_LABELS, MOST_PRODUCTS, TAKE_NEXT, keys_of_times, number, page_of
from identity_service.web.visit import rfc3339

CURSOR = re.compile(r"[A-Za-z0-9_-]{22}")
USUAL_ORDERS, MOST_ORDERS = 50, 200
MOST_DAYS = 400


async def events(call: Call) -> Reply:
    visitor = own_visitor_id(call.body.visitor)
    found = [event_of(stored) for stored in await call.services.store.events.of(call.shop.shop_id, visitor)]
    shown, following = page_of(found, keys_of_times([event.time for event in found]), call.body.cursor, call.body.limit)
    return Reply(EventsAnswer([event.members() | {"time": rfc3339(event.time)} for event in shown], following))


async def page(call: Call) -> Reply:
    cursor, most = call.query.get("cursor"), number(call.query, "limit", USUAL_ORDERS, MOST_ORDERS)
    if cursor is not None and not CURSOR.fullmatch(cursor):
        raise Invalid(TAKE_NEXT)
    found, following = await call.services.orders.page(call.shop, cursor, most)
    return Reply(OrdersAnswer([order_answer(order) for order in found], following))


async def one(call: Call) -> Reply:
    return Reply(order_answer(await _order(call)))


async def attribution(call: Call) -> Reply:
    told = await call.services.orders.explain(call.shop, await _order(call))
    credited = (told.text == ATTRIBUTED, told.order.labels, _credits(told.order))
    return Reply(AttributionAnswer(told.order.sale, *credited, told.broken, told.text, told.hint))


async def labels(call: Call) -> Reply:
    days = number(call.query, "days", call.shop.attribution_days, MOST_DAYS)
    figures, totals = await call.services.orders.labels(call.shop, days)
    keys = [(-_micros(one.revenue), -one.clicks, one.label) for one in figures]
    shown, following = page_of(figures, keys, call.query.get("cursor"), number(call.query, "limit", MOST_LABELS, MOST_LABELS))
    attributed, whole = totals["orders attributed"], totals["orders all"]
    money, all_money = (revenues(call.shop, totals, "revenue_all", f" {kind}") for kind in ("attributed", "all"))
    other = {currency: amount - money.get(currency, Decimal(0)) for currency, amount in all_money.items()}
    return Reply(
        LabelsAnswer(
            days,
            [LabelEntry(one.label, one.clicks, one.orders, _text(one.revenue), _texts(one.revenues)) for one in shown],
            attributed,
            whole - attributed,
            call.shop.currency,
            _text(money[call.shop.currency]),
            _text(other[call.shop.currency]),
            _texts(money),
            _texts(other),
            following,
        )
    )


async def calls(call: Call) -> Reply:
    found = await call.services.orders.calls(call.shop)
    limit = number(call.query, "limit", MOST_CALLS, MOST_CALLS)
    shown, following = page_of(found, keys_of_times([entry["time"] for entry in found]), call.query.get("cursor"), limit)
    return Reply(CallsAnswer([entry | {"time": rfc3339(entry["time"])} for entry in shown], following))


async def products(call: Call) -> Reply:
    newest = {}
    for time, product in sorted((time, product) for product, time in (await call.services.orders.products(call.shop)).items()):
        newest[product[1:]] = (time, product[0])  # one that was seen in both types is of the last one
    keys = sorted((-time, product) for product, (time, _) in newest.items())
    seen = [SeenProduct(product, "integer" if newest[product][1] == "i" else "string", rfc3339(-time)) for time, product in keys]
    shown, following = page_of(seen, keys, call.query.get("cursor"), number(call.query, "limit", MOST_PRODUCTS, MOST_PRODUCTS))
    return Reply(ProductsAnswer(shown, following))


async def health(call: Call) -> Reply:
    found = await call.services.health.of_shop(call.shop)
    shares = (found.error_rate, found.without_labels, found.without_visitor)
    return Reply(TrackingHealthAnswer(found.light.value, _rhythm(found.click), _rhythm(found.sale), *shares, found.reasons))


def _rhythm(one: Rhythm) -> RhythmEntry:
    return RhythmEntry(one.light.value, one.age, one.usual, one.text)


def order_answer(order: Order) -> OrderAnswer:
    return OrderAnswer(
        sale=order.sale,
        time=rfc3339(order.time),
        verified=order.verified,
        mode=order.mode,
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
        raise NotFound("No order with this sale ID is known; sale IDs in paths are percent-encoded.")
    return found


def _micros(amount: Decimal) -> int:
    return int(amount.scaleb(6))


def _texts(amounts: Mapping[str, Decimal]) -> dict[str, str]:
    return {currency: _text(amount) for currency, amount in amounts.items()}


def _text(amount: Decimal) -> str:
    return f"{amount.normalize():f}"
