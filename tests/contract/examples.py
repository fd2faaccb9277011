"""The examples of /openapi.json, made by real calls: `python -m tests.contract.examples` writes `identity_service/web/examples.json` anew.

The scenario is one visitor's: it comes, grants, gives its email, clicks, buys, asks for its rights and goes. Clock and secrets are fixed.
What stays random (IDs, tokens, signatures) is left out where an old and a new run are compared, so that the file changes only where
answers do.
"""

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import anyio
import httpx2 as httpx

from identity_service.app import Application
from identity_service.model.token import OPT_IN_SHAPE, SHAPE
from identity_service.server.problems import problem_body
from identity_service.server.protocol import REFUSALS
from identity_service.settings.load import load
from identity_service.web.openapi import PAGES, PATH
from identity_service.web.routes import described
from tests.conftest import Clock
from tests.stores import valkey

PUBLIC, PRIVATE = "demo-public-key", "demo-private-key"
WITH_REMOVALS = {"IDENTITY_SHOPS__DEMO__REMOVALS_KEY": "a-key-that-only-these-examples-use-000000000"}
EMAIL = "luke@skywalker.com"
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
CLIENT = {"ip": "198.51.100.9", "user_agent": BROWSER}
GRANT = {"purposes": {"storage": "granted", "measurement": "granted"}}
BANNER = {"necessary": True, "preferences": True, "statistics": True, "marketing": True, "method": "explicit"}
LINES = [{"id": 12793, "price": 99.95, "quantity": 2}, {"id": 12794, "price": 20, "quantity": 1}]
SHOWN = ["Home / Best sellers"]
PEER = "198.51.100.9"
RANDOM = (
    (SHAPE, "token"),
    (OPT_IN_SHAPE, "confirmation"),
    (re.compile(r"[A-Za-z0-9_-]{22}"), "ID"),
    (re.compile(r"[A-Za-z0-9_-]{1,10}\.[A-Za-z0-9_-]{43}"), "signature"),
)
RANDOM_MEMBERS = frozenset({"receipt_id", "previous", "signed", "ed25519", "reference", "request_id", "id", "digest"})
Stored = dict[str, Any]


