"""The start: from settings to services, to the ASGI application with its background tasks, to a worker process."""

import asyncio
import contextlib
import ctypes
import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Mapping
from functools import partial
from pathlib import Path
from types import FrameType

from starlette.types import Receive, Send

from identity_service.errors import ServiceError, StoreRefused, StoreUnavailable
from identity_service.model.handle import Handles
from identity_service.model.link import LinkCaps
from identity_service.model.receipt_key import ReceiptKeys, read_keys
from identity_service.model.reference import References
from identity_service.model.shop import ShopId, Shops, callers_of, shop_of
from identity_service.model.token import Signing
from identity_service.model.utc import DAY, HOUR
from identity_service.server.addresses import REPEATED, proxies_of, staff_proxy_of
from identity_service.server.limits import MEMORY_VARIABLE, RateLimit, SeenOnce, SharedMemory, Unlimited, open_memory, private_memory
from identity_service.server.logs import configure, log, where
from identity_service.server.metrics import (
    ERASURES_WAITING,
    SWEEP_LAG,
    ProcessGauges,
    flush_counts,
    observe_store,
    set_store_gauges,
)
from identity_service.service.audit import Audit
from identity_service.service.counters import Counters
from identity_service.service.figures import FigureReader
from identity_service.service.health import Addresses, HealthCheck
from identity_service.service.holdings import Holdings
from identity_service.service.identify import Visitors
from identity_service.service.links import Links
from identity_service.service.opt_ins import SaleOptIns
from identity_service.service.orders import Orders
from identity_service.service.receipts import Receipts
from identity_service.service.returns import Returns
from identity_service.service.rights import Rights
from identity_service.service.sell import Sales
from identity_service.service.track import Subjects, Tracking
from identity_service.service.visit import Tokens
from identity_service.settings.schema import Settings, ShopSettings, StoreSettings
from identity_service.signals.agents import AgentSignatures
from identity_service.store import Clock, Retention, Store
from identity_service.store.agent_keys import AgentKeyFile
from identity_service.store.failures import Failures
from identity_service.store.redis.client import StoreClient
from identity_service.store.repair import INTERVAL
from identity_service.store.report import report_store
from identity_service.store.schema import MARK_VARIABLE, SeenMark
from identity_service.web.bodies import BodyLimits
from identity_service.web.call import AdminServices, RateLimits, Services
from identity_service.web.edge import Edge
from identity_service.web.routes import build

AUDIT_A_DAY = 20_000
"""Entries of the audit by one key or person in a day."""
REFUSALS_BEYOND = 10
"""Refusals over the rate limit are obeyed up to this fraction of a client's calls per second."""


def make_services(settings: Settings, clock: Clock, memory: SharedMemory, mark: SeenMark | None = None) -> Services:
    handles, signing = Handles(*settings.secrets.peppers), Signing(settings.secrets.signing_keys)
    limits, kept = settings.limits, settings.retention
    store = make_store(settings, _client(settings.store), handles, mark)
    receipts, counters = Receipts(store, signing, clock, kept.receipt_days, kept.consent_days), Counters(store, clock)
    tokens, links = Tokens(store, signing, clock), Links(store, counters, clock)
    visitors = Visitors(store, signing, tokens, receipts, clock, kept.consent_days, kept.refusal_days)
    subjects, addresses = Subjects(visitors, tokens), Addresses(clock)
    tracking, figures = Tracking(store, subjects, links, clock, limits.events_per_visitor), FigureReader(store, counters, clock)
    return Services(
        shops=make_shops(settings.shops),
        store=store,
        handles=handles,
        visitors=visitors,
        opt_ins=SaleOptIns(store, signing, tokens, visitors, receipts),
        links=links,
        receipts=receipts,
        receipt_keys=ReceiptKeys(read_keys(settings.secrets.receipt_keys)),
        rights=Rights(store, receipts, clock),
        audit=Audit(store, handles, clock, _limit(settings, memory, 8, AUDIT_A_DAY / DAY, DAY)),
        signing=signing,
        tokens=tokens,
        subjects=subjects,
        tracking=tracking,
        sales=Sales(store, subjects, tracking, counters, clock),
        returns=Returns(store, counters, clock),
        counters=counters,
        orders=Orders(store, figures),
        figures=figures,
        health=HealthCheck(figures, addresses, clock),
        addresses=addresses,
        clock=clock,
        agents=AgentSignatures(settings.agents, SeenOnce(memory.slots(7)).seen),
        proxies=proxies_of(settings.server),
        limits=BodyLimits(limits.body_bytes, limits.sale_body_bytes, limits.lookup_body_bytes, limits.json_depth),
        rates=_rates(settings, memory),
        admin=AdminServices(Holdings(store, clock), References(settings.secrets.signing_keys), staff_proxy_of(settings.staff)),
        retention=kept,
        server=settings.server,
    )


