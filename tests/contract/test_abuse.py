"""Who asks too much: look-ups by one key, wrong keys from one address, and robots, which are counted apart."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2 as httpx
import pytest
import redis

from identity_service.app import Application
from identity_service.ops.inspect import COMMANDS
from identity_service.server.metrics import ISSUED, flush_counts
from identity_service.settings.load import load
from tests.conftest import Clock, Shopper
from tests.contract.desk import Desk, desk_of, text_of

pytestmark = pytest.mark.anyio
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
LIMITED = {"IDENTITY_LIMITS__ENABLED": "true", "IDENTITY_LIMITS__LOOKUPS_PER_SECOND": "1", "IDENTITY_LIMITS__BURST": "100"}


@asynccontextmanager
async def limited(environment: dict[str, str], clock: Clock, peer: str = "203.0.113.7", **more: str) -> AsyncIterator[Shopper]:
    application = Application(load("development", environment | LIMITED | more), clock)
    transport = httpx.ASGITransport(application, client=(peer, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://service.test") as client:
        yield Shopper(client)
    await application.services.store.client.close()


LOOKUPS: list[tuple[str, dict[str, Any]]] = [
    ("/v1/lookups", {"email": "luke@skywalker.com"}),
    ("/v1/lookups", {"visitor": "abc123"}),
    ("/v1/exports", {"customer": "7"}),
    ("/v1/erasures", {"email": "luke@skywalker.com"}),
    ("/v1/receipts", {"visitor": "abc123"}),
    ("/v1/events", {"visitor": "abc123"}),
    ("/v2/privacy/info", {"email": "luke@skywalker.com"}),
    ("/v3/privacy/forget", {"email": "luke@skywalker.com"}),
]


@pytest.mark.parametrize(("path", "body"), LOOKUPS)
async def test_look_ups_have_a_limit_of_their_own(environment: dict[str, str], clock: Clock, path: str, body: dict[str, Any]) -> None:
    async with limited(environment, clock) as shopper:
        began, passed = time.monotonic(), 0
        while (refused := await shopper.post(path, body)).status_code == 200:
            passed += 1
        assert 100 <= passed <= 101 + time.monotonic() - began
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert (await shopper.post(path, body, key="other-private-key")).status_code == 200
        assert (await shopper.post("/v1/visitors")).status_code == 200
        assert (await shopper.post("/v1/links", {"email": "a@example.com", "visitor": "abc"})).status_code == 200


async def test_all_kinds_of_look_ups_are_counted_together(environment: dict[str, str], clock: Clock) -> None:
    async with limited(environment, clock) as shopper:
        for _ in range(20):
            for path, body in LOOKUPS:
                answer = await shopper.post(path, body)
        assert answer.status_code == 429


@pytest.mark.parametrize(("emails", "passed"), [(1, 100), (100, 100), (101, 50), (1000, 10), (5000, 2)])
async def test_a_hundred_emails_of_a_batch_count_as_one_call(environment: dict[str, str], clock: Clock, emails: int, passed: int) -> None:
    batch = {"emails": [f"{number}@example.com" for number in range(emails)]}
    async with limited(environment, clock) as shopper:
        began, found = time.monotonic(), 0
        while (await shopper.post("/v1/lookups", batch)).status_code == 200:
            found += 1
        assert passed <= found <= passed + 1 + (time.monotonic() - began) * passed / 100


@pytest.mark.parametrize("domain", ["\u00fc\u00f1\u00ee.example", "xn--mnchen-3ya.example"])
async def test_an_email_in_other_letters_counts_as_many_calls(environment: dict[str, str], clock: Clock, domain: str) -> None:
    """Reading it takes as long as many plain ones do."""
    more = {"IDENTITY_LIMITS__CLIENT_PER_SECOND": "100", "IDENTITY_LIMITS__BURST": "1"}
    async with limited(environment, clock, **more) as shopper:
        began, found = time.monotonic(), 0
        while found < 100:
            answer = await shopper.post("/v2/log/email", {"email": f"a{found}@{domain}", "visitor": "v"}, key="demo-public-key")
            if answer.status_code == 429:
                break
            found += 1
        assert 5 <= found <= 12 + 10 * (time.monotonic() - began)
        plain = [await shopper.post("/v2/log/email", {"email": "a@example.com"}, key="demo-private-key") for _ in range(50)]
        assert {one.status_code for one in plain} == {200}


async def test_a_batch_of_any_size_passes_once(environment: dict[str, str], clock: Clock) -> None:
    batch = {"emails": ["a@example.com"] * 5000}
    async with limited(environment, clock, IDENTITY_LIMITS__BURST="1") as shopper:
        assert (await shopper.post("/v1/lookups", batch)).status_code == 200
        refused = await shopper.post("/v1/lookups", {"email": "a@example.com"})
        assert refused.status_code == 429
        assert 45 <= int(refused.headers["retry-after"]) <= 50


@pytest.mark.parametrize(
    ("form", "page"),
    [
        ("customers", "customers?ref="),
        ("visitors", "visitors?ref="),
        ("visitors", "activity?ref="),
        ("orders", "orders?ref="),
        ("orders", "orders?ignored="),
        ("orders", "orders?as=csv&ignored="),
        ("orders", "orders?product=5&ignored="),
        ("orders", "orders?sale=S-1&ignored="),
        ("rights", "rights?ref="),
    ],
)
async def test_the_admin_pages_look_ups_count_too(environment: dict[str, str], clock: Clock, form: str, page: str) -> None:
    application = Application(load("development", environment | LIMITED | {"IDENTITY_LIMITS__BURST": "3"}), clock)
    async with desk_of(application) as desk:
        await desk.sign_in()
        person = {"visitor": "abc123"} if form == "visitors" else {"email": "luke@skywalker.com"}
        reference = (await desk.post(form, 303, **person)).headers["location"].partition("ref=")[2]
        statuses = [(await desk.client.get(f"/admin/{page}{reference}")).status_code for _ in range(8)]
    await application.services.store.client.close()
    assert statuses[:3] == [404 if "sale=" in page else 200] * 3
    assert statuses[-1] == 429


def wrong(index: int) -> dict[str, Any]:
    """Ways to come without a right key."""
    ways: list[dict[str, Any]] = [{"key": "nobodys-key"}, {"key": "demo-private-key-"}, {"authorization": "Basic x"}, {}]
    return ways[index % len(ways)]


@pytest.mark.parametrize("path", ["/v1/visitors", "/v1/lookups", "/v2/log/click", "/v1/orders"])
async def test_ten_wrong_keys_a_minute_are_401_and_more_are_429(environment: dict[str, str], clock: Clock, path: str) -> None:
    async with limited(environment, clock) as shopper:
        statuses = []
        for index in range(14):
            way = wrong(index)
            headers = {"authorization": way.get("authorization", f"Bearer {way['key']}" if "key" in way else "")}
            method = "GET" if path == "/v1/orders" else "POST"
            answer = await shopper.client.request(method, path, content=b"{}", headers={k: v for k, v in headers.items() if v})
            statuses.append(answer.status_code)
        assert statuses == [401] * 10 + [429] * 4
        assert 1 <= int(answer.headers["retry-after"]) <= 6
        assert (await shopper.post("/v1/visitors")).status_code == 200


async def test_wrong_keys_cost_neighbours_nothing(environment: dict[str, str], clock: Clock) -> None:
    async with limited(environment, clock) as shopper:
        for _ in range(20):
            last = await shopper.post("/v1/visitors", key="wrong")
        assert last.status_code == 429
        assert (await shopper.post("/v1/visitors")).status_code == 200
        assert (await shopper.browser("/v1/visitors")).status_code == 200


@pytest.mark.parametrize("told", ["198.51.100.{}", "nonsense {}", "198.51.100.{}, 198.51.100.9"])
async def test_a_header_makes_nobody_somebody_else(environment: dict[str, str], clock: Clock, told: str) -> None:
    async with limited(environment, clock) as shopper:
        statuses = [
            (await shopper.post("/v1/visitors", key="wrong", x_forwarded_for=told.format(number))).status_code for number in range(12)
        ]
    assert statuses == [401] * 10 + [429] * 2


async def test_wrong_keys_of_clients_behind_a_proxy_of_ours_are_told_apart(environment: dict[str, str], clock: Clock) -> None:
    async with limited(environment, clock, peer="10.0.0.1", IDENTITY_SERVER__TRUSTED_PROXIES="10.0.0.1") as shopper:
        for address in ("198.51.100.1", "198.51.100.2"):
            statuses = [(await shopper.post("/v1/visitors", key="wrong", x_forwarded_for=address)).status_code for _ in range(11)]
            assert statuses == [401] * 10 + [429]


async def test_a_wrong_key_never_reaches_the_store(environment: dict[str, str], clock: Clock, database: redis.Redis) -> None:
    """Before and after the limit it costs the same: one hash and one look-up in memory. Replicas and sentinels send other commands."""
    ours = {f"cmdstat_{command[0].lower()}" for command in COMMANDS} - {"cmdstat_info", "cmdstat_ping"}

    def sent() -> int:
        return sum(one["calls"] for name, one in database.info("commandstats").items() if name in ours)

    async with limited(environment, clock) as shopper:
        before = sent()
        for _ in range(30):
            await shopper.post("/v1/lookups", {"email": "luke@skywalker.com"}, key="wrong")
            await shopper.post("/v2/log/click", {"product": 1, "visitor": "abc"}, key="wrong")
        assert sent() == before


@asynccontextmanager
async def limited_desk(environment: dict[str, str], clock: Clock) -> AsyncIterator[Desk]:
    application = Application(load("development", environment | LIMITED), clock)
    async with desk_of(application) as desk:
        yield desk
    await application.services.store.client.close()


async def test_after_ten_wrong_keys_the_sign_in_takes_none_for_a_while(environment: dict[str, str], clock: Clock) -> None:
    async with limited_desk(environment, clock) as desk:
        statuses = [(await desk.sign_in("wrong")).status_code for _ in range(12)]
        assert statuses == [401] * 10 + [429] * 2
        refused = await desk.sign_in()
        assert refused.status_code == 429
        assert "set-cookie" not in refused.headers
        assert "Retry-After" in text_of(refused)


async def test_right_keys_may_sign_in_again_and_again(environment: dict[str, str], clock: Clock) -> None:
    async with limited_desk(environment, clock) as desk:
        assert {(await desk.sign_in()).status_code for _ in range(30)} == {303}


async def test_wrong_keys_of_calls_close_no_sign_in(environment: dict[str, str], clock: Clock) -> None:
    async with limited_desk(environment, clock) as desk:
        for _ in range(20):
            await desk.client.post("/v1/visitors", headers={"authorization": "Bearer wrong"})
        assert (await desk.sign_in()).status_code == 303


async def test_robots_are_counted_apart(shopper: Shopper, application: Application) -> None:
    """They are in no figure about people: neither IDs, choices, clicks, labels nor what health is judged by."""
    robots = ISSUED.labels("null", "bot")
    flush_counts()
    before, people = robots._value.get(), ISSUED.labels("null", "visitor_disabled")._value.get()
    bot = {"user-agent": GOOGLEBOT}
    for _ in range(3):
        await shopper.browser("/v1/visitors", {"visitor": None}, **bot)
        await shopper.browser("/v1/consents", {"consent": "granted"}, **bot)
        await shopper.browser("/v2/log/click", {"product": 7, "labels": ["Crawled"], "visitor": "auto"}, **bot)
        await shopper.post("/v1/visitors", {"client": {"ip": "198.51.100.9", "user_agent": GOOGLEBOT}})
    await shopper.browser("/v1/visitors")
    await shopper.browser("/v2/log/click", {"product": 7, "labels": ["Seen"], "visitor": "auto"})
    flush_counts()
    assert robots._value.get() - before == 9
    assert ISSUED.labels("null", "visitor_disabled")._value.get() == people
    shop = next(one for one in application.services.shops if one.shop_id == "demo")
    totals = await application.services.figures.totals(shop, 3600)
    assert totals == {
        "issued bot": 9,
        "issued cookieless": 1,
        "call log/click": 4,
        "mode bot": 3,
        "mode cookieless": 1,
        "clicks bot": 3,
        "clicks all": 1,
        "click Seen": 1,
    }
    figures = await application.services.figures.of_shop(shop, 1)
    assert figures.visitors.lines == {"cookieless": [1]}
    assert figures.without_id.lines == {"robots": [9]}
    assert figures.consent_rate is None
    health = (await shopper.client.get("/v1/health/tracking", headers={"authorization": "Bearer demo-private-key"})).json()
    assert (health["without_labels"], health["without_visitor"]) == (0, 0)
    calls = (await shopper.client.get("/v1/calls", headers={"authorization": "Bearer demo-private-key"})).json()["calls"]
    assert [call["mode"] for call in calls] == ["cookieless", "bot", "bot", "bot"]
    products = (await shopper.client.get("/v1/products", headers={"authorization": "Bearer demo-private-key"})).json()["products"]
    assert len(products) == 1


async def test_what_robots_buy_is_an_order_all_the_same(shopper: Shopper) -> None:
    """An order must never be lost to a guess about a user agent."""
    sale = {"sale": "S-1", "products": [{"id": 5, "price": 2}], "email": "luke@skywalker.com", "visitor": "abc"}
    await shopper.browser("/v2/log/sale", sale, **{"user-agent": GOOGLEBOT})
    answer = await shopper.client.get("/v1/orders", headers={"authorization": "Bearer demo-private-key"})
    [order] = answer.json()["orders"]
    assert (order["sale"], order["mode"], order["visitor"]) == ("S-1", "null", None)
    assert await shopper.visitors(email="luke@skywalker.com") == []
