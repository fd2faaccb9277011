"""Shops: the tenants, their keys, origins and rules."""

import dataclasses
import hashlib
import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NewType
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from identity_service.model.consent import Millis, NoticeVersion
from identity_service.model.handle import NeverLinked
from identity_service.model.policy import STANDARD, STRICT, Policy
from identity_service.model.regions import strict_policy
from identity_service.settings.schema import ShopSettings

ShopId = NewType("ShopId", str)
NO_ORIGIN = "null"
"""What a browser sends for a page without an origin of its own, such as a sandboxed frame."""


class ProductIds(StrEnum):
    """Which type a shop's product IDs have; another fails the call, as in its data feed."""

    ANY = "any"
    INTEGER = "integer"
    STRING = "string"


@dataclass(frozen=True, slots=True)
class TcfRule:
    """How a shop is addressed by a TC string. `purposes`: all need consent. `vendor`: our number on the Global Vendor List; None: we are
    the publisher's own tool."""

    purposes: frozenset[int] = frozenset({1, 8})
    vendor: int | None = None


@dataclass(frozen=True, slots=True)
class SignalRules:
    """A shop's own: how a TC string addresses it, its names of banners' categories, the banners whose cookies it wants read, and the text
    that it shows where it asks."""

    tcf: TcfRule = field(default_factory=TcfRule)
    categories: Mapping[str, frozenset[str]] = field(default_factory=dict)
    cookies: tuple[str, ...] = ()
    notice: NoticeVersion | None = None

    def notice_at(self, now: Millis) -> NoticeVersion | None:
        """None also before its text is shown."""
        return self.notice if self.notice and (self.notice.since or 0) <= now else None


@dataclass(frozen=True, slots=True)
class CookieRule:
    """`domain` is empty for a cookie of the one host that set it."""

    name: str
    domain: str = ""


@dataclass(frozen=True, slots=True)
class Shop:
    """`settings`: as the operator wrote them, without keys; the rest is what they mean. `policies`: every policy by name with this shop's
    own choices, for previews; `policy` is the one in force. `development`: its pages are on this machine alone, so that addresses of this
    machine and of its network are visitors' own."""

    shop_id: ShopId
    settings: ShopSettings
    policy: Policy
    policies: Mapping[str, Policy]
    signals: SignalRules
    origins: frozenset[str]
    product_ids: ProductIds
    never_linked: NeverLinked
    cookie: CookieRule
    development: bool

    def under(self, policy: str) -> "Shop":
        """The same shop as it would be under another policy."""
        return dataclasses.replace(self, policy=self.policies[policy])


def shop_of(name: str, settings: ShopSettings) -> Shop:
    policies = {STANDARD.name: STANDARD, STRICT.name: strict_policy(settings.regions)}
    return Shop(
        shop_id=ShopId(name),
        settings=replace(settings, public_keys=[], private_keys=[]),
        policy=policies[settings.policy],
        policies=policies,
        signals=_signal_rules(settings),
        origins=frozenset(settings.origins),
        product_ids=ProductIds(settings.product_id_type),
        never_linked=NeverLinked(settings.never_link),
        cookie=CookieRule(settings.cookie_name, settings.cookie_domain),
        development=bool(settings.origins) and all(is_loopback(urlsplit(origin).hostname or "") for origin in settings.origins),
    )


def _signal_rules(settings: ShopSettings) -> SignalRules:
    since = settings.consent_version_since
    shown = Millis(int(datetime.fromisoformat(since).timestamp() * 1000)) if since else None
    return SignalRules(
        tcf=TcfRule(frozenset(settings.tcf_purposes), settings.tcf_vendor or None),
        categories={source: frozenset(names) for source, names in settings.banner_categories.items()},
        cookies=tuple(settings.banner_cookies),
        notice=NoticeVersion(settings.consent_version, shown) if settings.consent_version else None,
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it; a name that is no address is resolved by others, so it is not."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Caller(Struct, frozen=True):
    """Whose key a call has. `digest` stands for the key, in limits too; the key itself goes no further."""

    shop: Shop
    private: bool
    digest: str


def key_digest(key: str) -> str:
    """SHA-256 in hex: how keys are held, so that neither a memory dump nor a comparison's time shows one."""
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def written_digest(key: str) -> str:
    """Of a key as settings hold it: a private one as its digest."""
    return key.removeprefix("sha256:") if key.startswith("sha256:") else key_digest(key)


class Shops:
    """Every shop of the service, found by key; `add` takes digests as `key_digest` makes them."""

    def __init__(self) -> None:
        self._by_digest: dict[str, Caller] = {}
        self._shops: list[Shop] = []
        self.origins: frozenset[str] = frozenset()

    def add(self, shop: Shop, public: Iterable[str], private: Iterable[str]) -> None:
        self._shops.append(shop)
        self.origins |= shop.origins
        self._by_digest |= {digest: Caller(shop, False, digest) for digest in public}
        self._by_digest |= {digest: Caller(shop, True, digest) for digest in private}

    def find(self, key: str) -> Caller | None:
        """The same work for a known and an unknown key: one hash, one look-up."""
        return self._by_digest.get(key_digest(key))

    def keys_of(self, shop: Shop) -> list[Caller]:
        """One for each key of the shop."""
        return [caller for caller in self._by_digest.values() if caller.shop is shop]

    def __iter__(self) -> Iterator[Shop]:
        return iter(self._shops)
