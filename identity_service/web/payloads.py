"""What bodies and answers share: how members are described, who and what a visitor is in JSON, and cursors of lists."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from identity_service.model.consent import Choice
from identity_service.model.policy import Reason
from identity_service.model.visitor import Mode


def about(description: str, **schema: Any) -> Meta:
    """What a member means, as /openapi.json says it. `schema`: keywords there beside those of the member's type."""
    return Meta(description=description, extra_json_schema=schema or None)


def listed(struct: type[Struct], description: str, **schema: Any) -> Meta:
    """Describes a list whose entries are sent without being converted to structs. `struct`: the form of an entry."""
    return about(description, items={"$ref": f"#/components/schemas/{struct.__name__}"}, **schema)


ModeText = Literal["cookieless", "persistent", "null"]
MODE_TEXTS: Mapping[Mode, ModeText] = {Mode.COOKIELESS: "cookieless", Mode.PERSISTENT: "persistent", Mode.NULL: "null"}
"""An enumeration's own `value` takes several calls of Python, and every answer has a mode."""
Key = Annotated[Any, about("The shop's key, where it is not in `Authorization: Bearer KEY`.", type="string")]
"""The key is read before the body, so any value is accepted here."""
VisitorText = Annotated[str, Meta(max_length=120)]
Moment = Annotated[datetime, Meta(tz=True)]
Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
Count = Annotated[int, Meta(extra_json_schema={"minimum": 0})]
Share = Annotated[float, Meta(extra_json_schema={"minimum": 0, "maximum": 1})]
Cursor = Annotated[str, Meta(max_length=1_000)]
LIMIT = about("Entries of a page. Absent, as many as there may be.")
CURSOR = about("`next` of the page before. Absent, the first page.")
NEXT = about("Cursor of the next page. Null on the last.")


class Members(Struct, kw_only=True, frozen=True):
    """The body of any call. `required`: members that it must have. `exactly_one`: exactly one of these. `at_least_one`: one or more of
    these."""

    required: ClassVar[tuple[str, ...]] = ()
    exactly_one: ClassVar[tuple[str, ...]] = ()
    at_least_one: ClassVar[tuple[str, ...]] = ()

    key: Key = UNSET


class Body(Members, frozen=True, forbid_unknown_fields=True):
    """The body of a call under /v1."""


FLAG = {"type": ["boolean", "integer", "string"]}
YES = (True, 1, "1", "true")
"""What counts as true in a FLAG."""
TEXT = {"type": ["string", "null"]}
AGENT_TEXTS = ("signature_agent", "signature_input", "signature", "authority", "method", "target", "name")


AGENT = about(
    "What the request says of an agent: its headers as you received them, `signature_agent`, `signature_input` and `signature`, with its"
    " `authority` (the `Host`), `method` and `target` (path with query). Or your own server's or CDN's verdict: `name` and `verified`."
    " Absent, null or empty for none.",
    type=["object", "null"],
    properties={name: {"type": ["string", "null"]} for name in AGENT_TEXTS} | {"verified": {"type": ["boolean", "null"]}},
)


class Client(Struct, frozen=True):
    """The visitor's own surroundings, sent by a server with a private key. An invalid address or region counts as unknown."""

    ip: Annotated[Any, about("Address of the visitor's device. A loopback, private or link-local one is unknown.", **TEXT)] = None
    user_agent: Annotated[Any, about("`User-Agent` of the visitor's browser.", **TEXT)] = None
    region: Annotated[Any, about("ISO 3166 code of the visitor's country, or of country and subdivision: `FR`, `US-CA`.", **TEXT)] = None
    gpc: Annotated[Any, about("Whether the browser sends `Sec-GPC: 1`, an opt-out of sale and sharing. Also as 1 or `1`.", **FLAG)] = False
    dnt: Annotated[Any, about("Whether the browser sends `DNT: 1`. Also as 1 or `1`.", **FLAG)] = False
    agent: Annotated[Any, AGENT] = None


class Purposes(Struct, frozen=True, omit_defaults=True):
    """`storage` and `measurement` granted together allow a persistent ID. What is absent was not chosen."""

    storage: Annotated[Choice | UnsetType, about("Keeping an ID on the device.")] = UNSET
    measurement: Annotated[Choice | UnsetType, about("Measuring what the visitor does in the shop.")] = UNSET
    linking: Annotated[Choice | UnsetType, about("Linking the ID to an email or a customer ID. Absent, it follows `storage`.")] = UNSET


class Tcf(Struct, frozen=True, omit_defaults=True):
    """The data of `__tcfapi('addEventListener')`. Everything is read from the string."""

    tc_string: Annotated[str | None, about("The TC string, version 2.")] = None
    gdpr_applies: Annotated[bool | None, about("Whether the banner says that the GDPR applies.")] = None
    event_status: Annotated[str | None, about("`useractioncomplete` for a choice made now, `tcloaded` for one that is remembered.")] = None


