"""Consent banners: a choice is read only from what the person decided; everything else is absent."""

import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_service.model.consent import Choice, Millis
from identity_service.signals import answers
from identity_service.signals.banners import BANNERS, BannerReading, read_cookies, read_event

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


def cookie_information(*approved: str, denied: tuple[str, ...] = (), **more: object) -> dict[str, Any]:
    names = [f"cookie_cat_{name}" for name in ("necessary", *approved)]
    return {"website_uuid": "u", "timestamp": CLOSED, "consents_approved": names, "consents_denied": [*denied], **more}


def axeptio(ours: object, completed: object = True) -> dict[str, Any]:
    return {
        "$$token": "t",
        "$$date": CLOSED,
        "$$cookiesVersion": {},
        "$$completed": completed,
        "visitor_id": ours,
        "google_analytics": True,
    }


def borlabs(**groups: list[str]) -> dict[str, Any]:
    consents = {"essential": ["borlabs-cookie"], **groups}
    return {"consents": consents, "domainPath": "shop.example/", "expires": ENDS, "uid": "anonymous", "v3": True, "version": 1}


def cookiefirst(performance: object, **more: object) -> dict[str, Any]:
    return {"necessary": True, "performance": performance, "functional": True, "advertising": False, "timestamp": SECONDS, **more}


def in_base64(state: object) -> str:
    return base64.b64encode(json.dumps(state).encode()).decode()


def cookiehub(analytics: object = True, answered: object = True, **more: object) -> dict[str, Any]:
    categories = [{"cid": 1, "id": "necessary", "value": True}, {"cid": 3, "id": "analytics", "value": analytics}]
    return {"answered": answered, "revision": 1, "dnt": False, "timestamp": CLOSED, "categories": categories, **more}


def ketch(allowed: str, basis: str = "consent_optin", **more: object) -> dict[str, str]:
    purposes = {"analytics": {"allowed": allowed, "legalBasisCode": basis}}
    return {"_swb_consent_": in_base64({"purposes": purposes, "collectedAt": SECONDS, **more})}


def ketch_public(status: str) -> dict[str, str]:
    return {"_ketch_consent_v1_": in_base64({"analytics": {"status": status, "canonicalPurposes": ["analytics"]}})}


def trustarc(prefs: str, level: str, behavior: str = "expressed,eu") -> dict[str, str]:
    cookies = {"notice_gdpr_prefs": prefs, "notice_preferences": level, "notice_behavior": behavior}
    return {name: text for name, text in cookies.items() if text}


def complianz(**cookies: str) -> dict[str, str]:
    return {**cookies, "cmplz_banner-status": "dismissed"}


def cc_cookie_2(*categories: str, **more: object) -> dict[str, Any]:
    accepted = ["necessary", *categories]
    times = {"consent_date": "2026-11-01T10:00:00.000Z", "consent_uuid": "u", "last_consent_update": CLOSED}
    return {"categories": accepted, "level": accepted, "revision": 0, "data": None, "rfc_cookie": False, **times, **more}


def cc_level(*categories: str) -> dict[str, Any]:
    return {"level": ["necessary", *categories], "revision": 0, "data": None, "rfc_cookie": False}


def cmp_data(purposes: object, chosen: object = True, **more: object) -> dict[str, Any]:
    listed = [{"id": 1}, {"id": "8"}]
    return {"userChoiceExists": chosen, "purposesList": listed, "purposeConsents": purposes, "vendorConsents": {}, **more}


def c15t(measurement: bool, **more: object) -> dict[str, Any]:
    return {"consents": {"necessary": True, "measurement": measurement}, "consentInfo": {"time": CLOSED_AT, "subjectId": "sub_1"}, **more}


def c15t_changed(measurement: bool, **more: object) -> dict[str, Any]:
    sides = {"allowedCategories": ["necessary"], "deniedCategories": []}
    sides["allowedCategories" if measurement else "deniedCategories"].append("measurement")
    return {"preferences": {"necessary": True, "measurement": measurement}, "previousPreferences": {}, **sides, **more}


