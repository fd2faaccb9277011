"""Tracking calls, row by row: whom they are about, what they keep, and how they fail. The seeds' own calls are read from the seeds."""

import json
from typing import Any

import httpx2 as httpx
import pytest
import redis

from tests.conftest import Clock, Shopper

pytestmark = pytest.mark.anyio
EMAIL = "luke@skywalker.com"
SALE: dict[str, Any] = {"sale": 1, "products": [{"id": 5, "price": 2.5, "quantity": 3}]}
PRINTED = (
    b"""{
"key": "demo-public-key",
"sale": 567,
"products": [
{"id": 12793, "price": 99.95, "quantity": 2},
{"id": 1546, "price": 14.00, "quantity": 1}
],
"email": "luke@skywalker.com",
"customer": 1234,
"visitor": "abc123"
}""",
    b"""{
"key": "demo-public-key",
"sale": 999,
"products": [{"id": 12793, "price": 99.95, "quantity": 1}],
"visitor": "test-visitor-1"
}""",
)
"""The bodies of the two calls that the page on sales tracking prints, with a key of ours."""
AGENT = "Mozilla/5.0 (X11) Gecko/20100101 Firefox/140.0"
NOTHING: dict[str, list[object]] = {"visitors": [], "unproven": [], "orders": []}
VERSIONS = pytest.mark.parametrize("version", ["v2", "v3"])


async def exported(shopper: Shopper, **named: str) -> dict[str, Any]:
    found: dict[str, Any] = (await shopper.post("/v1/exports", named)).json()
    return found


async def events(shopper: Shopper, visitor: str) -> list[dict[str, Any]]:
    visitors = (await exported(shopper, visitor=visitor))["visitors"]
    found: list[dict[str, Any]] = visitors[0]["events"] if visitors else []
    return found


def failed(answer: httpx.Response) -> tuple[int, str, str]:
    told = answer.json()
    assert set(told) == {"status", "error", "message", "type", "id", "moreInfo"}
    assert (told["status"], told["message"]) == ("error", told["error"])
    assert told["id"] == answer.headers["x-request-id"]
    return answer.status_code, told["type"], told["error"]


