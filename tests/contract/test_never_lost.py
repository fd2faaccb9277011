"""An order is never lost for a detail: what is refused, what is read and mended, and what the log of calls names."""

import asyncio
import json
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import anyio
import httpx2 as httpx
import pytest
import redis
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from identity_service.app import Application
from identity_service.model.attribution import Break
from identity_service.model.event import MOST_PRODUCT_BYTES, NEWEST_RESULTS, Event, EventType
from identity_service.model.shop import ShopId
from identity_service.service.counters import Amounts, LoggedCall
from identity_service.settings.load import load
from identity_service.store import events
from identity_service.store.counters import MOST_COUNTED
from identity_service.store.events import PackedMembers, looking_for, members_of, packed, unpacked
from identity_service.store.redis.command import script
from identity_service.web.calls.arguments import MOST_LABEL_BYTES
from tests.conftest import Clock, Shopper, shopping
from tests.contract.desk import desk_of, text_of
from tests.stores import valkey

pytestmark = pytest.mark.anyio
EMAIL = "luke@skywalker.com"
OK = {"status": "ok"}
HOME = ["Home"]
LONG = "w" * 250
TOKEN = "1p.AAAAAAAAAAAAAAAAAAAAAA.aw1sWg." + "A" * 43


async def read(shopper: Shopper, path: str) -> Any:
    answer = await shopper.client.get(path, headers={"authorization": "Bearer demo-private-key"})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def sell(shopper: Shopper, products: Any, sale: Any = 1, **more: Any) -> Any:
    """The order that came of it, once it was answered as every sale is."""
    content = json.dumps({"key": "demo-public-key", "sale": sale, "products": products} | more)
    return await sold(shopper, content, str(sale))


async def sold(shopper: Shopper, content: str, sale: str = "1") -> Any:
    answer = await shopper.client.post("/v2/log/sale", content=content)
    assert (answer.status_code, answer.content) == (200, b'{"status":"ok"}')
    return await read(shopper, f"/v1/orders/{sale}")


async def newest(shopper: Shopper) -> dict[str, Any]:
    found: dict[str, Any] = (await read(shopper, "/v1/calls"))["calls"][0]
    return found


async def named(shopper: Shopper) -> list[str]:
    """What the newest call could not read."""
    call = await newest(shopper)
    assert call["outcome"] == "ok"
    assert call.get("unread") != []
    found: list[str] = call.get("unread", [])
    return found


async def refused(shopper: Shopper, body: dict[str, Any], error: str) -> None:
    answer = await shopper.post("/v2/log/sale", body)
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert (await read(shopper, "/v1/orders"))["orders"] == []


@pytest.mark.parametrize(
    "sale", ["undefined", "NULL", "nan", " None ", "[object Object]", "FALSE", " ", None, False, [], {}, 1.5, "x" * 256]
)
async def test_a_sale_without_a_usable_id_is_refused(shopper: Shopper, sale: Any) -> None:
    await refused(shopper, {"sale": sale, "products": [5]}, "Invalid Syntax In Argument: sale")


@pytest.mark.parametrize("products", [None, [], {}, "[5]", 5, True, {"id": 5}, {"a": 1}])
async def test_a_sale_without_a_list_of_products_is_refused(shopper: Shopper, products: Any) -> None:
    await refused(shopper, {"sale": 1, "products": products}, "Invalid Syntax In Argument: products")


@pytest.mark.parametrize(("wanted", "product"), [("integer", "5"), ("string", 5), ("string", 5.0)])
async def test_an_id_of_another_type_than_the_shops_is_refused(
    environment: dict[str, str], clock: Clock, wanted: str, product: Any
) -> None:
    async with shopping(load("development", environment | {"IDENTITY_SHOPS__DEMO__PRODUCT_ID_TYPE": wanted}), clock) as shopper:
        await refused(shopper, {"sale": 1, "products": [{"id": product}]}, "Invalid Syntax In Argument: products")
        for product in (None, "", True, [5]):
            assert await sell(shopper, [{"id": product}], sale=f"{wanted}-{product}")


@pytest.mark.parametrize("sale", [567, "567", 567.0])
async def test_a_sale_id_is_text_however_it_is_sent(shopper: Shopper, sale: Any) -> None:
    body = json.dumps({"key": "demo-public-key", "sale": sale, "products": [5]})
    assert (await sold(shopper, body, "567"))["sale"] == "567"