ENDS = "Sun, 11 Jan 2027 08:07:14 GMT"
ENDS_AT = 1799654834000
SECONDS = CLOSED_AT // 1000
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
    ("vanilla-cookieconsent", {"cc_cookie": packed(cc_cookie_2("analytics"))}),
    ("vanilla-cookieconsent", {"cc_cookie": json.dumps(cc_cookie_2("analytics"))}),
    ("vanilla-cookieconsent", {"cc_cookie": packed(cc_level("analytics"))}),
    ("cookie-information", {"CookieInformationConsent": packed(cookie_information("statistic"))}),
    ("complianz", complianz(cmplz_statistics="allow", cmplz_marketing="deny", cmplz_functional="allow", cmplz_policy_id="14")),
    ("complianz", {"cmplz_rt_statistics": "allow", "cmplz_rt_banner-status": "dismissed"}),
    ("borlabs", {"borlabs-cookie": packed(borlabs(statistics=["google-analytics"]))}),
    ("axeptio", {"axeptio_cookies": packed(axeptio(True))}),
    ("axeptio", {"axeptio_cookies": json.dumps(axeptio(True)).replace('"', "%22")}),
    ("trustarc", trustarc("0,1,2:", "2:")),
    ("trustarc", trustarc("0|1::expressed,eu", "1:", "")),
    ("trustarc", trustarc("", "2:")),
    ("cookiefirst", {"cookiefirst-consent": packed(cookiefirst(True, type="category"))}),
    ("cookiehub", {"cookiehub": in_base64(cookiehub())}),
    ("cookiehub", {"cookiehub": in_base64(cookiehub(categories=[], allAllowed=True, implicit=False))}),
    ("ketch", ketch("true")),
    ("ketch", ketch("true", "consent_optout", context={"source": "banner.saveCurrentState"})),
    ("c15t", {"c15t": f"c.necessary:1,c.measurement:1,i.t:{CLOSED_AT},i.sid:sub_1,i.mpf:"}),
    ("orejime", {"orejime": packed({"visitor-id": True, "ads": False})}),
    ("react-cookie-consent", {"CookieConsent": "true"}),
    ("react-cookie-consent", {"CookieConsent": "true", "CookieConsent-legacy": "true"}),
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
    ("vanilla-cookieconsent", {"cc_cookie": packed(cc_cookie_2())}),
    ("vanilla-cookieconsent", {"cc_cookie": packed(cc_level("ads"))}),
    ("cookie-information", {"CookieInformationConsent": packed(cookie_information(denied=("cookie_cat_statistic",)))}),
    ("complianz", {"cmplz_statistics": "deny", "cmplz_marketing": "allow"}),
    ("complianz", {"cmplz_statistics": "deny", "cmplz_banner-status": "show"}),
    ("borlabs", {"borlabs-cookie": packed(borlabs(marketing=["meta-pixel"]))}),
    ("borlabs", {"borlabs-cookie": packed(borlabs(statistics=[]))}),
    ("axeptio", {"axeptio_cookies": packed(axeptio(False))}),
    ("trustarc", trustarc("0:", "0:")),
    ("trustarc", trustarc("0,2:", "2:")),
    ("trustarc", trustarc("0::implied,eu", "0:", "implied,eu")),
    ("trustarc", trustarc("", "0:")),
    ("cookiefirst", {"cookiefirst-consent": packed(cookiefirst(False))}),
    ("cookiehub", {"cookiehub": in_base64(cookiehub(False, allAllowed=False))}),
    ("cookiehub", {"cookiehub": in_base64(cookiehub(categories=[], allAllowed=False))}),
    ("ketch", ketch("false", context={"source": "banner.rejectAll"})),
    ("ketch", ketch("false", "consent_optout")),
    ("ketch", ketch_public("denied")),
    ("ketch", ketch("true") | ketch_public("denied")),
    ("c15t", {"c15t": f"c.necessary:1,c.marketing:1,i.t:{CLOSED_AT},i.sid:sub_1"}),
    ("orejime", {"orejime": packed({"visitor-id": False, "ads": True})}),
    ("react-cookie-consent", {"CookieConsent": "false"}),
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
    ("vanilla-cookieconsent", {"cc_cookie": packed(cc_cookie_2("analytics", consent_uuid=None))}),
    ("vanilla-cookieconsent", {"cc_cookie": packed(cc_cookie_2("analytics", last_consent_update="soon"))}),
    ("vanilla-cookieconsent", {"cc_cookie": packed(cc_cookie_2("analytics", level=["necessary"]))}),
    ("vanilla-cookieconsent", {"cc_cookie": packed({"level": ["necessary", "analytics"]})}),
    ("vanilla-cookieconsent", {"cc_cookie": packed({**cc_level("analytics"), "level": "analytics"})}),
    ("cookie-information", {"CookieInformationConsent": packed(cookie_information("statistic", timestamp=None))}),
    ("cookie-information", {"CookieInformationConsent": packed(cookie_information("statistic", denied=("cookie_cat_statistic",)))}),
    ("cookie-information", {"CookieInformationConsent": packed(cookie_information("statistic", consents_approved="all"))}),
    ("complianz", {"cmplz_statistics": "allow", "cmplz_banner-status": "show"}),
    ("complianz", {"cmplz_statistics": "allow", "cmplz_policy_id": "14"}),
    ("complianz", complianz(cmplz_statistics="allow") | {"cmplz_rt_banner-status": "show"}),
    ("complianz", complianz(cmplz_statistics="allow", cmplz_rt_statistics="deny")),
    ("complianz", {"cmplz_statistics": ""}),
    ("complianz", {"cmplz_statistics": "optin"}),
    ("complianz", complianz(**{"cmplz_statistics-anonymous": "allow"})),
    ("complianz", {"cmplz_banner-status": "dismissed"}),
    ("borlabs", {"borlabs-cookie": packed({"consents": {}})}),
    ("borlabs", {"borlabs-cookie": packed({"consents": {"essential": []}})}),
    ("borlabs", {"borlabs-cookie": packed({"consents": ["statistics"]})}),
    ("borlabs", {"borlabs-cookie": packed([])}),
    ("axeptio", {"axeptio_cookies": packed(axeptio(True, completed=False))}),
    ("axeptio", {"axeptio_cookies": packed(axeptio("true"))}),
    ("axeptio", {"axeptio_cookies": packed({"visitor_id": True})}),
    ("axeptio", {"axeptio_authorized_vendors": ",visitor_id,"}),
    ("trustarc", trustarc("0,1,2::implied,eu", "2:")),
    ("trustarc", trustarc("0,1,2:", "2:", "implied,us")),
    ("trustarc", trustarc("0,1,2:", "2:", "")),
    ("trustarc", trustarc("0,1,2::expressed,eu", "2:", "implied,us")),
    ("trustarc", trustarc("0,2:", "1:")),
    ("trustarc", trustarc("0,1,2", "")),
    ("trustarc", trustarc("0,1,2:", "all")),
    ("trustarc", trustarc("", "", "expressed,eu")),
    ("trustarc", {"cmapi_cookie_privacy": "permit 1,2,3"}),
    ("cookiefirst", {"cookiefirst-consent": packed({"performance": True})}),
    ("cookiefirst", {"cookiefirst-consent": packed(cookiefirst(1))}),
    ("cookiehub", {"cookiehub": in_base64(cookiehub(answered=False))}),
    ("cookiehub", {"cookiehub": in_base64(cookiehub(implicit=True))}),
    ("cookiehub", {"cookiehub": in_base64(cookiehub(implict=True))}),
    ("cookiehub", {"cookiehub": in_base64(cookiehub(categories=[]))}),
    ("cookiehub", {"cookiehub": in_base64(cookiehub(categories=[{"id": "marketing", "value": False}], allAllowed=True))}),
    ("cookiehub", {"cookiehub": in_base64(cookiehub(categories={"analytics": True}))}),
    ("ketch", ketch("true", "consent_optout")),
    ("ketch", ketch("true", "disclosure")),
    ("ketch", ketch("true", "disclosure", context={"source": "banner.saveCurrentState"})),
    ("ketch", ketch("true", context={"source": "legalBasisDefault"})),
    ("ketch", ketch("false", context={"source": "legalBasisDefault"})),
    ("ketch", ketch("false")),
    ("ketch", ketch_public("granted")),
    ("ketch", {"_swb_consent_": "a-token"}),
    ("c15t", {"c15t": "c.necessary:1,c.measurement:1"}),
    ("c15t", {"c15t": f"i.t:{CLOSED_AT},i.sid:sub_1"}),
    ("c15t", {"c15t": f"c.necessary:1,c.measurement:yes,i.t:{CLOSED_AT}"}),
    ("c15t", {"c15t": f"c.necessary:1,c.measurement:1,c.measurement:1,i.t:{CLOSED_AT}"}),
    ("orejime", {"orejime": packed({"visitor-id": None})}),
    ("react-cookie-consent", {"CookieConsent": "1"}),
    ("react-cookie-consent", {"CookieConsent": cookiebot()}),
    ("react-cookie-consent", {"CookieConsent": "true", "CookieConsent-legacy": "false"}),
]

