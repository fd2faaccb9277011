"""Tracking and privacy calls in the wire format of Clerk's public API (docs.clerk.io/reference): same paths, same bodies, same answers."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace

from identity_service.errors import Invalid
from identity_service.model.audit import Act
from identity_service.model.event import Event, EventType, ProductId, Sale, first_products, shown_products, without_emails
from identity_service.model.handle import Handle
from identity_service.model.link import Proof
from identity_service.model.person import Person
from identity_service.model.policy import Asked
from identity_service.model.token import SHAPE
from identity_service.model.utc import rfc3339
from identity_service.model.visitor import VisitorId, own_visitor_id
from identity_service.server.metrics import UNUSABLE_HANDLES
from identity_service.service.counters import LoggedCall
from identity_service.service.sell import ReportedSale
from identity_service.service.track import Subject
from identity_service.service.visit import TokenFault, Visit
from identity_service.web.call import Call, Reply
from identity_service.web.calls.arguments import (
    ASKED,
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
    visitor_text,
)
from identity_service.web.calls.links import erase_person, with_times
from identity_service.web.calls.orders import ExportedOrder
from identity_service.web.cookies import read_cookies
from identity_service.web.payloads import AGENT, MODE_TEXTS, YES, Members, Time, VisitorText, about, listed
from identity_service.web.visit import (
    cookie_signals_of,
    count_lookup,
    customer_to_link,
    email_to_link,
    keep_opt_out,
    refusal_of,
    surroundings_of,
    tracking_surroundings,
)

ShortText = Annotated[str, Meta(max_length=255)]
CART_CHANGES = {"log/cart/add": "add", "log/cart/remove": "remove", "log/cart/update": "update"}
NO = (False, 0, "0", "false", "", None)


def read(description: str, *types: str, **more: Any) -> Meta:
    """A member that accepts any type. The description has the types that are read; others are left out and listed in the log of calls."""
    return about(description, type=list(types), **more)


OrderId = Annotated[Any, read("The shop's order ID.", "string", "number", minLength=1, maxLength=255)]
ProductIdMember = Annotated[Any, read("The product's ID.", "string", "number", maxLength=255)]
Pieces = Annotated[Any, read("How many; one if it is absent.", "number", "string", "null", minimum=-1_000_000, maximum=1_000_000)]
TEXTS = {"items": {"type": "string", "maxLength": 255}, "maxItems": 20}
Labels = Annotated[Any, read("Labels of the element, at most 20 of 255 characters.", "array", "string", "null", **TEXTS)]
EmailMember = Annotated[Any, read("The visitor's email. Empty for a guest. It is digested, and never kept.", "string", "null")]
CustomerMember = Annotated[Any, read("The shop's ID of the customer. It is digested, and never kept.", "string", "number", "null")]
Api = Annotated[ShortText | UnsetType | None, about("The call that filled the element.")]
VISITOR = (
    "Absent: no session. Null: tracking is off, and only the order itself is kept. `auto`: the device's cookieless ID. `persistent`: the ID"
    " in the cookie. Else a token, or a raw ID. Anything else counts as absent."
)
NamedVisitor = Annotated[Any, read(VISITOR, "string", "number", "null", maxLength=120)]
COUNTED = "True beside a `visitor` of null, where the answer of `/v1/visitors` said so: figures are kept of the call, and nothing else."
TYPED = "An ID typed into the address for a test, in place of `visitor`."
LINES = {"items": {"anyOf": [{"$ref": "#/components/schemas/ProductLine"}, {"type": ["string", "number"]}]}, "maxItems": 1000}
Products = Annotated[Any, read("Products, or their IDs, at most 1,000. An object with numeric keys is a list.", "array", "object", **LINES)]


class ProductLine(Struct, frozen=True):
    """`price` is the price of one item, never a line total; negative for a discount. Carts say `qty`. Without a quantity it is one; a
    negative one is a return. A line without `id` counts with its amount and credits no label."""

    id: Annotated[Any, read("The product's ID.", "string", "number", "null", maxLength=255)] = None
    quantity: Pieces = None
    qty: Annotated[Pieces, about("The same as `quantity`, which takes precedence.")] = None
    price: Annotated[Any, read("Price of one: a number or a numeric text.", "number", "string", "null", format="decimal")] = None


class TrackingBody(Members, frozen=True):
    """The body of a call in Clerk's format, which ignores unknown members."""

    private_key: Annotated[Any, about("The shop's private key, beside its public one in `key`.", type="string")] = UNSET
    visitor: Annotated[VisitorText | int | UnsetType | None, about("A token or a raw ID.")] = UNSET
    clerk_visitor: Annotated[VisitorText | UnsetType | None, about(TYPED)] = UNSET
    markup: Annotated[Any, about("Whether the call was in a page's markup, so that its email proves nothing.")] = False


