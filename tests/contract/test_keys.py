"""Keys and origins: where a key may stand, what each kind may do, and for whom a page speaks."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2 as httpx
import pytest
import redis

from identity_service.app import Application
from identity_service.settings.load import load
from tests.conftest import Clock, Shopper

pytestmark = pytest.mark.anyio
PAGE = "http://localhost:8080"
EVIL = "http://evil.example"
AGENT = "Mozilla/5.0 (X11) Gecko/20100101 Firefox/140.0"
PRIVATE_CALLS: list[tuple[str, dict[str, Any]]] = [
    ("/v1/unlinks", {"email": "a@example.com", "visitor": "own-id"}),
    ("/v1/lookups", {"email": "a@example.com"}),
    ("/v1/lookups", {"emails": ["a@example.com"]}),
    ("/v1/exports", {"visitor": "own-id"}),
    ("/v1/erasures", {"visitor": "own-id"}),
    ("/v1/receipts", {"visitor": "own-id"}),
    ("/v1/decisions", {}),
]
EITHER_CALLS = ["/v1/visitors", "/v1/consents", "/v1/verifications", "/v1/links"]


def refused(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == answer.status_code
    return answer.status_code, answer.json()["code"]


def kind(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    text: str = answer.json()["token"]
    return text[:2]


@pytest.mark.parametrize("key", ["demo-public-key", "demo-private-key"])
async def test_a_key_may_stand_in_the_header_or_the_body(shopper: Shopper, key: str) -> None:
    for headers, body in (({"authorization": f"Bearer {key}"}, {}), ({}, {"key": key}), ({"authorization": f"bearer  {key}"}, {})):
        assert (await shopper.client.post("/v1/visitors", json=body, headers=headers)).status_code == 200


async def test_a_public_key_may_stand_in_the_url_and_the_body_outranks_it(shopper: Shopper) -> None:
    assert (await shopper.client.post("/v1/visitors?key=demo-public-key", json={})).status_code == 200
    assert (await shopper.client.post("/v1/visitors?key=wrong", json={"key": "demo-public-key"})).status_code == 200
    assert refused(await shopper.client.post("/v1/visitors?key=demo-public-key", json={"key": "wrong"})) == (401, "unauthorized")


async def test_with_a_header_every_other_key_is_ignored(shopper: Shopper) -> None:
    answer = await shopper.client.post(
        "/v1/lookups?key=wrong",
        json={"key": "other-private-key", "visitor": "own-id"},
        headers={"authorization": "Bearer demo-private-key"},
    )
    assert answer.status_code == 200
    wrong = await shopper.client.post("/v1/visitors", json={"key": "demo-public-key"}, headers={"authorization": "Bearer wrong"})
    assert refused(wrong) == (401, "unauthorized")


@pytest.mark.parametrize("path", [path for path, _ in PRIVATE_CALLS] + EITHER_CALLS)
async def test_a_private_key_in_a_url_is_403_and_does_nothing(shopper: Shopper, database: redis.Redis, path: str) -> None:
    body = {"email": "a@example.com", "visitor": "own-id", "consent": "granted"}
    answer = await shopper.client.post(f"{path}?key=demo-private-key", json=body)
    assert refused(answer) == (403, "forbidden")
    assert "demo-private-key" not in answer.text
    assert database.dbsize() == 0


async def test_a_private_key_in_a_url_is_taken_where_plugins_send_it(shopper: Shopper) -> None:
    sale = {"sale": 1, "products": [5], "visitor": "one"}
    assert (await shopper.client.post("/v2/log/sale?key=demo-private-key", json=sale)).json() == {"status": "ok"}


@pytest.mark.parametrize(("path", "body"), PRIVATE_CALLS)
async def test_a_public_key_is_403_where_a_private_one_is_needed(shopper: Shopper, path: str, body: dict[str, Any]) -> None:
    assert refused(await shopper.post(path, body, key="demo-public-key")) == (403, "forbidden")
    assert refused(await shopper.browser(path, body)) == (403, "forbidden")


@pytest.mark.parametrize("path", [path for path, _ in PRIVATE_CALLS] + EITHER_CALLS)
async def test_a_missing_and_an_unknown_key_are_answered_alike(shopper: Shopper, database: redis.Redis, path: str) -> None:
    """Before the rest of the body is looked at."""
    answers = [
        await shopper.post(path, {"visitor": ["junk"]}, key=key) for key in (None, "unknown", "demo-private-ke", "demo-private-key2")
    ]
    answers += [await shopper.post(path, {"key": key}, key=None) for key in ("", "unknown", None, 7, ["demo-public-key"], {"a": 1})]
    assert {refused(answer) for answer in answers} == {(401, "unauthorized")}
    assert len({str(answer.json() | {"request_id": ""}) for answer in answers}) == 1
    assert len({tuple(sorted(set(answer.headers) - {"x-request-id"})) for answer in answers}) == 1
    assert database.dbsize() == 0


@pytest.mark.parametrize("authorization", ["", " ", "Bearer", "Bearer ", "bearer  "])
async def test_an_empty_authorization_is_none(shopper: Shopper, authorization: str) -> None:
    """As a plugin sends it whose field for the private key is empty."""
    sale = {"key": "demo-public-key", "sale": 1, "products": [1]}
    told = await shopper.client.post("/v2/log/sale", json=sale, headers={"authorization": authorization})
    assert told.json() == {"status": "ok"}
    nobody = await shopper.client.post("/v1/visitors", json={}, headers={"authorization": authorization})
    assert refused(nobody) == (401, "unauthorized")


@pytest.mark.parametrize("authorization", ["demo-public-key", "Bearer\tdemo-public-key"])
async def test_an_authorization_that_is_none_is_401(shopper: Shopper, authorization: str) -> None:
    answer = await shopper.client.post("/v1/visitors", json={"key": "demo-public-key"}, headers={"authorization": authorization})
    assert refused(answer) == (401, "unauthorized")


async def test_a_password_of_the_shops_own_host_hides_no_key(shopper: Shopper) -> None:
    """As the browser of a staging shop sends it to the shop's own paths."""
    basic = {"authorization": "Basic dXNlcjpwdw=="}
    body = {"key": "demo-public-key", "sale": 1, "products": [1]}
    assert (await shopper.client.post("/v2/log/sale", json=body, headers=basic)).json() == {"status": "ok"}
    assert (await shopper.client.get("/v2/log/click?key=demo-public-key&product=1", headers=basic)).json() == {"status": "ok"}
    assert (await shopper.client.post("/v1/visitors", json={"key": "demo-public-key"}, headers=basic)).status_code == 200
    assert (await shopper.client.post("/v1/visitors", json={}, headers=basic)).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": PAGE},
        {"origin": "http://127.0.0.1:8080"},
        {"origin": PAGE, "referer": "http://evil.example/"},
        {"origin": PAGE, "sec-fetch-site": "same-origin"},
        {"origin": PAGE, "sec-fetch-site": "cross-site"},
    ],
)
async def test_a_listed_page_speaks_for_its_device(shopper: Shopper, headers: dict[str, str]) -> None:
    sent = {"authorization": "Bearer demo-public-key", "user-agent": AGENT} | headers
    assert kind(await shopper.client.post("/v1/visitors", json={}, headers=sent)) == "1d"


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": EVIL},
        {"origin": ""},
        {"origin": "null"},
        {"origin": f"{PAGE}/"},
        {"origin": f"{PAGE}.evil.example"},
        {"origin": "http://localhost"},
        {"origin": "http://localhost:80800"},
        {"origin": "http://evil@localhost:8080"},
        {"origin": EVIL, "referer": f"{PAGE}/"},
        {"origin": EVIL, "sec-fetch-site": "cross-site"},
        {"referer": f"{EVIL}/{PAGE}"},
        {"referer": "http://localhost:8080@evil.example/"},
        {"referer": "http://[bad"},
        {"referer": "junk"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
    ],
)
@pytest.mark.parametrize("path", EITHER_CALLS)
async def test_any_other_page_is_403_and_stores_nothing(
    shopper: Shopper, database: redis.Redis, path: str, headers: dict[str, str]
) -> None:
    sent = {"authorization": "Bearer demo-public-key", "user-agent": AGENT} | headers
    answer = await shopper.client.post(path, json={"consent": "granted", "token": "junk", "email": "a@example.com"}, headers=sent)
    assert refused(answer) == (403, "forbidden")
    assert "access-control-allow-origin" not in answer.headers
    assert "set-cookie" not in answer.headers
    assert database.dbsize() == 0


