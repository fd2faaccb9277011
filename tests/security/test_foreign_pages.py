"""What a page of somebody else can reach through a visitor's browser: no answer it may read, no change, nobody's ID out of a cache."""

import json
import random
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis

from identity_service.app import Application
from identity_service.settings.load import load
from tests.conftest import Clock
from tests.security.asgi import AGENT, PAGE, Answer, bearer, call
from tests.security.wire import tell
from tests.test_command import Service
from tests.test_privacy import dump

pytestmark = pytest.mark.anyio
SHOP = "https://shop.example"
EVIL = b"https://evil.example"
PUBLIC, PRIVATE = bearer("demo-public-key"), bearer("demo-private-key")
HOSTILE_ORIGINS = [
    *("null", "", "*", "https://evil.example", "http://shop.example", "https://shop.example.evil.example", "https://evilshop.example"),
    *("https://evil.example/shop.example", "https://shop.example/", "https://shop.example:443", "https://shop.example:8443"),
    *(
        "HTTPS://shop.example",
        "https://SHOP.example",
        "https://shop.example.",
        "https://www.shop.example",
        "https://shop.example@evil.example",
    ),
    *("https://evil@shop.example", "https://shop.example:evil@evil.example", "https://shop.example#evil", "https://shop.example?evil"),
    *(
        "https://shop.example, https://evil.example",
        "https://shop.example https://evil.example",
        "https://shop.examplé",
        "https://shoр.example",
    ),
    *("https://shop.example\\.evil.example", "https://shop.example%00.evil.example", "https://shop.example%0d%0a", "//shop.example"),
    *("shop.example", "file://", "file:///etc/passwd", "data:text/html,x", "javascript:alert(1)", "chrome-extension://abcdef"),
    *("https://shop_example", "https://shop-example", "https://shopXexample", "https://xn--shop-example", "blob:https://shop.example/1"),
    *("ws://shop.example", "https://[::1]", "https://127.0.0.1", "http://localhost", "about:blank"),
]


@pytest.fixture
async def shop(environment: dict[str, str], clock: Clock) -> AsyncIterator[Application]:
    """Its one page is https://shop.example."""
    listed = {f"IDENTITY_SHOPS__{name}__ORIGINS": SHOP for name in ("DEMO", "OTHER", "STRICT")}
    application = Application(load("development", environment | listed), clock)
    yield application
    await application.services.store.client.close()


def allowed(answer: Answer) -> list[str]:
    return [value for name, value in answer.headers if name.startswith("access-control-allow")]


@pytest.mark.parametrize("origin", HOSTILE_ORIGINS)
async def test_no_other_origin_may_read_an_answer_or_gets_one_for_its_visitor(shop: Application, origin: str) -> None:
    header = (b"origin", origin.encode("utf-8"))
    asked = (b"access-control-request-method", b"POST")
    for method, target, status in (("POST", "/v1/visitors", 403), ("POST", "/v2/log/click", 403), ("POST", "/v1/nothing", 404)):
        answer = await call(shop, method, target, PUBLIC, AGENT, header, body={"consent": "granted", "product": 1})
        assert answer.status == status
        assert (allowed(answer), answer.all("set-cookie")) == ([], [])
        assert answer.all("vary") == ["Cookie, Origin"]
        preflight = await call(shop, "OPTIONS", target, header, asked)
        assert "access-control-allow-origin" not in dict(preflight.headers)
        assert "access-control-allow-credentials" not in dict(preflight.headers)


async def test_the_listed_origin_may_and_nothing_else_differs(shop: Application) -> None:
    assert len(HOSTILE_ORIGINS) >= 40
    answer = await call(shop, "POST", "/v1/visitors", PUBLIC, AGENT, (b"origin", SHOP.encode()), body={})
    assert (answer.status, answer.all("access-control-allow-origin")) == (200, [SHOP])
    two = [(b"origin", SHOP.encode()), (b"origin", EVIL)]
    assert allowed(await call(shop, "POST", "/v1/visitors", PUBLIC, AGENT, *two, body={})) == []


