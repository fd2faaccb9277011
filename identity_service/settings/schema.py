"""Every setting with its type and bounds, and those bounds in words. `config/default.toml` describes each setting. A shop's settings are
described here, and that file's section on shops is made from these descriptions."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
from msgspec import Meta, Struct, inspect
from msgspec.structs import FieldInfo, fields

from identity_service.settings.toml_file import Name

Count = Annotated[int, Meta(ge=1, le=1_000_000_000)]
Port = Annotated[int, Meta(ge=1, le=65_535)]
DEMO_KEY = re.compile(r"(demo|other|strict)-(public|private)-key")
SECRET = Meta(extra={"secret": True})
"""Marks a setting that can be read from its own file, named in NAME_file."""


def doc(description: str, example: object = msgspec.UNSET) -> Meta:
    """`example`: shown instead of the default."""
    return Meta(description=description, examples=None if example is msgspec.UNSET else [example])


class Section(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class ServerSettings(Section, frozen=True):
    host: str
    port: Port
    internal_port: Annotated[int, Meta(ge=0, le=65_535)]
    workers: Annotated[int, Meta(ge=1, le=256)]
    production: bool
    demo: bool
    trusted_proxies: list[str]
    client_address_header: str
    region_header: str
    gpc_support_since: str
    security_contact: str
    security_days: Annotated[int, Meta(ge=1, le=364)]
    security_languages: list[str]
    drain_seconds: Annotated[int, Meta(ge=1, le=600)]
    log_level: Literal["debug", "info", "warning", "error"]

    @property
    def ports(self) -> dict[str, int]:
        """The ports by the option or setting that chooses them."""
        return {"--port": self.port} | ({"server.internal_port": self.internal_port} if self.internal_port else {})


class StaffSettings(Section, frozen=True):
    proxies: list[str]
    user_header: str
    groups_header: str
    sign_out_address: str


class StoreSettings(Section, frozen=True):
    url: Annotated[str, SECRET]
    timeout_seconds: Annotated[float, Meta(gt=0, le=30)]
    replicas: Annotated[int, Meta(ge=0, le=10)]


class SecretSettings(Section, frozen=True):
    signing_keys: Annotated[list[str], SECRET]
    pepper: Annotated[str, SECRET]
    former_peppers: Annotated[list[str], SECRET]
    receipt_keys: Annotated[list[str], SECRET]

    @property
    def peppers(self) -> list[str]:
        """Oldest first."""
        return [*self.former_peppers, self.pepper]


class LimitSettings(Section, frozen=True):
    enabled: bool
    client_per_second: Count
    key_per_second: Count
    lookups_per_second: Count
    wrong_keys_per_minute: Count
    burst: Annotated[int, Meta(ge=1, le=100)]
    client_bytes_per_hour: Annotated[int, Meta(ge=65_536, le=1_000_000_000_000_000)]
    public_key_bytes_per_hour: Annotated[int, Meta(ge=65_536, le=1_000_000_000_000_000)]
    body_bytes: Count
    sale_body_bytes: Count
    lookup_body_bytes: Count
    connections_per_client: Count
    header_count: Count
    header_bytes: Count
    target_bytes: Annotated[int, Meta(ge=256, le=65_536)]
    header_seconds: Annotated[float, Meta(gt=0, le=600)]
    body_seconds: Annotated[float, Meta(gt=0, le=600)]
    json_depth: Annotated[int, Meta(ge=4, le=64)]
    visitors_per_handle: Annotated[int, Meta(ge=2, le=2_000)]
    emails_per_visitor: Annotated[int, Meta(ge=2, le=50)]
    events_per_visitor: Annotated[int, Meta(ge=1, le=500)]
    orders_per_shop: Count


class RetentionSettings(Section, frozen=True):
    consent_days: Annotated[int, Meta(ge=1, le=390)]
    refusal_days: Annotated[int, Meta(ge=1, le=390)]
    gone_days: Annotated[int, Meta(ge=400, le=3_650)]
    receipt_days: Annotated[int, Meta(ge=1, le=3_650)]
    sale_days: Annotated[int, Meta(ge=400, le=3_650)]
    audit_days: Annotated[int, Meta(ge=1, le=3_650)]


class AgentSettings(Section, frozen=True):
    directories: list[str]
    keys_file: str
    hosts: list[str]
    removed_prefix: str


class RegionSettings(Section, frozen=True):
    """An empty choice keeps the shipped one. `revised`: the day on which the operator last checked its law."""

    no_signal: Literal["", "null", "cookieless"] = ""
    refusal: Literal["", "null", "cookieless"] = ""
    opted_out: Literal["", "null", "cookieless"] = ""
    measurement: Literal["", "none", "exempt"] = ""
    reason: str = ""
    revised: str = ""


class KeySettings(Section, frozen=True):
    sha256: str = ""
    scopes: list[Literal["issue", "track", "consent", "link", "lookup", "reports", "receipts", "rights", "audit", "admin"]] = []
    last_day: str = ""


class ShopSettings(Section, frozen=True):
    public_keys: Annotated[list[str], doc("Keys that browsers may show. Several, for rotation.", ["pk_..."])]
    private_keys: Annotated[list[str], SECRET, doc("Keys for servers only, each written as sha256:HEX.", ["sha256:..."])]
    removals_key: Annotated[
        str,
        SECRET,
        doc(
            "32 random bytes in base64url, shared with the systems that hold copies of visitor IDs. GET /v1/removals names removed "
            "visitors by digests under it. Empty: there is no such list."
        ),
    ] = ""
    origins: Annotated[
        list[str],
        doc(
            'Exact origins of the shop\'s pages. "null" admits pages without an origin (sandboxed frames); their calls count as a '
            "server's.",
            ["https://myshop.example"],
        ),
    ] = []
    policy: Annotated[Literal["standard", "strict"], doc("standard; or strict, which depends on the region (see strict.toml).")] = (
        "standard"
    )
    measurement: Annotated[
        Literal["none", "exempt"],
        doc(
            "none; or exempt, under the policy strict: of visitors who said nothing, figures are kept and nothing else (see the manual's "
            "page on counting). A region may set its own."
        ),
    ] = "none"
    window_days: Annotated[int, Meta(ge=1, le=30), doc("Days that a cookieless ID lasts, 1 to 30.")] = 1
    continuity: Annotated[Literal["bridge", "fresh"], doc("bridge: the session before a grant counts. fresh: it does not.")] = "bridge"
    accept_unsigned: Annotated[bool, doc("Accept visitor IDs without a signature under /v2.")] = True
    product_id_type: Annotated[
        Literal["any", "integer", "string"],
        doc("Type of your product IDs: any, integer or string. A call with another type is refused."),
    ] = "any"
    attribution_days: Annotated[int, Meta(ge=1, le=390), doc("Days before a sale in which a click counts for it.")] = 30
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$"), doc("Currency (ISO 4217) of orders that name none.")] = "EUR"
    link_overrides: Annotated[bool, doc("Allow test IDs from ?clerk_visitor= to be linked to an email.")] = False
    never_link: Annotated[
        list[str],
        doc(
            "Emails and customer IDs that many people share, such as a till's or a walk-in customer's. They are never linked. `kasse@` is "
            "that name at every domain.",
            ["kasse@", "walk-in"],
        ),
    ] = []
    cookie_name: Annotated[str, doc("Name of the visitor cookie: __Host-… without a domain, __Secure-… with one.")] = "__Host-visitor"
    cookie_domain: Annotated[str, doc("Domain of the visitor cookie, to cover subdomains.")] = ""
    tcf_purposes: Annotated[tuple[Annotated[int, Meta(ge=1, le=24)], ...], doc("Purposes that a TC string must all grant.", [1, 8])] = (
        1,
        8,
    )
    tcf_vendor: Annotated[int, Meta(ge=0, le=65_535), doc("Your number on IAB's Global Vendor List. 0: the publisher's own tool.")] = 0
    banner_cookies: Annotated[list[str], doc("Banners whose cookies are read on every call that decides a mode.", ["cookiebot"])] = []
    consent_version: Annotated[
        str,
        Meta(max_length=64),
        doc(
            "Version of the text that your banner shows now, as `policy_version` or the banner reports it. Empty: any. A stored or "
            "remembered yes to another version, or to none, no longer counts. A yes that is said now does."
        ),
    ] = ""
    consent_version_since: Annotated[
        str,
        doc(
            "Time since which you show that text, such as 2026-12-01T00:00:00Z. A yes with a later date counts, whatever version it names."
        ),
    ] = ""
    notice: Annotated[
        str,
        Meta(max_length=512),
        doc("Address of the notice that your banner shows, such as your privacy notice. Receipts contain it."),
    ] = ""
    banner_categories: Annotated[
        dict[str, list[str]],
        doc("Your names for a banner's categories or vendors. All of them must be granted.", {"klaro": ["visitor-id"]}),
    ] = {}
    regions: Annotated[
        dict[str, RegionSettings],
        doc(
            "Your own choice for a row or a code of strict.toml: set no_signal, refusal or opted_out to null or cookieless, or "
            "measurement to none or exempt. A looser choice of an ID needs a reason, which receipts show. Set revised to the day on "
            "which you checked its law: `doctor` names choices that were not checked for a year.",
            {
                "FR": {"measurement": "exempt", "revised": "2026-11-02"},
                "AD": {"no_signal": "cookieless", "reason": "advice of our lawyer of 2026-11-02", "revised": "2026-11-02"},
            },
        ),
    ] = {}
    keys: Annotated[
        dict[str, KeySettings],
        doc(
            "Private keys with a name and with scopes, which limit what they may do (see the manual's page on the contract). last_day is "
            "optional. `identity-service keys new --name NAME --scopes SCOPE` prints one.",
            {"newsletter": {"scopes": ["lookup"], "sha256": "...", "last_day": "2027-06-30"}},
        ),
    ] = {}
    roles: Annotated[
        dict[str, Literal["support", "analyst", "privacy", "owner"]],
        doc(
            "Roles in the admin pages by group, for people whom the proxy of [staff] signs in: support looks people up, analyst sees "
            "figures and no persons, privacy exports and erases, owner does everything.",
            {"shop-support": "support", "shop-owners": "owner"},
        ),
    ] = {}


class Settings(Section, frozen=True):
    server: ServerSettings
    staff: StaffSettings
    store: StoreSettings
    secrets: SecretSettings
    limits: LimitSettings
    retention: RetentionSettings
    agents: AgentSettings
    shops: dict[str, ShopSettings] = {}


def type_of(name: Name) -> Any:
    """None if there is no such setting or section."""
    found: Any = Settings
    for part in name:
        found = member(found, part)
    return found


@cache
def fields_of(kind: type[Struct]) -> Mapping[str, FieldInfo]:
    """By name. Cached, because msgspec resolves all annotations at each call."""
    return {field.name: field for field in fields(kind)}


def member(kind: Any, key: str) -> Any:
    if is_struct(kind):
        return fields_of(kind)[key].type if key in fields_of(kind) else None
    return get_args(_plain(kind))[1] if _is_table(kind) else None


def is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Struct)


def is_section(kind: Any) -> bool:
    """Whether it contains named settings."""
    return is_struct(kind) or _is_table(kind)


def _is_table(kind: Any) -> bool:
    return get_origin(_plain(kind)) is dict


def is_list(kind: Any) -> bool:
    return get_origin(_plain(kind)) in {list, tuple}


def secrets_of(kind: type[Struct]) -> list[str]:
    return [name for name, field in fields_of(kind).items() if SECRET in get_args(field.type)]


def fits(value: Any, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind, strict=False)
    except (msgspec.ValidationError, UnicodeEncodeError):  # the environment may hold any bytes
        return False
    return True


def in_words(kind: Any) -> str:
    return _words(inspect.type_info(kind))


def _plain(kind: Any) -> Any:
    """The type without what is said about it."""
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _words(told: inspect.Type, *, many: bool = False) -> str:
    match told:
        case inspect.Metadata():
            return _words(told.type, many=many)
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            return f"{'whole numbers' if many else 'a whole number'} from {told.ge:,} to {told.le:,}"
        case inspect.FloatType():
            return f"a number above {told.gt:g}, at most {told.le:g}"
        case inspect.LiteralType():
            return " or ".join(f'"{value}"' for value in told.values)
        case inspect.ListType() | inspect.VarTupleType():
            return f"a list of {_words(told.item_type, many=True)}"
        case _:
            return "strings" if many else "a string"
