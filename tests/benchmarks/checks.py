"""Every side's answers and what they left in the store, checked before anything is timed: a side that does less is no peer."""

import base64
import json
import secrets
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import redis

from tests.benchmarks.sides import Side
from tests.benchmarks.work import (
    AGAIN,
    ALL,
    BARE,
    BUYER,
    CLICK,
    COOKIE,
    COOKIELESS,
    IMAGE_BARE,
    KNOWN,
    LINES,
    LOOKUP,
    NEW,
    NGINX,
    NUMBER,
    PUBLIC,
    SALE,
    TEXT,
    Work,
)

MOST_EVENTS = 200
SHOP_LISTS = ":lists}"
"""What the service keeps of a shop as a whole, nothing of a visitor; it is capped by count instead of time."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    cookies: list[str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def cookie(self) -> str:
        """The visitor's cookie as the answer sets it; empty where it sets none."""
        return next((cookie for cookie in self.cookies if cookie.startswith(f"{COOKIE}=")), "")


def call(side: Side, work: Work, body: Any = None, cookie: str = "", **headers: str) -> Answer:
    text = work.text.replace(NUMBER, "1") if body is None else json.dumps(body)
    data = None if work.body is None else text.encode()
    request = urllib.request.Request(side.url + work.path, data, work.headers(cookie) | headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return Answer(answer.status, answer.headers.get_all("Set-Cookie") or [], answer.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, [], error.read().decode())


def checked(side: Side, store: redis.Redis) -> str:
    """Returns the cookie of a visitor that the side knows from now on. Raises SystemExit for the first fault."""
    try:
        if side.name in {BARE, IMAGE_BARE}:
            return _bare(side)
        if side.name == NGINX:
            return _nginx(side)
        cookie = _issues(side, store)
        _click(side, store)
        _sales(side, store)
        for work in ALL:
            if side.name in work.sides and not work.mix:
                demand(call(side, work, cookie=cookie).status == 200, f"{work.name} is answered")
                demand(call(side, work, Authorization="Bearer wrong").status == 401, f"{work.name} refuses a wrong key")
        return cookie
    except AssertionError as fault:
        raise SystemExit(f"{side.name}: not so: {fault}") from None


def demand(holds: object, told: str) -> None:
    if not holds:
        raise AssertionError(told)


def _bare(side: Side) -> str:
    body = next(work for work in ALL if work.path == "/body")
    demand(call(side, TEXT).text == "hello", "a text is answered")
    demand(call(side, body).json == body.body, "the same body is answered")
    return ""


def _nginx(side: Side) -> str:
    work = next(work for work in ALL if NGINX in work.sides)
    answers = [call(side, work) for _ in range(2)]
    demand(all(answer.cookies[0].startswith("visitor=") for answer in answers), "a cookie is set")
    demand(answers[0].cookies != answers[1].cookies, "IDs are fresh")
    return ""


def _issues(side: Side, store: redis.Redis) -> str:
    call(side, COOKIELESS)  # the service keeps a salt of the day, made for the first
    seen = _keys(store)
    cookieless = call(side, COOKIELESS)
    demand(cookieless.json["mode"] == "cookieless" and cookieless.json["expires_at"], "a cookieless ID is issued")
    demand(_random(cookieless.json["visitor"]) and cookieless.json["visitor"] in cookieless.json["token"], "it is 128 bits, signed")
    demand(not cookieless.cookie, "a cookieless visitor gets no cookie")
    _stored(seen, store, 0, "a cookieless visitor", most=0)
    first, second = call(side, NEW), call(side, NEW)
    visitor = first.json["visitor"]
    demand(
        first.json["mode"] == "persistent" and _random(visitor) and visitor != second.json["visitor"], "fresh IDs of 128 bits are issued"
    )
    for attribute in ("HttpOnly", "Secure", "Path=/", "SameSite=Lax"):
        demand(attribute in first.cookie, f"the cookie has {attribute}")
    demand("Max-Age=" in first.cookie or "Expires=" in first.cookie, "the cookie outlives the session of the browser")
    _stored(seen, store, 2 * NEW.stored, "a persistent visitor")
    cookie = first.cookie.partition(";")[0]
    again = call(side, KNOWN, cookie=cookie)
    demand((again.json["visitor"], again.json["mode"]) == (visitor, "persistent"), "a known visitor gets its ID back")
    swapped = second.cookie.partition(";")[0].replace(second.json["visitor"], visitor)
    for forged in (cookie[:-5], swapped):
        demand(call(side, KNOWN, cookie=forged).json["visitor"] != visitor, "a forged cookie is not believed")
    return cookie


def _click(side: Side, store: redis.Redis) -> None:
    seen = _keys(store)
    body = CLICK.body | {"visitor": f"clicker-{secrets.token_hex(4)}", "product": 4_711_815}
    demand(call(side, CLICK, body).json == {"status": "ok"}, "a click is taken")
    _stored(seen, store, 1, "a click")
    lists = [key for key in _keys(store).keys() - seen.keys() if store.type(key) == "list" and SHOP_LISTS not in key]
    demand(any("4711815" in event for key in lists for event in store.lrange(key, 0, -1)), "a click is an event")
    for _ in range(MOST_EVENTS + 5):
        call(side, CLICK, body)
    demand(max(int(store.llen(key)) for key in lists) == MOST_EVENTS, f"{MOST_EVENTS} events are kept")


def _sales(side: Side, store: redis.Redis) -> None:
    seen = _keys(store)
    sale = {"sale": f"first-{secrets.token_hex(4)}", "products": LINES}
    first = {"visitor": f"buyer-{secrets.token_hex(4)}", "email": f"{secrets.token_hex(4)}@example.com"}
    other = {"visitor": f"buyer-{secrets.token_hex(4)}", "email": f"{secrets.token_hex(4)}@example.com"}
    for buyer in (first, other):
        demand(call(side, SALE, sale | buyer).json == {"status": "ok"}, "a sale is taken")
    _stored(seen, store, SALE.stored, "a sale with its links")
    demand(_visitors(side, first["email"]) == [first["visitor"]], "a sale links its email")
    demand(_visitors(side, first["email"].upper()) == [first["visitor"]], "an email is found in capitals too")
    demand(_visitors(side, other["email"]) == [], "a sale counts once")
    demand(call(side, LOOKUP, Authorization=f"Bearer {PUBLIC}").status == 403, "a public key looks nothing up")
    demand(call(side, AGAIN).json == {"status": "ok"}, "a known sale is taken")
    demand(_visitors(side, BUYER["email"]) == [BUYER["visitor"]], "the known buyer is found")


def _visitors(side: Side, email: str) -> list[str]:
    return [one["visitor"] for one in call(side, LOOKUP, {"email": email}).json["visitors"]]


def _random(visitor: str) -> bool:
    return len(visitor) == 22 and len(base64.urlsafe_b64decode(visitor + "==")) == 16


def _keys(store: redis.Redis) -> Mapping[str, int]:
    """Every key with its seconds to live."""
    return {key: int(store.ttl(key)) for key in store.scan_iter()}


def _stored(before: Mapping[str, int], store: redis.Redis, least: int, what: str, most: int = 99) -> None:
    new = {key: life for key, life in _keys(store).items() if key not in before and SHOP_LISTS not in key}
    demand(least <= len(new) <= most, f"{what} leaves {least} to {most} keys")
    demand(all(life > 0 for life in new.values()), f"{what} expires")