@pytest.mark.parametrize(
    ("line", "quantity", "revenue", "unread"),
    [
        ('"quantity":"2"', 2, "20", []),
        ('"quantity":2.0', 2, "20", []),
        ('"quantity":" 1.0000 "', 1, "10", []),
        ('"quantity":0.5', "0.5", "5.0", []),
        ('"quantity":"2.50"', "2.50", "25.00", []),
        ('"quantity":-2', -2, "-20", []),
        ('"quantity":0', 0, "0", []),
        ('"quantity":null', 1, "10", []),
        ('"quantity":null,"qty":"3"', 3, "30", []),
        ('"quantity":2,"qty":3', 2, "20", []),
        ('"qty":"0.25"', "0.25", "2.50", []),
        ('"quantity":1000000', 1_000_000, "10000000", []),
        ('"quantity":1000000.5', 1, "10", ["products[0].quantity"]),
        ('"quantity":"two"', 1, "10", ["products[0].quantity"]),
        ('"quantity":"1_000"', 1, "10", ["products[0].quantity"]),
        ('"quantity":"1,5"', 1, "10", ["products[0].quantity"]),
        ('"quantity":"\u0663"', 1, "10", ["products[0].quantity"]),
        ('"quantity":true', 1, "10", ["products[0].quantity"]),
        ('"quantity":[2]', 1, "10", ["products[0].quantity"]),
        ('"quantity":1e-40', 1, "10", ["products[0].quantity"]),
        ('"quantity":1e99999999999999999999', 1, "10", ["products[0].quantity"]),
        (f'"quantity":{"9" * 5_000}', 1, "10", ["products[0].quantity"]),
        ('"qty":""', 1, "10", ["products[0].qty"]),
    ],
)
async def test_a_quantity_is_exact_or_one(shopper: Shopper, line: str, quantity: Any, revenue: str, unread: list[str]) -> None:
    content = f'{{"key":"demo-public-key","sale":1,"note":"1{"0" * 2_000}","products":[{{"id":5,"price":10,{line}}}]}}'
    order = await sold(shopper, content)
    assert order["products"] == [{"id": 5, "quantity": quantity, "price": "10"}]
    assert Decimal(order["revenue"]) == Decimal(revenue)
    assert await named(shopper) == unread


@pytest.mark.parametrize(
    ("price", "read", "unread"),
    [
        ('"9.50"', "9.50", []),
        ("-3.1", "-3.1", []),
        ("66.6666666666666714036182384006679058074951171875", "66.66666666666667140361823840", []),
        ('" 1e2 "', "100", []),
        ("null", None, []),
        ("1000000000", "1000000000", []),
        ("-1000000000.01", None, ["products[0].price"]),
        ('"99,95"', None, ["products[0].price"]),
        ('"1,234.50"', None, ["products[0].price"]),
        ('"1_000.5"', None, ["products[0].price"]),
        ('"NaN"', None, ["products[0].price"]),
        ('""', None, ["products[0].price"]),
        ("false", None, ["products[0].price"]),
        ('{"amount":5}', None, ["products[0].price"]),
        ("1e-999999", None, ["products[0].price"]),
    ],
)
async def test_a_price_is_exact_or_unknown(shopper: Shopper, price: str, read: str | None, unread: list[str]) -> None:
    order = await sold(shopper, f'{{"key":"demo-public-key","sale":1,"products":[{{"id":5,"price":{price}}},{{"id":6,"price":1}}]}}')
    assert [line.get("price") for line in order["products"]] == [read, "1"]
    assert Decimal(order["revenue"]) == Decimal(read or 0) + 1
    assert await named(shopper) == unread


async def test_prices_that_are_too_long_stay_exact_in_the_sum(shopper: Shopper) -> None:
    lines = [{"id": 5, "price": "1000000000", "quantity": "0.0000000000000000000000000001"}] * 3 + [
        {"id": 6, "price": "999999999.999999999"}
    ]
    order = await sell(shopper, lines)
    assert Decimal(order["revenue"]) == Decimal("999999999.9999999990000000003")


@pytest.mark.parametrize("product", [None, "", " ", True, [5], {"id": 5}, 1.5, "x" * 256])
async def test_a_line_without_a_product_counts_and_credits_nobody(shopper: Shopper, product: Any) -> None:
    await shopper.post("/v2/log/click", {"product": "None", "labels": HOME, "visitor": "v"})
    await shopper.post("/v2/log/click", {"product": 7, "labels": HOME, "visitor": "v"})
    order = await sell(shopper, [{"id": product, "price": 10}, {"id": 7, "price": 5}], visitor="v")
    assert (order["products"][0], order["revenue"]) == ({"id": None, "quantity": 1, "price": "10"}, "15")
    assert (order["attributed"], [one["product"] for one in order["attribution"]]) == (True, [7])
    assert await named(shopper) == ["products[0].id"]
    assert (await read(shopper, "/v1/labels"))["labels"][0] | {"clicks": 0} == {
        "label": "Home",
        "clicks": 0,
        "orders": 1,
        "revenue": "5",
        "revenues": {"EUR": "5"},
    }
    assert {one["product"] for one in (await read(shopper, "/v1/products"))["products"]} == {"None", "7"}


