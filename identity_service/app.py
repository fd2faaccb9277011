"""Wiring: from settings to an ASGI application. The one place that knows both."""

import asyncio
import contextlib
import signal
import threading
import time
from collections.abc import AsyncIterator, Mapping
from functools import cache
from types import FrameType

from starlette.types import ASGIApp, Receive, Scope, Send

from identity_service.errors import ServiceError
from identity_service.handle import Handles
from identity_service.limits import RateLimit
from identity_service.link import LinkCaps
from identity_service.logs import log, where
from identity_service.metrics import STORE_SECONDS, tell_counts
from identity_service.policy import STANDARD, STRICT
from identity_service.regions import strict_policy
from identity_service.sections import Settings, ShopSettings
from identity_service.service.figures import FigureReader
from identity_service.service.health import HealthCheck
from identity_service.service.links import Links
from identity_service.service.orders import Orders
from identity_service.service.receipts import Receipts
from identity_service.service.rights import Rights
from identity_service.service.sales import Sales
from identity_service.service.subjects import Subjects
from identity_service.service.tally import Tally
from identity_service.service.tracking import Tracking
from identity_service.service.visitors import Visitors
from identity_service.shop import CookieRule, ProductIds, Shop, ShopId, Shops, key_digest
from identity_service.signals.statements import SignalRules
from identity_service.signals.tcf import TcfRule
from identity_service.signing import Signing
from identity_service.slots import SharedMemory, private_memory
from identity_service.store import Clock, Retention, Store
from identity_service.store.client import Client
from identity_service.store.repair import INTERVAL
from identity_service.web.auth import parse_networks
from identity_service.web.bodies import BodyLimits
from identity_service.web.endpoints import Services
from identity_service.web.middleware import Edge
from identity_service.web.routes import build


class Application:
    """An ASGI application that owns its store connection. `clock`: seconds since 1970. `memory`: in which its workers count callers
    together; without it each has its share of the limits."""

    def __init__(self, settings: Settings, clock: Clock = time.time, memory: SharedMemory | None = None) -> None:
        self.services = make_services(settings, clock, memory or private_memory())
        limits, services = settings.limits, self.services
        self._app: ASGIApp = Edge(build(services), services.shops.origins, limits.header_count, limits.header_bytes, services.stopping)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            await self._app(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        self._end_streams_on(signal.SIGTERM)
        async with self.running():
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    def _end_streams_on(self, number: signal.Signals) -> None:
        """The server waits for open answers before it tells of its end, and a live log would keep it waiting."""
        before, loop = signal.getsignal(number), asyncio.get_running_loop()

        def end(got: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(self.services.stopping.set)
            if callable(before):
                before(got, frame)

        if threading.current_thread() is threading.main_thread():
            signal.signal(number, end)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Repairs while it runs, and closes the store connection after."""
        tasks = [asyncio.create_task(self._upkeep()), asyncio.create_task(self._write_tally())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            tell_counts()
            with contextlib.suppress(ServiceError):
                await self.services.tally.write()
            await self.services.store.client.close()

    async def _upkeep(self) -> None:
        while True:
            try:
                await self.keep_up()
            except ServiceError:
                log.warning("upkeep postponed: the store cannot be reached")
            except Exception as error:
                log.error("fault", error=type(error).__name__, frames=where(error))
            await asyncio.sleep(INTERVAL)

    async def _write_tally(self) -> None:
        while True:
            await asyncio.sleep(1)
            tell_counts()
            try:
                await self.services.tally.write()
            except ServiceError:
                log.warning("counts wait: the store cannot be reached")

    async def keep_up(self) -> int:
        """One round of repair, by one worker a minute; returns how many notes it closed."""
        services = self.services
        now = services.links.now()
        services.store.salts.forget_destroyed(now // 1000)
        if not await services.store.repair.claim_turn():
            return 0
        closed = await services.store.repair.run([shop.shop_id for shop in services.shops], now)
        if await services.store.repair.rewrite_if_due(now // 1000):
            log.info("append-only file is being rewritten")
        if closed:
            log.info("repaired", notes=closed)
        return closed


def make_services(settings: Settings, clock: Clock, memory: SharedMemory) -> Services:
    handles = Handles(settings.secrets.pepper)
    signing = Signing(settings.secrets.signing_keys)
    limits, kept = settings.limits, settings.retention
    store = _make_store(settings, handles)
    receipts = Receipts(store, signing, kept.receipt_days)
    visitors = Visitors(store, signing, receipts, clock, kept.consent_days)
    links, subjects = Links(store, signing, clock), Subjects(visitors)
    tracking = Tracking(store, subjects, links, clock, limits.events_per_visitor)
    tally = Tally(store, clock)
    orders = Orders(store, tally, clock)
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
        sales=Sales(store, subjects, tracking, tally),
        tally=tally,
        orders=orders,
        figures=FigureReader(store, tally, clock),
        health=HealthCheck(orders, clock),
        clock=clock,
        proxies=parse_networks(settings.server.trusted_proxies),
        limits=BodyLimits(limits.body_bytes, limits.lookup_body_bytes, limits.json_depth),
        client_limit=_limit(settings, memory, 0, limits.client_per_second, limits.burst),
        key_limit=_limit(settings, memory, 1, limits.key_per_second, limits.burst),
        lookup_limit=_limit(settings, memory, 2, limits.lookups_per_second, limits.burst),
        wrong_keys=_limit(settings, memory, 3, limits.wrong_keys_per_minute / 60, 60),
        refusal_days=kept.refusal_days,
        consent_days=kept.consent_days,
        region_header=settings.server.region_header.lower(),
        gpc_support_since=settings.server.gpc_support_since,
        demo=settings.server.demo,
    )


def _make_store(settings: Settings, handles: Handles) -> Store:
    limits, kept = settings.limits, settings.retention
    client = Client(settings.store.url, settings.store.timeout_seconds, replicas=settings.store.replicas, observe=_observe)
    retention = Retention(kept.consent_days, kept.gone_days, kept.receipt_days, kept.sale_days)
    return Store(client, handles, LinkCaps(limits.visitors_per_handle, limits.emails_per_visitor), retention, limits.orders_per_shop)


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
            link_overrides=one.link_overrides,
            cookie=CookieRule(one.cookie_name, one.cookie_domain),
        )
        shops.add(shop, map(key_digest, one.public_keys), map(_private_digest, one.private_keys))
    return shops


def _signal_rules(one: ShopSettings) -> SignalRules:
    categories = {source: frozenset(names) for source, names in one.banner_categories.items()}
    return SignalRules(TcfRule(frozenset(one.tcf_purposes), one.tcf_vendor or None), categories, tuple(one.banner_cookies))


def _limit(settings: Settings, memory: SharedMemory, table: int, per_second: float, burst: float) -> RateLimit | None:
    if not settings.limits.enabled:
        return None
    sharing = 1 if memory.shared else settings.server.workers
    return RateLimit(per_second / sharing, burst, time.monotonic, memory.slots(table))


def _private_digest(key: str) -> str:
    return key.removeprefix("sha256:") if key.startswith("sha256:") else key_digest(key)


def _observe(seconds: float, outcome: str) -> None:
    _store_seconds(outcome).observe(seconds)


_store_seconds = cache(STORE_SECONDS.labels)
