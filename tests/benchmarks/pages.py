"""How long each admin page takes in a shop with a million visitors, beside the same page in an empty shop.

Both shops are in one store and served by one worker. Pages take turns. An email, a visitor and an order are as large as the caps let them
become. `commands` are what the store runs for a page, those inside scripts too.
"""

import argparse
import re
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import httpx2 as httpx
import redis
import uvloop

from identity_service.model.audit import Act, AuditEntry
from identity_service.model.consent import millis_of
from identity_service.model.event import Event, EventType, Sale, SaleLine
from identity_service.model.handle import Handle
from identity_service.model.link import LinkSource, Proof
from identity_service.model.policy import Asked
from identity_service.model.visitor import VisitorId
from identity_service.service.counters import LoggedCall
from identity_service.service.sell import ReportedSale
from identity_service.service.visit import Visit
from identity_service.signals.reader import Reader
from identity_service.store.redis.command import MOST_COMMANDS, write
from identity_service.web.call import Services
from tests.benchmarks import fill, sides, tables
from tests.benchmarks.caps import EVENTS, HANDLES, SALES, VISITORS
from tests.benchmarks.load import cpu
from tests.benchmarks.work import SERVICE
from tests.stores import valkey

FULL, EMPTY = "demo-private-key", "other-private-key"
"""The keys of the filled shop and of the empty one."""
USUAL, MANY = "usual@example.com", "many@example.com"
LARGE, LARGE_ORDER = "large", "large-order"
"""A visitor with full lists, and an order of 1,000 lines."""
OPEN, PAID, ENTRIES, PRODUCTS, RECEIPTS = 200, 5_000, 20_000, 10_000, 120
"""Orders that only a public key reported, and those of a private key; entries of the audit in a day; products seen;
receipts of a visitor."""
LINKED = 300_000
"""Visitors that have an email, beside those that buy."""
CALL = LoggedCall("log/click", "persistent", ("Home / Bestsellers / Slider",))
TOKEN = re.compile(r'name="form_token" value="([^"]+)"')
CUSTOMER = {"email": MANY}
USUAL_CUSTOMER = {"email": USUAL}
VISITOR = {"visitor": LARGE}


@dataclass(frozen=True, slots=True)
class Page:
    """`form`: posted, and its result is read. `then`: added to the result's address. `posts`: the form's own answer is what is read."""

    name: str
    path: str
    form: Mapping[str, str] = field(default_factory=dict)
    then: str = ""
    posts: bool = False


