"""A store filled by the service's own use cases, many at once in one process: it holds what as many calls over HTTP leave."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal

from identity_service.app import Application
from identity_service.model.consent import Millis
from identity_service.model.event import Event, EventType, Sale, SaleLine
from identity_service.model.link import LinkSource, Proof
from identity_service.model.policy import Asked
from identity_service.model.shop import Shop
from identity_service.model.visitor import VisitorId
from identity_service.service.sell import ReportedSale
from identity_service.service.visit import Visit
from identity_service.settings.load import load
from identity_service.signals.reader import Delivery, Reader
from identity_service.web.call import Services

AT_ONCE = 256
STATE = Delivery(posted=False)
"""As `POST /v1/visitors` brings a choice."""


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
        signals = Reader(shop.signals, Millis(int(time.time() * 1000)), delivery=STATE).of_word("granted")
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


async def link_each(services: Services, visitors: Sequence[VisitorId]) -> None:
    """Each to an email of its own."""
    await link(services, [(email_of(visitor), visitor) for visitor in visitors])


async def refuse(services: Services, count: int) -> None:
    """Choices of people who have no ID: nothing but a receipt is kept."""
    shop = demo(services)

    async def say() -> None:
        signals = Reader(shop.signals, Millis(int(time.time() * 1000))).of_word("refused")
        assert (await services.visitors.identify(Visit(shop, True, Asked.NOTHING, signals=signals, event=True))).receipt

    await in_flight(say() for _ in range(count))


async def click(services: Services, visitors: Sequence[VisitorId]) -> None:
    """One of each visitor, with a label of 27 characters."""
    event = Event(EventType.CLICK, int(services.clock()), ("SKU-10042",), ("Home / Bestsellers / Slider",))
    services.counters.count_click(demo(services).shop_id, "SKU-10042", event.labels or (), visitor=True, private=True)
    await services.counters.write()  # as each second does; from now on the label is a number
    await in_flight(services.tracking.log(of(services, visitor), event) for visitor in visitors)


async def sell(services: Services, visitors: Sequence[VisitorId]) -> None:
    """One of each visitor, of two lines, with the email that it is linked to; one line is attributed to its clicks."""
    shop, now = demo(services), int(services.clock())
    lines = (SaleLine("SKU-10042", 1, Decimal("129.90")), SaleLine("SKU-20077", 2, Decimal("9.50")))

    async def log(visitor: VisitorId) -> None:
        told = ReportedSale(
            Sale(f"sale-{visitor}", lines, now), [services.handles.of_email(shop.shop_id, email_of(visitor))], Proof.KEY, True
        )
        assert (await services.sales.log(of(services, visitor), told)).attribution

    await in_flight(map(log, visitors))


def of(services: Services, visitor: VisitorId) -> Visit:
    return Visit(demo(services), True, Asked.OWN, own=visitor)


def email_of(visitor: VisitorId) -> str:
    return f"{visitor}@example.com".replace("-", "x").replace("_", "y").lower()


async def in_flight(jobs: Iterable[Coroutine[object, object, object]]) -> None:
    waiting = iter(jobs)

    async def work() -> None:
        for job in waiting:
            await job

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
