"""Tracking calls in Clerk's wire format: the seeds' texts and rows."""

from typing import Any

import pytest
import redis

from identity_service.settings.load import load
from tests.conftest import Clock, Shopper, shopping
from tests.stores import sale_at

pytestmark = pytest.mark.anyio
FIRST = """{
"key": "demo-public-key",
"sale": 567,
"products": [
{"id": 12793, "price": 99.95, "quantity": 2},
{"id": 1546, "price": 14.00, "quantity": 1}
],
"email": "luke@skywalker.com",
"customer": 1234,
"visitor": "abc123"
}"""
SECOND = """{
"key": "demo-public-key",
"sale": 999,
"products": [{"id": 12793, "price": 99.95, "quantity": 1}],
"visitor": "test-visitor-1"
}"""
SALE: dict[str, Any] = {"sale": 1, "products": [{"id": 5, "price": 2.5, "quantity": 3}]}


@pytest.mark.parametrize("content_type", ["application/json", "application/x-www-form-urlencoded", "text/plain"])
@pytest.mark.parametrize("body", [FIRST, SECOND])
@pytest.mark.parametrize("version", ["v2", "v3"])
async def test_the_seeds_calls_work_as_printed(shopper: Shopper, version: str, body: str, content_type: str) -> None:
    answer = await shopper.client.post(f"/{version}/log/sale", content=body, headers={"content-type": content_type})
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def orders(shopper: Shopper, visitor: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await shopper.post("/v1/exports", {"visitor": visitor})).json()["orders"]
    return found


async def test_the_first_of_a_sale_id_wins(shopper: Shopper) -> None:
    await shopper.post("/v2/log/sale", SALE | {"visitor": "one", "email": "a@example.com"})
    again = await shopper.post("/v2/log/sale", SALE | {"visitor": "two", "email": "b@example.com", "products": [9]})
    assert again.json() == {"status": "ok"}
    assert [order["products"][0]["id"] for order in await orders(shopper, "one")] == [5]
    assert await shopper.visitors(email="b@example.com") == []


async def test_a_sale_links_its_email_and_customer(shopper: Shopper) -> None:
    await shopper.post("/v2/log/sale", SALE | {"visitor": "one", "email": "a@example.com", "customer": 12}, key="demo-public-key")
    [by_email] = await shopper.visitors(email="a@example.com")
    [by_customer] = await shopper.visitors(customer="12")
    assert by_email["visitor"] == by_customer["visitor"] == "one"
    assert (by_email["source"], by_email["verified"]) == ("sale", False)


async def test_null_keeps_what_was_bought_and_nothing_else(shopper: Shopper, database: redis.Redis) -> None:
    sent = SALE | {"visitor": None, "email": "a@example.com", "customer": 12}
    assert (await shopper.post("/v2/log/sale", sent)).json() == {"status": "ok"}
    assert await shopper.visitors(email="a@example.com") == []
    kinds = {str(key).split(":")[3] for key in database.scan_iter()}
    assert kinds == {"S", "orders"}
    [key] = list(database.scan_iter("id:v2:{*}:S:*"))
    assert set(sale_at(database, key)) == {"sale", "time", "products", "revenue", "mode", "missing", "verified"}


async def test_absent_is_not_null_the_order_keeps_its_email_without_a_session(shopper: Shopper) -> None:
    await shopper.post("/v2/log/sale", SALE | {"email": "a@example.com"})
    assert await shopper.visitors(email="a@example.com") == []
    assert [order["sale"] for order in (await shopper.post("/v1/exports", {"email": "a@example.com"})).json()["orders"]] == ["1"]


async def test_an_email_call_links_and_a_guests_empty_one_does_not(shopper: Shopper) -> None:
    for email in ("", "null", "guest", "a@example.com"):
        assert (await shopper.post("/v2/log/email", {"email": email, "visitor": "one"})).json() == {"status": "ok"}
    [found] = await shopper.visitors(visitor="one")
    assert len(found["emails"]) == 1
    assert found["source"] == "email"