@pytest.mark.parametrize("line", [None, True, [5], [], 1.5])
async def test_an_element_that_is_no_line_is_one_without_a_product(shopper: Shopper, line: Any) -> None:
    assert (await sell(shopper, [5, line, "6"]))["products"] == [{"id": one, "quantity": 1} for one in (5, None, "6")]
    assert await named(shopper) == ["products[1]"]


async def test_an_integral_float_is_the_integer(shopper: Shopper) -> None:
    await shopper.post("/v2/log/click", {"product": 12.0, "labels": HOME, "visitor": "v"})
    order = await sell(shopper, [{"id": 12.0}, 9007199254740993], visitor="v")
    assert [line["id"] for line in order["products"]] == [12, 9007199254740993]
    assert order["labels"] == HOME


async def test_an_object_with_numeric_keys_is_a_list(shopper: Shopper) -> None:
    products = {"10": {"id": "c"}, "0": {"id": "a"}, "2": "b"}
    assert [line["id"] for line in (await sell(shopper, products))["products"]] == ["a", "b", "c"]
    query = {"key": "demo-public-key", "sale": 2, "products": json.dumps(products)}
    assert (await shopper.client.get(f"/v2/log/sale?{urlencode(query)}")).json() == OK
    assert [line["id"] for line in (await read(shopper, "/v1/orders/2"))["products"]] == ["a", "b", "c"]
    for wrong in ('{"id":5}', "{", "{}"):
        query = {"key": "demo-public-key", "sale": 3, "products": wrong}
        assert (await shopper.client.get(f"/v2/log/sale?{urlencode(query)}")).status_code == 400


@pytest.mark.parametrize(
    ("half", "read_as"),
    [
        ("\\ud83d", "\ufffd"),
        ("\\uDE00", "\ufffd"),
        ("a\\uD83Db", "a\ufffdb"),
        ("\\ud83d\\ud83d\\ude00", "\ufffd\U0001f600"),
        ("\\\\\\udc00", "\\\ufffd"),
    ],
)
async def test_half_an_emoji_costs_no_order(shopper: Shopper, half: str, read_as: str) -> None:
    """Shops cut names of products after so many characters; only the half is lost."""
    line = f'{{"id":5,"price":2,"name":"{half}"}},{{"id":"{half}","price":3}},{{"id":"\\ud83d\\ude00\\\\ud83d"}}'
    order = await sold(shopper, f'{{"key":"demo-public-key","sale":1,"email":"{half}","visitor":"{half}","products":[{line}]}}')
    assert [one["id"] for one in order["products"]] == [5, read_as, "\U0001f600\\ud83d"]
    assert (order["revenue"], await named(shopper)) == ("5", ["email", "visitor"])
    query = urlencode({"key": "demo-public-key", "sale": "q", "products": f"[{line}]"})
    assert (await shopper.client.get(f"/v2/log/sale?{query}")).json() == OK
    assert (await read(shopper, "/v1/orders/q"))["products"] == order["products"]


async def test_texts_that_only_look_like_half_an_emoji_are_two_sales(shopper: Shopper) -> None:
    for sale in ("a\\ud800b", "a\\ud801b"):
        await sell(shopper, [5], sale)
    assert [one["sale"] for one in (await read(shopper, "/v1/orders"))["orders"]] == ["a\\ud801b", "a\\ud800b"]


@pytest.mark.parametrize("body", ['{"sale":1,"products":["', '{"sale":1,"products":[5],"x":"\\ud83d', '{"sale":1,"products":["\\ud83d\\'])
async def test_a_body_that_is_no_json_is_malformed(shopper: Shopper, body: str) -> None:
    for filler in ("", '"\\"' * 8_000):
        answer = await shopper.client.post("/v2/log/sale", content=body + filler, headers={"authorization": "Bearer demo-public-key"})
        assert (answer.status_code, answer.json()["error"]) == (400, "The request is not JSON in UTF-8.")


async def test_a_thousand_lines_are_kept(shopper: Shopper) -> None:
    order = await sell(shopper, list(range(1_001)))
    assert [line["id"] for line in order["products"]] == list(range(1_000))
    assert await named(shopper) == ["products[1000]"]


async def test_at_most_twenty_arguments_are_named(shopper: Shopper) -> None:
    await sell(shopper, [None] * 30)
    assert await named(shopper) == [f"products[{at}]" for at in range(20)]


async def test_lines_that_take_away_count_in_the_order_and_give_no_label_revenue(shopper: Shopper) -> None:
    for product in (5, 6, 7, 8):
        await shopper.post("/v2/log/click", {"product": product, "labels": [f"L{product}"], "visitor": "v"})
    lines = [{"id": 5, "price": 10}, {"id": 5, "price": -4}, {"id": 6, "price": -3}, {"id": 7, "price": 2, "quantity": -1}]
    order = await sell(shopper, [*lines, {"id": 8, "price": 100, "quantity": 0}], visitor="v")
    assert (order["revenue"], order["labels"]) == ("1", ["L5"])
    told = await read(shopper, "/v1/labels")
    revenues = {one["label"]: (one["orders"], one["revenue"]) for one in told["labels"]}
    assert revenues == {"L5": (1, "10"), "L6": (0, "0"), "L7": (0, "0"), "L8": (0, "0")}
    assert (told["attributed_orders"], told["attributed_revenue"]) == (1, "1")


