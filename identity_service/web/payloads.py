"""Bodies and answers. The same structs decode requests and describe them in /openapi.json. UNSET keeps absent from null."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

Choice = Literal["granted", "refused"]
Key = Annotated[str, Meta(description="Public or private key, where it is not in `Authorization: Bearer KEY`")]
Email = Annotated[str, Meta(max_length=1016, description="Trimmed, lower-cased and IDNA-encoded before it is digested; never kept")]
Customer = Annotated[str, Meta(min_length=1, max_length=255)]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-fA-F]{64}$", description="SHA-256 of the normalised email, hexadecimal")]
VisitorText = Annotated[str, Meta(max_length=120)]
Moment = Annotated[datetime, Meta(tz=True, description="RFC 3339")]
ShortText = Annotated[str, Meta(max_length=255)]


class Body(Struct, kw_only=True, frozen=True):
    key: Key | UnsetType = UNSET


class Client(Struct, frozen=True):
    """The visitor's own surroundings, told by a server with a private key."""

    ip: Annotated[str, Meta(max_length=64)] | None = None
    user_agent: Annotated[str, Meta(max_length=4096)] | None = None
    region: Annotated[str, Meta(pattern="^[A-Z]{2}(-[A-Z0-9]{1,3})?$")] | None = None
    gpc: bool = False
    dnt: bool = False


class Purposes(Struct, frozen=True, omit_defaults=True):
    storage: Choice | UnsetType = UNSET
    measurement: Choice | UnsetType = UNSET
    linking: Choice | UnsetType = UNSET


class ConsentObject(Struct, frozen=True, omit_defaults=True):
    """`storage` and `measurement` granted allow a persistent ID. `google`: the state of a consent mode update."""

    purposes: Purposes | UnsetType = UNSET
    google: dict[str, Any] | UnsetType = UNSET
    decided_at: Moment | UnsetType = UNSET
    policy_version: Annotated[str, Meta(max_length=64)] | UnsetType = UNSET


ConsentMember = Literal["granted", "refused", "unknown"] | ConsentObject


class IssueBody(Body, frozen=True):
    visitor: Annotated[VisitorText | None, Meta(description="null, auto, persistent, or an own ID")] | UnsetType = UNSET
    token: VisitorText | UnsetType | None = UNSET
    consent: ConsentMember | UnsetType | None = UNSET
    client: Client | UnsetType | None = UNSET


class DecisionAnswer(Struct, frozen=True):
    reason: str
    signal: str | None
    region: str | None
    policy: str


class IdentityAnswer(Struct, frozen=True):
    visitor: str | None
    mode: Literal["cookieless", "persistent", "null"]
    token: str | None
    expires_at: str | None
    linkable: bool
    sale_share_opt_out: bool
    decision: DecisionAnswer


class ReceiptAnswer(Struct, frozen=True):
    """Proof of one decision. `visitor_digest` is keyed by a random key that only the visitor's record holds."""

    receipt_id: str
    time: str
    mode: str
    purposes: dict[str, str]
    source: str
    policy: str
    policy_version: str | None
    raw_digest: str | None
    visitor_digest: str | None
    signature: str


class ConsentAnswer(Struct, frozen=True):
    visitor: str | None
    mode: Literal["cookieless", "persistent", "null"]
    token: str | None
    expires_at: str | None
    linkable: bool
    sale_share_opt_out: bool
    decision: DecisionAnswer
    receipt: ReceiptAnswer | None


class ReceiptsBody(Body, frozen=True):
    """`visitor` for all its receipts, newest first; with `at` for the one in force then; or `receipt_id` for one."""

    visitor: VisitorText | UnsetType = UNSET
    at: Moment | UnsetType = UNSET
    receipt_id: Annotated[str, Meta(max_length=64)] | UnsetType = UNSET


class ReceiptsAnswer(Struct, frozen=True):
    receipts: list[ReceiptAnswer]


class DecisionsBody(Body, frozen=True):
    """A decision for given signals that changes nothing."""

    visitor: VisitorText | UnsetType | None = UNSET
    token: VisitorText | UnsetType | None = UNSET
    consent: ConsentMember | UnsetType | None = UNSET
    client: Client | UnsetType | None = UNSET
    policy: Literal["standard", "strict"] | UnsetType = UNSET


class TraceStep(Struct, frozen=True):
    fact: str
    value: str


class DecisionsAnswer(Struct, frozen=True):
    mode: Literal["cookieless", "persistent", "null"]
    sale_share_opt_out: bool
    decision: DecisionAnswer
    trace: list[TraceStep]


class VerificationBody(Body, frozen=True):
    token: str


class VerificationAnswer(Struct, frozen=True, omit_defaults=True):
    valid: bool
    visitor: str | UnsetType = UNSET
    mode: Literal["cookieless", "persistent"] | UnsetType = UNSET
    issued_at: str | UnsetType = UNSET
    reason: Literal["bad_signature", "expired", "withdrawn"] | UnsetType = UNSET


class LinkBody(Body, frozen=True):
    """One of `email` and `customer`, one of `token` and `visitor`; `visitor` needs a private key."""

    email: Email | UnsetType | None = UNSET
    customer: Customer | UnsetType | None = UNSET
    token: VisitorText | UnsetType | None = UNSET
    visitor: VisitorText | UnsetType | None = UNSET


class LinkAnswer(Struct, frozen=True):
    linked: bool
    visitor: str
    verified: bool


class UnlinkAnswer(Struct, frozen=True):
    unlinked: bool
    visitor: str


class LookupBody(Body, frozen=True):
    """One of the members. `emails`: up to 5,000, answered in order."""

    email: Email | UnsetType = UNSET
    email_sha256: Sha256 | UnsetType = UNSET
    customer: Customer | UnsetType = UNSET
    visitor: VisitorText | UnsetType = UNSET
    emails: Annotated[list[str], Meta(max_length=5000)] | UnsetType = UNSET


class LookedUpVisitor(Struct, frozen=True, omit_defaults=True):
    visitor: str
    mode: Literal["cookieless", "persistent"]
    first_seen: str
    last_seen: str
    source: Literal["sale", "email", "link"]
    verified: bool
    shared: bool
    sale_share_opt_out: bool
    emails: list[str] | UnsetType = UNSET


class BatchResult(Struct, frozen=True, omit_defaults=True):
    visitors: list[LookedUpVisitor] | UnsetType = UNSET
    more: bool | UnsetType = UNSET
    error: Literal["invalid"] | UnsetType = UNSET


class LookupAnswer(Struct, frozen=True, omit_defaults=True):
    """`visitors` for one question, `results` for `emails`."""

    visitors: list[LookedUpVisitor] | UnsetType = UNSET
    results: list[BatchResult] | UnsetType = UNSET


class RightsBody(Body, frozen=True):
    """One of the members."""

    email: Email | UnsetType = UNSET
    customer: Customer | UnsetType = UNSET
    visitor: VisitorText | UnsetType = UNSET


class ExportAnswer(Struct, frozen=True):
    """Everything held: visitors with mode, consent, receipts, events and digests of their emails; orders. Times in seconds since 1970."""

    visitors: list[dict[str, Any]]
    orders: list[dict[str, Any]]


class ErasedCounts(Struct, frozen=True):
    visitors: int
    links: int
    events: int


class ErasureAnswer(Struct, frozen=True):
    erased: ErasedCounts


class HealthAnswer(Struct, frozen=True):
    status: Literal["ok"]


class Problem(Struct, frozen=True):
    """application/problem+json, RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str


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
