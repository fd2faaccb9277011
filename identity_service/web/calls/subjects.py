"""Whom a tracking call says it is about, by its `visitor`: absent, null, auto, persistent, a token, or a raw ID."""

from msgspec import UNSET, UnsetType

from identity_service.model.policy import Asked
from identity_service.model.token import SHAPE
from identity_service.model.visitor import VisitorId
from identity_service.service.visit import Visit
from identity_service.web.calls.arguments import ASKED, Unread, visitor_text
from identity_service.web.cookies import read_cookies
from identity_service.web.endpoint import Call
from identity_service.web.visit import cookie_signals_of, refusal_of, surroundings_of


def tracked_visit(call: Call, unread: Unread) -> Visit:
    """What can be no visitor is absent. An ID typed into the address stands for a test: it is marked, and links to no email unless the shop
    allows it."""
    typed = _typed(call, unread)
    if typed:
        return visit_named(call, typed, override=True)
    sent = call.body.visitor
    return visit_named(call, None if call.from_query and sent == "" else visitor_text(sent, "visitor", unread))


def _typed(call: Call, unread: Unread) -> str | None:
    """An ID typed into the address, None for none that can be taken."""
    if call.body.clerk_visitor == "":
        return None
    text = visitor_text(call.body.clerk_visitor, "clerk_visitor", unread)
    if isinstance(text, str) and not _can_be_taken(call, text):
        unread.add("clerk_visitor")
        return None
    return text if isinstance(text, str) else None


def _can_be_taken(call: Call, text: str) -> bool:
    if SHAPE.fullmatch(text):
        return bool(call.services.visitors.verified(call.shop, (text,)))
    return text in ASKED or _is_trusted(call)


def _is_trusted(call: Call) -> bool:
    """Whether a raw ID is taken at its word."""
    return call.private or call.shop.accept_unsigned


def visit_named(call: Call, text: str | UnsetType | None, *, override: bool = False) -> Visit:
    """`text`: a `visitor` as `visitor_text` returns it."""
    asked, own, tokens = _named(call, text)
    return Visit(
        shop=call.shop,
        trusted=_is_trusted(call),
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
    if text is None:
        return Asked.NULL, None, ()
    if text == "auto":
        return Asked.AUTO, None, ()
    if text == "persistent":
        return Asked.NOTHING, None, read_cookies(call.headers.get("cookie", ""), call.shop.cookie.name)
    if SHAPE.fullmatch(text):
        return Asked.NOTHING, None, (text,)
    return Asked.OWN, VisitorId(text), ()