async def test_an_order_of_nothing_but_returns_is_below_zero_everywhere(shopper: Shopper) -> None:
    await shopper.post("/v2/log/click", {"product": 5, "labels": HOME, "visitor": "v"})
    order = await sell(shopper, [{"id": 5, "price": "-0.25"}], visitor="v")
    assert (order["revenue"], order["attributed"]) == ("-0.25", False)
    assert (await read(shopper, "/v1/orders/1/attribution"))["broken"] == Break.OTHER_PRODUCT
    assert (await read(shopper, "/v1/labels"))["other_revenue"] == "-0.25"


async def test_a_similar_visitor_is_none_for_a_line_without_a_product(shopper: Shopper) -> None:
    await shopper.post("/v2/log/click", {"product": "None", "labels": HOME, "visitor": "guest-1"})
    await sell(shopper, [{"id": None}, {"id": 7}], visitor="guest-2")
    assert (await read(shopper, "/v1/orders/1/attribution"))["broken"] == Break.NO_CLICK


async def test_counters_stop_at_both_ends(application: Application, shopper: Shopper) -> None:
    """An hour's revenue below zero never becomes the highest."""
    services, demo = application.services, ShopId("demo")
    [shop] = [one for one in services.shops if one.shop_id == demo]
    for amount, expected in (
        (-(10**30), -MOST_COUNTED),
        (-5, -MOST_COUNTED),
        (10, 10 - MOST_COUNTED),
        (10**30, 10),
        (10**30, MOST_COUNTED),
    ):
        services.counters.count_sale(demo, services.links.now() // 1000, Amounts(Decimal(amount) / 10**6, {}), [], private=True)
        assert (await services.figures.totals(shop, 3600))["revenue_all all"] == expected
        assert Decimal((await read(shopper, "/v1/labels"))["other_revenue"]) == Decimal(expected) / 10**6


EMAILS: list[tuple[Any, list[str]]] = [
    (None, []),
    (False, []),
    ("", []),
    ([], []),
    (0, []),
    (0.0, []),
    ("guest", ["email"]),
    ("no email", ["email"]),
    (7, ["email"]),
    (True, ["email"]),
    ({"a": EMAIL}, ["email"]),
    ([EMAIL], ["email"]),
]


@pytest.mark.parametrize(("email", "unread"), EMAILS)
@pytest.mark.parametrize("call", ["log/sale", "log/email", "log/basket/set"])
async def test_an_unusable_email_costs_nothing(shopper: Shopper, database: redis.Redis, call: str, email: Any, unread: list[str]) -> None:
    assert (await shopper.post(f"/v2/{call}", {"sale": 1, "products": [5], "visitor": "v", "email": email})).json() == OK
    assert await named(shopper) == unread
    assert list(database.scan_iter("id:v2:{*}:E:*")) == []


@pytest.mark.parametrize(
    ("customer", "digested", "unread"),
    [
        (12.0, "12", []),
        (12, "12", []),
        (" 12 ", "12", []),
        (None, None, []),
        (False, None, []),
        ("", None, []),
        ([], None, []),
        (0, None, ["customer"]),
        (1.5, None, ["customer"]),
        ("guest", None, ["customer"]),
        (True, None, ["customer"]),
        ({}, None, ["customer"]),
    ],
)
async def test_a_customer_is_a_text_or_a_whole_number(
    shopper: Shopper, database: redis.Redis, customer: Any, digested: str | None, unread: list[str]
) -> None:
    await sell(shopper, [5], visitor="v", customer=customer)
    assert await named(shopper) == unread
    if digested is None:
        assert list(database.scan_iter("id:v2:{*}:E:*")) == []
    else:
        assert [one["visitor"] for one in await shopper.visitors(customer=digested)] == ["v"]


@pytest.mark.parametrize("customer", [700700, 700700.0, "700700"])
async def test_links_take_a_customer_by_number(shopper: Shopper, customer: Any) -> None:
    assert (await shopper.post("/v1/links", {"customer": customer, "visitor": "v"})).json()["linked"] is True
    for call in ("lookups", "exports"):
        assert len((await shopper.post(f"/v1/{call}", {"customer": customer})).json()["visitors"]) == 1
    assert (await shopper.post("/v1/unlinks", {"customer": customer, "visitor": "v"})).json()["unlinked"] is True
    assert (await shopper.post("/v1/erasures", {"customer": customer})).status_code == 200


@pytest.mark.parametrize("customer", [0, 1.5, True, 2.0**53, "", []])
async def test_links_take_no_customer_that_is_no_number(shopper: Shopper, customer: Any) -> None:
    for call in ("links", "unlinks", "lookups", "exports", "erasures"):
        body = {"customer": customer} | ({"visitor": "v"} if "link" in call else {})
        assert (await shopper.post(f"/v1/{call}", body)).json()["code"] == "invalid"


NOBODY = ["undefined", "null", "None", "NaN", "false", "", " ", "auth0|1", "x" * 65, 0, -1, False, True, [], ["v"], {}, 1.5, TOKEN]
CALLS: dict[str, dict[str, Any]] = {
    "click": {"product": 5, "labels": HOME},
    "email": {"email": EMAIL},
    "results": {"products": [5], "labels": HOME},
    "product": {"product": 5},
    "category": {"category": "shoes"},
    "search": {"query": "shoes"},
    "basket/set": {"products": [5]},
    "cart/add": {"products": [{"id": 5, "qty": "2"}]},
    "returned": {"product": 5, "order": 1, "quantity": "1.0000"},
}


@pytest.mark.parametrize("visitor", NOBODY)
async def test_what_can_be_no_visitor_is_recorded_without_a_session(shopper: Shopper, database: redis.Redis, visitor: Any) -> None:
    order = await sell(shopper, [{"id": 5, "price": 3}], visitor=visitor, email=EMAIL)
    assert (order["visitor"], order["mode"], order["revenue"]) == (None, "none", "3")
    assert (await newest(shopper))["mode"] == "none"
    assert await named(shopper) == ["visitor"]
    for call, body in CALLS.items():
        assert (await shopper.post(f"/v2/log/{call}", body | {"visitor": visitor})).json() == OK
        assert await named(shopper) == ["visitor"]
    assert list(database.scan_iter("id:v2:{*}:V:*")) == []
    assert await shopper.visitors(email=EMAIL) == []


@pytest.mark.parametrize("cookie", ["", "visitor-choice=refused"])
async def test_a_device_that_refused_stays_nobodys(shopper: Shopper, cookie: str) -> None:
    for number, visitor in enumerate(["undefined", TOKEN]):
        body = {"sale": number, "products": [5], "visitor": visitor, "email": EMAIL}
        assert (await shopper.browser("/v2/log/sale", body, cookie=cookie)).json() == OK
        assert (await read(shopper, f"/v1/orders/{number}"))["mode"] == ("null" if cookie else "none")
        assert await named(shopper) == ["visitor"]


async def test_a_real_null_stays_null(shopper: Shopper) -> None:
    assert (await sell(shopper, [5], visitor=None, email=EMAIL))["mode"] == "null"
    assert await named(shopper) == []
    for number, (text, mode) in enumerate((("null", "null"), ("undefined", "null"), ("", "null"), ("None", "none"), ("0", "none"))):
        query = urlencode({"key": "demo-public-key", "sale": f"q{number}", "products": "[5]", "visitor": text})
        assert (await shopper.client.get(f"/v2/log/sale?{query}")).json() == OK
        assert (await read(shopper, f"/v1/orders/q{number}"))["mode"] == mode
        assert await named(shopper) == (["visitor"] if mode == "none" else [])


async def test_a_token_of_another_shop_and_an_unsigned_id_name_nobody(environment: dict[str, str], clock: Clock) -> None:
    settings = load("development", environment | {"IDENTITY_SHOPS__DEMO__ACCEPT_UNSIGNED": "false"})
    async with shopping(settings, clock) as shopper:
        token = (await shopper.post("/v1/consents", {"consent": "granted"}, key="other-private-key")).json()["token"]
        own = (await shopper.post("/v1/visitors")).json()
        for number, visitor in enumerate((token, "raw-id")):
            order = await sell(shopper, [5], number, visitor=visitor)
            assert (order["visitor"], order["mode"], await named(shopper)) == (None, "none", ["visitor"])
        assert (await sell(shopper, [5], "own", visitor=own["token"]))["visitor"] == own["visitor"]
        assert (await shopper.post("/v2/log/sale", {"sale": "private", "products": [5], "visitor": "raw-id"})).json() == OK
        assert (await read(shopper, "/v1/orders/private"))["visitor"] == "raw-id"
        await sell(shopper, [5], "typed", visitor=own["token"], clerk_visitor="raw-id")
        assert ((await read(shopper, "/v1/orders/typed"))["visitor"], await named(shopper)) == (own["visitor"], ["clerk_visitor"])


@pytest.mark.parametrize(
    ("typed", "visitor", "unread"),
    [
        ("", "v", []),
        (None, "v", []),
        ("test-1", "test-1", []),
        (7, "7", []),
        ("a b", "v", ["clerk_visitor"]),
        ({}, "v", ["clerk_visitor"]),
        (TOKEN, "v", ["clerk_visitor"]),
        ("undefined", "v", ["clerk_visitor"]),
    ],
)
async def test_an_id_in_the_address_that_cannot_be_read_is_ignored(shopper: Shopper, typed: Any, visitor: str, unread: list[str]) -> None:
    assert (await sell(shopper, [5], visitor="v", clerk_visitor=typed))["visitor"] == visitor
    assert await named(shopper) == unread


@pytest.mark.parametrize("call", ["privacy/info", "privacy/forget", "misc/visitor_id"])
async def test_a_call_for_a_persons_rights_stays_strict(shopper: Shopper, call: str) -> None:
    wrong: list[Any] = [False, [], {}, 1.5, "x" * 121]
    for visitor in wrong:
        answer = await shopper.post(f"/v2/{call}", {"visitor": visitor})
        assert (answer.status_code, answer.json()["error"]) == (400, "Invalid Syntax In Argument: visitor")


@pytest.mark.parametrize(
    ("labels", "kept", "unread"),
    [
        ("Home", HOME, []),
        (["Home", 7, None], HOME, ["labels[1]", "labels[2]"]),
        (7, None, ["labels"]),
        ([LONG] * 21, [LONG], ["labels[20]"]),
        ([f"{LONG}{number}" for number in range(9)], [f"{LONG}{number}" for number in range(4)], ["labels"]),
    ],
)
async def test_labels_are_the_texts_among_them(shopper: Shopper, labels: Any, kept: Any, unread: list[str]) -> None:
    for call, body in (("click", {"product": 5}), ("results", {"products": [5]}), ("search", {"query": "shoes"})):
        answer = await shopper.post(f"/v2/log/{call}", body | {"labels": labels, "visitor": call.replace("/", "-")})
        assert answer.status_code == (400 if call == "results" and kept is None else 200)
        if answer.status_code == 200:
            [event] = (await shopper.post("/v1/events", {"visitor": call})).json()["events"]
            assert (event.get("labels"), await named(shopper)) == (kept, unread)


@pytest.mark.parametrize("call", ["basket/set", "cart/add", "results"])
async def test_a_list_of_products_keeps_those_it_can_read(shopper: Shopper, call: str) -> None:
    products = [{"id": "a", "qty": "3"}, {"id": None, "qty": "x"}, True, {"id": 7.0, "quantity": 0.5}]
    assert (await shopper.post(f"/v2/log/{call}", {"products": products, "labels": "Home", "visitor": "v"})).json() == OK
    [event] = (await shopper.post("/v1/events", {"visitor": "v"})).json()["events"]
    assert event["products"] == ["a", 7]
    assert await named(shopper) == ["products[1].id", "products[1].qty", "products[2]"]


@pytest.mark.parametrize(("quantity", "unread"), [("1.0000", []), (None, []), (-1, []), ("x", ["quantity"]), ([], ["quantity"])])
async def test_a_return_is_logged_whatever_its_quantity(shopper: Shopper, quantity: Any, unread: list[str]) -> None:
    body = {"product": 5.0, "order": 567.0, "quantity": quantity, "visitor": "v"}
    assert (await shopper.post("/v2/log/returned", body)).json() == OK
    [event] = (await shopper.post("/v1/events", {"visitor": "v"})).json()["events"]
    assert (event["products"], event["text"], await named(shopper)) == ([5], "567", unread)


async def test_every_page_shows_an_order_with_lines_of_every_kind(application: Application, shopper: Shopper) -> None:
    lines = [{"id": None, "price": -3}, {"id": 7, "quantity": "0.5", "price": "99,95"}, None]
    await sell(shopper, lines, sale="S-1", visitor="v", email=EMAIL)
    exported = (await shopper.post("/v1/exports", {"visitor": "v"})).json()["orders"]
    assert exported[0]["products"] == [
        {"id": None, "quantity": 1, "price": "-3"},
        {"id": 7, "quantity": "0.5"},
        {"id": None, "quantity": 1},
    ]
    assert (await shopper.post("/v2/privacy/info", {"visitor": "v"})).json()["orders"][0]["products"] == exported[0]["products"]
    async with desk_of(application) as desk:
        await desk.sign_in()
        shown = text_of(await desk.get("orders?sale=S-1"))
        assert "not reported 1 -3" in shown
        assert "7 0.5 unknown" in shown
        assert '<a href="orders?product=7">7</a>' in (await desk.get("orders")).text
        logs = (await desk.get("logs")).text
        assert '<th scope="col">Unread</th>' in logs
        assert "products[0].id, products[1].price, products[2], " not in logs
        assert "products[0].id, products[1].price, products[2]" in logs
        for page in ("overview", "products", "health"):
            await desk.get(page)


def test_a_call_that_was_read_whole_names_nothing() -> None:
    assert "unread" not in LoggedCall("log/sale", "none").entry(1)
    assert json.loads(LoggedCall("log/sale", "none", unread=("email",)).entry(1))["unread"] == ["email"]


NEEDLE = "q7zpersonal"
ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(10**20, 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20).map(lambda text: NEEDLE + text)
    | st.sampled_from(["", "0", "null", "1e9", "-1", "\x00", "NaN", "Infinity", EMAIL, "v", "auto", "persistent", TOKEN]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "0", NEEDLE]), inner, max_size=3),
    max_leaves=5,
)
LINE = st.fixed_dictionaries({}, optional=dict.fromkeys(("id", "quantity", "qty", "price", "name"), ODD))
ORDERS = st.fixed_dictionaries(
    {"products": st.lists(LINE | ODD, min_size=1, max_size=3)},
    optional=dict.fromkeys(("email", "customer", "visitor", "clerk_visitor", "labels", "markup", "currency"), ODD),
)


