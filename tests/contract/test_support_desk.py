"""The support desk: results have addresses that name nobody and end, and visitors, orders and products lead to each other."""

import asyncio
import csv
import html
import io
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

import httpx2 as httpx
import pytest
import redis

from identity_service.app import Application
from identity_service.model.reference import LIFE
from identity_service.model.shop import ShopId
from identity_service.service.orders import Order, OrderFilter
from identity_service.service.returns import shown_lines
from identity_service.store.sales import SaleStore
from identity_service.web.admin.csv_file import csv_reply
from identity_service.web.pages import render
from tests.conftest import Clock, Shopper
from tests.contract.desk import Desk, desk_of, filled, log, text_of
from tests.topologies import Topology

pytestmark = pytest.mark.anyio
LUKE, LEIA = "luke@skywalker.com", "leia@organa.com"
DAY = 86_400
ENDED = "This address has ended, or belongs to another session. Enter the value again."
READS = ("get", "hget", "hgetall", "hkeys", "hmget", "hlen", "llen", "lrange", "zrange", "zrevrange", "zcount", "zrevrank", "getrange")


@pytest.fixture
async def desk(application: Application) -> AsyncIterator[Desk]:
    async with desk_of(application) as found:
        await found.sign_in()
        yield found


async def address(desk: Desk, page: str, **form: str) -> str:
    """Where a posted form leads."""
    return str((await desk.post(page, 303, **form)).headers["location"])


def table(answer: httpx.Response) -> list[list[str]]:
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))


@pytest.mark.parametrize(("page", "form"), [("customers", {"email": LUKE}), ("orders", {"email": LUKE}), ("rights", {"email": LUKE})])
async def test_an_address_is_of_one_session_and_one_hour(
    desk: Desk, application: Application, shopper: Shopper, clock: Clock, page: str, form: dict[str, str]
) -> None:
    await filled(shopper)
    where = await address(desk, page, **form)
    handle = application.services.handles.of_email("demo", LUKE)
    assert handle.digest not in where
    shown = text_of(await desk.get(where))
    assert ENDED not in shown
    async with desk_of(application) as colleague, desk_of(application) as stranger:
        await colleague.sign_in()
        await stranger.sign_in("other-private-key")
        for one in (colleague, stranger):
            answer = await one.get(where, 422)
            assert ENDED in text_of(answer)
            assert handle.digest not in answer.text
    clock.forward(LIFE - 1)
    await desk.get(where)
    clock.forward(1)
    await desk.sign_in()
    assert ENDED in text_of(await desk.get(where, 422))


@pytest.mark.parametrize("page", ["customers", "visitors", "orders", "rights", "certificate", "activity"])
@pytest.mark.parametrize("reference", ["x", "ä", "A" * 100, "A" * 3_000])
async def test_an_address_that_was_never_given_shows_nothing(desk: Desk, page: str, reference: str) -> None:
    assert ENDED in text_of(await desk.get(f"{page}?ref={reference}", 422))


async def test_an_address_of_one_kind_is_none_of_another(desk: Desk, shopper: Shopper) -> None:
    visitor = await filled(shopper)
    of_email = (await address(desk, "customers", email=LUKE)).partition("=")[2]
    of_visitor = (await address(desk, "visitors", visitor=visitor)).partition("=")[2]
    of_erasure = (await address(desk, "erasure", email=LEIA, confirmation=LEIA)).partition("=")[2]
    wrong = (
        (of_email, ["visitors", "activity", "certificate"]),
        (of_visitor, ["customers", "orders", "certificate"]),
        (of_erasure, ["customers", "visitors", "orders", "rights", "activity"]),
    )
    for reference, pages in wrong:
        for page in pages:
            assert ENDED in text_of(await desk.get(f"{page}?ref={reference}", 422)), page


async def test_an_email_among_visitors_is_sent_to_customers(desk: Desk) -> None:
    shown = await desk.post("visitors", 422, visitor=LUKE)
    assert "This looks like an email. Look it up under Customers." in text_of(shown)


