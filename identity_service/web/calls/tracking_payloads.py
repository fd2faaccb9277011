"""Bodies and answers in the wire format of Clerk's public tracking API (docs.clerk.io/reference)."""

from typing import Annotated, Any, ClassVar, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from identity_service.model.event import EventType
from identity_service.web.calls.order_payloads import CreditEntry, Money, SoldLine
from identity_service.web.calls.payloads import Key, Time, VisitorText, about, listed

ShortText = Annotated[str, Meta(max_length=255)]


def read(description: str, *types: str, **more: Any) -> Meta:
    """A member of any type, described as what is read of it; anything else is left out and named in the log of calls."""
    return about(description, type=list(types), **more)


OrderId = Annotated[Any, read("The shop's order ID.", "string", "number", minLength=1, maxLength=255)]
ProductIdMember = Annotated[Any, read("The product's ID.", "string", "number", maxLength=255)]
Pieces = Annotated[Any, read("How many, one where it is absent.", "number", "string", "null", minimum=-1_000_000, maximum=1_000_000)]
TEXTS = {"items": {"type": "string", "maxLength": 255}, "maxItems": 20}
Labels = Annotated[Any, read("Labels of the element, at most 20 of 255 characters.", "array", "string", "null", **TEXTS)]
EmailMember = Annotated[Any, read("The visitor's email. Empty for a guest. It is digested, and never kept.", "string", "null")]
CustomerMember = Annotated[Any, read("The shop's ID of the customer. It is digested, and never kept.", "string", "number", "null")]
Api = Annotated[ShortText | UnsetType | None, about("The call that filled the element.")]
VISITOR = (
    "Absent: no session. Null: off, so that only what was bought is kept. `auto`: the device's cookieless ID. `persistent`: that of the"
    " cookie. Else a token, or a raw ID. What can be none of them counts as absent."
)
NamedVisitor = Annotated[Any, read(VISITOR, "string", "number", "null", maxLength=120)]
TYPED = "An ID typed into the address for a test, in place of `visitor`."
LINES = {"items": {"anyOf": [{"$ref": "#/components/schemas/ProductLine"}, {"type": ["string", "number"]}]}, "maxItems": 1000}
Products = Annotated[Any, read("Products, or their IDs, at most 1,000. An object with numeric keys is a list.", "array", "object", **LINES)]


class ProductLine(Struct, frozen=True):
    """`price` is the price of one item, never a line total, below zero for what was taken off; carts say `qty`. Where neither says how
    many, it is one; below zero it was given back. A line without `id` counts with its amount and credits nobody."""

    id: Annotated[Any, read("The product's ID.", "string", "number", "null", maxLength=255)] = None
    quantity: Pieces = None
    qty: Annotated[Pieces, about("The same as `quantity`, which goes before it.")] = None
    price: Annotated[Any, read("Price of one: a number or a numeric text.", "number", "string", "null", format="decimal")] = None


class TrackingBody(Struct, kw_only=True, frozen=True):
    """`required`: members without which a call is answered 400. `exactly_one`: members of which a call names one."""

    required: ClassVar[tuple[str, ...]] = ()
    exactly_one: ClassVar[tuple[str, ...]] = ()

    key: Key = UNSET
    private_key: Annotated[Any, about("The shop's private key, beside its public one in `key`.", type="string")] = UNSET
    visitor: Annotated[VisitorText | int | UnsetType | None, about("A token or a raw ID.")] = UNSET
    clerk_visitor: Annotated[VisitorText | UnsetType | None, about(TYPED)] = UNSET
    markup: Annotated[Any, about("Whether the call stood in a page's markup, so that its email proves nothing.")] = False


class LoggedBody(TrackingBody, frozen=True):
    """A call about a visitor."""

    visitor: NamedVisitor = UNSET
    clerk_visitor: Annotated[Any, read(TYPED, "string", "number", "null", maxLength=120)] = UNSET


class SaleBody(LoggedBody, frozen=True):
    """Refused only without a usable `sale` and `products`; whatever else cannot be read costs no order."""

    required: ClassVar[tuple[str, ...]] = ("sale", "products")

    sale: OrderId = UNSET
    products: Products = UNSET
    email: EmailMember = UNSET
    customer: CustomerMember = UNSET
    currency: Annotated[Any, read("ISO 4217, in any case; the shop's own where it is absent.", "string", "null")] = UNSET


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
    """A basket as it is now, or what was done to it. It may be empty."""

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
    """The call was taken."""

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


class HeldOrder(Struct, frozen=True):
    """An order of the person. `visitor` and `attribution` are shown only with the visitor itself."""

    sale: Annotated[str, about("The shop's order ID.")]
    time: Annotated[Time, about("When the sale was logged, in RFC 3339.")]
    revenue: Annotated[Money, about("Unit price times quantity, summed.")]
    products: Annotated[list[SoldLine], about("The order's lines.", maxItems=1000)]
    currency: Annotated[str | UnsetType, about("Currency of the amounts, where the sale told one.")] = UNSET
    visitor: Annotated[str | UnsetType, about("ID of the visitor who bought.")] = UNSET
    email: Annotated[str | UnsetType, about("Digest of the order's email.")] = UNSET
    customer: Annotated[str | UnsetType, about("Digest of the order's customer ID.")] = UNSET
    attribution: Annotated[list[CreditEntry] | UnsetType, about("What the order is credited to.", maxItems=1000)] = UNSET


class PrivacyAnswer(Struct, frozen=True):
    """What is held of the person."""

    status: Annotated[Literal["ok"], about("Always `ok`.")]
    orders: Annotated[list[dict[str, Any]], listed(HeldOrder, "The person's orders, at most 1,000 of an email and of each visitor.")]
    activity: Annotated[list[ActivityEntry], about("Newest first of each visitor, at most 200 of one (`events_per_visitor`).")]
