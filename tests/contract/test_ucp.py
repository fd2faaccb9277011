"""Consent that comes with an agent's order: state of the buyer, conveyed by a platform; never said now, never the person's own word."""

from typing import Any

import pytest

from identity_service.model.consent import BannerContext, Choice, Millis, Signal
from identity_service.model.shop import SignalRules
from identity_service.signals.reader import Delivery, Reader
from tests.conftest import START, Clock, Shopper

pytestmark = pytest.mark.anyio
VERSION = {"ucp": {"version": "2026-08-25"}}
NOW = Millis(int(START * 1000))
POSTED = Delivery()
CHOICE = "__Host-visitor-choice"


def consent(granted: Any, source: Any = "platform", purpose: str = "analytics", **more: Any) -> dict[str, Any]:
    told = {f"dev.ucp.consent.{purpose}": {"granted": granted, "source": source, "description": "…", **more}}
    return {"dev.ucp.consent.preferences": {"granted": True, "source": "business", "description": "…"}} | told


def signals(event: dict[str, Any], delivery: Delivery = POSTED) -> tuple[Signal, ...]:
    return Reader(SignalRules(), NOW, {}, delivery).of_event("ucp", event)[0]


@pytest.mark.parametrize("delivery", [Delivery(), Delivery(said="now"), Delivery(said="remembered"), Delivery(age=5_000)])
@pytest.mark.parametrize("wrap", [lambda told: {"buyer": {"consent": told}}, lambda told: {"consent": told}, lambda told: told])
def test_it_is_state_wherever_it_stands_and_whatever_its_sender_says(wrap: Any, delivery: Delivery) -> None:
    for granted, choice in ((True, Choice.GRANTED), (False, Choice.REFUSED)):
        [found] = signals(wrap(consent(granted)), delivery)
        assert (found.source, found.choice, found.said_now, found.told_now, found.remembered) == ("ucp", choice, False, False, True)


@pytest.mark.parametrize(
    "told",
    [
        {},
        consent(True, "business"),
        consent(False, "business"),
        consent(True, None),
        consent("true"),
        consent(None),
        consent(True, purpose="marketing"),
        {"analytics": True, "sale_of_data": False},
        {"dev.ucp.consent.analytics": True},
        {"dev.ucp.consent.analytics": {"granted": True}},
        {"dev.ucp.consent.analytics": {"segments": {"x": {"granted": True, "source": "platform"}}}},
    ],
)
def test_a_default_of_the_business_and_what_names_nobody_are_no_choice(told: dict[str, Any]) -> None:
    assert all(one.choice is None and not one.sale_share_opt_out for one in signals({"buyer": {"consent": told}}))


def test_only_what_is_said_about_consent_is_digested_and_the_platform_is_named() -> None:
    [one] = signals(VERSION | {"platform": "chatgpt.com", "buyer": {"email": "luke@skywalker.com", "consent": consent(True)}})
    [other] = signals(VERSION | {"platform": "chatgpt.com", "id": "order-7", "buyer": {"email": "leia@org.com", "consent": consent(True)}})
    assert (one.raw_digest, one.banner) == (other.raw_digest, BannerContext("2026-08-25", None, "chatgpt.com"))
    [unnamed] = signals({"buyer": {"consent": consent(True)}})
    assert unnamed.banner == BannerContext(None, None, "platform")


def test_a_refused_sale_opts_out() -> None:
    [one] = signals({"consent": consent(False, purpose="sale_or_sharing")})
    assert (one.choice, one.sale_share_opt_out) == (None, True)


async def test_its_receipt_says_that_a_platform_conveyed_it(shopper: Shopper) -> None:
    event = VERSION | {"platform": "chatgpt.com", "buyer": {"consent": consent(True)}}
    answer = (await shopper.post("/v1/consents/ucp", event)).json()
    receipt = answer["receipt"]
    assert (answer["mode"], answer["decision"]["signal"]) == ("persistent", "ucp")
    assert (receipt["basis"], receipt["source"], receipt["banner"]["method"]) == ("platform", "ucp", "chatgpt.com")
    assert (await shopper.post("/v1/receipts/verifications", {"receipt": receipt})).json()["valid"] is True
    assert (await shopper.post("/v1/receipts/verifications", {"receipt": receipt | {"basis": "person"}})).json()["valid"] is False
    refused = (await shopper.post("/v1/consents/ucp", {"buyer": {"consent": consent(False)}, "token": answer["token"]})).json()
    assert (refused["mode"], refused["receipt"]["basis"], refused["receipt"]["event"]) == ("null", "platform", "withdrawn")


async def test_it_overrides_no_refusal_of_the_person(shopper: Shopper, clock: Clock) -> None:
    cookie = f"{CHOICE}=refused.{int(clock.now) // 60 - 60}"
    for said in ({}, {"said": "now"}):
        answer = await shopper.post("/v1/consents/ucp", {"buyer": {"consent": consent(True)}} | said, cookie=cookie)
        assert (answer.json()["mode"], answer.json()["decision"]["reason"]) == ("null", "consent_refused")


async def test_with_an_agents_own_call_it_grants_nothing(shopper: Shopper) -> None:
    agent = {"client": {"agent": {"name": "chatgpt.com", "verified": True}}}
    answer = (await shopper.post("/v1/consents/ucp", {"buyer": {"consent": consent(True)}} | agent)).json()
    assert (answer["mode"], answer["decision"]["reason"], answer["receipt"]) == ("null", "agent", None)
