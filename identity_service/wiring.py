"""Wiring: from settings to the services. The one place that knows both."""

import time
from collections.abc import Mapping
from functools import cache, partial
from urllib.parse import urlsplit

from identity_service.consent import NoticeVersion
from identity_service.handle import Handles
from identity_service.limits import RateLimit
from identity_service.link import LinkCaps
from identity_service.metrics import STORE_SECONDS
from identity_service.policy import STANDARD, STRICT
from identity_service.regions import strict_policy
from identity_service.relations import is_loopback
from identity_service.sections import Settings, ShopSettings, StoreSettings
from identity_service.service.addresses import Addresses
from identity_service.service.figures import FigureReader
from identity_service.service.health import HealthCheck
from identity_service.service.links import Links
from identity_service.service.orders import Orders
from identity_service.service.receipts import Receipts
from identity_service.service.returns import Returns
from identity_service.service.rights import Rights
from identity_service.service.sales import Sales
from identity_service.service.subjects import Subjects
from identity_service.service.tally import Tally
from identity_service.service.tracking import Tracking
from identity_service.service.visitors import Visitors
from identity_service.shop import CookieRule, ProductIds, Shop, ShopId, Shops, key_digest, written_digest
from identity_service.signals.answers import millis
from identity_service.signals.statements import SignalRules
from identity_service.signals.tcf import TcfRule
from identity_service.signing import Signing
from identity_service.slots import SharedMemory
from identity_service.store import Clock, Retention, Store
from identity_service.store.activity import HOUR
from identity_service.store.client import Client
from identity_service.store.schema import SeenMark
from identity_service.web.addresses import proxies_of
from identity_service.web.bodies import BodyLimits
from identity_service.web.endpoints import Services

REFUSALS_BEYOND = 10
"""Of as many calls as a client may make, one more may be a refusal that is obeyed although it is over the limit."""


def make_services(settings: Settings, clock: Clock, memory: SharedMemory, mark: SeenMark | None = None) -> Services:
    handles, signing = Handles(*settings.secrets.peppers), Signing(settings.secrets.signing_keys)
    limits, kept, limit = settings.limits, settings.retention, partial(_limit, settings, memory)
    store = make_store(settings, _client(settings.store), handles, mark)
    receipts, links, tally = Receipts(store, signing, clock, kept.receipt_days), Links(store, signing, clock), Tally(store, clock)
    visitors = Visitors(store, signing, receipts, clock, kept.consent_days, kept.refusal_days)
    subjects, addresses = Subjects(visitors), Addresses(clock)
    tracking, orders = Tracking(store, subjects, links, clock, limits.events_per_visitor), Orders(store, tally, clock)
    return Services(
        shops=make_shops(settings.shops),
        store=store,
        handles=handles,
        visitors=visitors,
        links=links,
        receipts=receipts,
        rights=Rights(store, receipts, clock),
        signing=signing,
        subjects=subjects,
        tracking=tracking,
        sales=Sales(store, subjects, tracking, tally, clock),
        returns=Returns(store, tally, clock),
        tally=tally,
        orders=orders,
        figures=FigureReader(store, tally, clock),
        health=HealthCheck(orders, addresses, clock),
        addresses=addresses,
        clock=clock,
        proxies=proxies_of(settings.server),
        limits=BodyLimits(limits.body_bytes, limits.sale_body_bytes, limits.lookup_body_bytes, limits.json_depth),
        client_limit=limit(0, limits.client_per_second, limits.burst),
        key_limit=limit(1, limits.key_per_second, limits.burst),
        lookup_limit=limit(2, limits.lookups_per_second, limits.burst),
        client_quota=limit(5, limits.client_bytes_per_hour / HOUR, HOUR),
        public_key_quota=limit(6, limits.public_key_bytes_per_hour / HOUR, HOUR),
        refusal_limit=limit(4, limits.client_per_second / REFUSALS_BEYOND, limits.burst),
        wrong_keys=limit(3, limits.wrong_keys_per_minute / 60, 60),
        refusal_days=kept.refusal_days,
        consent_days=kept.consent_days,
        server=settings.server,
    )


def _client(store: StoreSettings) -> Client:
    return Client(store.url, store.timeout_seconds, replicas=store.replicas, observe=_observe)


def make_store(settings: Settings, client: Client, handles: Handles, mark: SeenMark | None = None) -> Store:
    limits, kept = settings.limits, settings.retention
    retention = Retention(kept.consent_days, kept.gone_days, kept.receipt_days, kept.sale_days)
    caps = LinkCaps(limits.visitors_per_handle, limits.emails_per_visitor)
    return Store(client, handles, caps, retention, limits.orders_per_shop, mark)


def make_shops(settings: Mapping[str, ShopSettings]) -> Shops:
    shops = Shops()
    for name, one in settings.items():
        policies = {STANDARD.name: STANDARD, STRICT.name: strict_policy(one.regions)}
        shop = Shop(
            shop_id=ShopId(name),
            origins=frozenset(one.origins),
            policy=policies[one.policy],
            policies=policies,
            signals=_signal_rules(one),
            window_days=one.window_days,
            bridge=one.continuity == "bridge",
            accept_unsigned=one.accept_unsigned,
            product_ids=ProductIds(one.product_id_type),
            attribution_days=one.attribution_days,
            currency=one.currency,
            link_overrides=one.link_overrides,
            cookie=CookieRule(one.cookie_name, one.cookie_domain),
            development=bool(one.origins) and all(is_loopback(urlsplit(origin).hostname or "") for origin in one.origins),
        )
        shops.add(shop, map(key_digest, one.public_keys), map(written_digest, one.private_keys))
    return shops


def _signal_rules(one: ShopSettings) -> SignalRules:
    categories = {source: frozenset(names) for source, names in one.banner_categories.items()}
    tcf = TcfRule(frozenset(one.tcf_purposes), one.tcf_vendor or None)
    notice = NoticeVersion(one.consent_version, millis(one.consent_version_since)) if one.consent_version else None
    return SignalRules(tcf, categories, tuple(one.banner_cookies), notice)


def _limit(settings: Settings, memory: SharedMemory, table: int, per_second: float, burst: float) -> RateLimit | None:
    if not settings.limits.enabled:
        return None
    sharing = 1 if memory.shared else settings.server.workers
    return RateLimit(per_second / sharing, burst, time.monotonic, memory.slots(table))


def _observe(seconds: float, outcome: str) -> None:
    _store_seconds(outcome).observe(seconds)


_store_seconds = cache(STORE_SECONDS.labels)
