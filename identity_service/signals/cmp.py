"""Consent banners: what their callbacks and cookies say, in our purposes.

Banners call back before anybody chose, so a reading needs a proof of the choice: a member, a second cookie, or the event's own name.
Whatever lacks it, or cannot be read, is absent. The shapes come from each vendor's documentation; `banners` names it.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final

from identity_service.consent import Choice, Millis
from identity_service.signals import banners
from identity_service.signals.banners import Answer, booleans, listed, mapping, millis, names, worded

_NO_ACT: Final = ("oninitialpageload", "onnoneuregion", "onsessionrestored", "onmobilesessionrestore", "onessentialchange")


@dataclass(frozen=True, slots=True)
class BannerReading:
    """What a decided banner says. `choice`: storage and measurement together, None where only `sale_share_opt_out` is said. `decided_at`
    and `policy_version` are the banner's own; `visitor` is the user reference in a server's webhook, and proves nothing by itself.
    `stored`: the banner's state, rather than what happened to it just now."""

    choice: Choice | None
    linking: Choice | None = None
    decided_at: Millis | None = None
    policy_version: str | None = None
    sale_share_opt_out: bool | None = None
    visitor: str | None = None
    stored: bool = False


def _detail(event: Mapping[str, object]) -> Mapping[str, object]:
    """A DOM event carries the banner's own object as `detail`."""
    return mapping(event.get("detail")) or event


def _called(event: Mapping[str, object]) -> list[str]:
    return [name for name in (event.get("event"), event.get("type")) if isinstance(name, str)]


def _cookiebot(event: Mapping[str, object]) -> Answer | None:
    state = mapping(event.get("consent")) or event
    responses = [each["hasResponse"] for each in (event, state) if "hasResponse" in each]
    if state.get("method") != "explicit" or any(response is not True for response in responses):
        return None
    return Answer(booleans(state), decided_at=millis(event.get("consentUTC")), stored=True)


def _onetrust(event: Mapping[str, object]) -> Answer | None:
    """`OneTrustGroupsUpdated` and its like fire at each load too: the alert box's cookie must come along."""
    closed, groups = event.get("OptanonAlertBoxClosed"), event.get("detail")
    decided_at = millis(banners.text_of(closed)) if isinstance(closed, str) else None
    active = [name for joined in names(groups) for name in joined.split(",") if name]
    return Answer(dict.fromkeys(active, True), False, decided_at) if decided_at and active else None


def _usercentrics(event: Mapping[str, object]) -> Answer | None:
    """`consent_status`: its services and `ucCategory`, where `null` is a mixed category; `UC_UI_CMP_EVENT` tells all or nothing
    (usercentrics.com/docs/web/features/v2/events_v2)."""
    status = _detail(event)
    if status.get("type") in ("ACCEPT_ALL", "DENY_ALL"):
        return Answer(others=status["type"] == "ACCEPT_ALL")
    action = status.get("action")
    if status.get("type") != "explicit" or not isinstance(action, str) or not action or action.lower() in _NO_ACT:
        return None
    services, categories = booleans(status), booleans(status.get("ucCategory"))
    return Answer({**services, **{name: state if services.get(name, state) is state else None for name, state in categories.items()}})


def _didomi(event: Mapping[str, object]) -> Answer | None:
    """A server's webhook, or the browser's status; a deleted event and a changed user are no choice, and another law's event may
    carry defaults (developers.didomi.io/api-and-platform/consents/events/consent-event-schema)."""
    if "parameters" not in event:
        status = _detail(event)
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
    """An ID that is listed twice with two answers is undecided."""
    told = [mapping(entry) for entry in entries] if isinstance(entries, list | tuple) else []
    accepted = [entry.get("id") for entry in told if entry.get("enabled") is True]
    return listed(accepted, [entry.get("id") for entry in told if entry.get("enabled") is False])