def _rates(settings: Settings, memory: SharedMemory) -> RateLimits:
    limits, limit = settings.limits, partial(_limit, settings, memory)
    return RateLimits(
        client=limit(0, limits.client_per_second, limits.burst),
        key=limit(1, limits.key_per_second, limits.burst),
        lookup=limit(2, limits.lookups_per_second, limits.burst),
        refusal=limit(4, limits.client_per_second / REFUSALS_BEYOND, limits.burst),
        wrong_keys=limit(3, limits.wrong_keys_per_minute / 60, 60),
        client_quota=limit(5, limits.client_bytes_per_hour / HOUR, HOUR),
        public_key_quota=limit(6, limits.public_key_bytes_per_hour / HOUR, HOUR),
    )


def _client(store: StoreSettings) -> StoreClient:
    return StoreClient(store.url, store.timeout_seconds, replicas=store.replicas, observe=observe_store, report=report_store)


def make_store(settings: Settings, client: StoreClient, handles: Handles, mark: SeenMark | None = None) -> Store:
    limits, kept = settings.limits, settings.retention
    retention = Retention(kept.gone_days, kept.sale_days, kept.audit_days)
    caps = LinkCaps(limits.visitors_per_handle, limits.emails_per_visitor)
    keys = {ShopId(name): shop.removals_key for name, shop in settings.shops.items() if shop.removals_key}
    return Store(client, handles, caps, retention, limits.orders_per_shop, mark, keys)


def make_shops(settings: Mapping[str, ShopSettings]) -> Shops:
    shops = Shops()
    for name, one in settings.items():
        shop = shop_of(name, one)
        shops.add(shop, callers_of(shop, one))
    return shops


def _limit(settings: Settings, memory: SharedMemory, table: int, per_second: float, burst: float) -> RateLimit:
    if not settings.limits.enabled:
        return Unlimited()
    sharing = 1 if memory.shared else settings.server.workers
    return RateLimit(per_second / sharing, burst, time.monotonic, memory.slots(table))


