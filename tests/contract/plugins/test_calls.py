"""Oddities of plugins' calls: spellings of lists, script tags, guests, two keys, privacy calls, and what the log of calls has."""

import asyncio
import json
from typing import Any
from urllib.parse import urlencode

import httpx2 as httpx
import pytest
import redis

from identity_service.settings.load import load
from tests.conftest import Clock, Shopper, shopping

pytestmark = pytest.mark.anyio
KEY, PRIVATE = "demo-public-key", "demo-private-key"
AGENT = "Mozilla/5.0 (X11) Gecko/20100101 Firefox/140.0"
PAGE = {"origin": "http://localhost:8080", "referer": "http://localhost:8080/checkout/success", "user-agent": AGENT}
CURL = {"content-type": "application/x-www-form-urlencoded", "accept": "*/*"}
WORDPRESS = {"content-type": "application/x-www-form-urlencoded", "user-agent": "WordPress/6.5; https://shop.example"}
EMAIL = "luke@skywalker.com"
OK = {"status": "ok"}


async def sent(shopper: Shopper, path: str, body: dict[str, Any], headers: dict[str, str]) -> Any:
    """JSON as plugins send it: whatever the header says."""
    answer = await shopper.client.post(f"/v2/{path}", content=json.dumps(body), headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def asked(shopper: Shopper, path: str, query: dict[str, Any] | str, headers: dict[str, str] | None = None) -> httpx.Response:
    text = query if isinstance(query, str) else urlencode(query, doseq=True)
    return await shopper.client.get(f"/v2/{path}?{text}", headers=headers or {"accept": "*/*"})


async def read(shopper: Shopper, path: str) -> Any:
    return (await shopper.client.get(path, headers={"authorization": f"Bearer {PRIVATE}"})).json()


async def events(shopper: Shopper, visitor: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await shopper.post("/v1/events", {"visitor": visitor})).json()["events"]
    return found


def links(database: redis.Redis) -> list[Any]:
    return list(database.scan_iter("id:v2:{*}:E:*"))


async def test_magento_posts_a_basket_without_a_json_content_type(shopper: Shopper, database: redis.Redis) -> None:
    body = {"key": KEY, "products": ["12793", "1546"], "email": EMAIL}
    assert await sent(shopper, "log/basket/set", body, CURL) == OK
    assert await sent(shopper, "log/basket/set", body | {"products": [], "email": None}, CURL) == OK
    assert links(database) == []


async def test_magento_sends_returns_by_get_with_its_private_key(shopper: Shopper, capsys: pytest.CaptureFixture[str]) -> None:
    query = {"key": KEY, "private_key": PRIVATE, "product": "12793", "order": "000000567", "quantity": "1"}
    answer = await asked(shopper, "log/returned", query)
    assert (answer.status_code, answer.json()) == (200, OK)
    assert (
        await asked(shopper, "log/returned", {name: query[name] for name in ("key", "product", "order", "quantity")})
    ).status_code == 401
    calls = json.dumps(await read(shopper, "/v1/calls"))
    written = "".join(capsys.readouterr())
    assert "log/returned" in written
    assert [key for key in (KEY, PRIVATE) if key in written + calls] == []


@pytest.mark.parametrize("headers", [CURL, WORDPRESS | {"user-agent": "ClerkExtensionBot WooCommerce/v8.1 clerk/v4.2 PHP/v8.2"}])
async def test_debug_messages_are_taken_and_not_kept(shopper: Shopper, database: redis.Redis, headers: dict[str, str]) -> None:
    body = {"key": KEY, "source": "WooCommerce", "time": 1_795_000_000, "type": "warn", "message": f"no {EMAIL}", "metadata": {"a": [1]}}
    assert await sent(shopper, "log/debug", body, headers) == OK
    await read(shopper, "/v1/calls")
    assert [key for key in database.scan_iter() if database.type(key) == "list" and EMAIL in str(database.lrange(key, 0, -1))] == []


@pytest.mark.parametrize("email", ["", "null", "undefined", "guest"])
async def test_woocommerces_guests_have_an_empty_email(shopper: Shopper, database: redis.Redis, email: str) -> None:
    for visitor in ("Xy12Ab89", "auto"):
        answer = await asked(shopper, "log/email", {"key": KEY, "email": email, "visitor": visitor}, PAGE)
        assert (answer.status_code, answer.json()) == (200, OK)
    basket = {"key": KEY, "products": [1, 2], "email": email, "visitor": "Xy12Ab89"}
    assert await sent(shopper, "log/basket/set", basket, WORDPRESS) == OK
    assert links(database) == []


async def test_shopware_sends_hexadecimal_ids_and_the_email(shopper: Shopper) -> None:
    product = "0189f1b5c2d07000a8f1c2d3e4f5a6b7"
    query = {"key": KEY, "sale": "10005", "email": EMAIL, "products": json.dumps([{"id": product, "quantity": 1, "price": 495.95}])}
    assert (await asked(shopper, "log/sale", query | {"visitor": "auto"}, PAGE)).json() == OK
    assert (await asked(shopper, "log/email", {"key": KEY, "email": EMAIL, "visitor": "auto"}, PAGE)).json() == OK
    device = (await asked(shopper, "misc/visitor_id", {"key": KEY, "visitor": "auto"}, {"user-agent": AGENT})).json()["visitor"]
    assert [one["visitor"] for one in await shopper.visitors(email=EMAIL)] == [device]


async def test_vtex_sends_product_ids_as_strings_in_a_script_tag(shopper: Shopper) -> None:
    products = json.dumps([{"id": "310118450", "quantity": 1, "price": 8.5}])
    query = {"key": KEY, "sale": "1305371685465-01", "email": EMAIL, "products": products, "visitor": "Xy12Ab89", "callback": "Clerk._cb1"}
    answer = await asked(shopper, "log/sale", query, PAGE)
    assert (answer.status_code, answer.text) == (200, 'Clerk._cb1({"status":"ok"});')
    assert answer.headers["content-type"].startswith("application/javascript")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (await read(shopper, "/v1/orders/1305371685465-01"))["products"] == [{"id": "310118450", "quantity": 1, "price": "8.5"}]


async def test_a_script_tag_is_told_of_errors_with_200(shopper: Shopper) -> None:
    for query, error in (({"key": KEY}, "Missing required argument: sale"), ({"key": "wrong"}, "")):
        answer = await asked(shopper, "log/sale", query | {"callback": "cb"}, PAGE)
        told = json.loads(answer.text.removeprefix("cb(").removesuffix(");"))
        assert (answer.status_code, told["status"]) == (200, "error")
        assert not error or told["error"] == error


@pytest.mark.parametrize("callback", ["alert(1)//", "", "?", "a-b", "a[0]"])
async def test_a_callback_that_is_no_name_is_not_called_and_costs_no_order(shopper: Shopper, callback: str) -> None:
    query = {"key": KEY, "sale": 1, "products": "\n [5]", "callback": callback}
    answer = await asked(shopper, "log/sale", query, PAGE)
    assert (answer.status_code, answer.json()) == (200, OK)
    assert answer.headers["content-type"] == "application/json"


async def test_wix_sends_a_basket_from_the_page(shopper: Shopper) -> None:
    product = "df19c1f7-07d8-a265-42f8-e8dfa824cc6e"
    for products in (json.dumps([product]), "[]"):
        answer = await asked(shopper, "log/basket/set", {"key": KEY, "products": products, "visitor": "Xy12Ab89"}, PAGE)
        assert (answer.status_code, answer.json()) == (200, OK)
    assert [one.get("products") for one in await events(shopper, "Xy12Ab89")] == [None, [product]]


async def test_a_shopify_pixel_posts_json_as_text(shopper: Shopper) -> None:
    headers = PAGE | {"content-type": "text/plain;charset=UTF-8", "sec-fetch-site": "same-origin"}
    line = {"id": 8012345678901, "quantity": 1, "price": 19.99}
    assert await sent(shopper, "log/sale", {"key": KEY, "sale": 5512345678901, "products": [line], "visitor": "auto"}, headers) == OK
    assert (await read(shopper, "/v1/orders/5512345678901"))["mode"] == "cookieless"


async def test_sylius_and_others_verify_a_token(shopper: Shopper) -> None:
    token = (await shopper.post("/v1/visitors")).json()["token"]
    answer = (await asked(shopper, "token/verify", {"token": token, "key": KEY})).json()
    assert (answer["status"], set(answer["token_payload"])) == ("ok", {"visitor", "mode", "issued_at"})
    for wrong in (f"{token}x", "eyJhbGciOiJIUzI1NiJ9.e30.x", ""):
        refused = await asked(shopper, "token/verify", {"token": wrong, "key": KEY})
        assert (refused.status_code >= 400, refused.json()["status"]) == (True, "error")


async def test_the_browser_extension_asks_for_the_visitor(shopper: Shopper) -> None:
    headers = {"origin": "http://localhost:8080", "sec-fetch-mode": "cors", "user-agent": AGENT}
    answer = await asked(shopper, "misc/visitor_id", {"visitor": "auto", "key": KEY}, headers)
    assert answer.is_success
    assert isinstance(answer.json()["visitor"], str)
    assert answer.headers["access-control-allow-origin"] == "http://localhost:8080"


@pytest.mark.parametrize(
    "labels", ["labels[]=Home&labels[]=Top", "labels%5B%5D=Home&labels%5B%5D=Top", "labels=Home&labels=Top", 'labels=["Home","Top"]']
)
async def test_labels_in_a_query_have_three_spellings(shopper: Shopper, labels: str) -> None:
    answer = await asked(
        shopper, "log/click", f"key={KEY}&product=5&visitor=v_1&api=recommendations/popular&n=0&external=false&{labels}", PAGE
    )
    assert (answer.status_code, answer.json()) == (200, OK)
    assert [one["labels"] for one in await events(shopper, "v_1")] == [["Home", "Top"]]


async def test_an_id_that_is_text_in_one_call_and_a_number_in_another_is_one_product(shopper: Shopper) -> None:
    await asked(shopper, "log/click", {"key": KEY, "product": 12793, "visitor": "Xy12Ab89", "labels": '["Home"]'}, PAGE)
    await sent(shopper, "log/sale", {"key": KEY, "sale": 5, "products": [12793], "visitor": "Xy12Ab89"}, CURL)
    assert (await read(shopper, "/v1/orders/5"))["labels"] == ["Home"]


async def test_a_server_that_says_auto_has_no_session(shopper: Shopper, database: redis.Redis) -> None:
    body = {"key": KEY, "product": 5, "visitor": "auto", "labels": ["Home"], "n": 3, "api": "search/search"}
    assert await sent(shopper, "log/click", body, {"content-type": "application/json"}) == OK
    assert list(database.scan_iter("id:v2:{*}:V:*")) == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "product/add"),
        ("GET", 'product/remove?key=demo-public-key&private_key=demo-private-key&products=["12793"]'),
        ("POST", "products"),
        ("POST", "pages"),
        ("DELETE", 'products?key=demo-public-key&private_key=demo-private-key&products=["12"]'),
        ("GET", "recommendations/popular?key=demo-public-key&limit=1&labels[]=Home&visitor=v_1"),
        ("GET", "customers?key=demo-public-key"),
        ("POST", "subscriber/subscribe"),
    ],
)
@pytest.mark.parametrize("version", ["v2", "v3"])
async def test_calls_outside_tracking_are_404_in_clerks_form_and_no_log_has_their_key(
    shopper: Shopper, capsys: pytest.CaptureFixture[str], version: str, method: str, path: str
) -> None:
    body = json.dumps({"key": KEY, "private_key": PRIVATE, "products": [{"id": 1}]}) if method == "POST" else None
    answer = await shopper.client.request(method, f"/{version}/{path}", content=body, headers=CURL)
    told = answer.json()
    assert (answer.status_code, told["status"], told["type"]) == (404, "error", "LogicalError")
    assert set(told) == {"status", "error", "message", "type", "id", "moreInfo"}
    await asyncio.sleep(0)
    written = "".join(capsys.readouterr()) + answer.text
    assert "request" in written
    assert [key for key in (KEY, PRIVATE) if key in written] == []


