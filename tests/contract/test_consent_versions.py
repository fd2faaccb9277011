"""When a shop changes its text: which yeses count for the new one."""

from typing import Any

import pytest

from identity_service.ops.check import faults
from identity_service.settings.load import load
from tests.conftest import START, Clock, Shopper, shopping

pytestmark = pytest.mark.anyio
BOTH = {"storage": "granted", "measurement": "granted"}


async def mode_of(shopper: Shopper, path: str, body: dict[str, Any], **headers: str) -> tuple[str, str]:
    told = (await shopper.post(path, body, **headers)).json()
    return told["mode"], told["decision"]["reason"]


ASKED_AGAIN = ("cookieless", "no_signal")
GRANTED = ("persistent", "consent_granted")


async def test_a_stored_yes_to_another_text_asks_again_and_a_yes_said_now_counts(environment: dict[str, str], clock: Clock) -> None:
    version = "IDENTITY_SHOPS__DEMO__CONSENT_VERSION"
    given = {}
    async with shopping(load("development", environment | {version: "1"}), clock) as shop:
        for name in ("1", "2", None):
            consent = {"purposes": BOTH} | ({"policy_version": name} if name else {})
            answer = (await shop.post("/v1/consents", {"consent": consent})).json()
            assert (answer["mode"], answer["receipt"]["policy_version"]) == ("persistent", name or "1")
            given[name] = answer["token"]
        assert [await mode_of(shop, "/v1/visitors", {"token": given[name]}) for name in ("1", None)] == [GRANTED, GRANTED]
    clock.forward(3_600)
    async with shopping(load("development", environment | {version: "2"}), clock) as shop:
        assert [await mode_of(shop, "/v1/visitors", {"token": token}) for token in given.values()] == [ASKED_AGAIN, GRANTED, ASKED_AGAIN]
        again = (await shop.post("/v1/consents", {"consent": "granted", "token": given["1"]})).json()
        assert (again["mode"], again["receipt"]["policy_version"]) == ("persistent", "2")
        assert await mode_of(shop, "/v1/visitors", {"token": again["token"]}) == GRANTED


async def test_a_yes_dated_after_the_text_changed_counts_whatever_it_names(environment: dict[str, str], clock: Clock) -> None:
    shop_wants = {"IDENTITY_SHOPS__DEMO__CONSENT_VERSION": "2", "IDENTITY_SHOPS__DEMO__CONSENT_VERSION_SINCE": "2026-11-10T00:00:00Z"}
    async with shopping(load("development", environment | shop_wants), clock) as shop:
        for day, expected in (("2026-11-09", ASKED_AGAIN), ("2026-11-11", GRANTED)):
            dated = {"purposes": BOTH, "decided_at": f"{day}T12:00:00Z"}
            for path in ("/v1/visitors", "/v1/consents"):
                assert await mode_of(shop, path, {"consent": dated}) == expected
                assert await mode_of(shop, path, {"consent": dated | {"policy_version": "1"}}) == expected
                assert await mode_of(shop, path, {"consent": dated | {"policy_version": "2"}}) == GRANTED
        assert await mode_of(shop, "/v1/visitors", {"consent": {"purposes": BOTH, "policy_version": "1"}}) == ASKED_AGAIN
        assert await mode_of(shop, "/v1/visitors", {"consent": {"purposes": BOTH, "policy_version": "2"}}) == GRANTED
        assert await mode_of(shop, "/v1/visitors", {"consent": {"purposes": BOTH}}) == ASKED_AGAIN
        stored = (await shop.post("/v1/consents", {"consent": {"purposes": BOTH, "policy_version": "1"}})).json()
        assert await mode_of(shop, "/v1/visitors", {"token": stored["token"]}) == GRANTED


async def test_a_text_that_is_not_shown_yet_changes_nothing(environment: dict[str, str], clock: Clock) -> None:
    shop_wants = {"IDENTITY_SHOPS__DEMO__CONSENT_VERSION": "2", "IDENTITY_SHOPS__DEMO__CONSENT_VERSION_SINCE": "2026-11-19T00:00:00Z"}
    async with shopping(load("development", environment | shop_wants), clock) as shop:
        given = (await shop.post("/v1/consents", {"consent": "granted"})).json()
        assert given["receipt"]["policy_version"] is None
        assert await mode_of(shop, "/v1/visitors", {"token": given["token"]}) == GRANTED
        clock.forward(86_400)
        assert await mode_of(shop, "/v1/visitors", {"token": given["token"]}) == ASKED_AGAIN


async def test_a_banners_cookie_of_another_text_asks_again_and_its_refusal_stands(environment: dict[str, str], clock: Clock) -> None:
    shop_wants = {"IDENTITY_SHOPS__DEMO__CONSENT_VERSION": "2", "IDENTITY_SHOPS__DEMO__BANNER_COOKIES": "cookiebot"}
    cookie = "CookieConsent={{stamp:'a',necessary:true,statistics:{},method:'explicit',ver:{},utc:{}}}"
    async with shopping(load("development", environment | shop_wants), clock) as shop:
        for yes, version, expected in (("true", 1, ASKED_AGAIN), ("true", 2, GRANTED), ("false", 1, ("null", "consent_refused"))):
            assert await mode_of(shop, "/v1/visitors", {}, cookie=cookie.format(yes, version, int(START * 1000) - 3_600_000)) == expected


