"""Bodies and answers of links, look-ups and rights."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from identity_service.web.payloads import Body, VisitorText

Email = Annotated[str, Meta(max_length=1016, description="Trimmed, lower-cased and IDNA-encoded before it is digested; never kept")]
Customer = Annotated[str, Meta(min_length=1, max_length=255)]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-fA-F]{64}$", description="SHA-256 of the normalised email, hexadecimal")]


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