GRANTED_EVENTS: list[tuple[str, dict[str, Any]]] = [
    ("ucp", {"consent": {"dev.ucp.consent.analytics": {"granted": True, "source": "platform"}}}),
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
    ("vanilla-cookieconsent", {"cookie": cc_cookie_2("analytics"), "changed_preferences": ["analytics"]}),
    ("cookie-information", cookie_information("statistic")),
    ("cookie-information", {"type": "CookieInformationConsentGiven", "detail": cookie_information("statistic")}),
    ("complianz", {"type": "cmplz_status_change", "detail": {"category": "statistics", "value": "allow", "region": "eu"}}),
    ("borlabs", borlabs(statistics=["google-analytics"])),
    ("axeptio", axeptio(True)),
    ("axeptio", {"event": "cookies:complete", "choices": {"visitor_id": True}}),
    ("trustarc", {"consentDecision": [1, 2, 3], "source": "asserted"}),
    ("trustarc", {"source": "preference_manager", "message": "submit_preferences", "data": "0,1,2"}),
    ("consentmanager", {"event": "consentapproved"}),
    ("consentmanager", cmp_data({"1": True, "8": True})),
    ("consentmanager", {"event": "consent", "data": cmp_data({"1": True, "8": True})}),
    ("cookiefirst", {"type": "cf_consent", "detail": cookiefirst(True)}),
    ("cookiefirst", {"type": "cf_consent_loaded", "detail": cookiefirst(True)}),
    ("cookiefirst", cookiefirst(True, type="category")),
    ("cookiehub", {"event": "onAllow", "category": "analytics"}),
    ("cookiehub", {"event": "onStatusChange", "status": cookiehub()}),
    ("termly", {"event": "consent", "consentState": {"essential": True, "analytics": True}}),
    ("termly", {"event": "consent", "categories": ["essential", "analytics"]}),
    ("ketch", {"event": "userConsentUpdated", "purposes": {"analytics": True, "essential_services": True}}),
    ("c15t", c15t_changed(True, event="onConsentChanged")),
    ("c15t", c15t(True)),
    ("silktide", {"event": "onAcceptAll"}),
    ("orejime", {"event": "update", "updatedConsents": {"visitor-id": True}, "allConsents": {"visitor-id": True, "ads": False}}),
    ("react-cookie-consent", {"event": "onAccept", "acceptedByScrolling": False}),
    ("react-cookie-consent", {"CookieConsent": True}),
]

