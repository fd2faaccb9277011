"""Banners that a vendor hosts: the content of their events and cookies.

A reader returns the banner's answer in its own names, or None if it is undecided or has an unexpected form. Banners also call back before a
choice, so each reader requires evidence of one: a member, a second cookie, or the name of the event. No reader raises.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import parse_qsl

from identity_service.signals.answers import (
    Answer,
    banner_context,
    base64_object,
    booleans,
    detail_of,
    event_names,
    mapping,
    millis,
    names,
    pairs_of,
    states_of_lists,
    states_of_words,
    text_of,
    unique_pairs,
    version,
)

_NO_ACT: Final = ("oninitialpageload", "onnoneuregion", "onsessionrestored", "onmobilesessionrestore", "onessentialchange")
_LITERAL_MEMBER: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]{0,31}):(true|false|[0-9]{1,16}|'[^'\\]*')(?:,(?=.)|$)")
_GROUP: Final = re.compile(r"([A-Za-z0-9_-]{1,64}):([01])")
_PAIR: Final = re.compile(r"([A-Za-z0-9_-]{1,64}):([A-Za-z0-9+/=_.-]*)")
_BUCKETS: Final = re.compile(r"([0-9](?:[,|][0-9])*):.*")
_LEVEL: Final = re.compile(r"([0-9]):.*")


def cookiebot_event(event: Mapping[str, object]) -> Answer | None:
    state = mapping(event.get("consent")) or event
    responses = [each["hasResponse"] for each in (event, state) if "hasResponse" in each]
    if state.get("method") != "explicit" or any(response is not True for response in responses):
        return None
    return Answer(booleans(state), decided_at=millis(event.get("consentUTC")), stored=True, banner=banner_context(method="explicit"))


def cookiebot(raw: str) -> Answer | None:
    """`{stamp:'…',necessary:true,…,method:'explicit',ver:1,utc:1729950414219}`: a JavaScript literal (cookiebot.com/en/developer). It is
    parsed member by member, so that text inside quotes cannot pass as a member."""
    text = text_of(raw) or ""
    if not (text.startswith("{") and text.endswith("}")):
        return None
    body, found, at = text[1:-1], dict[str, str](), 0
    while at < len(body):
        match = _LITERAL_MEMBER.match(body, at)
        if match is None or match[1] in found:
            return None
        found[match[1]], at = match[2], match.end()
    if found.get("method") != "'explicit'":
        return None
    states, banner = states_of_words(found, "true", "false"), banner_context(method="explicit")
    return Answer(states, None, millis(found.get("utc")), version(found.get("ver")), banner=banner)


def onetrust_event(event: Mapping[str, object]) -> Answer | None:
    """`OneTrustGroupsUpdated` and similar events also fire at each load, so the alert box's cookie is required."""
    closed, groups = event.get("OptanonAlertBoxClosed"), event.get("detail")
    decided_at = millis(text_of(closed)) if isinstance(closed, str) else None
    active = [name for joined in names(groups) for name in joined.split(",") if name]
    return Answer(dict.fromkeys(active, True), False, decided_at) if decided_at and active else None


def onetrust(cookies: Mapping[str, str]) -> Answer | None:
    """`groups=C0001:1,C0002:0&interactionCount=1&isGpcEnabled=0`, form-encoded. Before a choice it holds the defaults, so it counts only
    with the time at which the alert box was closed (developer.onetrust.com/onetrust/docs/javascript-events-guide), and not while the
    banner waits to ask again."""
    raw, decided_at = cookies.get("OptanonConsent", ""), millis(text_of(cookies.get("OptanonAlertBoxClosed", "")))
    if text_of(raw) is None:
        return None
    try:
        fields = unique_pairs(parse_qsl(raw, keep_blank_values=True, errors="strict", max_num_fields=100))
    except ValueError:
        return None
    opted_out = True if fields.get("isGpcEnabled") == "1" else None
    acted = decided_at is not None and re.fullmatch(r"0*[1-9][0-9]*", str(fields.get("interactionCount", "1")))
    asking_again = str(fields.get("AwaitingReconsent", "")).lower() == "true"
    groups = pairs_of(_GROUP, str(fields.get("groups", "")).split(",")) if acted and not asking_again else None
    states, banner = states_of_words(groups or {}, "1", "0"), banner_context(fields.get("version"))
    return Answer(states, None, decided_at, None, opted_out, banner=banner) if groups or opted_out else None


