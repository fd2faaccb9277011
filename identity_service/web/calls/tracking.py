"""Tracking calls in the wire format of Clerk's public API (docs.clerk.io): same paths, same bodies, same answers."""

from collections.abc import Callable, Sequence

import msgspec

from identity_service.errors import Invalid
from identity_service.model.event import Event, EventType, ProductId, Sale, first_products, shown_products, without_emails
from identity_service.model.handle import Handle
from identity_service.model.link import Proof
from identity_service.model.policy import Asked
from identity_service.model.visitor import Kind
from identity_service.server.metrics import UNUSABLE_HANDLES
from identity_service.service.counters import Called
from identity_service.service.sell import ToldSale
from identity_service.service.subjects import Subject
from identity_service.web.calls.arguments import (
    IdRule,
    Unread,
    currency,
    email_text,
    handle_text,
    label_texts,
    pieces,
    product_id,
    sale_id,
    sale_lines,
)
from identity_service.web.calls.subjects import tracked_visit, visit_named
from identity_service.web.calls.tracking_payloads import TokenAnswer, TrackingAnswer, VisitorIdAnswer
from identity_service.web.endpoint import Call, Reply
from identity_service.web.tracking_endpoint import note_call
from identity_service.web.visit import customer_handle, email_handle, keep_opt_out, rfc3339

DONE = {"log/cart/add": "add", "log/cart/remove": "remove", "log/cart/update": "update"}
NO = (False, 0, "0", "false", "", None)
OK = Reply(msgspec.json.encode(TrackingAnswer()))


async def log_sale(call: Call) -> Reply:
    unread = Unread()
    lines = sale_lines(call.body.products, _ids(call), unread)
    if not lines:
        raise Invalid("Invalid Syntax In Argument: products")
    sold = Sale(sale_id(call.body.sale, "sale"), lines, _now(call))
    handles = [handle for handle in (_email(call, unread), _customer(call, unread)) if handle]
    told = ToldSale(sold, handles, _claimed(call), call.private, currency(call.body.currency, unread))
    logged = await call.services.sales.log(tracked_visit(call, unread), told)
    subject, attribution = logged.subject, logged.attribution
    await keep_opt_out(call, subject.visitor if subject.signed else None)
    return _done(call, subject, unread, attribution.labels if attribution else None)


async def log_click(call: Call) -> Reply:
    unread, product = Unread(), _product(call)
    labels = label_texts(call.body.labels, unread)
    event = Event(EventType.CLICK, _now(call), (product,), labels, _text(call.body.api))
    subject, found = await call.services.tracking.log(tracked_visit(call, unread), event)
    if subject.automated:
        call.services.tally.robot_clicked(call.shop.shop_id)
    else:
        call.services.tally.clicked(call.shop.shop_id, product, found, visitor=subject.visitor is not None, private=call.private)
    return _done(call, subject, unread, found or labels)


async def log_results(call: Call) -> Reply:
    unread = Unread()
    labels = label_texts(call.body.labels, unread)
    shown = shown_products(line.product for line in sale_lines(call.body.products, _ids(call), unread))
    if not labels:
        raise Invalid("Invalid Syntax In Argument: labels")
    return await _log(call, unread, EventType.RESULTS, shown, labels=labels, api=_text(call.body.api))


async def log_product(call: Call) -> Reply:
    return await _log(call, Unread(), EventType.PRODUCT, (_product(call),))


async def log_category(call: Call) -> Reply:
    return await _log(call, Unread(), EventType.CATEGORY, text=without_emails(str(call.body.category)))


async def log_search(call: Call) -> Reply:
    unread = Unread()
    labels = label_texts(call.body.labels, unread)
    return await _log(call, unread, EventType.SEARCH, text=without_emails(call.body.query), labels=labels)


async def log_basket(call: Call) -> Reply:
    """A basket may be emptied; its email links as one of `log/email` does. What was done to a cart is told beside the products."""
    unread = Unread()
    held, email = _products(call, unread), _email(call, unread)
    visit = tracked_visit(call, unread)
    subject, _ = await call.services.tracking.log(visit, Event(EventType.BASKET, _now(call), held, text=DONE.get(call.name)))
    if email:
        await call.services.tracking.email(visit, email, _claimed(call))
    return _done(call, subject, unread)


async def log_returned(call: Call) -> Reply:
    unread, order = Unread(), sale_id(call.body.order, "order")
    product, quantity = _product(call), pieces(call.body.quantity, "quantity", unread)
    await call.services.returns.log(call.shop, order, product, quantity)
    return await _log(call, unread, EventType.RETURNED, (product,), text=order)


async def log_email(call: Call) -> Reply:
    unread = Unread()
    email = _email(call, unread)
    subject = await call.services.tracking.email(tracked_visit(call, unread), email, _claimed(call))
    await keep_opt_out(call, subject.visitor if subject.signed else None)
    return _done(call, subject, unread)


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
    unread: Unread,
    kind: EventType,
    products: tuple[ProductId, ...] = (),
    *,
    text: str | None = None,
    labels: tuple[str, ...] | None = None,
    api: str | None = None,
) -> Reply:
    event = Event(kind, _now(call), products, labels, api, text or None)
    subject, _ = await call.services.tracking.log(tracked_visit(call, unread), event)
    return _done(call, subject, unread, labels)


def _done(call: Call, subject: Subject, unread: Unread, labels: Sequence[str] | None = None) -> Reply:
    if subject.unread:
        unread.add("visitor")
    mode = "bot" if subject.automated else subject.mode
    called = Called(call.name, mode, tuple(labels) if labels is not None else None, unread=tuple(unread.names))
    call.services.tally.called(call.shop.shop_id, called)
    return OK


def _claimed(call: Call) -> Proof:
    """What the caller can show at most that an email is its visitor's."""
    if call.body.markup not in NO:
        return Proof.NONE
    return Proof.KEY if call.private else Proof.TOKEN


def _now(call: Call) -> int:
    return int(call.services.clock())


def _text(value: object) -> str | None:
    return without_emails(value) or None if isinstance(value, str) else None


def _ids(call: Call) -> IdRule:
    return IdRule(call.shop.product_ids, untyped=call.from_query)


def _product(call: Call) -> ProductId:
    """The one that the call is about. Raises Invalid where that is none."""
    product = product_id(call.body.product, _ids(call), "product")
    if product is None:
        raise Invalid("Invalid Syntax In Argument: product")
    return product


def _products(call: Call, unread: Unread) -> tuple[ProductId, ...]:
    return first_products(line.product for line in sale_lines(call.body.products, _ids(call), unread))


def _email(call: Call, unread: Unread) -> Handle | None:
    return _handle(call, "email", email_text(call.body.email), email_handle, unread)


def _customer(call: Call, unread: Unread) -> Handle | None:
    return _handle(call, "customer", handle_text(call.body.customer), customer_handle, unread)


def _handle(call: Call, name: str, text: str | None, read: Callable[[Call, str], Handle], unread: Unread) -> Handle | None:
    """Guests come with an empty email, scripts with `null`: those link nothing, and are no error."""
    if text is None:
        return None
    try:
        return read(call, text)
    except Invalid:
        UNUSABLE_HANDLES.inc()
        unread.add(name)
        return None