class Run:
    """The scenario against one service. `version` and `method`: of its tracking calls. `answered`: each call with its answer, in order."""

    def __init__(self, client: httpx.AsyncClient, clock: Clock, version: str = "v2", method: str = "POST") -> None:
        self._client = client
        self._clock = clock
        self._version = version
        self._method = method
        self._paths = {one.name: one for one in described()}
        self.answered: list[tuple[str, Stored]] = []

    async def call(self, name: str, title: str, body: Any = None, *, query: Any = None, path: Any = None) -> Any:
        one = self._paths[name]
        sent = {"authorization": f"Bearer {PRIVATE}"}
        self._clock.forward(1)
        target = one.path.format(**path) if path else one.path
        answer = await self._client.request(one.method, target, json=body, params=query, headers=sent)
        told = {"title": title, "body": body, "query": query, "path": path}
        return self._kept(name, {key: value for key, value in told.items() if value is not None}, answer)

    async def track(self, name: str, title: str, body: Stored, *, private: bool = False) -> Any:
        """As plugins do, with the key in the body, or in the query."""
        keys = {"key": PUBLIC} | ({"private_key": PRIVATE} if private else {})
        path = self._paths[name].path.replace("/v2/", f"/{self._version}/")
        query = {name: in_query(name, value) for name, value in body.items()}
        self._clock.forward(1)
        if self._method == "POST":
            answer = await self._client.post(path, json=keys | body, headers={"user-agent": BROWSER})
        else:
            answer = await self._client.get(path, params=keys | query, headers={"user-agent": BROWSER})
        return self._kept(name, {"title": title, "body": keys | body, "query": query}, answer)

    def _kept(self, name: str, told: Stored, answer: httpx.Response) -> Any:
        assert answer.status_code == 200, (name, answer.text)
        self.answered.append((name, told | {"answer": answer.json()}))
        return answer.json()

    async def whole(self) -> None:
        await self._identify()
        await self._track()
        await self._read()
        await self._leave()

    async def _identify(self) -> None:
        await self.call("issueVisitor", "A visitor who said nothing gets a cookieless ID", {"client": CLIENT})
        granted = await self.call("reportConsent", "The visitor grants", {"consent": GRANT, "client": CLIENT})
        self.token, self.visitor = granted["token"], granted["visitor"]
        await self.call("issueVisitor", "A visitor who granted keeps its ID", {"token": self.token, "client": CLIENT})
        await self.call("verifyToken", "A token that is valid", {"token": self.token})
        await self.call("verifyToken", "A token that nobody signed", {"token": "no token"})
        await self.call("reportBannerConsent", "Cookiebot's event", {"client": CLIENT} | BANNER, path={"source": "cookiebot"})
        await self.call("optIntoSale", "The visitor asks to opt in to sale", {"token": self.token})
        asked = self.answered[-1][1]["answer"]["confirmation"]
        await self.call("optIntoSale", "It confirms", {"token": self.token, "confirmation": asked})
        preview = {"consent": "unknown", "client": CLIENT | {"region": "FR"}, "policy": "strict"}
        await self.call("previewDecision", "Without a choice, under the strict policy", preview)
        listed = await self.call("listReceipts", "All receipts of a visitor", {"visitor": self.visitor})
        await self.call("verifyReceipt", "A receipt as it was answered", {"receipt": listed["receipts"][0]})
        await self.call("linkVisitor", "The visitor gives its email", {"email": EMAIL, "token": self.token})
        await self.call("lookUp", "The visitors of an email", {"email": EMAIL})
        await self.call("lookUp", "Several emails at once", {"emails": [EMAIL, "no email"]})
        await self.call("lookUp", "The emails of a visitor", {"visitor": self.visitor})

    async def _track(self) -> None:
        who = {"visitor": self.token}
        shown = {"labels": SHOWN, "products": [12793, 12794], "api": "recommendations/popular"}
        await self.track("logResults", "An element shows two products", shown | who)
        await self.track("logClick", "One of them is clicked", {"product": 12793, "labels": SHOWN} | who)
        await self.track("logProduct", "Its page is seen", {"product": 12793} | who)
        await self.track("logCategory", "A category is seen", {"category": "Lamps"} | who)
        await self.track("logSearch", "Words are searched", {"query": "desk lamp"} | who)
        await self.track("logBasketSet", "The basket as it is now", {"products": [12793, 12794]} | who)
        for name, title in (("Add", "put into"), ("Remove", "taken out of"), ("Update", "changed in")):
            await self.track(f"logCart{name}", f"A product is {title} the cart", {"products": [12794]} | who)
        await self.track("logEmail", "The visitor types its email", {"email": EMAIL} | who)
        await self.track("logSale", "An order of two products", {"sale": "1001", "products": LINES, "email": EMAIL} | who)
        await self.track("logReturned", "One of them comes back", {"product": 12794, "order": "1001", "quantity": 1} | who, private=True)
        await self.track("logSaleShopify", "An order that a pixel knows by its ID", {"sale": "5873120124"})
        await self.track("clientAccountInfo", "Two keys of one shop", {}, private=True)
        await self.track("logDebug", "A plugin's message", {"message": "tracking started"})
        await self.track("miscVisitorId", "A device asks for its ID", {"visitor": "auto"})
        await self.track("tokenVerify", "A token that is valid", {"token": self.token})
        await self.track("privacyInfo", "What is stored about an email", {"email": EMAIL}, private=True)

    async def _read(self) -> None:
        await self.call("listEvents", "What the visitor did", {"visitor": self.visitor})
        await self.call("listOrders", "The newest orders", query={"limit": 2})
        await self.call("readOrder", "One order", path={"sale": "1001"})
        await self.call("explainOrder", "Why it is attributed", path={"sale": "1001"})
        await self.call("compareLabels", "Labels of the last week", query={"days": 7})
        await self.call("readFigures", "Figures of today", query={"days": 1})
        for name, title in (("listCalls", "The last calls"), ("listProducts", "Products seen"), ("checkTracking", "All is well")):
            await self.call(name, title)

    async def _leave(self) -> None:
        await self.call("exportPerson", "All that is held of an email", {"email": EMAIL})
        await self.call("erasePerson", "What would go", {"email": EMAIL, "dry_run": True})
        await self.call("unlinkVisitor", "The email was another person's", {"email": EMAIL, "visitor": self.visitor})
        await self.call("erasePerson", "The visitor goes", {"visitor": self.visitor})
        await self.track("privacyForget", "An email is erased", {"email": EMAIL}, private=True)
        other = await self.call("reportConsent", "The visitor grants links, too", {"consent": "granted", "client": CLIENT})
        await self.call("reportConsent", "The visitor refuses", {"consent": "refused", "token": other["token"], "client": CLIENT})
        self.gone = other["token"]
        await self.call("listRemovals", "The visitors that were removed lately", query={"limit": 2})
        await self.call("listAccesses", "Who looked at an email", {"email": EMAIL})
        await self.call("listAudit", "The newest entries", query={"limit": 3})
        await self.call("countLookups", "Look-ups of today", query={"days": 1})


def in_query(name: str, value: Any) -> Any:
    return json.dumps(value) if name == "products" else value if isinstance(value, list) else str(value)


async def pages(client: httpx.AsyncClient) -> list[tuple[str, Stored]]:
    """Of long ones a part."""
    found = {one.name: await client.get(one.path) for one in PAGES}
    assert all(answer.status_code == 200 for answer in found.values())
    api = found["readDescription"].json()
    [counter] = re.findall("^# TYPE identity_issued_total .*$", found["readMetrics"].text, re.MULTILINE)
    parts = {
        "checkAlive": found["checkAlive"].json(),
        "checkReady": found["checkReady"].json(),
        "readMetrics": f"{counter}\n",
        "readDescription": {"openapi": api["openapi"], "info": {name: api["info"][name] for name in ("title", "version")}},
        "readDocs": found["readDocs"].text[:15],
        "readSnippet": found["readSnippet"].text.partition("\n")[0],
    }
    return [(name, {"title": "A part of it" if name.startswith("read") else "All is well", "answer": part}) for name, part in parts.items()]


