"""What a public key says of an order stands until a private key says it: whoever takes a number in advance costs nobody an order."""

from decimal import Decimal
from typing import Any

import pytest
import redis

from tests.conftest import Clock, Shopper

pytestmark = pytest.mark.anyio
PUBLIC, PRIVATE = "demo-public-key", "demo-private-key"
BUYER, SQUATTER = "buyer@shop.example", "squatter@shop.example"


async def sell(shopper: Shopper, key: str, **body: Any) -> None:
    told = {"sale": "A-1", "products": [{"id": "real", "price": 50}]} | body
    assert (await shopper.post("/v2/log/sale", told, key=key)).json() == {"status": "ok"}


async def read(shopper: Shopper, path: str) -> Any:
    return (await shopper.client.get(f"/v1/{path}", headers={"authorization": f"Bearer {PRIVATE}"})).json()


async def order(shopper: Shopper) -> dict[str, Any]:
    found: dict[str, Any] = await read(shopper, "orders/A-1")
    return found


async def clicked(shopper: Shopper, label: str, product: str = "real") -> dict[str, Any]:
    """A visitor with consent, who clicked."""
    person: dict[str, Any] = (await shopper.post("/v1/consents", {"consent": "granted"})).json()
    await shopper.post("/v2/log/click", {"product": product, "labels": [label], "visitor": person["token"]})
    return person


def figures(told: dict[str, Any]) -> tuple[Any, ...]:
    """Of all orders: attributed and other ones, their revenue, and orders and revenue by label."""
    labels = {one["label"]: (one["orders"], Decimal(one["revenue"])) for one in told["labels"]}
    kinds = [(told[f"{kind}_orders"], Decimal(told[f"{kind}_revenue"])) for kind in ("attributed", "other")]
    return *kinds, labels


async def test_the_shops_word_takes_the_place_of_a_strangers_with_all_that_hung_on_it(shopper: Shopper, database: redis.Redis) -> None:
    stranger, person = await clicked(shopper, "Evil", "x"), await clicked(shopper, "Real")
    await sell(shopper, PUBLIC, products=[{"id": "x", "price": 7}], visitor=stranger["token"], email=SQUATTER, customer="66")
    assert (await order(shopper))["verified"] is False
    assert figures(await read(shopper, "labels?days=1")) == ((1, 7), (0, 0), {"Evil": (1, 7), "Real": (0, 0)})
    await sell(shopper, PRIVATE, visitor=person["token"], email=BUYER)
    told = await order(shopper)
    shown = [told[name] for name in ("verified", "visitor", "revenue", "labels")]
    assert shown == [True, person["visitor"], "50", ["Real"]]
    assert figures(await read(shopper, "labels?days=1")) == ((1, 50), (0, 0), {"Evil": (0, 0), "Real": (1, 50)})
    assert await shopper.visitors(email=SQUATTER) == await shopper.visitors(customer="66") == []
    assert [one["visitor"] for one in await shopper.visitors(email=BUYER)] == [person["visitor"]]
    exported = (await shopper.post("/v1/exports", {"email": SQUATTER, "unproven": True})).json()
    assert exported == {"visitors": [], "unproven": [], "orders": []}
    events = (await shopper.post("/v1/events", {"visitor": stranger["visitor"]})).json()["events"]
    assert [event["type"] for event in events] == ["click"]
    assert len((await shopper.post("/v1/exports", {"visitor": stranger["visitor"]})).json()["orders"]) == 0
    assert [field for key in database.scan_iter("*:E:*") for field in database.hkeys(key) if str(field).startswith("$")] != []


async def test_the_first_word_of_either_kind_stands(shopper: Shopper) -> None:
    await sell(shopper, PUBLIC, products=[{"id": "x", "price": 1}])
    await sell(shopper, PUBLIC, products=[{"id": "x", "price": 2}])
    assert ((await order(shopper))["revenue"], (await order(shopper))["verified"]) == ("1", False)
    await sell(shopper, PRIVATE, products=[{"id": "x", "price": 3}])
    for key in (PRIVATE, PUBLIC):
        await sell(shopper, key, products=[{"id": "x", "price": 4}], email=BUYER, visitor="other")
    told = await order(shopper)
    assert (told["revenue"], told["verified"], told["visitor"]) == ("3", True, None)
    assert await shopper.visitors(email=BUYER) == []
    assert figures(await read(shopper, "labels?days=1"))[:2] == ((0, 0), (1, 3))


async def test_a_shop_that_is_silent_on_the_visitor_leaves_the_browsers_session(shopper: Shopper, clock: Clock) -> None:
    """By its token alone, and with its time: a bare ID proves nothing."""
    person = await clicked(shopper, "Real")
    await sell(shopper, PUBLIC, products=[{"id": "real", "price": 1}], visitor=person["token"])
    before = await order(shopper)
    clock.forward(3_600)
    await sell(shopper, PRIVATE, email=BUYER)
    told = await order(shopper)
    assert told == before | {"verified": True, "revenue": "50", "products": told["products"]}
    assert [(one["visitor"], one["proof"]) for one in await shopper.visitors(email=BUYER)] == [(person["visitor"], "token")]


@pytest.mark.parametrize("who", ["a bare ID", "null", "gone"])
async def test_a_session_stays_only_where_it_may(shopper: Shopper, clock: Clock, who: str) -> None:
    person = await clicked(shopper, "Real")
    named = "raw-1" if who == "a bare ID" else person["token"]
    await sell(shopper, PUBLIC, products=[{"id": "real", "price": 1}], visitor=named)
    clock.forward(3_600)
    if who == "gone":
        await shopper.post("/v1/consents", {"token": person["token"], "consent": "refused"})
    await sell(shopper, PRIVATE, email=BUYER, **({"visitor": None} if who == "null" else {}))
    told = await order(shopper)
    assert (told["visitor"], told["revenue"], told["verified"]) == (None, "50", True)
    assert told["time"] == "2026-11-18T12:06:40Z"
    assert await shopper.visitors(email=BUYER) == []


async def test_a_link_that_something_else_made_too_stays(shopper: Shopper, clock: Clock) -> None:
    person = await clicked(shopper, "Real")
    await shopper.post("/v2/log/email", {"email": SQUATTER, "visitor": person["token"]}, key=PUBLIC)
    clock.forward(5)
    await sell(shopper, PUBLIC, products=[{"id": "x", "price": 0}], visitor=person["token"], email=SQUATTER)
    await sell(shopper, PRIVATE, visitor=person["token"], email=BUYER)
    for email in (SQUATTER, BUYER):
        assert [one["visitor"] for one in await shopper.visitors(email=email)] == [person["visitor"]]


async def test_the_same_buyer_told_twice_keeps_one_event_and_one_link(shopper: Shopper, clock: Clock) -> None:
    person = await clicked(shopper, "Real")
    await sell(shopper, PUBLIC, visitor=person["token"], email=BUYER)
    clock.forward(60)
    await sell(shopper, PRIVATE, visitor=person["token"], email=BUYER)
    events = (await shopper.post("/v1/events", {"visitor": person["visitor"]})).json()["events"]
    assert [event["type"] for event in events] == ["sale", "click"]
    assert [one["proof"] for one in await shopper.visitors(email=BUYER)] == ["key"]
    await shopper.post("/v1/erasures", {"email": BUYER})
    assert (await order(shopper))["visitor"] is None