async def test_row_49_the_query_form_answers_as_the_body_does(shopper: Shopper) -> None:
    answer = await shopper.client.get(f'/v2/log/sale?key={KEY}&sale=567&products=[{{"id":12,"price":99.95}},13]&visitor=test-visitor-1')
    assert (answer.status_code, answer.content) == (200, b'{"status":"ok"}')
    assert [one["id"] for one in (await read(shopper, "/v1/orders/567"))["products"]] == [12, 13]
    for query, error in (("", "Missing required argument: sale"), ("&sale=1&products=[]", "Invalid Syntax In Argument: products")):
        assert (await asked(shopper, "log/sale", f"key={KEY}{query}")).json()["error"] == error


@pytest.mark.parametrize(
    ("wanted", "product", "by_body"),
    [("any", 5, True), ("any", "5", True), ("integer", 5, True), ("integer", "5", False), ("string", 5, False), ("string", "5", True)],
)
async def test_row_42_product_ids_have_the_shops_type(
    environment: dict[str, str], clock: Clock, wanted: str, product: int | str, by_body: bool
) -> None:
    settings = load("development", environment | {"IDENTITY_SHOPS__DEMO__PRODUCT_ID_TYPE": wanted})
    async with shopping(settings, clock) as shopper:
        for call, body, argument in (
            ("sale", {"sale": 1, "products": [{"id": product}]}, "products"),
            ("click", {"product": product}, "product"),
        ):
            told = (await shopper.post(f"/v2/log/{call}", body)).json()
            assert told["status"] == ("ok" if by_body else "error")
            assert by_body or told["error"] == f"Invalid Syntax In Argument: {argument}"
            query = {name: json.dumps(value) if isinstance(value, list) else value for name, value in body.items()}
            assert (await asked(shopper, f"log/{call}", query | {"key": KEY})).json() == OK
        await read(shopper, "/v1/labels")
        [seen] = (await read(shopper, "/v1/products"))["products"]
        assert (seen["product"], seen["type"]) == ("5", "integer" if wanted == "integer" else "string")


