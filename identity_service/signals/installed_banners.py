"""Banners that a shop installs as a library or a plugin: the content of their events and cookies.

A reader returns the banner's answer in its own names, or None if it is undecided or has an unexpected form. No reader raises.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from identity_service.model.consent import Millis
from identity_service.signals.answers import (
    Answer,
    banner_context,
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
    version,
)

_FLAG: Final = re.compile(r"!([A-Za-z0-9_-]{1,64})=(true|false|wait)")
_C15T_PAIR: Final = re.compile(r"([A-Za-z0-9_.-]{1,64}):([^,]*)")
_COMPLIANZ: Final = re.compile(r"cmplz_(?:rt_)?([a-z_-]{1,40})")
_SILKTIDE: Final = re.compile(r"silktideCookieChoice_([A-Za-z0-9-]{1,40})|stcm\.consent\.([A-Za-z0-9_-]{1,40})")
_TARTEAUCITRON: Final = re.compile(r"([A-Za-z0-9_-]{1,64})_(allowed|disallowed)")


def klaro_event(event: Mapping[str, object]) -> Answer | None:
    """`{changes, consents, type}` of `saveConsents`. Other calls have unsaved toggles, or the false of the load. A service that the shop
    marks as required stays true when a person declines all; that is not the person's choice."""
    unnamed = "data" in event and "saveConsents" not in event_names(event)
    saved = mapping(event["data"]) if "data" in event else detail_of(event)
    unsaved = any(name in ("consents", "applyConsents") for name in event_names(event)) or not isinstance(saved.get("changes"), Mapping)
    if unnamed or unsaved:
        return None
    return Answer(others=False) if saved.get("type") == "decline" else Answer(booleans(saved.get("consents")))


def services(states: Mapping[str, object]) -> Answer:
    """The cookie of Klaro and of Orejime, its fork: JSON with a boolean for each service, written on saving."""
    return Answer(booleans(states))


def orejime_event(event: Mapping[str, object]) -> Answer | None:
    """The manager's `update(updatedConsents, allConsents)`, by these names (github.com/boscop-fr/orejime). An update before `clear` has the
    defaults without a mark of that, so the sender must not send it."""
    if any(name != "update" for name in event_names(event)) or not isinstance(event.get("updatedConsents"), Mapping):
        return None
    return Answer(booleans(event.get("allConsents")) | booleans(event["updatedConsents"]))


def tarteaucitron_event(event: Mapping[str, object]) -> Answer:
    """The document's event `<key>_allowed` or `<key>_disallowed`. `_loaded` also fires if nobody was asked (a service without consent, a
    bypassed region, browsing on without `highPrivacy`); `_added` and `tac.consent_updated` also fire before a choice."""
    return Answer({match[1]: match[2] == "allowed" for name in event_names(event) if (match := _TARTEAUCITRON.fullmatch(name))})


def tarteaucitron(raw: str) -> Answer | None:
    """`!key=true!other=false!third=wait`. `wait` is no choice (github.com/AmauriC/tarteaucitron.js)."""
    first, *parts = (text_of(raw) or "").split("!")
    flags = pairs_of(_FLAG, (f"!{part}" for part in parts))
    return Answer(states_of_words(flags, "true", "false")) if flags and not first else None


def vanilla_event(event: Mapping[str, object]) -> Answer | None:
    """The `cookie` in the callbacks of both versions."""
    return vanilla(mapping(detail_of(event).get("cookie")) or detail_of(event))


def vanilla(cookie: Mapping[str, object]) -> Answer | None:
    """The JSON of `cc_cookie` lists the accepted categories, so a refusal is a list without the needed ones. Without `consentTimestamp`,
    nobody chose (cookieconsent.orestbida.com)."""
    if "level" in cookie:
        return _vanilla_2(cookie)
    accepted, chosen = _whole_list(cookie.get("categories")), millis(cookie.get("consentTimestamp"))
    if accepted is None or chosen is None:
        return None
    decided_at, ends_at = millis(cookie.get("lastConsentTimestamp")) or chosen, millis(cookie.get("expirationTime"))
    revision, banner = version(cookie.get("revision")), banner_context(language=cookie.get("languageCode"))
    return Answer(dict.fromkeys(accepted, True), False, decided_at, revision, ends_at=ends_at, banner=banner)