class Application(Edge):
    """The ASGI application, which owns its store connection. `clock`: seconds since 1970. `memory`: shared by all workers to count callers;
    without it, each worker enforces its share of the limits. `mark`: the store's mark, shared by all workers."""

    def __init__(
        self, settings: Settings, clock: Clock = time.time, memory: SharedMemory | None = None, mark: SeenMark | None = None
    ) -> None:
        self.services = services = make_services(settings, clock, memory or private_memory(), mark)
        counts = (settings.limits.header_count, settings.limits.header_bytes)
        self._agent_keys = AgentKeyFile(settings.agents.keys_file)
        self.read_agent_keys()
        joined = {"cookie": "; ", services.proxies.header: ", "} | dict.fromkeys(services.admin.staff.headers, REPEATED)
        super().__init__(build(services), services.shops.origins, *counts, services.stopping, joined)

    def stop_counting(self, shops: frozenset[ShopId]) -> None:
        """From now on, these shops keep no figures of visitors who say nothing, and what is not written yet is forgotten. The supervisor's
        thread calls it."""
        self.services.shops.stop_counting(shops)
        self.services.counters.days.stop_counting(shops)

    async def lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        self._end_streams_on(signal.SIGTERM)
        async with self.running():
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    def _end_streams_on(self, number: signal.Signals) -> None:
        """Ends live logs on the signal. The server waits for open answers before the shutdown event, so a live log would block it."""
        before, loop = signal.getsignal(number), asyncio.get_running_loop()

        def end(got: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(self.services.stopping.set)
            if callable(before):
                before(got, frame)

        if threading.current_thread() is threading.main_thread():
            signal.signal(number, end)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Runs the background tasks, then writes the last counts and closes the store connection."""
        tasks = [asyncio.create_task(self._upkeep()), asyncio.create_task(self._write_counters())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._write_waiting()
            await self.services.store.client.close()

    async def _upkeep(self) -> None:
        while True:
            self.read_agent_keys()
            try:
                await self.keep_up()
            except StoreRefused:
                pass  # already logged
            except StoreUnavailable as error:
                log.warning("upkeep is postponed by a minute", reason=error.reason)
            except Exception as error:
                log.error("fault", error=type(error).__name__, frames=where(error))
            await asyncio.sleep(INTERVAL)

    async def _write_counters(self) -> None:
        """Counts wait in memory while the store is away."""
        gauges = ProcessGauges()
        while True:
            set_store_gauges(self.services.store.client.open, bool(self.services.store.client.refused))
            gauges.set()
            await asyncio.sleep(1)
            await self._write_waiting()

    async def _write_waiting(self) -> None:
        """What cannot be written waits for the next time."""
        flush_counts()
        for write in (self.services.counters.write, self.services.audit.write):
            with contextlib.suppress(ServiceError):
                await write()

    def read_agent_keys(self) -> None:
        """Reads the keys of agents if their file has changed. One that cannot be read changes nothing."""
        if not self._agent_keys.changed():
            return
        try:
            self.services.agents.take_keys(self._agent_keys.read())
        except ValueError as error:
            log.warning("the keys of agents stay as they were", reason=str(error))

    async def keep_up(self) -> int:
        """One round of repair, of the shops that this worker wrote notes for, and of the sweep, by one worker per minute. Returns how many
        erasures it completed. A missing server of a cluster does not stop the rest. Raises StoreUnavailable after everything was tried."""
        store, failures, ended, ours = self.services.store, Failures(), 0, True
        with failures.collecting():
            await store.check_marks()
        now, shops = self.services.links.now(), frozenset(shop.shop_id for shop in self.services.shops)
        store.salts.forget_destroyed(now // 1000)
        store.days.salts.forget_destroyed(now // 1000)
        with failures.collecting():
            ours = await store.repair.claim_turn()
        due = store.repair.due(shops, now, ours=ours)
        with failures.collecting():
            ended = await store.repair.run(due, now)
        with failures.collecting():
            if await store.repair.rewrite_if_due(due, now // 1000):
                log.info("append-only file is being rewritten")
        if ours:
            with failures.collecting():
                if swept := await store.sweep.round(shops, self.services.links.now):
                    log.info("links that had ended were taken off", links=swept)
            if (lag := store.sweep.lag(self.services.links.now())) is not None:
                SWEEP_LAG.set(lag)
        ERASURES_WAITING.set(store.repair.waiting)
        if ended:
            log.info("repaired", erasures=ended)
        failures.raise_first()
        return ended


PR_SET_PDEATHSIG = 1
OBJECTS = 20_000
"""The number of new objects that starts the garbage collector. Requests leave no cycles, so it needs to run rarely."""


def create(settings: Settings) -> Application:
    _end_with_parent()
    configure(settings.server.log_level)
    memory = os.environ.get(MEMORY_VARIABLE)
    mark = os.environ.get(MARK_VARIABLE)
    application = Application(settings, memory=open_memory(memory) if memory else None, mark=SeenMark(Path(mark)) if mark else None)
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS)
    return application


def _end_with_parent() -> None:
    """Ends this worker if its supervisor is killed, because the embedded store ends too. Linux only; elsewhere the worker continues."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    supervisor = multiprocessing.parent_process()
    if supervisor and supervisor.pid != os.getppid():
        sys.exit("the supervisor ended while this worker started")
