"""The texts that consent banners keep in their cookies, each read by a strict grammar.

A reader returns what the banner says about its own names, or None when the text is undecided or not exactly of its shape. None raises;
a name that is given twice makes the whole text unreadable, as either could be the forged one.
"""

import base64
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from urllib.parse import parse_qsl, unquote

from identity_service.consent import Millis

LONGEST: Final = 16 * 1024
_BROKEN_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_LITERAL_MEMBER: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]{0,31}):(true|false|[0-9]{1,16}|'[^'\\]*')(?:,(?=.)|$)")
_FLAG: Final = re.compile(r"!([A-Za-z0-9_-]{1,64})=(true|false|wait)")
_GROUP: Final = re.compile(r"([A-Za-z0-9_-]{1,64}):([01])")
_PAIR: Final = re.compile(r"([A-Za-z0-9_-]{1,64}):([A-Za-z0-9+/=_.-]*)")
_YES: Final = {"true", "1", "yes", "allow", "ACCEPT"}


@dataclass(frozen=True, slots=True)
class Answer:
    """A decided banner in its own names. `others`: what holds for a name that `states` lacks: False where the banner lists only what
    was accepted, the one choice where it is a single switch. `stored`: told at each load, too, not only when the person acts."""

    states: Mapping[str, bool | None] = field(default_factory=dict)
    others: bool | None = None
    decided_at: Millis | None = None
    policy_version: str | None = None
    sale_share_opt_out: bool | None = None
    visitor: str | None = None
    stored: bool = False


def millis(time: object) -> Millis | None:
    """Milliseconds, seconds (as number or digits) or ISO 8601 with its zone, between 2001 and 2286; a local time could be any."""
    if isinstance(time, str):
        return millis(int(time)) if re.fullmatch(r"[0-9]{10,13}", time) else _iso_millis(time)
    if isinstance(time, bool) or not isinstance(time, int | float):
        return None
    if 10**12 <= time < 10**13:
        return Millis(int(time))
    return Millis(int(time * 1000)) if 10**9 <= time < 10**10 else None


def _iso_millis(text: str) -> Millis | None:
    try:
        moment = datetime.fromisoformat(text) if len(text) <= 40 else None
    except ValueError:
        return None
    if moment is None or moment.tzinfo is None or not 2002 <= moment.year <= 2285:
        return None
    return Millis(round(moment.timestamp() * 1000))