def usercentrics_event(event: Mapping[str, object]) -> Answer | None:
    """`consent_status` has services and `ucCategory`, where `null` is a mixed category. `UC_UI_CMP_EVENT` accepts or denies all
    (usercentrics.com/docs/web/features/v2/events_v2)."""
    status = detail_of(event)
    if status.get("type") in ("ACCEPT_ALL", "DENY_ALL"):
        return Answer(others=status["type"] == "ACCEPT_ALL", banner=banner_context(method=status["type"]))
    action = status.get("action")
    if status.get("type") != "explicit" or not isinstance(action, str) or not action or action.lower() in _NO_ACT:
        return None
    services, categories = booleans(status), booleans(status.get("ucCategory"))
    agreed = {name: state if services.get(name, state) is state else None for name, state in categories.items()}
    return Answer({**services, **agreed}, banner=banner_context(method=action))


def didomi_event(event: Mapping[str, object]) -> Answer | None:
    """A server's webhook, or the browser's status. A deleted event and a changed user are no choices. An event under another law may
    contain defaults (developers.didomi.io/api-and-platform/consents/events/consent-event-schema)."""
    if "parameters" not in event:
        status = detail_of(event)
        return _didomi_browser(status) if status.get("regulation", "gdpr") == "gdpr" else None
    kind, members = event.get("type"), mapping(event["parameters"])
    entity = mapping(members.get("entity") if kind == "event.created" else members.get("new_entity") if kind == "event.updated" else None)
    if entity.get("regulation", "gdpr") != "gdpr" or entity.get("status", "confirmed") != "confirmed":
        return None
    consents = mapping(entity.get("consents"))
    states = _didomi_entries(consents.get("vendors")) | _didomi_entries(consents.get("purposes"))
    visitor = mapping(entity.get("user")).get("organization_user_id")
    known = visitor if isinstance(visitor, str) and 0 < len(visitor) <= 256 else None
    return Answer(states, decided_at=millis(entity.get("created_at")), visitor=known)


def _didomi_entries(entries: object) -> dict[str, bool | None]:
    """An ID that is listed with two different answers is undecided."""
    told = [mapping(entry) for entry in entries] if isinstance(entries, list | tuple) else []
    accepted = [entry.get("id") for entry in told if entry.get("enabled") is True]
    return states_of_lists(accepted, [entry.get("id") for entry in told if entry.get("enabled") is False])


def _didomi_browser(status: Mapping[str, object]) -> Answer:
    """`getCurrentUserStatus()` has an object for each purpose. The older status has two lists, as the cookie has."""
    purposes = mapping(status.get("purposes"))
    if "enabled" in purposes or "disabled" in purposes:
        return _didomi_status(status)
    told = {**mapping(status.get("vendors")), **purposes}
    return Answer(booleans({name: mapping(each).get("enabled") for name, each in told.items()}), decided_at=millis(status.get("updated")))


def didomi(raw: str) -> Answer | None:
    """`didomi_token`: base64 of JSON with `updated`, `purposes` and `vendors` as lists of enabled and disabled."""
    return _didomi_status(base64_object(raw))


def _didomi_status(status: Mapping[str, object]) -> Answer:
    vendors, purposes = mapping(status.get("vendors")), mapping(status.get("purposes"))
    states = [states_of_lists(each.get("enabled"), each.get("disabled")) for each in (vendors, purposes)]
    return Answer(states[0] | states[1], None, millis(status.get("updated")))


def iubenda_event(event: Mapping[str, object]) -> Answer | None:
    return iubenda(detail_of(event))


def iubenda(preference: Mapping[str, object]) -> Answer | None:
    """The JSON of `_iub_cs-<site>`, which is also passed to `onPreferenceExpressed`: `purposes`, or one `consent` for all. `{"id": …}`
    alone is no choice (iubenda.com/en/help/1205)."""
    whole, purposes = preference.get("consent"), booleans(preference.get("purposes"))
    if whole is not False and "purposes" in preference:
        return Answer(purposes, None, millis(preference.get("timestamp")))
    return Answer(others=whole, decided_at=millis(preference.get("timestamp"))) if isinstance(whole, bool) else None


