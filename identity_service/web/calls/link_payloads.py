"""Bodies and answers of links, look-ups and rights."""

from typing import Annotated, Any, ClassVar, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from identity_service.model.consent import Choice
from identity_service.web.calls.order_payloads import CreditEntry, EventEntry, SoldLine
from identity_service.web.calls.payloads import Body, ReceiptAnswer, Time, VisitorText, about, listed

Email = Annotated[str, Meta(max_length=1016)]
Customer = Annotated[str, Meta(min_length=1, max_length=255)] | int | float
Sha256 = Annotated[str, Meta(pattern="^[0-9a-fA-F]{64}$")]
ProofText = Literal["key", "token", "none"]
SourceText = Literal["sale", "email", "link"]

EMAIL = about(
    "An email. Invisible characters are removed, it is trimmed, lower-cased and IDNA-encoded before it is digested, and never kept.",
    examples=["luke@skywalker.com"],
)
EMAIL_SHA256 = about("SHA-256 of the normalised email, in hexadecimal.")
CUSTOMER = about("The shop's ID of a customer: a text, or a whole number. It is digested, and never kept.")
VISITOR = about("A visitor's ID.")
TOKEN = about("A visitor's token.")
PROOF = about("What shows that the visitor is the person's: `key`: the shop said so. `token`: the visitor's token. `none`: nothing.")
VERIFIED = about("Whether a private key made the link.")


class LinkBody(Body, frozen=True):
    """Exactly one of `email` and `customer`. The visitor is that of `token`; without it, with a private key, `visitor`; without both, the
    visitor of the cookie."""

    exactly_one: ClassVar[tuple[str, ...]] = ("email", "customer")

    email: Annotated[Email | UnsetType | None, EMAIL] = UNSET
    customer: Annotated[Customer | UnsetType | None, CUSTOMER] = UNSET
    token: Annotated[VisitorText | UnsetType | None, TOKEN] = UNSET
    visitor: Annotated[VisitorText | UnsetType | None, about("A visitor's ID. Only a private key may name one without its token.")] = UNSET
    markup: Annotated[bool, about("Whether the value stood in a page's markup, so that the link proves nothing.")] = False


class LinkAnswer(Struct, frozen=True):
    """The link is made, or was there."""

    linked: Annotated[bool, about("Always true: what cannot be linked is an error.")]
    visitor: Annotated[str, about("ID of the visitor that is linked.")]
    verified: Annotated[bool, VERIFIED]
    proof: Annotated[ProofText, PROOF]


class UnlinkAnswer(Struct, frozen=True):
    """The link is gone."""

    unlinked: Annotated[bool, about("Whether there was a link.")]
    visitor: Annotated[str, about("ID of the visitor.")]


class LookupBody(Body, frozen=True):
    """Exactly one of the members beside `key`."""

    exactly_one: ClassVar[tuple[str, ...]] = ("email", "email_sha256", "customer", "visitor", "emails")

    email: Annotated[Email | UnsetType, EMAIL] = UNSET
    email_sha256: Annotated[Sha256 | UnsetType, EMAIL_SHA256] = UNSET
    customer: Annotated[Customer | UnsetType, CUSTOMER] = UNSET
    visitor: Annotated[VisitorText | UnsetType, VISITOR] = UNSET
    emails: Annotated[Annotated[list[str], Meta(max_length=5000)] | UnsetType, about("Up to 5,000 emails, answered in order.")] = UNSET


