"""Orders whose numbers somebody takes in advance with a public key, in every way that could cost the shop or a person something."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from identity_service.app import Application
from identity_service.settings.load import load
from tests.conftest import Clock, Shopper, shopping
from tests.contract.test_provisional_orders import BUYER, PRIVATE, PUBLIC, SQUATTER, clicked, figures, order, read, sell

pytestmark = pytest.mark.anyio


async def events(shopper: Shopper, visitor: str) -> list[str]:
    return [one["type"] for one in (await shopper.post("/v1/events", {"visitor": visitor})).json()["events"]]


@pytest.mark.parametrize("how", ["withdrawn", "erased by email"])
async def test_figures_after_the_former_visitor_went_in_between(shopper: Shopper, how: str) -> None:
    """A credit that was counted is taken back although its visitor, and so the stored attribution, went meanwhile."""
    first, second = await clicked(shopper, "Real"), await clicked(shopper, "Real")
    await sell(shopper, PUBLIC, visitor=first["token"], email=SQUATTER)
    if how == "withdrawn":
        await shopper.post("/v1/consents", {"token": first["token"], "consent": "refused"})
    else:
        await shopper.post("/v1/erasures", {"email": SQUATTER})
    await sell(shopper, PRIVATE, visitor=second["token"], email=BUYER)
    assert figures(await read(shopper, "labels?days=1")) == ((1, 50), (0, 0), {"Real": (1, 50)})


async def test_figures_of_a_product_with_a_long_number(shopper: Shopper) -> None:
    number = 10**20
    person = await clicked(shopper, "Real", str(number))
    await sell(shopper, PUBLIC, visitor=person["token"], products=[{"id": number, "price": 7}])
    await sell(shopper, PRIVATE, visitor=person["token"], products=[{"id": number, "price": 50}])
    assert figures(await read(shopper, "labels?days=1")) == ((1, 50), (0, 0), {"Real": (1, 50)})
    assert await events(shopper, person["visitor"]) == ["sale", "click"]


async def test_a_squatted_number_with_a_huge_sum_leaves_the_others_figures(shopper: Shopper) -> None:
    await sell(shopper, PRIVATE, sale="B-1", products=[{"id": "real", "price": 100}])
    await read(shopper, "labels?days=1")
    await sell(shopper, PUBLIC, products=[{"id": "x", "price": 1_000_000_000, "quantity": 1_000_000}])
    await read(shopper, "labels?days=1")
    await sell(shopper, PRIVATE)
    assert figures(await read(shopper, "labels?days=1"))[1] == (2, 150)


async def test_an_order_counted_in_the_next_hour_is_taken_back_there(
    shopper: Shopper, application: Application, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call takes a second, across the end of an hour; then the shop's word comes within a day, when the first hour is out of sight."""
    clock.now = clock.now - clock.now % 3600 + 3599.9
    store, write = application.services.store.sales, application.services.store.sales.sell

    async def slow(*asked: Any) -> Any:
        answer = await write(*asked)
        clock.forward(1)
        return answer

    with monkeypatch.context() as slowly:
        slowly.setattr(store, "sell", slow)
        await sell(shopper, PUBLIC)
    clock.forward(10)
    await sell(shopper, PRIVATE, products=[{"id": "real", "price": 60}])
    found = await application.services.figures.hours(next(iter(application.services.shops)), 7200)
    counted = [counts.get("orders all", 0) for counts in found.values()]
    assert min(counted) >= 0, counted


async def test_the_event_of_a_sale_under_a_typed_id_goes_with_it(shopper: Shopper) -> None:
    await sell(shopper, PUBLIC, clerk_visitor="victim-1")
    await sell(shopper, PRIVATE, visitor="other-1")
    assert await events(shopper, "victim-1") == []


