"""Calls for the person's rights: exports and erasures."""

from typing import Any

from msgspec import UnsetType

from identity_service.model.visitor import VisitorId, own_visitor_id
from identity_service.web.calls.link_payloads import ErasedCounts, ErasureAnswer, ExportAnswer, KeptCounts, RightsBody
from identity_service.web.calls.links import handle_of, one_of
from identity_service.web.endpoint import Call, Reply
from identity_service.web.visit import count_lookup, rfc3339

TIMES = frozenset({"time", "decided_at", "first_seen", "last_seen", "expires_at", "granted_at", "clicked_at"})
"""Members of an export that are seconds since 1970 where they are held."""


async def export(call: Call) -> Reply:
    one_of(call.body, RightsBody.exactly_one)
    count_lookup(call)
    visitor, rights = _visitor(call), call.services.rights
    if visitor:
        held = await rights.export_visitor(call.shop, visitor)
    else:
        held = await rights.export_handle(call.shop, handle_of(call), unproven=call.body.unproven)
    return Reply(ExportAnswer(**with_times(held)))


def with_times(held: Any) -> Any:
    """The same with its times in RFC 3339."""
    if isinstance(held, list):
        return [with_times(one) for one in held]
    if not isinstance(held, dict):
        return held
    return {name: rfc3339(one) if name in TIMES and isinstance(one, int) else with_times(one) for name, one in held.items()}


async def erase(call: Call) -> Reply:
    one_of(call.body, RightsBody.exactly_one)
    count_lookup(call)
    visitor, rights, body = _visitor(call), call.services.rights, call.body
    if visitor:
        found = await rights.erase_visitor(call.shop, visitor, dry_run=body.dry_run)
    else:
        found = await rights.erase_handle(call.shop, handle_of(call), unproven=body.unproven, dry_run=body.dry_run)
    erased = ErasedCounts(found.erased.visitors, found.erased.links, found.erased.events)
    return Reply(ErasureAnswer(erased, KeptCounts(found.unproven, found.shared), body.dry_run, call.request_id))


def _visitor(call: Call) -> VisitorId | None:
    """None where an email or a customer ID is named."""
    if not isinstance(call.body.token, UnsetType):
        return call.services.links.named_token(call.shop, call.body.token).visitor
    return None if isinstance(call.body.visitor, UnsetType) else own_visitor_id(call.body.visitor)
