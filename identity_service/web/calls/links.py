"""Calls that link visitors to emails and customer IDs, and look them up."""

import asyncio
from typing import Any

from msgspec import UNSET, UnsetType

from identity_service.errors import Forbidden, Invalid
from identity_service.model.handle import Handle
from identity_service.model.link import LinkSource, Proof
from identity_service.model.token import Token
from identity_service.model.visitor import VisitorId, own_visitor_id
from identity_service.service.links import MOST_IN_BATCH, LinkedVisitor
from identity_service.web.calls.link_payloads import BatchResult, LinkAnswer, LookedUpVisitor, LookupAnswer, LookupBody, UnlinkAnswer
from identity_service.web.cookies import read_cookies
from identity_service.web.endpoint import Call, Reply
from identity_service.web.visit import count_lookup, email_handle, keep_opt_out, rfc3339

EXACT_FLOAT = 2**53


async def link(call: Call) -> Reply:
    handle = handle_of(call)
    who = _who(call)
    proof = Proof.NONE if call.body.markup else Proof.KEY if call.private else Proof.TOKEN
    visitor = await call.services.links.link(call.shop, handle, who, proof, LinkSource.LINK)
    await keep_opt_out(call, visitor)
    return Reply(LinkAnswer(True, visitor, proof is Proof.KEY, proof.value))


async def unlink(call: Call) -> Reply:
    handle = handle_of(call)
    who = _who(call)
    visitor = who.visitor if isinstance(who, Token) else who
    return Reply(UnlinkAnswer(await call.services.links.unlink(call.shop, handle, visitor), visitor))


async def look_up(call: Call) -> Reply:
    body, links = call.body, call.services.links
    one_of(body, LookupBody.exactly_one)
    count_lookup(call, 1 if isinstance(body.emails, UnsetType) else len(body.emails))
    if not isinstance(body.emails, UnsetType):
        return Reply(LookupAnswer(results=await _batch(call, body.emails)))
    if not isinstance(body.visitor, UnsetType):
        found = await links.of_visitor(call.shop, own_visitor_id(body.visitor))
    else:
        found = await links.of_handle(call.shop, handle_of(call))
    return Reply(LookupAnswer(visitors=[_shown(linked) for linked in found]))


def handle_of(call: Call) -> Handle:
    """The one handle that the body names. Raises Invalid for none, two, or a junk value."""
    body, handles, shop = call.body, call.services.handles, call.shop.shop_id
    name = one_of(body, ("email", "email_sha256", "customer"))
    value = getattr(body, name)
    if name == "email":
        return email_handle(call, value)
    return handles.of_customer(shop, _customer_text(value)) if name == "customer" else handles.of_email_sha256(shop, value)


def _customer_text(value: str | int | float) -> str:
    """12.0 is 12. Raises Invalid for a number that is not whole, or too large to be exact."""
    if isinstance(value, float) and not (value.is_integer() and abs(value) < EXACT_FLOAT):
        raise Invalid("customer: is a text or a whole number")
    return value if isinstance(value, str) else str(int(value))


def one_of(body: Any, names: tuple[str, ...]) -> str:
    """Raises Invalid unless exactly one of the members is there and not null."""
    present = [name for name in names if getattr(body, name, UNSET) not in (UNSET, None)]
    if len(present) != 1:
        raise Invalid(f"Send exactly one of the members {', '.join(name for name in names if hasattr(body, name))}.")
    return present[0]


def _who(call: Call) -> Token | VisitorId:
    """A token from body or cookie, or with a private key an ID."""
    body = call.body
    if isinstance(body.token, str):
        return call.services.links.named_token(call.shop, body.token)
    if isinstance(body.visitor, str):
        if not call.private:
            raise Forbidden("visitor: with a public key send the visitor's token; only a private key may name an ID.")
        return own_visitor_id(body.visitor)
    for text in read_cookies(call.headers.get("cookie", ""), call.shop.cookie.name):
        return call.services.links.named_token(call.shop, text)
    raise Invalid("token: send the visitor's token, or with a private key its visitor ID")


async def _batch(call: Call, emails: list[str]) -> list[BatchResult]:
    handles: list[Handle | None] = []
    for email in emails:
        try:
            handles.append(call.services.handles.of_email(call.shop.shop_id, email))
        except Invalid:
            handles.append(None)
        if not email.isascii():  # each takes as long as a call
            await asyncio.sleep(0)
    asked = [handle for handle in handles if handle]
    found = iter(await call.services.links.of_handles(call.shop, asked, MOST_IN_BATCH))
    return [_batch_result(next(found)) if handle else BatchResult(error="invalid") for handle in handles]


def _batch_result(linked: list[LinkedVisitor]) -> BatchResult:
    return BatchResult(visitors=[_shown(one) for one in linked[:MOST_IN_BATCH]], more=len(linked) > MOST_IN_BATCH)


def _shown(linked: LinkedVisitor) -> LookedUpVisitor:
    link = linked.link
    return LookedUpVisitor(
        visitor=link.visitor,
        mode=linked.mode.value,
        first_seen=rfc3339(link.first_seen),
        last_seen=rfc3339(link.last_seen),
        source=link.source.value,
        verified=link.verified,
        proof=link.proof.value,
        shared=linked.shared,
        sale_share_opt_out=linked.sale_share_opt_out,
        consent_ends_at=UNSET if linked.consent_ends_at is None else rfc3339(linked.consent_ends_at),
        emails=UNSET if linked.emails is None else list(linked.emails),
    )
