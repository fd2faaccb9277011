"""Consent banners: a choice is read only from what the person decided; everything else is absent."""

import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_service.consent import Choice, Millis
from identity_service.signals import banners
from identity_service.signals.cmp import BANNERS, BannerReading, read_cookies, read_event

CLOSED = "2026-11-20T10:00:00.000Z"
CLOSED_AT = 1795168800000
STAMP = 1729950414219


def cookiebot(statistics: str = "true", method: str = "explicit", more: str = "") -> str:
    literal = (
        f"{{stamp:'aB+/c==',necessary:true,preferences:false,statistics:{statistics},marketing:false,"
        f"method:'{method}',ver:3,utc:{STAMP},region:'it'{more}}}"
    )
    return quote(literal, safe="{},:")


def optanon(groups: str = "C0001:1,C0002:1,C0004:0", more: str = "&interactionCount=1&isGpcEnabled=0") -> dict[str, str]:
    consent = f"isIABGlobal=false&datestamp=Fri+Nov+20+2026&version=202409.1.0&consentId=a-b&groups={quote(groups, safe='')}{more}"
    return {"OptanonConsent": consent, "OptanonAlertBoxClosed": CLOSED}


def packed(state: object) -> str:
    return quote(json.dumps(state, separators=(",", ":")))


def token(purposes: object, **more: object) -> str:
    state = {"user_id": "u", "created": CLOSED, "updated": CLOSED, "version": 2, "purposes": purposes, **more}
    return base64.b64encode(json.dumps(state).encode()).decode()


def webhook(enabled: object = True, kind: str = "event.created", **more: object) -> dict[str, Any]:
    consents = {"purposes": [{"id": "cookies", "enabled": True}, {"id": "measure_content_performance", "enabled": enabled}], "vendors": []}
    entity = {"id": "e", "created_at": CLOSED, "user": {"id": "d", "organization_user_id": "our-visitor"}, "consents": consents, **more}
    return {"type": kind, "parameters": {("new_entity" if kind == "event.updated" else "entity"): entity}}


def cookieyes(analytics: str = "yes", action: str = "yes", consent: str = "yes") -> str:
    return f"consentid:Q2s,consent:{consent},action:{action},necessary:yes,functional:no,analytics:{analytics},advertisement:no,other:no"


def cc_cookie(*categories: str, **more: object) -> dict[str, Any]:
    times = {"consentTimestamp": "2026-11-01T10:00:00.000Z", "lastConsentTimestamp": CLOSED}
    return {"categories": ["necessary", *categories], "revision": 2, "data": None, "consentId": "x", "services": {}, **times, **more}


def usercentrics(functional: object = True, kind: str = "explicit", action: object = "onUpdateServices", **more: object) -> dict[str, Any]:
    categories = {"essential": True, "functional": functional, "marketing": None}
    return {"event": "consent_status", "action": action, "type": kind, "ucCategory": categories, **more}


def klaro(ours: object, kind: str = "saveConsents") -> dict[str, Any]:
    return {"type": kind, "data": {"changes": {}, "consents": {"visitor-id": ours, "ads": False}, "type": "accept"}}


BOTH_PURPOSES = ["cookies", "measure_content_performance"]
OSANO = {"ESSENTIAL": "ACCEPT", "ANALYTICS": "ACCEPT", "OPT_OUT": "DENY"}

GRANTED_COOKIES = [
    ("cookiebot", {"CookieConsent": cookiebot()}),
    ("onetrust", optanon()),
    ("didomi", {"didomi_token": token({"enabled": BOTH_PURPOSES, "disabled": []})}),
    ("iubenda", {"_iub_cs-12345678": packed({"timestamp": CLOSED, "version": "1.4", "purposes": {"1": True, "4": True}, "id": 1})}),
    ("iubenda", {"_iub_cs-12345678": packed({"consent": True})}),
    ("cookieyes", {"cookieyes-consent": cookieyes()}),
    ("osano", {"cookieconsent_status": "allow"}),
    ("klaro", {"klaro": packed({"visitor-id": True, "ads": False})}),
    ("tarteaucitron", {"tarteaucitron": "!visitorid=true!other=false!third=wait"}),
    ("vanilla-cookieconsent", {"cc_cookie": packed(cc_cookie("analytics"))}),
    ("wordpress", {"wp_consent_statistics": "allow", "wp_consent_marketing": "deny"}),
]