REFUSED_EVENTS: list[tuple[str, dict[str, Any]]] = [
    ("ucp", {"consent": {"dev.ucp.consent.analytics": {"granted": False, "source": "platform"}}}),
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
    ("vanilla-cookieconsent", {"cookie": cc_cookie_2()}),
    ("cookie-information", cookie_information(denied=("cookie_cat_statistic",))),
    ("complianz", {"type": "cmplz_status_change", "detail": {"category": "statistics", "value": "deny", "categories": ["functional"]}}),
    ("borlabs", borlabs()),
    ("axeptio", axeptio(False)),
    ("trustarc", {"consentDecision": [1], "source": "asserted"}),
    ("trustarc", {"source": "preference_manager", "message": "submit_preferences", "data": "0"}),
    ("consentmanager", {"event": "consentrejected"}),
    ("consentmanager", cmp_data({"1": True})),
    ("consentmanager", cmp_data({"1": True, "8": False})),
    ("cookiefirst", {"type": "cf_consent", "detail": cookiefirst(False)}),
    ("cookiehub", {"event": "onRevoke", "category": "analytics"}),
    ("termly", {"event": "consent", "consentState": {"essential": True, "analytics": False}}),
    ("termly", {"event": "consent", "categories": ["essential"]}),
    ("ketch", {"event": "userConsentUpdated", "purposes": {"analytics": False}}),
    ("c15t", c15t_changed(False)),
    ("c15t", c15t_changed(False, deniedCategories=[])),
    ("c15t", c15t(False)),
    ("silktide", {"event": "onRejectAll"}),
    ("silktide", {"silktideCookieChoice_analytics": "false"}),
    ("silktide", {"stcm.consent.analytics": "false", "stcm.consent.marketing": "true", "stcm.hasConsented": "1"}),
    ("orejime", {"updatedConsents": {"visitor-id": False}, "allConsents": {"visitor-id": False}}),
    ("react-cookie-consent", {"event": "onDecline"}),
    ("react-cookie-consent", {"CookieConsent": False}),
    ("react-cookie-consent", {"CookieConsent": True, "event": "onDecline"}),
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
    ("tarteaucitron", {"type": "other_loaded"}),
    ("tarteaucitron", {"type": "visitorid_loaded"}),
    ("complianz", {"type": "cmplz_status_change", "detail": {"category": "marketing", "value": "allow"}}),
    ("complianz", {"type": "cmplz_fire_categories", "detail": {"categories": ["functional", "statistics"]}}),
    ("complianz", {"type": "cmplz_fire_categories", "detail": {"category": "statistics", "value": "allow", "region": "eu"}}),
    ("complianz", {"type": "cmplz_status_change", "detail": {"category": "statistics", "value": "allow", "region": "other"}}),
    ("complianz", {"type": "cmplz_status_change", "detail": {"category": "statistics", "value": "allow"}}),
    ("axeptio", {"choices": {"visitor_id": True}}),
    ("axeptio", {"event": "cookies:complete", "choices": {"visitor_id": True, "$$completed": False}}),
    ("axeptio", {"event": "ready", **axeptio(True, completed=False)}),
    ("trustarc", {"consentDecision": [1, 2, 3], "source": "implied"}),
    ("trustarc", {"consentDecision": 3, "source": "asserted"}),
    ("trustarc", {"consentDecision": ["1", "2", "3"], "source": "asserted"}),
    ("trustarc", {"consentDecision": [True], "source": "asserted"}),
    ("trustarc", {"consentDecision": [1, -1], "source": "asserted"}),
    ("trustarc", {"source": "preference_manager", "message": "submit_preferences", "data": "2"}),
    ("trustarc", {"source": "preference_manager", "message": "open", "data": "0,1,2"}),
    ("consentmanager", {"event": "consent"}),
    ("consentmanager", cmp_data({"1": True, "8": True}, chosen=False)),
    ("consentmanager", cmp_data({"1": True, "8": 1})),
    ("consentmanager", cmp_data({"51": True}, purposesList=[{"id": "51"}])),
    ("cookiefirst", {"type": "cf_init", "detail": cookiefirst(True)}),
    ("cookiefirst", {"detail": cookiefirst(True, timestamp=None)}),
    ("cookiefirst", {"detail": cookiefirst(False, timestamp=None)}),
    ("cookiehub", {"event": "onAllow", "category": "marketing"}),
    ("cookiehub", {"event": "onInitialise", "status": cookiehub(answered=False)}),
    ("termly", {"event": "initialized", "consentState": {"essential": True, "analytics": True}}),
    ("termly", {"event": "consent", "categories": ["analytics"]}),
    ("termly", {"consentState": {"essential": True, "analytics": True}}),
    ("termly", {"consentState": {"essential": True, "analytics": False}}),
    ("ketch", {"event": "consent", "purposes": {"analytics": True}}),
    ("ketch", {"event": "consent", "purposes": {"analytics": False}}),
    ("ketch", {"purposes": {"analytics": True}}),
    ("c15t", {"event": "onConsentSet", "preferences": {"necessary": True, "measurement": True}}),
    ("c15t", c15t_changed(True, event="onConsentSet")),
    ("c15t", c15t_changed(True, deniedCategories=["measurement"])),
    ("c15t", c15t_changed(True, allowedCategories=["necessary"])),
    ("c15t", c15t_changed(True, allowedCategories="all")),
    ("c15t", c15t(True, consentInfo={"subjectId": "sub_1"})),
    ("c15t", c15t(True, consents={"measurement": True})),
    ("silktide", {"silktideCookieChoice_analytics": "true", "silktideCookieBanner_InitialChoice": "1"}),
    ("silktide", {"stcm.consent.analytics": "true", "stcm.hasConsented": "1"}),
    ("silktide", {"event": "onAccept", "id": "analytics"}),
    ("orejime", {"event": "clear", "updatedConsents": {"visitor-id": True}, "allConsents": {"visitor-id": True}}),
    ("orejime", {"event": "dirty", "isDirty": True}),
    ("orejime", {"allConsents": {"visitor-id": True}}),
    ("react-cookie-consent", {"event": "onAccept", "acceptedByScrolling": True}),
    ("react-cookie-consent", {"event": "onAccept"}),
]


