"""The numbered behaviours of the seeds that a server can show over HTTP, one row a test; those of stored orders are in `test_orders`."""

import json
import re
from typing import Any

import httpx2 as httpx
import pytest
import redis

from identity_service.model.attribution import ONE_LABEL
from identity_service.settings.load import load
from tests.conftest import Clock, Shopper, shopping
from tests.contract.test_tracking_calls import PRINTED

pytestmark = pytest.mark.anyio
EMAIL = "luke@skywalker.com"
SALE: dict[str, Any] = {"sale": 1, "products": [{"id": 5, "price": 2.5, "quantity": 3}]}
HOME = ["Homepage - Trending"]
OK = (200, b'{"status":"ok"}')


async def get(shopper: Shopper, path: str, key: str = "demo-private-key") -> Any:
    answer = await shopper.client.get(path, headers={"authorization": f"Bearer {key}"})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def log(shopper: Shopper, call: str, body: dict[str, Any]) -> None:
    answer = await shopper.post(f"/v2/log/{call}", body, key="demo-public-key")
    assert (answer.status_code, answer.content) == OK


async def events(shopper: Shopper, visitor: str, key: str = "demo-private-key") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await shopper.post("/v1/events", {"visitor": visitor}, key=key)).json()["events"]
    return found


def kept(database: redis.Redis) -> list[Any]:
    """Keys of visitors and of emails."""
    return list(database.scan_iter("id:v2:{*}:[VE]:*"))


def failed(answer: httpx.Response, status: int, kind: str) -> str:
    told = answer.json()
    assert (answer.status_code, told["status"], told["type"], told["message"]) == (status, "error", kind, told["error"])
    text: str = told["error"]
    return text


async def test_row_01_a_visitor_has_one_id_in_its_session(shopper: Shopper) -> None:
    first, again = [(await shopper.browser("/v1/visitors")).json()["visitor"] for _ in range(2)]
    assert first == again


@pytest.mark.parametrize("visitor", ["646f1f0584371", "abc123", "test-visitor-1"])
async def test_row_02_an_id_of_the_shops_own_is_kept_as_it_is(shopper: Shopper, visitor: str) -> None:
    await log(shopper, "sale", SALE | {"visitor": visitor})
    assert (await get(shopper, "/v1/orders/1"))["visitor"] == visitor


async def test_row_03_an_id_is_unique_within_its_shop_only(shopper: Shopper) -> None:
    await log(shopper, "click", {"product": 5, "visitor": "one"})
    await shopper.post("/v2/log/click", {"product": 6, "visitor": "one"}, key="other-public-key")
    assert [one["products"] for one in await events(shopper, "one")] == [[5]]
    assert [one["products"] for one in await events(shopper, "one", "other-private-key")] == [[6]]


@pytest.mark.parametrize(
    ("call", "body"), [("click", {"product": 5}), ("product", {"product": 5}), ("category", {"category": 7}), ("search", {"query": "shoe"})]
)
async def test_row_04_activity_without_a_visitor_is_no_error_and_no_profile(
    shopper: Shopper, database: redis.Redis, call: str, body: dict[str, Any]
) -> None:
    await log(shopper, call, body)
    assert kept(database) == []


async def test_row_05_a_device_that_says_nothing_is_cookieless_without_a_cookie(shopper: Shopper) -> None:
    answer = await shopper.browser("/v1/visitors")
    assert (answer.json()["mode"], "set-cookie" in answer.headers) == ("cookieless", False)


async def test_row_06_a_cookie_comes_with_consent_only(shopper: Shopper) -> None:
    for said in ({}, {"consent": "unknown"}, {"visitor": "auto", "consent": "granted"}):
        assert "visitor=" not in (await shopper.browser("/v1/visitors", said)).headers.get("set-cookie", "").replace("visitor=;", "")
    for said in ({"consent": "granted"}, {"visitor": "persistent"}):
        granted = await shopper.browser("/v1/visitors", said)
        assert granted.json()["mode"] == "persistent"
        assert re.search(f"={re.escape(granted.json()['token'])};.*max-age=[0-9]{{7,}}", granted.headers["set-cookie"], re.IGNORECASE)