REFUSED_COOKIES = [
    ("cookiebot", {"CookieConsent": cookiebot("false")}),
    ("onetrust", optanon("C0001:1,C0002:0")),
    ("didomi", {"didomi_token": token({"enabled": ["cookies"], "disabled": ["measure_content_performance"]})}),
    ("iubenda", {"_iub_cs-12345678": packed({"purposes": {"1": True, "4": False}})}),
    ("iubenda", {"_iub_cs-12345678": packed({"consent": False})}),
    ("cookieyes", {"cookieyes-consent": cookieyes("no", consent="no")}),
    ("osano", {"cookieconsent_status": "deny"}),
    ("klaro", {"klaro": packed({"visitor-id": False, "ads": True})}),
    ("tarteaucitron", {"tarteaucitron": "!visitorid=false!other=true"}),
    ("vanilla-cookieconsent", {"cc_cookie": packed(cc_cookie())}),
    ("wordpress", {"wp_consent_statistics": "deny"}),
]

ABSENT_COOKIES = [
    ("cookiebot", {"CookieConsent": cookiebot(method="implied")}),
    ("cookiebot", {"CookieConsent": "-1"}),
    ("cookiebot", {"CookieConsent": "0"}),
    ("cookiebot", {"CookieConsent": cookiebot("1")}),
    ("cookiebot", {"CookieConsent": cookiebot(more=",statistics:true")}),
    ("cookiebot", {"CookieConsent": cookiebot(more=",x:alert(1)")}),
    ("cookiebot", {"CookieConsent": cookiebot(more=",")}),
    ("cookiebot", {"CookieConsent": cookiebot(more=",'x':true")}),
    ("cookiebot", {"CookieConsent": cookiebot(more=",x:'\\'")}),
    ("cookiebot", {"CookieConsent": cookiebot(more=",x:{statistics:true}")}),
    ("cookiebot", {"CookieConsent": cookiebot() + "x"}),
    ("cookiebot", {"CookieConsent": "{}"}),
    ("onetrust", {"OptanonConsent": optanon()["OptanonConsent"]}),
    ("onetrust", {"OptanonAlertBoxClosed": CLOSED}),
    ("onetrust", {**optanon(), "OptanonAlertBoxClosed": ""}),
    ("onetrust", {**optanon(), "OptanonAlertBoxClosed": "nonsense"}),
    ("onetrust", optanon(more="&interactionCount=0")),
    ("onetrust", optanon(more="&interactionCount=x")),
    ("onetrust", optanon(more="&interactionCount=1&interactionCount=2")),
    ("onetrust", optanon(more="&groups=C0002%3A1")),
    ("onetrust", optanon("C0001:1")),
    ("onetrust", optanon("C0002:1,C0002:1")),
    ("onetrust", optanon("C0002:2")),
    ("onetrust", optanon("")),
    ("onetrust", {"OptanonConsent": "interactionCount=1&consentId=a", "OptanonAlertBoxClosed": CLOSED}),
    ("onetrust", {"OptanonConsent": "groups=C0002%3A1" + "&x=1" * 120, "OptanonAlertBoxClosed": CLOSED}),
    ("didomi", {"didomi_token": token(None)}),
    ("didomi", {"didomi_token": token({"enabled": ["cookies"], "disabled": []})}),
    ("didomi", {"didomi_token": token({"enabled": BOTH_PURPOSES, "disabled": ["cookies"]})}),
    ("didomi", {"didomi_token": "not base64"}),
    ("didomi", {"didomi_token": base64.b64encode(b"\xff\xfe").decode()}),
    ("iubenda", {"_iub_cs-12345678": packed({"id": 12345678})}),
    ("iubenda", {"_iub_cs-12345678": packed({"purposes": {"4": "true"}})}),
    ("iubenda", {"_iub_cs-12345678": packed({"purposes": {"1": True}})}),
    ("iubenda", {"_iub_cs-12345678-uspr": packed({"consent": True})}),
    ("iubenda", {"_iub_cs-1": packed({"consent": True}), "_iub_cs-2": packed({"consent": True})}),
    ("cookieyes", {"cookieyes-consent": cookieyes(action="")}),
    ("cookieyes", {"cookieyes-consent": cookieyes("maybe")}),
    ("cookieyes", {"cookieyes-consent": cookieyes() + ",analytics:yes"}),
    ("cookieyes", {"cookieyes-consent": cookieyes() + ";"}),
    ("osano", {"cookieconsent_status": "dismiss"}),
    ("osano", {"osano_consentmanager": "opaque"}),
    ("klaro", {"klaro": packed({"ads": True})}),
    ("klaro", {"klaro": packed({"visitor-id": 1})}),
    ("klaro", {"klaro": quote('{"visitor-id":false,"visitor-id":true}')}),
    ("tarteaucitron", {"tarteaucitron": "!visitorid=wait"}),
    ("tarteaucitron", {"tarteaucitron": "!visitorid=true!visitorid=true"}),
    ("tarteaucitron", {"tarteaucitron": "!visitorid=yes"}),
    ("tarteaucitron", {"tarteaucitron": "visitorid=true"}),
    ("vanilla-cookieconsent", {"cc_cookie": packed({})}),
    ("vanilla-cookieconsent", {"cc_cookie": packed({"categories": ["analytics"]})}),
    ("vanilla-cookieconsent", {"cc_cookie": packed({**cc_cookie("analytics"), "categories": {"analytics": True}})}),
    ("vanilla-cookieconsent", {"cc_cookie": packed({**cc_cookie(), "categories": ["analytics", 1]})}),
    ("wordpress", {"wp_consent_statistics": ""}),
    ("wordpress", {"wp_consent_statistics-anonymous": "allow"}),
    ("wordpress", {"wp_consent_marketing": "allow"}),
    ("shopify", {"_tracking_consent": packed({"analytics": "yes"})}),
    ("usercentrics", {"uc_settings": packed({"functional": True})}),
]