def choice_of(reading: BannerReading | None) -> Choice | None:
    return reading.choice if reading else None


def test_the_banners_are_those_of_the_interface() -> None:
    text = "cookiebot onetrust usercentrics didomi iubenda cookieyes osano klaro tarteaucitron vanilla-cookieconsent shopify wordpress"
    text += " cookie-information complianz borlabs axeptio sourcepoint trustarc consentmanager cookiefirst cookiehub termly ketch c15t"
    text += " silktide orejime react-cookie-consent ucp"
    assert sorted(text.split()) == sorted(BANNERS)


@pytest.mark.parametrize("table", [GRANTED_EVENTS, REFUSED_EVENTS, ABSENT_EVENTS])
def test_every_banner_has_its_examples(table: list[tuple[str, Any]]) -> None:
    """Sourcepoint tells nothing but strings of the IAB, which other tests read."""
    assert {source for source, _ in table} | {"sourcepoint"} == set(BANNERS)


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
    ("axeptio", {"axeptio_cookies": packed(axeptio(True))}, {"google_analytics"}, Choice.GRANTED),
    ("borlabs", borlabs(marketing=["our-shop"]), {"our-shop"}, Choice.GRANTED),
    ("trustarc", trustarc("0,1:", "1:"), {"2"}, Choice.REFUSED),
    ("consentmanager", cmp_data({}, vendorConsents={"s26": True}), {"s26"}, Choice.GRANTED),
    ("consentmanager", cmp_data({}, vendorsList=[{"id": "s26"}]), {"s26"}, Choice.REFUSED),
    ("consentmanager", cmp_data({}), {"s26"}, None),
    ("react-cookie-consent", {"CookieConsent": "true"}, {"anything"}, Choice.GRANTED),
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


