"""The consent banners that this service reads. Each has one entry, under its name in `/v1/consents/{source}`.

An entry reads the banner's event and cookies, and maps its names to the service's purposes. If a banner also uses standards of the IAB, its
TC and GPP strings are read too.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final

from identity_service.model.consent import BannerContext, Choice, Millis
from identity_service.signals import hosted_banners as hosted
from identity_service.signals import installed_banners as installed
from identity_service.signals.answers import Answer, of_json, of_single_cookie
from identity_service.signals.ucp import ANALYTICS, ucp_event

NO_COOKIE = "(?!)"
"""A pattern that no name matches."""


@dataclass(frozen=True, slots=True)
class BannerReading:
    """The content of a decided banner. `choice`: storage and measurement together, None if it only has `sale_share_opt_out`.
    `decided_at` and `policy_version`: the banner's own. `visitor`: the user reference in a server's webhook, which proves nothing by
    itself. `stored`: the banner's state rather than an action of the person. `ends_at`: when the banner asks again. `banner`: how it
    asked."""

    choice: Choice | None
    decided_at: Millis | None = None
    policy_version: str | None = None
    sale_share_opt_out: bool | None = None
    visitor: str | None = None
    stored: bool = False
    ends_at: Millis | None = None
    banner: BannerContext | None = None


def _nothing(_: Mapping[str, object]) -> None:
    """For a banner that does not use this way."""


@dataclass(frozen=True, slots=True)
class Banner:
    """`needed`: the banner's names for storage and measurement, unless the shop sets others. `cookie`: a pattern for its whole name.
    `standards`: those of the IAB that it uses. `tc_string`: reads the TC string from the banner's own members."""

    needed: Collection[str]
    event: Callable[[Mapping[str, object]], Answer | None] = _nothing
    cookie: str = NO_COOKIE
    text: Callable[[Mapping[str, str]], Answer | None] = _nothing
    standards: tuple[str, ...] = ()
    tc_string: Callable[[Mapping[str, object]], str | None] = _nothing


_TABLE: Final = {
    "axeptio": Banner({"visitor_id"}, hosted.axeptio_event, "axeptio_cookies", of_json(hosted.axeptio)),
    "borlabs": Banner({"statistics"}, installed.borlabs_event, "borlabs-cookie", of_json(installed.borlabs)),
    "c15t": Banner({"measurement"}, installed.c15t_event, "c15t", of_single_cookie(installed.c15t)),
    "complianz": Banner({"statistics"}, installed.complianz_event, "cmplz_[a-z_-]{1,40}", installed.complianz),
    "consentmanager": Banner({"1", "8"}, hosted.consentmanager_event, standards=("tcf", "gpp"), tc_string=hosted.consentmanager_tc),
    "cookie-information": Banner(
        {"cookie_cat_statistic"}, hosted.cookie_information_event, "CookieInformationConsent", of_json(hosted.cookie_information)
    ),
    "cookiebot": Banner({"statistics"}, hosted.cookiebot_event, "CookieConsent", of_single_cookie(hosted.cookiebot)),
    "cookiefirst": Banner({"performance"}, hosted.cookiefirst_event, "cookiefirst-consent", of_json(hosted.cookiefirst)),
    "cookiehub": Banner({"analytics"}, hosted.cookiehub_event, "cookiehub", of_single_cookie(hosted.cookiehub)),
    "cookieyes": Banner({"analytics"}, hosted.cookieyes_event, "cookieyes-consent", of_single_cookie(hosted.cookieyes)),
    "didomi": Banner({"cookies", "measure_content_performance"}, hosted.didomi_event, "didomi_token", of_single_cookie(hosted.didomi)),
    "iubenda": Banner({"4"}, hosted.iubenda_event, "_iub_cs-s?[0-9]{1,12}", of_json(hosted.iubenda)),
    "ketch": Banner({"analytics"}, hosted.ketch_event, "_swb_consent_|_ketch_consent_v1_", hosted.ketch),
    "klaro": Banner({"visitor-id"}, installed.klaro_event, "klaro", of_json(installed.services)),
    "onetrust": Banner({"C0002"}, hosted.onetrust_event, "Optanon(Consent|AlertBoxClosed)", hosted.onetrust),
    "orejime": Banner({"visitor-id"}, installed.orejime_event, "orejime", of_json(installed.services)),
    "osano": Banner({"ANALYTICS"}, hosted.osano_event, "cookieconsent_status", of_single_cookie(hosted.osano)),
    "react-cookie-consent": Banner({"consent"}, installed.react_event, "CookieConsent(-legacy)?", installed.react),
    "shopify": Banner({"analytics"}, hosted.shopify_event),
    "silktide": Banner({"analytics"}, installed.silktide_event),
    "sourcepoint": Banner({"1", "8"}, standards=("tcf", "gpp"), tc_string=hosted.sourcepoint_tc),
    "tarteaucitron": Banner({"visitorid"}, installed.tarteaucitron_event, "tarteaucitron", of_single_cookie(installed.tarteaucitron)),
    "termly": Banner({"analytics"}, hosted.termly_event),
    "trustarc": Banner({"1"}, hosted.trustarc_event, "notice_(gdpr_prefs|preferences|behavior)", hosted.trustarc),
    "ucp": Banner({ANALYTICS}, ucp_event),
    "usercentrics": Banner({"functional"}, hosted.usercentrics_event),
    "vanilla-cookieconsent": Banner({"analytics"}, installed.vanilla_event, "cc_cookie", of_json(installed.vanilla)),
    "wordpress": Banner({"statistics"}, installed.wordpress, "wp_consent_[a-z-]{1,40}", installed.wordpress),
}

