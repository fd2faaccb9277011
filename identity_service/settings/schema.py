"""Every setting with its type and bounds, and those bounds in words. `config/default.toml` describes each setting."""

import re
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
from msgspec import Meta, Struct, inspect
from msgspec.structs import fields

from identity_service.settings.toml_file import Name

Count = Annotated[int, Meta(ge=1, le=1_000_000_000)]
Port = Annotated[int, Meta(ge=1, le=65_535)]
DEMO_KEY = re.compile(r"(demo|other|strict)-(public|private)-key")
SECRET = Meta(extra={"secret": True})
"""Marks a setting that can be read from its own file, named in NAME_file."""


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
    drain_seconds: Annotated[int, Meta(ge=1, le=600)]
    log_level: Literal["debug", "info", "warning", "error"]

    @property
    def ports(self) -> dict[str, int]:
        """The ports by the option or setting that chooses them."""
        return {"--port": self.port} | ({"server.internal_port": self.internal_port} if self.internal_port else {})


class StoreSettings(Section, frozen=True):
    url: Annotated[str, SECRET]
    timeout_seconds: Annotated[float, Meta(gt=0, le=30)]
    replicas: Annotated[int, Meta(ge=0, le=10)]


class SecretSettings(Section, frozen=True):
    signing_keys: Annotated[list[str], SECRET]
    pepper: Annotated[str, SECRET]
    former_peppers: Annotated[list[str], SECRET]

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


class RegionSettings(Section, frozen=True):
    """An empty member keeps the shipped choice."""

    no_signal: Literal["", "null", "cookieless"] = ""
    refusal: Literal["", "null", "cookieless"] = ""
    opted_out: Literal["", "null", "cookieless"] = ""
    reason: str = ""


class ShopSettings(Section, frozen=True):
    public_keys: list[str]
    private_keys: Annotated[list[str], SECRET]
    origins: list[str] = []
    policy: Literal["standard", "strict"] = "standard"
    window_days: Annotated[int, Meta(ge=1, le=30)] = 1
    continuity: Literal["bridge", "fresh"] = "bridge"
    accept_unsigned: bool = True
    product_id_type: Literal["any", "integer", "string"] = "any"
    attribution_days: Annotated[int, Meta(ge=1, le=390)] = 30
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")] = "EUR"
    link_overrides: bool = False
    never_link: list[str] = []
    cookie_name: str = "__Host-visitor"
    cookie_domain: str = ""
    regions: dict[str, RegionSettings] = {}
    tcf_purposes: tuple[Annotated[int, Meta(ge=1, le=24)], ...] = (1, 8)
    tcf_vendor: Annotated[int, Meta(ge=0, le=65_535)] = 0
    banner_categories: dict[str, list[str]] = {}
    banner_cookies: list[str] = []
    consent_version: Annotated[str, Meta(max_length=64)] = ""
    consent_version_since: str = ""


class Settings(Section, frozen=True):
    server: ServerSettings
    store: StoreSettings
    secrets: SecretSettings
    limits: LimitSettings
    retention: RetentionSettings
    shops: dict[str, ShopSettings] = {}


def type_of(name: Name) -> Any:
    """None if there is no such setting or section."""
    found: Any = Settings
    for part in name:
        found = member(found, part)
    return found


def member(kind: Any, key: str) -> Any:
    if is_struct(kind):
        return next((field.type for field in fields(kind) if field.name == key), None)
    return get_args(kind)[1] if get_origin(kind) is dict else None


def is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Struct)


def is_section(kind: Any) -> bool:
    """Whether it contains named settings."""
    return is_struct(kind) or get_origin(kind) is dict


def is_list(kind: Any) -> bool:
    return get_origin(_plain(kind)) in {list, tuple}


def secrets_of(kind: type[Struct]) -> list[str]:
    return [field.name for field in fields(kind) if SECRET in get_args(field.type)]


def fits(value: Any, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind, strict=False)
    except (msgspec.ValidationError, UnicodeEncodeError):  # the environment may hold any bytes
        return False
    return True


def in_words(kind: Any) -> str:
    return _words(inspect.type_info(_plain(kind)))


def _plain(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is Annotated and SECRET in get_args(kind) else kind


def _words(told: inspect.Type, *, many: bool = False) -> str:
    match told:
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
