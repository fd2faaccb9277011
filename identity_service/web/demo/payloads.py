"""Bodies and answers of the demo shop's panel. Times are as in all answers."""

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from identity_service.web.calls.links import Email
from identity_service.web.payloads import Body


class PanelBody(Body, frozen=True):
    """`email`: the email of the order on the page."""

    email: Email | UnsetType = UNSET


class StartedOver(Struct, frozen=True):
    status: Literal["ok"] = "ok"


class PanelEvent(Struct, frozen=True):
    """`earlier`: it was logged under the cookieless ID before the grant. Such events are credited, too."""

    type: str
    time: str
    products: list[str | int]
    labels: list[str]
    text: str | None
    earlier: bool


class PanelCredit(Struct, frozen=True):
    product: str | int
    labels: list[str]
    clicked_at: str


class PanelOrder(Struct, frozen=True):
    sale: str
    time: str
    revenue: str
    credits: list[PanelCredit]
    explanation: str


class PanelLink(Struct, frozen=True):
    """`own`: the ID of the calling device. IDs of other devices are shortened."""

    visitor: str
    own: bool
    mode: str


class EarlierSession(Struct, frozen=True):
    """What is stored under the cookieless ID of a device that has no ID now. It is deleted when the window ends."""

    events: int
    until: str


class PanelAnswer(Struct, frozen=True):
    """`held`: the visitor's export, None if nothing is stored. `links`: None if no email was sent."""

    visitor: str | None
    mode: str
    reason: str
    explanation: str
    signal: str | None
    expires_at: str | None
    cookie_name: str
    cookie: bool
    refusal_cookie: bool
    held: dict[str, Any] | None
    event_count: int
    events: list[PanelEvent]
    orders: list[PanelOrder]
    earlier: EarlierSession | None
    links: list[PanelLink] | None
