"""Keys, origins and bad input: a stable answer, nothing stored, nothing of the input in the log."""

import gzip
import json
from dataclasses import replace
from typing import Any

import httpx2 as httpx
import pytest
import redis
import structlog

from identity_service.app import Application
from identity_service.server.limits import RateLimit, private_memory
from identity_service.settings.load import load
from identity_service.web.edge import Edge
from identity_service.web.routes import build
from tests.conftest import Clock, Shopper, shopping

pytestmark = pytest.mark.anyio
PAGE = "http://localhost:8080"


@pytest.mark.parametrize("path", ["/v1/lookups", "/v1/exports", "/v1/erasures", "/v1/receipts", "/v1/decisions", "/v1/unlinks"])
async def test_a_public_key_is_not_enough_for_a_private_call(shopper: Shopper, path: str) -> None:
    answer = await shopper.post(path, {"email": "a@example.com"}, key="demo-public-key")
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_unknown_and_missing_keys_get_the_same_401(shopper: Shopper) -> None:
    answers = [await shopper.post("/v1/visitors", key=key) for key in (None, "unknown", "demo-public-key ", "DEMO-PUBLIC-KEY")]
    answers.append(await shopper.post("/v1/visitors", {"key": 7}, key=None))
    bodies = [answer.json() | {"request_id": ""} for answer in answers]
    assert [answer.status_code for answer in answers] == [401, 401, 200, 401, 401]
    assert bodies[0] == bodies[1] == bodies[3] == bodies[4]


async def test_a_private_key_never_stands_in_a_url(shopper: Shopper) -> None:
    answer = await shopper.post("/v1/visitors?key=demo-private-key", key=None)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert (await shopper.post("/v1/visitors?key=demo-public-key", key=None)).status_code == 200


async def test_the_header_outranks_any_other_key(shopper: Shopper) -> None:
    assert (await shopper.post("/v1/lookups", {"key": "wrong", "email": "a@example.com"})).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": PAGE}, 200),
        ({"origin": "http://127.0.0.1:8080"}, 200),
        ({"origin": "http://localhost:8080.evil.example"}, 403),
        ({"origin": "https://localhost:8080"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "HTTP://LOCALHOST:8080"}, 403),
        ({"origin": PAGE, "referer": f"{PAGE}/cart?step=2"}, 200),
        ({"referer": f"{PAGE}/cart?step=2"}, 403),
        ({"referer": "http://evil.example/http://localhost:8080"}, 403),
        ({"origin": PAGE, "sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "same-origin"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({}, 200),
    ],
)
async def test_a_page_of_another_origin_may_not_speak_for_its_visitor(shopper: Shopper, headers: dict[str, str], status: int) -> None:
    answer = await shopper.client.post("/v1/visitors", json={"key": "demo-public-key", "consent": "granted"}, headers=headers)
    assert answer.status_code == status
    assert ("access-control-allow-origin" in answer.headers) == (status == 200 and "origin" in headers)


