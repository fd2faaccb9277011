"""What the demo shop's panel is asked with and answers. Times as in all answers."""

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from identity_service.web.calls.links import Email
from identity_service.web.payloads import Body


class PanelBody(Body, frozen=True):
    """`email`: of the order that the page confirms."""

    email: Email | UnsetType = UNSET


class StartedOver(Struct, frozen=True):
    status: Literal["ok"] = "ok"


class PanelEvent(Struct, frozen=True):
    """`earlier`: logged under the cookieless ID of the session before the grant, which counts."""

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
    """`own`: of the device that asks; IDs of other devices are cut short."""

    visitor: str
    own: bool
    mode: str


class EarlierSession(Struct, frozen=True):
    """What is still logged under this device's cookieless ID while it has no ID: it ends with its window."""

    events: int
    until: str


class PanelAnswer(Struct, frozen=True):
    """`held`: the visitor as an export shows it, None where the store holds nothing. `links`: None where no email was asked for."""

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