GRANTED_EVENTS: list[tuple[str, dict[str, Any]]] = [
    ("cookiebot", {"consent": {"necessary": True, "statistics": True, "method": "explicit"}, "hasResponse": True}),
    ("cookiebot", {"statistics": True, "method": "explicit"}),
    ("onetrust", {"type": "OneTrustGroupsUpdated", "detail": ["C0001", "C0002"], "OptanonAlertBoxClosed": CLOSED}),
    ("onetrust", {"detail": [",C0001,C0002,"], "OptanonAlertBoxClosed": CLOSED}),
    ("usercentrics", usercentrics()),
    ("usercentrics", {"type": "ucEvent", "detail": usercentrics()}),
    ("usercentrics", {"type": "UC_UI_CMP_EVENT", "detail": {"source": "FIRST_LAYER", "type": "ACCEPT_ALL"}}),
    ("didomi", webhook()),
    ("didomi", webhook(kind="event.updated")),
    ("didomi", {"purposes": {"enabled": BOTH_PURPOSES, "disabled": []}, "vendors": {"enabled": [], "disabled": []}}),
    ("didomi", {"regulation": "gdpr", "purposes": {name: {"id": name, "enabled": True} for name in BOTH_PURPOSES}, "vendors": {}}),
    ("iubenda", {"consent": True}),
    ("iubenda", {"purposes": {"1": True, "4": True}}),
    ("cookieyes", {"type": "cookieyes_consent_update", "detail": {"accepted": ["necessary", "analytics"], "rejected": ["functional"]}}),
    ("cookieyes", {"detail": {"activeLaw": "gdpr", "categories": {"analytics": True}, "isUserActionCompleted": True}}),
    ("osano", OSANO),
    ("osano", {"event": "osano-cm-consent-saved", "consent": OSANO}),
    ("osano", {"status": "allow", "type": "opt-in", "chosenBefore": False}),
    ("osano", {"type": "onStatusChange", "status": "allow"}),
    ("klaro", klaro(True)),
    ("klaro", {"changes": {"visitor-id": True}, "consents": {"visitor-id": True}, "type": "script"}),
    ("tarteaucitron", {"type": "visitorid_allowed"}),
    ("vanilla-cookieconsent", {"cookie": cc_cookie("analytics"), "changedCategories": ["analytics"]}),
    ("vanilla-cookieconsent", {"type": "cc:onConsent", "detail": {"cookie": cc_cookie("analytics")}}),
    ("vanilla-cookieconsent", cc_cookie("analytics")),
    ("shopify", {"marketing": "no", "analytics": "yes", "preferences": "", "sale_of_data": ""}),
    ("wordpress", {"statistics": "allow"}),
    ("wordpress", {"type": "wp_listen_for_consent_change", "detail": {"statistics": "allow"}}),
]

