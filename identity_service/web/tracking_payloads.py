"""Bodies and answers in the wire format of Clerk's public tracking API (docs.clerk.io/reference)."""

from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from identity_service.web.payloads import Key, VisitorText

ShortText = Annotated[str, Meta(max_length=255)]
Labels = Annotated[list[ShortText], Meta(max_length=20)]
MOST_OF_A_LINE = 1_000_000
Quantity = Annotated[int, Meta(ge=1, le=MOST_OF_A_LINE)]


class ProductLine(Struct, frozen=True):
    """`price` is the price of one item, never a line total; carts say `qty`. Where neither tells how many, it is one."""

    id: str | int
    quantity: Quantity | None = None
    qty: int | None = None
    price: Annotated[Decimal | None, Meta(description="Unit price")] = None


Products = Annotated[list[ProductLine | ShortText | int], Meta(max_length=1000)]


class TrackingBody(Struct, kw_only=True, frozen=True):
    """`visitor`: absent (no session), null or empty (off), auto, a token, or a raw ID. `clerk_visitor`: an ID typed into the address for a
    test, in its place. `markup`: the call stood in a page's markup, so that its email proves nothing. `required`: members without which a
    call is answered 400."""

    required: ClassVar[tuple[str, ...]] = ()

    key: Key = UNSET
    private_key: Key = UNSET
    visitor: VisitorText | int | UnsetType | None = UNSET
    clerk_visitor: VisitorText | UnsetType | None = UNSET
    markup: Any = False


class SaleBody(TrackingBody, frozen=True):
    required: ClassVar[tuple[str, ...]] = ("sale", "products")

    sale: ShortText | int | UnsetType = UNSET
    products: Products | UnsetType = UNSET
    email: str | UnsetType | None = UNSET
    customer: str | int | UnsetType | None = UNSET


class ClickBody(TrackingBody, frozen=True):
    required: ClassVar[tuple[str, ...]] = ("product",)

    product: ShortText | int | UnsetType = UNSET
    labels: Labels | UnsetType | None = UNSET
    api: ShortText | UnsetType | None = UNSET


class ProductBody(TrackingBody, frozen=True):
    required: ClassVar[tuple[str, ...]] = ("product",)

    product: ShortText | int | UnsetType = UNSET


class CategoryBody(TrackingBody, frozen=True):
    required: ClassVar[tuple[str, ...]] = ("category",)

    category: ShortText | int | UnsetType = UNSET


class SearchBody(TrackingBody, frozen=True):
    required: ClassVar[tuple[str, ...]] = ("query",)

    query: ShortText | UnsetType = UNSET
    labels: Labels | UnsetType | None = UNSET


class ResultsBody(TrackingBody, frozen=True):
    """What an element showed, so that a click without labels can be traced to it."""

    required: ClassVar[tuple[str, ...]] = ("labels", "products")

    labels: Labels | UnsetType = UNSET
    products: Products | UnsetType = UNSET
    api: ShortText | UnsetType | None = UNSET


class BasketBody(TrackingBody, frozen=True):
    required: ClassVar[tuple[str, ...]] = ("products",)

    products: Products | UnsetType = UNSET
    email: str | UnsetType | None = UNSET


class EmailBody(TrackingBody, frozen=True):
    required: ClassVar[tuple[str, ...]] = ("email",)

    email: str | UnsetType | None = UNSET


class ReturnedBody(TrackingBody, frozen=True):
    required: ClassVar[tuple[str, ...]] = ("product", "order", "quantity")

    product: ShortText | int | UnsetType = UNSET
    order: ShortText | int | UnsetType = UNSET
    quantity: Quantity | UnsetType = UNSET


class DebugBody(TrackingBody, frozen=True):
    message: str | UnsetType | None = UNSET


class TokenBody(TrackingBody, frozen=True):
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