class LoggedBody(TrackingBody, frozen=True):
    """A call about a visitor."""

    visitor: NamedVisitor = UNSET
    counted: Annotated[Any, read(COUNTED, "boolean")] = UNSET
    clerk_visitor: Annotated[Any, read(TYPED, "string", "number", "null", maxLength=120)] = UNSET
    agent: Annotated[Any, AGENT] = None


class SaleBody(LoggedBody, frozen=True):
    """Refused only without a usable `sale` and `products`. Other unreadable members never lose an order."""

    required: ClassVar[tuple[str, ...]] = ("sale", "products")

    sale: OrderId = UNSET
    products: Products = UNSET
    email: EmailMember = UNSET
    customer: CustomerMember = UNSET
    currency: Annotated[Any, read("ISO 4217, in any case; the shop's own if it is absent.", "string", "null")] = UNSET


class ShopifySaleBody(LoggedBody, frozen=True):
    """An order of which a sandboxed pixel knows no more than the ID."""

    required: ClassVar[tuple[str, ...]] = ("sale",)

    sale: OrderId = UNSET


class ClickBody(LoggedBody, frozen=True):
    """A click on a product."""

    required: ClassVar[tuple[str, ...]] = ("product",)

    product: ProductIdMember = UNSET
    labels: Labels = UNSET
    api: Api = UNSET


class ProductBody(LoggedBody, frozen=True):
    """A product that was seen."""

    required: ClassVar[tuple[str, ...]] = ("product",)

    product: ProductIdMember = UNSET


class CategoryBody(LoggedBody, frozen=True):
    """A category that was seen."""

    required: ClassVar[tuple[str, ...]] = ("category",)

    category: Annotated[ShortText | int | UnsetType, about("The category's ID or name. Emails in it are not kept.")] = UNSET


class SearchBody(LoggedBody, frozen=True):
    """A search."""

    required: ClassVar[tuple[str, ...]] = ("query",)

    query: Annotated[ShortText | UnsetType, about("The words searched. Emails in them are not kept.")] = UNSET
    labels: Labels = UNSET


class ResultsBody(LoggedBody, frozen=True):
    """What an element showed, so that a click without labels can be traced to it."""

    required: ClassVar[tuple[str, ...]] = ("labels", "products")

    labels: Labels = UNSET
    products: Products = UNSET
    api: Api = UNSET


class BasketBody(LoggedBody, frozen=True):
    """The present content of a basket, or a change of it. It may be empty."""

    required: ClassVar[tuple[str, ...]] = ("products",)

    products: Products = UNSET
    email: EmailMember = UNSET


class EmailBody(LoggedBody, frozen=True):
    """An email of the visitor."""

    required: ClassVar[tuple[str, ...]] = ("email",)

    email: EmailMember = UNSET


class ReturnedBody(LoggedBody, frozen=True):
    """A product that was sent back."""

    required: ClassVar[tuple[str, ...]] = ("product", "order")

    product: ProductIdMember = UNSET
    order: OrderId = UNSET
    quantity: Pieces = UNSET


class DebugBody(LoggedBody, frozen=True):
    """A plugin's message."""

    message: Annotated[str | UnsetType | None, about("Nothing of it is kept.")] = UNSET


class TokenBody(LoggedBody, frozen=True):
    """One token."""

    required: ClassVar[tuple[str, ...]] = ("token",)

    token: Annotated[str | UnsetType, about("The token to verify.")] = UNSET