REFUSED_EVENTS: list[tuple[str, dict[str, Any]]] = [
    ("cookiebot", {"consent": {"statistics": False, "method": "explicit"}, "hasResponse": True}),
    ("onetrust", {"detail": ["C0001"], "OptanonAlertBoxClosed": CLOSED}),
    ("usercentrics", usercentrics(False)),
    ("usercentrics", {"detail": {"source": "FIRST_LAYER", "type": "DENY_ALL"}}),
    ("didomi", webhook(False)),
    ("didomi", {"purposes": {"enabled": [], "disabled": BOTH_PURPOSES}}),
    ("iubenda", {"consent": False}),
    ("iubenda", {"consent": True, "purposes": {"4": False}}),
    ("iubenda", {"consent": False, "purposes": {"4": True}}),
    ("cookieyes", {"detail": {"accepted": ["necessary"], "rejected": ["analytics"]}}),
    ("osano", {**OSANO, "ANALYTICS": "DENY"}),
    ("osano", {"status": "deny", "type": "opt-out"}),
    ("osano", {"event": "onRevokeChoice"}),
    ("klaro", klaro(False)),
    ("tarteaucitron", {"type": "visitorid_disallowed"}),
    ("vanilla-cookieconsent", {"cookie": cc_cookie()}),
    ("shopify", {"analytics": "no", "sale_of_data": "no"}),
    ("wordpress", {"statistics": "deny"}),
]

ABSENT_EVENTS: list[tuple[str, dict[str, Any]]] = [
    *((source, {}) for source in sorted(BANNERS)),
    *((source, {"detail": None, "type": 1, "event": []}) for source in sorted(BANNERS)),
    ("cookiebot", {"consent": {"statistics": True, "method": "implied"}, "hasResponse": True}),
    ("cookiebot", {"consent": {"statistics": True, "method": "explicit"}, "hasResponse": False}),
    ("cookiebot", {"consent": {"statistics": True, "method": "explicit", "hasResponse": False}}),
    ("cookiebot", {"consent": {"statistics": True}}),
    ("cookiebot", {"consent": {"statistics": "true", "method": "explicit"}}),
    ("onetrust", {"detail": ["C0001", "C0002"]}),
    ("onetrust", {"detail": [], "OptanonAlertBoxClosed": CLOSED}),
    ("onetrust", {"detail": "C0002", "OptanonAlertBoxClosed": CLOSED}),
    ("usercentrics", usercentrics(kind="implicit")),
    ("usercentrics", usercentrics(action="onInitialPageLoad")),
    ("usercentrics", usercentrics(action="onNonEURegion")),
    ("usercentrics", usercentrics(action=None)),
    ("usercentrics", usercentrics(functional=None)),
    ("usercentrics", usercentrics(functional="true")),
    ("usercentrics", {"detail": {"source": "SECOND_LAYER", "type": "SAVE"}}),
    ("usercentrics", {"detail": {"source": "NONE", "type": "CMP_SHOWN"}}),
    ("didomi", webhook(None)),
    ("didomi", webhook("true")),
    ("didomi", webhook(kind="event.deleted")),
    ("didomi", webhook(kind="user.updated")),
    ("didomi", webhook(regulation="cpra")),
    ("didomi", webhook(status="pending_approval")),
    ("didomi", webhook(consents={"purposes": "cookies"})),
    ("didomi", {"regulation": "cpra", "purposes": {"enabled": BOTH_PURPOSES, "disabled": []}}),
    ("didomi", {"type": "event.created", "parameters": []}),
    ("iubenda", {"purposes": {}}),
    ("iubenda", {"consent": "true"}),
    ("iubenda", {"consent": True, "purposes": None}),
    ("cookieyes", {"detail": {"categories": {"analytics": True}, "isUserActionCompleted": False}}),
    ("cookieyes", {"detail": {"accepted": ["analytics"], "rejected": ["analytics"]}}),
    ("cookieyes", {"detail": {"accepted": "analytics"}}),
    ("osano", {"event": "osano-cm-consent-changed", "consent": OSANO}),
    ("osano", {"event": "osano-cm-initialized", **OSANO}),
    ("osano", {**OSANO, "ANALYTICS": "accept"}),
    ("osano", {"status": "dismiss", "type": "info"}),
    ("osano", {"status": "allow", "type": "opt-out"}),
    ("osano", {"status": "allow", "event": "onInitialise"}),
    ("klaro", {"visitor-id": True}),
    ("klaro", {"consent": False, "service": {"name": "visitor-id"}}),
    ("klaro", {"type": "consents", "data": {"visitor-id": True}}),
    ("klaro", klaro(True, "consents")),
    ("klaro", klaro(True, "applyConsents")),
    ("klaro", {"type": "saveConsents", "data": {"consents": {"visitor-id": True}}}),
    ("klaro", klaro("true")),
    ("tarteaucitron", {"type": "visitorid_added"}),
    ("tarteaucitron", {"type": "tac.consent_updated"}),
    ("tarteaucitron", {"type": "other_allowed"}),
    ("vanilla-cookieconsent", {"cookie": {}}),
    ("shopify", {"analytics": "", "marketing": ""}),
    ("shopify", {"detail": {"analyticsAllowed": True, "marketingAllowed": True}}),
    ("shopify", {"analytics": True}),
    ("wordpress", {"statistics-anonymous": "allow"}),
    ("wordpress", {"marketing": "allow"}),
    ("wordpress", {"statistics": True}),
]


