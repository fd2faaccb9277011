"""Tracking calls in the wire format of Clerk's public API (docs.clerk.io): same paths, same bodies, same answers."""

from decimal import Decimal
from typing import Any

from msgspec import UNSET, UnsetType

from identity_service.errors import Invalid
from identity_service.event import Click, Sale, SaleLine
from identity_service.handle import Handle
from identity_service.metrics import UNUSABLE_HANDLES
from identity_service.policy import Asked
from identity_service.service.tracking import Subject
from identity_service.service.visits import Visit
from identity_service.signing import SHAPE
from identity_service.visitor import own_visitor_id
from identity_service.web.calls import refused_before, surroundings_of
from identity_service.web.cookies import read_cookies
from identity_service.web.endpoints import Call, Reply
from identity_service.web.tracking_payloads import ProductLine, TrackingAnswer, VisitorIdAnswer

LARGEST_PRICE = Decimal(10) ** 9
OK = Reply(TrackingAnswer())


async def log_sale(call: Call) -> Reply:
    sale, products = require(call.body, "sale"), require(call.body, "products")
    if not products or str(sale).strip() == "":
        raise Invalid(f"Invalid Syntax In Argument: {'sale' if products else 'products'}")
    lines = tuple(_line(product) for product in products)
    subject = await _subject(call)
    handles = [handle for handle in (_email(call, call.body.email), _customer(call, call.body.customer)) if handle]
    sold = Sale(str(sale), lines, int(call.services.clock()))
    await call.services.tracking.sale(call.shop, subject, sold, handles, call.private)
    return OK


async def log_click(call: Call) -> Reply:
    product = require(call.body, "product")
    labels = tuple(label.strip() for label in call.body.labels or () if label.strip())
    api = call.body.api if isinstance(call.body.api, str) else None
    await call.services.tracking.click(call.shop, await _subject(call), Click(product, labels, api, int(call.services.clock())))
    return OK


async def log_email(call: Call) -> Reply:
    email = require(call.body, "email")
    await call.services.tracking.email(call.shop, await _subject(call), _email(call, email), call.private)
    return OK


async def visitor_id(call: Call) -> Reply:
    visit = Visit(
        shop=call.shop,
        trusted=call.private,
        asked=Asked.AUTO,
        surroundings=surroundings_of(call, UNSET),
        refused_before=refused_before(call),
    )
    subject = await call.services.tracking.subject(visit)
    return Reply(VisitorIdAnswer("ok", subject.visitor))


def require(body: Any, name: str) -> Any:
    value = getattr(body, name)
    if isinstance(value, UnsetType):
        raise Invalid(f"Missing required argument: {name}")
    return value


async def _subject(call: Call) -> Subject:
    sent = call.body.visitor
    text = str(sent) if isinstance(sent, int) else sent
    shared: dict[str, Any] = {
        "shop": call.shop,
        "trusted": call.private,
        "surroundings": surroundings_of(call, UNSET),
        "refused_before": refused_before(call),
    }
    if text is None or text == "":
        return await call.services.tracking.subject(Visit(asked=Asked.NULL, **shared))
    if isinstance(text, UnsetType):
        return await call.services.tracking.subject(Visit(asked=Asked.NOTHING, **shared))
    if text == "auto":
        return await call.services.tracking.subject(Visit(asked=Asked.AUTO, **shared))
    if text == "persistent":
        cookies = read_cookies(call.headers.get("cookie", ""), call.shop.cookie.name)
        return await call.services.tracking.subject(Visit(asked=Asked.NOTHING, tokens=cookies, **shared))
    if SHAPE.fullmatch(text):
        return await call.services.tracking.subject(Visit(asked=Asked.NOTHING, tokens=(text,), **shared))
    try:
        own = own_visitor_id(text)
    except Invalid:
        raise Invalid("Invalid Syntax In Argument: visitor") from None
    return await call.services.tracking.subject(Visit(asked=Asked.OWN, own=own, **shared))


def _line(product: ProductLine | str | int) -> SaleLine:
    line = product if isinstance(product, ProductLine) else ProductLine(product)
    if line.price is not None and not (line.price.is_finite() and 0 <= line.price <= LARGEST_PRICE):
        raise Invalid("Invalid Syntax In Argument: products")
    if isinstance(line.id, str) and not 0 < len(line.id) <= 255:
        raise Invalid("Invalid Syntax In Argument: products")
    return SaleLine(line.id, line.quantity, line.price)


def _email(call: Call, email: str | UnsetType | None) -> Handle | None:
    """Guests come with an empty email, scripts with `null`: those link nothing, and are no error."""
    if not isinstance(email, str):
        return None
    try:
        return call.services.handles.of_email(call.shop.shop_id, email)
    except Invalid:
        UNUSABLE_HANDLES.inc()
        return None


def _customer(call: Call, customer: str | int | UnsetType | None) -> Handle | None:
    if not isinstance(customer, str | int):
        return None
    try:
        return call.services.handles.of_customer(call.shop.shop_id, str(customer))
    except Invalid:
        UNUSABLE_HANDLES.inc()
        return None