class LookedUpVisitor(Struct, frozen=True, omit_defaults=True):
    """A visitor and the link by which it was found."""

    visitor: Annotated[str, about("The visitor's ID.")]
    mode: Annotated[
        Literal["cookieless", "persistent", "null"],
        about("The ID's mode: `null` once the visitor's consent has ended, or while it is one to an earlier text."),
    ]
    first_seen: Annotated[Time, about("When the link was first made, in RFC 3339.")]
    last_seen: Annotated[Time, about("When the link was last made, in RFC 3339.")]
    source: Annotated[SourceText, about("The call that made the link: a sale, `log/email`, or `/v1/links`.")]
    verified: Annotated[bool, VERIFIED]
    proof: Annotated[ProofText, PROOF]
    shared: Annotated[bool, about("Whether several emails hold the visitor by proof, as on a family's device.")]
    sale_share_opt_out: Annotated[
        bool, about("Whether the person opted out of sale and sharing, with this visitor or with another that the same link proves.")
    ]
    consent_ends_at: Annotated[Time | UnsetType, about("When the consent to a persistent ID ends or ended, in RFC 3339.")] = UNSET
    emails: Annotated[
        list[str] | UnsetType, about("Digests of the visitor's emails, in a look-up by `visitor`: at most 20 (`emails_per_visitor`).")
    ] = UNSET


class BatchResult(Struct, frozen=True, omit_defaults=True):
    """Of one email: `visitors` and `more`, or `error`."""

    visitors: Annotated[list[LookedUpVisitor] | UnsetType, about("Newest first, at most 20.", maxItems=20)] = UNSET
    more: Annotated[bool | UnsetType, about("Whether there are more: ask for this email alone.")] = UNSET
    error: Annotated[Literal["invalid"] | UnsetType, about("The text is no email.")] = UNSET


class LookupAnswer(Struct, frozen=True, omit_defaults=True):
    """`visitors` for one question, `results` for `emails`. Nothing known is an empty list."""

    visitors: Annotated[list[LookedUpVisitor] | UnsetType, about("Newest first, at most 1,000 (`visitors_per_handle`).")] = UNSET
    results: Annotated[list[BatchResult] | UnsetType, about("One for each of `emails`, in their order.", maxItems=5000)] = UNSET


class RightsBody(Body, frozen=True):
    """Exactly one of `email`, `customer`, `visitor` and `token`."""

    exactly_one: ClassVar[tuple[str, ...]] = ("email", "customer", "visitor", "token")

    email: Annotated[Email | UnsetType, EMAIL] = UNSET
    customer: Annotated[Customer | UnsetType, CUSTOMER] = UNSET
    visitor: Annotated[VisitorText | UnsetType, VISITOR] = UNSET
    token: Annotated[VisitorText | UnsetType, TOKEN] = UNSET
    unproven: Annotated[
        bool, about("An officer decides for this request that visitors which are linked without proof are the person's.")
    ] = False


class ErasureBody(RightsBody, frozen=True):
    """Exactly one of `email`, `customer`, `visitor` and `token`."""

    dry_run: Annotated[bool, about("Answer what would go, and change nothing.")] = False


class ExportedLink(Struct, frozen=True):
    """How a visitor is linked to the email or customer ID that was named."""

    first_seen: Annotated[Time, about("When the link was first made, in RFC 3339.")]
    last_seen: Annotated[Time, about("When the link was last made, in RFC 3339.")]
    source: Annotated[SourceText, about("The call that made the link: a sale, `log/email`, or `/v1/links`.")]
    verified: Annotated[bool, VERIFIED]
    proof: Annotated[ProofText, PROOF]


class ExportedConsent(Struct, frozen=True):
    """The grant that is in force."""

    granted_at: Annotated[Time, about("When the visitor granted, in RFC 3339.")]
    source: Annotated[str, about("Who reported the choice: `plain`, `shop`, or a banner's name.")]
    linking: Annotated[Choice | None, about("The choice about links. Null where none was made.")]
    policy_version: Annotated[str | None, about("Version of the notice that the visitor saw, if it was sent.")]
    raw_digest: Annotated[str | None, about("The first characters of the signal's SHA-256.")]