async def test_row_07_null_issues_and_stores_no_id(shopper: Shopper, database: redis.Redis) -> None:
    answer = (await shopper.browser("/v1/visitors", {"visitor": None})).json()
    assert (answer["visitor"], answer["mode"], answer["token"]) == (None, "null", None)
    assert kept(database) == []


async def test_row_08_null_calls_are_processed_and_written_against_nobody(shopper: Shopper, database: redis.Redis) -> None:
    calls: dict[str, dict[str, Any]] = {
        "sale": SALE | {"email": EMAIL, "customer": 7},
        "click": {"product": 5, "labels": HOME},
        "results": {"products": [5], "labels": HOME},
        "product": {"product": 5},
        "category": {"category": "shoes"},
        "search": {"query": "red"},
        "basket/set": {"products": [5], "email": EMAIL},
        "email": {"email": EMAIL},
    }
    for call, body in calls.items():
        await log(shopper, call, body | {"visitor": None})
    assert kept(database) == []


@pytest.mark.parametrize(("sent", "mode"), [("", "none"), ("&visitor=null", "null"), ("&visitor=undefined", "null"), ("&visitor=", "null")])
async def test_row_09_absent_and_null_differ(shopper: Shopper, sent: str, mode: str) -> None:
    answer = await shopper.client.get(f"/v2/log/sale?key=demo-public-key&sale=1&products=[5]{sent}")
    assert (answer.status_code, answer.content) == OK
    body: dict[str, Any] = SALE | {"sale": 2} | ({"visitor": None} if mode == "null" else {})
    await log(shopper, "sale", body)
    assert [one["mode"] for one in (await get(shopper, "/v1/orders"))["orders"]] == [mode, mode]


async def test_row_10_a_refusal_turns_tracking_off_from_that_moment(shopper: Shopper) -> None:
    token = (await shopper.post("/v1/consents", {"consent": "granted"})).json()["token"]
    await log(shopper, "sale", SALE | {"visitor": token})
    await shopper.post("/v1/consents", {"token": token, "consent": "refused"})
    await log(shopper, "sale", SALE | {"sale": 2, "visitor": token, "email": EMAIL})
    after = await get(shopper, "/v1/orders/2")
    assert (after["visitor"], after["mode"], await shopper.visitors(email=EMAIL)) == (None, "null", [])


@pytest.mark.parametrize("other", ["ABC123", "abc1234", "abc12", "abc-123"])
async def test_row_13_ids_compare_exactly(shopper: Shopper, other: str) -> None:
    await log(shopper, "click", {"product": 5, "labels": HOME, "visitor": "abc123"})
    await log(shopper, "sale", SALE | {"visitor": other})
    order = await get(shopper, "/v1/orders/1")
    assert (order["visitor"], order["attributed"]) == (other, False)
    assert (await get(shopper, "/v1/orders/1/attribution"))["broken"] == "similar_visitor"


async def test_row_13_an_id_is_never_trimmed(shopper: Shopper) -> None:
    await log(shopper, "click", {"product": 5, "visitor": " abc123"})
    assert await events(shopper, "abc123") == []
    assert (await get(shopper, "/v1/calls"))["calls"][0]["unread"] == ["visitor"]


async def test_row_16_what_a_visitor_did_can_be_read(shopper: Shopper) -> None:
    for call, body in (("product", {"product": 5}), ("search", {"query": "red shoe"}), ("category", {"category": "shoes"})):
        await log(shopper, call, body | {"visitor": "one"})
    await log(shopper, "click", {"product": "A-1", "visitor": "one"})
    told = [(one["type"], one.get("products"), one.get("text")) for one in await events(shopper, "one")]
    assert told == [("click", ["A-1"], None), ("category", None, "shoes"), ("search", None, "red shoe"), ("product", [5], None)]


async def test_row_17_activity_is_never_shared_across_shops(shopper: Shopper) -> None:
    await log(shopper, "sale", SALE | {"visitor": "one", "email": EMAIL})
    assert await events(shopper, "one", "other-private-key") == []
    assert (await get(shopper, "/v1/orders", "other-private-key"))["orders"] == []
    assert (await shopper.post("/v1/lookups", {"email": EMAIL}, key="other-private-key")).json() == {"visitors": []}


