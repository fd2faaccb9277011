"""Orders as a shop reads them: pages, sale IDs in paths, why an order is attributed or not, and the figures, log and health beside them."""

import asyncio
from typing import Any
from urllib.parse import quote

import pytest
import redis

from identity_service.app import Application
from identity_service.model.attribution import ATTRIBUTED, EXPLANATIONS, Break
from identity_service.model.shop import ShopId
from identity_service.service.health import duration, every
from identity_service.settings.load import load
from identity_service.store.redis.command import Command
from tests.conftest import Clock, Shopper, shopping
from tests.stores import sale_at

pytestmark = pytest.mark.anyio
EMAIL = "luke@skywalker.com"
SALE: dict[str, Any] = {"sale": 1, "products": [{"id": 5, "price": 2.5, "quantity": 3}]}
HOME = ["Homepage - Trending"]
CLICK: dict[str, Any] = {"product": 5, "labels": HOME, "visitor": "one"}


async def get(shopper: Shopper, path: str, status: int = 200, key: str = "demo-private-key") -> Any:
    answer = await shopper.client.get(path, headers={"authorization": f"Bearer {key}"})
    assert answer.status_code == status, answer.text
    return answer.json()


async def log(shopper: Shopper, call: str, body: dict[str, Any], key: str = "demo-public-key") -> None:
    answer = await shopper.post(f"/v2/log/{call}", body, key=key)
    assert (answer.status_code, answer.content) == (200, b'{"status":"ok"}')


async def pages(shopper: Shopper, limit: int, between: int = 0) -> list[str]:
    """Every page's sale IDs, with `between` new orders after each page."""
    found: list[str] = []
    path, new = f"/v1/orders?limit={limit}", 0
    while True:
        page = await get(shopper, path)
        found += [order["sale"] for order in page["orders"]]
        if page["next"] is None:
            return found
        for _ in range(between if new < 40 else 0):
            new += 1
            await log(shopper, "sale", SALE | {"sale": f"new-{new}"})
        path = f"/v1/orders?limit={limit}&cursor={page['next']}"


@pytest.mark.parametrize("limit", [1, 3, 7, 25, 200])
@pytest.mark.parametrize("apart", [0, 0.2, 1])
async def test_pages_hold_every_order_once_newest_first(shopper: Shopper, clock: Clock, limit: int, apart: float) -> None:
    for number in range(25):
        await log(shopper, "sale", SALE | {"sale": number})
        clock.forward(apart)
    found = await pages(shopper, limit)
    assert sorted(found, key=int) == [str(number) for number in range(25)]
    if apart:
        assert found == [str(number) for number in reversed(range(25))]