async def test_activity_is_a_part_of_a_page_and_the_newest_alone(desk: Desk, shopper: Shopper) -> None:
    visitor = await filled(shopper)
    for number in range(25):
        await log(shopper, "search", query=f"search {number}", visitor=visitor)
    page = await desk.post("customers", email=LUKE)
    [where] = re.findall(r'hx-get="([^"]+)"', page.text)
    part = await desk.get(where)
    assert "<html" not in part.text
    assert "<form" not in part.text
    shown = text_of(part)
    assert all(text in shown for text in ("search 24", "S-1", "genuine"))
    assert part.text.count(">search<") == 20
    assert "The newest 20 of each are shown." in shown


async def test_a_visitor_leads_to_its_emails_and_back(desk: Desk, shopper: Shopper) -> None:
    visitor = await filled(shopper)
    page = await desk.post("visitors", visitor=visitor)
    assert "token sale" in text_of(page)
    [where] = re.findall(r'href="(customers\?ref=[^"]+)"', page.text)
    assert f"{visitor} Copy Open" in text_of(await desk.get(where))


async def test_customers_are_saved_as_the_look_up_answers_them(desk: Desk, shopper: Shopper) -> None:
    await filled(shopper)
    await shopper.post("/v1/links", {"email": LUKE, "visitor": "-own"})
    columns, *rows = table(await desk.get(f"{await address(desk, 'customers', email=LUKE)}&as=csv"))
    told = await shopper.visitors(email=LUKE)
    plain = {True: "yes", False: "no"}
    expected = [[plain.get(one[name], one[name]) for name in columns] for one in told]
    assert [[text.removeprefix("'") for text in row] for row in rows] == expected
    assert "'-own" in [row[0] for row in rows]


# Orders


async def test_orders_are_found_by_the_person_that_they_name(desk: Desk, shopper: Shopper) -> None:
    await filled(shopper)
    await shopper.post("/v2/log/sale", {"sale": "C-1", "products": [1], "customer": "1234"})
    assert "S-1" in text_of(found := await desk.post("orders", email=LUKE))
    assert not re.search("S-2|C-1", text_of(found))
    assert "C-1" in text_of(await desk.post("orders", customer="1234"))
    assert "No order names this email" in text_of(await desk.post("orders", email="nobody@example.org"))
    await shopper.post("/v1/erasures", {"email": LUKE})
    assert "No order names this email" in text_of(await desk.post("orders", email=LUKE))


async def test_orders_are_found_by_day_attribution_and_product(desk: Desk, shopper: Shopper, clock: Clock) -> None:
    await filled(shopper)
    clock.forward(DAY)
    await log(shopper, "sale", sale="later", products=["blue-6"])
    await desk.sign_in()

    async def found(query: str) -> list[str]:
        return re.findall(r'href="orders\?sale=([^"]+)"', (await desk.get(f"orders?{query}")).text)

    assert await found("") == ["later", "S-2", "S-1"]
    assert await found("from=2026-11-19") == ["later"]
    assert await found("to=2026-11-18") == ["S-2", "S-1"]
    assert await found("from=2026-11-18&to=2026-11-18&attributed=no") == ["S-2"]
    assert await found("attributed=yes") == ["S-1"]
    assert await found("product=blue-6") == ["later", "S-2"]
    assert await found("product=5&sale=&from=&to=&attributed=") == ["S-1"]
    assert await found("from=2027-01-01") == []
    assert "No order matches" in text_of(await desk.get("orders?product=nothing"))
    assert "Enter a day like 2026-12-01" in text_of(await desk.get("orders?from=yesterday", 422))


async def test_a_search_reads_a_part_and_goes_on_from_there(application: Application, shopper: Shopper, clock: Clock) -> None:
    """Every order once, however many are wanted and read at a time."""
    for number in range(17):
        await log(shopper, "sale", sale=number, products=[number % 3])
        clock.forward(1)
    orders = application.services.orders
    shop = next(one for one in application.services.shops if one.shop_id == "demo")
    for most, most_read in ((2, 5), (5, 5), (50, 4), (1, 1), (3, 100)):
        found, cursor, pages = [], None, 0
        while pages == 0 or cursor:
            page, cursor = await orders.search(shop, _sale, cursor, most, most_read, OrderFilter(product="1"))
            assert len(page) <= most
            found += page
            pages += 1
        assert found == [str(number) for number in reversed(range(17)) if number % 3 == 1]


