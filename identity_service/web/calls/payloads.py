"""Bodies and answers. The same structs decode requests and describe them in /openapi.json. UNSET keeps absent from null."""

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from identity_service.model.consent import Choice
from identity_service.model.policy import Reason
from identity_service.web.lists import MOST_RECEIPTS


def about(description: str, **schema: Any) -> Meta:
    """What a member means, as /openapi.json says it. `schema`: keywords there beside those of the member's type."""
    return Meta(description=description, extra_json_schema=schema or None)


def listed(struct: type[Struct], description: str, **schema: Any) -> Meta:
    """Of a list whose entries go out as they are held, without being made structs first: `struct` describes one."""
    return about(description, items={"$ref": f"#/components/schemas/{struct.__name__}"}, **schema)


ModeText = Literal["cookieless", "persistent", "null"]
Key = Annotated[Any, about("The shop's key, where it is not in `Authorization: Bearer KEY`.", type="string")]
"""Read before the body, so that here it is ignored, whatever it is."""
VisitorText = Annotated[str, Meta(max_length=120)]
Moment = Annotated[datetime, Meta(tz=True)]
Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]


Cursor = Annotated[str, Meta(max_length=1_000)]
LIMIT = about("Entries of a page. Absent, as many as there may be.")
CURSOR = about("`next` of the page before. Absent, the first page.")
NEXT = about("Cursor of the next page. Null on the last.")