def _vanilla_2(cookie: Mapping[str, object]) -> Answer | None:
    """Version 2 calls the list `level`, and writes it with the choice. Since 2.8, `categories` is the same list, and the library asks
    again unless `consent_date`, `last_consent_update` and `consent_uuid` are all there."""
    accepted, latest = _whole_list(cookie["level"]), millis(cookie.get("last_consent_update"))
    dated = bool(latest and millis(cookie.get("consent_date")) and cookie.get("consent_uuid"))
    since_2_8 = any(name in cookie for name in ("categories", "consent_date", "consent_uuid", "last_consent_update"))
    differs = cookie.get("categories", cookie["level"]) != cookie["level"]
    if accepted is None or differs or "revision" not in cookie or (since_2_8 and not dated):
        return None
    return Answer(dict.fromkeys(accepted, True), False, latest, version(cookie["revision"]))


def _whole_list(value: object) -> list[str] | None:
    """None unless it is a list of texts."""
    return names(value) if isinstance(value, list | tuple) and len(names(value)) == len(value) else None


def react_event(event: Mapping[str, object]) -> Answer | None:
    """The callbacks `onAccept(acceptedByScrolling)` and `onDecline` by name. Scrolling is no consent, so `acceptedByScrolling` must be
    false. Or its cookie as a boolean."""
    kept = event.get("CookieConsent")
    if "onDecline" in event_names(event) or isinstance(kept, bool):
        return Answer(others=kept is True and "onDecline" not in event_names(event))
    accepted = "onAccept" in event_names(event) and event.get("acceptedByScrolling") is False
    return Answer(others=True) if accepted else None


def react(cookies: Mapping[str, str]) -> Answer | None:
    """`CookieConsent=true` or `false`, and the same in `CookieConsent-legacy` (github.com/Mastermindzh/react-cookie-consent): a single
    switch. Cookiebot's cookie has the same name and other content."""
    told = set(cookies.values())
    return Answer(others=told == {"true"}) if told in ({"true"}, {"false"}) else None


def wordpress(members: Mapping[str, object]) -> Answer:
    """The categories that changed. `statistics-anonymous` is a category of its own and grants nothing here (wp-consent-api)."""
    return Answer({name.removeprefix("wp_consent_"): state for name, state in states_of_words(detail_of(members), "allow", "deny").items()})


def complianz_event(event: Mapping[str, object]) -> Answer | None:
    """`cmplz_status_change`, once for each category of a choice. In the region `other`, where nobody is asked, it allows all at the
    first load. `cmplz_fire_categories` also fires at each load."""
    if any(name != "cmplz_status_change" for name in event_names(event)):
        return None
    change = detail_of(event)
    category, region = change.get("category"), change.get("region")
    asked = isinstance(region, str) and region not in ("", "other")
    words = ("allow", "deny") if asked else ("deny",)
    return Answer(states_of_words({category: change.get("value")}, *words)) if isinstance(category, str) else None


def complianz(cookies: Mapping[str, str]) -> Answer | None:
    """`cmplz_statistics=allow` or `deny` and similar (complianz.io). `allow` is also set if nobody is asked; only a choice sets
    `cmplz_banner-status` to `dismissed`. Some sites put `rt_` before the names. If the two differ, the state is undecided."""
    texts = [(match[1], text) for name, text in cookies.items() if (match := _COMPLIANZ.fullmatch(name))]
    states = states_of_lists([name for name, text in texts if text == "allow"], [name for name, text in texts if text == "deny"])
    status, policy = ({text for name, text in texts if name == own} for own in ("banner-status", "policy_id"))
    decided = {name: state if state is False or status == {"dismissed"} else None for name, state in states.items()}
    return Answer(decided, policy_version=version(policy.pop()) if len(policy) == 1 else None)


