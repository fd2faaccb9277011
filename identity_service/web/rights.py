"""Calls for the person's rights: exports and erasures."""

from msgspec import UnsetType

from identity_service.visitor import own_visitor_id
from identity_service.web.calls import count_lookup
from identity_service.web.endpoints import Call, Reply
from identity_service.web.link_payloads import ErasedCounts, ErasureAnswer, ExportAnswer
from identity_service.web.links import handle_of, one_of

NAMES = ("email", "customer", "visitor")


async def export(call: Call) -> Reply:
    one_of(call.body, NAMES)
    count_lookup(call)
    if isinstance(call.body.visitor, UnsetType):
        found = await call.services.rights.export_handle(call.shop, handle_of(call))
    else:
        found = await call.services.rights.export_visitor(call.shop, own_visitor_id(call.body.visitor))
    return Reply(ExportAnswer(**found))


async def erase(call: Call) -> Reply:
    one_of(call.body, NAMES)
    count_lookup(call)
    if isinstance(call.body.visitor, UnsetType):
        erased = await call.services.rights.erase_handle(call.shop, handle_of(call))
    else:
        erased = await call.services.rights.erase_visitor(call.shop, own_visitor_id(call.body.visitor))
    return Reply(ErasureAnswer(ErasedCounts(erased.visitors, erased.links, erased.events)))
