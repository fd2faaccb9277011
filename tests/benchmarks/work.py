"""The pieces of work that are timed: one call each, and which sides can do it."""

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from tests.signals.tc_strings import tc_string

SERVICE, BARE, EXPRESS, FASTIFY, NGINX = "service", "Starlette", "Express", "Fastify", "nginx"
IMAGE_SERVICE, IMAGE_BARE = "service in the image", "Starlette in the image"
"""By the image's interpreter; the others by that of the README's commands."""
NAMES = (SERVICE, IMAGE_SERVICE, BARE, IMAGE_BARE, EXPRESS, FASTIFY, NGINX)
MEASURES = {IMAGE_SERVICE: IMAGE_BARE}
"""The bare answer that a side is compared to, where it is not `BARE`."""
OURS = (SERVICE, IMAGE_SERVICE)
PEERS = (*OURS, EXPRESS, FASTIFY)
PUBLIC, PRIVATE = "demo-public-key", "demo-private-key"
COOKIE = "__Host-visitor"
NUMBER = "#"
"""Stands in a body where every request has a number of its own, so that no sale and no buyer comes twice; or one of `among`."""

COUNTED = ("CLIENT_PER_SECOND", "KEY_PER_SECOND", "LOOKUPS_PER_SECOND", "WRONG_KEYS_PER_MINUTE")
QUOTAS = ("CLIENT_BYTES_PER_HOUR", "PUBLIC_KEY_BYTES_PER_HOUR")
NEVER_LIMITED = {f"IDENTITY_LIMITS__{name}": "1000000" for name in COUNTED} | {f"IDENTITY_LIMITS__{name}": str(10**15) for name in QUOTAS}
"""Settings by which callers are counted as ever, and no load is too much."""


@dataclass(frozen=True, slots=True)
class Work:
    """`body` None: a GET. `known`: comes with the cookie of a visitor that the side knows. `stored`: keys that each request adds at
    least; more than none means that requests differ. `among`: requests take numbers below it by chance. `mix`: requests are of these kinds
    instead, each with its share in percent."""

    name: str
    path: str
    body: Any
    sides: tuple[str, ...] = PEERS
    key: str = PRIVATE
    known: bool = False
    stored: int = 0
    among: int = 0
    mix: tuple[tuple[int, "Work"], ...] = ()

    @property
    def text(self) -> str:
        return "" if self.body is None else json.dumps(self.body, separators=(",", ":"))

    def headers(self, cookie: str) -> dict[str, str]:
        """The load stands for a proxy that ends HTTPS."""
        sent = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json", "X-Forwarded-Proto": "https"}
        return sent | ({"Cookie": cookie} if self.known else {})


CLIENT = {"client": {"ip": "198.51.100.9", "user_agent": "Mozilla/5.0 (X11)"}}
LINES = [{"id": 12793, "price": 99.95, "quantity": 1}]
BUYER = {"visitor": "buyer-known", "email": "known@example.com"}

TEXT = Work("a text", "/", {}, (BARE, IMAGE_BARE))
NATIVE = Work("an ID and a cookie, unsigned, nothing stored", "/", None, (NGINX,))
COOKIELESS = Work("issue, cookieless", "/v1/visitors", CLIENT)
NEW = Work("issue, persistent, new", "/v1/visitors", {"consent": "granted"}, stored=1)
KNOWN = Work("issue, persistent, known", "/v1/visitors", {}, known=True)
NULL = Work("issue, null", "/v1/visitors", {"visitor": None}, OURS)
LINK = Work("link, new", "/v1/links", {"email": f"{NUMBER}@example.com", "visitor": f"linked-{NUMBER}"}, OURS, stored=2)
LINK_AGAIN = Work("link, again", "/v1/links", {"email": "person@example.com", "visitor": "visitor-1"}, (SERVICE,))
LOOKUP = Work("look up", "/v1/lookups", {"email": BUYER["email"]})
CLICK = Work("log/click", "/v2/log/click", {"product": 12793, "visitor": "clicker", "labels": ["Homepage"]}, key=PUBLIC)
CLICKS = replace(CLICK, name="log/click, 10,000 visitors", body=CLICK.body | {"visitor": f"clicker-{NUMBER}"}, among=10_000)
SOLD = {"sale": f"sale-{NUMBER}", "products": LINES, "visitor": f"buyer-{NUMBER}", "email": f"buyer-{NUMBER}@example.com"}
SALE = Work("log/sale, new, with email", "/v2/log/sale", SOLD, key=PUBLIC, stored=4)
AGAIN = Work("log/sale, again", "/v2/log/sale", {"sale": "sale-known", "products": LINES} | BUYER, key=PUBLIC)
VERIFY = Work("verify a token", "/v1/verifications", {"token": COOKIE}, (SERVICE,))
"""The known visitor's token takes the place of the cookie's name."""
VIEW = Work("log/product", "/v2/log/product", {"product": 12793, "visitor": f"clicker-{NUMBER}"}, (SERVICE,), key=PUBLIC, among=10_000)
DAY = Work("a mixed day", "/", {}, OURS, mix=((40, CLICKS), (40, VIEW), (12, COOKIELESS), (5, NEW), (3, SALE)))
"""Clicks and views, issues, consents and sales, as shops have them."""
TC_STRING = {"consent": {"tcf": {"tc_string": tc_string(updated=datetime.now(UTC))}}}

ALL = (
    TEXT,
    Work("a body taken and answered", "/body", CLIENT, (BARE,)),
    NATIVE,
    COOKIELESS,
    NEW,
    KNOWN,
    Work("issue, persistent, known, granted", "/v1/visitors", {"consent": "granted"}, (SERVICE,), known=True),
    Work("issue, persistent, known, TC string", "/v1/visitors", TC_STRING, (SERVICE,), known=True),
    NULL,
    LINK,
    LINK_AGAIN,
    LOOKUP,
    CLICK,
    CLICKS,
    SALE,
    AGAIN,
    DAY,
)


def chosen(words: list[str]) -> list[Work]:
    """Those whose names hold one of the words; the measure is always among them. All for no words."""
    return [work for work in ALL if work is TEXT or not words or any(word in work.name for word in words)]