class Body(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """`exactly_one`: members of which a call names one and no more; `at_least_one`: of which it names one or more."""

    exactly_one: ClassVar[tuple[str, ...]] = ()
    at_least_one: ClassVar[tuple[str, ...]] = ()

    key: Key = UNSET


FLAG = {"type": ["boolean", "integer", "string"]}
TEXT = {"type": ["string", "null"]}


class Client(Struct, frozen=True):
    """The visitor's own surroundings, told by a server with a private key, which hands on what it got: what is no address or no region is
    unknown."""

    ip: Annotated[Any, about("Address of the visitor's device. A loopback, private or link-local one is unknown.", **TEXT)] = None
    user_agent: Annotated[Any, about("`User-Agent` of the visitor's browser.", **TEXT)] = None
    region: Annotated[Any, about("ISO 3166 code of the visitor's country, or of country and subdivision: `FR`, `US-CA`.", **TEXT)] = None
    gpc: Annotated[Any, about("Whether the browser sends `Sec-GPC: 1`, an opt-out of sale and sharing. Also as 1 or `1`.", **FLAG)] = False
    dnt: Annotated[Any, about("Whether the browser sends `DNT: 1`. Also as 1 or `1`.", **FLAG)] = False


class Purposes(Struct, frozen=True, omit_defaults=True):
    """`storage` and `measurement` granted together allow a persistent ID. What is absent was not chosen."""

    storage: Annotated[Choice | UnsetType, about("Keeping an ID on the device.")] = UNSET
    measurement: Annotated[Choice | UnsetType, about("Measuring what the visitor does in the shop.")] = UNSET
    linking: Annotated[Choice | UnsetType, about("Linking the ID to an email or a customer ID. Absent, it follows `storage`.")] = UNSET


class Tcf(Struct, frozen=True, omit_defaults=True):
    """As `__tcfapi('addEventListener')` tells it; everything is read from the string."""

    tc_string: Annotated[str | None, about("The TC string, version 2.")] = None
    gdpr_applies: Annotated[bool | None, about("Whether the banner says that the GDPR applies.")] = None
    event_status: Annotated[str | None, about("`useractioncomplete` for a choice made now, `tcloaded` for one that is remembered.")] = None


class Gpp(Struct, frozen=True, omit_defaults=True):
    """As `__gpp('addEventListener')` tells it; only the applicable sections of a ready signal count."""

    gpp_string: Annotated[str | None, about("The GPP string.")] = None
    applicable_sections: Annotated[list[int | str] | None, about("Numbers of the sections that apply to the visitor, or as text.")] = None
    signal_status: Annotated[str | None, about("`ready` once the visitor has decided.")] = None


class ConsentObject(Struct, frozen=True, omit_defaults=True):
    """`storage` and `measurement` granted allow a persistent ID. Of several signals the newest choice counts, a refusal at a tie. What
    cannot be read is no choice."""

    purposes: Annotated[Purposes | UnsetType, about("The choice by purpose.")] = UNSET
    tcf: Annotated[Tcf | UnsetType, about("IAB Europe's Transparency and Consent Framework.")] = UNSET
    gpp: Annotated[Gpp | UnsetType, about("IAB's Global Privacy Platform.")] = UNSET
    us_privacy: Annotated[str | UnsetType, about("IAB's US privacy string: `1YNN`.")] = UNSET
    google: Annotated[dict[str, Any] | UnsetType, about("State of a Google consent mode update, by its names: `analytics_storage`.")] = (
        UNSET
    )
    decided_at: Annotated[Moment | UnsetType, about("When the visitor chose, in RFC 3339 with its offset.")] = UNSET
    policy_version: Annotated[
        Annotated[str, Meta(max_length=64)] | UnsetType, about("Version of the notice that the visitor saw. Receipts repeat it.")
    ] = UNSET


Said = Literal["now", "remembered"]
Age = Annotated[float, Meta(ge=0)]
ConsentMember = Literal["granted", "refused", "unknown"] | ConsentObject

ASKED = about(
    "Absent: as consent decides. Null: no ID. `auto`: a cookieless one. `persistent`: a persistent one, by the shop's word. Else an own ID"
    " of 1 to 64 of `A-Z a-z 0-9 _ . -`."
)
TOKEN = about("The visitor's token, from an earlier answer. Without it the visitor's cookie is read.")
CONSENT = about("The choice in a word, or its signals. `unknown` says nothing.")
CLIENT = about("The visitor's surroundings, told by a server. Only a private key may send them.")
SAID = about("`remembered` for a choice that is repeated from where it is kept. Else it was said now.")
AGE = about("Milliseconds since the choice was said, for a post that is repeated.")


class IssueBody(Body, frozen=True):
    """Whom an ID is asked for, and what is known of the visitor's consent. `consent` is state here: remembered, unless `decided_at` dates
    it."""

    visitor: Annotated[VisitorText | UnsetType | None, ASKED] = UNSET
    token: Annotated[VisitorText | UnsetType | None, TOKEN] = UNSET
    consent: Annotated[ConsentMember | UnsetType | None, CONSENT] = UNSET
    client: Annotated[Client | UnsetType | None, CLIENT] = UNSET


class ConsentsBody(IssueBody, frozen=True):
    """A choice that was said now, unless `said`, `age_ms` or `decided_at` say otherwise."""

    said: Annotated[Said | UnsetType, SAID] = UNSET
    age_ms: Annotated[Age | UnsetType, AGE] = UNSET


class BannerBody(Body, frozen=True, forbid_unknown_fields=False):
    """Beside these members: the banner's event as its JSON, or its cookies as members by name."""

    visitor: Annotated[VisitorText | UnsetType | None, ASKED] = UNSET
    token: Annotated[VisitorText | UnsetType | None, TOKEN] = UNSET
    client: Annotated[Client | UnsetType | None, CLIENT] = UNSET
    said: Annotated[Said | UnsetType, SAID] = UNSET
    age_ms: Annotated[Age | UnsetType, AGE] = UNSET


class DecisionAnswer(Struct, frozen=True):
    """Why the visitor has its mode."""

    reason: Annotated[Reason, about("The rule that decided.")]
    signal: Annotated[str | None, about("Source of the choice that counted: `plain`, `shop`, or a banner's name. Null where none did.")]
    region: Annotated[str | None, about("The visitor's region, as far as it is known.")]
    policy: Annotated[str, about("The shop's policy: `standard` or `strict`.")]


class IdentityAnswer(Struct, frozen=True):
    """The visitor's ID, or null. Hand `Set-Cookie` to the visitor's browser, and keep `token` on the server."""

    visitor: Annotated[str | None, about("The visitor's ID. Null in mode `null`.")]
    mode: Annotated[ModeText, about("`cookieless`: for one window. `persistent`: until consent ends. `null`: no ID.")]
    token: Annotated[str | None, about("The ID, signed. It proves the visitor in later calls.")]
    expires_at: Annotated[Time | None, about("When the ID ends, in RFC 3339.")]
    linkable: Annotated[bool, about("Whether the ID may be linked to an email or a customer ID.")]
    sale_share_opt_out: Annotated[bool, about("Whether the visitor has opted out of sale and sharing of its data.")]
    decision: Annotated[DecisionAnswer, about("Why the visitor has this mode.")]


class ReceiptAnswer(Struct, frozen=True):
    """Proof of one decision, signed by the service."""

    receipt_id: Annotated[str, about("The receipt's own ID, by which it is found.")]
    time: Annotated[Time, about("When the choice arrived, in RFC 3339.")]
    decided_at: Annotated[Time, about("When it was made, in RFC 3339; the same where nobody told.")]
    basis: Annotated[Literal["person", "shop"], about("Whose word it is. The shop's proves no consent.")]
    mode: Annotated[str, about("Mode of the visitor after the choice.", enum=["cookieless", "persistent", "null"])]
    purposes: Annotated[
        dict[str, str], about("`granted` or `refused`, of the purposes that were asked: `storage`, `measurement`, `linking`.")
    ]
    source: Annotated[str, about("Who reported the choice: `plain`, `shop`, or a banner's name.")]
    policy: Annotated[str, about("The shop's policy at that time.")]
    policy_version: Annotated[str | None, about("Version of the notice that the visitor saw, if it was sent.")]
    raw_digest: Annotated[str | None, about("SHA-256 of the signal as it came, in hexadecimal.")]
    region: Annotated[str | None, about("The visitor's region, as far as it was known.")]
    override_reason: Annotated[str | None, about("Why the operator's rules are looser than the policy's.")]
    visitor_digest: Annotated[
        str | None, about("The visitor's ID under a random key that only its record holds. Null where the receipt names nobody.")
    ]
    signature: Annotated[str, about("Signature over the other members as JSON with sorted names and without spaces.")]


class ConsentAnswer(IdentityAnswer, frozen=True):
    """The visitor's ID after the choice, and the proof of the choice."""

    receipt: Annotated[ReceiptAnswer | None, about("Proof of the choice. Null where nothing was chosen, or the store cannot keep it.")]


class ReceiptsBody(Body, frozen=True):
    """`visitor` for all its receipts, newest first; with `at` for the one in force then; or `receipt_id` for one, whatever else is sent."""

    at_least_one: ClassVar[tuple[str, ...]] = ("visitor", "receipt_id")

    visitor: Annotated[VisitorText | UnsetType, about("ID of the visitor whose receipts are asked for.")] = UNSET
    at: Annotated[Moment | UnsetType, about("The moment for which proof is asked, in RFC 3339 with its offset.")] = UNSET
    receipt_id: Annotated[Annotated[str, Meta(max_length=64)] | UnsetType, about("ID of one receipt.")] = UNSET
    limit: Annotated[int, Meta(ge=1, le=MOST_RECEIPTS), LIMIT] = MOST_RECEIPTS
    cursor: Annotated[Cursor | None, CURSOR] = None


class ReceiptsAnswer(Struct, frozen=True):
    """Empty where nothing is known."""

    receipts: Annotated[list[ReceiptAnswer], about("Newest first, at most `limit`.", maxItems=MOST_RECEIPTS)]
    next: Annotated[str | None, NEXT] = None


class DecisionsBody(IssueBody, frozen=True):
    """A decision for given signals that changes nothing."""

    policy: Annotated[Literal["standard", "strict"] | UnsetType, about("Decide under this policy instead of the shop's.")] = UNSET


class TraceStep(Struct, frozen=True):
    """One fact that the decision looked at."""

    fact: Annotated[str, about("What was looked at.")]
    value: Annotated[str, about("What was found.")]


class DecisionsAnswer(Struct, frozen=True):
    """What a call with this body would be answered, and why."""

    mode: Annotated[ModeText, about("The mode that the visitor would have.")]
    sale_share_opt_out: Annotated[bool, about("Whether the visitor would count as opted out of sale and sharing.")]
    decision: Annotated[DecisionAnswer, about("Why.")]
    trace: Annotated[list[TraceStep], about("Every fact in the order it was looked at; the last is the rule.")]


class VerificationBody(Body, frozen=True):
    """One token."""

    token: Annotated[str, about("The token to verify.")]


class VerificationAnswer(Struct, frozen=True, omit_defaults=True):
    """`valid` with the visitor, or with the reason against it."""

    valid: Annotated[bool, about("Whether the token is this shop's and its ID lives.")]
    visitor: Annotated[str | UnsetType, about("The visitor's ID, of a valid token.")] = UNSET
    mode: Annotated[Literal["cookieless", "persistent"] | UnsetType, about("The ID's mode, of a valid token.")] = UNSET
    issued_at: Annotated[Time | UnsetType, about("When a valid token was signed, in RFC 3339.")] = UNSET
    reason: Annotated[Literal["bad_signature", "expired", "withdrawn"] | UnsetType, about("Why a token is not valid.")] = UNSET


class ReceiptVerificationBody(Body, frozen=True):
    """One receipt."""

    receipt: Annotated[dict[str, Any], about("The receipt as it was answered, all members.")]


class ReceiptVerificationAnswer(Struct, frozen=True):
    """Whether the receipt is as the service signed it."""

    valid: Annotated[bool, about("Whether this service signed it for this shop, and nothing of it was changed.")]


class HealthAnswer(Struct, frozen=True):
    """The process answers, or the store does."""

    status: Annotated[Literal["ok"], about("Always `ok`: anything else is an error.")]
    away: Annotated[list[str] | UnsetType, about("Shops that cannot be written: their server of a cluster is away.", maxItems=10_000)] = (
        UNSET
    )