async def test_orders_added_meanwhile_change_no_page_of_a_day(application: Application, shopper: Shopper, clock: Clock) -> None:
    activity, shop = application.services.store.activity, ShopId("demo")
    for number in range(6):
        await log(shopper, "sale", sale=number, products=[1])
        clock.forward(10)
    start = int(clock()) - 60
    whole = await activity.orders(shop, None, 10, start, start + 40)
    first = await activity.orders(shop, None, 2, start, start + 40)
    await log(shopper, "sale", sale="new", products=[1])
    assert first + await activity.orders(shop, first[-1], 10, start, start + 40) == whole
    assert len(whole) == 4
    assert await activity.orders(shop, None, 10, start + 40, start + 10) == []


async def test_orders_are_saved_without_formulas(desk: Desk, shopper: Shopper) -> None:
    formula = '=HYPERLINK("http://evil.example","x")'
    await log(shopper, "sale", sale=formula, products=[{"id": "@SUM(1)", "price": 1}, {"id": 5, "price": "-3.5"}], visitor="-1.own")
    columns, row = table(await desk.get("orders?as=csv"))
    told = dict(zip(columns, row, strict=True))
    assert (told["order"], told["products"], told["visitor"]) == (f"'{formula}", "'@SUM(1), 5", "'-1.own")
    assert (told["revenue"], told["attributed"], told["time"]) == ("-2.5", "no", "2026-11-18T11:06:40Z")
    assert table(await desk.get("orders?product=nothing&as=csv")) == [columns]


async def test_an_order_leads_to_its_visitor_its_email_and_its_products(desk: Desk, shopper: Shopper) -> None:
    visitor = await filled(shopper)
    page = await desk.get("orders?sale=S-1")
    links = [html.unescape(one) for one in re.findall(r'href="((?:visitors|customers|orders)\?[^"]+)"', page.text)]
    shown = [text_of(await desk.get(one)) for one in dict.fromkeys(links)]
    assert len(shown) == 4
    assert f"Visitor {visitor}" in shown[0]
    assert "1 visitor, newest first" in shown[1]
    assert all("S-1" in one for one in shown[2:])


# Sizes

LINES = 1_000


def _sale(order: Order) -> str:
    return order.sale


async def large_orders(shopper: Shopper, number: int, **more: str) -> None:
    """As anybody with the public key may send them."""
    for at in range(number):
        products = [{"id": f"{line:04}{'x' * 60}", "quantity": 1} for line in range(LINES)]
        await log(shopper, "sale", sale=f"large-{at}", products=products, **more)


async def test_lists_show_the_first_products_of_a_large_order(desk: Desk, shopper: Shopper) -> None:
    await large_orders(shopper, 3, email=LUKE, visitor="large")
    of_visitor = await address(desk, "visitors", visitor="large")
    pages = [
        "orders",
        "orders?attributed=no",
        await address(desk, "orders", email=LUKE),
        of_visitor,
        of_visitor.replace("visitors", "activity"),
    ]
    for page in pages:
        shown = await desk.get(page)
        assert len(shown.content) < 40_000, page
        assert "large-2" in shown.text
    assert text_of(await desk.get("orders")).count("and 980 more") == 3
    _, *rows = table(file := await desk.get("orders?as=csv"))
    assert len(file.content) < 8_000
    assert [row[8].count("x" * 60) for row in rows] == [20] * 3
    assert all(row[8].endswith(" and 980 more") for row in rows)
    assert (await desk.get("orders?sale=large-1")).text.count("orders?product=") == LINES
    found = f"{LINES - 1:04}{'x' * 60}"
    assert "large-0" in text_of(await desk.get(f"orders?product={found}"))


@pytest.mark.parametrize("page", ["orders?sale=large-0", "orders?as=csv"])
async def test_what_is_large_is_written_in_a_thread(desk: Desk, shopper: Shopper, monkeypatch: pytest.MonkeyPatch, page: str) -> None:
    await large_orders(shopper, 1)
    threads = []

    def noting(write: Callable[..., Any]) -> Callable[..., Any]:
        def written(*values: Any, **named: Any) -> Any:
            threads.append(threading.current_thread())
            return write(*values, **named)

        return written

    monkeypatch.setattr("identity_service.web.admin.pages.render", noting(render))
    monkeypatch.setattr("identity_service.web.admin.orders.csv_reply", noting(csv_reply))
    await desk.get(page)
    assert len(threads) == 1
    assert threading.main_thread() not in threads