def choice_of(reading: BannerReading | None) -> Choice | None:
    return reading.choice if reading else None


def test_the_banners_are_those_of_the_interface() -> None:
    text = "cookiebot onetrust usercentrics didomi iubenda cookieyes osano klaro tarteaucitron vanilla-cookieconsent shopify wordpress"
    assert sorted(text.split()) == sorted(BANNERS)


@pytest.mark.parametrize(("source", "cookies"), GRANTED_COOKIES)
def test_a_cookie_grants_and_says_the_same_as_an_event(source: str, cookies: dict[str, str]) -> None:
    assert choice_of(read_cookies(source, cookies)) is Choice.GRANTED
    assert choice_of(read_event(source, cookies)) is Choice.GRANTED


@pytest.mark.parametrize(("source", "cookies"), REFUSED_COOKIES)
def test_a_cookie_refuses_and_says_the_same_as_an_event(source: str, cookies: dict[str, str]) -> None:
    assert choice_of(read_cookies(source, cookies)) is Choice.REFUSED
    assert choice_of(read_event(source, cookies)) is Choice.REFUSED


@pytest.mark.parametrize(("source", "cookies"), ABSENT_COOKIES)
def test_an_undecided_or_malformed_cookie_is_absent(source: str, cookies: dict[str, str]) -> None:
    assert read_cookies(source, cookies) is None
    assert read_event(source, cookies) is None


@pytest.mark.parametrize(("source", "event"), GRANTED_EVENTS)
def test_an_event_grants(source: str, event: dict[str, Any]) -> None:
    assert choice_of(read_event(source, event)) is Choice.GRANTED


@pytest.mark.parametrize(("source", "event"), REFUSED_EVENTS)
def test_an_event_refuses(source: str, event: dict[str, Any]) -> None:
    assert choice_of(read_event(source, event)) is Choice.REFUSED


@pytest.mark.parametrize(("source", "event"), ABSENT_EVENTS)
def test_an_undecided_or_malformed_event_is_absent(source: str, event: dict[str, Any]) -> None:
    assert read_event(source, event) is None