BANNERS: Final = frozenset(_TABLE)
WITH_COOKIES: Final = frozenset(name for name, banner in _TABLE.items() if banner.cookie != NO_COOKIE)
"""Banners whose own cookies are read."""


def read_event(source: str, event: Mapping[str, object], categories: frozenset[str] | None = None) -> BannerReading | None:
    """`event`: the callback's JSON, or the banner's cookies as members by name. If both are sent and differ, the refusal counts.

    None: undecided, unreadable, or without `categories` (the shop's own names; all of them must be granted).
    """
    banner = _TABLE.get(source)
    texts = {name: text for name, text in event.items() if isinstance(text, str)}
    found = [read_cookies(source, texts, categories), _reading(banner.event(event), categories or banner.needed) if banner else None]
    readings = [reading for reading in found if reading]
    return min(readings, key=lambda reading: reading.choice is not Choice.REFUSED, default=None)


def standards_spoken(source: str) -> tuple[str, ...]:
    return _TABLE[source].standards if source in _TABLE else ()


def tc_string_of(source: str, members: Mapping[str, object]) -> str | None:
    """The TC string in the banner's cookie or callback. It counts as state that the banner repeats."""
    return _TABLE[source].tc_string(members) if source in _TABLE else None


def read_cookies(source: str, cookies: Mapping[str, str], categories: frozenset[str] | None = None) -> BannerReading | None:
    """Like `read_event`, from raw cookies."""
    banner = _TABLE.get(source)
    own = {name: text for name, text in cookies.items() if banner and re.fullmatch(banner.cookie, name)}
    reading = _reading(banner.text(own), categories or banner.needed) if banner and own else None
    return replace(reading, stored=True) if reading else None


def _reading(answer: Answer | None, needed: Collection[str]) -> BannerReading | None:
    """One refused name is a refusal. A grant needs every name granted."""
    states = [answer.states.get(name, answer.others) for name in needed] if answer else []
    if answer is None or not states:
        return None
    choice = Choice.REFUSED if False in states else None if None in states else Choice.GRANTED
    if choice is None and not answer.sale_share_opt_out:
        return None
    told = (answer.policy_version, answer.sale_share_opt_out, answer.visitor, answer.stored, answer.ends_at, answer.banner)
    return BannerReading(choice, answer.decided_at, *told)