PAGES = (
    Page("overview, 7 days", "overview"),
    Page("overview, 90 days", "overview?days=90"),
    Page("customers, an email of one visitor", "customers", USUAL_CUSTOMER),
    Page("customers, an email of 1,000", "customers", CUSTOMER),
    Page("customers, an email of 1,000, as CSV", "customers", CUSTOMER, "&as=csv"),
    Page("visitors, a full one", "visitors", VISITOR),
    Page("activity of a full one", "visitors", VISITOR, "activity"),
    Page("orders", "orders"),
    Page("orders, attributed", "orders?attributed=yes"),
    Page("orders of a product that nobody bought", "orders?product=nothing"),
    Page("orders of an email, 500", "orders", CUSTOMER),
    Page("orders as CSV, 2,000", "orders?as=csv"),
    Page("an order of 1,000 lines", f"orders?sale={LARGE_ORDER}"),
    Page("products, 10,000", "products"),
    Page("rights, an email of one visitor", "rights", USUAL_CUSTOMER),
    Page("rights, an email of 1,000 visitors", "rights", CUSTOMER),
    Page("rights, a full visitor", "rights", VISITOR),
    Page("consent, receipts of a full visitor", "consent", VISITOR | {"receipt_id": ""}, posts=True),
    Page("logs, 1,000 calls", "logs"),
    Page("health", "health"),
    Page("audit, 20,000 entries", "audit"),
    Page("audit, an act that nobody did", "audit?act=export"),
    Page("audit of an email", "audit", CUSTOMER, posts=True),
    Page("sessions", "sessions"),
    Page("keys", "keys"),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """Milliseconds until the answer, and of CPU of worker and store; and commands of the store."""

    milliseconds: float
    cpu: float
    commands: float


def main(arguments: Sequence[str]) -> int:
    options = parser().parse_args(arguments)
    core, load_core = sides.two_cores()
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmark-")))
        stack.enter_context(sides.pinned(load_core))
        store = options.store or stack.enter_context(valkey())
        connection = stack.enter_context(redis.Redis.from_url(store, socket_timeout=60))
        if not connection.dbsize():
            with sides.pinned(core):
                uvloop.run(filled(store, options.visitors))
        side = stack.enter_context(sides.side(SERVICE, store, place, core))
        found = measured(side, connection, options.rounds)
    tables.write(options.output, {"pages.md": table(found)})
    return 0


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(prog="python -m tests.benchmarks pages", description=__doc__)
    found.add_argument("--visitors", type=int, default=1_000_000, help="of the filled shop (1000000)")
    found.add_argument("--rounds", type=int, default=9, help="of each page (9)")
    found.add_argument("--store", default="", help="URL of a store on this machine, which is filled if it is empty, and kept")
    found.add_argument("--output", type=Path, default=tables.OUTPUT, help="folder of the table (build/benchmarks)")
    return found


async def filled(store: str, visitors: int) -> None:
    """Each visitor has consented; some are linked to an email each; the newest also click and buy."""
    async with fill.opened(store) as services:
        newest = await fill.grant(services, PAID)
        others = await copied(services, newest[0], visitors - PAID)
        await fill.link_each(services, newest + others[:LINKED])
        await fill.click(services, newest)
        await fill.sell(services, newest)
        await fill.link(services, [(USUAL, newest[0])])
        await many_of_one(services)
        await large(services)
        await open_orders(services, newest[:OPEN])
        await counted(services)


async def copied(services: Services, visitor: VisitorId, count: int) -> list[VisitorId]:
    """Others with the same record, since a consent of each takes four times as long."""
    shop, store = fill.demo(services).shop_id, services.store
    copies = [VisitorId(f"{number:022}") for number in range(count)]
    record = store.keys.visitor(shop, visitor).record
    for start in range(0, count, MOST_COMMANDS):
        places = [store.keys.visitor(shop, one).record for one in copies[start : start + MOST_COMMANDS]]
        await store.client.run(*(write("COPY", record, place) for place in places))
    return copies


async def many_of_one(services: Services) -> None:
    """An email whose 1,000 visitors have all that a usual visitor has, and 500 orders."""
    shop = fill.demo(services)
    visitors = await fill.grant(services, VISITORS)
    await fill.click(services, visitors)
    await fill.link(services, [(MANY, visitor) for visitor in visitors])
    handle = services.handles.of_email(shop.shop_id, MANY)
    await fill.in_flight(order(services, visitor, f"many-{visitor}", [handle], 2) for visitor in visitors[:SALES])


async def large(services: Services) -> None:
    shop, visitor = fill.demo(services), VisitorId(LARGE)
    for number in range(RECEIPTS):
        await consent(services, visitor, str(number))
    names = [f"person-{number}@example.com" for number in range(HANDLES // 2)]
    handles = [of(shop.shop_id, name) for of in (services.handles.of_email, services.handles.of_customer) for name in names]
    for handle in handles:
        await services.links.link(shop, handle, visitor, Proof.KEY, LinkSource.LINK)
    labels = tuple(f"Label {one}" for one in range(20))
    for number in range(EVENTS):
        clicked = Event(EventType.CLICK, int(services.clock()), (f"SKU-{number}",), labels)
        await services.tracking.log(fill.of(services, visitor), clicked)
    await fill.in_flight(order(services, visitor, f"large-{number}", handles[:1], 20) for number in range(SALES))
    await order(services, visitor, LARGE_ORDER, [], 1_000)


async def consent(services: Services, visitor: VisitorId, version: str) -> None:
    """To another text each time, so that each has a receipt of its own."""
    shop, now = fill.demo(services), millis_of(services.clock())
    said = {"purposes": {"storage": "granted", "measurement": "granted"}, "policy_version": version}
    signals = Reader(shop.signals, now).of_object(said, now)
    await services.visitors.identify(Visit(shop, True, Asked.OWN, own=visitor, signals=signals, event=True))


async def order(services: Services, visitor: VisitorId, sale: str, handles: Sequence[Handle], lines: int, private: bool = True) -> None:
    bought = tuple(SaleLine(f"SKU-{line}", 1, Decimal("9.90")) for line in range(lines))
    reported = ReportedSale(Sale(sale, bought, int(services.clock())), handles, Proof.KEY if private else Proof.NONE, private)
    await services.sales.log(fill.of(services, visitor), reported)


async def open_orders(services: Services, visitors: Sequence[VisitorId]) -> None:
    await fill.in_flight(order(services, visitor, f"open-{number}", [], 2, False) for number, visitor in enumerate(visitors))


async def counted(services: Services) -> None:
    """Products, the log, and the audit."""
    shop, now = fill.demo(services).shop_id, millis_of(services.clock())
    for number in range(PRODUCTS):
        services.counters.count_click(shop, f"SKU-{number}", (f"Label {number % 500}",), visitor=True, private=True)
        services.counters.count_call(shop, CALL)
    await services.counters.write()
    entries = [AuditEntry(now, Act.ORDERS, f"person {number % 100}", True, None, 1) for number in range(ENTRIES)]
    await fill.in_flight(services.store.audit.record(shop, one) for one in entries)


class Desktop:
    """Somebody at the desk of one shop."""

    def __init__(self, url: str, key: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=60, headers={"origin": url})
        entered = self._client.post("/admin/signin", data={"private_key": key})
        assert entered.status_code == 303, entered.text
        [cookie] = [one for one in self._client.cookies.jar if one.name == "__Host-admin"]
        self._client.headers["cookie"] = f"{cookie.name}={cookie.value}"  # as over HTTPS
        self._token = TOKEN.findall(self._client.get("/admin/keys").text)[0]

    def asked(self, page: Page) -> httpx.Request:
        """What reads the page. A form that leads to an address is sent first."""
        form = {"form_token": self._token, **page.form}
        if not page.form:
            return self._client.build_request("GET", f"/admin/{page.path}")
        posted = self._client.build_request("POST", f"/admin/{page.path}", data=form)
        if page.posts:
            return posted
        where = self._client.send(posted).headers["location"]
        if page.then == "activity":
            where = where.replace("visitors?", "activity?")
        return self._client.build_request("GET", f"/admin/{where}{page.then if page.then.startswith('&') else ''}")

    def read(self, request: httpx.Request) -> float:
        """Milliseconds until the whole answer is here."""
        began = time.perf_counter()
        answer = self._client.send(request)
        taken = time.perf_counter() - began
        assert answer.status_code in {200, 404}, f"{request.url}: {answer.status_code}"  # the empty shop has no order
        return taken * 1_000


def measured(side: sides.Side, connection: redis.Redis, rounds: int) -> dict[tuple[str, str], Measured]:
    """By page, in the filled and in the empty shop."""
    store_pid = int(connection.info("server")["process_id"])
    found: dict[tuple[str, str], list[Measured]] = {}
    readers = {key: Desktop(side.url, key) for key in (EMPTY, FULL)}
    for number in range(rounds + 1):
        for page in PAGES:
            for key, reader in readers.items():
                request = reader.asked(page)
                before = cpu(side.pid) + cpu(store_pid), commands(connection)
                taken = reader.read(request)
                spent = (cpu(side.pid) + cpu(store_pid) - before[0]) * 1_000
                if number:
                    found.setdefault((page.name, key), []).append(Measured(taken, spent, commands(connection) - before[1]))
    return {name: median(all_of) for name, all_of in found.items()}


def median(rounds: Sequence[Measured]) -> Measured:
    """CPU time is counted in hundredths of a second, so its mean says more."""
    return Measured(
        statistics.median(one.milliseconds for one in rounds),
        statistics.mean(one.cpu for one in rounds),
        statistics.median(one.commands for one in rounds),
    )


def commands(connection: redis.Redis) -> int:
    """But for those of the measure itself."""
    return sum(int(one["calls"]) for name, one in connection.info("commandstats").items() if name not in {"cmdstat_info", "cmdstat_ping"})


def table(found: Mapping[tuple[str, str], Measured]) -> str:
    lines = ["| page | ms | empty | more | CPU ms | empty | commands | empty |", "|---|---|---|---|---|---|---|---|"]
    for page in PAGES:
        full, empty = found[page.name, FULL], found[page.name, EMPTY]
        times = f"{full.milliseconds:.0f} | {empty.milliseconds:.0f} | {full.milliseconds - empty.milliseconds:.0f}"
        lines.append(f"| {page.name} | {times} | {full.cpu:.0f} | {empty.cpu:.0f} | {full.commands:.0f} | {empty.commands:.0f} |")
    return "\n".join(lines) + "\n"