def test_no_value_of_a_detail_loses_an_order_or_is_in_the_log(environment: dict[str, str]) -> None:
    async def sent(bodies: list[dict[str, Any]]) -> tuple[list[httpx.Response], str, list[Any]]:
        application = Application(load("development", environment))
        await application.services.store.client.run()
        async with httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://service.test") as client:
            headers = {"authorization": "Bearer demo-private-key"}
            answers, orders = [], []
            for number, body in enumerate(bodies):
                sale = f"s-{id(bodies)}-{number}"
                answers.append(await client.post("/v2/log/sale", json=body | {"sale": sale}, headers=headers))
                orders.append((await client.get(f"/v1/orders/{sale}", headers=headers)).json())
                answers.append(await client.post("/v2/log/click", json=body | {"product": 5, "labels": None}, headers=headers))
                assert (await client.post("/v2/log/click", json=body | {"product": 5}, headers=headers)).json() == OK
            log = [one | {"labels": []} for one in (await client.get("/v1/calls", headers=headers)).json()["calls"]]
        await application.services.store.client.close()
        return answers, json.dumps(log), orders

    @given(st.lists(ORDERS, min_size=5, max_size=10))
    @hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
    def check(bodies: list[dict[str, Any]]) -> None:
        answers, log, orders = anyio.run(sent, bodies)
        assert {(answer.status_code, answer.content) for answer in answers} == {(200, b'{"status":"ok"}')}
        assert [len(order["products"]) for order in orders] == [len(body["products"]) for body in bodies]
        assert all(Decimal(order["revenue"]).is_finite() for order in orders)
        assert NEEDLE not in log

    check()