FORM, TEXT, PARTS = b"application/x-www-form-urlencoded", b"text/plain", b"multipart/form-data; boundary=b"
KEYED = b'{"key": "demo-public-key", '
FORGED: list[tuple[str, str, bytes, bytes]] = [
    ("POST", "/v1/consents", TEXT, KEYED + b'"consent": "granted"}'),
    ("POST", "/v1/consents", TEXT, KEYED + b'"consent": "refused"}'),
    ("POST", "/v1/visitors", TEXT, KEYED + b'"visitor": null}'),
    ("POST", "/v1/visitors?key=demo-public-key", FORM, b"visitor=persistent&consent=granted"),
    ("POST", "/v1/links", TEXT, KEYED + b'"email": "evil@example.com"}'),
    ("POST", "/v1/consents/cookiebot", TEXT, KEYED + b'"consent": {"statistics": true, "method": "explicit"}, "hasResponse": true}'),
    ("POST", "/v1/consents", PARTS, b'--b\r\ncontent-disposition: form-data; name="a"\r\n\r\n' + KEYED + b'"consent": "refused"}\r\n--b--'),
    ("POST", "/v2/log/click", TEXT, KEYED + b'"product": 1, "visitor": "auto"}'),
    ("POST", "/v2/log/email?key=demo-public-key", FORM, b"email=evil@example.com"),
    ("GET", "/v2/log/sale?key=demo-public-key&sale=1&products=[1]&visitor=auto&email=evil@example.com", b"", b""),
    ("GET", "/v2/log/click?key=demo-public-key&product=1&callback=alert", b"", b""),
    ("GET", "/v2/privacy/forget?key=demo-public-key&email=a@example.com", b"", b""),
    ("HEAD", "/v2/log/click?key=demo-public-key&product=1&visitor=abc", b"", b""),
]


@pytest.mark.parametrize(("method", "target", "media", "body"), FORGED)
async def test_a_forged_form_changes_nothing(
    shop: Application, database: redis.Redis, method: str, target: str, media: bytes, body: bytes
) -> None:
    granted = (await call(shop, "POST", "/v1/consents", PRIVATE, body={"consent": "granted"})).json
    await call(shop, "POST", "/v1/links", PRIVATE, body={"email": "a@example.com", "token": granted["token"]})
    before = sorted(dump(database))
    cookie = (b"cookie", f"__Host-visitor={granted['token']}".encode())
    sent = [cookie, AGENT, (b"content-type", media), (b"sec-fetch-site", b"cross-site"), (b"sec-fetch-mode", b"no-cors")]
    for headers in ([*sent, (b"origin", EVIL)], [*sent, (b"origin", b"null")], sent, [cookie, AGENT, (b"referer", EVIL + b"/")]):
        answer = await call(shop, method, target, *headers, body=body)
        assert answer.status in {400, 401, 403, 405, 415} or answer.body.startswith(b"alert(")
        assert granted["visitor"].encode() not in answer.body
        assert (allowed(answer), answer.all("set-cookie")) == ([], [])
    assert sorted(dump(database)) == before


