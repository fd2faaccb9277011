"""The two cookies: the signed visitor ID, and the refusal, which identifies nobody. One function sets and clears both.

The refusal cookie's value is `refused.MINUTES`, minutes since 1970. Browsers accept a name with `__Host-` only from the host itself, and
one with `__Secure-` only over TLS, so that no neighbouring host can forge a refusal. The older form `visitor-choice=refused`, without a
time, is still read.
"""

import re
from collections.abc import Iterator

from identity_service.model.consent import MINUTE, EarlierRefusal, Millis
from identity_service.model.shop import CookieRule
from identity_service.model.utc import DAY

OF_HOST, OF_DOMAIN, WITHOUT_TIME = "__Host-visitor-choice", "__Secure-visitor-choice", "visitor-choice"
REFUSED = "refused"
REFUSAL_LIFE = 400 * DAY
TIMED = re.compile(rf"{REFUSED}\.([0-9]{{1,12}})")
MOST_TOKENS = 4


def set_visitor(rule: CookieRule, token: str, seconds: int) -> str:
    return _cookie(rule.name, token, seconds, rule.domain)


def clear_visitor(rule: CookieRule) -> str:
    return _cookie(rule.name, "", 0, rule.domain)


def set_refusal(rule: CookieRule, at: Millis) -> str:
    """`at`: when the person refused."""
    return _cookie(refusal_name(rule), f"{REFUSED}.{at // MINUTE}", REFUSAL_LIFE, rule.domain)


def clear_refusals(rule: CookieRule, header: str) -> list[str]:
    """Clears today's refusal cookie, and older forms if the request's cookies, `header`, contain them."""
    held = [name for name, _ in _pairs(header) if name in {OF_HOST, WITHOUT_TIME}]
    names = dict.fromkeys([refusal_name(rule), *held])
    return [_cookie(name, "", 0, rule.domain if name == OF_DOMAIN else "") for name in names]


def earlier_refusal(rule: CookieRule, header: str, now: Millis, days: int) -> EarlierRefusal | None:
    """The newest refusal in the cookies. Without a readable time, or with one in the future, it counts as of now. `days`: how long a
    refusal lasts."""
    if WITHOUT_TIME not in header:
        return None
    names = (OF_HOST, OF_DOMAIN) if rule.domain else (OF_HOST,)
    minutes = [_minute(value, now) for name in names for value in read_cookies(header, name)]
    minutes += [None for value in read_cookies(header, WITHOUT_TIME) if value.partition(".")[0] == REFUSED]
    if not minutes:
        return None
    minute = None if None in minutes else max(one for one in minutes if one is not None)
    # the end of the minute, because the exact time within it is not known
    at = now if minute is None else Millis(min((minute + 1) * MINUTE - 1, now))
    return EarlierRefusal(at, at > now - days * DAY * 1000, minute)


def _minute(value: str, now: Millis) -> int | None:
    found = TIMED.fullmatch(value)
    return int(found[1]) if found and int(found[1]) * MINUTE <= now else None


def refusal_name(rule: CookieRule) -> str:
    return OF_DOMAIN if rule.domain else OF_HOST


def _cookie(name: str, value: str, seconds: int, domain: str) -> str:
    spanning = f"; Domain={domain}" if domain else ""
    return f"{name}={value}; Max-Age={seconds}; Path=/{spanning}; Secure; HttpOnly; SameSite=Lax"


def all_cookies(header: str) -> dict[str, str]:
    """Raw values by name. If a name is repeated, the first counts, which browsers send for the longer path."""
    found: dict[str, str] = {}
    for name, value in _pairs(header):
        found.setdefault(name, value)
    return found


def read_cookies(header: str, name: str) -> tuple[str, ...]:
    """All values of `name`, at most four. A browser may hold several of one name. Malformed neighbours are ignored."""
    if name not in header:
        return ()
    found = [value.strip('"') for key, value in _pairs(header) if key == name and value]
    return tuple(found[:MOST_TOKENS])


def _pairs(header: str) -> Iterator[tuple[str, str]]:
    for part in header.split(";"):
        name, equals, value = part.strip().partition("=")
        if equals:
            yield name, value