@pytest.mark.parametrize("allowed", [False, True])
async def test_a_typed_visitor_is_marked_and_linked_only_where_the_shop_allows_it(
    environment: dict[str, str], clock: Clock, allowed: bool
) -> None:
    settings = load("development", environment | {"IDENTITY_SHOPS__DEMO__LINK_OVERRIDES": str(allowed).lower()})
    async with shopping(settings, clock) as shopper:
        named = {"visitor": "auto", "clerk_visitor": "test-1", "email": EMAIL, "customer": 7, "key": KEY}
        for call, body in (
            ("click", {"product": 5}),
            ("email", {}),
            ("sale", {"sale": 1, "products": [5]}),
            ("basket/set", {"products": [5]}),
        ):
            assert await sent(shopper, f"log/{call}", named | body, PAGE) == OK
        assert {(one["type"], one["override"]) for one in await events(shopper, "test-1")} == {
            ("click", True),
            ("sale", True),
            ("basket", True),
        }
        assert bool(await shopper.visitors(email=EMAIL)) == bool(await shopper.visitors(customer="7")) == allowed


async def test_privacy_calls_show_and_forget_a_person(shopper: Shopper) -> None:
    sale = {"key": KEY, "private_key": PRIVATE, "sale": 1, "products": [5], "email": EMAIL, "visitor": "Xy12Ab89"}
    await sent(shopper, "log/click", {"key": KEY, "product": 5, "visitor": "Xy12Ab89", "labels": ["Home"]}, PAGE)
    await sent(shopper, "log/sale", sale, CURL)
    for named in ({"email": EMAIL}, {"visitor": "Xy12Ab89"}):
        told = (await asked(shopper, "privacy/info", {"key": KEY, "private_key": PRIVATE} | named)).json()
        [order] = told["orders"]
        assert (told["status"], order["sale"]) == ("ok", "1")
        times = [order["time"], order["attribution"][0]["clicked_at"], *(one["time"] for one in told["activity"])]
        assert set(times) == {"2026-11-18T11:06:40Z"}
        assert [(one["type"], one["description"]) for one in told["activity"]] == [("sale", "5, 1"), ("click", "5, Home")]
    token = {"visitor": (await shopper.post("/v1/visitors", {"visitor": "Xy12Ab89"})).json()["token"], "customer": ""}
    assert (await asked(shopper, "privacy/info", {"key": KEY, "private_key": PRIVATE} | token)).json() == told
    assert (await asked(shopper, "privacy/info", {"key": KEY, "email": EMAIL})).status_code == 401
    assert await sent(shopper, "privacy/forget", {"key": KEY, "private_key": PRIVATE, "email": EMAIL}, CURL) == OK
    again = await sent(shopper, "privacy/info", {"key": KEY, "private_key": PRIVATE, "email": EMAIL}, CURL)
    assert (again, await events(shopper, "Xy12Ab89")) == ({"status": "ok", "orders": [], "activity": []}, [])


