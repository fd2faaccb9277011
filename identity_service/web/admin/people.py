"""Pages about people: customers, visitors, consent. Values are posted, so that they appear in no URL."""

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from identity_service.errors import Invalid
from identity_service.model.consent import Millis
from identity_service.model.handle import Handle
from identity_service.model.visitor import own_visitor_id
from identity_service.web.admin.pages import AdminCall, View, convert
from identity_service.web.call import Reply
from identity_service.web.calls import links, orders
from identity_service.web.calls import links as rights
from identity_service.web.calls import visitors as consents
from identity_service.web.calls.links import ErasureBody, LookupBody, RightsBody
from identity_service.web.calls.orders import EventsBody
from identity_service.web.calls.visitors import DecisionsBody, ReceiptsBody
from identity_service.web.visit import rfc3339

HANDLES = ("email", "customer")
NAMES = (*HANDLES, "visitor")


async def customers(asked: AdminCall) -> View:
    """The visitors of an email or a customer ID."""
    values = {"asked": asked.form or {}, "visitors": None, "fault": None, "next": None, "count": 0}
    if asked.form is None:
        return View("admin/customers.html", values)
    try:
        _filled_field(asked, HANDLES)
        answer = await links.look_up(asked.call(asked.body(LookupBody, *HANDLES)))
    except Invalid as error:
        return View("admin/customers.html", values | {"fault": error.detail}, error.status)
    shown, following = asked.part(answer.body.visitors)
    return View("admin/customers.html", values | {"visitors": shown, "next": following, "count": len(answer.body.visitors)})


def _filled_field(asked: AdminCall, names: tuple[str, ...]) -> tuple[str, str]:
    """Name and value of the only field that is filled in. Raises Invalid."""
    filled = [(name, text) for name in names if asked.form and (text := asked.form.get(name, "").strip())]
    if len(filled) != 1:
        raise Invalid("Enter either an email or a customer ID.")
    return filled[0]


async def export(asked: AdminCall) -> Reply:
    _filled_field(asked, NAMES)
    answer = await rights.export(asked.call(asked.body(RightsBody, *NAMES)))
    body = msgspec.json.format(msgspec.json.encode(answer.body), indent=2)
    return Reply(body, media="application/json", headers=[(b"content-disposition", b'attachment; filename="export.json"')])


async def erasure(asked: AdminCall) -> View:
    """Shows what will be erased, and erases it after the value is entered again."""
    name, value = _filled_field(asked, NAMES)
    body, confirmed = asked.body(ErasureBody, *NAMES), (asked.form or {}).get("confirmation")
    if confirmed is not None and _is_same(asked, name, confirmed, value):
        answer = await rights.erase(asked.call(body))
        return View("admin/erased.html", {"name": name, "answer": answer.body})
    going = (await rights.erase(asked.call(replace(body, dry_run=True)))).body
    held = (await rights.export(asked.call(body))).body
    fault = None if confirmed is None else "The values differ, so nothing was erased. Enter the same value again."
    goes = {"going": going, "orders": len(held.orders), "receipts": sum(len(one.get("receipts", [])) for one in held.visitors)}
    return View("admin/erase.html", {"name": name, "value": value, "fault": fault, **goes}, 200 if fault is None else 422)


def _is_same(asked: AdminCall, name: str, typed: str, named: str) -> bool:
    if name == "visitor":
        return typed.strip() == named.strip()
    handles, shop = asked.services.handles, asked.shop.shop_id

    def handle(text: str) -> Handle:
        return handles.of_email(shop, text) if name == "email" else handles.of_customer(shop, text)

    try:
        return handle(typed) == handle(named)
    except Invalid:
        return False


async def visitors(asked: AdminCall) -> View:
    """What is stored about a visitor ID: record, links, receipts, events and orders."""
    empty = {"asked": "", "visitor": None, "fault": None}
    if asked.form is None:
        return View("admin/visitors.html", empty)
    text = asked.form.get("visitor", "").strip()
    try:
        visitor = own_visitor_id(text)
    except Invalid as error:
        return View("admin/visitors.html", empty | {"asked": text, "fault": error.detail}, error.status)
    [state] = await asked.services.store.visitors.states(asked.shop.shop_id, [visitor], int(asked.services.clock()))
    held = await asked.services.rights.export_visitor(asked.shop, visitor)
    events = (await orders.events(asked.call(EventsBody(visitor=visitor)))).body.events
    gone = rfc3339(Millis(state.gone_at) // 1000) if state.gone_at is not None else None
    bought, following = asked.part(sorted(held["orders"], key=lambda order: -order["time"]))
    values = {"asked": text, "visitor": visitor, "held": held["visitors"], "orders": bought, "events": events, "gone": gone}
    values |= {"next": following}
    return View("admin/visitors.html", empty | values)


async def consent(asked: AdminCall) -> View:
    """Receipts, by visitor or by receipt ID, and a preview of a decision."""
    values = {"asked": asked.form or {}, "receipts": None, "decision": None, "fault": None, "example": _example(asked)}
    if asked.form is None:
        return View("admin/consent.html", values)
    try:
        if "receipt_id" in asked.form:
            answer = await consents.receipts(asked.call(asked.body(ReceiptsBody, "visitor", "receipt_id")))
            return View("admin/consent.html", values | {"receipts": answer.body.receipts})
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
