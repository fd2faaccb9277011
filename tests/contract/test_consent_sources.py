"""What real banners say, over HTTP: standards, banners' events and cookies, their order, their contradictions, their end."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from identity_service.settings.load import load
from tests.conftest import START, Clock, Shopper, shopping
from tests.signals.tc_strings import canadian_bits, tc_string, text_of

pytestmark = pytest.mark.anyio
TODAY = datetime.fromtimestamp(START, UTC)
ACCEPT, REJECT = tc_string(updated=TODAY), tc_string(frozenset(), updated=TODAY)
CALIFORNIA = "DBABLA~CVQVAAAAAACA.YA"
OF_CANADA, OF_BOTH = "DBABD", "DBACMY"
"""Headers of GPP strings with section 5, and with 2 and 5."""
COOKIEBOT = "{{stamp:'a',necessary:true,preferences:false,statistics:{},marketing:false,method:'explicit',ver:1,utc:{},region:'it'}}"


def cookiebot(statistics: bool, at: float) -> str:
    return COOKIEBOT.format("true" if statistics else "false", int(at * 1000))


async def mode(shopper: Shopper, path: str, body: dict[str, Any], **headers: str) -> tuple[str, str | None]:
    answer = await shopper.post(path, body, **headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["mode"], answer.json()["decision"]["signal"]


async def test_a_tc_string_grants_and_refuses_in_both_spellings(shopper: Shopper) -> None:
    for text, expected in ((ACCEPT, "persistent"), (REJECT, "null")):
        assert await mode(shopper, "/v1/visitors", {"consent": {"tcf": {"tc_string": text}}}) == (expected, "tcf")
        event = {"tcString": text, "gdprApplies": True, "eventStatus": "useractioncomplete", "purpose": {"consents": {"1": True}}}
        assert await mode(shopper, "/v1/consents/tcf", event) == (expected, "tcf")


@pytest.mark.parametrize(
    "member",
    [
        {"tc_string": ACCEPT, "event_status": "cmpuishown"},
        {"tc_string": "", "event_status": "cmpuishown"},
        {"tc_string": ACCEPT, "gdpr_applies": False},
        {"tc_string": ACCEPT[:40]},
        {"tc_string": tc_string(updated=TODAY - timedelta(days=420))},
        {"tc_string": None},
    ],
)
async def test_what_is_no_choice_yet_or_unreadable_is_absent(shopper: Shopper, member: dict[str, Any]) -> None:
    assert await mode(shopper, "/v1/consents", {"consent": {"tcf": member}}) == ("cookieless", None)


async def test_a_choice_that_is_merely_loaded_again_renews_nothing(shopper: Shopper, clock: Clock) -> None:
    event = {"tcString": ACCEPT, "eventStatus": "useractioncomplete"}
    given = (await shopper.post("/v1/consents/tcf", event)).json()
    clock.forward(600)
    loaded = await shopper.post("/v1/consents/tcf", event | {"eventStatus": "tcloaded", "token": given["token"]})
    assert (loaded.json()["visitor"], loaded.json()["receipt"]) == (given["visitor"], None)
    assert loaded.json()["expires_at"] == given["expires_at"]
    clock.forward(86_400)
    later = await shopper.post("/v1/visitors", {"token": given["token"], "consent": {"tcf": {"tc_string": ACCEPT}}})
    assert later.json()["visitor"] == given["visitor"]


async def test_a_tc_string_of_an_earlier_day_never_overwrites_a_newer_choice(shopper: Shopper) -> None:
    given = (await shopper.post("/v1/consents", {"consent": "granted"})).json()
    late = {"tcString": tc_string(frozenset(), updated=TODAY - timedelta(days=1)), "token": given["token"]}
    assert (await shopper.post("/v1/consents/tcf", late)).json()["visitor"] == given["visitor"]
    same_day = late | {"tcString": REJECT}
    assert (await shopper.post("/v1/consents/tcf", same_day)).json()["mode"] == "null"


async def test_gpp_carries_a_tc_string_and_opts_out_of_sale_and_sharing(shopper: Shopper) -> None:
    assert await mode(shopper, "/v1/consents/gpp", {"gppString": f"DBABMA~{ACCEPT}", "applicableSections": [2]}) == ("persistent", "gpp")
    ping = {"pingData": {"gppString": f"DBABM~{REJECT}", "applicableSections": [2], "signalStatus": "ready"}}
    assert await mode(shopper, "/v1/consents/gpp", ping) == ("null", "gpp")
    assert await mode(shopper, "/v1/consents/gpp", ping["pingData"] | {"applicableSections": [2.0]}) == ("null", "gpp")
    assert await mode(shopper, "/v1/consents/gpp", ping["pingData"] | {"applicableSections": [2.5, None]}) == ("cookieless", None)
    not_ready = {"consent": {"gpp": {"gpp_string": f"DBABMA~{ACCEPT}", "signal_status": "not ready"}}}
    assert await mode(shopper, "/v1/consents", not_ready) == ("cookieless", None)
    for sections, opted_out in (([7], True), (["7"], True), (["8"], False), (["", "x", "٧", "7000"], False), ([], False)):
        us = {"consent": {"gpp": {"gpp_string": CALIFORNIA, "applicable_sections": sections}}}
        told = (await shopper.post("/v1/visitors", us)).json()
        assert (told["mode"], told["sale_share_opt_out"]) == ("cookieless", opted_out), sections


async def test_canadas_section_of_a_gpp_string_grants_by_express_consent_and_a_refusal_in_either_section_wins(shopper: Shopper) -> None:
    yes, no = (text_of(canadian_bits(purposes, updated=TODAY)) for purposes in (frozenset({1, 8}), frozenset[int]()))
    assert await mode(shopper, "/v1/consents/gpp", {"gpp_string": f"{OF_CANADA}~{yes}", "applicable_sections": [5]}) == (
        "persistent",
        "gpp",
    )
    assert await mode(shopper, "/v1/consents/gpp", {"gpp_string": f"{OF_CANADA}~{no}", "applicable_sections": [5]}) == ("null", "gpp")
    assert await mode(shopper, "/v1/consents/gpp", {"gpp_string": f"{OF_CANADA}~{yes}", "applicable_sections": [2]}) == ("cookieless", None)
    for sections in (f"{ACCEPT}~{no}", f"{REJECT}~{yes}"):
        assert await mode(shopper, "/v1/consents/gpp", {"gpp_string": f"{OF_BOTH}~{sections}"}) == ("null", "gpp")
    assert await mode(shopper, "/v1/consents/gpp", {"gpp_string": f"{OF_BOTH}~{ACCEPT}~{yes}"}) == ("persistent", "gpp")


@pytest.mark.parametrize(("text", "opted_out"), [("1YYN", True), ("1YNN", False), ("1---", False), ("1yyn", False)])
async def test_us_privacy_never_grants_and_opts_out(shopper: Shopper, text: str, opted_out: bool) -> None:
    answer = (await shopper.post("/v1/visitors", {"consent": {"us_privacy": text}})).json()
    assert (answer["mode"], answer["sale_share_opt_out"]) == ("cookieless", opted_out)


async def test_of_two_tc_strings_the_newer_counts_and_on_one_day_the_stricter(shopper: Shopper) -> None:
    yesterday = tc_string(frozenset(), updated=TODAY - timedelta(days=1))
    both = {"tcf": {"tc_string": ACCEPT}, "gpp": {"gpp_string": f"DBABMA~{yesterday}"}}
    assert await mode(shopper, "/v1/visitors", {"consent": both}) == ("persistent", "tcf")
    both = {"tcf": {"tc_string": ACCEPT}, "gpp": {"gpp_string": f"DBABMA~{REJECT}"}}
    assert await mode(shopper, "/v1/visitors", {"consent": both}) == ("null", "gpp")


async def test_a_banner_reports_by_event_and_by_cookie(shopper: Shopper) -> None:
    event = {"consent": {"necessary": True, "statistics": True, "method": "explicit"}, "hasResponse": True}
    assert await mode(shopper, "/v1/consents/cookiebot", event) == ("persistent", "cookiebot")
    cookie = {"CookieConsent": cookiebot(False, START - 5)}
    assert await mode(shopper, "/v1/consents/cookiebot", cookie) == ("null", "cookiebot")
    update = {"action": "update", "state": {"analytics_storage": "granted"}}
    assert await mode(shopper, "/v1/consents/google", update) == ("persistent", "google")
    assert await mode(shopper, "/v1/consents/google", update | {"action": "default"}) == ("cookieless", None)


async def test_a_posted_grant_that_the_banners_own_cookie_contradicts_is_none(shopper: Shopper) -> None:
    event = {"consent": {"statistics": True, "method": "explicit"}, "hasResponse": True}
    refusing, granting = (f"CookieConsent={cookiebot(statistics, START)}" for statistics in (False, True))
    answers = [await shopper.browser("/v1/consents/cookiebot", event, cookie=cookie) for cookie in (refusing, granting, "other=1")]
    assert [answer.json()["mode"] for answer in answers] == ["cookieless", "persistent", "persistent"]
    contradicted = await shopper.browser("/v1/consents/tcf", {"tcString": ACCEPT}, cookie=f"euconsent-v2={REJECT}")
    assert contradicted.json()["mode"] == "cookieless"
    assert contradicted.json()["receipt"] is None


async def test_an_unknown_banner_is_404_and_says_which_are_known(shopper: Shopper) -> None:
    answer = await shopper.post("/v1/consents/acme", {"granted": True})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert "klaro" in answer.json()["detail"]


def didomi_webhook(at: float, *, enabled: bool) -> dict[str, Any]:
    purposes = [{"id": one, "enabled": enabled} for one in ("cookies", "measure_content_performance")]
    moment = datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
    entity = {"user": {"organization_user_id": "own-1"}, "consents": {"purposes": purposes}, "created_at": moment, "status": "confirmed"}
    return {"type": "event.created", "parameters": {"entity": entity}}


async def test_a_webhook_names_its_visitor_and_never_overwrites_a_newer_choice(shopper: Shopper, clock: Clock) -> None:
    first = (await shopper.post("/v1/consents/didomi", didomi_webhook(START - 100, enabled=True))).json()
    assert (first["visitor"], first["mode"]) == ("own-1", "persistent")
    newer = await shopper.post("/v1/consents", {"visitor": "own-1", "consent": "granted"})
    assert newer.json()["mode"] == "persistent"
    late = await shopper.post("/v1/consents/didomi", didomi_webhook(START - 50, enabled=False))
    assert late.json()["mode"] == "persistent"
    clock.forward(10)
    await shopper.post("/v1/consents", {"visitor": "own-1", "consent": "refused"})
    late = await shopper.post("/v1/consents/didomi", didomi_webhook(START - 50, enabled=True))
    assert (late.json()["mode"], late.json()["decision"]["reason"]) == ("null", "withdrawn")


async def test_a_webhook_that_tells_no_time_is_no_grant_but_a_refusal(shopper: Shopper) -> None:
    for enabled, expected in ((True, "cookieless"), (False, "null")):
        hook = didomi_webhook(START, enabled=enabled)
        del hook["parameters"]["entity"]["created_at"]
        assert (await shopper.post("/v1/consents/didomi", hook)).json()["mode"] == expected


async def test_a_public_key_cannot_grant_for_a_visitor_that_a_webhook_names(shopper: Shopper) -> None:
    answer = await shopper.post("/v1/consents/didomi", didomi_webhook(START, enabled=True), key="demo-public-key")
    assert (answer.json()["mode"], answer.json()["token"]) != ("persistent", None)
    assert answer.json()["mode"] != "persistent"


async def test_banner_cookies_are_read_on_every_call_where_the_shop_wants_it(environment: dict[str, str], clock: Clock) -> None:
    async with shopping(
        load("development", environment | {"IDENTITY_SHOPS__DEMO__BANNER_COOKIES": "cookiebot,tcf,us_privacy"}), clock
    ) as edge:
        given = await edge.post("/v1/visitors", {}, cookie=f"CookieConsent={cookiebot(True, START - 60)}")
        assert (given.json()["mode"], given.json()["decision"]["signal"]) == ("persistent", "cookiebot")
        clock.forward(60)
        again = await edge.post("/v1/visitors", {"token": given.json()["token"]}, cookie=f"CookieConsent={cookiebot(True, START - 60)}")
        assert again.json()["expires_at"] == given.json()["expires_at"]
        refused = await edge.post("/v1/visitors", {"token": given.json()["token"]}, cookie=f"CookieConsent={cookiebot(False, START + 30)}")
        assert refused.json()["mode"] == "null"
        assert (await edge.post("/v1/visitors", {}, cookie=f"euconsent-v2={ACCEPT}")).json()["decision"]["signal"] == "tcf"
        assert (await edge.post("/v1/visitors", {}, cookie="usprivacy=1YYN")).json()["sale_share_opt_out"]


async def test_cookies_of_banners_are_nothing_where_the_shop_did_not_ask(shopper: Shopper) -> None:
    assert await mode(shopper, "/v1/visitors", {}, cookie=f"CookieConsent={cookiebot(True, START)}") == ("cookieless", None)


async def test_consent_that_is_too_old_is_no_signal_and_its_record_goes_a_month_later(shopper: Shopper, clock: Clock) -> None:
    given = (await shopper.post("/v1/consents", {"consent": "granted"})).json()
    await shopper.post("/v1/links", {"email": "luke@skywalker.com", "token": given["token"]})
    clock.forward(390 * 86_400)
    after = (await shopper.post("/v1/visitors", {"token": given["token"]})).json()
    assert (after["mode"], after["decision"]["reason"]) == ("cookieless", "no_signal")
    assert (await shopper.post("/v1/verifications", {"token": given["token"]})).json()["reason"] == "expired"
    assert (await shopper.post("/v1/links", {"email": "leia@example.com", "token": given["token"]})).status_code == 409
    assert [one["visitor"] for one in await shopper.visitors(email="luke@skywalker.com")] == [given["visitor"]]
    old = {"purposes": {"storage": "granted", "measurement": "granted"}, "decided_at": "2025-10-01T00:00:00Z"}
    assert await mode(shopper, "/v1/visitors", {"consent": old}) == ("cookieless", None)
    clock.forward(30 * 86_400)
    assert await shopper.visitors(email="luke@skywalker.com") == []


async def test_gpc_support_is_promised_only_when_configured(shopper: Shopper, environment: dict[str, str], clock: Clock) -> None:
    assert (await shopper.client.get("/.well-known/gpc.json")).status_code == 404
    async with shopping(load("development", environment | {"IDENTITY_SERVER__GPC_SUPPORT_SINCE": "2026-11-21"}), clock) as edge:
        assert (await edge.client.get("/.well-known/gpc.json")).json() == {"gpc": True, "lastUpdate": "2026-11-21"}
