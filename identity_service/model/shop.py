"""Shops: the tenants, their keys, origins and rules."""

import dataclasses
import hashlib
import ipaddress
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NewType
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from identity_service.model.audit import Actor
from identity_service.model.consent import Millis, NoticeVersion, millis_of
from identity_service.model.handle import NeverLinked
from identity_service.model.policy import STANDARD, STRICT, Policy
from identity_service.model.regions import strict_policy
from identity_service.model.utc import DAY, day_number
from identity_service.model.visitor import Kind, Mode, VisitorRecord
from identity_service.settings.schema import ShopSettings

ShopId = NewType("ShopId", str)
SHOWN_OF_A_DIGEST = 12
"""Characters of a key's digest that name a key without a name."""
NO_ORIGIN = "null"
"""A browser sends this for a page without an origin, such as a sandboxed frame."""


class ProductIds(StrEnum):
    """The type of a shop's product IDs, as in its data feed. A call with another type fails."""

    ANY = "any"
    INTEGER = "integer"
    STRING = "string"


@dataclass(frozen=True, slots=True)
class TcfRule:
    """What a shop needs from a TC string. `purposes`: all of them need consent. `vendor`: the number on the Global Vendor List; None if the
    service is the publisher's own tool."""

    purposes: frozenset[int] = frozenset({1, 8})
    vendor: int | None = None


@dataclass(frozen=True, slots=True)
class SignalRules:
    """How a shop's signals are read. `categories`: its names for a banner's categories. `cookies`: the banners whose cookies are read.
    `notice`: the text that it shows when it asks for consent."""

    tcf: TcfRule = field(default_factory=TcfRule)
    categories: Mapping[str, frozenset[str]] = field(default_factory=dict)
    cookies: tuple[str, ...] = ()
    notice: NoticeVersion | None = None

    def notice_at(self, now: Millis) -> NoticeVersion | None:
        """None also before the text is first shown."""
        return self.notice if self.notice and (self.notice.since or 0) <= now else None


@dataclass(frozen=True, slots=True)
class CookieRule:
    """`domain`: empty if the cookie belongs to one host only."""

    name: str
    domain: str = ""


@dataclass(frozen=True, slots=True)
class Shop:
    """`settings`: the operator's, without keys; the other members are derived from them. `policy`: the current one. `policies`: all by
    name, with this shop's own choices, for previews. `development`: all its origins are on this machine, so local addresses count as
    visitors'."""

    shop_id: ShopId
    settings: ShopSettings
    policy: Policy
    policies: Mapping[str, Policy]
    signals: SignalRules
    origins: frozenset[str]
    hosts: frozenset[str]
    product_ids: ProductIds
    never_linked: NeverLinked
    cookie: CookieRule
    development: bool

    def counts(self, record: VisitorRecord, now: Millis) -> bool:
        """Whether the record's grant counts now: it has not ended, was given to the text that is shown now, and the policy takes the shop's
        word if it is that."""
        of_the_shop = record.consent is not None and record.consent.is_of_the_shop
        return record.granted_to(self.signals.notice_at(now)) and (self.policy.persistent_is_consent or not of_the_shop)

    def mode_of(self, record: VisitorRecord, now: Millis) -> Mode:
        """The mode of a stored visitor: null once its grant does not count any more."""
        lapsed = record.kind is Kind.PERSISTENT and not self.counts(record, now)
        return Mode.NULL if lapsed else record.mode

    @property
    def counts_silent(self) -> bool:
        """Whether it keeps figures of visitors who said nothing, in any region."""
        return self.policy.counts_silent

    @property
    def uncounted(self) -> "Shop":
        """The same shop, which keeps no figures of visitors who said nothing."""
        policies = {name: policy.uncounted for name, policy in self.policies.items()}
        return dataclasses.replace(self, policy=self.policy.uncounted, policies=policies)

    def under(self, policy: str) -> "Shop":
        """The same shop with another policy."""
        return dataclasses.replace(self, policy=self.policies[policy])


def shop_of(name: str, settings: ShopSettings) -> Shop:
    policies = {STANDARD.name: STANDARD, STRICT.name: strict_policy(settings.regions, settings.measurement)}
    return Shop(
        shop_id=ShopId(name),
        settings=replace(settings, public_keys=[], private_keys=[], keys={}),
        policy=policies[settings.policy],
        policies=policies,
        signals=_signal_rules(settings),
        origins=frozenset(settings.origins),
        hosts=frozenset(origin.partition("://")[2] for origin in settings.origins if origin != NO_ORIGIN),
        product_ids=ProductIds(settings.product_id_type),
        never_linked=NeverLinked(settings.never_link),
        cookie=CookieRule(settings.cookie_name, settings.cookie_domain),
        development=bool(settings.origins) and all(is_loopback(urlsplit(origin).hostname or "") for origin in settings.origins),
    )


