"""Tracking calls in the wire format of Clerk's public API (docs.clerk.io): same paths, same bodies, same answers."""

from collections.abc import Sequence
from decimal import Decimal

import msgspec
from msgspec import UnsetType

from identity_service.errors import Invalid
from identity_service.event import Event, EventType, ProductId, Sale, SaleLine, clean_labels, without_emails
from identity_service.handle import Handle
from identity_service.link import Proof
from identity_service.metrics import UNUSABLE_HANDLES
from identity_service.policy import Asked
from identity_service.service.subjects import Subject
from identity_service.service.tally import Called
from identity_service.shop import ProductIds
from identity_service.visitor import Kind
from identity_service.web.calls import keep_opt_out, rfc3339
from identity_service.web.endpoints import Call, Reply
from identity_service.web.subjects import tracked_visit, visit_named
from identity_service.web.tracking_endpoint import note_call
from identity_service.web.tracking_payloads import MOST_OF_A_LINE, ProductLine, TokenAnswer, TrackingAnswer, VisitorIdAnswer

LARGEST_PRICE = Decimal(10) ** 9
MOST_DIGITS = 28
MOST_SHOWN = 100
DONE = {"log/cart/add": "add", "log/cart/remove": "remove", "log/cart/update": "update"}
OK = Reply(msgspec.json.encode(TrackingAnswer()))


async def log_sale(call: Call) -> Reply:
    sale, products = call.body.sale, call.body.products
    if not products or str(sale).strip() == "":
        raise Invalid(f"Invalid Syntax In Argument: {'sale' if products else 'products'}")
    sold = Sale(str(sale), tuple(_line(call, product) for product in products), _now(call))
    handles = [handle for handle in (_email(call, call.body.email), _customer(call, call.body.customer)) if handle]
    logged = await call.services.sales.log(tracked_visit(call), sold, handles, _claimed(call))
    subject, attribution = logged.subject, logged.attribution
    await keep_opt_out(call, subject.visitor)
    return _done(call, subject, attribution.labels if attribution else None)


async def log_click(call: Call) -> Reply:
    product = _product(call, call.body.product, "product")
    labels = clean_labels(None if isinstance(call.body.labels, UnsetType) else call.body.labels)
    event = Event(EventType.CLICK, _now(call), (product,), labels, _text(call.body.api))
    subject, found = await call.services.tracking.log(tracked_visit(call), event)
    if subject.automated:
        call.services.tally.robot_clicked(call.shop.shop_id)
    else:
        call.services.tally.clicked(call.shop.shop_id, product, found, visitor=subject.visitor is not None)
    return _done(call, subject, found or labels)


async def log_results(call: Call) -> Reply:
    labels, products = clean_labels(call.body.labels), call.body.products
    if not labels:
        raise Invalid("Invalid Syntax In Argument: labels")
    shown = tuple(_line(call, product).product for product in products)[:MOST_SHOWN]
    return await _log(call, EventType.RESULTS, shown, labels=labels, api=_text(call.body.api))


async def log_product(call: Call) -> Reply:
    return await _log(call, EventType.PRODUCT, (_product(call, call.body.product, "product"),))


async def log_category(call: Call) -> Reply:
    return await _log(call, EventType.CATEGORY, text=without_emails(str(call.body.category)))


async def log_search(call: Call) -> Reply:
    labels = clean_labels(None if isinstance(call.body.labels, UnsetType) else call.body.labels)
    return await _log(call, EventType.SEARCH, text=without_emails(call.body.query), labels=labels)


async def log_basket(call: Call) -> Reply:
    """A basket may be emptied; its email links as one of `log/email` does. What was done to a cart is told beside the products."""
    held = tuple(_line(call, product).product for product in call.body.products)[:MOST_SHOWN]
    visit = tracked_visit(call)
    subject, _ = await call.services.tracking.log(visit, Event(EventType.BASKET, _now(call), held, text=DONE.get(call.name)))
    if email := _email(call, call.body.email):
        await call.services.tracking.email(visit, email, _claimed(call))
    return _done(call, subject)


