"""Orders: found by ID, by email or customer ID, by day, attribution and product; and one order with the reason for its attribution."""

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal
from urllib.parse import urlencode

from identity_service.errors import Invalid, NotFound
from identity_service.model.audit import Act
from identity_service.model.handle import Handle
from identity_service.model.person import Person
from identity_service.model.utc import DAY, day_number, rfc3339
from identity_service.service.orders import ALL_ORDERS, ListedOrder, OrderFilter
from identity_service.web.admin.csv_file import csv_reply
from identity_service.web.admin.pages import AdminCall, View, next_cursor
from identity_service.web.admin.references import HANDLES, handle_of_reference, lead_to, person_in_form, reference_maker
from identity_service.web.call import Reply
from identity_service.web.calls import orders as calls
from identity_service.web.calls.orders import CURSOR_FORM
from identity_service.web.lists import TAKE_NEXT
from identity_service.web.visit import count_lookup

ORDERS_A_PAGE = 50
MOST_SEARCHED = 250
"""Orders that one page of a search reads. The next page goes on from there."""
MOST_IN_FILE = 2_000
LARGE = 100
"""Lines and credited clicks beyond which an order's page is rendered in a thread."""
FILTERS = ("from", "to", "attributed", "product")
COLUMNS = ("order", "time", "revenue", "currency", "attributed", "labels", "mode", "visitor", "products", "verified")


async def orders(asked: AdminCall) -> View | Reply:
    """A page of orders. With `sale`, one order. With `ref`, those of an email or a customer ID."""
    if asked.query.get("sale"):
        return await _order(asked, asked.query["sale"])
    wanted = {name: text for name in FILTERS if (text := asked.query.get(name, "").strip())}
    empty = {"asked": asked.form or {}, "wanted": wanted, "orders": None, "fault": None, "of_customer": False}
    try:
        if asked.form is not None:
            return lead_to("orders", reference_maker(asked)(person_in_form(asked, HANDLES)))
        handle = handle_of_reference(asked) if "ref" in asked.query else None
        filtered, cursor = _filter(wanted), _cursor(asked)
    except Invalid as error:
        return View("admin/orders.html", empty | {"fault": error.detail}, error.status)
    count_lookup(asked.call())
    if handle:
        return await _of_customer(asked, handle, empty)
    is_file = asked.query.get("as") == "csv"
    most, most_read = (MOST_IN_FILE, MOST_IN_FILE) if is_file else (ORDERS_A_PAGE, MOST_SEARCHED if _sieves(filtered) else ORDERS_A_PAGE)
    found, following = await asked.services.orders.search(asked.shop, ListedOrder.of, cursor, most, most_read, filtered)
    await _enter(asked, None, len(found))
    if is_file:
        return await _orders_file(found)
    later = urlencode(wanted | {"cursor": following}) if following else None
    values = {"orders": found, "next": later, "first": cursor is None, "file": urlencode(wanted | {"as": "csv"})}
    return View("admin/orders.html", empty | values | {"ref": reference_maker(asked), "searched": MOST_SEARCHED})


async def _of_customer(asked: AdminCall, handle: Handle, empty: Mapping[str, object]) -> View | Reply:
    is_file = asked.query.get("as") == "csv"
    rows = slice(None) if is_file else asked.rows()
    shown, count = await asked.services.orders.of_handle(asked.shop, ListedOrder.of, handle, rows)
    await _enter(asked, handle, count)
    if is_file:
        return await _orders_file(shown)
    following = next_cursor(rows, count)
    ref = reference_maker(asked)
    again = {"ref": ref(handle)}
    later = urlencode(again | {"cursor": following}) if following else None
    values = {"orders": shown, "next": later, "first": asked.cursor(0) == 0, "file": urlencode(again | {"as": "csv"})}
    return View("admin/orders.html", {**empty, **values, "of_customer": True, "handle": handle, "ref": ref})


async def _order(asked: AdminCall, sale: str) -> View:
    count_lookup(asked.call())
    try:
        why = (await calls.attribution(asked.call(parameters={"sale": sale}))).body
    except NotFound:
        fault = "No order with this sale ID was logged. Check the ID, or look for the order in the list."
        return View("admin/fault.html", {"title": "Order not found", "fault": fault}, 404)
    order = await asked.services.orders.order(asked.shop, sale)
    persons: list[Person] = [*([order.visitor] if order and order.visitor else []), *(order.handles if order else [])]
    for person in persons:
        await _enter(asked, person, 1)
    if not persons:
        await _enter(asked, None, 1)
    large = order is not None and len(order.products) + len(order.credits) > LARGE
    return View("admin/order.html", {"order": order, "why": why, "ref": reference_maker(asked)}, large=large)


async def _enter(asked: AdminCall, person: Person | None, number: int) -> None:
    """In the audit. A list of orders is entered as one act that concerns nobody in particular."""
    await asked.services.audit.record(asked.shop, asked.session.actor, Act.ORDERS, person, number)


async def _orders_file(found: Sequence[ListedOrder]) -> Reply:
    return await asyncio.to_thread(csv_reply, "orders", COLUMNS, map(_row, found))


def _row(order: ListedOrder) -> tuple[str | Decimal | bool | None, ...]:
    bought = _first(order.products, order.more_products)
    money = (order.revenue, order.currency)
    why = (order.attributed, _first(order.labels, order.more_labels), order.mode, order.visitor)
    return (order.sale, rfc3339(order.time), *money, *why, bought, order.verified)


def _first(listed: Sequence[str | int], more: int) -> str:
    return ", ".join(map(str, listed)) + (f" and {more} more" if more else "")


def _filter(wanted: Mapping[str, str]) -> OrderFilter:
    """Raises Invalid."""
    until = _midnight(wanted["to"]) + DAY if "to" in wanted else None
    attributed = {"yes": True, "no": False}.get(wanted.get("attributed", ""))
    since = _midnight(wanted["from"]) if "from" in wanted else None
    return OrderFilter(since, until, attributed, wanted.get("product")) if wanted else ALL_ORDERS


def _sieves(wanted: OrderFilter) -> bool:
    """Whether orders have to be read to know which are wanted."""
    return wanted.attributed is not None or wanted.product is not None


def _midnight(day: str) -> int:
    """Raises Invalid."""
    try:
        return day_number(day) * DAY
    except ValueError:
        raise Invalid("Enter a day like 2026-12-01.") from None


def _cursor(asked: AdminCall) -> str | None:
    """The cursor of a search, which is an order. Raises Invalid."""
    cursor = asked.query.get("cursor")
    if cursor is not None and "ref" not in asked.query and not CURSOR_FORM.fullmatch(cursor):
        raise Invalid(TAKE_NEXT)
    return cursor