CUSTOM: list[tuple[str, dict[str, Any], set[str], Choice | None]] = [
    ("cookiebot", {"CookieConsent": cookiebot()}, {"statistics", "preferences"}, Choice.REFUSED),
    ("cookiebot", {"CookieConsent": cookiebot()}, {"stamp"}, None),
    ("onetrust", optanon("C0001:1,STAT:1"), {"STAT"}, Choice.GRANTED),
    ("onetrust", optanon("C0001:1,STAT:1"), {"STAT", "C0003"}, None),
    ("usercentrics", {**usercentrics(None), "Our Shop": True}, {"Our Shop"}, Choice.GRANTED),
    ("usercentrics", {**usercentrics(None), "Our Shop": False}, {"Our Shop"}, Choice.REFUSED),
    ("usercentrics", usercentrics(None, marketing=True), {"marketing"}, None),
    (
        "didomi",
        {"didomi_token": token({"enabled": ["stats-Xy"]}, vendors={"enabled": ["c:us"]})},
        {"stats-Xy", "c:us"},
        Choice.GRANTED,
    ),
    ("didomi", webhook(consents={"vendors": [{"id": "c:us", "enabled": False}]}), {"c:us"}, Choice.REFUSED),
    ("iubenda", {"purposes": {"3": True, "4": False}}, {"3"}, Choice.GRANTED),
    ("cookieyes", {"cookieyes-consent": cookieyes()}, {"analytics", "functional"}, Choice.REFUSED),
    ("osano", OSANO, {"ANALYTICS", "STORAGE"}, None),
    ("osano", {"cookieconsent_status": "allow"}, {"anything"}, Choice.GRANTED),
    ("klaro", {"klaro": packed({"shop": True})}, {"shop"}, Choice.GRANTED),
    ("tarteaucitron", {"tarteaucitron": "!a=true!b=wait"}, {"a", "b"}, None),
    ("tarteaucitron", {"type": "a_allowed"}, {"a", "b"}, None),
    ("vanilla-cookieconsent", cc_cookie("stats"), {"stats"}, Choice.GRANTED),
    ("shopify", {"analytics": "yes", "preferences": ""}, {"analytics", "preferences"}, None),
    ("wordpress", {"wp_consent_statistics-anonymous": "allow"}, {"statistics-anonymous"}, Choice.GRANTED),
]


@pytest.mark.parametrize(("source", "event", "categories", "choice"), CUSTOM)
def test_the_shops_own_categories_replace_the_default_ones(
    source: str, event: dict[str, Any], categories: set[str], choice: Choice | None
) -> None:
    assert choice_of(read_event(source, event, frozenset(categories))) is choice


def test_no_categories_are_the_default_ones() -> None:
    assert choice_of(read_event("wordpress", {"statistics": "deny"}, frozenset())) is Choice.REFUSED


@pytest.mark.parametrize("injected", [",x:'statistics:true'", ",x:'a,statistics:true'", ",x:'{statistics:true}'"])
def test_text_inside_the_quotes_of_cookiebot_is_no_member(injected: str) -> None:
    assert choice_of(read_cookies("cookiebot", {"CookieConsent": cookiebot("false", more=injected)})) is Choice.REFUSED


@pytest.mark.parametrize("injected", ["',statistics:true,y:'", "'}{statistics:true,z:'"])
def test_a_quote_that_breaks_out_of_cookiebots_text_never_grants(injected: str) -> None:
    assert read_cookies("cookiebot", {"CookieConsent": cookiebot("false", more=f",x:'{injected}'")}) is None


@pytest.mark.parametrize("spoilt", ["%00", "%0a", "%ff", "%E2%82", "%", "%zz", "\x00", "x" * banners.LONGEST])
@pytest.mark.parametrize(("source", "cookies"), GRANTED_COOKIES)
def test_a_spoilt_or_overlong_cookie_never_grants(source: str, cookies: dict[str, str], spoilt: str) -> None:
    name, raw = next(iter(cookies.items()))
    for text in (raw + spoilt, spoilt + raw, raw[:5] + spoilt + raw[5:]):
        assert read_cookies(source, {**cookies, name: text}) is None