def no_longer_counting(before: Mapping[str, ShopSettings], after: Mapping[str, ShopSettings]) -> frozenset[ShopId]:
    """Shops that kept figures of visitors who said nothing in some place, and keep none there now."""
    found = set()
    for name, settings in before.items():
        policy, newer = shop_of(name, settings).policy, shop_of(name, after[name]).policy if name in after else None
        places = (None, "", *policy.regions, *(newer.regions if newer else ()))
        if any(policy.rules(place).counts_silent and not (newer and newer.rules(place).counts_silent) for place in places):
            found.add(ShopId(name))
    return frozenset(found)


def _signal_rules(settings: ShopSettings) -> SignalRules:
    since = settings.consent_version_since
    shown = millis_of(datetime.fromisoformat(since).timestamp()) if since else None
    return SignalRules(
        tcf=TcfRule(frozenset(settings.tcf_purposes), settings.tcf_vendor or None),
        categories={source: frozenset(names) for source, names in settings.banner_categories.items()},
        cookies=tuple(settings.banner_cookies),
        notice=NoticeVersion(settings.consent_version, shown) if settings.consent_version else None,
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the host. Other names than localhost do not count, because others resolve them."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Scope(StrEnum):
    """What a key may do. Every call needs one of these."""

    ISSUE = "issue"
    TRACK = "track"
    CONSENT = "consent"
    LINK = "link"
    LOOKUP = "lookup"
    REPORTS = "reports"
    RECEIPTS = "receipts"
    RIGHTS = "rights"
    AUDIT = "audit"
    ADMIN = "admin"


EVERY_SCOPE = frozenset(Scope)
PUBLIC_SCOPES = frozenset({Scope.ISSUE, Scope.TRACK, Scope.CONSENT, Scope.LINK})


class Caller(Struct, frozen=True):
    """The owner of a call's key. `digest` stands for the key everywhere, also in limits. The key itself is not kept. `name`: empty for a
    key of `public_keys` and `private_keys`. `ends`: the key is unknown from then on, in seconds since 1970. `actor`: the key as the audit
    names it."""

    shop: Shop
    private: bool
    digest: str
    scopes: frozenset[Scope] = EVERY_SCOPE
    name: str = ""
    ends: float = math.inf
    actor: Actor = Actor("")


def key_digest(key: str) -> str:
    """SHA-256 in hex. Keys are held as digests, so that neither a memory dump nor the time of a comparison reveals one."""
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def written_digest(key: str) -> str:
    """The digest of a key from the settings, which may hold a digest already."""
    return key.removeprefix("sha256:") if key.startswith("sha256:") else key_digest(key)


def callers_of(shop: Shop, settings: ShopSettings) -> list[Caller]:
    """One for each key of the shop."""
    public = [Caller(shop, False, key_digest(key), PUBLIC_SCOPES) for key in settings.public_keys]
    private = [Caller(shop, True, written_digest(key)) for key in settings.private_keys]
    named = [
        Caller(shop, True, key.sha256, frozenset(map(Scope, key.scopes)), name, _end_of_day(key.last_day) if key.last_day else math.inf)
        for name, key in settings.keys.items()
    ]
    return [replace(one, actor=Actor(one.name or f"key {one.digest[:SHOWN_OF_A_DIGEST]}")) for one in public + private + named]


def _end_of_day(day: str) -> int:
    return (day_number(day) + 1) * DAY


class Shops:
    """All shops, found by key."""

    def __init__(self) -> None:
        self._by_digest: dict[str, Caller] = {}
        self._shops: list[Shop] = []
        self.origins: frozenset[str] = frozenset()

    def add(self, shop: Shop, callers: Iterable[Caller]) -> None:
        self._shops.append(shop)
        self.origins |= shop.origins
        self._by_digest |= {caller.digest: caller for caller in callers}

    def stop_counting(self, shops: frozenset[ShopId]) -> None:
        """These shops keep no figures of visitors who said nothing from the next call on. It may be called in any thread."""
        changed = {shop.shop_id: shop.uncounted for shop in self._shops if shop.shop_id in shops}
        self._by_digest = {
            digest: replace(caller, shop=changed.get(caller.shop.shop_id, caller.shop)) for digest, caller in self._by_digest.items()
        }
        self._shops = [changed.get(shop.shop_id, shop) for shop in self._shops]

    def find(self, key: str) -> Caller | None:
        """One hash and one look-up, for known and unknown keys alike, so that the time reveals nothing."""
        return self._by_digest.get(key_digest(key))

    def keys_of(self, shop: Shop) -> list[Caller]:
        """One for each key of the shop."""
        return [caller for caller in self._by_digest.values() if caller.shop.shop_id == shop.shop_id]

    def __iter__(self) -> Iterator[Shop]:
        return iter(self._shops)