async def test_a_webhook_that_is_sent_a_hundred_times_counts_once(application: Application, clock: Clock) -> None:
    visitor = (await call(application, "POST", "/v1/visitors", PRIVATE, body={})).json["visitor"]
    purposes = [{"id": name, "enabled": True} for name in ("cookies", "measure_content_performance")]
    at = "2026-11-18T11:00:00Z"
    entity = {"status": "confirmed", "created_at": at, "user": {"organization_user_id": visitor}, "consents": {"purposes": purposes}}
    event = {"type": "event.created", "parameters": {"entity": entity}}
    first = (await call(application, "POST", "/v1/consents/didomi", PRIVATE, body=event)).json
    assert (first["visitor"], first["mode"]) == (visitor, "persistent")
    for _ in range(100):
        clock.forward(60)
        again = (await call(application, "POST", "/v1/consents/didomi", PRIVATE, body=event)).json
        assert (again["expires_at"], again["receipt"]) == (first["expires_at"], None)
    held = (await call(application, "POST", "/v1/receipts", PRIVATE, body={"visitor": visitor})).json["receipts"]
    assert [one["receipt_id"] for one in held] == [first["receipt"]["receipt_id"]]
    await call(application, "POST", "/v1/visitors", PRIVATE, body={"visitor": visitor, "consent": "refused"})
    assert (await call(application, "POST", "/v1/consents/didomi", PRIVATE, body=event)).json["mode"] != "persistent"
    assert (await call(application, "POST", "/v1/lookups", PRIVATE, body={"visitor": visitor})).json == {"visitors": []}


JUNK = [
    "a,b=c",
    "a\\b=\\",
    'q="x; y"',
    'q="',
    "é=ü",
    "\x07bell=1",
    "=",
    "==",
    "a",
    "a b=c d",
    "[x]=1",
    "$Version=1",
    "a=b=c",
    "__Host-visitor",
]
JUNK += ["__host-visitor=junk", "__Host-visitor =junk", "__Host-visitor=", "x__Host-visitor=junk", "visitor-choice=", "a=" + "x" * 4_000]
JUNK += [
    "__Host-visitor=1p.junk.awELLw." + "A" * 43,
    "visitor-choice=granted",
    "visitor-choice =refused",
    "%5F%5FHost-visitor=junk",
    "\t=\t",
]


async def test_a_visitor_keeps_its_id_among_two_hundred_hostile_cookies(application: Application) -> None:
    chance = random.Random(5)
    granted = (await call(application, "POST", "/v1/consents", PRIVATE, body={"consent": "granted"})).json
    own = f"__Host-visitor={granted['token']}"
    for _ in range(200):
        before, after = ([chance.choice(JUNK) for _ in range(chance.randint(0, 3))] for _ in range(2))
        pairs = [(b"cookie", chance.choice(["; ", ";", " ;  "]).join([*before, own, *after]).encode("latin-1"))]
        if chance.random() < 0.2:
            pairs = [(b"cookie", part.encode("latin-1")) for part in [*before, own, *after]]
        answer = await call(application, "POST", "/v1/visitors", PUBLIC, AGENT, (b"origin", PAGE.encode()), *pairs, body={})
        assert answer.status in {200, 431}, pairs
        if answer.status == 200:
            assert (answer.json["visitor"], answer.json["mode"]) == (granted["visitor"], "persistent"), pairs
            assert answer.all("set-cookie") == []


async def test_a_thousand_tabs_leave_two_small_cookies(application: Application) -> None:
    jar: dict[str, str] = {}
    for number in range(1_000):
        body = [{}, {"consent": "granted"}, {"visitor": "persistent"}, {"consent": "refused"}, {"visitor": None}][number % 5]
        cookies = (b"cookie", "; ".join(f"{name}={value}" for name, value in jar.items()).encode())
        answer = await call(application, "POST", "/v1/visitors", PUBLIC, AGENT, (b"origin", PAGE.encode()), cookies, body=body)
        for told in answer.all("set-cookie"):
            name, _, value = told.partition(";")[0].partition("=")
            assert len(name) + len(value) <= 400
            assert answer.all("cache-control") == ["private, no-store"]
            jar[name] = value
    assert set(jar) == {"__Host-visitor", "__Host-visitor-choice"}


SHARED_PAGES = ("/visitor.js", "/healthz", "/openapi.json", "/docs", "/v1/nothing", "/admin/overview")