async def test_an_origin_is_listed_for_one_shop_and_not_for_all(environment: dict[str, str], clock: Clock) -> None:
    named = environment | {"IDENTITY_SHOPS__OTHER__ORIGINS": "https://other.example"}
    application = Application(load("development", named), clock)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://service.test") as client:
        shopper = Shopper(client)
        assert (await shopper.browser("/v1/visitors", origin="https://other.example")).status_code == 403
        assert (await shopper.browser("/v1/visitors", key="other-public-key", origin="https://other.example")).status_code == 200
        assert (await shopper.browser("/v1/visitors", key="other-public-key", origin=PAGE)).status_code == 403
    await application.services.store.client.close()


async def test_a_private_key_is_a_server_whatever_headers_it_forwards(shopper: Shopper) -> None:
    answer = await shopper.post("/v1/visitors", origin=EVIL, referer=EVIL, sec_fetch_site="cross-site", sec_gpc="1", user_agent="curl/8")
    assert kind(answer) == "1c"
    assert answer.json()["decision"]["reason"] == "no_signal"


async def test_a_preflight_is_answered_without_a_key_for_listed_origins(shopper: Shopper) -> None:
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization, content-type"}
    for path in ("/v1/visitors", "/v1/consents", "/v2/log/sale", "/v3/misc/visitor_id"):
        answer = await shopper.client.options(path, headers=asked | {"origin": PAGE})
        assert answer.status_code == 204
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert "POST" in answer.headers["access-control-allow-methods"]
        assert "authorization" in answer.headers["access-control-allow-headers"]
        assert answer.headers["vary"] == "Cookie, Origin"
        for origin in (EVIL, "null", f"{PAGE}.evil.example"):
            foreign = await shopper.client.options(path, headers=asked | {"origin": origin})
            assert "access-control-allow-origin" not in foreign.headers