async def test_row_18_impacted_orders_are_told_from_the_others(shopper: Shopper) -> None:
    await log(shopper, "click", {"product": 5, "labels": HOME, "visitor": "one"})
    await log(shopper, "sale", SALE | {"visitor": "one"})
    await log(shopper, "sale", SALE | {"sale": 2, "visitor": "two"})
    assert [(await get(shopper, f"/v1/orders/{sale}"))["attributed"] for sale in (1, 2)] == [True, False]
    told = await get(shopper, "/v1/labels")
    assert (told["attributed_orders"], told["other_orders"]) == (1, 1)


@pytest.mark.parametrize(("call", "body"), [("email", {}), ("sale", SALE)])
async def test_row_19_an_email_written_or_sent_with_an_order_is_attached(shopper: Shopper, call: str, body: dict[str, Any]) -> None:
    await log(shopper, call, body | {"visitor": "one", "email": EMAIL})
    assert [(one["visitor"], one["source"]) for one in await shopper.visitors(email=EMAIL)] == [("one", call)]


async def test_row_20_one_email_holds_many_visitors_each_once(shopper: Shopper) -> None:
    for visitor in ("one", "two", "one", "three"):
        await log(shopper, "email", {"visitor": visitor, "email": EMAIL})
    assert sorted(one["visitor"] for one in await shopper.visitors(email=EMAIL)) == ["one", "three", "two"]


async def test_row_21_the_ids_of_an_email_are_visible_with_the_private_key(shopper: Shopper) -> None:
    await log(shopper, "email", {"visitor": "one", "email": EMAIL})
    [found] = await shopper.visitors(email=EMAIL)
    assert found["first_seen"] == found["last_seen"] == "2026-11-18T11:06:40Z"
    assert (await shopper.post("/v1/lookups", {"email": EMAIL}, key="demo-public-key")).status_code == 403


@pytest.mark.parametrize("named", [{}, {"email": EMAIL}, {"customer": 1234}, {"email": EMAIL, "customer": "1234"}])
async def test_row_22_email_and_customer_are_optional_and_indexed(shopper: Shopper, named: dict[str, Any]) -> None:
    await log(shopper, "sale", SALE | {"visitor": "one"} | named)
    for name, value in named.items():
        assert [one["visitor"] for one in await shopper.visitors(**{name: str(value)})] == ["one"]
    assert (await get(shopper, "/v1/orders/1"))["visitor"] == "one"


async def test_row_23_a_null_visitors_order_is_stored_without_a_link(shopper: Shopper) -> None:
    await log(shopper, "sale", SALE | {"visitor": None, "email": EMAIL, "customer": 9})
    assert (await get(shopper, "/v1/orders/1"))["visitor"] is None
    assert await shopper.visitors(email=EMAIL) == await shopper.visitors(customer="9") == []
    assert (await shopper.post("/v1/exports", {"email": EMAIL})).json() == {"visitors": [], "unproven": [], "orders": []}


async def test_row_24_the_same_email_in_two_shops_is_two_sets(shopper: Shopper) -> None:
    await log(shopper, "email", {"visitor": "one", "email": EMAIL})
    await shopper.post("/v2/log/email", {"visitor": "two", "email": EMAIL}, key="other-public-key")
    assert [one["visitor"] for one in await shopper.visitors(email=EMAIL)] == ["one"]


@pytest.mark.parametrize("labels", [[], [" "], " ", None, [7]])
async def test_row_25_results_carry_a_label(shopper: Shopper, labels: Any) -> None:
    answer = await shopper.post("/v2/log/results", {"products": [5], "visitor": "one", "labels": labels})
    assert failed(answer, 400, "ParsingError") == "Invalid Syntax In Argument: labels"
    missing = await shopper.post("/v2/log/results", {"products": [5], "visitor": "one"})
    assert failed(missing, 400, "ParsingError") == "Missing required argument: labels"
    await log(shopper, "results", {"products": [5], "visitor": "one", "labels": ["Homepage - Trending", "Search - Predictive"]})