async def test_an_events_products_are_shown_in_part(desk: Desk, shopper: Shopper) -> None:
    await log(shopper, "basket/set", products=list(range(100)), visitor="full")
    shown = await desk.get(await address(desk, "visitors", visitor="full"))
    assert shown.text.count("orders?product=") == 20
    assert "and 80 more" in text_of(shown)


@pytest.mark.parametrize("page", ["orders", "orders?as=csv", "orders?product=none", "/v1/orders?limit=200", "of email", "of visitor"])
async def test_other_calls_run_between_two_orders(
    desk: Desk, application: Application, shopper: Shopper, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    for number in range(45):
        await log(shopper, "sale", sale=number, products=[1], email=LUKE, visitor="many")
    path = {"of email": ("orders", {"email": LUKE}), "of visitor": ("visitors", {"visitor": "many"})}.get(page)
    page = await address(desk, path[0], **path[1]) if path else page
    batches, turns = [], 0
    read_batch = SaleStore.each
    between: list[int] = []

    async def each(store: SaleStore, shop: ShopId, digests: Sequence[str]) -> list[dict[str, str]]:
        batches.append(len(digests))
        return await read_batch(store, shop, digests)

    def decoded(stored: Mapping[str, str]) -> list[dict[str, object]]:
        between.append(turns)
        return shown_lines(stored)

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    monkeypatch.setattr(SaleStore, "each", each)
    monkeypatch.setattr("identity_service.service.orders.shown_lines", decoded)
    turning = asyncio.create_task(count_turns())
    if page.startswith("/"):
        answer = await shopper.client.get(page, headers={"authorization": "Bearer demo-private-key"})
    else:
        answer = await desk.client.get(f"/admin/{page}")
    turning.cancel()
    assert answer.status_code == 200
    assert max(batches) <= 20
    assert len(between) >= 45
    assert len(set(between)) == len(between)


@pytest.fixture
def reads(database: redis.Redis, topology: Topology) -> Callable[[Awaitable[httpx.Response]], Awaitable[int]]:
    """How many reads of the store a page costs."""
    if topology.replicas:
        pytest.skip("counted on one server")

    def made() -> int:
        told = database.info("commandstats")
        return sum(told.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in READS)

    async def count(page: Awaitable[httpx.Response]) -> int:
        before = made()
        await page
        return made() - before

    return count


async def test_a_page_reads_no_more_in_a_larger_shop(
    desk: Desk, shopper: Shopper, clock: Clock, reads: Callable[..., Awaitable[int]]
) -> None:
    visitor = await filled(shopper)
    pages = [await address(desk, page, email=LUKE) for page in ("customers", "orders", "rights")]
    pages += [await address(desk, page, visitor=visitor) for page in ("visitors", "rights")]
    before = [await reads(desk.get(page)) for page in pages]
    for number in range(60):
        clock.forward(1)
        await log(shopper, "sale", sale=f"of-others-{number}", products=[5], visitor=f"other-{number}", email=f"other-{number}@example.org")
        await log(shopper, "search", query="shoes", visitor=visitor)
    assert [await reads(desk.get(page)) for page in pages] == before
    assert max(before) < 24
    assert await reads(desk.get("orders")) <= 60


async def test_a_page_reads_whole_orders_only_where_it_shows_them(
    desk: Desk, shopper: Shopper, database: redis.Redis, topology: Topology
) -> None:
    if topology.replicas:
        pytest.skip("counted on one server")
    for number in range(60):
        await log(shopper, "sale", sale=number, products=[5], visitor="many", email=LUKE)
    whole = await address(desk, "visitors", visitor="many")
    for page, shown in ((whole.replace("visitors?", "activity?"), 20), (whole, 50), (f"{whole}&cursor=50", 10)):
        before = database.info("commandstats")["cmdstat_get"]["calls"]
        text = (await desk.get(page)).text
        assert len(re.findall(r'href="orders\?sale=\d+"', text)) == shown
        assert database.info("commandstats")["cmdstat_get"]["calls"] - before <= shown + 4