def cookieyes_event(event: Mapping[str, object]) -> Answer | None:
    """`cookieyes_consent_update`, or the state as `getCkyConsent()` and `cookieyes_banner_load` give it."""
    state = detail_of(event)
    if "accepted" in state or "rejected" in state:
        return Answer(states_of_lists(state.get("accepted"), state.get("rejected")))
    banner = banner_context(language=state.get("languageCode"))
    return Answer(booleans(state.get("categories")), stored=True, banner=banner) if state.get("isUserActionCompleted") is True else None


def cookieyes(raw: str) -> Answer | None:
    """`consentid:…,consent:yes,action:yes,…,analytics:no`. `action` is empty until the person acts, but the categories of an opt-out
    region say yes before that (cookieyes.com/documentation)."""
    pairs = pairs_of(_PAIR, (text_of(raw) or "").split(",")) or {}
    if pairs.get("action") != "yes":
        return None
    states = states_of_words(pairs, "yes", "no")
    return Answer({name: state and pairs.get("consent") != "no" for name, state in states.items()})


def osano_event(event: Mapping[str, object]) -> Answer | None:
    """`osano-cm-consent-saved`, but not the unsaved `…-changed`. Or the single switch of the open-source banner: `dismiss` is no choice,
    nor is the default of an opt-out banner."""
    state = detail_of(event)
    if "onRevokeChoice" in event_names(event):
        return Answer(others=False)
    if "status" in state:
        asked = state["status"] == "deny" or state.get("type") in (None, "opt-in", "onStatusChange")
        return osano(state["status"]) if asked and "onInitialise" not in event_names(event) else None
    if any(name != "osano-cm-consent-saved" for name in event_names(event)):
        return None
    told = mapping(state.get("consent")) or state
    states = states_of_words(told, "ACCEPT", "DENY")
    return Answer(states, sale_share_opt_out=states.get("OPT_OUT"))


def osano(status: object) -> Answer | None:
    """`cookieconsent_status` of the open-source banner, a single switch. `dismiss` only closed the notice."""
    return Answer(others=status == "allow") if status in ("allow", "deny") else None


def shopify_event(event: Mapping[str, object]) -> Answer:
    """`currentVisitorConsent()` of shopify.dev/docs/api/customer-privacy. Empty is no choice; `…Allowed` includes a region's default."""
    states = states_of_words(detail_of(event), "yes", "no")
    sale = states.get("sale_of_data")
    return Answer(states, sale_share_opt_out=None if sale is None else not sale)


def cookie_information_event(event: Mapping[str, object]) -> Answer | None:
    """The cookie's object. `CookieInformationConsentGiven` also fires at each load, and has no content of its own."""
    return cookie_information(detail_of(event), stored=True)


def cookie_information(consent: Mapping[str, object], *, stored: bool = False) -> Answer | None:
    """The JSON of `CookieInformationConsent`: `{"timestamp": …, "consents_approved": ["cookie_cat_statistic"], "consents_denied": […]}`
    (support.cookieinformation.com). It is written with the choice."""
    approved, decided_at = consent.get("consents_approved"), millis(consent.get("timestamp"))
    if decided_at is None or not isinstance(approved, list | tuple):
        return None
    return Answer(states_of_lists(approved, consent.get("consents_denied")), None, decided_at, stored=stored)


def axeptio_event(event: Mapping[str, object]) -> Answer | None:
    """The choices of `cookies:complete`, which also fires at each load (developers.axeptio.eu)."""
    choices = mapping(event.get("choices")) or detail_of(event)
    return axeptio(choices, told_complete="cookies:complete" in event_names(event), stored=True)


def axeptio(choices: Mapping[str, object], *, told_complete: bool = False, stored: bool = False) -> Answer | None:
    """The JSON of `axeptio_cookies`: `{"$$date": …, "$$completed": true, "google_analytics": false}`, with a member for each of the shop's
    vendors. `$$completed` is false until the person has finished."""
    if choices.get("$$completed", told_complete) is not True:
        return None
    states = {name: state for name, state in booleans(choices).items() if not name.startswith("$$")}
    return Answer(states, None, millis(choices.get("$$date")), stored=stored)