async def test_tokens_are_taken_and_dead_ones_record_nothing(shopper: Shopper) -> None:
    issued = (await shopper.post("/v1/consents", {"consent": "granted"})).json()
    await shopper.post("/v2/log/click", {"product": 5, "visitor": issued["token"], "labels": ["Home", " "], "api": "search"})
    [visitor] = (await shopper.post("/v1/exports", {"visitor": issued["visitor"]})).json()["visitors"]
    assert visitor["events"][0] | {"time": 0} == {"type": "click", "time": 0, "products": [5], "labels": ["Home"], "api": "search"}
    await shopper.post("/v1/visitors", {"token": issued["token"], "consent": "refused"})
    assert (await shopper.post("/v2/log/click", {"product": 5, "visitor": issued["token"]})).json() == {"status": "ok"}
    assert (await shopper.post("/v1/exports", {"visitor": issued["visitor"]})).json()["visitors"] == []


async def test_auto_derives_only_for_the_device_itself(shopper: Shopper) -> None:
    await shopper.browser("/v2/log/click", {"product": 5, "visitor": "auto"})
    device = await shopper.client.get(
        "/v2/misc/visitor_id?key=demo-public-key&visitor=auto", headers={"user-agent": "Mozilla/5.0 (X11) Gecko/20100101 Firefox/140.0"}
    )
    assert device.json()["status"] == "ok"
    [visitor] = (await shopper.post("/v1/exports", {"visitor": device.json()["visitor"]})).json()["visitors"]
    assert len(visitor["events"]) == 1
    await shopper.post("/v2/log/sale", SALE | {"visitor": "auto", "email": "a@example.com"})
    assert await shopper.visitors(email="a@example.com") == []


@pytest.mark.parametrize(
    ("path", "body", "error"),
    [
        ("/v2/log/sale", {"products": [1]}, "Missing required argument: sale"),
        ("/v2/log/sale", {"sale": 1}, "Missing required argument: products"),
        ("/v2/log/sale", {"sale": 1, "products": []}, "Invalid Syntax In Argument: products"),
        ("/v2/log/sale", {"sale": 1, "products": '[{"id":"123"}]'}, "Invalid Syntax In Argument: products"),
        ("/v2/log/sale", {"sale": None, "products": [1]}, "Invalid Syntax In Argument: sale"),
        ("/v2/log/click", {}, "Missing required argument: product"),
        ("/v2/log/email", {"visitor": "one"}, "Missing required argument: email"),
    ],
)
async def test_errors_name_the_argument_in_both_members(shopper: Shopper, path: str, body: dict[str, Any], error: str) -> None:
    answer = await shopper.post(path, body)
    told = answer.json()
    assert answer.status_code == 400
    assert (told["status"], told["error"], told["message"], told["type"]) == ("error", error, error, "ParsingError")
    assert set(told) == {"status", "error", "message", "type", "id", "moreInfo"}


async def test_the_wrong_key_is_answered_first(shopper: Shopper) -> None:
    answer = await shopper.post("/v2/log/sale", {"key": "wrong"}, key=None)
    assert (answer.status_code, answer.json()["type"]) == (401, "AuthenticationError")


async def test_calls_outside_this_service_are_404_in_the_same_form(shopper: Shopper) -> None:
    answer = await shopper.client.get("/v2/recommendations/popular")
    assert (answer.status_code, answer.json()["status"]) == (404, "error")
    assert "does not have this call" in answer.json()["error"]


async def test_an_unsigned_visitor_names_nobody_where_the_shop_says_so(environment: dict[str, str], clock: Clock) -> None:
    settings = load("development", environment | {"IDENTITY_SHOPS__DEMO__ACCEPT_UNSIGNED": "false"})
    async with shopping(settings, clock) as shopper:
        sent = SALE | {"visitor": "raw", "email": "a@example.com"}
        assert (await shopper.post("/v2/log/sale", sent, key="demo-public-key")).json() == {"status": "ok"}
        assert [(order["sale"], "visitor" in order) for order in await orders_of_email(shopper)] == [("1", False)]
        assert await shopper.visitors(email="a@example.com") == []


async def orders_of_email(shopper: Shopper) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await shopper.post("/v1/exports", {"email": "a@example.com"})).json()["orders"]
    return found