async def test_preflights_need_no_key_and_errors_carry_cors_headers(shopper: Shopper) -> None:
    asked = {"origin": PAGE, "access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    preflight = await shopper.client.options("/v1/visitors", headers=asked)
    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (204, PAGE)
    assert preflight.headers["access-control-allow-credentials"] == "true"
    foreign = await shopper.client.options("/v1/visitors", headers=asked | {"origin": "http://evil.example"})
    assert "access-control-allow-origin" not in foreign.headers
    refused = await shopper.post("/v1/visitors", key="unknown", origin=PAGE)
    assert (refused.status_code, refused.headers["access-control-allow-origin"], refused.headers["vary"]) == (401, PAGE, "Cookie, Origin")


async def test_a_forwarded_address_of_an_untrusted_peer_makes_it_unknown(shopper: Shopper) -> None:
    known = (await shopper.browser("/v1/visitors")).json()["token"]
    unknown = (await shopper.browser("/v1/visitors", **{"x-forwarded-for": "198.51.100.1"})).json()["token"]
    assert (known[:3], unknown[:3]) == ("1d.", "1c.")


async def test_only_a_private_key_describes_a_visitor(shopper: Shopper) -> None:
    answer = await shopper.browser("/v1/visitors", {"client": {"ip": "198.51.100.1"}})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_a_pages_script_may_read_when_to_repeat_a_call(environment: dict[str, str], clock: Clock) -> None:
    limited = {"IDENTITY_LIMITS__ENABLED": "true", "IDENTITY_LIMITS__CLIENT_PER_SECOND": "1", "IDENTITY_LIMITS__BURST": "1"}
    async with shopping(load("development", environment | limited), clock) as shopper:
        while (busy := await shopper.browser("/v1/consents", {"consent": "unknown"})).status_code == 200:
            pass
        assert (busy.status_code, busy.headers["retry-after"]) == (429, "1")
        assert busy.headers["access-control-expose-headers"] == "retry-after, x-request-id"
        foreign = await shopper.browser("/v1/consents", {"consent": "unknown"}, origin="http://evil.example")
        assert "access-control-expose-headers" not in foreign.headers


DEEP = "[" * 40 + "]" * 40
BAD_BODIES: list[tuple[bytes, int, str]] = [
    (b"{", 400, "malformed"),
    (b"[]", 422, "invalid"),
    (b'"needle"', 422, "invalid"),
    (b"\xff\xfe{\x00}\x00", 400, "malformed"),
    (b'{"needle": "\xff"}', 400, "malformed"),
    (b'{"visitor": NaN}', 400, "malformed"),
    (b'{"visitor": "needle"} needle', 400, "malformed"),
    (f'{{"unknown": {DEEP}}}'.encode(), 400, "malformed"),
    (b'{"unknown": ' + b"[" * 15_000 + b"]" * 15_000 + b"}", 400, "malformed"),
    (b'{"visitor": "\\ud800needle"}', 422, "invalid"),
    (b'{"visitor": "needle\\u0000"}', 422, "invalid"),
    (b'{"visitor": "needle\\r\\nset-cookie: a=b"}', 422, "invalid"),
    (b'{"visitor": ["needle"]}', 422, "invalid"),
    (b'{"visitor": 7}', 422, "invalid"),
    (b'{"consent": "needle"}', 422, "invalid"),
    (b'{"consent": {"purposes": {"storage": "needle"}}}', 422, "invalid"),
    (b'{"consent": {"decided_at": "needle"}}', 422, "invalid"),
    (b'{"consent": {"decided_at": "2026-11-18T00:00:00"}}', 422, "invalid"),
    (b'{"client": "needle"}', 422, "invalid"),
    (b'{"visitor": "' + b"n" * 65 + b'"}', 422, "invalid"),
    (b'{"visitor": "undefined"}', 422, "invalid"),
    (b'{"visitor": "' + b"n" * 40_000 + b'"}', 413, "too_large"),
]


@pytest.mark.parametrize(("body", "status", "code"), BAD_BODIES)
async def test_bad_bodies_store_nothing_and_are_never_repeated(
    shopper: Shopper, database: redis.Redis, capsys: pytest.CaptureFixture[str], body: bytes, status: int, code: str
) -> None:
    answer = await shopper.client.post("/v1/visitors", content=body, headers={"authorization": "Bearer demo-private-key"})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(answer.json()) == {"type", "title", "status", "detail", "code", "request_id"}
    assert "needle" not in answer.text
    assert "needle" not in "".join(capsys.readouterr())
    assert database.dbsize() == 0


async def test_of_duplicate_members_the_last_counts(shopper: Shopper) -> None:
    body = b'{"visitor": "own-id", "visitor": null}'
    answer = await shopper.client.post("/v1/visitors", content=body, headers={"authorization": "Bearer demo-private-key"})
    assert answer.json()["decision"]["reason"] == "visitor_disabled"


async def raw(application: Application, headers: list[tuple[bytes, bytes]], *chunks: bytes, version: str = "1.1") -> tuple[int, Any]:
    """A request as the server hands it over, which no client library would send."""
    scope = {
        "type": "http",
        "http_version": version,
        "method": "POST",
        "path": "/v1/visitors",
        "raw_path": b"/v1/visitors",
        "query_string": b"",
        "root_path": "",
        "client": ("203.0.113.7", 1),
        "headers": headers,
    }
    parts = list(chunks) or [b"{}"]
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def send(message: Any) -> None:
        sent.append(message)

    await application(scope, receive, send)
    return sent[0]["status"], json.loads(sent[1]["body"])


KEY = (b"authorization", b"Bearer demo-private-key")
HOST = (b"host", b"service.test")


@pytest.mark.parametrize(
    ("headers", "chunks", "status", "code"),
    [
        ([HOST, KEY, *((b"x-%d" % number, b"1") for number in range(20_000))], [], 431, "headers_too_large"),
        ([HOST, KEY, (b"x-long", b"1" * 20_000)], [], 431, "headers_too_large"),
        ([HOST, HOST, KEY], [], 400, "malformed"),
        ([KEY], [], 400, "malformed"),
        ([HOST, KEY, (b"content-length", b"99999999")], [], 413, "too_large"),
        ([HOST, KEY, (b"content-length", b"needle")], [], 413, "too_large"),
        ([HOST, KEY, (b"content-length", b"2")], [b" " * 20_000, b" " * 20_000], 413, "too_large"),
        ([HOST, KEY, (b"content-encoding", b"gzip")], [], 415, "unsupported_media"),
        ([HOST, KEY], [gzip.compress(b"{}")], 415, "unsupported_media"),
        ([HOST, KEY, (b"content-encoding", b"utf-8")], [], 200, None),
        ([HOST, (b"authorization", b"Basic needle")], [], 401, "unauthorized"),
        ([HOST, KEY, (b"cookie", b"\xff\xfe;;;=; __Host-visitor=\xff; __Host-visitor")], [], 200, None),
    ],
    ids=range(12),
)
async def test_hostile_requests_get_a_stable_code(
    application: Application, headers: list[tuple[bytes, bytes]], chunks: list[bytes], status: int, code: str | None
) -> None:
    answered, body = await raw(application, headers, *chunks)
    assert (answered, body.get("code")) == (status, code)


async def test_an_old_client_needs_no_host(application: Application) -> None:
    assert (await raw(application, [KEY], version="1.0"))[0] == 200


async def test_a_bug_is_a_500_without_a_word_of_its_cause(
    shopper: Shopper, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("needle")

    monkeypatch.setattr(application.services.visitors, "_identify", broken)
    with structlog.testing.capture_logs() as lines:
        answer = await shopper.post("/v1/visitors")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "needle" not in answer.text + str(lines)
    assert [line["event"] for line in lines] == ["fault"]


async def test_forged_tokens_are_no_tokens(shopper: Shopper) -> None:
    token = (await shopper.post("/v1/consents", {"consent": "granted"})).json()["token"]
    forged = [token[:index] + ("A" if token[index] != "A" else "B") + token[index + 1 :] for index in range(len(token))]
    forged += [token + extra for extra in ("=", "A", ".", " ", "\n")] + [token[:-1], "1p.x", ""]
    answers = [(await shopper.post("/v1/verifications", {"token": text})).json() for text in forged]
    assert answers == [{"valid": False, "reason": "bad_signature"}] * len(forged)
    assert (await shopper.post("/v1/verifications", {"token": token})).json()["valid"] is True


async def test_what_one_client_and_one_public_key_can_make_the_store_keep_is_bounded(
    application: Application, clock: Clock, database: redis.Redis
) -> None:
    """A client has 10.8 kB an hour here, all clients of the key twice as much; a refusal of consent is kept on the device all the same."""
    quotas = [RateLimit(number / 3600, 3600, clock, private_memory().slots(0)) for number in (10_800, 21_600)]
    rates = replace(application.services.rates, client_quota=quotas[0], public_key_quota=quotas[1])
    services = replace(application.services, rates=rates)
    edge = Edge(build(services), services.shops.origins, 64, 16_384, services.stopping, {})
    results = {"key": "demo-public-key", "labels": ["x" * 100], "products": ["y" * 2_000], "visitor": "one"}

    async def log(host: int, times: int) -> list[int]:
        transport = httpx.ASGITransport(edge, client=(f"203.0.113.{host}", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://service.test") as client:
            return [(await client.post("/v2/log/results", json=results)).status_code for _ in range(times)]

    assert await log(1, 7) == await log(2, 7) == [200] * 5 + [429] * 2
    assert await log(3, 2) == [429] * 2  # the key's, which the others have used
    shopper = Shopper(httpx.AsyncClient(transport=httpx.ASGITransport(edge, client=("203.0.113.1", 1)), base_url="http://service.test"))
    assert (await shopper.post("/v2/log/results", {name: value for name, value in results.items() if name != "key"})).status_code == 200
    refused = await shopper.browser("/v1/consents", {"consent": "refused"})
    assert refused.status_code == 429
    assert refused.headers["set-cookie"].startswith("__Host-visitor-choice=refused.")
    health = (await shopper.client.get("/v1/health/tracking", headers={"authorization": "Bearer demo-private-key"})).json()
    assert [reason for reason in health["reasons"] if reason.startswith("7 calls of the last hour were refused")]
    clock.forward(1_800)
    assert await log(1, 4) == [200] * 3 + [429]
    await shopper.client.aclose()


async def test_calls_above_the_limit_are_429_and_servers_are_exempt(environment: dict[str, str], clock: Clock) -> None:
    limits = {"IDENTITY_LIMITS__ENABLED": "true", "IDENTITY_LIMITS__CLIENT_PER_SECOND": "2"}
    application = Application(load("development", environment | limits), clock)
    limit = RateLimit(2, 2, clock, private_memory().slots(0))
    services = replace(application.services, rates=replace(application.services.rates, client=limit))
    edge = Edge(build(services), services.shops.origins, 64, 16_384, services.stopping, {})
    transport = httpx.ASGITransport(edge, client=("203.0.113.7", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://service.test") as client:
        shopper = Shopper(client)
        statuses = [(await shopper.browser("/v1/visitors")).status_code for _ in range(6)]
        assert statuses == [200, 200, 200, 200, 429, 429]
        refused = await shopper.browser("/v1/visitors")
        assert (refused.json()["code"], refused.headers["retry-after"]) == ("rate_limited", "1")
        assert {(await shopper.post("/v1/visitors")).status_code for _ in range(20)} == {200}
        for forwarded in ("1.2.3.4", "5.6.7.8", "junk"):
            assert (await shopper.browser("/v1/visitors", **{"x-forwarded-for": forwarded})).status_code == 429
        clock.forward(1)
        assert (await shopper.browser("/v1/visitors")).status_code == 200
    await services.store.client.close()


async def test_the_line_of_a_call_has_the_trace_of_its_caller(shopper: Shopper, capsys: pytest.CaptureFixture[str]) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    answer = await shopper.client.get("/healthz", headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"})
    [line] = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert (line["trace_id"], line["request_id"]) == (trace, answer.headers["x-request-id"])