def trustarc_event(event: Mapping[str, object]) -> Answer | None:
    """`getGDPRConsentDecision`: buckets from 1 on, and `asserted` if the person chose. Or the preference manager's message
    `submit_preferences`: a list of buckets from 0 on."""
    state = detail_of(event)
    decision = state.get("consentDecision")
    if state.get("source") == "asserted" and isinstance(decision, list | tuple) and decision:
        buckets = [bucket for bucket in decision if isinstance(bucket, int) and not isinstance(bucket, bool) and bucket > 0]
        states = {str(bucket - 1): True for bucket in buckets}
        return Answer(states, False, stored=True) if len(buckets) == len(decision) else None
    if state.get("message") != "submit_preferences" or state.get("source") != "preference_manager":
        return None
    submitted = re.fullmatch(r"0(?:,[0-9])*", str(state.get("data")))
    return Answer(dict.fromkeys(submitted[0].split(","), True), False) if submitted else None


def trustarc(cookies: Mapping[str, str]) -> Answer | None:
    """`notice_gdpr_prefs=0,1:…` lists the permitted buckets: 0 required, 1 functional (TrustArc's word also for analytics), 2 advertising.
    `notice_preferences=2:…` is the highest of them; alone, as from a slider, it includes all lower ones. The part after the colon, or
    `notice_behavior`, is `expressed` if people must choose and `implied` if they need not. A grant needs `expressed` without `implied`. 0
    alone is a refusal."""
    texts = {name: text_of(raw) for name, raw in cookies.items()}
    told, highest = texts.get("notice_gdpr_prefs", ""), texts.get("notice_preferences", "")
    if not all(texts.values()) or told is None or highest is None:
        return None
    buckets, level = _BUCKETS.fullmatch(told), _LEVEL.fullmatch(highest)
    if (told and not buckets) or (highest and not level) or not (told or highest):
        return None
    permitted = set(re.split("[,|]", buckets[1]) if buckets else map(str, range(int(highest[0]) + 1)))
    written = " ".join(map(str, texts.values()))
    expressed = "expressed" in written and "implied" not in written
    states = {name: True if expressed or name == "0" else None for name in permitted}
    contradicted = {highest[0]: None} if level and level[1] not in permitted else {}
    return Answer({**states, **contradicted}, False)


def consentmanager_event(event: Mapping[str, object]) -> Answer | None:
    """`__cmp('getCMPData')`: purposes and vendors by ID. Listed IDs without a state are refused. `userChoiceExists` is false before the
    choice (help.consentmanager.net, JavaScript API). Or the events that accept or reject all."""
    for name in event_names(event):
        if name in ("consentapproved", "consentrejected"):
            return Answer(others=name == "consentapproved", stored=True)
    state = mapping(event.get("data")) or detail_of(event)
    if state.get("userChoiceExists") is not True:
        return None
    offered = [mapping(one).get("id") for ids in ("purposesList", "vendorsList") for one in _members(state.get(ids))]
    unlisted: dict[str, bool | None] = {str(name): False for name in offered if isinstance(name, str | int)}
    return Answer(unlisted | booleans(state.get("purposeConsents")) | booleans(state.get("vendorConsents")), stored=True)


