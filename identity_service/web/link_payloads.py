"""Bodies and answers of links, look-ups and rights."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from identity_service.web.payloads import Body, VisitorText

Email = Annotated[str, Meta(max_length=1016, description="Trimmed, lower-cased and IDNA-encoded before it is digested; never kept")]
Customer = Annotated[str, Meta(min_length=1, max_length=255)] | int | float
Sha256 = Annotated[str, Meta(pattern="^[0-9a-fA-F]{64}$", description="SHA-256 of the normalised email, hexadecimal")]


ProofText = Literal["key", "token", "none"]


class LinkBody(Body, frozen=True):
    """One of `email` and `customer`, one of `token` and `visitor`; `visitor` needs a private key. `markup`: the value stood in a page's
    markup, so that the link proves nothing."""

    email: Email | UnsetType | None = UNSET
    customer: Customer | UnsetType | None = UNSET
    token: VisitorText | UnsetType | None = UNSET
    visitor: VisitorText | UnsetType | None = UNSET
    markup: bool = False


class LinkAnswer(Struct, frozen=True):
    """`verified`: by a private key."""

    linked: bool
    visitor: str
    verified: bool
    proof: ProofText


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
    proof: ProofText
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
    """One of `email`, `customer`, `visitor` and `token`. `unproven`: an officer decides for this request that visitors which are linked
    without proof are the person's."""

    email: Email | UnsetType = UNSET
    customer: Customer | UnsetType = UNSET
    visitor: VisitorText | UnsetType = UNSET
    token: VisitorText | UnsetType = UNSET
    unproven: bool = False


class ErasureBody(RightsBody, frozen=True):
    """`dry_run`: answers what would go and changes nothing."""

    dry_run: bool = False


class ExportAnswer(Struct, frozen=True):
    """Everything held: visitors with mode, consent, receipts, events and digests of their emails; orders. `unproven`: how each visitor was
    linked that is not shown, since its link proves nothing. Times in seconds since 1970."""

    visitors: list[dict[str, Any]]
    unproven: list[dict[str, Any]]
    orders: list[dict[str, Any]]


class ErasedCounts(Struct, frozen=True):
    visitors: int
    links: int
    events: int


class KeptCounts(Struct, frozen=True):
    """Visitors that stay: `unproven`, since their link proved nothing; `shared`, since another email or customer ID holds them by proof."""

    unproven: int
    shared: int


class ErasureAnswer(Struct, frozen=True):
    """What went and what stays; of a dry run, what would. `reference` stands in the service's log, too, as the request's ID."""

    erased: ErasedCounts
    kept: KeptCounts
    dry_run: bool
    reference: str