def _didomi_browser(status: Mapping[str, object]) -> Answer:
    """`getCurrentUserStatus()` holds an object for each purpose, the older status two lists as the cookie does."""
    purposes = mapping(status.get("purposes"))
    if "enabled" in purposes or "disabled" in purposes:
        return banners.didomi_status(status)
    told = {**mapping(status.get("vendors")), **purposes}
    return Answer(booleans({name: mapping(each).get("enabled") for name, each in told.items()}), decided_at=millis(status.get("updated")))


def _cookieyes(event: Mapping[str, object]) -> Answer | None:
    """`cookieyes_consent_update`, or the state as `getCkyConsent()` and `cookieyes_banner_load` give it."""
    state = _detail(event)
    if "accepted" in state or "rejected" in state:
        return Answer(listed(state.get("accepted"), state.get("rejected")))
    return Answer(booleans(state.get("categories")), stored=True) if state.get("isUserActionCompleted") is True else None


def _osano(event: Mapping[str, object]) -> Answer | None:
    """`osano-cm-consent-saved`, never the unsaved toggle `…-changed`; or the open-source banner's one switch, where `dismiss` is no
    choice, and nor is what an opt-out banner allows by itself."""
    state = _detail(event)
    if "onRevokeChoice" in _called(event):
        return Answer(others=False)
    if "status" in state:
        asked = state["status"] == "deny" or state.get("type") in (None, "opt-in", "onStatusChange")
        return banners.osano(state["status"]) if asked and "onInitialise" not in _called(event) else None
    if any(name != "osano-cm-consent-saved" for name in _called(event)):
        return None
    told = mapping(state.get("consent")) or state
    states = worded(told, "ACCEPT", "DENY")
    return Answer(states, sale_share_opt_out=states.get("OPT_OUT"))


def _klaro(event: Mapping[str, object]) -> Answer | None:
    """`{changes, consents, type}` of `saveConsents`. Its other calls carry the toggles before they are saved, or the load's false. A
    service that the shop marks as required stays true when a person declines all: that is the shop's word."""
    unnamed = "data" in event and "saveConsents" not in _called(event)
    saved = mapping(event["data"]) if "data" in event else _detail(event)
    unsaved = any(name in ("consents", "applyConsents") for name in _called(event)) or not isinstance(saved.get("changes"), Mapping)
    if unnamed or unsaved:
        return None
    return Answer(others=False) if saved.get("type") == "decline" else Answer(booleans(saved.get("consents")))


def _tarteaucitron(event: Mapping[str, object]) -> Answer:
    """The document's event `<key>_allowed` or `<key>_disallowed`; `_added` and `tac.consent_updated` also come at load."""
    told = [re.fullmatch(r"([A-Za-z0-9_-]{1,64})_(allowed|disallowed)", name) for name in _called(event)]
    return Answer({match[1]: match[2] == "allowed" for match in told if match})


def _vanilla(event: Mapping[str, object]) -> Answer | None:
    return banners.vanilla(mapping(_detail(event).get("cookie")) or _detail(event))


def _shopify(event: Mapping[str, object]) -> Answer:
    """`currentVisitorConsent()` of shopify.dev/docs/api/customer-privacy: empty is no choice; `…Allowed` mixes in a region's default."""
    states = worded(_detail(event), "yes", "no")
    sale = states.get("sale_of_data")
    return Answer(states, sale_share_opt_out=None if sale is None else not sale)


def _wordpress(event: Mapping[str, object]) -> Answer:
    """What changed, and only that; `statistics-anonymous` is another category and grants nothing here (wp-consent-api)."""
    return Answer({name.removeprefix("wp_consent_"): state for name, state in worded(_detail(event), "allow", "deny").items()})


def _only(read: Callable[[str], Answer | None]) -> Callable[[Mapping[str, str]], Answer | None]:
    """Two cookies of one banner, as of two sites, are nobody's one choice."""
    return lambda cookies: read(*cookies.values()) if len(cookies) == 1 else None