class ExportedVisitor(Struct, frozen=True):
    """All that is held of one visitor. Of a `shared` one, that another person's email or customer ID holds, too, only `link` is shown."""

    visitor: Annotated[str, about("The visitor's ID.")]
    shared: Annotated[bool, about("Whether it is another person's, too.")]
    emails: Annotated[list[str] | UnsetType, about("Digests of its emails, at most 20 (`emails_per_visitor`).")] = UNSET
    customers: Annotated[list[str] | UnsetType, about("Digests of its customer IDs, at most 20 (`emails_per_visitor`).")] = UNSET
    receipts: Annotated[list[ReceiptAnswer] | UnsetType, about("Its receipts, newest first.", maxItems=100)] = UNSET
    events: Annotated[list[EventEntry] | UnsetType, about("Newest first, at most 200 (`events_per_visitor`).")] = UNSET
    mode: Annotated[Literal["cookieless", "persistent"] | UnsetType, about("The ID's mode.")] = UNSET
    first_seen: Annotated[Time | UnsetType, about("When it was first seen, in RFC 3339.")] = UNSET
    last_seen: Annotated[Time | UnsetType, about("When it was last seen, in RFC 3339.")] = UNSET
    expires_at: Annotated[Time | UnsetType, about("When the ID ends, in RFC 3339.")] = UNSET
    consent: Annotated[ExportedConsent | UnsetType | None, about("The grant that is in force, or null.")] = UNSET
    sale_share_opt_out: Annotated[bool | UnsetType, about("Whether it has opted out of sale and sharing.")] = UNSET
    link: Annotated[ExportedLink | UnsetType, about("How it is linked to the email or customer ID that was named.")] = UNSET


class ExportedOrder(Struct, frozen=True):
    """An order. `visitor` and `attribution` are shown only with the visitor itself."""

    sale: Annotated[str, about("The shop's order ID.")]
    time: Annotated[Time, about("When the sale was logged, in RFC 3339.")]
    revenue: Annotated[str, about("Unit price times quantity, summed; a decimal text.", format="decimal")]
    products: Annotated[list[SoldLine], about("The order's lines.", maxItems=1000)]
    visitor: Annotated[str | UnsetType, about("ID of the visitor who bought.")] = UNSET
    email: Annotated[str | UnsetType, about("Digest of the order's email.")] = UNSET
    customer: Annotated[str | UnsetType, about("Digest of the order's customer ID.")] = UNSET
    attribution: Annotated[list[CreditEntry] | UnsetType, about("What the order is credited to.", maxItems=1000)] = UNSET


class ExportAnswer(Struct, frozen=True):
    """Everything held of the person. Nothing known is three empty lists."""

    visitors: Annotated[list[dict[str, Any]], listed(ExportedVisitor, "The person's visitors, at most 1,000 (`visitors_per_handle`).")]
    unproven: Annotated[
        list[dict[str, Any]], listed(ExportedLink, "How each visitor was linked that is not shown, since its link proves nothing.")
    ]
    orders: Annotated[list[dict[str, Any]], listed(ExportedOrder, "The person's orders, at most 1,000 of an email and of each visitor.")]


class ErasedCounts(Struct, frozen=True):
    """How much went, or would go."""

    visitors: Annotated[int, about("Visitors.", minimum=0)]
    links: Annotated[int, about("Links to emails and customer IDs.", minimum=0)]
    events: Annotated[int, about("Events of those visitors.", minimum=0)]


class KeptCounts(Struct, frozen=True):
    """How many visitors stay."""

    unproven: Annotated[int, about("Visitors whose link proved nothing.", minimum=0)]
    shared: Annotated[int, about("Visitors that another email or customer ID holds by proof.", minimum=0)]


class ErasureAnswer(Struct, frozen=True):
    """What went and what stays; of a dry run, what would."""

    erased: Annotated[ErasedCounts, about("What went.")]
    kept: Annotated[KeptCounts, about("What stays, and why.")]
    dry_run: Annotated[bool, about("Whether nothing was changed.")]
    reference: Annotated[str, about("The request's ID, which stands in the service's log, too.")]