@pytest.mark.parametrize(
    ("path", "content", "key", "status"),
    [
        ("/v1/visitors", b"{}", "demo-public-key", 200),
        ("/v1/visitors", b"{", "demo-public-key", 400),
        ("/v1/visitors", b"{}", "unknown", 401),
        ("/v1/lookups", b"{}", "demo-public-key", 403),
        ("/v1/nothing", b"{}", "demo-public-key", 404),
        ("/v1/visitors", b"[]", "demo-public-key", 422),
        ("/v1/visitors", b" " * 40_000, "demo-public-key", 413),
        ("/v2/log/sale", b"{}", "demo-public-key", 400),
        ("/v2/log/sale", b"{}", "unknown", 401),
        ("/v2/nothing", b"{}", "demo-public-key", 404),
    ],
)
async def test_errors_carry_the_headers_that_let_a_page_read_them(
    shopper: Shopper, path: str, content: bytes, key: str, status: int
) -> None:
    answer = await shopper.client.post(path, content=content, headers={"authorization": f"Bearer {key}", "origin": PAGE})
    assert answer.status_code == status
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert answer.headers["cache-control"] == "private, no-store"
    assert answer.headers["vary"] == "Cookie, Origin"


async def test_another_method_is_405_with_the_same_headers(shopper: Shopper) -> None:
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        answer = await shopper.client.request(method, "/v1/visitors", headers={"origin": PAGE})
        assert refused(answer) == (405, "method_not_allowed")
        assert answer.headers["allow"] in {"GET, HEAD", "POST"}
        assert answer.headers["access-control-allow-origin"] == PAGE