def version(value: object) -> str | None:
    """A banner's version of its texts; 0 is how banners write that they keep none."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    text = str(value) if isinstance(value, str) or 0 <= value < 10**16 else ""
    return text if text != "0" and 0 < len(text) <= 64 and text.isprintable() else None


def text_of(raw: str) -> str | None:
    """Percent-decoded; None for a broken escape, no UTF-8, a control character, or more than 16 KiB."""
    if len(raw) > LONGEST or _BROKEN_ESCAPE.search(raw):
        return None
    try:
        text = unquote(raw, errors="strict")
    except UnicodeDecodeError:
        return None
    return None if _CONTROL.search(text) else text


def json_object(text: str | None) -> Mapping[str, object]:
    """Empty when `text` is no JSON object."""
    try:
        return mapping(json.loads(text or "", object_pairs_hook=_once))
    except (ValueError, RecursionError):
        return {}


def _once(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    told = list(pairs)
    if len(found := dict(told)) < len(told):
        raise ValueError("a name is given twice")
    return found


def _pairs(grammar: re.Pattern[str], parts: Iterable[str]) -> dict[str, str] | None:
    """Every part must match the whole grammar, and no name may return."""
    found: dict[str, str] = {}
    for part in parts:
        match = grammar.fullmatch(part)
        if match is None or match[1] in found:
            return None
        found[match[1]] = match[2]
    return found


def mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def names(value: object) -> list[str]:
    return [name for name in value if isinstance(name, str)] if isinstance(value, list | tuple) else []


def booleans(value: object) -> dict[str, bool | None]:
    """What is not exactly true or false is undecided: `1` and `"true"` are not."""
    return {name: state if isinstance(state, bool) else None for name, state in mapping(value).items()}


def worded(value: object, *words: str) -> dict[str, bool | None]:
    """States said by two `words` of this banner; any other word is undecided."""
    return {name: word in _YES if isinstance(word, str) and word in words else None for name, word in mapping(value).items()}


def listed(accepted: object, rejected: object) -> dict[str, bool | None]:
    """A name in both lists is undecided."""
    yes, no = set(names(accepted)), set(names(rejected))
    return {name: None if name in yes & no else name in yes for name in yes | no}


def cookiebot(raw: str) -> Answer | None:
    """`{stamp:'…',necessary:true,…,method:'explicit',ver:1,utc:1729950414219}`: a JavaScript literal (cookiebot.com/en/developer), read
    member by member, so that no text inside quotes can pass for a member."""
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
    return Answer(worded(found, "true", "false"), None, millis(found.get("utc")), version(found.get("ver")))


def onetrust(cookies: Mapping[str, str]) -> Answer | None:
    """`groups=C0001:1,C0002:0&interactionCount=1&isGpcEnabled=0`, form-encoded; before a choice it holds the defaults, so only the time
    at which the alert box was closed makes it a choice (developer.onetrust.com/onetrust/docs/javascript-events-guide). While it waits to
    ask again there is none."""
    raw, decided_at = cookies.get("OptanonConsent", ""), millis(text_of(cookies.get("OptanonAlertBoxClosed", "")))
    if text_of(raw) is None:
        return None
    try:
        fields = _once(parse_qsl(raw, keep_blank_values=True, errors="strict", max_num_fields=100))
    except ValueError:
        return None
    opted_out = True if fields.get("isGpcEnabled") == "1" else None
    acted = decided_at is not None and re.fullmatch(r"0*[1-9][0-9]*", str(fields.get("interactionCount", "1")))
    asking_again = str(fields.get("AwaitingReconsent", "")).lower() == "true"
    groups = _pairs(_GROUP, str(fields.get("groups", "")).split(",")) if acted and not asking_again else None
    return Answer(worded(groups or {}, "1", "0"), None, decided_at, None, opted_out) if groups or opted_out else None


def didomi(raw: str) -> Answer | None:
    """`didomi_token`: base64 of JSON with `updated`, `purposes` and `vendors` as lists of enabled and disabled."""
    try:
        return didomi_status(json_object(base64.b64decode(text_of(raw) or "", validate=True).decode()))
    except ValueError:
        return None


def didomi_status(status: Mapping[str, object]) -> Answer:
    vendors, purposes = mapping(status.get("vendors")), mapping(status.get("purposes"))
    states = [listed(each.get("enabled"), each.get("disabled")) for each in (vendors, purposes)]
    return Answer(states[0] | states[1], None, millis(status.get("updated")))


def iubenda(preference: Mapping[str, object]) -> Answer | None:
    """The JSON of `_iub_cs-<site>`, which `onPreferenceExpressed` gets too: `purposes`, or one `consent` where they are not asked for
    separately; only `{"id": …}` is no choice (iubenda.com/en/help/1205)."""
    whole, purposes = preference.get("consent"), booleans(preference.get("purposes"))
    if whole is not False and "purposes" in preference:
        return Answer(purposes, None, millis(preference.get("timestamp")))
    return Answer(others=whole, decided_at=millis(preference.get("timestamp"))) if isinstance(whole, bool) else None


def cookieyes(raw: str) -> Answer | None:
    """`consentid:…,consent:yes,action:yes,…,analytics:no`; `action` is empty until the person acts, while the categories of an opt-out
    region already say yes (cookieyes.com/documentation)."""
    pairs = _pairs(_PAIR, (text_of(raw) or "").split(",")) or {}
    if pairs.get("action") != "yes":
        return None
    states = worded(pairs, "yes", "no")
    return Answer({name: state and pairs.get("consent") != "no" for name, state in states.items()})


def tarteaucitron(raw: str) -> Answer | None:
    """`!key=true!other=false!third=wait`; `wait` is no choice (github.com/AmauriC/tarteaucitron.js)."""
    first, *parts = (text_of(raw) or "").split("!")
    flags = _pairs(_FLAG, (f"!{part}" for part in parts))
    return Answer(worded(flags, "true", "false")) if flags and not first else None


def vanilla(cookie: Mapping[str, object]) -> Answer | None:
    """The JSON of `cc_cookie`: the accepted categories, so a refusal is a list without ours; without `consentTimestamp` nobody chose
    (cookieconsent.orestbida.com)."""
    categories, chosen = cookie.get("categories"), cookie.get("consentTimestamp")
    accepted = names(categories)
    if not isinstance(categories, list | tuple) or len(accepted) != len(categories) or not (isinstance(chosen, str) and chosen):
        return None
    decided_at = millis(cookie.get("lastConsentTimestamp")) or millis(chosen)
    if decided_at is None:
        return None
    return Answer(dict.fromkeys(accepted, True), False, decided_at, version(cookie.get("revision")))


def osano(status: object) -> Answer | None:
    """`cookieconsent_status` of the open-source banner: one switch, where `dismiss` only closed the notice."""
    return Answer(others=status == "allow") if status in ("allow", "deny") else None
