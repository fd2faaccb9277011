"""Clocks that jump: what a person says now is never older than what a faster clock has written."""

from typing import Any

import pytest

from tests.conftest import Clock, Shopper

pytestmark = pytest.mark.anyio

GRANTED = {"purposes": {"storage": "granted", "measurement": "granted"}}
BACK = pytest.mark.parametrize("seconds", [0.5, 3_600, 86_400])


async def granted(shopper: Shopper, visitor: str) -> str:
    answer = await shopper.post("/v1/consents", {"visitor": visitor, "consent": GRANTED})
    assert answer.json()["mode"] == "persistent"
    token: str = answer.json()["token"]
    return token


@BACK
@pytest.mark.parametrize("path", ["/v1/consents", "/v1/visitors"])
@pytest.mark.parametrize("names", ["token", "visitor"])
async def test_a_refusal_withdraws_a_grant_of_a_faster_clock(shopper: Shopper, clock: Clock, path: str, names: str, seconds: float) -> None:
    token = await granted(shopper, "v1")
    assert (await shopper.post("/v1/links", {"email": "a@example.com", "token": token})).status_code == 200
    clock.forward(-seconds)
    answer = await shopper.post(path, {names: token if names == "token" else "v1", "consent": "refused"})
    assert (answer.json()["mode"], answer.json()["decision"]["reason"]) == ("null", "consent_refused")
    assert await shopper.visitors(email="a@example.com") == []
    assert (await shopper.post("/v1/verifications", {"token": token})).json() == {"valid": False, "reason": "withdrawn"}


@BACK
@pytest.mark.parametrize("consent", [{"purposes": {"linking": "refused"}}, {"purposes": GRANTED["purposes"] | {"linking": "refused"}}])
async def test_a_refusal_of_linking_ends_the_links_of_a_faster_clock(
    shopper: Shopper, clock: Clock, consent: dict[str, Any], seconds: float
) -> None:
    token = await granted(shopper, "v1")
    assert (await shopper.post("/v1/links", {"email": "a@example.com", "token": token})).status_code == 200
    clock.forward(-seconds)
    answer = await shopper.post("/v1/consents", {"visitor": "v1", "consent": consent})
    assert (answer.json()["mode"], answer.json()["linkable"]) == ("persistent", False)
    assert await shopper.visitors(email="a@example.com") == []
    assert (await shopper.post("/v1/links", {"email": "a@example.com", "token": token})).status_code == 409


async def test_a_withdrawal_of_a_faster_clock_stands_until_a_grant_that_is_later_by_it(shopper: Shopper, clock: Clock) -> None:
    await shopper.post("/v1/consents", {"visitor": "v1", "consent": "refused"})
    clock.forward(-60)
    early = await shopper.post("/v1/consents", {"visitor": "v1", "consent": GRANTED})
    assert (early.json()["mode"], early.json()["decision"]["reason"]) == ("null", "withdrawn")
    clock.forward(60.001)
    await granted(shopper, "v1")


@pytest.mark.parametrize("seconds", [3_600, 86_400])
async def test_tokens_of_a_faster_clock_are_good(shopper: Shopper, clock: Clock, seconds: float) -> None:
    clock.forward(seconds)
    tokens = [await granted(shopper, "v1")]
    tokens += [(await shopper.browser("/v1/visitors")).json()["token"], (await shopper.post("/v1/visitors")).json()["token"]]
    clock.forward(-seconds)
    for token in tokens:
        assert (await shopper.post("/v1/verifications", {"token": token})).json()["valid"]


async def test_a_window_that_a_clock_left_and_came_back_to_is_the_same(shopper: Shopper, clock: Clock) -> None:
    found = []
    for jump in (0, 3_600, -7_200, 86_400 + 3_600, -86_400):
        clock.forward(jump)
        found.append((await shopper.browser("/v1/visitors")).json()["visitor"])
    today, later, earlier, tomorrow, back = found
    assert today == later == earlier == back
    assert tomorrow != today


@BACK
async def test_an_erasure_takes_a_visitor_of_a_faster_clock_whole(shopper: Shopper, clock: Clock, seconds: float) -> None:
    token = await granted(shopper, "v1")
    assert (await shopper.post("/v1/links", {"email": "a@example.com", "token": token})).status_code == 200
    clock.forward(-seconds)
    answer = await shopper.post("/v1/erasures", {"email": "a@example.com"})
    assert answer.json()["erased"]["visitors"] == 1
    assert (await shopper.post("/v1/verifications", {"token": token})).json() == {"valid": False, "reason": "withdrawn"}