@pytest.mark.parametrize("spoilt", ["%00", "%0a", "%ff", "%E2%82", "%", "%zz", "\x00", "x" * answers.LONGEST])
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
    ("vanilla-cookieconsent", cc_cookie_2("analytics"), CLOSED_AT),
    ("vanilla-cookieconsent", cc_level("analytics"), None),
    ("cookie-information", cookie_information("statistic"), CLOSED_AT),
    ("axeptio", axeptio(True), CLOSED_AT),
    ("cookiefirst", cookiefirst(True), CLOSED_AT),
    ("cookiehub", {"cookiehub": in_base64(cookiehub())}, CLOSED_AT),
    ("ketch", ketch("true"), CLOSED_AT),
    ("c15t", {"c15t": f"c.necessary:1,c.measurement:1,i.t:{CLOSED_AT}"}, CLOSED_AT),
    ("c15t", c15t(True), CLOSED_AT),
]


@pytest.mark.parametrize(
    ("source", "event", "ends_at"),
    [
        ("borlabs", borlabs(statistics=["a"]), ENDS_AT),
        ("borlabs", {**borlabs(statistics=["a"]), "expires": "never"}, None),
        ("borlabs", {**borlabs(statistics=["a"]), "expires": "Sun, 99 Jan 9999 08:07:14 GMT"}, None),
        ("vanilla-cookieconsent", cc_cookie("analytics", expirationTime=ENDS_AT), ENDS_AT),
        ("vanilla-cookieconsent", cc_cookie("analytics"), None),
    ],
)
def test_a_banner_tells_when_it_asks_again(source: str, event: dict[str, Any], ends_at: int | None) -> None:
    reading = read_event(source, event)
    assert reading
    assert reading.ends_at == ends_at


STORED = [
    *("axeptio", "borlabs", "cookie-information", "termly"),
    *("consentmanager", "cookiebot"),
]


@pytest.mark.parametrize("source", STORED)
def test_what_a_banner_repeats_at_each_load_is_no_event(source: str) -> None:
    reading = read_event(source, next(event for name, event in GRANTED_EVENTS if name == source))
    assert reading
    assert reading.stored


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
    assert answers.millis(time) == (None if read is None else Millis(read))


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