async def test_an_order_of_a_thousand_lines_as_shops_write_them_is_kept_whole(shopper: Shopper) -> None:
    lines = [
        {"id": f"SKU-{number:06}-RED-XL", "quantity": "1.0000", "price": "1234.5600", "name": "A shirt, red, extra large"}
        for number in range(1_000)
    ]
    assert 32_768 < len(json.dumps(lines)) < 131_072
    order = await sell(shopper, lines)
    assert (len(order["products"]), order["revenue"]) == (1_000, "1234560.0000")
    refused = await shopper.post("/v2/log/sale", {"sale": "1", "products": [{"id": 5, "name": "x" * 131_072}]})
    assert (refused.status_code, refused.json()["status"]) == (413, "error")
    refused = await shopper.post("/v2/log/click", {"product": 5, "api": "x" * 32_768})
    assert refused.status_code == 413


async def fill_with_results(shopper: Shopper) -> None:
    """As many as a visitor keeps, each as large as a body can be."""
    labels = [f"{number:02}{LONG}" for number in range(20)]
    products = [f"{number:x>64}" for number in range(100)]
    body = {"products": products, "labels": labels, "api": LONG, "visitor": "one"}
    answers = await asyncio.gather(*(shopper.post("/v2/log/results", body) for _ in range(200)))
    assert {answer.status_code for answer in answers} == {200}


