"""Every banner over HTTP as a visitor meets it: first load, accept, change, partial, malformed, and its own cookie in contradiction."""

from typing import Any
from urllib.parse import quote

import pytest

from identity_service.signals.cmp import BANNERS
from tests.conftest import Clock, Shopper
from tests.signals.test_cmp import ABSENT_EVENTS, GRANTED_EVENTS, REFUSED_COOKIES, REFUSED_EVENTS

pytestmark = pytest.mark.anyio
DAYS = 5 * 86_400
"""The examples' own times are then past."""


def first_of(table: Any, source: str) -> Any:
    return next((event for name, event in table if name == source), None)


async def told(shopper: Shopper, source: str, event: dict[str, Any], **more: Any) -> dict[str, Any]:
    answer = await shopper.post(f"/v1/consents/{source}", event | more)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize("source", sorted(BANNERS))
async def test_accepting_grants_and_changing_ones_mind_withdraws(shopper: Shopper, clock: Clock, source: str) -> None:
    clock.forward(DAYS)
    nothing = await told(shopper, source, first_of(ABSENT_EVENTS, source))
    assert (nothing["mode"], nothing["receipt"]) == ("cookieless", None)
    accepted = await told(shopper, source, first_of(GRANTED_EVENTS, source))
    assert (accepted["mode"], accepted["decision"]["signal"]) == ("persistent", source)
    assert accepted["receipt"]["source"] == source
    undecided = await told(shopper, source, first_of(ABSENT_EVENTS, source), token=accepted["token"])
    assert undecided["visitor"] == accepted["visitor"]


@pytest.mark.parametrize("source", sorted(BANNERS))
async def test_a_refusal_withdraws_the_visitor_it_names(shopper: Shopper, clock: Clock, source: str) -> None:
    granted = (await shopper.post("/v1/consents", {"consent": "granted"})).json()
    clock.forward(DAYS)
    refused = await told(shopper, source, first_of(REFUSED_EVENTS, source), token=granted["token"])
    assert (refused["mode"], refused["visitor"]) == ("null", None)
    assert refused["decision"]["reason"] == "consent_refused"
    assert (await shopper.post("/v1/verifications", {"token": granted["token"]})).json()["reason"] == "withdrawn"


@pytest.mark.parametrize("source", sorted(BANNERS - {"usercentrics", "shopify", "didomi"}))
async def test_a_posted_grant_that_its_own_cookie_contradicts_is_none(shopper: Shopper, clock: Clock, source: str) -> None:
    """Not of the two that have no cookie, nor of Didomi, whose example is a server's webhook."""
    clock.forward(DAYS)
    cookies = first_of(REFUSED_COOKIES, source)
    header = "; ".join(f"{name}={value if '%' in value or ' ' not in value else quote(value)}" for name, value in cookies.items())
    event = first_of(GRANTED_EVENTS, source)
    assert (await shopper.browser(f"/v1/consents/{source}", event)).json()["mode"] == "persistent"
    contradicted = (await shopper.browser(f"/v1/consents/{source}", event, cookie=header)).json()
    assert (contradicted["mode"], contradicted["receipt"]) == ("cookieless", None)


@pytest.mark.parametrize("source", sorted(BANNERS))
@pytest.mark.parametrize("event", [{}, {"consent": 7}, {"purposes": "all"}, {"a": {"b": [[]]}}, {"type": None, "detail": "x"}])
async def test_a_malformed_event_is_absent(shopper: Shopper, source: str, event: dict[str, Any]) -> None:
    assert (await told(shopper, source, event))["mode"] == "cookieless"