async def test_row_26_one_label_everywhere_is_hinted_at(shopper: Shopper) -> None:
    for _ in range(10):
        await log(shopper, "click", {"product": 5, "labels": HOME, "visitor": "one"})
    await log(shopper, "sale", SALE | {"visitor": "one"})
    assert (await get(shopper, "/v1/orders/1/attribution"))["hint"] == ONE_LABEL
    await log(shopper, "click", {"product": 5, "labels": ["Search - Predictive"], "visitor": "one"})
    assert (await get(shopper, "/v1/orders/1/attribution"))["hint"] is None


@pytest.mark.parametrize(("labels", "broken"), [(None, "no_labels"), ([], "blank_labels"), ([" ", ""], "blank_labels")])
async def test_row_27_without_labels_all_is_recorded_and_nothing_attributed(shopper: Shopper, labels: Any, broken: str) -> None:
    await log(shopper, "click", {"product": 5, "visitor": "one", "labels": labels})
    await log(shopper, "sale", SALE | {"visitor": "one"})
    assert [one["type"] for one in await events(shopper, "one")] == ["sale", "click"]
    assert (await get(shopper, "/v1/orders/1"))["attributed"] is False
    assert (await get(shopper, "/v1/orders/1/attribution"))["broken"] == broken


async def test_row_28_the_sale_is_traced_to_the_clicks_label(shopper: Shopper) -> None:
    await log(shopper, "click", {"product": 5, "labels": HOME, "visitor": "one"})
    await log(shopper, "click", {"product": 6, "labels": ["Search - Predictive"], "visitor": "one"})
    await log(shopper, "sale", SALE | {"visitor": "one"})
    order = await get(shopper, "/v1/orders/1")
    assert order["labels"] == HOME
    assert [(one["product"], one["labels"]) for one in order["attribution"]] == [(5, HOME)]


async def test_row_29_a_click_as_the_page_prints_it(shopper: Shopper) -> None:
    body = {"key": "demo-public-key", "labels": HOME, "api": "recommendations/trending", "visitor": "646f1f0584371", "product": 12793}
    answer = await shopper.client.post("/v2/log/click", json=body, headers={"accept": "application/json"})
    assert (answer.status_code, answer.content) == OK
    [click] = await events(shopper, "646f1f0584371")
    assert (click["products"], click["labels"], click["api"]) == ([12793], HOME, "recommendations/trending")
    del body["product"]
    assert failed(await shopper.client.post("/v2/log/click", json=body), 400, "ParsingError") == "Missing required argument: product"


@pytest.mark.parametrize(("shown", "clicked"), [(5, 5), ("5", 5), (5, "5"), ("SKU-1", "SKU-1"), (2**53 + 1, 2**53 + 1)])
async def test_row_30_a_bare_click_is_traced_to_the_last_call_that_showed_the_product(
    shopper: Shopper, clock: Clock, shown: Any, clicked: Any
) -> None:
    for label, products in (("First", [shown]), ("Second", [1, shown]), ("Third", [1, 2])):
        await log(shopper, "results", {"labels": [label], "products": products, "api": f"api/{label}", "visitor": "one"})
        clock.forward(1)
    await log(shopper, "results", {"labels": ["Another's"], "products": [shown], "visitor": "two"})
    await log(shopper, "click", {"product": clicked, "visitor": "one"})
    click = (await events(shopper, "one"))[0]
    assert (click["labels"], click["api"], click["backtracked"]) == (["Second"], "api/Second", True)
    await log(shopper, "sale", {"sale": 1, "products": [clicked], "visitor": "one"})
    assert (await get(shopper, "/v1/orders/1"))["labels"] == ["Second"]


async def test_row_31_a_click_that_no_element_showed_is_recorded_without_a_label(shopper: Shopper) -> None:
    await log(shopper, "results", {"labels": HOME, "products": [6], "visitor": "one"})
    await log(shopper, "click", {"product": 5, "visitor": "one"})
    click = (await events(shopper, "one"))[0]
    assert ("labels" in click, "backtracked" in click) == (False, False)
    assert (await get(shopper, "/v1/health/tracking"))["without_labels"] == 1.0


