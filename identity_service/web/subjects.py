"""Whom a tracking call says it is about, by its `visitor`: absent, null, auto, persistent, a token, or a raw ID."""

from msgspec import UNSET, UnsetType

from identity_service.errors import Invalid
from identity_service.policy import Asked
from identity_service.service.visits import Visit
from identity_service.signing import SHAPE
from identity_service.visitor import VisitorId, own_visitor_id
from identity_service.web.calls import cookie_signals_of, refusal_of, surroundings_of
from identity_service.web.cookies import read_cookies
from identity_service.web.endpoints import Call


def tracked_visit(call: Call) -> Visit:
    """Raises Invalid for what is none of them. An ID typed into the address stands for a test: it is marked, and links to no email unless
    the shop allows it."""
    typed, sent = call.body.clerk_visitor, call.body.visitor
    if isinstance(typed, str) and typed:
        return visit_named(call, typed, override=True)
    return visit_named(call, str(sent) if isinstance(sent, int) else sent)


def visit_named(call: Call, text: str | UnsetType | None, *, override: bool = False) -> Visit:
    """`text`: a `visitor` as it is sent."""
    asked, own, tokens = _named(call, text)
    return Visit(
        shop=call.shop,
        trusted=call.private or call.shop.accept_unsigned,
        asked=asked,
        own=own,
        tokens=tokens,
        signals=cookie_signals_of(call),
        surroundings=surroundings_of(call, UNSET),
        refusal=refusal_of(call),
        override=override,
    )


def _named(call: Call, text: str | UnsetType | None) -> tuple[Asked, VisitorId | None, tuple[str, ...]]:
    """What is asked for, an own ID, and tokens."""
    if isinstance(text, UnsetType):
        return Asked.NOTHING, None, ()
    if text is None or text == "":
        return Asked.NULL, None, ()
    if text == "auto":
        return Asked.AUTO, None, ()
    if text == "persistent":
        return Asked.NOTHING, None, read_cookies(call.headers.get("cookie", ""), call.shop.cookie.name)
    if SHAPE.fullmatch(text):
        return Asked.NOTHING, None, (text,)
    try:
        return Asked.OWN, own_visitor_id(text), ()
    except Invalid:
        raise Invalid("Invalid Syntax In Argument: visitor") from None
