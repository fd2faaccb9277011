"""Calls that overtake each other, or that somebody sends to take what is another's."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx2 as httpx
import pytest
import redis

from identity_service.app import Application
from identity_service.settings.load import load
from tests.conftest import Clock, Shopper
from tests.contract.test_provisional_orders import BUYER, PRIVATE, PUBLIC, SQUATTER, clicked, sell
from tests.security.test_removals_cut_short import cut_off_erasure, links_key, repaired, shopper_of

pytestmark = pytest.mark.anyio


async def test_a_public_key_does_not_take_a_private_keys_link_by_a_refusal_under_a_bare_id(shopper: Shopper) -> None:
    await shopper.post("/v1/links", {"email": BUYER, "visitor": "own-1"})
    body = {"visitor": "own-1", "consent": {"purposes": {"linking": "refused"}}}
    for path in ("/v1/visitors", "/v1/consents"):
        await shopper.browser(path, body)
    assert [one["visitor"] for one in await shopper.visitors(email=BUYER)] == ["own-1"]


@pytest.mark.parametrize("odd", ["\u0000", "\u2028", '"]}', "\\u", "]", "e" * 200])
async def test_an_odd_result_costs_no_click(shopper: Shopper, odd: str) -> None:
    person = await clicked(shopper, "Real")
    told = {"labels": [f"L{odd}"], "products": [f"p{odd}", 10**250, 1], "api": f"a{odd}", "visitor": person["token"]}
    await shopper.post("/v2/log/results", told, key=PUBLIC)
    for product in (1, 2, f"p{odd}", 10**250):
        answer = await shopper.post("/v2/log/click", {"product": product, "visitor": person["token"]}, key=PUBLIC)
        assert answer.status_code in {200, 400, 422}, answer.text


async def test_one_erasure_that_cannot_go_on_keeps_no_other_waiting(
    application: Application, shopper: Shopper, clock: Clock, database: redis.Redis
) -> None:
    """An operator's typo in one handle's links, while its erasure is noted: repair, rewrite and sweep go on for all else."""
    person = await clicked(shopper, "Real")
    await shopper.post("/v1/links", {"email": SQUATTER, "visitor": "own-1"})
    await shopper.post("/v1/links", {"email": BUYER, "visitor": person["visitor"]})
    await cut_off_erasure(application, shopper, SQUATTER)
    clock.forward(1)
    await cut_off_erasure(application, shopper, BUYER)
    database.hset(links_key(application, SQUATTER), "own-1", "typo")
    with suppress(ValueError):
        await repaired(application, database, clock)
    assert (await shopper.post("/v1/events", {"visitor": person["visitor"]})).json()["events"] == []


@pytest.fixture
async def wide(environment: dict[str, str], clock: Clock) -> AsyncIterator[Application]:
    made = Application(load("development", environment | {"IDENTITY_LIMITS__VISITORS_PER_HANDLE": "200"}), clock)
    yield made
    await made.services.store.client.close()


async def test_orders_of_one_email_at_once_are_not_refused_for_those_who_have_to_give_way(wide: Application, clock: Clock) -> None:
    """One address for all guests, whose room strangers filled with their own tokens; every order has to displace one of them."""
    shopper = shopper_of(wide)
    for _ in range(100):
        person = (await shopper.post("/v1/consents", {"consent": "granted"})).json()
        await shopper.post("/v2/log/email", {"email": BUYER, "visitor": person["token"]}, key=PUBLIC)
    for number in range(100):
        await shopper.post("/v1/links", {"email": BUYER, "visitor": f"k-{number}"})

    async def one(number: int) -> int:
        body = {"sale": f"G-{number}", "products": [1], "visitor": f"guest-{number}", "email": BUYER}
        answer: httpx.Response = await shopper.post("/v2/log/sale", body, key=PRIVATE)
        return answer.status_code

    assert set(await asyncio.gather(*(one(number) for number in range(60)))) == {200}


async def test_a_withdrawal_of_a_squatting_visitor_leaves_the_shops_order_its_email(shopper: Shopper) -> None:
    """The shop's server says the order of a buyer, and is silent on the session; a stranger took its number with a token of its own."""
    stranger = await clicked(shopper, "Evil", "x")
    await sell(shopper, PUBLIC, visitor=stranger["token"])
    await sell(shopper, PRIVATE, email=BUYER)
    await shopper.browser("/v1/consents", {"token": stranger["token"], "consent": "refused"})
    exported = (await shopper.post("/v1/exports", {"email": BUYER})).json()
    assert [one["sale"] for one in exported["orders"]] == ["A-1"]


async def test_an_order_that_replaces_one_of_the_same_visitor_does_not_end_the_session(shopper: Shopper, clock: Clock) -> None:
    """The newest event tells whether a cookieless session outlives midnight: the older time of a replaced order must not stand there."""
    clock.now = clock.now - clock.now % 86_400 + 86_400 - 1_200
    person = (await shopper.browser("/v1/visitors")).json()
    await sell(shopper, PUBLIC, visitor=person["token"])
    clock.forward(1_500)
    await shopper.post("/v2/log/product", {"product": 1, "visitor": person["token"]}, key=PUBLIC)
    clock.forward(600)
    await sell(shopper, PRIVATE, visitor=person["token"])
    clock.forward(60)
    again = (await shopper.browser("/v1/visitors", {"token": person["token"]})).json()
    assert again["visitor"] == person["visitor"]