def _json(read: Callable[[Mapping[str, object]], Answer | None]) -> Callable[[Mapping[str, str]], Answer | None]:
    return _only(lambda raw: read(banners.json_object(banners.text_of(raw))))


@dataclass(frozen=True, slots=True)
class _Banner:
    """`needed`: the banner's names that stand for storage and measurement unless the shop names others. `cookie`: its whole name."""

    needed: set[str]
    event: Callable[[Mapping[str, object]], Answer | None]
    cookie: str = "(?!)"
    text: Callable[[Mapping[str, str]], Answer | None] = banners.onetrust


_TABLE: Final[dict[str, _Banner]] = {
    "cookiebot": _Banner({"statistics"}, _cookiebot, "CookieConsent", _only(banners.cookiebot)),
    "onetrust": _Banner({"C0002"}, _onetrust, "Optanon(Consent|AlertBoxClosed)", banners.onetrust),
    "usercentrics": _Banner({"functional"}, _usercentrics),
    "didomi": _Banner({"cookies", "measure_content_performance"}, _didomi, "didomi_token", _only(banners.didomi)),
    "iubenda": _Banner({"4"}, lambda event: banners.iubenda(_detail(event)), "_iub_cs-s?[0-9]{1,12}", _json(banners.iubenda)),
    "cookieyes": _Banner({"analytics"}, _cookieyes, "cookieyes-consent", _only(banners.cookieyes)),
    "osano": _Banner({"ANALYTICS"}, _osano, "cookieconsent_status", _only(banners.osano)),
    "klaro": _Banner({"visitor-id"}, _klaro, "klaro", _json(lambda services: Answer(booleans(services)))),
    "tarteaucitron": _Banner({"visitorid"}, _tarteaucitron, "tarteaucitron", _only(banners.tarteaucitron)),
    "vanilla-cookieconsent": _Banner({"analytics"}, _vanilla, "cc_cookie", _json(banners.vanilla)),
    "shopify": _Banner({"analytics"}, _shopify),
    "wordpress": _Banner({"statistics"}, _wordpress, "wp_consent_[a-z-]{1,40}", _wordpress),
}

BANNERS: Final = frozenset(_TABLE)


def read_event(source: str, event: Mapping[str, object], categories: frozenset[str] | None = None) -> BannerReading | None:
    """`event`: the callback as its JSON, or the banner's cookies as members by name; where both come and contradict, the refusal counts.

    None is absent: not decided yet, unreadable, or silent about `categories` (the shop's own names, all of which must be granted).
    """
    banner = _TABLE.get(source)
    texts = {name: text for name, text in event.items() if isinstance(text, str)}
    found = [read_cookies(source, texts, categories), _reading(banner.event(event), categories or banner.needed) if banner else None]
    readings = [reading for reading in found if reading]
    return min(readings, key=lambda reading: reading.choice is not Choice.REFUSED, default=None)


def read_cookies(source: str, cookies: Mapping[str, str], categories: frozenset[str] | None = None) -> BannerReading | None:
    """As `read_event`, from raw cookies."""
    banner = _TABLE.get(source)
    own = {name: text for name, text in cookies.items() if banner and re.fullmatch(banner.cookie, name)}
    reading = _reading(banner.text(own), categories or banner.needed) if banner and own else None
    return replace(reading, stored=True) if reading else None


def _reading(answer: Answer | None, needed: Collection[str]) -> BannerReading | None:
    """One refusal refuses; a grant needs every name granted."""
    told = [answer.states.get(name, answer.others) for name in needed] if answer else []
    if answer is None or not told:
        return None
    choice = Choice.REFUSED if False in told else None if None in told else Choice.GRANTED
    reading = BannerReading(
        choice, None, answer.decided_at, answer.policy_version, answer.sale_share_opt_out, answer.visitor, answer.stored
    )
    return reading if choice or answer.sale_share_opt_out else None
