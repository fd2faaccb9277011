"""What could not be read of calls is counted, reported by health and shown with the remedy on the page of the logs."""

from typing import Any

import pytest

from identity_service.app import Application
from identity_service.service.unread import REMEDIES, kinds_of
from identity_service.settings.load import load
from tests.conftest import Clock, Shopper, shopping
from tests.contract.desk import desk_of, text_of

pytestmark = pytest.mark.anyio
LINE = {"id": 5, "price": 2}


async def sell(shopper: Shopper, number: int, *lines: Any, **more: Any) -> None:
    body = {"sale": f"S-{number}", "products": lines or [LINE]} | more
    assert (await shopper.post("/v2/log/sale", body)).json() == {"status": "ok"}


async def health(shopper: Shopper) -> Any:
    return (await shopper.client.get("/v1/health/tracking", headers={"authorization": "Bearer demo-private-key"})).json()


async def test_health_says_how_many_orders_had_a_line_without_a_product(shopper: Shopper, clock: Clock) -> None:
    await shopper.post("/v2/log/click", {"product": 5, "labels": ["Home"], "visitor": "v"})
    for number in range(22):
        await sell(shopper, number)
    assert ((await health(shopper))["status"], (await health(shopper))["unread"]) == ("green", [])
    for number in range(22, 25):
        await sell(shopper, number, LINE, {"price": 3}, {"id": None, "price": 1}, None)
    found = await health(shopper)
    remedy = REMEDIES["products.id"].remedy
    assert (found["status"], found["reasons"]) == (
        "amber",
        [f"12% of the orders of the last day had a line without a product. {remedy}"],
    )
    assert found["unread"] == [{"call": "log/sale", "argument": "products.id", "calls": 3, "share": 0.12, "remedy": remedy}]
    clock.forward(25 * 3_600)
    assert (await health(shopper))["unread"] == []


async def test_few_unreadable_arguments_are_listed_and_turn_nothing_amber(shopper: Shopper) -> None:
    await shopper.post("/v2/log/click", {"product": 5, "labels": ["Home"], "visitor": "v"})
    for number in range(20):
        await sell(shopper, number, {"id": 5, "price": "2,50" if number == 0 else 2})
    found = await health(shopper)
    assert (found["status"], found["reasons"], found["unread"][0]["share"]) == ("green", [], 0.05)


async def test_health_names_the_three_most_frequent_kinds(shopper: Shopper) -> None:
    odd: list[dict[str, Any]] = [{"email": "guest"}, {"email": 7}, {"email": "x"}, {"customer": {}}, {"customer": []}, {"currency": "€"}]
    for number, broken in enumerate(odd):
        await sell(shopper, number, {"id": 5, "qty": "two"} if number < 2 else LINE, **broken)
    await shopper.post("/v2/log/search", {"query": "shoes", "labels": [7], "visitor": "undefined"})
    found = await health(shopper)
    assert [(one["call"], one["argument"], one["calls"]) for one in found["unread"]] == [
        ("log/sale", "email", 3),
        ("log/sale", "products.quantity", 2),
        ("log/sale", "currency", 1),
        ("log/sale", "customer", 1),
        ("log/search", "labels", 1),
        ("log/search", "visitor", 1),
    ]
    assert [text for text in found["reasons"] if "%" in text and "orders" in text] == found["reasons"][-3:]


async def test_a_shop_that_names_values_never_to_link_expects_them(environment: dict[str, str], clock: Clock) -> None:
    async with shopping(load("development", environment | {"IDENTITY_SHOPS__DEMO__NEVER_LINK": "kasse@"}), clock) as shopper:
        await shopper.post("/v2/log/click", {"product": 5, "labels": ["Home"], "visitor": "v"})
        await sell(shopper, 1, email="kasse@shop.example", visitor="v")
        found = await health(shopper)
        assert (found["status"], [one["argument"] for one in found["unread"]]) == ("green", ["email"])


async def test_the_page_of_the_logs_shows_the_remedy(application: Application, shopper: Shopper) -> None:
    async with desk_of(application) as desk:
        await desk.sign_in()
        assert "Not read in the last day" not in text_of(await desk.get("logs"))
        await sell(shopper, 1, {"id": 5, "price": "99,95"})
        shown = text_of(await desk.get("logs"))
        assert f"log/sale products.price 1 100.0 % a line whose price is no number {REMEDIES['products.price'].remedy}" in shown


async def test_a_clean_order_counts_nothing_more(application: Application, shopper: Shopper) -> None:
    await sell(shopper, 1)
    counts = await application.services.figures.totals(next(iter(application.services.shops)), 3_600)
    assert [name for name in counts if "unread" in name] == []
    await sell(shopper, 2, *[{"price": "x"}] * 9, email={}, currency=7)
    counts = await application.services.figures.totals(next(iter(application.services.shops)), 3_600)
    assert {name: number for name, number in counts.items() if "unread" in name} == {
        f"unread log/sale {kind}": 1 for kind in ("currency", "email", "products.id", "products.price")
    }


def test_every_kind_has_a_remedy_whatever_the_index() -> None:
    names = ["products[7].id", "products[12]", "products[0].qty", "products[1].quantity", "products[3].price", "products[1000]"]
    names += ["labels", "labels[20]", "email", "customer", "visitor", "clerk_visitor", "currency", "quantity"]
    assert set(kinds_of(names)) == set(REMEDIES)