@pytest.mark.parametrize("bomb", ["[" * 8000, '{"a":' * 2700, "9" * 5000, '{"consent":1e999}', "[]", "null", '"x"'])
@pytest.mark.parametrize(("source", "name"), [("klaro", "klaro"), ("iubenda", "_iub_cs-1"), ("vanilla-cookieconsent", "cc_cookie")])
def test_nested_bombs_and_other_json_are_absent(source: str, name: str, bomb: str) -> None:
    assert read_cookies(source, {name: bomb}) is None
    assert read_cookies("didomi", {"didomi_token": base64.b64encode(bomb.encode()).decode()}) is None


def test_a_truncated_cookie_never_grants_what_the_whole_one_refuses() -> None:
    for source, cookies in REFUSED_COOKIES:
        name, raw = next(iter(cookies.items()))
        for end in range(len(raw)):
            assert choice_of(read_cookies(source, {**cookies, name: raw[:end]})) is not Choice.GRANTED


def test_an_event_that_its_own_cookie_contradicts_is_refused() -> None:
    assert (
        choice_of(read_event("vanilla-cookieconsent", {"cookie": cc_cookie("analytics"), "cc_cookie": packed(cc_cookie())}))
        is Choice.REFUSED
    )
    assert choice_of(read_event("klaro", {**klaro(False), "klaro": packed({"visitor-id": True})})) is Choice.REFUSED
    assert choice_of(read_event("wordpress", {"wp_consent_statistics": "deny", "statistics": "allow"})) is Choice.REFUSED


TIMED: list[tuple[str, dict[str, Any], int | None]] = [
    ("cookiebot", {"CookieConsent": cookiebot()}, STAMP),
    ("cookiebot", {"consent": {"statistics": True, "method": "explicit"}, "consentUTC": CLOSED}, CLOSED_AT),
    ("onetrust", optanon(), CLOSED_AT),
    ("onetrust", {**optanon(), "OptanonAlertBoxClosed": quote(CLOSED)}, CLOSED_AT),
    ("didomi", {"didomi_token": token({"enabled": BOTH_PURPOSES})}, CLOSED_AT),
    ("didomi", webhook(), CLOSED_AT),
    ("iubenda", {"consent": True, "timestamp": CLOSED}, CLOSED_AT),
    ("iubenda", {"consent": True, "timestamp": "yesterday"}, None),
    ("vanilla-cookieconsent", cc_cookie("analytics"), CLOSED_AT),
    ("vanilla-cookieconsent", cc_cookie("analytics", lastConsentTimestamp=None, consentTimestamp=CLOSED), CLOSED_AT),
    ("klaro", klaro(True), None),
    ("shopify", {"analytics": "yes"}, None),
]


@pytest.mark.parametrize(("source", "event", "time"), TIMED)
def test_the_banners_own_time_of_the_choice_is_told(source: str, event: dict[str, Any], time: int | None) -> None:
    reading = read_event(source, event)
    assert reading
    assert reading.decided_at == time