async def log_returned(call: Call) -> Reply:
    return await _log(call, EventType.RETURNED, (_product(call, call.body.product, "product"),), text=str(call.body.order))


async def log_email(call: Call) -> Reply:
    subject = await call.services.tracking.email(tracked_visit(call), _email(call, call.body.email), _claimed(call))
    await keep_opt_out(call, subject.visitor)
    return _done(call, subject)


async def log_debug(call: Call) -> Reply:
    """Nothing of a debug message is kept: nobody knows what it holds."""
    call.services.tally.called(call.shop.shop_id, Called(call.name, "none"))
    return OK


async def visitor_id(call: Call) -> Reply:
    subject = await call.services.subjects.find(visit_named(call, None if call.body.visitor is None else Asked.AUTO))
    note_call(call)
    return Reply(VisitorIdAnswer("ok", subject.visitor))


async def verify_token(call: Call) -> Reply:
    token, fault = await call.services.links.verify(call.shop, call.body.token)
    if token is None or fault is not None:
        raise Invalid("Invalid token")
    note_call(call)
    mode = "persistent" if token.kind is Kind.PERSISTENT else "cookieless"
    return Reply(TokenAnswer("ok", {"visitor": token.visitor, "mode": mode, "issued_at": rfc3339(token.issued_at)}))


async def _log(
    call: Call,
    kind: EventType,
    products: tuple[ProductId, ...] = (),
    *,
    text: str | None = None,
    labels: tuple[str, ...] | None = None,
    api: str | None = None,
) -> Reply:
    subject, _ = await call.services.tracking.log(tracked_visit(call), Event(kind, _now(call), products, labels, api, text or None))
    return _done(call, subject, labels)


def _done(call: Call, subject: Subject, labels: Sequence[str] | None = None) -> Reply:
    told = Called(call.name, "bot" if subject.automated else subject.mode, tuple(labels) if labels is not None else None)
    call.services.tally.called(call.shop.shop_id, told)
    return OK


def _claimed(call: Call) -> Proof:
    """What the caller can show at most that an email is its visitor's."""
    if call.body.markup:
        return Proof.NONE
    return Proof.KEY if call.private else Proof.TOKEN


def _now(call: Call) -> int:
    return int(call.services.clock())


def _text(value: str | UnsetType | None) -> str | None:
    return without_emails(value) or None if isinstance(value, str) else None


def _line(call: Call, product: ProductLine | str | int) -> SaleLine:
    line = product if isinstance(product, ProductLine) else ProductLine(product)
    if line.price is not None and not _is_price(line.price):
        raise Invalid("Invalid Syntax In Argument: products")
    return SaleLine(_product(call, line.id, "products"), line.quantity or _in_cart(line), line.price)


def _in_cart(line: ProductLine) -> int:
    return line.qty if line.qty and 0 < line.qty <= MOST_OF_A_LINE else 1


def _is_price(price: Decimal) -> bool:
    """A few bytes like 1e-999999 must not become a megabyte of text."""
    if not (price.is_finite() and 0 <= price <= LARGEST_PRICE):
        return False
    _, digits, exponent = price.as_tuple()
    return len(digits) <= MOST_DIGITS and isinstance(exponent, int) and -MOST_DIGITS <= exponent <= MOST_DIGITS


def _product(call: Call, product: str | int, argument: str) -> ProductId:
    """A query has no types: there a value takes the shop's."""
    wanted, typed = call.shop.product_ids, product
    if call.from_query and wanted is ProductIds.INTEGER and isinstance(product, str) and product.isascii() and product.isdigit():
        typed = int(product)
    if call.from_query and wanted is ProductIds.STRING:
        typed = str(product)
    fits = wanted is ProductIds.ANY or isinstance(typed, int) == (wanted is ProductIds.INTEGER)
    if not fits or (isinstance(typed, str) and not 0 < len(typed) <= 255):
        raise Invalid(f"Invalid Syntax In Argument: {argument}")
    return typed


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
