"""The visitors of a customer, and what a visitor did. And consent: receipts, and a preview of a decision."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from identity_service.errors import Invalid
from identity_service.model.consent import Millis
from identity_service.model.utc import rfc3339
from identity_service.model.visitor import VisitorId
from identity_service.service.orders import ListedOrder
from identity_service.web.admin.csv_file import csv_reply
from identity_service.web.admin.pages import AdminCall, View, convert, next_cursor
from identity_service.web.admin.references import (
    HANDLES,
    handle_of_reference,
    lead_to,
    person_in_form,
    reference_maker,
    visitor_of_reference,
)
from identity_service.web.call import Reply
from identity_service.web.calls import visitors as consents
from identity_service.web.calls.links import LookedUpVisitor, visitors_of
from identity_service.web.calls.orders import EventsBody, events_of
from identity_service.web.calls.visitors import DecisionsBody, ReceiptsBody
from identity_service.web.visit import count_lookup, is_ours

NEWEST = 20
"""Events, orders and receipts of a visitor that are shown within a list."""
MOST_OF_EACH = 50
"""Events, orders and receipts on one page of a visitor. Each may have 20 products and labels."""


async def customers(asked: AdminCall) -> View | Reply:
    """The visitors of an email or a customer ID. The form is posted and redirects to the result, so that the value is in no address."""
    empty = {"asked": asked.form or {}, "visitors": None, "fault": None}
    try:
        if asked.form is not None:
            return lead_to("customers", reference_maker(asked)(person_in_form(asked, HANDLES)))
        if "ref" not in asked.query:
            return View("admin/customers.html", empty)
        handle = handle_of_reference(asked)
    except Invalid as error:
        return View("admin/customers.html", empty | {"fault": error.detail}, error.status)
    call = asked.call()
    count_lookup(call)
    found = await visitors_of(call, handle)
    if asked.query.get("as") == "csv":
        return _customers_file(found)
    shown, following = asked.part(found)
    values = {
        "visitors": shown,
        "next": following,
        "count": len(found),
        "what": handle.kind.words,
        "handle": handle,
        "ref": reference_maker(asked),
    }
    return View("admin/customers.html", empty | values)


def _customers_file(found: Sequence[LookedUpVisitor]) -> Reply:
    columns = ("visitor", "mode", "first_seen", "last_seen", "source", "proof", "verified", "shared", "sale_share_opt_out")
    return csv_reply("customers", columns, ([getattr(one, name) for name in columns] for one in found))


async def visitors(asked: AdminCall) -> View | Reply:
    """What is stored about a visitor ID: record, emails and customer IDs, receipts, events and orders."""
    text = (asked.form or {}).get("visitor", "").strip()
    empty = {"asked": text, "visitor": None, "fault": None}
    try:
        if asked.form is not None:
            if "@" in text:
                raise Invalid("This looks like an email. Look it up under Customers.")
            return lead_to("visitors", reference_maker(asked)(person_in_form(asked, ("visitor",))))
        if "ref" not in asked.query:
            return View("admin/visitors.html", empty)
        visitor = visitor_of_reference(asked)
    except Invalid as error:
        return View("admin/visitors.html", empty | {"fault": error.detail}, error.status)
    count_lookup(asked.call())
    services, shop = asked.services, asked.shop
    [state] = await services.store.visitors.states(shop.shop_id, [visitor], int(services.clock()))
    gone = rfc3339(Millis(state.gone_at) // 1000) if state.gone_at is not None else None
    held = await services.admin.holdings.of_visitor(shop, visitor)
    rows = asked.rows(MOST_OF_EACH)
    found, longest = await _activity(asked, visitor, rows)
    values = {
        **found,
        "next": next_cursor(rows, longest),
        "visitor": visitor,
        "gone": gone,
        "record": state.record,
        "holding": held[0] if held else None,
        "handles": (await services.admin.holdings.others(shop, held)).get(visitor, []),
        "ref": reference_maker(asked),
    }
    return View("admin/visitors.html", empty | values)


async def activity(asked: AdminCall) -> View:
    """A part of a page: the newest of what is stored about a visitor. Raises Invalid."""
    visitor = visitor_of_reference(asked)
    count_lookup(asked.call())
    found, longest = await _activity(asked, visitor, slice(NEWEST))
    values = {"visitor": visitor, "newest": NEWEST, "longest": longest, "ref": reference_maker(asked)}
    return View("admin/activity.html", found | values)


async def _activity(asked: AdminCall, visitor: VisitorId, rows: slice) -> tuple[dict[str, Sequence[Any]], int]:
    """These rows of each list, newest first, and how long the longest list is. A receipt has `genuine` beside its members."""
    receipts, shop = asked.services.receipts, asked.shop
    events = (await events_of(asked.call(EventsBody(visitor=visitor)))).events
    bought, orders = await asked.services.orders.of_visitor(shop, ListedOrder.of, visitor, rows)
    proofs, receipt_count = await receipts.listed_of_visitor(shop, visitor, rows)
    signed = [one.members() | {"genuine": receipts.is_valid(shop, one)} for one in proofs]
    return {"events": events[rows], "orders": bought, "receipts": signed}, max(len(events), orders, receipt_count)


async def consent(asked: AdminCall) -> View:
    """Receipts, by visitor or by receipt ID, and a preview of a decision."""
    values = {"asked": asked.form or {}, "receipts": None, "decision": None, "fault": None, "example": _example(asked)}
    if asked.form is None:
        return View("admin/consent.html", values)
    try:
        if "receipt_id" in asked.form:
            answer = await consents.receipts(asked.call(asked.body(ReceiptsBody, "visitor", "receipt_id")))
            found = [msgspec.to_builtins(one) for one in answer.body.receipts]
            checked = [one | {"genuine": is_ours(asked.services.receipts, [asked.shop], one)} for one in found]
            return View("admin/consent.html", values | {"receipts": checked})
        decided = await consents.decisions(asked.call(_decision(asked.form)))
        return View("admin/consent.html", values | {"decision": decided.body})
    except Invalid as error:
        return View("admin/consent.html", values | {"fault": error.detail}, error.status)


def _decision(form: Mapping[str, str]) -> DecisionsBody:
    """Raises Invalid if the body is not JSON or has undocumented members."""
    try:
        return convert(msgspec.json.decode(form.get("call", "")), DecisionsBody)
    except (msgspec.DecodeError, RecursionError):
        raise Invalid("Enter the body as JSON.") from None


def _example(asked: AdminCall) -> str:
    body = {"consent": {"purposes": {"storage": "granted", "measurement": "granted"}}, "client": {"region": "FR", "gpc": True}}
    return msgspec.json.format(msgspec.json.encode(body | {"policy": asked.shop.policy.name}), indent=2).decode()
