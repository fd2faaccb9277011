"""Shops: the tenants, their keys, origins and rules."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NewType

from msgspec import Struct

from identity_service.model.consent import Millis, NoticeVersion
from identity_service.model.policy import Policy

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
    """`policies`: every policy by name with this shop's own choices, for previews; `policy` is the one in force. `window_days`: life of a
    cookieless ID. `bridge`: whether the session before a grant counts for the new ID. `attribution_days`: window in which clicks count for
    a sale. `currency`: of orders that tell none. `link_overrides`: whether a test ID typed into the address may be linked to an email.
    `development`: its pages are on this machine alone, so that addresses of this machine and of its network are visitors' own."""

    shop_id: ShopId
    origins: frozenset[str]
    policy: Policy
    policies: Mapping[str, Policy]
    signals: SignalRules
    window_days: int
    bridge: bool
    accept_unsigned: bool
    product_ids: ProductIds
    attribution_days: int
    currency: str
    link_overrides: bool
    cookie: CookieRule
    development: bool = False

    def under(self, policy: str) -> "Shop":
        """The same shop as it would be under another policy."""
        return replace(self, policy=self.policies[policy])


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