@pytest.mark.parametrize("forwarded", ["198.51.100.1", "198.51.100.1, 203.0.113.7", "junk", ""])
async def test_a_forwarded_header_of_an_untrusted_peer_makes_the_address_unknown(shopper: Shopper, forwarded: str) -> None:
    answers = [await shopper.browser("/v1/visitors", **{"x-forwarded-for": forwarded}) for _ in range(2)]
    assert [kind(answer) for answer in answers] == ["1c", "1c"]
    assert answers[0].json()["visitor"] != answers[1].json()["visitor"]


@pytest.fixture
async def proxied(environment: dict[str, str], clock: Clock) -> AsyncIterator[Shopper]:
    """Behind proxies in 203.0.113.0/24, which is where the calls come from."""
    application = Application(load("development", environment | {"IDENTITY_SERVER__TRUSTED_PROXIES": "203.0.113.0/24"}), clock)
    transport = httpx.ASGITransport(application, client=("203.0.113.7", 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://service.test") as client:
        yield Shopper(client)
    await application.services.store.client.close()


async def test_a_server_that_hands_on_its_proxys_address_makes_no_two_visitors_one(proxied: Shopper) -> None:
    async def asked(ip: str) -> httpx.Response:
        return await proxied.post("/v1/visitors", {"client": {"ip": ip, "user_agent": "Mozilla/5.0"}})

    answers = [await asked("203.0.113.7") for _ in range(2)]
    assert [kind(answer) for answer in answers] == ["1c", "1c"]
    assert answers[0].json()["visitor"] != answers[1].json()["visitor"]
    assert kind(await asked("198.51.100.9")) == "1d"


async def test_behind_a_trusted_proxy_the_rightmost_untrusted_hop_is_the_visitor(proxied: Shopper) -> None:
    async def visitor(forwarded: str) -> str:
        answer = await proxied.browser("/v1/visitors", **{"x-forwarded-for": forwarded})
        assert kind(answer) == "1d"
        found: str = answer.json()["visitor"]
        return found

    plain = await visitor("198.51.100.1")
    assert plain == await visitor("10.9.8.7, 198.51.100.1") == await visitor("junk, 198.51.100.1 , 203.0.113.9")
    assert plain != await visitor("198.51.100.1, 198.51.100.2")


@pytest.mark.parametrize("forwarded", [None, "", "junk", "198.51.100.1, junk", "203.0.113.9", "198.51.100.1:443:5"])
async def test_behind_a_trusted_proxy_a_missing_hop_is_unknown_rather_than_the_proxy(proxied: Shopper, forwarded: str | None) -> None:
    headers = {} if forwarded is None else {"x-forwarded-for": forwarded}
    assert kind(await proxied.browser("/v1/visitors", **headers)) == "1c"


async def test_keys_are_never_repeated_in_answers_or_logs(shopper: Shopper, capsys: pytest.CaptureFixture[str]) -> None:
    texts = []
    for key in ("demo-private-key", "demo-public-key", "wrong-secret-key"):
        texts.append((await shopper.post("/v1/visitors", key=key)).text)
        texts.append((await shopper.client.post(f"/v1/visitors?key={key}", json={})).text)
        texts.append((await shopper.client.post("/v1/links", json={"key": key})).text)
    said = "".join(texts) + "".join(capsys.readouterr())
    assert not any(key in said for key in ("demo-private-key", "demo-public-key", "wrong-secret-key"))