@pytest.mark.parametrize("by", ["link", "sale"])
async def test_taking_back_leaves_a_link_that_a_private_key_made_in_the_same_second(shopper: Shopper, by: str) -> None:
    if by == "link":
        await shopper.post("/v1/links", {"email": BUYER, "visitor": "buyer-1"})
    else:
        await sell(shopper, PRIVATE, sale="B-1", visitor="buyer-1", email=BUYER)
    await sell(shopper, PUBLIC, visitor="buyer-1", email=BUYER)
    await sell(shopper, PRIVATE, visitor="other-1")
    assert [(one["visitor"], one["proof"]) for one in await shopper.visitors(email=BUYER)] == [("buyer-1", "key")]


async def test_a_squatter_with_a_bare_id_does_not_date_the_shops_order(shopper: Shopper, clock: Clock) -> None:
    """A bare ID proves nothing: neither the time nor the lost clicks may come from the stranger's word."""
    person = await clicked(shopper, "Early", "x")
    await sell(shopper, PUBLIC, visitor=person["visitor"])
    clock.forward(3_600)
    await shopper.post("/v2/log/click", {"product": "real", "labels": ["Real"], "visitor": person["token"]})
    clock.forward(60)
    await sell(shopper, PRIVATE, visitor=person["token"])
    assert (await order(shopper))["labels"] == ["Real"]


@pytest.fixture
async def small(environment: dict[str, str], clock: Clock) -> AsyncIterator[Shopper]:
    caps = {"IDENTITY_LIMITS__VISITORS_PER_HANDLE": "4", "IDENTITY_LIMITS__EMAILS_PER_VISITOR": "4"}
    async with shopping(load("development", environment | caps), clock) as found:
        yield found


async def test_a_cookieless_session_that_has_ended_is_not_begun_again(shopper: Shopper, clock: Clock) -> None:
    """The shop's nightly word, days after: the order may be the session's, but nothing new hangs on an ID whose salt is destroyed."""
    person = (await shopper.browser("/v1/visitors")).json()
    assert person["mode"] == "cookieless"
    await sell(shopper, PUBLIC, visitor=person["token"])
    assert (await order(shopper))["visitor"] == person["visitor"]
    clock.forward(9 * 86_400)
    await sell(shopper, PRIVATE, email=BUYER)
    assert await shopper.visitors(email=BUYER) == []


async def test_a_persistent_visitor_that_has_expired_is_not_begun_again(shopper: Shopper, clock: Clock) -> None:
    person = await clicked(shopper, "Real")
    clock.forward(380 * 86_400)
    await sell(shopper, PUBLIC, visitor=person["token"])
    assert (await order(shopper))["visitor"] == person["visitor"]
    clock.forward(50 * 86_400)  # its record has ended by now, and the sale has not
    await sell(shopper, PRIVATE, email=BUYER)
    assert await shopper.visitors(email=BUYER) == []


@pytest.mark.parametrize("who", ["the browser's call", "the shop's call"])
async def test_what_stood_in_markup_proves_nothing_however_often_it_is_said(shopper: Shopper, who: str) -> None:
    """A token in a page's markup may be anybody's; the session that is left by it must not be linked as by a token."""
    person = await clicked(shopper, "Real")
    public, private = ({"markup": True}, {}) if who == "the browser's call" else ({}, {"markup": True})
    await sell(shopper, PUBLIC, visitor=person["token"], **public)
    await sell(shopper, PRIVATE, email=BUYER, **private)
    assert [one["proof"] for one in await shopper.visitors(email=BUYER)] in ([], ["none"])


async def test_figures_of_a_day_are_those_of_its_orders(shopper: Shopper, clock: Clock) -> None:
    """The shop's nightly word keeps the order's time; its figures stay in that hour, too."""
    person = await clicked(shopper, "Real")
    await sell(shopper, PUBLIC, visitor=person["token"])
    before = (await order(shopper))["time"]
    clock.forward(2 * 86_400)
    await sell(shopper, PRIVATE)
    assert (await order(shopper))["time"] == before
    assert figures(await read(shopper, "labels?days=1"))[0] == (0, 0)
    assert figures(await read(shopper, "labels?days=3"))[0] == (1, 50)
