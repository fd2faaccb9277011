"""Orders of a sandboxed checkout pixel, which has no origin, and the two keys that plugins test."""

from collections.abc import AsyncIterator

import pytest

from identity_service.settings.load import load
from tests.conftest import Clock, Shopper, shopping

pytestmark = pytest.mark.anyio

PIXEL = {"origin": "null", "sec-fetch-site": "cross-site", "content-type": "text/plain;charset=UTF-8"}
ORDER = '{"sale": 5873120124, "key": "demo-public-key"}'
LINES = [{"id": 5, "price": 2.5, "quantity": 3}]


@pytest.fixture
async def listing(environment: dict[str, str], clock: Clock) -> AsyncIterator[Shopper]:
    """A shop that lists `null` among its origins."""
    origins = {"IDENTITY_SHOPS__DEMO__ORIGINS": "http://localhost:8080,null"}
    async with shopping(load("development", environment | origins), clock) as shopper:
        yield shopper


async def order(shopper: Shopper, sale: str) -> dict[str, object]:
    answer = await shopper.client.get(f"/v1/orders/{sale}", headers={"authorization": "Bearer demo-private-key"})
    found: dict[str, object] = answer.json()
    return found


async def test_a_pixels_order_is_kept_and_replaced_by_the_shops_own(listing: Shopper) -> None:
    answer = await listing.client.post("/v2/log/sale/shopify", content=ORDER, headers=PIXEL)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    kept = await order(listing, "5873120124")
    assert (kept["products"], kept["revenue"], kept["visitor"], kept["verified"]) == ([], "0", None, False)
    await listing.post("/v2/log/sale", {"sale": "5873120124", "products": LINES, "email": "luke@skywalker.com"})
    told = await order(listing, "5873120124")
    assert (told["revenue"], told["verified"]) == ("7.5", True)


async def test_a_pixel_passes_the_visitors_token(listing: Shopper) -> None:
    issued = (await listing.browser("/v1/visitors", {"consent": "granted"})).json()
    body = {"sale": "7", "key": "demo-public-key", "visitor": issued["token"]}
    assert (await listing.client.post("/v2/log/sale/shopify", json=body, headers={"origin": "null"})).status_code == 200
    assert (await order(listing, "7"))["visitor"] == issued["visitor"]


async def test_a_pixel_of_a_shop_that_lists_no_null_is_anybodys_page(shopper: Shopper) -> None:
    answer = await shopper.client.post("/v2/log/sale/shopify", content=ORDER, headers=PIXEL)
    assert (answer.status_code, answer.json()["status"]) == (403, "error")


@pytest.mark.parametrize("sale", ["", "undefined", None])
async def test_an_order_without_an_id_is_none(listing: Shopper, sale: str | None) -> None:
    answer = await listing.client.post("/v2/log/sale/shopify", json={"sale": sale, "key": "demo-public-key"}, headers={"origin": "null"})
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("private", "status"), [("demo-private-key", 200), ("other-private-key", 401), ("wrong", 401), ("demo-public-key", 401)]
)
async def test_both_keys_are_tested(shopper: Shopper, private: str, status: int) -> None:
    answer = await shopper.client.get("/v2/client/account/info", params={"key": "demo-public-key", "private_key": private})
    assert (answer.status_code, answer.json()["status"]) == (status, "ok" if status == 200 else "error")