def _members(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else []


def consentmanager_tc(members: Mapping[str, object]) -> str | None:
    """The TC string in the cookie `__cmpconsent<id>`, or `…x<id>` and `…s<id>` if several sites share it."""
    found = [text for name, text in members.items() if isinstance(text, str) and re.fullmatch("__cmpconsent[xs]?[0-9]{1,9}", name)]
    return found[0] if len(found) == 1 else None


def sourcepoint_tc(members: Mapping[str, object]) -> str | None:
    """The arguments of `onConsentReady`: `(consentUUID, euconsent)`, or `(message_type, uuid, string, info)` with the type `gdpr`. It is
    also called at each load (docs.sourcepoint.com)."""
    text = members.get("euconsent") or (members.get("string") if members.get("message_type") == "gdpr" else None)
    return text if isinstance(text, str) else None


def cookiefirst_event(event: Mapping[str, object]) -> Answer | None:
    """`cf_consent` with the categories as its detail. `cf_consent_loaded` repeats the stored choice (docs.cookiefirst.com). An object
    without an event's name must be the stored one, which has a timestamp."""
    named = [name for name in event_names(event) if name.startswith("cf_")]
    nameless = not named and millis(detail_of(event).get("timestamp")) is None
    if nameless or any(name not in ("cf_consent", "cf_consent_loaded") for name in named):
        return None
    return cookiefirst(detail_of(event), stored="cf_consent" not in named)


def cookiefirst(consent: Mapping[str, object], *, stored: bool = False) -> Answer | None:
    """The JSON of `cookiefirst-consent`: `{"necessary": true, "performance": false, …, "timestamp": 1679215079, "version": "…"}`. It is
    written with the choice. The necessary category is always granted."""
    states = booleans(consent)
    if states.get("necessary") is not True:
        return None
    return Answer(states, None, millis(consent.get("timestamp")), version(consent.get("version")), stored=stored)


def cookiehub_event(event: Mapping[str, object]) -> Answer | None:
    """`onAllow` and `onRevoke` with their category, which are called when the person acts. Or the status that other callbacks get."""
    category = event.get("category")
    for name in event_names(event):
        if name in ("onAllow", "onRevoke") and isinstance(category, str):
            return Answer({category: name == "onAllow"})
    status = mapping(event.get("status")) or detail_of(event)
    answer = _cookiehub_status(status)
    return replace(answer, stored=True) if answer else None


def cookiehub(raw: str) -> Answer | None:
    """`cookiehub`: base64 of JSON."""
    return _cookiehub_status(base64_object(raw))


def _cookiehub_status(status: Mapping[str, object]) -> Answer | None:
    """`{"answered": true, "implicit": false, "allAllowed": true, "categories": [{"id": "analytics", "value": true}]}`. The categories
    may be missing if all are allowed. `implicit` (older: `implict`) means that nobody chose (support.cookiehub.com)."""
    if status.get("answered") is not True or True in (status.get("implicit"), status.get("implict")):
        return None
    told = [mapping(one) for one in _members(status.get("categories"))]
    states = booleans({name: one.get("value") for one in told if isinstance(name := one.get("id"), str)})
    whole = status.get("allAllowed")
    others = whole if isinstance(whole, bool) and not (whole and set(states.values()) - {True}) else None
    return Answer(states, others, millis(status.get("timestamp")), version(status.get("revision")))


def termly_event(event: Mapping[str, object]) -> Answer | None:
    """The argument of `Termly.on('consent')`: `consentState` by category, or `categories` with the approved ones. A late listener is
    called with it again. Without that name it could be the argument of `initialized`, which has defaults (support.termly.io, JavaScript
    API)."""
    if event_names(event) != ["consent"]:
        return None
    state = detail_of(event)
    if isinstance(state.get("consentState"), Mapping):
        return Answer(booleans(state["consentState"]), stored=True)
    approved = names(state.get("categories"))
    return Answer(dict.fromkeys(approved, True), False, stored=True) if "essential" in approved else None


def ketch_event(event: Mapping[str, object]) -> Answer | None:
    """`userConsentUpdated`, which fires after a person's update is saved. `consent` fires at each load, with the defaults
    (docs.ketch.com, events of the Smart Tag)."""
    return Answer(booleans(detail_of(event).get("purposes"))) if "userConsentUpdated" in event_names(event) else None


def ketch(cookies: Mapping[str, str]) -> Answer | None:
    """`_swb_consent_`, base64 of JSON: the purposes with their legal basis; `context.source` says what set them, and is
    `legalBasisDefault` if nobody chose. `_ketch_consent_v1_` has the same states without a source, so its grants prove nothing."""
    whole, public = (base64_object(cookies.get(name, "")) for name in ("_swb_consent_", "_ketch_consent_v1_"))
    source = mapping(whole.get("context")).get("source")
    told = mapping(whole.get("purposes")) if source != "legalBasisDefault" else {}
    states = {name: _ketch_state(mapping(one), acted=bool(source)) for name, one in told.items()}
    denied = {name: False for name, one in public.items() if "denied" in (one, mapping(one).get("status"))}
    return Answer({**states, **denied}, None, millis(whole.get("collectedAt")) if states else None)


def _ketch_state(purpose: Mapping[str, object], *, acted: bool) -> bool | None:
    """Without a source, only a state that differs from the default of its legal basis is a choice."""
    allowed, basis = purpose.get("allowed"), purpose.get("legalBasisCode")
    if allowed == "true":
        return True if basis == "consent_optin" or (acted and basis == "consent_optout") else None
    return False if allowed == "false" and (acted or basis == "consent_optout") else None
