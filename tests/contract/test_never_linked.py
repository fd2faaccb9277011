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