async def refused_for_its_number(post: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
    """A busy machine may take longer between two calls than the limit asks for."""
    for _ in range(100):
        answer = await post()
        if answer.status_code == 429:
            break
    return answer


async def refusals(run: Run, client: httpx.AsyncClient, limited: httpx.AsyncClient, cut_off: httpx.AsyncClient) -> tuple[Stored, Stored]:
    """Errors by code, as problems and as tracking calls answer them. `run`: whose visitor is gone."""
    private, public = {"authorization": f"Bearer {PRIVATE}"}, {"authorization": f"Bearer {PUBLIC}"}
    packed = {"content-encoding": "gzip"}
    many = {f"x-header-{number}": "1" for number in range(70)}
    asked, sale = {"email": EMAIL}, {"key": PUBLIC, "sale": "1002", "products": [12793]}
    lookups, log = "/v1/lookups", "/v2/log/sale"
    problems = [
        await client.post(lookups, content=b"{", headers=private),
        await client.post(lookups, json=asked),
        await client.post(lookups, json=asked, headers=public),
        await client.get("/v1/orders/0", headers=private),
        await client.post("/v1/links", json=asked | {"token": run.gone}, headers=private),
        await client.post("/v1/links", json=asked | {"x": "x" * 40_000}, headers=private),
        await client.post("/v1/links", content=b"", headers=private | packed),
        await client.post(lookups, json={"email": "no email"}, headers=private),
        await refused_for_its_number(lambda: limited.post(lookups, json=asked, headers=private)),
        await client.post(lookups, json=asked, headers=private | many),
        await cut_off.post(lookups, json=asked, headers=private),
    ]
    tracking = [
        await client.post(log, content=b"{", headers=public),
        await client.post(log, json={}),
        await client.post(log, json=sale, headers={"origin": "https://elsewhere.example"}),
        await client.post(log, json=sale | {"x": "x" * 140_000}),
        await client.post(log, content=b"", headers=packed),
        await client.post(log, json={"key": PUBLIC, "products": [12793]}),
        await refused_for_its_number(lambda: limited.post(log, json=sale)),
        await client.post(log, json=sale, headers=many),
        await cut_off.post(log, json=sale),
    ]
    codes = [
        "malformed",
        "unauthorized",
        "forbidden",
        "too_large",
        "unsupported_media",
        "invalid",
        "rate_limited",
        "headers_too_large",
        "store_unavailable",
    ]
    assert [answer.status_code for answer in tracking] == [400, 401, 403, 413, 415, 400, 429, 431, 503]
    by_code = {answer.json()["code"]: answer.json() for answer in problems}
    tracking_errors = dict(zip(codes, (answer.json() for answer in tracking), strict=True))
    return by_code | early("/v1/orders"), tracking_errors | early(log)


def early(path: str) -> Stored:
    """What the HTTP server refuses, which these calls do not pass."""
    error = REFUSALS[HTTPStatus.REQUEST_URI_TOO_LONG]
    return {error.code: json.loads(problem_body(error, "nXbQ2mUtL0sV", path)[2])}


@asynccontextmanager
async def service(clock: Clock, environment: dict[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    application = Application(load("development", environment | WITH_REMOVALS), clock)
    transport = httpx.ASGITransport(application, client=(PEER, 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://service.test") as client:
        yield client
    await application.services.store.client.close()


async def made(store_url: str) -> Stored:
    """What `examples.json` holds. The store is empty before."""
    clock, url = Clock(), {"IDENTITY_STORE__URL": store_url, "IDENTITY_STORE__TIMEOUT_SECONDS": "10"}
    once = {"IDENTITY_LIMITS__KEY_PER_SECOND": "1", "IDENTITY_LIMITS__BURST": "1"}
    away = {"IDENTITY_STORE__URL": "unix:///nonexistent/identity.sock"}
    async with service(clock, url | {"IDENTITY_LIMITS__ENABLED": "false"}) as client, service(clock, url | once) as limited:
        async with service(clock, away) as cut_off:
            run = Run(client, clock)
            await run.whole()
            problems, tracking_errors = await refusals(run, client, limited, cut_off)
        answered = run.answered + await pages(client)
    calls: dict[str, list[Stored]] = {}
    for name, one in answered:
        calls.setdefault(name, []).append(one)
    return {"calls": calls, "problems": problems, "tracking_errors": tracking_errors}


def without_random(value: Any, member: str = "") -> Any:
    """What two runs have in common."""
    if isinstance(value, dict):
        return {name: without_random(one, name) for name, one in value.items()}
    if isinstance(value, list):
        return [without_random(one) for one in value]
    if not isinstance(value, str):
        return value
    if member in RANDOM_MEMBERS:
        return "random"
    return next((word for shape, word in RANDOM if shape.fullmatch(value)), value)


def main() -> None:
    with valkey() as url:
        found = anyio.run(made, url)
    if without_random(found) != without_random(json.loads(PATH.read_text())):
        PATH.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