class PrivacyBody(TrackingBody, frozen=True):
    """Exactly one of `email`, `customer` and `visitor`."""

    exactly_one: ClassVar[tuple[str, ...]] = ("email", "customer", "visitor")

    email: Annotated[str | UnsetType | None, about("The person's email.")] = UNSET
    customer: Annotated[str | int | UnsetType | None, about("The shop's ID of the person.")] = UNSET


class TrackingAnswer(Struct, frozen=True):
    """The call was accepted."""

    status: Annotated[Literal["ok"], about("Always `ok`.")] = "ok"


class VisitorIdAnswer(Struct, frozen=True):
    """The device's cookieless ID."""

    status: Annotated[Literal["ok"], about("Always `ok`.")]
    visitor: Annotated[str | None, about("The ID. Null where the visitor gets none, or the device's address is unknown.")]


class TokenAnswer(Struct, frozen=True):
    """What a valid token says. One that is not valid is an error."""

    status: Annotated[Literal["ok"], about("Always `ok`.")]
    token_payload: Annotated[dict[str, str], about("`visitor`, `mode` and `issued_at` of the token.")]


class ActivityEntry(Struct, frozen=True):
    """One event of the person."""

    visitor: Annotated[str, about("ID of the visitor who did it.")]
    type: Annotated[str, about("What happened.", enum=[kind.value for kind in EventType])]
    description: Annotated[str, about("Products, words and labels of the event, joined by commas.")]
    time: Annotated[Time, about("When it happened, in RFC 3339.")]


class PrivacyAnswer(Struct, frozen=True):
    """What is stored about the person."""

    status: Annotated[Literal["ok"], about("Always `ok`.")]
    orders: Annotated[list[dict[str, Any]], listed(ExportedOrder, "The person's orders, at most 1,000 of an email and of each visitor.")]
    activity: Annotated[list[ActivityEntry], about("Newest first of each visitor, at most 200 of one (`events_per_visitor`).")]


def tracking_visit(call: Call, unread: Unread) -> Visit:
    """An unreadable visitor counts as absent. An ID typed into the address is a test: its events are marked, and it is linked to an
    email only if the shop allows that."""
    typed = _typed_id(call, unread)
    if typed:
        return visit_of_text(call, typed, override=True)
    sent = call.body.visitor
    visit = visit_of_text(call, None if call.from_query and sent == "" else visitor_text(sent, "visitor", unread))
    return replace(visit, says_counted=True) if visit.asked is Asked.NULL and call.body.counted in YES else visit


def _typed_id(call: Call, unread: Unread) -> str | None:
    """The ID typed into the address. None if there is none, or it is not accepted."""
    if call.body.clerk_visitor == "":
        return None
    text = visitor_text(call.body.clerk_visitor, "clerk_visitor", unread)
    if isinstance(text, str) and not _is_accepted(call, text):
        unread.add("clerk_visitor")
        return None
    return text if isinstance(text, str) else None


def _is_accepted(call: Call, text: str) -> bool:
    if SHAPE.fullmatch(text):
        return bool(call.services.tokens.verified(call.shop, (text,)))
    return text in ASKED or _is_trusted(call)


def _is_trusted(call: Call) -> bool:
    """Whether a raw ID is accepted without a token."""
    return call.private or call.shop.settings.accept_unsigned


def visit_of_text(call: Call, text: str | UnsetType | None, *, override: bool = False) -> Visit:
    """`text`: a `visitor` from `visitor_text`."""
    asked, own, tokens = _asked_for(call, text)
    return Visit(
        shop=call.shop,
        trusted=_is_trusted(call),
        asked=asked,
        own=own,
        tokens=tokens,
        signals=cookie_signals_of(call),
        surroundings=tracking_surroundings(call) if call.private else surroundings_of(call, UNSET),
        refusal=refusal_of(call),
        override=override,
        private=call.private,
    )


def _asked_for(call: Call, text: str | UnsetType | None) -> tuple[Asked, VisitorId | None, tuple[str, ...]]:
    """What the call asks for, an own ID, and tokens."""
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


OK = Reply(msgspec.json.encode(TrackingAnswer()))


