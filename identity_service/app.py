"""The ASGI application: the web over the services, and what goes on beside calls."""

import asyncio
import contextlib
import signal
import threading
import time
from collections.abc import AsyncIterator
from types import FrameType

from starlette.types import ASGIApp, Receive, Scope, Send

from identity_service.errors import ServiceError, StoreRefused
from identity_service.logs import log, where
from identity_service.metrics import tell_counts, tell_store
from identity_service.sections import Settings
from identity_service.slots import SharedMemory, private_memory
from identity_service.store import Clock
from identity_service.store.failures import Failures
from identity_service.store.repair import INTERVAL
from identity_service.store.schema import SeenMark
from identity_service.web.middleware import Edge
from identity_service.web.routes import build
from identity_service.wiring import make_services


class Application:
    """An ASGI application that owns its store connection. `clock`: seconds since 1970. `memory`: in which its workers count callers
    together; without it each has its share of the limits. `mark`: of the store, as its workers know it together."""

    def __init__(
        self, settings: Settings, clock: Clock = time.time, memory: SharedMemory | None = None, mark: SeenMark | None = None
    ) -> None:
        self.services = make_services(settings, clock, memory or private_memory(), mark)
        limits, services = settings.limits, self.services
        counts = (limits.header_count, limits.header_bytes)
        self._app: ASGIApp = Edge(build(services), services.shops.origins, *counts, services.stopping, services.proxies.header)

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
            except StoreRefused:
                pass  # was logged once
            except ServiceError as error:
                log.warning("upkeep postponed: the store cannot be reached", reason=error.detail)
            except Exception as error:
                log.error("fault", error=type(error).__name__, frames=where(error))
            await asyncio.sleep(INTERVAL)

    async def _write_tally(self) -> None:
        while True:
            tell_store(self.services.store.client.open, bool(self.services.store.client.refused))
            await asyncio.sleep(1)
            tell_counts()
            try:
                await self.services.tally.write()
            except ServiceError:
                log.warning("counts wait: the store cannot be reached")

    async def keep_up(self) -> int:
        """One round of repair and sweep, by one worker a minute; returns how many erasures it ended. A server of a cluster that is away
        keeps nothing from being done elsewhere. Raises StoreUnavailable, once all has been tried."""
        store, failures, ended, ours = self.services.store, Failures(), 0, True
        with failures.noted():
            await store.check_marks()
        now, shops = self.services.links.now(), [shop.shop_id for shop in self.services.shops]
        store.salts.forget_destroyed(now // 1000)
        with failures.noted():
            ours = await store.repair.claim_turn()
        if ours:
            with failures.noted():
                ended = await store.repair.run(shops, now)
            with failures.noted():
                if await store.repair.rewrite_if_due(shops, now // 1000):
                    log.info("append-only file is being rewritten")
            with failures.noted():
                if swept := await store.sweep.round(shops, self.services.links.now):
                    log.info("links that had ended were taken off", links=swept)
        if ended:
            log.info("repaired", erasures=ended)
        failures.tell()
        return ended