async def test_a_label_may_begin_like_a_list(shopper: Shopper) -> None:
    for labels in ("[Sale] Homepage", "[Sale] Homepage [2]"):
        query = urlencode({"key": KEY, "product": 5, "visitor": "one", "labels": labels})
        assert (await asked(shopper, "log/click", query)).json() == OK
    assert [one["labels"] for one in await events(shopper, "one")] == [["[Sale] Homepage [2]"], ["[Sale] Homepage"]]
    assert (await asked(shopper, "log/sale", {"key": KEY, "sale": 1, "products": "[5"})).status_code == 400


async def test_calls_about_no_visit_count_too_when_they_succeed(shopper: Shopper) -> None:
    token = (await shopper.post("/v1/visitors", {"visitor": "one"})).json()["token"]
    for _ in range(9):
        assert (await asked(shopper, "token/verify", {"key": KEY, "token": token})).status_code == 200
    assert (await asked(shopper, "token/verify", {"key": KEY, "token": "x"})).status_code == 400
    for call in ("misc/visitor_id", "privacy/info", "privacy/forget"):
        answer = await asked(shopper, call, {"key": KEY, "private_key": PRIVATE} | ({"email": EMAIL} if "privacy" in call else {}))
        assert answer.status_code == 200
    assert (await read(shopper, "/v1/health/tracking"))["error_rate"] == round(1 / 13, 4)
    logged = [(one["call"], one["outcome"]) for one in (await read(shopper, "/v1/calls"))["calls"]]
    verified = [("token/verify", "error"), *[("token/verify", "ok")] * 9]
    assert logged == [("privacy/forget", "ok"), ("privacy/info", "ok"), ("misc/visitor_id", "ok"), *verified]


