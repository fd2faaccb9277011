"""A store filled by the service's own use cases, many at once in one process: it holds what as many calls over HTTP leave."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager

from identity_service.app import Application
from identity_service.consent import Millis
from identity_service.link import LinkSource, Proof
from identity_service.policy import Asked
from identity_service.service.visits import Visit
from identity_service.settings import load
from identity_service.shop import Shop
from identity_service.signals.statements import Reader
from identity_service.visitor import VisitorId
from identity_service.web.endpoints import Services

AT_ONCE = 256


@asynccontextmanager
async def opened(store: str) -> AsyncIterator[Services]:
    application = Application(load("development", {"IDENTITY_STORE__URL": store, "IDENTITY_STORE__TIMEOUT_SECONDS": "30"}))
    yield application.services
    await application.services.store.client.close()


def demo(services: Services) -> Shop:
    return next(shop for shop in services.shops if shop.shop_id == "demo")


async def grant(services: Services, count: int) -> list[VisitorId]:
    """New visitors who consent: each has a record and a receipt."""
    shop = demo(services)
    visitors: list[VisitorId] = []

    async def issue() -> None:
        signals = Reader(shop.signals, Millis(int(time.time() * 1000))).of_word("granted")
        identity = await services.visitors.identify(Visit(shop, True, Asked.NOTHING, signals=signals))
        assert identity.visitor
        visitors.append(identity.visitor)

    await in_flight(issue() for _ in range(count))
    return visitors


async def link(services: Services, links: Iterable[tuple[str, VisitorId]]) -> None:
    """Emails and visitors, who get a cookieless record where they have none."""
    shop = demo(services)
    found = ((services.handles.of_email(shop.shop_id, email), visitor) for email, visitor in links)
    await in_flight(services.links.link(shop, handle, visitor, Proof.KEY, LinkSource.LINK) for handle, visitor in found)
    await services.store.client.drain()


async def in_flight(jobs: Iterable[Coroutine[object, object, object]]) -> None:
    waiting = iter(jobs)

    async def work() -> None:
        for job in waiting:
            await job

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