def events_key(database: redis.Redis) -> str:
    [key] = [str(key) for key in database.scan_iter("id:v2:{*}:V:*") if str(key).endswith("events")]
    return key


async def test_what_results_keep_is_bounded(shopper: Shopper, database: redis.Redis) -> None:
    await fill_with_results(shopper)
    kept = [str(one) for one in database.lrange(events_key(database), 0, -1)]
    assert len(kept) == 200
    assert max(map(len, kept)) < MOST_PRODUCT_BYTES + MOST_LABEL_BYTES + 600
    [members] = {one.split(",", 1)[1] for one in kept}
    found = unpacked(f"r1,{members}", {})
    assert len(found.products) > 20
    assert sum(len(json.dumps(product)) + 1 for product in found.products) <= MOST_PRODUCT_BYTES


async def test_results_keep_no_id_that_is_longer_than_64_characters(shopper: Shopper) -> None:
    """What is looked through for every click without labels stays small; such a click has none then."""
    kept, long = "k" * 64, "l" * 65
    await shopper.post("/v2/log/results", {"products": [long, kept, 7], "labels": ["Home"], "visitor": "one"})
    [event] = (await shopper.post("/v1/events", {"visitor": "one"})).json()["events"]
    assert event["products"] == [kept, 7]
    for product, labels in ((kept, ["Home"]), (long, None)):
        await shopper.post("/v2/log/click", {"product": product, "visitor": "one"})
        [event, *_] = (await shopper.post("/v1/events", {"visitor": "one"})).json()["events"]
        assert (event["products"], event.get("labels")) == ([product], labels)