async def log_sale(call: Call) -> Reply:
    unread = Unread()
    lines = sale_lines(call.body.products, _ids(call), unread)
    if not lines:
        raise Invalid("Invalid Syntax In Argument: products")
    sold = Sale(sale_id(call.body.sale, "sale"), lines, _now(call))
    handles = [handle for handle in (_email(call, unread), _customer(call, unread)) if handle]
    reported = ReportedSale(sold, handles, _claimed_proof(call), call.private, currency(call.body.currency, unread))
    logged = await call.services.sales.log(tracking_visit(call, unread), reported)
    subject, attribution = logged.subject, logged.attribution
    await keep_opt_out(call, subject.visitor if subject.signed else None)
    if subject.counted and attribution:
        call.services.counters.days.count_order(call.shop.shop_id)
    return _log_and_answer(call, subject, unread, attribution.labels if attribution else None)


async def log_shopify_sale(call: Call) -> Reply:
    """The order without its products: a private key says them, and its first call replaces this one's."""
    unread = Unread()
    reported = ReportedSale(Sale(sale_id(call.body.sale, "sale"), (), _now(call)), [], _claimed_proof(call), call.private, None)
    subject = (await call.services.sales.log(tracking_visit(call, unread), reported)).subject
    await keep_opt_out(call, subject.visitor if subject.signed else None)
    return _log_and_answer(call, subject, unread)


async def account_info(call: Call) -> Reply:
    """What a plugin's button asks to learn whether its two keys are the shop's."""
    note_call(call)
    return OK


async def log_click(call: Call) -> Reply:
    unread, product = Unread(), _product(call)
    labels = label_texts(call.body.labels, unread)
    event = Event(EventType.CLICK, _now(call), (product,), labels, _text(call.body.api))
    subject, found = await call.services.tracking.log(tracking_visit(call, unread), event)
    if subject.automated:
        call.services.counters.count_automated_click(call.shop.shop_id, subject.agent)
    elif subject.counted:
        call.services.counters.days.count_click(call.shop.shop_id, labels or ())
    else:
        call.services.counters.count_click(call.shop.shop_id, product, found, visitor=subject.visitor is not None, private=call.private)
    return _log_and_answer(call, subject, unread, found or labels)


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
    """A basket may be empty. Its email is linked like that of `log/email`. The event has the change of a cart as its text."""
    unread = Unread()
    held, email = _products(call, unread), _email(call, unread)
    visit = tracking_visit(call, unread)
    subject, _ = await call.services.tracking.log(visit, Event(EventType.BASKET, _now(call), held, text=CART_CHANGES.get(call.path)))
    if email:
        await call.services.tracking.email(visit, email, _claimed_proof(call))
    return _log_and_answer(call, subject, unread)


async def log_returned(call: Call) -> Reply:
    unread, order = Unread(), sale_id(call.body.order, "order")
    product, quantity = _product(call), pieces(call.body.quantity, "quantity", unread)
    await call.services.returns.log(call.shop, order, product, quantity)
    return await _log(call, unread, EventType.RETURNED, (product,), text=order)


async def log_email(call: Call) -> Reply:
    unread = Unread()
    email = _email(call, unread)
    subject = await call.services.tracking.email(tracking_visit(call, unread), email, _claimed_proof(call))
    await keep_opt_out(call, subject.visitor if subject.signed else None)
    return _log_and_answer(call, subject, unread)


async def log_debug(call: Call) -> Reply:
    """Nothing of a debug message is kept, because it may contain anything."""
    if call.shop.counts_silent and call.body.counted in YES:
        call.services.counters.days.count_call(call.shop.shop_id, call.path)
        return OK
    call.services.counters.count_call(call.shop.shop_id, LoggedCall(call.path, "none"))
    return OK


def note_call(call: Call) -> None:
    """Counts and logs a call that concerns no visit."""
    call.services.counters.count_call(call.shop.shop_id, LoggedCall(call.path, None))


async def visitor_id(call: Call) -> Reply:
    subject = await call.services.subjects.find(visit_of_text(call, None if call.body.visitor is None else Asked.AUTO))
    if subject.counted:
        call.services.counters.days.count_call(call.shop.shop_id, call.path)
    else:
        note_call(call)
    return Reply(VisitorIdAnswer("ok", subject.visitor))