async def test_an_order_whose_second_ends_while_it_is_logged_keeps_its_place(
    application: Application, shopper: Shopper, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = application.services.store.client
    run = client.run

    async def slow(*unit: Command) -> list[Any]:
        if any(one.source and one.source.name == "sell" for one in unit):
            clock.forward(0.3)
        return await run(*unit)

    monkeypatch.setattr(client, "run", slow)
    for number in range(8):
        await log(shopper, "sale", SALE | {"sale": number})
    assert await pages(shopper, 25) == [str(number) for number in reversed(range(8))]


async def test_a_sale_id_that_comes_again_after_its_days_is_a_new_order_at_the_top(
    application: Application, shopper: Shopper, database: redis.Redis, clock: Clock
) -> None:
    await log(shopper, "sale", SALE | {"sale": 1})
    clock.forward(401 * 86_400)
    keys = application.services.store.keys
    database.delete(keys.sale_of(ShopId("demo"), keys.sale_digest(ShopId("demo"), "1")))  # as it has expired
    for number in (20, 21, 1):
        await log(shopper, "sale", SALE | {"sale": number})
        clock.forward(5)
    assert await pages(shopper, 25) == ["1", "21", "20"]


@pytest.mark.parametrize("apart", [0, 1])
async def test_orders_that_come_between_pages_move_none(shopper: Shopper, clock: Clock, apart: int) -> None:
    for number in range(20):
        await log(shopper, "sale", SALE | {"sale": number})
    clock.forward(apart)
    found = await pages(shopper, 3, between=2)
    assert len(found) == len(set(found))
    assert {str(number) for number in range(20)} <= set(found)


@pytest.mark.parametrize("path", ["/v1/orders?limit=", "/v1/labels?days="])
@pytest.mark.parametrize("number", ["0000000201", "00000000199999999", "0000000401", "1" + "9" * 30, "٣", "1e2", "+1", " 1"])
async def test_a_number_beyond_its_bounds_is_invalid_however_it_is_written(shopper: Shopper, path: str, number: str) -> None:
    assert (await get(shopper, path + quote(number), 422))["code"] == "invalid"


@pytest.mark.parametrize("query", ["cursor=x", "cursor=1", "cursor=", "limit=0", "limit=201", "limit=-1", "limit=x"])
async def test_a_page_that_cannot_be_is_invalid(shopper: Shopper, query: str) -> None:
    assert (await get(shopper, f"/v1/orders?{query}", 422))["code"] == "invalid"


@pytest.mark.parametrize(
    "sale", ["A/1", "a b", "Größe-7", "100%", "%2F", "?x=1#y", "attribution", "1/attribution", "日本", "+", ".", "a\nb"]
)
async def test_a_sale_id_in_a_path_is_percent_encoded(shopper: Shopper, sale: str) -> None:
    await log(shopper, "sale", SALE | {"sale": sale})
    path = "/v1/orders/" + quote(sale, safe="").replace(".", "%2E")
    assert (await get(shopper, path))["sale"] == (await get(shopper, f"{path}/attribution"))["sale"] == sale


async def test_unknown_orders_and_orders_of_another_shop_are_404(shopper: Shopper) -> None:
    await log(shopper, "sale", SALE)
    for path in ("/v1/orders/1", "/v1/orders/1/attribution"):
        assert (await get(shopper, path, 404, "other-private-key"))["code"] == "not_found"
        await get(shopper, path, 403, "demo-public-key")
        await get(shopper, path.replace("/1", "/2"), 404)
    await get(shopper, "/v1/orders/1/nothing", 404)


async def test_row_37_an_order_without_visitor_and_email_is_listed_and_never_attributed(shopper: Shopper) -> None:
    await log(shopper, "click", {"product": 5, "labels": HOME})
    await log(shopper, "sale", SALE)
    [order] = (await get(shopper, "/v1/orders"))["orders"]
    assert (order["sale"], order["visitor"], order["mode"], order["attributed"], order["labels"]) == ("1", None, "none", False, [])


async def test_row_40_a_hundred_calls_at_once_are_one_order(shopper: Shopper) -> None:
    calls = [shopper.post("/v2/log/sale", SALE | {"visitor": f"v{number}", "products": [number]}) for number in range(100)]
    assert {(one.status_code, one.content) for one in await asyncio.gather(*calls)} == {(200, b'{"status":"ok"}')}
    [order] = (await get(shopper, "/v1/orders"))["orders"]
    assert order["visitor"] == f"v{order['products'][0]['id']}"
    assert (await get(shopper, "/v1/labels"))["other_orders"] == 1


async def test_row_40_a_repeated_sale_id_changes_nothing_and_is_no_ones_else(shopper: Shopper) -> None:
    await log(shopper, "sale", SALE | {"visitor": "one", "email": EMAIL})
    before = await get(shopper, "/v1/orders/1")
    await log(shopper, "sale", {"sale": "1", "products": [9], "visitor": "two", "email": "leia@example.com"})
    assert await get(shopper, "/v1/orders/1") == before
    for named in ({"visitor": "two"}, {"email": "leia@example.com"}):
        assert (await shopper.post("/v1/exports", named)).json() == {"visitors": [], "unproven": [], "orders": []}


async def test_row_41_revenue_is_unit_price_times_quantity_exactly(shopper: Shopper) -> None:
    prices = [("0.1", 3), ("33.333333333333336", 3), ("14.00", 2), ("99.95", 2)]
    items = ",".join(f'{{"id":{number},"price":{price},"quantity":{many}}}' for number, (price, many) in enumerate(prices))
    await shopper.client.post("/v2/log/sale", content=f'{{"key":"demo-public-key","sale":1,"products":[{items}]}}')
    order = await get(shopper, "/v1/orders/1")
    assert (order["revenue"], [one["price"] for one in order["products"]]) == ("328.200000000000008", [price for price, _ in prices])


async def test_row_44_a_null_sale_counts_without_any_context(shopper: Shopper, database: redis.Redis) -> None:
    await log(shopper, "click", CLICK)
    await log(shopper, "sale", SALE | {"visitor": None, "email": EMAIL, "customer": 7})
    told = await get(shopper, "/v1/labels")
    assert (told["other_orders"], told["other_revenue"], told["attributed_orders"]) == (1, "7.5", 0)
    [stored] = [sale_at(database, key) for key in database.scan_iter("id:v2:{*}:S:*")]
    assert set(stored) == {"sale", "time", "products", "revenue", "mode", "missing"}


async def test_row_46_a_product_nobody_knows_is_no_error(shopper: Shopper) -> None:
    await log(shopper, "sale", {"sale": 1, "products": [{"id": "no-such-product"}], "visitor": "one"})
    assert (await get(shopper, "/v1/orders/1"))["products"] == [{"id": "no-such-product", "quantity": 1}]


async def test_row_50_an_order_holds_what_the_page_lists_and_its_attribution(shopper: Shopper) -> None:
    await log(shopper, "sale", SALE | {"visitor": "one", "email": EMAIL, "customer": 7, "phone": "555"})
    order = await get(shopper, "/v1/orders/1")
    assert (order["sale"], order["visitor"], order["time"]) == ("1", "one", "2026-11-18T11:06:40Z")
    assert order["products"] == [{"id": 5, "quantity": 3, "price": "2.5"}]
    of_sale = {"sale", "time", "verified", "mode", "channel", "visitor", "products", "revenue", "currency"}
    assert set(order) == of_sale | {"attributed", "labels", "attribution"}


async def break_chain(shopper: Shopper, broken: Break) -> None:
    """Click and sale with one link missing."""
    click: dict[Break, dict[str, Any] | None] = {
        Break.NO_CLICK: None,
        Break.SIMILAR_VISITOR: CLICK | {"visitor": "One"},
        Break.OTHER_PRODUCT: CLICK | {"product": "5-RED-M"},
        Break.NO_LABELS: {"product": 5, "visitor": "one"},
        Break.BLANK_LABELS: CLICK | {"labels": [" "]},
    }
    if body := click.get(broken, CLICK):
        await log(shopper, "click", body)
    visitor: dict[str, Any] = {Break.NULL_MODE: {"visitor": None}, Break.NO_VISITOR: {}}.get(broken, {"visitor": "one"})
    agent: dict[str, Any] = {"agent": {"name": "agent.example", "verified": True}} if broken is Break.AGENT else {}
    await log(shopper, "sale", SALE | {"email": EMAIL} | visitor | agent, "demo-private-key" if agent else "demo-public-key")
    if broken is Break.ERASED:
        await shopper.post("/v1/erasures", {"visitor": "one"})


@pytest.mark.parametrize("broken", list(Break))
async def test_row_51_the_missing_link_is_named_in_the_pages_words(shopper: Shopper, broken: Break) -> None:
    await break_chain(shopper, broken)
    told = await get(shopper, "/v1/orders/1/attribution")
    assert told == {
        "sale": "1",
        "attributed": False,
        "labels": [],
        "attribution": [],
        "broken": broken.value,
        "explanation": EXPLANATIONS[broken],
        "hint": None,
    }


async def test_an_attributed_order_is_told_so(shopper: Shopper) -> None:
    await log(shopper, "click", CLICK | {"api": "recommendations/trending"})
    await log(shopper, "sale", SALE | {"visitor": "one"})
    told = await get(shopper, "/v1/orders/1/attribution")
    assert (told["attributed"], told["labels"], told["broken"], told["explanation"]) == (True, HOME, None, ATTRIBUTED)
    credit = {"product": 5, "labels": HOME, "api": "recommendations/trending", "clicked_at": "2026-11-18T11:06:40Z"}
    assert told["attribution"] == [credit]


@pytest.mark.parametrize("call", ["sale", "product", "results", "basket/set"])
async def test_a_similar_visitor_that_never_clicked_is_not_the_missing_link(shopper: Shopper, call: str) -> None:
    bodies: dict[str, dict[str, Any]] = {"sale": SALE | {"sale": 2}, "product": {"product": 5}}
    await log(shopper, call, bodies.get(call, {"products": [5], "labels": HOME}) | {"visitor": "guest-1"})
    await log(shopper, "sale", SALE | {"visitor": "guest-2"})
    assert (await get(shopper, "/v1/orders/1/attribution"))["broken"] == "no_click"


async def test_the_session_before_a_grant_counts_for_the_sale_after_it(shopper: Shopper) -> None:
    before = (await shopper.browser("/v1/visitors")).json()
    await log(shopper, "click", {"product": 5, "labels": HOME, "visitor": before["token"]})
    after = (await shopper.browser("/v1/consents", {"token": before["token"], "consent": "granted"})).json()
    assert after["visitor"] != before["visitor"]
    await log(shopper, "sale", SALE | {"visitor": after["token"]})
    order = await get(shopper, "/v1/orders/1")
    assert (order["visitor"], order["mode"], order["labels"]) == (after["visitor"], "persistent", HOME)


async def test_what_was_shown_before_a_grant_counts_for_the_click_after_it(shopper: Shopper) -> None:
    before = (await shopper.browser("/v1/visitors")).json()["token"]
    await log(shopper, "results", {"products": [5], "labels": HOME, "visitor": before})
    after = (await shopper.browser("/v1/consents", {"token": before, "consent": "granted"})).json()["token"]
    await log(shopper, "click", {"product": 5, "visitor": after})
    await log(shopper, "sale", SALE | {"visitor": after})
    assert (await get(shopper, "/v1/orders/1"))["labels"] == HOME


async def test_a_later_click_and_one_before_the_window_change_nothing(environment: dict[str, str], clock: Clock) -> None:
    days = {"IDENTITY_SHOPS__DEMO__ATTRIBUTION_DAYS": "1", "IDENTITY_SHOPS__DEMO__WINDOW_DAYS": "30"}
    async with shopping(load("development", environment | days), clock) as shopper:
        await log(shopper, "click", CLICK)
        clock.forward(86_401)
        await log(shopper, "sale", SALE | {"visitor": "one"})
        before = await get(shopper, "/v1/orders/1/attribution")
        clock.forward(1)
        await log(shopper, "click", CLICK)
        assert await get(shopper, "/v1/orders/1/attribution") == before
        await log(shopper, "sale", SALE | {"sale": 2, "visitor": "one"})
        assert (before["broken"], (await get(shopper, "/v1/orders/2"))["attributed"]) == ("no_click", True)


@pytest.mark.parametrize("right", ["erase_email", "erase_visitor", "forget", "withdraw"])
async def test_what_is_erased_leaves_the_order_and_nothing_of_its_visitor(shopper: Shopper, database: redis.Redis, right: str) -> None:
    issued = (await shopper.post("/v1/visitors", {"visitor": "one", "consent": "granted"})).json()
    await log(shopper, "click", CLICK | {"visitor": issued["token"]})
    await log(shopper, "sale", SALE | {"visitor": issued["token"], "email": EMAIL, "customer": 7})
    await shopper.post("/v1/unlinks", {"customer": "7", "visitor": "one"})  # which would hold the visitor, too
    assert (await get(shopper, "/v1/orders/1"))["labels"] == HOME
    if right == "withdraw":
        await shopper.post("/v1/consents", {"token": issued["token"], "consent": "refused"})
    elif right == "forget":
        query = f"key=demo-public-key&private_key=demo-private-key&email={EMAIL}"
        assert (await shopper.client.get(f"/v2/privacy/forget?{query}")).json() == {"status": "ok"}
    else:
        await shopper.post("/v1/erasures", {"email": EMAIL} if right == "erase_email" else {"visitor": "one"})
    order = await get(shopper, "/v1/orders/1")
    assert (order["revenue"], order["visitor"], order["labels"], order["attribution"]) == ("7.5", None, [], [])
    assert (await get(shopper, "/v1/orders/1/attribution"))["broken"] == "erased"
    [stored] = [sale_at(database, key) for key in database.scan_iter("id:v2:{*}:S:*")]
    assert not {"visitor", "email", "customer", "attribution"} & set(stored)


async def test_labels_show_clicks_orders_and_revenue(shopper: Shopper) -> None:
    for product, labels in ((5, HOME), (5, HOME), (6, ["Search", "Homepage - Trending"]), (7, None)):
        await log(shopper, "click", {"product": product, "labels": labels, "visitor": "one"})
    both = [{"id": 5, "price": 2.5, "quantity": 3}, {"id": 6, "price": 1, "quantity": 1}, {"id": 8, "price": 4}]
    await log(shopper, "sale", {"sale": 1, "products": both, "visitor": "one"})
    await log(shopper, "sale", SALE | {"sale": 2, "visitor": "two"})
    assert await get(shopper, "/v1/labels") == {
        "days": 30,
        "labels": [
            {"label": HOME[0], "clicks": 3, "orders": 1, "revenue": "8.5", "revenues": {"EUR": "8.5"}},
            {"label": "Search", "clicks": 1, "orders": 1, "revenue": "1", "revenues": {"EUR": "1"}},
        ],
        "attributed_orders": 1,
        "other_orders": 1,
        "currency": "EUR",
        "attributed_revenue": "12.5",
        "other_revenue": "7.5",
        "attributed_revenues": {"EUR": "12.5"},
        "other_revenues": {"EUR": "7.5"},
        "agents": [],
        "known_by": {"verified": 0, "edge": 0, "user_agent": 0, "unverified": 0, "invalid": 0},
        "robots": {"visits": 0, "clicks": 0, "orders": 0, "revenues": {"EUR": "0"}},
        "next": None,
    }


async def test_a_product_written_in_two_ways_earns_its_label_once(shopper: Shopper) -> None:
    await log(shopper, "click", CLICK)
    lines = [{"id": 5, "price": 10, "quantity": 1}, {"id": "5", "price": 10, "quantity": 1}]
    await log(shopper, "sale", {"sale": 1, "products": lines, "visitor": "one"})
    assert (await get(shopper, "/v1/labels"))["labels"][0]["revenue"] == (await get(shopper, "/v1/orders/1"))["revenue"] == "20"


async def test_row_52_the_log_shows_errors_newest_first_and_nothing_personal(shopper: Shopper, clock: Clock) -> None:
    await log(shopper, "sale", SALE | {"visitor": "secret-visitor", "email": EMAIL})
    clock.forward(1)
    await shopper.post("/v2/log/sale", {"products": [5], "visitor": "secret-visitor"})
    clock.forward(1)
    await log(shopper, "click", CLICK | {"labels": [f"Mail to {EMAIL}"]})
    told = (await get(shopper, "/v1/calls"))["calls"]
    assert [(one["call"], one["outcome"], one.get("error")) for one in told] == [
        ("log/click", "ok", None),
        ("log/sale", "error", "Missing required argument: sale"),
        ("log/sale", "ok", None),
    ]
    assert told[0]["time"] == "2026-11-18T11:06:42Z"
    assert not [needle for needle in ("secret-visitor", EMAIL) if needle in str(told)]
    assert (await get(shopper, "/v1/calls", key="other-private-key"))["calls"] == []
    clock.forward(86_400)
    assert (await get(shopper, "/v1/calls"))["calls"] == []


@pytest.mark.parametrize(("method", "body"), [("GET", None), ("POST", b'{"sale": 1, "products": [{')])
async def test_row_52_a_call_that_cannot_be_read_is_in_the_log_too(shopper: Shopper, method: str, body: bytes | None) -> None:
    path = "/v2/log/sale" + ("?key=demo-public-key&sale=1&products=[{" if body is None else "")
    await shopper.client.request(method, path, content=body, headers={"authorization": "Bearer demo-public-key"})
    assert [(one["call"], one["outcome"]) for one in (await get(shopper, "/v1/calls"))["calls"]] == [("log/sale", "error")]


async def test_row_45_a_variants_id_breaks_the_chain_though_both_calls_succeed(shopper: Shopper) -> None:
    await log(shopper, "click", CLICK)
    await log(shopper, "sale", {"sale": 1, "products": [{"id": "5-M", "price": 1}], "visitor": "one"})
    assert (await get(shopper, "/v1/orders/1/attribution"))["broken"] == "other_product"


async def test_row_54_a_visitors_events_are_read_newest_first_with_its_orders(shopper: Shopper, clock: Clock) -> None:
    await log(shopper, "click", CLICK)
    clock.forward(1)
    await log(shopper, "sale", SALE | {"visitor": "one"})
    found = (await shopper.post("/v1/events", {"visitor": "one"})).json()["events"]
    assert [(one["type"], one["time"][-3:]) for one in found] == [("sale", "41Z"), ("click", "40Z")]
    assert (found[0]["text"], found[1]["labels"]) == ("1", HOME)
    assert (await shopper.post("/v1/events", {"visitor": "one"}, key="demo-public-key")).status_code == 403


async def test_products_seen_are_listed_with_type_and_time(shopper: Shopper, clock: Clock) -> None:
    await log(shopper, "click", CLICK | {"product": "SKU-1"})
    clock.forward(1)
    await log(shopper, "sale", SALE)
    assert (await get(shopper, "/v1/products"))["products"] == [
        {"product": "5", "type": "integer", "last_seen": "2026-11-18T11:06:41Z"},
        {"product": "SKU-1", "type": "string", "last_seen": "2026-11-18T11:06:40Z"},
    ]


async def test_row_56_health_has_not_started_without_calls_is_green_with_them_and_fades_again(shopper: Shopper, clock: Clock) -> None:
    unused = await get(shopper, "/v1/health/tracking")
    assert (unused["status"], unused["click"]["status"], unused["sale"]["status"]) == ("not_started",) * 3
    assert unused["reasons"] == [unused["click"]["text"], unused["sale"]["text"]]
    assert "POST /v2/log/sale" in unused["sale"]["text"]
    await log(shopper, "click", CLICK)
    begun = await get(shopper, "/v1/health/tracking")
    assert (begun["status"], begun["click"]["status"], begun["reasons"]) == ("not_started", "green", [unused["sale"]["text"]])
    await log(shopper, "sale", SALE | {"visitor": "one"})
    told = []
    for hours in (0, 24 * 3 + 1, 24 * 7 + 1):
        clock.forward(hours * 3_600)
        found = await get(shopper, "/v1/health/tracking")
        told.append((found["status"], found["sale"]["status"], found["sale"]["age_seconds"], found["sale"]["text"]))
    assert told == [
        ("green", "green", 0, "The last sale was logged less than a minute ago."),
        ("amber", "amber", 73 * 3_600, "The last sale was logged 3 days ago. None since."),
        ("red", "red", 242 * 3_600, "The last sale was logged 10 days ago. No sales recently."),
    ]


async def test_nothing_is_usual_before_five_came_on_three_days(shopper: Shopper, clock: Clock) -> None:
    told, last = [], int(clock.now) + 48 * 3_600
    usual = (last - int(clock.now) // 3_600 * 3_600) // 8
    for clicks, hours in ((4, 24), (4, 24), (1, 20), (0, 50), (0, 24 * 14), (0, 0)):
        for _ in range(clicks):
            await log(shopper, "click", CLICK)
        found = (await get(shopper, "/v1/health/tracking"))["click"]
        told.append((found["status"], found["usual_seconds"], found["text"].partition(". ")[2]))
        clock.forward(hours * 3_600)
    assert told == [
        ("green", None, ""),
        ("green", None, ""),
        ("green", usual, ""),
        ("amber", usual, "Longer than usual."),
        ("red", usual, "No clicks recently."),
        ("red", None, "No clicks recently."),
    ]


async def test_a_sale_that_never_came_is_missed_once_clicks_are_usual(shopper: Shopper, clock: Clock) -> None:
    told = []
    for _ in range(3):
        await log(shopper, "click", CLICK)
        await log(shopper, "click", CLICK)
        found = await get(shopper, "/v1/health/tracking")
        told.append((found["status"], found["sale"]["status"]))
        clock.forward(24 * 3_600)
    assert told == [("not_started", "not_started"), ("not_started", "not_started"), ("red", "red")]


async def test_a_shop_whose_first_calls_fail_is_told_so(shopper: Shopper) -> None:
    await shopper.post("/v2/log/sale", {})
    found = await get(shopper, "/v1/health/tracking")
    assert (found["status"], found["sale"]["status"], len(found["reasons"])) == ("red", "not_started", 3)


@pytest.mark.parametrize(
    ("seconds", "told", "pace"),
    [
        (0, "less than a minute", "more than once a minute"),
        (60, "1 minute", "every minute"),
        (179, "2 minutes", "every 2 minutes"),
        (3_600, "1 hour", "every hour"),
        (7_200, "2 hours", "every 2 hours"),
        (100_000, "1 day", "every day"),
        (11 * 86_400, "11 days", "every 11 days"),
    ],
)
async def test_times_are_told_as_people_say_them(seconds: int, told: str, pace: str) -> None:
    assert (duration(seconds), every(seconds)) == (told, pace)


@pytest.mark.parametrize("later", [0, 3_300])
async def test_errors_of_the_last_hour_turn_health_red_also_when_the_hour_has_turned(shopper: Shopper, clock: Clock, later: int) -> None:
    await log(shopper, "click", CLICK)
    await log(shopper, "sale", SALE | {"visitor": "one"})
    for _ in range(2):
        await shopper.post("/v2/log/sale", {})
    clock.forward(later)
    found = await get(shopper, "/v1/health/tracking")
    assert (found["status"], found["error_rate"]) == ("red", 0.5)


async def test_a_sale_of_any_amount_keeps_no_shop_from_being_counted(shopper: Shopper, clock: Clock) -> None:
    dear = {"id": 1, "quantity": 1_000_000, "price": 1_000_000_000}
    for number in range(3):
        await log(shopper, "sale", {"sale": f"dear-{number}", "products": [dear] * (number + 1)})
    await log(shopper, "sale", SALE)
    for _ in range(3):
        assert (await get(shopper, "/v1/labels"))["other_orders"] == 4
        clock.forward(1)
    assert len((await get(shopper, "/v1/calls"))["calls"]) == 4
    assert (await get(shopper, "/v1/orders/dear-0"))["revenue"] == "1000000000000000"


async def test_counters_that_cannot_be_written_keep_no_other_shop_from_reading_its_own(
    shopper: Shopper, application: Application, database: redis.Redis, clock: Clock
) -> None:
    await log(shopper, "sale", SALE)
    now = int(clock())
    database.set(application.services.store.keys.hour(ShopId("demo"), now - now % 3_600), "no hash")
    await get(shopper, "/v1/labels", 503)
    assert (await get(shopper, "/v1/labels", key="other-private-key"))["other_orders"] == 0
