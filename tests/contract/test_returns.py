"""What came back of an order, and orders in several currencies: figures stay exact, and no two currencies are added."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest
import redis

from tests.conftest import Clock, Shopper

pytestmark = pytest.mark.anyio
LINES: list[dict[str, Any]] = [
    {"id": "A", "quantity": 3, "price": 100},
    {"id": "B", "price": "9.90"},
    {"id": "A", "quantity": 1, "price": 80},
]


async def send(shopper: Shopper, call: str, body: dict[str, Any], key: str = "demo-private-key") -> None:
    assert (await shopper.post(f"/v2/log/{call}", body, key=key)).json() == {"status": "ok"}


async def sold(shopper: Shopper, key: str = "demo-private-key", **body: Any) -> None:
    await send(shopper, "click", {"product": "A", "labels": ["Home"], "visitor": "one"})
    await send(shopper, "sale", {"sale": "1", "products": LINES, "visitor": "one"} | body, key)


async def returned(shopper: Shopper, product: Any, quantity: Any = None, order: str = "1") -> dict[str, Any]:
    await send(shopper, "returned", {"order": order, "product": product, "quantity": quantity})
    return await get(shopper, f"/v1/orders/{order}")


async def get(shopper: Shopper, path: str) -> dict[str, Any]:
    found: dict[str, Any] = (await shopper.client.get(path, headers={"authorization": "Bearer demo-private-key"})).json()
    return found


def pieces(order: dict[str, Any]) -> list[Any]:
    return [line.get("returned") for line in order["products"]]


async def figures(shopper: Shopper) -> tuple[str, str, int]:
    """Revenue of the label and of all orders that a click led to, and how many they are."""
    told = await get(shopper, "/v1/labels")
    return told["labels"][0]["revenue"], told["attributed_revenue"], told["attributed_orders"]


async def test_what_no_click_led_to_lowers_no_label_when_it_comes_back(shopper: Shopper) -> None:
    """A discount may be a line of the same product: a label is credited with the other alone."""
    lines = [{"id": "A", "quantity": 1, "price": -10}, {"id": "A", "quantity": 2, "price": 100}]
    await sold(shopper, products=lines)
    assert await figures(shopper) == ("200", "190", 1)
    assert (await returned(shopper, "A", 2))["revenue"] == "100"
    assert await figures(shopper) == ("100", "100", 1)
    assert (await returned(shopper, "A", 1))["revenue"] == "0"
    assert await figures(shopper) == ("0", "0", 1)


async def test_what_came_back_lowers_the_order_its_label_and_the_totals(shopper: Shopper, clock: Clock) -> None:
    await sold(shopper)
    assert await figures(shopper) == ("380", "389.9", 1)
    clock.forward(90_000)
    order = await returned(shopper, "A", 2)
    assert (order["revenue"], pieces(order)) == ("189.90", [2, None, None])
    assert await figures(shopper) == ("180", "189.9", 1)
    order = await returned(shopper, "B")
    assert (Decimal(order["revenue"]), pieces(order)) == (Decimal(180), [2, 1, None])
    assert await figures(shopper) == ("180", "180", 1)


async def test_no_more_comes_back_than_was_bought_and_the_first_lines_first(shopper: Shopper) -> None:
    await sold(shopper)
    order = await returned(shopper, "A", "3.5000")
    assert (Decimal(order["revenue"]), pieces(order)) == (Decimal("49.90"), [3, None, "0.5"])
    order = await returned(shopper, "A", 100)
    assert (Decimal(order["revenue"]), pieces(order)) == (Decimal("9.90"), [3, None, 1])
    assert await figures(shopper) == ("0", "9.9", 1)


async def test_the_same_return_counts_once_a_day(shopper: Shopper, clock: Clock) -> None:
    await sold(shopper)
    for quantity in (1, "1", "1.0000", None):
        assert pieces(await returned(shopper, "A", quantity)) == [1, None, None]
    clock.forward(86_400)
    assert pieces(await returned(shopper, "A", 1)) == [2, None, None]


@pytest.mark.parametrize(("product", "quantity", "order"), [("C", 1, "1"), ("A", 0, "1"), ("A", -2, "1"), ("A", 1, "nobody's")])
async def test_what_returns_nothing_changes_nothing(shopper: Shopper, product: str, quantity: int, order: str) -> None:
    await sold(shopper)
    await send(shopper, "returned", {"order": order, "product": product, "quantity": quantity})
    found = await get(shopper, "/v1/orders/1")
    assert (found["revenue"], pieces(found)) == ("389.90", [None] * 3)


async def test_returns_at_the_same_moment_all_count(shopper: Shopper) -> None:
    await sold(shopper, products=[{"id": f"P-{number}", "price": 10} for number in range(20)])
    await asyncio.gather(*(send(shopper, "returned", {"order": "1", "product": f"P-{number}"}) for number in range(5)))
    assert (await get(shopper, "/v1/orders/1"))["revenue"] == "150"


async def test_a_provisional_order_is_taken_back_without_what_came_back_of_it(shopper: Shopper) -> None:
    await sold(shopper, key="demo-public-key")
    await returned(shopper, "A", 1)
    assert await figures(shopper) == ("280", "289.9", 1)
    await send(shopper, "sale", {"sale": "1", "products": [{"id": "A", "price": 7}], "visitor": "one"})
    assert await figures(shopper) == ("7", "7", 1)


async def test_what_came_back_stays_told_when_the_person_was_erased(shopper: Shopper, database: redis.Redis) -> None:
    await sold(shopper, email="luke@skywalker.com")
    await returned(shopper, "A", 1)
    [line, *_] = (await shopper.post("/v1/exports", {"email": "luke@skywalker.com"})).json()["orders"][0]["products"]
    assert line == {"id": "A", "quantity": 3, "price": "100", "returned": 1}
    await shopper.post("/v1/erasures", {"visitor": "one"})
    order = await returned(shopper, "A", 2)
    assert (order["revenue"], pieces(order)) == ("89.90", [3, None, None])


async def test_amounts_of_two_currencies_are_never_added(shopper: Shopper) -> None:
    for number, currency in enumerate(("SEK", "usd", " sek ", None, "EUR")):
        await sold(shopper, sale=str(number), currency=currency, products=[{"id": "A", "price": 100}])
    assert [(await get(shopper, f"/v1/orders/{number}"))["currency"] for number in range(5)] == ["SEK", "USD", "SEK", "EUR", "EUR"]
    told = await get(shopper, "/v1/labels")
    expected = {"EUR": "200", "SEK": "200", "USD": "100"}
    assert (told["labels"][0]["revenue"], told["labels"][0]["revenues"]) == ("200", expected)
    assert (told["attributed_revenue"], told["attributed_revenues"], told["currency"]) == ("200", expected, "EUR")
    assert (told["attributed_orders"], told["labels"][0]["orders"]) == (5, 5)
    await send(shopper, "returned", {"order": "0", "product": "A"})
    assert (await get(shopper, "/v1/labels"))["labels"][0]["revenues"] == {"EUR": "200", "SEK": "100", "USD": "100"}


@pytest.mark.parametrize("currency", ["EURO", "€", 978, "E R", {}, "e\u0301ur"])
async def test_what_is_no_currency_costs_no_order_and_is_named(shopper: Shopper, currency: Any) -> None:
    await sold(shopper, currency=currency)
    assert (await get(shopper, "/v1/orders/1"))["currency"] == "EUR"
    assert (await get(shopper, "/v1/calls"))["calls"][0]["unread"] == ["currency"]