NO_TIMES: list[object] = [0, -1, True, None, [], {}, "", "x", 10**30, float("nan"), float("inf"), "9" * 14, "2024-10-26T13:46:54"]
NO_TIMES += ["2024-10-26", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"]


@pytest.mark.parametrize(
    ("time", "read"),
    [
        (STAMP, STAMP),
        (1729950414, 1729950414000),
        (1729950414.5, 1729950414500),
        ("1729950414219", STAMP),
        ("1729950414", 1729950414000),
        ("2024-10-26T13:46:54.219Z", STAMP),
        ("2024-10-26T15:46:54.219+02:00", STAMP),
        *((time, None) for time in NO_TIMES),
        ("2024-10-26T13:46:54Z" + " " * 30, None),
        ("١٧٢٩٩٥٠٤١٤", None),
    ],
)
def test_times_are_read_in_milliseconds_seconds_and_iso_with_a_zone(time: object, read: int | None) -> None:
    assert banners.millis(time) == (None if read is None else Millis(read))


@pytest.mark.parametrize(
    ("value", "read"),
    [(3, "3"), ("v1", "v1"), (0, None), ("0", None), ("", None), (True, None), (-1, None), (10**20, None), ("x" * 65, None)],
)
def test_a_version_of_texts_is_short_and_not_zero(value: object, read: str | None) -> None:
    reading = read_event("vanilla-cookieconsent", cc_cookie("analytics", revision=value))
    assert reading
    assert reading.policy_version == read


def test_cookiebot_tells_its_version_of_texts() -> None:
    reading = read_cookies("cookiebot", {"CookieConsent": cookiebot()})
    assert reading
    assert reading.policy_version == "3"


OPT_OUTS: list[tuple[str, Mapping[str, object], bool | None]] = [
    ("onetrust", optanon(more="&isGpcEnabled=1"), True),
    ("onetrust", optanon(more="&isGpcEnabled=0"), None),
    ("osano", {**OSANO, "OPT_OUT": "ACCEPT"}, True),
    ("osano", OSANO, False),
    ("shopify", {"analytics": "yes", "sale_of_data": "no"}, True),
    ("shopify", {"analytics": "yes", "sale_of_data": "yes"}, False),
    ("shopify", {"analytics": "yes", "sale_of_data": ""}, None),
]


@pytest.mark.parametrize(("source", "event", "opted_out"), OPT_OUTS)
def test_the_opt_out_of_sale_and_sharing_is_told(source: str, event: Mapping[str, object], opted_out: bool | None) -> None:
    reading = read_event(source, event)
    assert reading
    assert reading.sale_share_opt_out is opted_out


@pytest.mark.parametrize(("user", "visitor"), [("our-visitor", "our-visitor"), ("", None), (7, None), ("x" * 257, None), (None, None)])
def test_only_a_webhook_names_the_visitor_by_the_organisations_reference(user: object, visitor: str | None) -> None:
    reading = read_event("didomi", webhook(user={"id": "d", "organization_user_id": user}))
    assert reading
    assert reading.visitor == visitor


def test_an_unknown_banner_is_absent() -> None:
    assert read_event("nobody", {"statistics": "allow"}) is None
    assert read_cookies("nobody", {"wp_consent_statistics": "allow"}) is None


def test_other_cookies_of_the_request_do_not_matter() -> None:
    for source, cookies in GRANTED_COOKIES:
        assert choice_of(read_cookies(source, {"session": "%00", **cookies, "x": "\x00"})) is Choice.GRANTED
        assert read_cookies(source, {"session": "x"}) is None


WORDS = [
    "true",
    "false",
    "allow",
    "yes",
    "statistics",
    "detail",
    "consent",
    "purposes",
    "type",
    "event",
    "status",
    "data",
    "categories",
    "cookie",
]
MEMBERS = [
    "ucCategory",
    "consents",
    "changes",
    "parameters",
    "vendors",
    "method",
    "accepted",
    "OptanonAlertBoxClosed",
    "entity",
    "user",
    "id",
]
NAMES = st.sampled_from([*WORDS, *MEMBERS]) | st.text(max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.sampled_from([*WORDS, *MEMBERS, CLOSED]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=20,
)
COOKIE_NAMES = sorted({name for _, cookies in GRANTED_COOKIES for name in cookies})
CUT = st.sampled_from([raw for _, cookies in GRANTED_COOKIES for raw in cookies.values()]).flatmap(
    lambda raw: st.tuples(st.integers(0, len(raw)), st.text(max_size=5)).map(lambda cut: raw[: cut[0]] + cut[1] + raw[cut[0] :])
)


@given(st.sampled_from(sorted(BANNERS)), st.dictionaries(NAMES, JSON, max_size=6))
def test_no_json_ever_raises(source: str, event: dict[str, object]) -> None:
    reading = read_event(source, event)
    assert reading is None or reading.choice in (*Choice, None)


@given(st.sampled_from(sorted(BANNERS)), st.dictionaries(st.sampled_from(COOKIE_NAMES), st.text() | CUT, max_size=4))
def test_no_cookie_text_ever_raises(source: str, cookies: dict[str, str]) -> None:
    reading = read_cookies(source, cookies)
    assert reading is None or reading.choice in (*Choice, None)
    assert read_event(source, cookies) == reading or source in {"shopify", "wordpress"}


@given(st.sampled_from(GRANTED_EVENTS), st.data())
def test_no_member_of_an_event_replaced_by_json_ever_raises(case: tuple[str, dict[str, Any]], data: st.DataObject) -> None:
    source, event = case
    name = data.draw(st.sampled_from(sorted(event)))
    read_event(source, {**event, name: data.draw(JSON)})
