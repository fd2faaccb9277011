"""Clerk's privacy calls: what is held of a person, and its erasure. They take a private key beside the public one."""

from typing import Any

from msgspec import UNSET

from identity_service.errors import Invalid
from identity_service.model.handle import Handle
from identity_service.model.token import SHAPE
from identity_service.model.visitor import VisitorId, own_visitor_id
from identity_service.web.calls.tracking_payloads import ActivityEntry, PrivacyAnswer, TrackingAnswer
from identity_service.web.endpoint import Call, Reply
from identity_service.web.tracking_endpoint import note_call
from identity_service.web.visit import count_lookup, rfc3339


async def inform(call: Call) -> Reply:
    count_lookup(call)
    rights = call.services.rights
    handle = _handle(call)
    if handle:
        export = await rights.export_handle(call.shop, handle)
    else:
        export = await rights.export_visitor(call.shop, _visitor(call))
    note_call(call)
    activity = [_entry(one["visitor"], event) for one in export["visitors"] for event in one.get("events", [])]
    return Reply(PrivacyAnswer("ok", [_order(order) for order in export["orders"]], activity))


async def forget(call: Call) -> Reply:
    count_lookup(call)
    rights = call.services.rights
    handle = _handle(call)
    if handle:
        await rights.erase_handle(call.shop, handle)
    else:
        await rights.erase_visitor(call.shop, _visitor(call))
    note_call(call)
    return Reply(TrackingAnswer())


def _handle(call: Call) -> Handle | None:
    """None where a visitor is named. Raises Invalid where nobody is, or more than one: half an erasure must not be answered ok."""
    body, shop = call.body, call.shop.shop_id
    named = [name for name in ("email", "customer", "visitor") if getattr(body, name) not in {UNSET, None, ""}]
    if len(named) > 1:
        raise Invalid(f"Invalid Syntax In Argument: {named[1]}")
    if not named:
        raise Invalid("Missing required argument: email")
    if named == ["email"]:
        return call.services.handles.of_email(shop, body.email)
    if named == ["customer"]:
        return call.services.handles.of_customer(shop, str(body.customer))
    return None


def _visitor(call: Call) -> VisitorId:
    """By a token or an ID. Raises Invalid for anything else."""
    text = str(call.body.visitor)
    return call.services.links.named_token(call.shop, text).visitor if SHAPE.fullmatch(text) else own_visitor_id(text)


def _order(order: dict[str, Any]) -> dict[str, Any]:
    credited = [credit | {"clicked_at": rfc3339(credit["clicked_at"])} for credit in order.get("attribution", [])]
    return order | {"time": rfc3339(order["time"])} | ({"attribution": credited} if credited else {})


def _entry(visitor: str, event: dict[str, Any]) -> ActivityEntry:
    parts = [*map(str, event.get("products", [])), event.get("text", ""), *event.get("labels", [])]
    return ActivityEntry(visitor, event["type"], ", ".join(part for part in parts if part), rfc3339(event["time"]))
