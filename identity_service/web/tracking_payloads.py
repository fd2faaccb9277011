"""Bodies and answers in the wire format of Clerk's public tracking API (docs.clerk.io/reference)."""

from typing import Annotated, Any, ClassVar, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from identity_service.web.payloads import Key, VisitorText

ShortText = Annotated[str, Meta(max_length=255)]


def _read(*types: str, **more: Any) -> Meta:
    """A member of any type, described as what is read of it; anything else is left out and named in the log of calls."""
    return Meta(extra_json_schema={"type": list(types), **more})


ProductIdMember = Annotated[Any, _read("string", "number", maxLength=255)]
OrderId = Annotated[Any, _read("string", "number", minLength=1, maxLength=255)]
Pieces = Annotated[Any, _read("number", "string", "null", minimum=-1_000_000, maximum=1_000_000)]
Labels = Annotated[Any, _read("array", "string", "null", items={"type": "string", "maxLength": 255}, maxItems=20)]
EmailMember = Annotated[Any, _read("string", "null")]
CustomerMember = Annotated[Any, _read("string", "number", "null")]
NamedVisitor = Annotated[Any, _read("string", "number", "null", maxLength=120)]
PRODUCT_LINES = {"items": {"anyOf": [{"$ref": "#/components/schemas/ProductLine"}, {"type": ["string", "number"]}]}}
Products = Annotated[Any, _read("array", "object", maxItems=1000, **PRODUCT_LINES)]


class ProductLine(Struct, frozen=True):
    """`price` is the price of one item, never a line total, below zero for what was taken off; carts say `qty`. Where neither says how
    many, it is one; below zero it was given back. A line without `id` counts with its amount and credits nobody."""

    id: Annotated[Any, _read("string", "number", "null", maxLength=255)] = None
    quantity: Pieces = None
    qty: Pieces = None
    price: Annotated[Any, _read("number", "string", "null", description="Unit price", format="decimal")] = None


class TrackingBody(Struct, kw_only=True, frozen=True):
    """`clerk_visitor`: an ID typed into the address for a test, in place of `visitor`. `markup`: the call stood in a page's markup, so that
    its email proves nothing. `required`: members without which a call is answered 400."""

    required: ClassVar[tuple[str, ...]] = ()

    key: Key = UNSET
    private_key: Key = UNSET
    visitor: VisitorText | int | UnsetType | None = UNSET
    clerk_visitor: VisitorText | UnsetType | None = UNSET
    markup: Any = False


class LoggedBody(TrackingBody, frozen=True):
    """`visitor`: absent (no session), null (off), auto, persistent, a token, or a raw ID; what can be none of them is as absent."""

    visitor: NamedVisitor = UNSET
    clerk_visitor: NamedVisitor = UNSET


class SaleBody(LoggedBody, frozen=True):
    """Refused only without a usable `sale` and `products`; whatever else cannot be read costs no order."""

    required: ClassVar[tuple[str, ...]] = ("sale", "products")

    sale: OrderId = UNSET
    products: Products = UNSET
    email: EmailMember = UNSET
    customer: CustomerMember = UNSET


class ClickBody(LoggedBody, frozen=True):
    required: ClassVar[tuple[str, ...]] = ("product",)

    product: ProductIdMember = UNSET
    labels: Labels = UNSET
    api: ShortText | UnsetType | None = UNSET


class ProductBody(LoggedBody, frozen=True):
    required: ClassVar[tuple[str, ...]] = ("product",)

    product: ProductIdMember = UNSET


class CategoryBody(LoggedBody, frozen=True):
    required: ClassVar[tuple[str, ...]] = ("category",)

    category: ShortText | int | UnsetType = UNSET


class SearchBody(LoggedBody, frozen=True):
    required: ClassVar[tuple[str, ...]] = ("query",)

    query: ShortText | UnsetType = UNSET
    labels: Labels = UNSET


class ResultsBody(LoggedBody, frozen=True):
    """What an element showed, so that a click without labels can be traced to it."""

    required: ClassVar[tuple[str, ...]] = ("labels", "products")

    labels: Labels = UNSET
    products: Products = UNSET
    api: ShortText | UnsetType | None = UNSET


class BasketBody(LoggedBody, frozen=True):
    required: ClassVar[tuple[str, ...]] = ("products",)

    products: Products = UNSET
    email: EmailMember = UNSET


class EmailBody(LoggedBody, frozen=True):
    required: ClassVar[tuple[str, ...]] = ("email",)

    email: EmailMember = UNSET


class ReturnedBody(LoggedBody, frozen=True):
    """Where `quantity` does not say how many, it is one."""

    required: ClassVar[tuple[str, ...]] = ("product", "order")

    product: ProductIdMember = UNSET
    order: OrderId = UNSET
    quantity: Pieces = UNSET


class DebugBody(LoggedBody, frozen=True):
    message: str | UnsetType | None = UNSET


class TokenBody(LoggedBody, frozen=True):
    required: ClassVar[tuple[str, ...]] = ("token",)

    token: str | UnsetType = UNSET


class PrivacyBody(TrackingBody, frozen=True):
    """One of `email`, `customer` or `visitor`."""

    email: str | UnsetType | None = UNSET
    customer: str | int | UnsetType | None = UNSET


class TrackingAnswer(Struct, frozen=True):
    status: Literal["ok"] = "ok"


class VisitorIdAnswer(Struct, frozen=True):
    status: Literal["ok"]
    visitor: str | None


class TokenAnswer(Struct, frozen=True):
    status: Literal["ok"]
    token_payload: dict[str, str]


class ActivityEntry(Struct, frozen=True):
    visitor: str
    type: str
    description: str
    time: str


class PrivacyAnswer(Struct, frozen=True):
    status: Literal["ok"]
    orders: list[dict[str, Any]]
    activity: list[ActivityEntry]


class TrackingError(Struct, frozen=True, rename={"more_info": "moreInfo"}):
    status: Literal["error"]
    error: str
    message: str
    type: Literal["AuthenticationError", "ParsingError", "LogicalError", "InternalError"]
    id: str
    more_info: str