@VERSIONS
async def test_the_calls_that_the_page_prints_are_answered_as_it_prints(shopper: Shopper, version: str) -> None:
    for body in PRINTED:
        answer = await shopper.client.post(f"/{version}/log/sale", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 200
        assert answer.content == b'{"status":"ok"}'
        assert answer.headers["content-type"] == "application/json"
    [found] = await shopper.visitors(email=EMAIL)
    assert (found["visitor"], found["source"], found["verified"]) == ("abc123", "sale", False)
    [order] = (await exported(shopper, visitor="test-visitor-1"))["orders"]
    assert (order["sale"], order["products"]) == ("999", [{"id": 12793, "price": "99.95", "quantity": 1}])


@VERSIONS
async def test_every_call_answers_ok_and_nothing_else(shopper: Shopper, version: str) -> None:
    for path, body in (("sale", SALE), ("click", {"product": 5}), ("email", {"email": EMAIL})):
        answer = await shopper.post(f"/{version}/log/{path}", body | {"visitor": "one"})
        assert (answer.status_code, answer.content) == (200, b'{"status":"ok"}')


async def test_both_versions_are_one_log(shopper: Shopper) -> None:
    await shopper.post("/v2/log/sale", SALE | {"visitor": "one"})
    await shopper.post("/v3/log/sale", SALE | {"visitor": "two"})
    assert len((await exported(shopper, visitor="one"))["orders"]) == 1
    assert (await exported(shopper, visitor="two"))["orders"] == []


@pytest.mark.parametrize(("first", "second"), [(567, "567"), ("567", 567), ("A-1", "A-1")])
async def test_sale_ids_compare_as_text(shopper: Shopper, database: redis.Redis, first: object, second: object) -> None:
    await shopper.post("/v2/log/sale", SALE | {"sale": first, "visitor": "one"})
    before = {str(key): database.ttl(key) for key in database.scan_iter("id:v2:{*}:S:*")}
    again = await shopper.post("/v2/log/sale", {"sale": second, "products": [9, 9], "visitor": "two", "email": EMAIL})
    assert again.json() == {"status": "ok"}
    assert {str(key) for key in database.scan_iter("id:v2:{*}:S:*")} == set(before)
    assert await shopper.visitors(email=EMAIL) == []


async def test_customer_ids_compare_as_text(shopper: Shopper) -> None:
    await shopper.post("/v2/log/sale", SALE | {"visitor": "one", "customer": 1234})
    await shopper.post("/v2/log/sale", SALE | {"sale": 2, "visitor": "two", "customer": "1234"})
    assert {one["visitor"] for one in await shopper.visitors(customer="1234")} == {"one", "two"}


async def test_one_sale_id_may_be_used_by_two_shops(shopper: Shopper) -> None:
    await shopper.post("/v2/log/sale", SALE | {"visitor": "one"})
    await shopper.post("/v2/log/sale", SALE | {"visitor": "one"}, key="other-private-key")
    other = (await shopper.post("/v1/exports", {"visitor": "one"}, key="other-private-key")).json()
    assert len(other["orders"]) == len((await exported(shopper, visitor="one"))["orders"]) == 1


async def test_a_null_visitor_leaves_no_trace_of_the_person(shopper: Shopper, database: redis.Redis) -> None:
    for path, body in (("sale", SALE | {"email": EMAIL, "customer": "1234"}), ("click", {"product": 5}), ("email", {"email": EMAIL})):
        assert (await shopper.post(f"/v2/log/{path}", body | {"visitor": None})).json() == {"status": "ok"}
    assert await exported(shopper, email=EMAIL) == await exported(shopper, customer="1234") == NOTHING
    assert list(database.scan_iter("id:v2:{*}:V:*")) == list(database.scan_iter("id:v2:{*}:E:*")) == []
    assert len(list(database.scan_iter("id:v2:{*}:S:*"))) == 1


async def test_null_concerns_that_call_alone(shopper: Shopper) -> None:
    token = (await shopper.post("/v1/consents", {"consent": "granted"})).json()["token"]
    answer = await shopper.post("/v2/log/click", {"product": 5, "visitor": None}, cookie=f"__Host-visitor={token}")
    assert "set-cookie" not in answer.headers
    assert (await shopper.post("/v1/verifications", {"token": token})).json()["valid"] is True


async def test_an_absent_visitor_is_recorded_without_a_session(shopper: Shopper, database: redis.Redis) -> None:
    await shopper.post("/v2/log/sale", SALE | {"email": EMAIL})
    await shopper.post("/v2/log/click", {"product": 5})
    assert list(database.scan_iter("id:v2:{*}:V:*")) == []
    [order] = (await exported(shopper, email=EMAIL))["orders"]
    assert (order["sale"], "visitor" in order) == ("1", False)


async def test_auto_is_the_devices_derived_id(shopper: Shopper) -> None:
    visitor = (await shopper.browser("/v1/visitors")).json()["visitor"]
    await shopper.browser("/v2/log/click", {"product": 5, "visitor": "auto"})
    await shopper.browser("/v2/log/sale", SALE | {"visitor": "auto", "email": EMAIL})
    assert sorted(event["type"] for event in await events(shopper, visitor)) == ["click", "sale"]
    assert [one["visitor"] for one in await shopper.visitors(email=EMAIL)] == [visitor]


@pytest.mark.parametrize("key", ["demo-private-key", "demo-public-key"])
async def test_auto_from_a_server_is_no_session(shopper: Shopper, database: redis.Redis, key: str) -> None:
    assert (await shopper.post("/v2/log/click", {"product": 5, "visitor": "auto"}, key=key, user_agent=AGENT)).json() == {"status": "ok"}
    assert list(database.scan_iter("id:v2:{*}:V:*")) == []


async def test_a_raw_id_links_unverified_with_a_public_key_and_verified_with_a_private_one(shopper: Shopper) -> None:
    await shopper.post("/v2/log/email", {"visitor": "one", "email": EMAIL}, key="demo-public-key")
    await shopper.post("/v2/log/email", {"visitor": "two", "email": EMAIL})
    assert {one["visitor"]: (one["verified"], one["source"]) for one in await shopper.visitors(email=EMAIL)} == {
        "one": (False, "email"),
        "two": (True, "email"),
    }


async def test_a_number_is_a_raw_id_as_text(shopper: Shopper) -> None:
    await shopper.post("/v2/log/click", {"product": 5, "visitor": 1234})
    assert len(await events(shopper, "1234")) == 1


async def test_a_token_is_its_visitor(shopper: Shopper) -> None:
    for body in ({}, {"consent": "granted"}):
        issued = (await shopper.post("/v1/visitors", body)).json()
        await shopper.post("/v2/log/click", {"product": 5, "visitor": issued["token"]}, key="demo-public-key")
        assert len(await events(shopper, issued["visitor"])) == 1


@pytest.mark.parametrize("path", ["sale", "click", "email"])
async def test_a_forged_token_is_neither_a_token_nor_an_id(shopper: Shopper, database: redis.Redis, path: str) -> None:
    token = (await shopper.post("/v1/visitors")).json()["token"]
    body = SALE | {"product": 5, "email": EMAIL, "visitor": f"{token[:-2]}{'A' if token[-2] != 'A' else 'B'}{token[-1]}"}
    assert (await shopper.post(f"/v2/log/{path}", body)).json() == {"status": "ok"}
    assert [*database.scan_iter("id:v2:{*}:V:*")] == []
    assert [field for key in database.scan_iter("id:v2:{*}:E:*") for field in database.hkeys(key) if not str(field).startswith("$")] == []


async def test_a_withdrawn_visitors_calls_are_ok_and_record_nothing(shopper: Shopper) -> None:
    issued = (await shopper.post("/v1/consents", {"consent": "granted"})).json()
    await shopper.post("/v1/consents", {"token": issued["token"], "consent": "refused"})
    for visitor in (issued["token"], issued["visitor"]):
        for path, body in (("sale", SALE | {"email": EMAIL}), ("click", {"product": 5}), ("email", {"email": EMAIL})):
            assert (await shopper.post(f"/v2/log/{path}", body | {"visitor": visitor})).json() == {"status": "ok"}
    assert await exported(shopper, visitor=issued["visitor"]) == await exported(shopper, email=EMAIL) == NOTHING


async def test_an_expired_token_is_as_none(shopper: Shopper, clock: Clock) -> None:
    """As of a basket that was kept overnight; a device that refused before stays without anything personal."""
    issued = (await shopper.post("/v1/visitors")).json()
    clock.forward(86_400)
    named = {"visitor": issued["token"], "email": EMAIL}
    assert (await shopper.post("/v2/log/click", {"product": 5} | named)).json() == {"status": "ok"}
    assert (await shopper.post("/v2/log/sale", SALE | named)).json() == {"status": "ok"}
    refused = {"cookie": "visitor-choice=refused"}
    assert (await shopper.post("/v2/log/sale", SALE | named | {"sale": 2}, **refused)).json() == {"status": "ok"}
    assert await events(shopper, issued["visitor"]) == []
    found = (await shopper.client.get("/v1/orders", headers={"authorization": "Bearer demo-private-key"})).json()["orders"]
    assert {one["sale"]: one["mode"] for one in found} == {str(SALE["sale"]): "none", "2": "null"}
    assert [one["sale"] for one in (await exported(shopper, email=EMAIL))["orders"]] == [str(SALE["sale"])]


async def test_a_bots_clicks_are_nobodys(shopper: Shopper, database: redis.Redis) -> None:
    told = {"user-agent": "Mozilla/5.0 (compatible; Googlebot/2.1)"}
    assert (await shopper.browser("/v2/log/click", {"product": 5, "visitor": "auto"}, **told)).json() == {"status": "ok"}
    assert list(database.scan_iter("id:v2:{*}:V:*")) == []


@pytest.mark.parametrize("email", ["", " ", None, "null", "guest", "not an email", "a" * 10_000 + "@b.example"])
async def test_an_unusable_email_is_no_error_and_links_nothing(shopper: Shopper, database: redis.Redis, email: str | None) -> None:
    for number, path in enumerate(("sale", "email")):
        answer = await shopper.post(f"/v2/log/{path}", SALE | {"sale": number, "visitor": "one", "email": email})
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert list(database.scan_iter("id:v2:{*}:E:*")) == []


async def test_an_email_call_links_a_token(shopper: Shopper) -> None:
    token = (await shopper.post("/v1/visitors")).json()["token"]
    await shopper.post("/v2/log/email", {"visitor": token, "email": EMAIL}, key="demo-public-key")
    assert [(one["source"], one["verified"]) for one in await shopper.visitors(email=EMAIL)] == [("email", False)]


async def test_strict_shops_link_no_cookieless_visitor_by_tracking(shopper: Shopper) -> None:
    key = "strict-private-key"
    token = (await shopper.post("/v1/visitors", {"visitor": "auto", "consent": "granted"}, key=key)).json()["token"]
    for number, visitor in enumerate((token, "raw-id")):
        sale = SALE | {"sale": number, "visitor": visitor, "email": EMAIL}
        assert (await shopper.post("/v2/log/sale", sale, key=key)).json() == {"status": "ok"}
    assert (await shopper.post("/v1/lookups", {"email": EMAIL}, key=key)).json() == {"visitors": []}


@VERSIONS
@pytest.mark.parametrize(
    ("path", "body", "error"),
    [
        ("sale", {}, "Missing required argument: sale"),
        ("sale", {"products": [5]}, "Missing required argument: sale"),
        ("sale", {"sale": 1}, "Missing required argument: products"),
        ("sale", {"sale": 1, "products": []}, "Invalid Syntax In Argument: products"),
        ("sale", {"sale": 1, "products": json.dumps([{"id": "123"}])}, "Invalid Syntax In Argument: products"),
        ("sale", {"sale": 1, "products": None}, "Invalid Syntax In Argument: products"),
        ("sale", {"sale": 1, "products": {"id": 5}}, "Invalid Syntax In Argument: products"),
        ("sale", {"sale": None, "products": [5]}, "Invalid Syntax In Argument: sale"),
        ("sale", {"sale": "", "products": [5]}, "Invalid Syntax In Argument: sale"),
        ("sale", {"sale": " ", "products": [5]}, "Invalid Syntax In Argument: sale"),
        ("sale", {"sale": True, "products": [5]}, "Invalid Syntax In Argument: sale"),
        ("sale", {"sale": ["1"], "products": [5]}, "Invalid Syntax In Argument: sale"),
        ("sale", {"sale": "undefined", "products": [5]}, "Invalid Syntax In Argument: sale"),
        ("click", {"product": ""}, "Invalid Syntax In Argument: product"),
        ("click", {"product": True}, "Invalid Syntax In Argument: product"),
        ("results", {"labels": [7], "products": [5]}, "Invalid Syntax In Argument: labels"),
        ("returned", {"product": 5, "order": "null", "quantity": 1}, "Invalid Syntax In Argument: order"),
        ("click", {}, "Missing required argument: product"),
        ("click", {"product": None}, "Invalid Syntax In Argument: product"),
        ("email", {}, "Missing required argument: email"),
    ],
)
async def test_an_argument_that_is_missing_or_wrong_is_named_and_nothing_is_stored(
    shopper: Shopper, database: redis.Redis, version: str, path: str, body: dict[str, Any], error: str
) -> None:
    assert failed(await shopper.post(f"/{version}/log/{path}", body)) == (400, "ParsingError", error)
    assert list(database.scan_iter("id:v2:{*}:[VES]:*")) == []


@VERSIONS
@pytest.mark.parametrize("body", ["{", "[]", '"x"', "sale", '{"sale": NaN}', ""])
async def test_a_body_that_cannot_be_read_is_a_parsing_error(shopper: Shopper, version: str, body: str) -> None:
    headers = {"authorization": "Bearer demo-public-key"}
    answer = await shopper.client.post(f"/{version}/log/sale", content=body, headers=headers)
    assert failed(answer)[:2] == (400, "ParsingError")


@VERSIONS
@pytest.mark.parametrize("body", [{}, {"key": "wrong"}, {"key": "wrong", "sale": None}, {"key": 7} | SALE, {"key": None} | SALE])
async def test_the_key_is_checked_before_anything_else(shopper: Shopper, database: redis.Redis, version: str, body: dict[str, Any]) -> None:
    for path in ("sale", "click", "email"):
        assert failed(await shopper.post(f"/{version}/log/{path}", body, key=None))[:2] == (401, "AuthenticationError")
    assert database.dbsize() == 0


async def test_a_private_key_beside_the_public_one_counts_only_for_the_same_shop(shopper: Shopper) -> None:
    sale = SALE | {"key": "demo-public-key", "visitor": "one", "email": EMAIL}
    for wrong in ("other-private-key", "demo-public-key", "unknown"):
        assert (await shopper.post("/v2/log/sale", sale | {"private_key": wrong}, key=None)).status_code == 401
    for none in ("", "undefined", "null", None):
        open_ = SALE | {"key": "demo-public-key", "sale": f"without {none}", "private_key": none}
        assert (await shopper.post("/v2/log/sale", open_, key=None)).json() == {"status": "ok"}
    assert (await shopper.post("/v2/log/sale", sale | {"private_key": "demo-private-key"}, key=None)).json() == {"status": "ok"}
    assert [one["verified"] for one in await shopper.visitors(email=EMAIL)] == [True]


async def test_beside_a_key_in_the_header_any_other_is_ignored(shopper: Shopper) -> None:
    sale = SALE | {"visitor": "one", "email": EMAIL}
    others: list[Any] = ["demo-private-key", "wrong", "", None, 5, ["x"], "x" * 1_000]
    for beside in [{name: other} for name in ("key", "private_key") for other in others]:
        assert (await shopper.post("/v2/log/sale", sale | beside, key="demo-public-key")).json() == {"status": "ok"}
    assert [one["verified"] for one in await shopper.visitors(email=EMAIL)] == [False]
    assert (await shopper.post("/v2/log/sale?key=wrong&private_key=wrong", sale, key="demo-public-key")).json() == {"status": "ok"}
    beside = {"private_key": "demo-private-key", "email": EMAIL}
    assert (await shopper.post("/v2/privacy/info", beside, key="demo-public-key")).status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        "/v2/",
        "/v2/nothing",
        "/v2/search/search",
        "/v2/recommendations/popular",
        "/v3/log/nothing",
        "/v2/log/sale/1",
        "/v2/log/sale/",
        "/v3/Log/Sale",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_what_is_outside_this_service_is_404_in_the_same_form(shopper: Shopper, method: str, path: str) -> None:
    answer = await shopper.client.request(method, path, headers={"authorization": "Bearer demo-public-key"})
    status, kind, error = failed(answer)
    assert (status, kind) == (404, "LogicalError")
    assert "does not have this call" in error


async def test_a_private_key_that_is_not_set_costs_no_order(shopper: Shopper) -> None:
    assert (await shopper.post("/v2/log/sale", SALE | {"key": "demo-public-key", "private_key": None}, key=None)).json() == {"status": "ok"}


async def test_of_two_keys_the_one_in_the_body_counts(shopper: Shopper) -> None:
    for beside, body, status in (("wrong", "demo-public-key", 200), ("demo-public-key", "wrong", 401)):
        answer = await shopper.client.post(f"/v2/log/sale?key={beside}", json=SALE | {"key": body})
        assert answer.status_code == status


@pytest.mark.parametrize(
    ("line", "quantity"),
    [({"qty": 3}, 3), ({"quantity": 2, "qty": 3}, 2), ({"quantity": None}, 1), ({"qty": 0}, 0), ({"qty": -3}, -3), ({"qty": 10**12}, 1)],
)
async def test_a_sale_counts_as_many_as_either_word_says(shopper: Shopper, line: dict[str, Any], quantity: int) -> None:
    await shopper.post("/v2/log/sale", {"sale": 1, "products": [{"id": 5, "price": 2} | line]})
    order = (await shopper.client.get("/v1/orders/1", headers={"authorization": "Bearer demo-private-key"})).json()
    assert (order["products"][0]["quantity"], order["revenue"]) == (quantity, str(2 * quantity))


async def test_no_products_in_a_query_are_no_product(shopper: Shopper) -> None:
    for text in ("null", "undefined"):
        answer = await shopper.client.get(f"/v2/log/sale?key=demo-public-key&sale=1&products={text}")
        assert failed(answer) == (400, "ParsingError", "Invalid Syntax In Argument: products")


@VERSIONS
async def test_the_devices_own_id_is_told_without_an_origin(shopper: Shopper, version: str) -> None:
    path = f"/{version}/misc/visitor_id?key=demo-public-key&visitor=auto"
    told = await shopper.client.get(path, headers={"user-agent": AGENT})
    issued = (await shopper.browser("/v1/visitors", **{"user-agent": AGENT})).json()
    assert told.json() == {"status": "ok", "visitor": issued["visitor"]}
    assert "set-cookie" not in told.headers


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site", "referer": "https://evil.example/"},
        {"origin": "https://evil.example"},
        {"referer": "https://evil.example/page"},
        {"sec-fetch-site": "cross-site"},
    ],
)
async def test_a_foreign_page_is_not_told_the_devices_id(shopper: Shopper, headers: dict[str, str]) -> None:
    path = "/v3/misc/visitor_id?key=demo-public-key&visitor=auto&callback=told"
    answer = await shopper.client.get(path, headers={"user-agent": AGENT} | headers)
    assert "is not among the shop's origins" in answer.text
    assert "visitor" not in answer.text.partition("error")[0]
    own = {name: value for name, value in headers.items() if name != "origin"} | {"referer": "http://localhost:8080/"}
    shown = await shopper.client.get(path, headers={"user-agent": AGENT} | own)
    assert '"visitor"' in shown.text


