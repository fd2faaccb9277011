"""Answers of the tracking reads. Revenue is decimal text: unit price times quantity, exact."""

from typing import Any, Literal

from msgspec import Struct

from identity_service.web.payloads import Body, VisitorText

Light = Literal["green", "not_started", "amber", "red"]


class EventsBody(Body, frozen=True):
    visitor: VisitorText


class EventsAnswer(Struct, frozen=True):
    """Newest first."""

    events: list[dict[str, Any]]


class CreditEntry(Struct, frozen=True):
    product: str | int
    labels: list[str]
    api: str | None
    clicked_at: str


class OrderAnswer(Struct, frozen=True):
    """`mode`: null, none (no session), cookieless or persistent. `products`: of each its `id`, null where none was named, its `quantity`,
    a decimal text where it is not whole, and the `price` of one where that is known."""

    sale: str
    time: str
    mode: str
    visitor: str | None
    products: list[dict[str, Any]]
    revenue: str
    attributed: bool
    labels: list[str]
    attribution: list[CreditEntry]


class OrdersAnswer(Struct, frozen=True):
    """Newest first; `next` is the cursor of the next page, null on the last."""

    orders: list[OrderAnswer]
    next: str | None


class AttributionAnswer(Struct, frozen=True):
    """`broken`: the first missing link of the chain label → click → sale."""

    sale: str
    attributed: bool
    labels: list[str]
    attribution: list[CreditEntry]
    broken: str | None
    explanation: str
    hint: str | None


class LabelEntry(Struct, frozen=True):
    label: str
    clicks: int
    orders: int
    revenue: str


class LabelsAnswer(Struct, frozen=True):
    """An order counts under each of its labels; the totals count it once."""

    days: int
    labels: list[LabelEntry]
    attributed_orders: int
    other_orders: int
    attributed_revenue: str
    other_revenue: str


class CallsAnswer(Struct, frozen=True):
    """Newest first, of the last 24 hours; nothing personal. `unread`: names of the arguments that could not be read and were left out."""

    calls: list[dict[str, Any]]


class SeenProduct(Struct, frozen=True):
    product: str
    type: Literal["integer", "string"]
    last_seen: str


class ProductsAnswer(Struct, frozen=True):
    products: list[SeenProduct]


class RhythmEntry(Struct, frozen=True):
    """`usual_seconds`: null until there were five on three days of the last fourteen."""

    status: Light
    age_seconds: int | None
    usual_seconds: int | None
    text: str


class TrackingHealthAnswer(Struct, frozen=True):
    """`status`: not_started until a click and a sale have been logged, unless something is wrong; `reasons` then tell the next step."""

    status: Light
    click: RhythmEntry
    sale: RhythmEntry
    error_rate: float
    without_labels: float
    without_visitor: float
    reasons: list[str]
