"""The two cookies: the signed visitor ID, and `visitor-choice=refused`, which identifies nobody. Set and cleared with the same words."""

from collections.abc import Iterator

from identity_service.shop import CookieRule

REFUSAL_COOKIE = "visitor-choice"
REFUSED = "refused"
DAY = 86_400
MOST_TOKENS = 4


def set_visitor(rule: CookieRule, token: str, seconds: int) -> str:
    return _visitor(rule, token, seconds)


def clear_visitor(rule: CookieRule) -> str:
    return _visitor(rule, "", 0)


def set_refusal(days: int) -> str:
    return f"{REFUSAL_COOKIE}={REFUSED}; Max-Age={days * DAY}; Path=/; Secure; SameSite=Lax"


def clear_refusal() -> str:
    return f"{REFUSAL_COOKIE}=; Max-Age=0; Path=/; Secure; SameSite=Lax"


def _visitor(rule: CookieRule, value: str, seconds: int) -> str:
    domain = f"; Domain={rule.domain}" if rule.domain else ""
    return f"{rule.name}={value}; Max-Age={seconds}; Path=/{domain}; Secure; HttpOnly; SameSite=Lax"


def all_cookies(header: str) -> dict[str, str]:
    """By name, values as sent; of two with one name the first, which browsers send for the longer path."""
    found: dict[str, str] = {}
    for name, value in _pairs(header):
        found.setdefault(name, value)
    return found


def read_cookies(header: str, name: str) -> tuple[str, ...]:
    """Every value sent under `name`, at most four: neighbours may be malformed, and a browser may hold two of one name."""
    if name not in header:
        return ()
    found = [value.strip('"') for key, value in _pairs(header) if key == name and value]
    return tuple(found[:MOST_TOKENS])


def _pairs(header: str) -> Iterator[tuple[str, str]]:
    for part in header.split(";"):
        name, equals, value = part.strip().partition("=")
        if equals:
            yield name, value
