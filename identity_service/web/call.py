"""What an endpoint passes to a handler, a call, and what it gets back, a reply."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct

from identity_service.errors import ServiceError
from identity_service.model.audit import Actor
from identity_service.model.consent import Millis
from identity_service.model.handle import Handles
from identity_service.model.receipt_key import ReceiptKeys
from identity_service.model.reference import References
from identity_service.model.shop import Shop, Shops
from identity_service.model.token import Signing
from identity_service.server.addresses import Proxies, StaffProxy
from identity_service.server.limits import RateLimit
from identity_service.service.audit import Audit
from identity_service.service.counters import Counters
from identity_service.service.figures import FigureReader
from identity_service.service.health import Addresses, HealthCheck
from identity_service.service.holdings import Holdings
from identity_service.service.identify import Visitors
from identity_service.service.links import Links
from identity_service.service.opt_ins import SaleOptIns
from identity_service.service.orders import Orders
from identity_service.service.receipts import Receipts
from identity_service.service.returns import Returns
from identity_service.service.rights import Rights
from identity_service.service.sell import Sales
from identity_service.service.track import Subjects, Tracking
from identity_service.service.visit import Tokens
from identity_service.settings.schema import RetentionSettings, ServerSettings
from identity_service.signals.agents import AgentSignatures
from identity_service.store import Clock, Store
from identity_service.web.bodies import BodyLimits


@dataclass(frozen=True, slots=True)
class RateLimits:
    """`client`, `key`, `lookup`, `refusal`: calls; quotas: bytes that calls make the store keep."""

    client: RateLimit
    key: RateLimit
    lookup: RateLimit
    refusal: RateLimit
    wrong_keys: RateLimit
    client_quota: RateLimit
    public_key_quota: RateLimit


@dataclass(frozen=True, slots=True)
class AdminServices:
    """What only the admin pages use."""

    holdings: Holdings
    references: References
    staff: StaffProxy


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that handlers use. `app.py` makes it once. `stopping`: set when this process has to stop."""

    shops: Shops
    store: Store
    handles: Handles
    visitors: Visitors
    opt_ins: SaleOptIns
    links: Links
    receipts: Receipts
    receipt_keys: ReceiptKeys
    rights: Rights
    audit: Audit
    signing: Signing
    tokens: Tokens
    subjects: Subjects
    tracking: Tracking
    sales: Sales
    returns: Returns
    counters: Counters
    orders: Orders
    figures: FigureReader
    health: HealthCheck
    addresses: Addresses
    agents: AgentSignatures
    clock: Clock
    proxies: Proxies
    limits: BodyLimits
    rates: RateLimits
    admin: AdminServices
    retention: RetentionSettings
    server: ServerSettings
    stopping: asyncio.Event = field(default_factory=asyncio.Event)


class Call(Struct, frozen=True):
    """One call of a shop. All that it says was said at the moment `now`.

    device       the call speaks for the visitor's device
    address      of that device, if known; so is `region`
    headers      names in lower case
    parameters   of the path
    members      all members of the body as sent, if it contains another service's
    path         of the row, as in the log of calls
    method       of the request, and `target`, its path with the query as it arrived
    from_query   all values are text
    key          the digest that stands for the caller's key in limits
    request_id   as in the answer and the log
    counted_as   the caller for limits
    actor        the caller for the audit
    fault        the error of the call, unless it carries a refusal of consent; `body` then has the valid members
    """

    services: Services
    now: Millis
    shop: Shop
    private: bool
    device: bool
    address: str | None
    region: str | None
    headers: Mapping[str, str]
    query: Mapping[str, str]
    parameters: Mapping[str, str]
    members: Mapping[str, object]
    body: Any
    path: str = ""
    method: str = ""
    target: str = ""
    from_query: bool = False
    key: str = ""
    request_id: str = ""
    counted_as: str = ""
    fault: ServiceError | None = None
    actor: Actor = Actor("")


class Reply(Struct, frozen=True):
    """`body`: a struct, or bytes of the type `media`."""

    body: Any
    status: int = 200
    media: str = "application/json"
    cookies: Sequence[str] = ()
    headers: Sequence[tuple[bytes, bytes]] = ()


Handler = Callable[[Call], Awaitable[Reply]]