async def test_whatever_is_refused_with_a_right_key_is_in_the_log(shopper: Shopper) -> None:
    bearer = {"authorization": f"Bearer {KEY}"}
    large = await shopper.client.post("/v2/log/click", content=b" " * 40_000, headers=bearer)
    packed = await shopper.client.post("/v2/log/click", content=b"{}", headers=bearer | {"content-encoding": "gzip"})
    odd = await asked(shopper, "log/click", {"key": KEY, "product": ""})
    wrong = await asked(shopper, "log/click", {"key": KEY, "private_key": "wrong", "product": 1})
    assert [one.status_code for one in (large, packed, odd, wrong)] == [413, 415, 400, 401]
    logged = (await read(shopper, "/v1/calls"))["calls"]
    assert [(one["outcome"], one["error"]) for one in logged] == [("error", one.json()["error"]) for one in (wrong, odd, packed, large)]


async def test_many_good_calls_push_no_failure_out_of_the_log(shopper: Shopper, clock: Clock) -> None:
    assert (await asked(shopper, "log/click", {"key": KEY})).status_code == 400
    for _ in range(2):
        clock.forward(1)
        for _ in range(600):
            await shopper.post("/v2/log/click", {"product": 1}, key=KEY)
        await read(shopper, "/v1/calls")
    logged = (await read(shopper, "/v1/calls"))["calls"]
    assert (len(logged), logged[-1]["outcome"], {one["outcome"] for one in logged[:-1]}) == (1_001, "error", {"ok"})


@pytest.mark.parametrize("call", ["privacy/info", "privacy/forget"])
async def test_privacy_calls_take_one_person_at_a_time(shopper: Shopper, call: str) -> None:
    await sent(shopper, "log/sale", {"key": KEY, "sale": 1, "products": [5], "customer": "FB", "visitor": "one"}, PAGE)
    both = {"key": KEY, "private_key": PRIVATE, "email": EMAIL, "customer": "FB"}
    answer = await asked(shopper, call, both)
    assert (answer.status_code, answer.json()["error"]) == (400, "Invalid Syntax In Argument: customer")
    assert len(await events(shopper, "one")) == 1


@pytest.mark.parametrize("price", ["1e-999", "1e-999999", '"1e-999999"', "0E+999999"])
async def test_a_price_of_a_few_bytes_never_makes_a_huge_answer(shopper: Shopper, price: str) -> None:
    body = f'{{"key":"{KEY}","sale":1,"products":[{{"id":5,"price":{price}}}]}}'
    await shopper.client.post("/v2/log/sale", content=body, headers=CURL)
    assert len(json.dumps(await read(shopper, "/v1/orders"))) < 1_000


@pytest.mark.parametrize("private", ["wrong", "other-private-key", KEY])
async def test_a_wrong_private_key_beside_a_right_public_one_is_in_the_shops_log(shopper: Shopper, private: str) -> None:
    body = {"key": KEY, "private_key": private, "query": "shoes"}
    assert (await shopper.client.post("/v2/log/search", json=body)).status_code == 401
    [entry] = (await read(shopper, "/v1/calls"))["calls"]
    assert (entry["call"], entry["outcome"]) == ("log/search", "error")


async def test_a_head_is_refused_and_stands_in_no_log(shopper: Shopper) -> None:
    """A monitor that calls so makes no shop's tracking look broken."""
    for path, key in (("log/search", KEY), ("privacy/info", KEY), ("log/search", PRIVATE)):
        answer = await shopper.client.head(f"/v2/{path}?query=x", headers={"authorization": f"Bearer {key}"})
        assert answer.status_code == 405
    assert (await read(shopper, "/v1/calls"))["calls"] == []
