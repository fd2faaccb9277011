"""Bodies and answers. The same structs decode requests and describe them in /openapi.json. UNSET keeps absent from null."""

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

Choice = Literal["granted", "refused"]
Key = Annotated[Any, Meta(description="Where it is not in `Authorization: Bearer KEY`", extra_json_schema={"type": "string"})]
"""Read before the body, so that here it is ignored, whatever it is."""
VisitorText = Annotated[str, Meta(max_length=120)]
Moment = Annotated[datetime, Meta(tz=True, description="RFC 3339")]


Told = Annotated[Any, Meta(extra_json_schema={"type": ["string", "null"]})]
"""Read as far as it can be: what cannot is unknown."""
Flag = Annotated[Any, Meta(extra_json_schema={"type": ["boolean", "integer", "string"], "enum": [True, False, 1, 0, "1", "0"]})]


class Body(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    key: Key = UNSET


class Client(Struct, frozen=True):
    """The visitor's own surroundings, told by a server with a private key, which hands on what it got: what is no address or no region is
    unknown."""

    ip: Told = None
    user_agent: Told = None
    region: Told = None
    gpc: Flag = False
    dnt: Flag = False


class Purposes(Struct, frozen=True, omit_defaults=True):
    storage: Choice | UnsetType = UNSET
    measurement: Choice | UnsetType = UNSET
    linking: Choice | UnsetType = UNSET


class Tcf(Struct, frozen=True, omit_defaults=True):
    """As `__tcfapi('addEventListener')` tells it; everything is read from the string."""

    tc_string: str | None = None
    gdpr_applies: bool | None = None
    event_status: str | None = None


class Gpp(Struct, frozen=True, omit_defaults=True):
    """As `__gpp('addEventListener')` tells it; only the applicable sections of a ready signal count."""

    gpp_string: str | None = None
    applicable_sections: list[int] | None = None
    signal_status: str | None = None


class ConsentObject(Struct, frozen=True, omit_defaults=True):
    """`storage` and `measurement` granted allow a persistent ID. `google`: the state of a consent mode update."""

    purposes: Purposes | UnsetType = UNSET
    tcf: Tcf | UnsetType = UNSET
    gpp: Gpp | UnsetType = UNSET
    us_privacy: str | UnsetType = UNSET
    google: dict[str, Any] | UnsetType = UNSET
    decided_at: Moment | UnsetType = UNSET
    policy_version: Annotated[str, Meta(max_length=64)] | UnsetType = UNSET


Said = Literal["now", "remembered"]
Age = Annotated[float, Meta(ge=0)]
ConsentMember = Literal["granted", "refused", "unknown"] | ConsentObject


class IssueBody(Body, frozen=True):
    visitor: Annotated[VisitorText | None, Meta(description="null, auto, persistent, or an own ID")] | UnsetType = UNSET
    token: VisitorText | UnsetType | None = UNSET
    consent: ConsentMember | UnsetType | None = UNSET
    client: Client | UnsetType | None = UNSET


class ConsentsBody(IssueBody, frozen=True):
    """`said`: `remembered` for what is repeated from where it is kept. `age_ms`: milliseconds since it was said, of a post that is
    repeated."""

    said: Said | UnsetType = UNSET
    age_ms: Age | UnsetType = UNSET


class BannerBody(Body, frozen=True, forbid_unknown_fields=False):
    """Beside these members: the banner's event as its JSON, or its cookies as members by name."""

    visitor: Annotated[VisitorText | None, Meta(description="null, auto, persistent, or an own ID")] | UnsetType = UNSET
    token: VisitorText | UnsetType | None = UNSET
    client: Client | UnsetType | None = UNSET
    said: Said | UnsetType = UNSET
    age_ms: Age | UnsetType = UNSET


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
    """Proof of one decision. `override_reason`: why the operator's rules are looser than the policy's.
    `visitor_digest` is keyed by a random key that only the visitor's record holds."""

    receipt_id: str
    time: str
    mode: str
    purposes: dict[str, str]
    source: str
    policy: str
    policy_version: str | None
    raw_digest: str | None
    region: str | None
    override_reason: str | None
    visitor_digest: str | None
    signature: str


class ConsentAnswer(IdentityAnswer, frozen=True):
    receipt: ReceiptAnswer | None


class ReceiptsBody(Body, frozen=True):
    """`visitor` for all its receipts, newest first; with `at` for the one in force then; or `receipt_id` for one."""

    visitor: VisitorText | UnsetType = UNSET
    at: Moment | UnsetType = UNSET
    receipt_id: Annotated[str, Meta(max_length=64)] | UnsetType = UNSET


class ReceiptsAnswer(Struct, frozen=True):
    receipts: list[ReceiptAnswer]


class DecisionsBody(IssueBody, frozen=True):
    """A decision for given signals that changes nothing."""

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
