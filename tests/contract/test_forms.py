"""Tracking calls as forms and queries, and bodies that are not read, from the request to the order."""

import gzip
import json
import zlib
from typing import Any

import httpx2 as httpx
import pytest

from tests.conftest import Shopper

pytestmark = pytest.mark.anyio
KEY, PRIVATE = "demo-public-key", "demo-private-key"
OK = {"status": "ok"}
FORM = "application/x-www-form-urlencoded"
LINES = "products[0][id]=5&products[0][price]=2&products[0][quantity]=2&products[1][id]=6&products[1][price]=1"


async def posted(shopper: Shopper, content: bytes | str, media: str = FORM, call: str = "log/sale", **headers: str) -> httpx.Response:
    return await shopper.client.post(f"/v2/{call}", content=content, headers={"content-type": media} | headers)


async def order(shopper: Shopper, sale: str) -> Any:
    return (await shopper.client.get(f"/v1/orders/{sale}", headers={"authorization": f"Bearer {PRIVATE}"})).json()


async def unread(shopper: Shopper) -> list[str]:
    answer = await shopper.client.get("/v1/calls", headers={"authorization": f"Bearer {PRIVATE}"})
    found: list[str] = answer.json()["calls"][0].get("unread", [])
    return found


@pytest.mark.parametrize(
    "products", [LINES, LINES.replace("[", "%5B").replace("]", "%5D"), 'products=[{"id":5,"price":2,"quantity":2},{"id":6,"price":"1"}]']
)
async def test_a_form_is_read_as_a_query(shopper: Shopper, products: str) -> None:
    assert (await posted(shopper, f"key={KEY}&sale=1&visitor=one&{products}")).json() == OK
    found = await order(shopper, "1")
    assert (found["revenue"], len(found["products"]), found["visitor"], found["mode"]) == ("5", 2, "one", "cookieless")
    assert await unread(shopper) == []


@pytest.mark.parametrize("media", [FORM, "text/plain", "application/json", "multipart/form-data", ""])
async def test_what_a_body_is_its_content_says(shopper: Shopper, media: str) -> None:
    body = {"key": KEY, "sale": "json", "products": [{"id": 5, "price": 3}], "visitor": "one"}
    assert (await posted(shopper, "\ufeff" + json.dumps(body), media)).json() == OK
    assert (await posted(shopper, f"\ufeffkey={KEY}&sale=form&products=[5]&visitor=one", media)).json() == OK
    assert [(await order(shopper, sale))["products"][0]["id"] for sale in ("json", "form")] == [5, 5]


async def test_a_form_has_the_words_of_a_query(shopper: Shopper) -> None:
    for sale, visitor in (("1", "null"), ("2", ""), ("3", "undefined")):
        assert (await posted(shopper, f"key={KEY}&sale={sale}&products=5&visitor={visitor}&email=")).json() == OK
        assert (await order(shopper, sale))["mode"] == "null"


async def test_a_private_key_may_stand_in_a_form(shopper: Shopper) -> None:
    assert (await posted(shopper, f"key={KEY}&private_key={PRIVATE}&sale=1&products[]=5&visitor=one")).json() == OK
    assert (await order(shopper, "1"))["verified"] is True
    assert (await posted(shopper, f"key={KEY}&private_key=wrong&sale=2&products[]=5")).status_code == 401
    assert (await posted(shopper, "sale=2&products[]=5", authorization=f"Bearer {KEY}")).json() == OK


async def test_deep_objects_stand_in_a_query_too(shopper: Shopper) -> None:
    answer = await shopper.client.get(f"/v3/log/sale?key={KEY}&sale=1&visitor=one&{LINES}")
    assert answer.json() == OK
    assert (await order(shopper, "1"))["revenue"] == "5"


async def test_a_line_that_cannot_be_read_is_named_and_costs_no_order(shopper: Shopper) -> None:
    lines = "products[0][id]=&products[0][price]=4&products[1][id]=6&products[1][price]=1,50&products[2][id]=7&products[2][quantity]=x"
    assert (await posted(shopper, f"key={KEY}&sale=1&{lines}")).json() == OK
    assert (await order(shopper, "1"))["revenue"] == "4"
    assert await unread(shopper) == ["products[0].id", "products[1].price", "products[2].quantity"]


async def test_a_form_without_products_is_told_so(shopper: Shopper) -> None:
    refused = await posted(shopper, f"key={KEY}&sale=1")
    assert (refused.status_code, refused.json()["error"]) == (400, "Missing required argument: products")


SALE = json.dumps({"key": KEY, "sale": "packed", "products": [5]}).encode()


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "x-gzip", "identity, gzip", "", "deflate", "br", "zstd"])
async def test_a_packed_body_is_refused_in_clear_words(shopper: Shopper, coding: str) -> None:
    content = SALE if coding in {"br", "zstd"} else zlib.compress(SALE) if coding == "deflate" else gzip.compress(SALE)
    told = {"content-encoding": coding} if coding else {}
    refused = await posted(shopper, content, "application/json", **told)
    assert (refused.status_code, refused.json()["status"], refused.json()["type"]) == (415, "error", "LogicalError")
    assert "compression" in refused.json()["error"]
    problem = await shopper.client.post("/v1/visitors", content=content, headers={"authorization": f"Bearer {PRIVATE}"} | told)
    assert (problem.status_code, problem.json()["code"]) == (415, "unsupported_media")


@pytest.mark.parametrize("coding", ["identity", "utf-8", "UTF-8", "aws-chunked"])
async def test_a_content_encoding_that_packs_nothing_costs_no_order(shopper: Shopper, coding: str) -> None:
    assert (await posted(shopper, SALE, **{"content-encoding": coding})).json() == OK


async def test_a_multipart_form_is_refused_in_clear_words(shopper: Shopper) -> None:
    refused = await shopper.client.post("/v2/log/sale", files={"key": (None, KEY), "sale": (None, "1")})
    assert refused.status_code == 415
    assert FORM in refused.json()["error"]


async def test_a_large_body_is_refused_in_clerks_form(shopper: Shopper) -> None:
    refused = await posted(shopper, f"key={KEY}&sale=1&products=5&x={'y' * 140_000}")
    assert (refused.status_code, refused.json()["status"], refused.json()["type"]) == (413, "error", "LogicalError")