async def test_null_is_told_no_id(shopper: Shopper) -> None:
    for told in ("null", "undefined"):
        answer = await shopper.client.get(f"/v2/misc/visitor_id?key=demo-public-key&visitor={told}", headers={"user-agent": AGENT})
        assert answer.json() == {"status": "ok", "visitor": None}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"user-agent": "curl/8.5"},
        {"user-agent": AGENT, "cookie": "visitor-choice=refused"},
        {"user-agent": AGENT, "purpose": "prefetch"},
    ],
)
async def test_a_device_that_may_not_have_an_id_is_told_null(shopper: Shopper, headers: dict[str, str]) -> None:
    sent = {"user-agent": ""} | headers
    answer = await shopper.client.get("/v2/misc/visitor_id?key=demo-public-key&visitor=auto", headers=sent)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "visitor": None})


async def test_a_marked_device_is_told_null_for_the_rest_of_the_window(shopper: Shopper, clock: Clock) -> None:
    path, headers = "/v2/misc/visitor_id?key=demo-public-key&visitor=auto", {"user-agent": AGENT}
    before = (await shopper.client.get(path, headers=headers)).json()["visitor"]
    await shopper.browser("/v1/visitors", {"consent": "refused"}, **headers)
    assert (await shopper.client.get(path, headers=headers)).json()["visitor"] is None
    clock.forward(86_400)
    assert (await shopper.client.get(path, headers=headers)).json()["visitor"] not in {None, before}


async def test_a_page_that_names_no_key_is_told_of_the_key(shopper: Shopper) -> None:
    assert failed(await shopper.client.get("/v2/misc/visitor_id?visitor=auto"))[:2] == (401, "AuthenticationError")
