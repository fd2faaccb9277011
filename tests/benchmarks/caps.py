"""The store's microseconds of a call's scripts: as usual, and where each list that they touch is as full as it may be."""

import argparse
import itertools
import shutil
import statistics
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

import redis
import uvloop

from identity_service.model.consent import Millis
from identity_service.model.event import MOST_SHOWN_LENGTH, Event, EventType, Sale, SaleLine, shown_products
from identity_service.model.handle import Handle
from identity_service.model.link import LinkSource, Proof
from identity_service.model.visitor import VisitorId
from identity_service.service.sell import ReportedSale
from identity_service.store.embedded import server_binary
from identity_service.store.redis.command import write
from identity_service.web.call import Services
from tests.benchmarks import fill, tables
from tests.benchmarks.install import install
from tests.stores import valkey

VISITORS, HANDLES, EVENTS, SALES = 1_000, 40, 200, 500
"""Of a handle, of a visitor (20 emails and 20 customer IDs), and twice of a visitor; as `config/default.toml` has them."""
TIMES = 15
HOME = ("Home / Bestsellers / Slider",)
LARGEST_LABELS = tuple(f"{number:x>100}" for number in range(20))
Call = Callable[[], Awaitable[object]]


class Desk:
    """Does in the demo shop what calls do."""

    def __init__(self, services: Services) -> None:
        self.services, self.shop = services, fill.demo(services)
        self._numbers = itertools.count()

    def own_id(self) -> VisitorId:
        return VisitorId(f"own-{next(self._numbers)}")

    def handle(self) -> Handle:
        """An email and a customer ID by turns, nobody's yet."""
        number = next(self._numbers)
        of = (self.services.handles.of_email, self.services.handles.of_customer)[number % 2]
        return of(self.shop.shop_id, f"person-{number}@example.com")

    async def grant(self) -> VisitorId:
        [visitor] = await fill.grant(self.services, 1)
        return visitor

    async def link(self, handle: Handle, visitor: VisitorId, proof: Proof = Proof.KEY) -> None:
        await self.services.links.link(self.shop, handle, visitor, proof, LinkSource.LINK)

    async def log(self, visitor: VisitorId, event: Event) -> None:
        await self.services.tracking.log(fill.of(self.services, visitor), event)

    async def click(self, visitor: VisitorId, product: str = "SKU-0", labels: tuple[str, ...] | None = HOME) -> None:
        await self.log(visitor, Event(EventType.CLICK, int(self.services.clock()), (product,), labels))

    async def sell(self, visitor: VisitorId, handles: Sequence[Handle], lines: int = 2) -> None:
        number, told = next(self._numbers), [SaleLine(f"SKU-{line}", 1, Decimal("9.90")) for line in range(lines)]
        sale = Sale(f"sale-{number}", tuple(told), int(self.services.clock()))
        await self.services.sales.log(fill.of(self.services, visitor), ReportedSale(sale, handles, Proof.KEY, True))

    async def withdraw(self, visitor: VisitorId) -> None:
        await self.services.store.removals.withdraw(self.shop.shop_id, visitor, Millis(int(self.services.clock() * 1000)))

    async def full_handle(self) -> Handle:
        """Half of its visitors are linked without proof."""
        handle = self.handle()
        for proof in (Proof.NONE, Proof.KEY):
            await fill.in_flight([self.link(handle, self.own_id(), proof) for _ in range(VISITORS // 2)])
        return handle

    async def full_visitor(self) -> VisitorId:
        visitor, handles = await self.grant(), [self.handle() for _ in range(HANDLES)]
        for handle in handles:
            await self.link(handle, visitor)
        for number in range(SALES):
            await self.sell(visitor, [handles[number % HANDLES]])
        for _ in range(EVENTS):
            await self.click(visitor)
        return visitor


async def click(desk: Desk) -> Call:
    visitor = await desk.grant()
    await desk.click(visitor)
    return lambda: desk.click(visitor)


async def click_after_the_largest_results(desk: Desk) -> Call:
    visitor, products = await desk.grant(), shown_products(f"{number:x>{MOST_SHOWN_LENGTH}}" for number in range(100))
    for _ in range(EVENTS):
        await desk.log(visitor, Event(EventType.RESULTS, int(desk.services.clock()), products, LARGEST_LABELS))
    return lambda: desk.click(visitor, "x", None)


async def link(desk: Desk) -> Call:
    visitor, handle = await desk.grant(), desk.handle()
    return lambda: desk.link(handle, visitor)


async def link_at_a_full_handle(desk: Desk) -> Call:
    visitor, handle = await desk.grant(), await desk.full_handle()
    return lambda: desk.link(handle, visitor)


async def link_where_all_have_ended(desk: Desk) -> Call:
    visitor, handle, store = await desk.grant(), await desk.full_handle(), desk.services.store
    key = store.keys.handle(desk.shop.shop_id, handle)
    for one in await store.removals.links_at(desk.shop.shop_id, handle):
        await store.client.run(write("HSET", key, one.visitor, "1000000000 0 60 lv"))
    return lambda: desk.link(handle, visitor)


async def sale(desk: Desk) -> Call:
    visitor, handle = await desk.grant(), desk.handle()
    for _ in range(15):
        await desk.click(visitor)
    return lambda: desk.sell(visitor, [handle])


async def sale_of_1000_lines(desk: Desk) -> Call:
    visitor, handle = await desk.grant(), desk.handle()
    for number in range(EVENTS):
        await desk.click(visitor, f"SKU-{number}")
    return lambda: desk.sell(visitor, [handle], 1_000)


async def sale_where_another_leaves(desk: Desk) -> Call:
    visitor, handle = await desk.grant(), desk.handle()
    for _ in range(SALES):
        await desk.sell(visitor, [handle])
    return lambda: desk.sell(visitor, [handle])


async def grant(desk: Desk) -> Call:
    return desk.grant


async def withdrawal(desk: Desk) -> Call:
    visitor, handle = await desk.grant(), desk.handle()
    for _ in range(15):
        await desk.click(visitor)
    await desk.sell(visitor, [handle])
    return lambda: desk.withdraw(visitor)


async def withdrawal_of_a_full_visitor(desk: Desk) -> Call:
    visitor = await desk.full_visitor()
    return lambda: desk.withdraw(visitor)


async def erasure_of_a_full_handle(desk: Desk) -> Call:
    handle = await desk.full_handle()
    return lambda: desk.services.store.removals.erase(desk.shop.shop_id, handle, Millis(int(desk.services.clock() * 1000)))


CASES: Mapping[str, tuple[Callable[[Desk], Awaitable[Call]], int]] = {
    "click": (click, TIMES),
    "click without labels, after the 200 largest results": (click_after_the_largest_results, 3),
    "link": (link, TIMES),
    "link at an email of 1,000 visitors, one gives way": (link_at_a_full_handle, 3),
    "link at an email whose 1,000 links have ended": (link_where_all_have_ended, 3),
    "consent with its receipt": (grant, TIMES),
    "sale of 2 lines with an email, after 15 clicks": (sale, TIMES),
    "sale of 1,000 lines, after 200 clicks": (sale_of_1000_lines, 3),
    "sale of a visitor and an email with 500, of which one leaves": (sale_where_another_leaves, 3),
    "withdrawal of a visitor with an email, 15 clicks and a sale": (withdrawal, TIMES),
    "withdrawal of one with 40 emails and customer IDs, 500 sales, 200 events": (withdrawal_of_a_full_visitor, 3),
    "erasure of an email of 1,000 visitors": (erasure_of_a_full_handle, 2),
}
"""What is measured, and how often, each time anew."""


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks caps", description=__doc__)
    parser.add_argument("--output", type=Path, default=tables.OUTPUT, help="folder of the table (build/benchmarks)")
    options = parser.parse_args(arguments)
    install(set())
    found = [in_store(program) for program in (str(server_binary()), *filter(None, [shutil.which("redis-server")]))]
    tables.write(options.output, {"caps.md": table(found)})
    return 0


def in_store(program: str) -> dict[str, tuple[float, float]]:
    with valkey(program=program) as store, redis.Redis.from_url(store, decode_responses=True) as connection:
        return uvloop.run(measured(store, connection))


async def measured(store: str, connection: redis.Redis) -> dict[str, tuple[float, float]]:
    """Median of the microseconds of all scripts of a call, and how many they are."""
    found = {}
    async with fill.opened(store) as services:
        desk = Desk(services)
        await (await withdrawal(desk))()  # the server loads its scripts
        for name, (prepare, times) in CASES.items():
            told = []
            for _ in range(times):
                call = await prepare(desk)
                connection.config_resetstat()
                await call()
                told.append(of_scripts(connection))
            found[name] = (statistics.median(usec for usec, _ in told), statistics.median(calls for _, calls in told))
    return found


def of_scripts(connection: redis.Redis) -> tuple[int, int]:
    """Microseconds, with the commands that they call, and number."""
    stat = connection.info("commandstats")
    told = [stat[name] for name in ("cmdstat_evalsha", "cmdstat_eval") if name in stat]
    return sum(one["usec"] for one in told), sum(one["calls"] for one in told)


def table(found: Sequence[Mapping[str, tuple[float, float]]]) -> str:
    lines = [f"| µs of scripts | {' | '.join(('Valkey', 'Redis')[: len(found)])} | scripts |", f"|{'---|' * (len(found) + 2)}"]
    for name in CASES:
        figures = [f"{one[name][0]:,.0f}" for one in found]
        lines.append(f"| {name} | {' | '.join(figures)} | {found[0][name][1]:.0f} |")
    return "\n".join(lines) + "\n"