def borlabs_event(event: Mapping[str, object]) -> Answer | None:
    """The cookie's object. `borlabs-cookie-consent-saved` has no content of its own."""
    answer = borlabs(detail_of(event))
    return replace(answer, stored=True) if answer else None


def borlabs(consent: Mapping[str, object]) -> Answer | None:
    """The JSON of `borlabs-cookie`, versions 2 and 3: `{"consents": {"essential": ["borlabs-cookie"], "statistics": ["matomo"]},
    "expires": "Sun, 11 Jan 2026 08:07:14 GMT", "version": 1}` (borlabs.io). It is written with the choice, and lists accepted groups
    with their services. The essential group is always there; nobody is asked about it."""
    groups = {name: names(services) for name, services in mapping(consent.get("consents")).items()}
    if not any(groups.values()):
        return None
    accepted = {name for group, services in groups.items() if services for name in (group, *services)}
    return Answer(
        dict.fromkeys(accepted, True), False, policy_version=version(consent.get("version")), ends_at=_date(consent.get("expires"))
    )


def _date(text: object) -> Millis | None:
    """A date in HTTP's format."""
    try:
        moment = parsedate_to_datetime(text) if isinstance(text, str) and len(text) <= 40 else None
        return millis(int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp())) if moment else None
    except (ValueError, OverflowError):
        return None


def silktide_event(event: Mapping[str, object]) -> Answer | None:
    """The callbacks of its two buttons, or its keys in the page's storage as members by name (github.com/silktide/consent-manager):
    `silktideCookieChoice_analytics`, in version 2 `stcm.consent.analytics`, each `true` or `false`. `true` is no proof of a grant: it is
    also stored when a person only closes the dialog and a type is on by default. Callbacks for single types also fire at each load."""
    for name in event_names(event):
        if name in ("onAcceptAll", "onRejectAll"):
            return Answer(others=name == "onAcceptAll")
    told = [(match[1] or match[2], text) for name, text in event.items() if (match := _SILKTIDE.fullmatch(name))]
    return Answer({name: False for name, text in told if text == "false"})


def c15t_event(event: Mapping[str, object]) -> Answer | None:
    """`onConsentChanged`, which is called after a person saves, and lists allowed and denied categories. `onConsentSet` is also called
    with the defaults. Or the object in the page's storage (c15t.com, 2.2)."""
    change = detail_of(event)
    kept = mapping(change.get("consentInfo"))
    if kept:
        states, decided_at = booleans(change.get("consents")), millis(kept.get("time"))
        return Answer(states, None, decided_at, stored=True) if decided_at and states.get("necessary") is True else None
    allowed, denied = change.get("allowedCategories"), change.get("deniedCategories")
    if not isinstance(allowed, list) or not isinstance(denied, list) or "onConsentSet" in event_names(event):
        return None
    sides, states = states_of_lists(allowed, denied), booleans(change.get("preferences"))
    return Answer({name: state if state is False or sides.get(name) is True else None for name, state in states.items()})


def c15t(raw: str) -> Answer | None:
    """`c15t=c.necessary:1,c.measurement:1,i.t:1790000000000,i.sid:…`: the granted categories, and when they were saved. Refused ones are
    left out. Without the necessary category, nothing was saved yet."""
    pairs = pairs_of(_C15T_PAIR, (text_of(raw) or "").split(",")) or {}
    decided_at = millis(pairs.get("i.t"))
    if decided_at is None or pairs.get("c.necessary") != "1":
        return None
    granted = {name.removeprefix("c."): text == "1" or None for name, text in pairs.items() if name.startswith("c.")}
    return Answer(granted, False, decided_at)