async def test_row_33_the_printed_calls_work_unchanged(shopper: Shopper) -> None:
    for body in PRINTED:
        answer = await shopper.client.post("/v2/log/sale", content=body, headers={"content-type": "application/json"})
        assert (answer.status_code, answer.content) == OK
    first, second = await get(shopper, "/v1/orders/567"), await get(shopper, "/v1/orders/999")
    assert (first["visitor"], first["revenue"], [one["id"] for one in first["products"]]) == ("abc123", "213.90", [12793, 1546])
    assert (second["visitor"], second["revenue"]) == ("test-visitor-1", "99.95")
    assert [one["visitor"] for one in await shopper.visitors(customer="1234")] == ["abc123"]


@pytest.mark.parametrize(
    ("left_out", "status", "kind"), [("key", 401, "AuthenticationError"), ("sale", 400, "ParsingError"), ("products", 400, "ParsingError")]
)
async def test_row_34_key_sale_and_products_are_required(shopper: Shopper, left_out: str, status: int, kind: str) -> None:
    body = {name: value for name, value in (SALE | {"key": "demo-public-key"}).items() if name != left_out}
    assert failed(await shopper.post("/v2/log/sale", body, key=None), status, kind) == f"Missing required argument: {left_out}"
    empty = await shopper.post("/v2/log/sale", {"sale": 1, "products": []})
    assert failed(empty, 400, "ParsingError") == "Invalid Syntax In Argument: products"


async def test_row_35_the_success_body_has_one_member(shopper: Shopper) -> None:
    assert (await shopper.post("/v2/log/sale", SALE)).json() == {"status": "ok"}


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[1]", b"x" * 40_000, b"[" * 1_000])
async def test_row_36_there_is_always_an_answer(shopper: Shopper, method: str, body: bytes) -> None:
    answer = await shopper.client.request(method, "/v2/log/sale", content=body, headers={"authorization": "Bearer demo-public-key"})
    assert (answer.json()["status"], bool(answer.json()["error"])) == ("error", True)
    assert answer.status_code in {400, 405, 413}


async def test_row_36_the_lost_store_is_answered_too(environment: dict[str, str], clock: Clock) -> None:
    lost = load("development", environment | {"IDENTITY_STORE__URL": "redis://127.0.0.1:1"})
    async with shopping(lost, clock) as shopper:
        answer = await shopper.post("/v2/log/sale", SALE | {"visitor": "one"})
    failed(answer, 503, "InternalError")


async def test_row_38_the_failure_body_holds_the_printed_members(shopper: Shopper) -> None:
    told = (await shopper.post("/v2/log/sale", {"products": [5]})).json()
    assert told.items() >= {"status": "error", "error": "Missing required argument: sale"}.items()
    assert set(told) == {"status", "error", "message", "type", "id", "moreInfo"}


@pytest.mark.parametrize("body", ["{}", '{"sale": null}', '{"products": "x"}', "{"])
async def test_row_39_a_wrong_key_is_answered_first(shopper: Shopper, body: str) -> None:
    answer = await shopper.client.post("/v2/log/sale", content=body, headers={"authorization": "Bearer wrong"})
    failed(answer, 401, "AuthenticationError")


@pytest.mark.parametrize("query", ["", "&sale=1&products=[{", "&sale=1&products=[]", "&callback=cb"])
async def test_row_39_a_wrong_key_is_answered_first_in_a_query(shopper: Shopper, query: str) -> None:
    answer = await shopper.client.get(f"/v2/log/sale?key=wrong{query}")
    assert '"AuthenticationError"' in answer.text


@pytest.mark.parametrize("products", ['[{"id":"123"}]', "[]", "123", json.dumps(json.dumps([5]))])
async def test_row_43_double_encoded_products_are_not_parsed_in_a_body(shopper: Shopper, products: str) -> None:
    answer = await shopper.post("/v2/log/sale", {"sale": 1, "products": products})
    assert failed(answer, 400, "ParsingError") == "Invalid Syntax In Argument: products"