async def test_an_event_of_a_sale_is_bounded_and_the_order_is_whole(shopper: Shopper, database: redis.Redis) -> None:
    order = await sell(shopper, [f"{number:x>100}" for number in range(250)], visitor="one")
    assert len(order["products"]) == 250
    [kept] = database.lrange(events_key(database), 0, -1)
    assert len(kept) < MOST_PRODUCT_BYTES + 600


def decoded_by_script(database: redis.Redis, key: str, product: str) -> int:
    """How many stored events the script of a click decodes, which looks for the results that showed the product."""
    counting = """local real, decoded = cjson, 0
    local cjson = {encode = real.encode, decode = function(text) decoded = decoded + 1 return real.decode(text) end}
    """
    source = (
        script("record_event")
        .source.replace("#!lua\n", f"#!lua\n{counting}")
        .replace("return {'kept', unpack(labels or {})}", "return decoded")
    )
    click = Event(EventType.CLICK, 1, (product,))
    keys = (key.replace("events", "record"), key.replace("events", "gone"), key)
    found = database.eval(source, 3, *keys, packed(click, None), 200, 60, 1, "", "", *looking_for(click))
    assert isinstance(found, int)
    return found


async def test_a_click_looks_through_few_results(shopper: Shopper, database: redis.Redis) -> None:
    await fill_with_results(shopper)
    key = events_key(database)
    assert decoded_by_script(database, key, "nowhere") == 0
    assert decoded_by_script(database, key, "x") == NEWEST_RESULTS
    assert decoded_by_script(database, key, 'with "quotes"') == NEWEST_RESULTS
    assert decoded_by_script(database, key, f"{0:x>64}") == 1
    for _ in range(30):
        await shopper.post("/v2/log/search", {"query": '["results",', "visitor": "one"})
    assert decoded_by_script(database, key, f"{0:x>64}") == 1
    database.delete(key)
    await shopper.post("/v2/log/search", {"query": "shoes", "visitor": "one"})
    assert decoded_by_script(database, key, "nowhere") == 0


async def test_a_click_takes_labels_of_the_newest_results_only(shopper: Shopper) -> None:
    await shopper.post("/v2/log/results", {"products": ["old"], "labels": ["Old"], "visitor": "one"})
    for _ in range(NEWEST_RESULTS - 1):
        await shopper.post("/v2/log/results", {"products": ["new"], "labels": ["New"], "visitor": "one"})
    for labels in (["Old"], None):
        await shopper.post("/v2/log/click", {"product": "old", "visitor": "one"})
        newest_event = (await shopper.post("/v1/events", {"visitor": "one"})).json()["events"][0]
        assert newest_event.get("labels") == labels
        await shopper.post("/v2/log/results", {"products": ["new"], "labels": ["New"], "visitor": "one"})


async def test_a_sale_decodes_clicks_alone(shopper: Shopper, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[str] = []
    await fill_with_results(shopper)
    await shopper.post("/v2/log/click", {"product": f"{0:x>64}", "visitor": "one"})

    def counting(stored: str) -> PackedMembers:
        decoded.append(stored)
        return members_of(stored)

    monkeypatch.setattr(events, "members_of", counting)
    order = await sell(shopper, [f"{0:x>64}"], visitor="one")
    assert order["attributed"]
    assert 1 <= len(decoded) <= 2  # a sale that was decided from what the worker last knew may be decided again


@pytest.mark.parametrize(("replicas", "status"), [(0, 200), (1, 503)])
async def test_what_is_known_to_nobody_is_not_believed_of_a_server_that_nobody_follows(clock: Clock, replicas: int, status: int) -> None:
    """A primary that was cut off knows nothing of a grant that another has taken since: its click would be answered, and lost."""
    with valkey() as url:
        environment = {"IDENTITY_STORE__URL": url, "IDENTITY_STORE__REPLICAS": str(replicas), "IDENTITY_LIMITS__ENABLED": "false"}
        async with shopping(load("development", environment), clock) as shopper:
            click = {"key": "strict-public-key", "product": 1, "visitor": "granted-elsewhere"}
            assert (await shopper.post("/v2/log/click", click, key=None)).status_code == status
            assert (await shopper.post("/v2/log/click", click | {"visitor": None}, key=None)).status_code == 200
