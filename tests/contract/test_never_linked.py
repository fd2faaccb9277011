"""Values that stand for many people are never linked, and can still be looked up and erased."""

from collections.abc import AsyncIterator

import pytest

from identity_service.ops.check import faults
from identity_service.settings.load import load
from tests.conftest import Clock, Shopper, shopping

pytestmark = pytest.mark.anyio

NAMED = {"IDENTITY_SHOPS__DEMO__NEVER_LINK": "kasse@, till@shop.example, walk-in"}
SALE = {"products": [{"id": 5, "price": 2.5}], "visitor": "own-1"}


@pytest.fixture
async def naming(environment: dict[str, str], clock: Clock) -> AsyncIterator[Shopper]:
    async with shopping(load("development", environment | NAMED), clock) as shopper:
        yield shopper


@pytest.mark.parametrize(
    ("member", "value", "linked"),
    [
        ("email", "Kasse@any.example", False),
        ("email", "kasse@straße.example", False),
        ("email", "TILL@shop.example ", False),
        ("email", "till@other.example", True),
        ("email", "kasse.nord@shop.example", True),
        ("customer", " walk-in", False),
        ("customer", "walk-in-2", True),
    ],
)
async def test_a_sale_is_kept_and_its_till_is_not_linked(naming: Shopper, member: str, value: str, linked: bool) -> None:
    answer = await naming.post("/v2/log/sale", {"sale": "1", member: value} | SALE)
    assert answer.json() == {"status": "ok"}
    assert [one["visitor"] for one in await naming.visitors(**{member: value})] == (["own-1"] if linked else [])
    [call] = (await naming.client.get("/v1/calls", headers={"authorization": "Bearer demo-private-key"})).json()["calls"]
    assert call.get("unread", []) == ([] if linked else [member])
    told = await naming.post("/v1/links", {member: value, "visitor": "own-2"})
    assert told.status_code == (200 if linked else 422)


@pytest.mark.parametrize("path", ["/v1/lookups", "/v1/exports", "/v1/erasures", "/v1/unlinks"])
async def test_what_was_linked_before_can_be_taken_back(naming: Shopper, path: str) -> None:
    body = {"email": "kasse@any.example"} | ({"visitor": "own-1"} if path == "/v1/unlinks" else {})
    assert (await naming.post(path, body)).status_code == 200


def test_a_value_that_can_be_nobodys_is_a_fault_of_the_settings() -> None:
    settings = load("development", {"IDENTITY_SHOPS__DEMO__NEVER_LINK": "walk-in, not@an email"})
    assert [str(one) for one in faults(settings)] == [
        "shops.demo.never_link: 'not@an email' is neither an email, nor its part up to the @, nor a customer ID"
    ]


CROWD = 100
"""Visitors of one handle that are more than one person has."""


async def crowded(shopper: Shopper) -> list[str]:
    """What health says of handles that stand for many people."""
    found = (await shopper.client.get("/v1/health/tracking", headers={"authorization": "Bearer demo-private-key"})).json()
    told: list[str] = [reason for reason in found["reasons"] if "never_link" in reason]
    assert not told or found["status"] != "green"
    return told


async def sell(shopper: Shopper, number: int, key: str = "demo-private-key") -> None:
    """An order of the till, by another visitor each."""
    body = {"sale": str(number), "products": [5], "visitor": f"own-{number}", "email": "till@shop.example"}
    assert (await shopper.post("/v2/log/sale", body, key=key)).json() == {"status": "ok"}


async def test_health_warns_of_a_handle_that_many_visitors_share(shopper: Shopper) -> None:
    for number in range(CROWD):
        await sell(shopper, number)
    assert await crowded(shopper) == []
    await shopper.post("/v1/links", {"email": "till@shop.example", "visitor": "own-7"})
    assert await crowded(shopper) == []
    await sell(shopper, CROWD)
    await shopper.post("/v1/links", {"email": "till@shop.example", "visitor": "own-200"})
    await shopper.post("/v2/log/email", {"email": "till@shop.example", "visitor": "own-201"})
    [reason] = await crowded(shopper)
    assert reason.startswith("3 links of the last day were to an email or customer ID with more visitors than one person has")
    assert "till" not in reason.replace("like that of a till", "")


async def test_many_orders_of_one_person_are_no_crowd(shopper: Shopper) -> None:
    for number in range(CROWD + 20):
        body = {"sale": str(number), "products": [5], "visitor": f"own-{number % 3}", "email": "luke@skywalker.com"}
        assert (await shopper.post("/v2/log/sale", body)).json() == {"status": "ok"}
    await shopper.post("/v1/links", {"email": "luke@skywalker.com", "visitor": "own-3"})
    assert await crowded(shopper) == []


async def test_visitors_whose_links_have_ended_are_no_crowd(shopper: Shopper, clock: Clock) -> None:
    for number in range(CROWD):
        await sell(shopper, number)
    clock.forward(86_400)
    await sell(shopper, CROWD)
    assert await crowded(shopper) == []


@pytest.mark.parametrize(("key", "most"), [("demo-private-key", CROWD), ("demo-public-key", 2 * CROWD)])
async def test_a_full_handle_is_crowded(environment: dict[str, str], clock: Clock, key: str, most: int) -> None:
    """Visitors that no private key linked fill half of a handle."""
    async with shopping(load("development", environment | {"IDENTITY_LIMITS__VISITORS_PER_HANDLE": str(most)}), clock) as shopper:
        for number in range(CROWD):
            await sell(shopper, number, key)
        assert await crowded(shopper) == []
        for number in range(CROWD, CROWD + 2):
            await sell(shopper, number, key)
        if key == "demo-private-key":
            assert (await shopper.post("/v1/links", {"email": "till@shop.example", "visitor": "own-200"})).status_code == 422
        else:
            await shopper.post("/v2/log/email", {"email": "till@shop.example", "visitor": "own-200"}, key=key)
        [reason] = await crowded(shopper)
        assert reason.startswith("3 links")
        assert len(await shopper.visitors(email="till@shop.example")) == CROWD


async def test_a_handle_where_others_give_way_is_crowded(environment: dict[str, str], clock: Clock) -> None:
    async with shopping(load("development", environment | {"IDENTITY_LIMITS__VISITORS_PER_HANDLE": str(2 * CROWD)}), clock) as shopper:
        for number in range(2 * CROWD):
            await sell(shopper, number, "demo-public-key" if number < CROWD else "demo-private-key")
        [before] = await crowded(shopper)
        for number in range(3):
            await sell(shopper, 2_000 + number)
        [after] = await crowded(shopper)
        assert int(after.split()[0]) - int(before.split()[0]) == 3
