"""Bodies and answers in the wire format of Clerk's public tracking API (docs.clerk.io/reference)."""

from decimal import Decimal
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from identity_service.web.payloads import Key, VisitorText

ShortText = Annotated[str, Meta(max_length=255)]


class ProductLine(Struct, frozen=True):
    """`price` is the price of one item, never a line total."""

    id: str | int
    quantity: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    price: Annotated[Decimal | None, Meta(description="Unit price")] = None


class TrackingBody(Struct, kw_only=True, frozen=True):
    """`visitor`: absent (no session), null or empty (off), auto, a token, or a raw ID."""

    key: Key | UnsetType = UNSET
    private_key: Annotated[str, Meta(max_length=255)] | UnsetType = UNSET
    visitor: VisitorText | int | UnsetType | None = UNSET


class SaleBody(TrackingBody, frozen=True):
    sale: ShortText | int | UnsetType = UNSET
    products: Annotated[list[ProductLine | ShortText | int], Meta(max_length=1000)] | UnsetType = UNSET
    email: str | UnsetType | None = UNSET
    customer: str | int | UnsetType | None = UNSET


class ClickBody(TrackingBody, frozen=True):
    product: ShortText | int | UnsetType = UNSET
    labels: Annotated[list[ShortText], Meta(max_length=20)] | UnsetType | None = UNSET
    api: ShortText | UnsetType | None = UNSET


class EmailBody(TrackingBody, frozen=True):
    email: str | UnsetType | None = UNSET


class TrackingAnswer(Struct, frozen=True):
    status: Literal["ok"] = "ok"


class VisitorIdAnswer(Struct, frozen=True):
    status: Literal["ok"]
    visitor: str | None


class TrackingError(Struct, frozen=True, rename={"more_info": "moreInfo"}):
    status: Literal["error"]
    error: str
    message: str
    type: Literal["AuthenticationError", "ParsingError", "LogicalError", "InternalError"]
    id: str
    more_info: str