class SharedCache:
    """A cache between visitors that heeds Cache-Control and no more: neither Vary, nor cookies, nor the method."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self.kept: dict[str, Answer] = {}

    async def ask(self, method: str, target: str, *headers: tuple[bytes, bytes], body: Any = None) -> Answer:
        if target in self.kept:
            return self.kept[target]
        answer = await call(self._application, method, target, *headers, body=body)
        if not re.search("private|no-store", " ".join(answer.all("cache-control"))):
            self.kept[target] = answer
        return answer


async def test_no_visitor_gets_anothers_id_out_of_a_shared_cache(application: Application) -> None:
    cache, tokens, seen = SharedCache(application), [], set()
    for number in range(1_000):
        agent, page = (b"user-agent", b"Mozilla/5.0 number %d" % number), (b"origin", PAGE.encode())
        granted = (await cache.ask("POST", "/v1/consents", PUBLIC, agent, page, body={"consent": "granted"})).json
        tokens.append((b"cookie", f"__Host-visitor={granted['token']}".encode()))
        again = await cache.ask("POST", "/v1/visitors", PUBLIC, agent, page, tokens[-1], body={})
        assert again.json["visitor"] == granted["visitor"]
        assert granted["visitor"] not in seen
        seen.add(granted["visitor"])
        told = await cache.ask("GET", "/v2/misc/visitor_id?key=demo-public-key&visitor=auto", agent, page, tokens[-1])
        assert told.json["visitor"] not in seen - {granted["visitor"]}
        for target in SHARED_PAGES if number % 50 == 0 else ():
            await cache.ask("GET", target, agent, page, tokens[-1])
    assert set(cache.kept) == {"/visitor.js", "/docs", "/openapi.json"}
    assert all(not answer.all("set-cookie") for answer in cache.kept.values())


LINE_ENDS = ["\r\n", "\n", "\r", "%0d%0a", "%0a", "%0D", "\u2028", "\u560a\u560d", "\\r\\n", "\x00", "\x0b", "%E5%98%8A%E5%98%8D"]
PLACES = [
    *("visitor", "token", "email", "customer", "consent", "policy_version", "callback", "key", "path", "origin"),
]


def split_request(end: str, place: str) -> bytes:
    """Sets a header of its own if the line end comes through."""
    text = f"zqneedle{end}x-split: yes{end}{end}<b>"
    quoted = "".join(f"%{byte:02x}" if byte < 33 or byte > 126 else chr(byte) for byte in text.replace(" ", "%20").encode())
    target, body, more = "/v1/visitors", b"{}", ""
    if place in {"callback", "key"}:
        target = f"/v2/misc/visitor_id?{'key=demo-public-key&' if place == 'callback' else ''}{place}={quoted}"
    elif place == "path":
        target = f"/{quoted}"
    elif place == "origin":
        more = f"origin: {quoted}\r\n"
    else:
        member = {"consent": {"policy_version": text}} if place == "policy_version" else {place: text, "consent": "granted"}
        body = json.dumps({"consent": "granted"} | member).encode()
    method = "GET" if place in {"callback", "key", "path"} else "POST"
    key = "demo-public-key" if place == "origin" else "demo-private-key"
    auth = "" if place in {"callback", "key"} else f"authorization: Bearer {key}\r\n"
    head = f"{method} {target} HTTP/1.1\r\nhost: service.test\r\nconnection: close\r\n{auth}{more}content-length: {len(body)}\r\n\r\n"
    return head.encode() + body


@pytest.mark.parametrize("place", PLACES)
def test_no_value_splits_an_answer(service: Service, place: str) -> None:
    assert len(LINE_ENDS) * len(PLACES) >= 100
    for end in LINE_ENDS:
        heard = tell(service.url, split_request(end, place), wait=5)
        assert len(heard.statuses) == 1, (end, heard)
        assert heard.statuses[0] in {200, 400, 401, 403, 404, 422}
        head = heard.text.partition("\r\n\r\n")[0].lower()
        assert "x-split" not in head
        assert "zqneedle" not in head
