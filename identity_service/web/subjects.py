"""Whom a tracking call is about, from its `visitor`: absent, null, auto, persistent, a token, or a raw ID."""

from dataclasses import replace
from typing import Any

from msgspec import UNSET, UnsetType

from identity_service.errors import Invalid
from identity_service.policy import Asked
from identity_service.service.tracking import Subject
from identity_service.service.visits import Visit
from identity_service.signing import SHAPE
from identity_service.visitor import own_visitor_id
from identity_service.web.calls import cookie_signals_of, refused_before, surroundings_of
from identity_service.web.cookies import read_cookies
from identity_service.web.endpoints import Call


async def subject_of(call: Call) -> Subject:
    """Raises Invalid for what is none of them. An ID typed into the address stands for a test: it is marked, and links to no email unless
    the shop allows it."""
    typed = call.body.clerk_visitor
    if isinstance(typed, str) and typed:
        subject = await subject_named(call, typed)
        return replace(subject, override=True, linkable=subject.linkable and call.shop.link_overrides)
    sent = call.body.visitor
    return await subject_named(call, str(sent) if isinstance(sent, int) else sent)


async def subject_named(call: Call, text: str | UnsetType | None) -> Subject:
    """`text`: a `visitor` as it is sent."""
    shared: dict[str, Any] = {
        "shop": call.shop,
        "trusted": call.private,
        "surroundings": surroundings_of(call, UNSET),
        "refused_before": refused_before(call),
        "signals": cookie_signals_of(call),
    }
    return await call.services.tracking.subject(Visit(**_named(call, text), **shared))


def _named(call: Call, text: str | UnsetType | None) -> dict[str, Any]:
    if isinstance(text, UnsetType):
        return {"asked": Asked.NOTHING}
    if text is None or text == "":
        return {"asked": Asked.NULL}
    if text == "auto":
        return {"asked": Asked.AUTO}
    if text == "persistent":
        return {"asked": Asked.NOTHING, "tokens": read_cookies(call.headers.get("cookie", ""), call.shop.cookie.name)}
    if SHAPE.fullmatch(text):
        return {"asked": Asked.NOTHING, "tokens": (text,)}
    try:
        return {"asked": Asked.OWN, "own": own_visitor_id(text)}
    except Invalid:
        raise Invalid("Invalid Syntax In Argument: visitor") from None