async def test_a_late_repeat_of_a_yes_counts_only_while_it_is_minutes_old(environment: dict[str, str], clock: Clock) -> None:
    async with shopping(load("development", environment | {"IDENTITY_SHOPS__DEMO__CONSENT_VERSION": "2"}), clock) as shop:
        for minutes, expected in ((4, GRANTED), (6, ASKED_AGAIN)):
            assert await mode_of(shop, "/v1/consents", {"consent": "granted", "age_ms": minutes * 60_000}) == expected


def test_a_version_without_sense_is_named(environment: dict[str, str]) -> None:
    wrong = {"IDENTITY_SHOPS__DEMO__CONSENT_VERSION_SINCE": "yesterday"}
    assert {".".join(fault.name) for fault in faults(load("development", environment | wrong))} == {"shops.demo.consent_version_since"}
    assert len(faults(load("development", environment | wrong))) == 2


async def test_what_is_logged_under_a_yes_to_another_text_has_no_session(environment: dict[str, str], clock: Clock) -> None:
    version = "IDENTITY_SHOPS__DEMO__CONSENT_VERSION"
    async with shopping(load("development", environment | {version: "1"}), clock) as shop:
        given = (await shop.post("/v1/consents", {"consent": "granted"})).json()
    async with shopping(load("development", environment | {version: "2"}), clock) as shop:
        sale = {"sale": "1", "products": [{"id": 1, "price": 5}], "email": "luke@skywalker.com"}
        for path, body in (("/v2/log/click", {"product": 1}), ("/v2/log/sale", sale), ("/v2/log/email", {"email": "leia@example.com"})):
            assert (await shop.post(path, body | {"visitor": given["token"]})).json() == {"status": "ok"}
        assert (await shop.post("/v1/events", {"visitor": given["visitor"]})).json()["events"] == []
        assert [await shop.visitors(email=email) for email in ("luke@skywalker.com", "leia@example.com")] == [[], []]
        assert (await shop.client.get("/v1/orders/1", headers={"authorization": "Bearer demo-private-key"})).json()["revenue"] == "5"


@pytest.fixture
async def of_version_1(environment: dict[str, str], clock: Clock) -> dict[str, dict[str, Any]]:
    """Persistent visitors by their links: each one's email is linked where links are granted."""
    given: dict[str, dict[str, Any]] = {}
    async with shopping(load("development", environment | {"IDENTITY_SHOPS__DEMO__CONSENT_VERSION": "1"}), clock) as shop:
        for linking in ("granted", "refused"):
            given[linking] = (await shop.post("/v1/consents", {"consent": {"purposes": BOTH | {"linking": linking}}})).json()
        await shop.post("/v1/links", {"email": "luke@skywalker.com", "token": given["granted"]["token"]})
    clock.forward(3_600)
    return given


async def test_a_yes_to_another_text_is_nowhere_a_persistent_visitor(
    environment: dict[str, str], clock: Clock, of_version_1: dict[str, dict[str, Any]]
) -> None:
    given = of_version_1["granted"]
    named = ({"token": given["token"]}, {"visitor": given["visitor"]})
    async with shopping(load("development", environment | {"IDENTITY_SHOPS__DEMO__CONSENT_VERSION": "2"}), clock) as shop:
        assert (await shop.post("/v1/verifications", named[0])).json() == {"valid": False, "reason": "expired"}
        for who in named:
            linked = await shop.post("/v1/links", who | {"email": "leia@example.com"})
            assert (linked.status_code, linked.json()["code"]) == (409, "consent_required")
        for path, body in (("/v2/log/click", {"product": 1}), ("/v2/log/email", {"email": "leia@example.com"})):
            assert (await shop.post(path, body | named[1])).json() == {"status": "ok"}
        assert (await shop.post("/v1/events", named[1])).json()["events"] == []
        assert await shop.visitors(email="leia@example.com") == []
        for asked in ({"email": "luke@skywalker.com"}, named[1]):
            assert [one["mode"] for one in await shop.visitors(**asked)] == ["null"]
        again = (await shop.post("/v1/consents", {"consent": "granted", "token": given["token"]})).json()
        assert again["visitor"] == given["visitor"]
        assert [one["mode"] for one in await shop.visitors(email="luke@skywalker.com")] == ["persistent"]


async def test_links_that_were_refused_under_another_text_stay_refused(
    environment: dict[str, str], clock: Clock, of_version_1: dict[str, dict[str, Any]]
) -> None:
    async with shopping(load("development", environment | {"IDENTITY_SHOPS__DEMO__CONSENT_VERSION": "2"}), clock) as shop:
        told = (await shop.post("/v1/visitors", {"token": of_version_1["refused"]["token"]})).json()
        assert (told["mode"], told["linkable"]) == ("cookieless", False)
        linked = await shop.post("/v1/links", {"token": told["token"], "email": "leia@example.com"})
        assert (linked.status_code, linked.json()["code"]) == (409, "consent_required")
        allowed = (await shop.post("/v1/visitors", {"token": of_version_1["granted"]["token"]})).json()
        assert (allowed["mode"], allowed["linkable"]) == ("cookieless", True)


async def test_a_late_yes_that_is_older_than_the_text_was_given_to_another(environment: dict[str, str], clock: Clock) -> None:
    minute_ago = {"IDENTITY_SHOPS__DEMO__CONSENT_VERSION": "2", "IDENTITY_SHOPS__DEMO__CONSENT_VERSION_SINCE": "2026-11-18T11:05:40Z"}
    async with shopping(load("development", environment | minute_ago), clock) as shop:
        for age, expected in ((30_000, GRANTED), (90_000, ASKED_AGAIN)):
            assert await mode_of(shop, "/v1/consents", {"consent": "granted", "age_ms": age}) == expected