async def verify_token(call: Call) -> Reply:
    token = await call.services.tokens.check(call.shop, call.body.token)
    if isinstance(token, TokenFault):
        raise Invalid("Invalid token")
    note_call(call)
    return Reply(TokenAnswer("ok", {"visitor": token.visitor, "mode": MODE_TEXTS[token.kind.mode], "issued_at": rfc3339(token.issued_at)}))


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
    subject, _ = await call.services.tracking.log(tracking_visit(call, unread), event)
    return _log_and_answer(call, subject, unread, labels)


def _log_and_answer(call: Call, subject: Subject, unread: Unread, labels: Sequence[str] | None = None) -> Reply:
    if subject.unread:
        unread.add("visitor")
    if subject.counted:
        call.services.counters.days.count_call(call.shop.shop_id, call.path, unread.names)
        return OK
    mode = ("agent" if subject.agent else "bot") if subject.automated else subject.mode
    called = LoggedCall(call.path, mode, tuple(labels) if labels is not None else None, unread=tuple(unread.names))
    call.services.counters.count_call(call.shop.shop_id, called, subject.visitor)
    return OK


def _claimed_proof(call: Call) -> Proof:
    """The strongest proof that the caller can have for linking an email to its visitor."""
    if call.body.markup not in NO:
        return Proof.NONE
    return Proof.KEY if call.private else Proof.TOKEN


def _now(call: Call) -> int:
    return call.now // 1000


def _text(value: object) -> str | None:
    return without_emails(value) or None if isinstance(value, str) else None


def _ids(call: Call) -> IdRule:
    return IdRule(call.shop.product_ids, untyped=call.from_query)


def _product(call: Call) -> ProductId:
    """The product of the call. Raises Invalid if it is not an ID."""
    product = product_id(call.body.product, _ids(call), "product")
    if product is None:
        raise Invalid("Invalid Syntax In Argument: product")
    return product


def _products(call: Call, unread: Unread) -> tuple[ProductId, ...]:
    return first_products(line.product for line in sale_lines(call.body.products, _ids(call), unread))


def _email(call: Call, unread: Unread) -> Handle | None:
    return _handle(call, "email", email_text(call.body.email), email_to_link, unread)


def _customer(call: Call, unread: Unread) -> Handle | None:
    return _handle(call, "customer", handle_text(call.body.customer), customer_to_link, unread)


def _handle(call: Call, name: str, text: str | None, read: Callable[[Call, str], Handle], unread: Unread) -> Handle | None:
    """None for a guest's empty email and a script's `null`, without an error. An unusable value is counted and listed as unread."""
    if text is None:
        return None
    try:
        return read(call, text)
    except Invalid:
        UNUSABLE_HANDLES.inc()
        unread.add(name)
        return None


async def inform(call: Call) -> Reply:
    count_lookup(call)
    rights, person = call.services.rights, await _person_of(call)
    if isinstance(person, Handle):
        export = await rights.export_handle(call.shop, person)
    else:
        export = await rights.export_visitor(call.shop, person)
    await call.services.audit.record(call.shop, call.actor, Act.EXPORT, person, len(export["visitors"]))
    note_call(call)
    activity = [_entry(one["visitor"], event) for one in export["visitors"] for event in one.get("events", [])]
    return Reply(PrivacyAnswer("ok", with_times(export["orders"]), activity))


async def forget(call: Call) -> Reply:
    count_lookup(call)
    await erase_person(call, await _person_of(call))
    note_call(call)
    return Reply(TrackingAnswer())


async def _person_of(call: Call) -> Person:
    """Raises Invalid if nobody is named, or more than one: a partial erasure must not be answered ok."""
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
    text = str(call.body.visitor)
    return await call.services.tokens.visitor_of(call.shop, text) if SHAPE.fullmatch(text) else own_visitor_id(text)


def _entry(visitor: str, event: dict[str, Any]) -> ActivityEntry:
    parts = [*map(str, event.get("products", [])), event.get("text", ""), *event.get("labels", [])]
    return ActivityEntry(visitor, event["type"], ", ".join(part for part in parts if part), rfc3339(event["time"]))