class Gpp(Struct, frozen=True, omit_defaults=True):
    """The data of `__gpp('addEventListener')`. Only the applicable sections of a ready signal count."""

    gpp_string: Annotated[str | None, about("The GPP string.")] = None
    applicable_sections: Annotated[list[int | str] | None, about("Numbers of the sections that apply to the visitor, or as text.")] = None
    signal_status: Annotated[str | None, about("`ready` once the visitor has decided.")] = None


class BannerMembers(Struct, frozen=True, omit_defaults=True):
    """How your banner asked. Receipts repeat it."""

    version: Annotated[str | None, about("Version of the banner.")] = None
    language: Annotated[str | None, about("Language in which it asked: `de`.")] = None
    method: Annotated[str | None, about("What the visitor did, in the banner's words: `accept_all`.")] = None


class ConsentObject(Struct, frozen=True, omit_defaults=True):
    """`storage` and `measurement` granted allow a persistent ID. Of several signals the newest choice counts; at a tie, the refusal. An
    unreadable signal is no choice."""

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
    banner: Annotated[BannerMembers | UnsetType, about("Version and language of the banner, and how the visitor chose.")] = UNSET


TOKEN = about("The visitor's token, from an earlier answer. Without it the visitor's cookie is read.")


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
    counted: Annotated[
        bool | UnsetType,
        about("Only in mode `null`: the visitor said nothing, and the shop keeps figures of it, and nothing else. Send it on in calls."),
    ] = UNSET


class ProofAnswer(Struct, frozen=True):
    """Ed25519 signature of a receipt, which anybody can verify with `/.well-known/consent-receipt-keys.json`."""

    kid: Annotated[str, about("Name of the key in that list.")]
    signed: Annotated[str, about("The signed bytes in base64: the other members as JSON with sorted names and without spaces.")]
    ed25519: Annotated[str, about("The signature in base64.")]


class ReceiptAnswer(Struct, frozen=True):
    """Proof of one decision, signed by the service."""

    receipt_id: Annotated[str, about("The receipt's own ID, by which it is found.")]
    time: Annotated[Time, about("When the choice arrived, in RFC 3339.")]
    decided_at: Annotated[Time, about("When it was made, in RFC 3339; the time of arrival if that was not sent.")]
    basis: Annotated[
        Literal["person", "shop", "platform"],
        about("Who said so: the person, the shop, whose word proves no consent, or the platform of the person's agent."),
    ]
    mode: Annotated[str, about("Mode of the visitor after the choice.", enum=["cookieless", "persistent", "null"])]
    purposes: Annotated[
        dict[str, str],
        about("`granted` or `refused`, for the purposes that were asked: `storage`, `measurement`, `linking`; or `sale_share` alone."),
    ]
    source: Annotated[str, about("Who reported the choice: `plain`, `shop`, `sale_opt_in`, or a banner's name.")]
    policy: Annotated[str, about("The shop's policy at that time.")]
    policy_version: Annotated[str | None, about("Version of the notice that the visitor saw, if it was sent.")]
    raw_digest: Annotated[str | None, about("SHA-256 of the signal as it came, in hexadecimal.")]
    region: Annotated[str | None, about("The visitor's region, as far as it was known.")]
    override_reason: Annotated[str | None, about("Why the operator's rules are looser than the policy's.")]
    visitor_digest: Annotated[
        str | None, about("The visitor's ID under a random key that only its record holds. Null where the receipt names nobody.")
    ]
    shop: Annotated[str | None, about("The shop. It and the members before `signature` are null in receipts of earlier editions.")]
    event: Annotated[
        Literal["given", "confirmed", "refused", "withdrawn"] | None,
        about("What the choice did. `confirmed`: the grant was given before. `withdrawn`: a grant was stored. Null for the shop's word."),
    ]
    ends_at: Annotated[Time | None, about("When a grant ends, in RFC 3339. Null for a refusal, and for an opt-in to sale.")]
    previous: Annotated[str | None, about("ID of the visitor's receipt before this one.")]
    consent_version: Annotated[str | None, about("Version of the text that the shop showed then, by its settings.")]
    notice: Annotated[str | None, about("Address of the notice that the shop showed then, by its settings.")]
    banner: Annotated[BannerMembers | None, about("How the banner asked, as far as it said so.")]
    signature: Annotated[str, about("HMAC of the service over the choice. Only the service can verify it.")]
    signed_at: Annotated[Time | UnsetType, about("When `proof` was made, in RFC 3339.")] = UNSET
    proof: Annotated[ProofAnswer | UnsetType, about("Absent in the answer to a choice, and while the service has no key for it.")] = UNSET


class ConsentAnswer(IdentityAnswer, frozen=True, kw_only=True):
    """The visitor's ID after the choice, and the proof of the choice."""

    receipt: Annotated[ReceiptAnswer | None, about("Proof of the choice. Null where nothing was chosen, or the store cannot keep it.")]


class HealthAnswer(Struct, frozen=True):
    """The process answers, or the store does."""

    status: Annotated[Literal["ok"], about("Always `ok`: anything else is an error.")]
    away: Annotated[list[str] | UnsetType, about("Shops that cannot be written: their server of a cluster is down.", maxItems=10_000)] = (
        UNSET
    )
