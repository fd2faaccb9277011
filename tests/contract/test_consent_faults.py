"""Consent at its edges: odd types, late and repeated messages, cookies against words, opt-outs that must not be lost."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from identity_service.settings.load import load
from tests.conftest import Clock, Shopper, shopping
from tests.signals.tc_strings import tc_string

pytestmark = pytest.mark.anyio
AGENT = "Mozilla/5.0 (X11) Gecko/20100101 Firefox/140.0"
FR = {"ip": "198.51.100.9", "user_agent": AGENT, "region": "FR"}
BOTH = {"storage": "granted", "measurement": "granted"}
NONE = {"storage": "refused", "measurement": "refused"}


def day_of(clock: Clock, days: Any = 0) -> Any:
    return datetime.fromtimestamp(clock.now, UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=days)


def iso(clock: Clock, seconds: Any = 0) -> Any:
    return datetime.fromtimestamp(clock.now + seconds, UTC).isoformat()


def tc(clock: Clock, days: int = 0, purposes: frozenset[int] = frozenset({1, 8})) -> str:
    return tc_string(purposes, updated=day_of(clock, days))


def cookiebot(clock: Clock, yes: Any = True, seconds: Any = 0) -> Any:
    word = "true" if yes else "false"
    utc = int((clock.now + seconds) * 1000)
    return quote(
        f"{{stamp:'x',necessary:true,preferences:false,statistics:{word},marketing:false,method:'explicit',ver:1,utc:{utc},region:'fr'}}"
    )


@pytest.mark.parametrize(
    ("source", "body"),
    [
        ("tcf", {"tcString": "x", "gdprApplies": {}}),
        ("tcf", {"tcString": "x", "eventStatus": []}),
        ("gpp", {"gppString": "x", "signalStatus": {}}),
    ],
)
async def test_members_of_other_types_are_absent(shopper: Shopper, source: str, body: dict[str, Any]) -> None:
    assert (await shopper.browser(f"/v1/consents/{source}", body)).json()["mode"] == "cookieless"


async def test_a_lone_surrogate_in_a_cookie_disturbs_nobody(shopper: Shopper, clock: Clock) -> None:
    cookie = json.dumps({"categories": ["analytics"], "consentTimestamp": iso(clock), "revision": "\ud800"})
    answer = await shopper.browser("/v1/consents/vanilla-cookieconsent", {"cc_cookie": cookie})
    assert answer.status_code == 200


async def test_refusal_after_a_tc_string_of_tomorrow(shopper: Shopper, clock: Clock) -> None:
    granted = (await shopper.post("/v1/consents/tcf", {"tcString": tc(clock, 1), "eventStatus": "tcloaded"})).json()
    assert granted["mode"] == "persistent"
    clock.forward(3600)
    refused = (await shopper.post("/v1/consents", {"token": granted["token"], "consent": "refused"})).json()
    assert refused["mode"] == "null", refused["decision"]


async def test_dated_refusal_against_an_undated_banner_cookie(environment: dict[str, str], clock: Clock) -> None:
    settings = load("development", environment | {"IDENTITY_SHOPS__DEMO__BANNER_COOKIES": "klaro"})
    async with shopping(settings, clock) as shopper:
        cookie = "klaro=" + quote('{"visitor-id":true}')
        granted = (await shopper.browser("/v1/visitors", cookie=cookie)).json()
        assert granted["mode"] == "persistent"
        clock.forward(3600)
        body = {"token": granted["token"], "consent": {"purposes": NONE, "decided_at": iso(clock, -1)}}
        refused = (await shopper.browser("/v1/consents", body, cookie=cookie)).json()
        assert refused["mode"] == "null", refused["decision"]


async def test_undated_cookie_revives_a_withdrawn_own_id(environment: dict[str, str], clock: Clock) -> None:
    settings = load("development", environment | {"IDENTITY_SHOPS__DEMO__BANNER_COOKIES": "klaro"})
    async with shopping(settings, clock) as shopper:
        cookie = "klaro=" + quote('{"visitor-id":true}')
        own = {"visitor": "own-1"}
        assert (await shopper.post("/v1/visitors", own, cookie=cookie)).json()["mode"] == "persistent"
        clock.forward(60)
        assert (await shopper.post("/v1/consents", own | {"consent": "refused"}, cookie=cookie)).json()["mode"] == "null"
        clock.forward(60)
        again = (await shopper.post("/v1/visitors", own, cookie=cookie)).json()
        assert again["mode"] == "null", again["decision"]


async def test_old_grant_in_the_request_outlives_gpc_under_strict(environment: dict[str, str], clock: Clock) -> None:
    settings = load("development", environment | {"IDENTITY_SHOPS__STRICT__BANNER_COOKIES": "cookiebot"})
    async with shopping(settings, clock) as shopper:
        cookie = "CookieConsent=" + cookiebot(clock)
        granted = (await shopper.post("/v1/visitors", {"client": FR}, key="strict-private-key", cookie=cookie)).json()
        assert granted["mode"] == "persistent"
        clock.forward(86400)
        body = {"token": granted["token"], "client": FR | {"gpc": True}}
        without = (await shopper.post("/v1/decisions", body, key="strict-private-key")).json()
        assert without["mode"] == "null"
        later = (await shopper.post("/v1/visitors", body, key="strict-private-key", cookie=cookie)).json()
        assert later["mode"] == "null", later["decision"]


async def test_edge_posts_a_grant_that_the_forwarded_cookie_contradicts(shopper: Shopper) -> None:
    cookie = "klaro=" + quote('{"visitor-id":false}')
    event = {"type": "saveConsents", "data": {"changes": {}, "consents": {"visitor-id": True}}}
    assert (await shopper.browser("/v1/consents/klaro", event, cookie=cookie)).json()["mode"] != "persistent"
    told = (await shopper.post("/v1/consents/klaro", event, cookie=cookie)).json()
    assert told["mode"] != "persistent", told["decision"]


async def test_consent_object_with_a_tc_string_that_the_cookie_contradicts(shopper: Shopper, clock: Clock) -> None:
    cookie = "euconsent-v2=" + tc(clock, purposes=frozenset({2}))
    told = (await shopper.browser("/v1/consents", {"consent": {"tcf": {"tc_string": tc(clock)}}}, cookie=cookie)).json()
    assert told["mode"] != "persistent", told["decision"]


@pytest.mark.parametrize("body", [{"euconsent-v2": None}, {"tcString": None, "eventStatus": "useractioncomplete"}])
async def test_tc_string_of_yesterday_lifts_a_withdrawal_of_yesterday(shopper: Shopper, clock: Clock, body: Any) -> None:
    text = tc(clock)
    body = {name: value or text for name, value in body.items()} | {"visitor": "own-1"}
    assert (await shopper.post("/v1/consents/tcf", body)).json()["mode"] == "persistent"
    clock.forward(60)
    assert (await shopper.post("/v1/consents", {"visitor": "own-1", "consent": "refused"})).json()["mode"] == "null"
    clock.forward(86400)
    told = (await shopper.post("/v1/consents/tcf", body)).json()
    assert told["mode"] == "null", told["decision"]


@pytest.mark.parametrize("sections", ["7", {}, 0, ""])
async def test_gpp_with_unreadable_applicable_sections(shopper: Shopper, sections: Any) -> None:
    from identity_service.signals.gpp import read_gpp

    gpp = json.loads((Path(__file__).parent.parent / "signals/gpp_vectors.json").read_text())
    texts = [one for one in _strings(gpp) if (reading := read_gpp(one, None)) and reading.sale_share_opt_out]
    assert texts
    told = (await shopper.post("/v1/consents/gpp", {"gppString": texts[0], "applicableSections": sections, "signalStatus": "ready"})).json()
    assert told["sale_share_opt_out"] is False


def _strings(value: Any) -> Any:
    if isinstance(value, str):
        yield value
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _strings(one)


async def test_vanilla_with_an_unreadable_time(shopper: Shopper) -> None:
    body = {"cookie": {"categories": ["analytics"], "consentTimestamp": "nonsense"}}
    assert (await shopper.browser("/v1/consents/vanilla-cookieconsent", body)).json()["mode"] != "persistent"


async def test_a_late_linking_refusal_removes_newer_links(shopper: Shopper, clock: Clock) -> None:
    granted = (await shopper.post("/v1/consents", {"consent": {"purposes": BOTH | {"linking": "granted"}}})).json()
    await shopper.post("/v1/links", {"email": "a@example.org", "token": granted["token"]})
    late = {"token": granted["token"], "consent": {"purposes": BOTH | {"linking": "refused"}, "decided_at": iso(clock, -86400)}}
    told = (await shopper.post("/v1/consents", late)).json()
    assert told["linkable"] is True
    assert len(await shopper.visitors(email="a@example.org")) == 1


async def test_replays_of_an_undated_event_renew_nothing(shopper: Shopper, clock: Clock) -> None:
    event = {"consent": {"necessary": True, "statistics": True, "method": "explicit"}, "hasResponse": True}
    first = (await shopper.browser("/v1/consents/cookiebot", event)).json()
    clock.forward(100 * 86400)
    second = (await shopper.browser("/v1/consents/cookiebot", event | {"token": first["token"]})).json()
    assert second["expires_at"] == first["expires_at"]


async def test_posting_the_tc_cookie_again_the_same_day_renews_nothing(shopper: Shopper, clock: Clock) -> None:
    body = {"euconsent-v2": tc(clock)}
    first = (await shopper.browser("/v1/consents/tcf", body)).json()
    clock.forward(60)
    second = (await shopper.browser("/v1/consents/tcf", body | {"token": first["token"]})).json()
    assert second["expires_at"] == first["expires_at"]
    assert len((await shopper.post("/v1/receipts", {"visitor": first["visitor"]})).json()["receipts"]) == 1


@pytest.mark.parametrize(
    ("source", "event"),
    [
        ("shopify", {"detail": {"analytics": "", "marketing": "", "preferences": "", "sale_of_data": "no"}}),
        ("osano", {"event": "osano-cm-consent-saved", "ESSENTIAL": "ACCEPT", "OPT_OUT": "ACCEPT"}),
        ("onetrust", {"OptanonConsent": "isGpcEnabled=1&interactionCount=0&groups=C0001%3A1%2CC0002%3A1"}),
    ],
)
async def test_opt_out_of_sale_alone(shopper: Shopper, source: Any, event: Any) -> None:
    assert (await shopper.browser(f"/v1/consents/{source}", event)).json()["sale_share_opt_out"] is True


async def test_opt_out_of_sale_survives_a_stale_choice(shopper: Shopper, clock: Clock) -> None:
    closed = iso(clock, -400 * 86400)
    event = {"OptanonAlertBoxClosed": closed, "OptanonConsent": "isGpcEnabled=1&interactionCount=1&groups=C0001%3A1%2CC0002%3A1"}
    assert (await shopper.browser("/v1/consents/onetrust", event)).json()["sale_share_opt_out"] is True


async def test_lookups_tell_the_opt_out_of_a_cookieless_visitor(shopper: Shopper) -> None:
    issued = (await shopper.post("/v1/visitors", {"client": FR | {"gpc": True}})).json()
    assert issued["sale_share_opt_out"] is True
    assert issued["mode"] == "cookieless"
    assert (await shopper.post("/v1/links", {"email": "a@example.org", "token": issued["token"]})).status_code == 200
    again = (await shopper.post("/v1/visitors", {"token": issued["token"], "client": FR | {"gpc": True}})).json()
    assert again["sale_share_opt_out"] is True
    assert (await shopper.visitors(email="a@example.org"))[0]["sale_share_opt_out"] is True


async def test_preview_tells_the_stored_opt_out(shopper: Shopper) -> None:
    granted = (await shopper.post("/v1/consents", {"consent": "granted", "client": {"gpc": True}})).json()
    body = {"token": granted["token"]}
    real = (await shopper.post("/v1/visitors", body)).json()
    told = (await shopper.post("/v1/decisions", body)).json()
    assert real["sale_share_opt_out"] is True
    assert told["sale_share_opt_out"] is True


async def test_iubenda_usprivacy_cookie(environment: dict[str, str], clock: Clock) -> None:
    settings = load("development", environment | {"IDENTITY_SHOPS__DEMO__BANNER_COOKIES": "us_privacy"})
    async with shopping(settings, clock) as shopper:
        cookie = "usprivacy=" + quote('{"uspString":"1YYN","firstAcknowledgeDate":"2026-11-01","optOutDate":"2026-11-02"}')
        assert (await shopper.browser("/v1/visitors", cookie=cookie)).json()["sale_share_opt_out"] is True


async def test_receipt_of_a_refusal_with_visitor_null(shopper: Shopper) -> None:
    granted = (await shopper.post("/v1/consents", {"consent": "granted"})).json()
    told = (await shopper.post("/v1/consents", {"visitor": None, "token": granted["token"], "consent": "refused"})).json()
    assert told["receipt"] is not None


async def test_refusal_with_visitor_null_marks_the_derived_id(shopper: Shopper) -> None:
    me = {"client": FR}
    first = (await shopper.post("/v1/visitors", me)).json()["visitor"]
    await shopper.post("/v1/consents", me | {"visitor": None, "consent": "refused"})
    assert (await shopper.post("/v1/visitors", me)).json()["visitor"] != first


async def test_receipt_at_a_moment_after_the_consent_ended(shopper: Shopper, clock: Clock) -> None:
    granted = (await shopper.post("/v1/consents", {"consent": "granted"})).json()
    clock.forward(395 * 86400)
    told = (await shopper.post("/v1/receipts", {"visitor": granted["visitor"], "at": iso(clock)})).json()
    assert told["receipts"] == []


async def test_preview_and_deed_agree_on_a_refusal_in_california(shopper: Shopper) -> None:
    ca = FR | {"region": "US-CA"}
    chosen = (await shopper.post("/v1/visitors", {"visitor": "own-1", "client": ca}, key="strict-private-key")).json()
    await shopper.post("/v1/consents", {"token": chosen["token"], "consent": "granted", "client": ca}, key="strict-private-key")
    body = {"token": chosen["token"], "consent": "refused", "client": ca}
    told = (await shopper.post("/v1/decisions", body, key="strict-private-key")).json()
    done = (await shopper.post("/v1/consents", body, key="strict-private-key")).json()
    assert told["mode"] == done["mode"] == "cookieless"
    assert done["receipt"] is not None


async def test_receipt_of_a_refusal_that_ends_a_chosen_id_in_california(shopper: Shopper) -> None:
    ca = FR | {"region": "US-CA"}
    chosen = (await shopper.post("/v1/visitors", {"visitor": "own-1", "client": ca}, key="strict-private-key")).json()
    await shopper.post("/v1/consents", {"token": chosen["token"], "consent": "granted", "client": ca}, key="strict-private-key")
    done = (
        await shopper.post("/v1/consents", {"token": chosen["token"], "consent": "refused", "client": ca}, key="strict-private-key")
    ).json()
    assert done["receipt"] is not None


async def test_overlapping_grants_of_one_visitor(shopper: Shopper, clock: Clock) -> None:
    token = (await shopper.post("/v1/visitors")).json()["token"]
    bodies = [{"token": token, "consent": {"purposes": BOTH, "decided_at": iso(clock, -one)}} for one in range(4)]
    told = await asyncio.gather(*(shopper.post("/v1/consents", body) for body in bodies))
    assert [one.json()["mode"] for one in told] == ["persistent"] * 4


async def test_misc_visitor_id_reads_the_banner_cookies(environment: dict[str, str], clock: Clock) -> None:
    settings = load("development", environment | {"IDENTITY_SHOPS__DEMO__BANNER_COOKIES": "klaro"})
    async with shopping(settings, clock) as shopper:
        headers = {"origin": "http://localhost:8080", "user-agent": AGENT, "cookie": "klaro=" + quote('{"visitor-id":false}')}
        assert (await shopper.browser("/v1/visitors", cookie=headers["cookie"])).json()["mode"] == "null"
        told = await shopper.client.get(
            "/v2/misc/visitor_id?key=demo-public-key&visitor=auto", headers=headers | {"user-agent": AGENT + " x"}
        )
        assert told.status_code == 200
    assert told.json()["visitor"] is None


async def test_tracking_reads_the_banner_cookies(environment: dict[str, str], clock: Clock) -> None:
    settings = load("development", environment | {"IDENTITY_SHOPS__DEMO__BANNER_COOKIES": "klaro"})
    async with shopping(settings, clock) as shopper:
        cookie = "klaro=" + quote('{"visitor-id":true}')
        token = (await shopper.browser("/v1/visitors", cookie=cookie)).json()["token"]
        body = {"key": "demo-public-key", "email": "a@example.org", "visitor": token}
        refused = "klaro=" + quote('{"visitor-id":false}')
        await shopper.browser("/v2/log/email", body, cookie=refused)
        assert await shopper.visitors(email="a@example.org") == []


async def test_didomi_webhook_of_a_user_that_is_not_ours(shopper: Shopper, clock: Clock) -> None:
    entity = {
        "status": "confirmed",
        "regulation": "gdpr",
        "created_at": iso(clock),
        "user": {"organization_user_id": "luke@skywalker.com"},
        "consents": {"purposes": [{"id": "cookies", "enabled": False}, {"id": "measure_content_performance", "enabled": False}]},
    }
    told = await shopper.post("/v1/consents/didomi", {"type": "event.created", "parameters": {"entity": entity}})
    assert told.status_code == 200, told.text


async def test_a_late_grant_after_a_refusal_without_token(shopper: Shopper, clock: Clock) -> None:
    """Ordinary browser, no ID yet: refusal now, then the retried event of the earlier grant, beside the refusal cookie."""
    assert (await shopper.browser("/v1/visitors")).json()["mode"] == "cookieless"
    refused = await shopper.browser("/v1/consents", {"consent": {"purposes": NONE, "decided_at": iso(clock)}})
    assert refused.json()["mode"] == "null"
    clock.forward(5)
    late = {"consent": {"purposes": BOTH, "decided_at": iso(clock, -600)}}
    told = (await shopper.browser("/v1/consents", late, cookie="visitor-choice=refused")).json()
    assert told["mode"] == "null", told["decision"]


async def test_one_word_that_cannot_be_encoded_fails_only_its_own_call(application: Any) -> None:
    from identity_service.store.redis.command import read

    client = application.services.store.client
    told = await asyncio.gather(client.run(read("GET", "\ud800")), client.run(read("GET", "other")), return_exceptions=True)
    assert told[1] == [None]
    assert not client.open


@pytest.mark.parametrize("region", ["T1", "A1"])
async def test_codes_of_the_region_table_are_taken(shopper: Shopper, region: Any) -> None:
    told = await shopper.post("/v1/visitors", {"client": FR | {"region": region}}, key="strict-private-key")
    assert told.status_code == 200


async def test_link_from_a_browser_with_gpc(shopper: Shopper) -> None:
    granted = (await shopper.browser("/v1/consents", {"consent": "granted"})).json()
    body = {"email": "a@example.org", "token": granted["token"]}
    assert (await shopper.browser("/v1/links", body, sec_gpc="1")).status_code == 200
    assert (await shopper.visitors(email="a@example.org"))[0]["sale_share_opt_out"] is True


async def test_gpc_on_a_tracking_call_is_stored(shopper: Shopper) -> None:
    granted = (await shopper.browser("/v1/consents", {"consent": "granted"})).json()
    body = {"key": "demo-public-key", "email": "a@example.org", "visitor": granted["token"]}
    assert (await shopper.browser("/v2/log/email", body, sec_gpc="1")).json()["status"] == "ok"
    assert (await shopper.visitors(email="a@example.org"))[0]["sale_share_opt_out"] is True


async def test_a_refusal_from_a_device_whose_clock_is_slow_counts(shopper: Shopper, clock: Clock) -> None:
    granted = (await shopper.browser("/v1/consents", {"consent": "granted"})).json()
    clock.forward(60)
    body = {"token": granted["token"], "CookieConsent": cookiebot(clock, False, -120)}
    refused = (await shopper.browser("/v1/consents/cookiebot", body)).json()
    assert refused["mode"] == "null", refused["decision"]


async def test_a_late_refusal_that_a_server_reports_counts_only_within_five_minutes(shopper: Shopper, clock: Clock) -> None:
    """It hands on the time of a device, whose clock may be slow."""
    granted = (await shopper.browser("/v1/consents", {"consent": "granted"})).json()
    clock.forward(60)
    late = {"token": granted["token"], "consent": {"purposes": NONE, "decided_at": iso(clock, -301)}}
    assert (await shopper.post("/v1/consents", late)).json()["mode"] == "persistent"
    again = {"token": granted["token"], "consent": {"purposes": NONE, "decided_at": iso(clock, -120)}}
    assert (await shopper.post("/v1/consents", again | {"age_ms": 120_000})).json()["mode"] == "persistent"
    assert (await shopper.post("/v1/consents", again)).json()["mode"] == "null"


@pytest.mark.parametrize("first", [{"dnt": True}, {"gpc": True}])
async def test_one_opt_out_seen_before_the_grant_does_not_hide_the_other_after_it(
    shopper: Shopper, clock: Clock, first: dict[str, Any]
) -> None:
    body = {"consent": "granted", "client": FR | first}
    granted = (await shopper.post("/v1/consents", body, key="strict-private-key")).json()
    clock.forward(86400)
    same = {"token": granted["token"], "client": FR | first}
    assert (await shopper.post("/v1/visitors", same, key="strict-private-key")).json()["mode"] == "persistent"
    other = {"token": granted["token"], "client": FR | {"gpc": True, "dnt": True}}
    assert (await shopper.post("/v1/visitors", other, key="strict-private-key")).json()["mode"] == "null"


async def test_an_opt_out_first_seen_in_california_counts_in_europe(shopper: Shopper, clock: Clock) -> None:
    us = FR | {"region": "US-CA"}
    granted = (await shopper.post("/v1/consents", {"consent": "granted", "client": us}, key="strict-private-key")).json()
    clock.forward(86400)
    seen = {"token": granted["token"], "client": us | {"gpc": True}}
    assert (await shopper.post("/v1/visitors", seen, key="strict-private-key")).json()["mode"] == "persistent"
    clock.forward(86400)
    later = (await shopper.post("/v1/visitors", {"token": granted["token"], "client": FR}, key="strict-private-key")).json()
    assert (later["mode"], later["decision"]["signal"]) == ("null", "gpc")


async def test_a_refusal_of_linking_alone_is_proved(shopper: Shopper) -> None:
    granted = (await shopper.post("/v1/consents", {"consent": {"purposes": BOTH | {"linking": "granted"}}})).json()
    body = {"token": granted["token"], "consent": {"purposes": {"linking": "refused"}}}
    told = (await shopper.post("/v1/consents", body)).json()
    proved = {"linking": "refused"}
    assert (told["linkable"], told["receipt"]["purposes"]) == (False, proved)
    held = (await shopper.post("/v1/receipts", {"visitor": granted["visitor"]})).json()["receipts"]
    assert [one["purposes"]["linking"] for one in held] == ["refused", "granted"]
    assert held[0]["visitor_digest"] == held[1]["visitor_digest"]
    assert (await shopper.post("/v1/consents", body)).json()["receipt"] is None


async def test_a_cookieless_visitor_that_refuses_linking_gets_a_proof_and_stays_unlinkable(shopper: Shopper) -> None:
    body = {"client": FR, "consent": {"purposes": {"linking": "refused"}}}
    told = (await shopper.post("/v1/consents", body)).json()
    assert (told["mode"], told["linkable"], told["receipt"]["purposes"]) == ("cookieless", False, {"linking": "refused"})
    assert (await shopper.post("/v1/visitors", {"client": FR})).json()["linkable"] is False
    held = (await shopper.post("/v1/receipts", {"visitor": told["visitor"]})).json()["receipts"]
    assert [one["receipt_id"] for one in held] == [told["receipt"]["receipt_id"]]


async def test_a_trace_names_what_was_sent_and_is_no_choice(shopper: Shopper, clock: Clock) -> None:
    consent = {"tcf": {"tc_string": "COtruncated"}, "gpp": {"gpp_string": "DBAA", "signal_status": "not ready"}}
    told = (await shopper.post("/v1/decisions", {"consent": consent})).json()
    assert [step["value"] for step in told["trace"] if step["fact"] in {"signal tcf", "signal gpp"}] == ["not a choice"] * 2
