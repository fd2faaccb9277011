"""Bad input on every call: a stable code, nothing stored, nothing of it repeated in the answer or the log."""

import json
from typing import Any

import pytest
import redis

from identity_service.app import Application
from identity_service.store.keys import is_of_the_store
from tests.conftest import Shopper

pytestmark = pytest.mark.anyio
NEEDLE = "zq9needle"
HEADERS = {"authorization": "Bearer demo-private-key"}
HOST, KEY = (b"host", b"service.test"), (b"authorization", b"Bearer demo-private-key")
CALLS = [
    *("/v1/visitors", "/v1/verifications", "/v1/consents", "/v1/receipts", "/v1/decisions", "/v1/links", "/v1/unlinks", "/v1/lookups"),
    *("/v1/exports", "/v1/erasures", "/v2/log/sale", "/v2/log/click", "/v2/log/email"),
]
N = NEEDLE.encode()
UNREADABLE = {
    "cut": b'{"visitor": "' + N,
    "trailing": b'{"visitor": null} ' + N,
    "comment": b"{} // " + N,
    "single quotes": b"{'" + N + b"': 1}",
    "form": b"visitor=" + N,
    "two values": b'{"' + N + b'": 1}{}',
    "NaN": b'{"' + N + b'": NaN}',
    "Infinity": b'{"' + N + b'": -Infinity}',
    "bad escape": b'{"' + N + b'": "\\x41"}',
    "raw control character": b'{"' + N + b'": "\x01"}',
    "raw NUL": b'{"' + N + b'": "\x00"}',
    "not UTF-8": b'{"' + N + b'": "\xff"}',
    "overlong UTF-8": b'{"' + N + b'": "\xc0\xaf"}',
    "UTF-8 surrogate": b'{"' + N + b'": "\xed\xa0\x80"}',
    "UTF-16": ('{"' + NEEDLE + '": 1}').encode("utf-16"),
    "deep list in an unknown member": b'{"' + N + b'": ' + b"[" * 17 + b"]" * 17 + b"}",
    "deep object in an unknown member": b'{"' + N + b'": ' + b'{"a":' * 17 + b"1" + b"}" * 17 + b"}",
    "very deep": b"[" * 16_000,
    "unclosed deep": b'{"a":' * 6_000,
    "leading zero": b'{"' + N + b'": 01}',
    "nothing but space": b"   ",
}
CHECKED_AS_TEXT = {"form", "not UTF-8", "overlong UTF-8", "UTF-8 surrogate", "UTF-16", "very deep", "unclosed deep"} | {
    name for name in UNREADABLE if name.startswith("deep")
}
"""Refused before its members are looked at. All else may be told of a member that is unknown or missing before it is read to its end."""


def kept(database: redis.Redis) -> list[str]:
    """What a call left, beside keys that describe the store itself."""
    return [key for key in map(str, database.scan_iter()) if not is_of_the_store(key)]


@pytest.mark.parametrize("path", CALLS)
@pytest.mark.parametrize("name", UNREADABLE)
async def test_what_cannot_be_read_is_400_on_every_call(
    shopper: Shopper, database: redis.Redis, capsys: pytest.CaptureFixture[str], path: str, name: str
) -> None:
    answer = await shopper.client.post(path, content=UNREADABLE[name], headers=HEADERS)
    if path.startswith("/v1"):
        stable = {(400, "malformed")} if name in CHECKED_AS_TEXT else {(400, "malformed"), (422, "invalid")}
        assert (answer.status_code, answer.json()["code"]) in stable
    else:
        assert (answer.status_code, answer.json()["status"]) == (400, "error")
    assert NEEDLE not in answer.text + "".join(capsys.readouterr())
    assert kept(database) == []


@pytest.mark.parametrize("path", CALLS)
@pytest.mark.parametrize("body", [[], 7, "x", None, True, [{}]])
async def test_a_body_that_is_no_object_is_refused_on_every_call(shopper: Shopper, database: redis.Redis, path: str, body: object) -> None:
    answer = await shopper.client.post(path, content=json.dumps(body), headers=HEADERS)
    assert answer.status_code == (422 if path.startswith("/v1") else 400)
    assert kept(database) == []


async def test_an_array_nested_as_deep_as_allowed_in_a_banners_member_is_ignored(shopper: Shopper) -> None:
    body = b'{"consent": {"unknown": ' + b"[" * 14 + b"]" * 14 + b"}}"
    assert (await shopper.client.post("/v1/visitors", content=body, headers=HEADERS)).status_code == 200
    deeper = await shopper.client.post("/v1/visitors", content=body.replace(b"[]", b"[[]]"), headers=HEADERS)
    assert (deeper.status_code, deeper.json()["code"]) == (400, "malformed")


async def test_brackets_inside_a_text_are_no_nesting(shopper: Shopper) -> None:
    body = {"consent": {"unknown": '[{"' * 200 + "\\" * 7}, "visitor": None}
    assert (await shopper.post("/v1/visitors", body)).json()["decision"]["reason"] == "visitor_disabled"


async def test_a_byte_order_mark_before_a_body_is_left_out(shopper: Shopper) -> None:
    answer = await shopper.client.post("/v1/visitors", content=b'\xef\xbb\xbf{"visitor": null}', headers=HEADERS)
    assert answer.json()["decision"]["reason"] == "visitor_disabled"


@pytest.mark.parametrize(
    "client",
    [
        {"ip": NEEDLE},
        {"ip": "198.51.100.1, 198.51.100.2"},
        {"ip": 7},
        {"user_agent": NEEDLE * 600},
        {"region": NEEDLE},
        {"gpc": [NEEDLE]},
        {"dnt": {NEEDLE: 1}},
    ],
    ids=str,
)
async def test_what_a_server_hands_on_of_its_visitor_and_nobody_can_read_is_unknown(
    shopper: Shopper, database: redis.Redis, capsys: pytest.CaptureFixture[str], client: dict[str, Any]
) -> None:
    answer = await shopper.post("/v1/visitors", {"client": client})
    assert (answer.status_code, answer.json()["decision"]["region"], answer.json()["sale_share_opt_out"]) == (200, None, False)
    assert NEEDLE not in answer.text + "".join(capsys.readouterr())
    assert kept(database) == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"visitor": null, "visitor": "auto"}', "no_signal"),
        (b'{"visitor": "auto", "visitor": null}', "visitor_disabled"),
        (b'{"consent": "granted", "consent": "refused"}', "consent_refused"),
        (b'{"consent": "refused", "consent": "granted"}', "consent_granted"),
        (b'{"consent": {"purposes": {"storage": "granted", "storage": "refused"}}}', "consent_refused"),
        (b'{"v\\u0069sitor": null}', "visitor_disabled"),
    ],
)
async def test_of_two_members_of_one_name_the_last_counts(shopper: Shopper, content: bytes, reason: str) -> None:
    answer = await shopper.client.post("/v1/visitors", content=content, headers=HEADERS)
    assert answer.json()["decision"]["reason"] == reason


async def test_of_two_keys_the_last_counts(shopper: Shopper) -> None:
    good = b'{"key": "wrong", "key": "demo-public-key"}'
    bad = b'{"key": "demo-public-key", "key": "wrong"}'
    assert (await shopper.client.post("/v1/visitors", content=good)).status_code == 200
    assert (await shopper.client.post("/v1/visitors", content=bad)).status_code == 401


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("/v1/visitors", {"visitor": 7}),
    ("/v1/visitors", {"visitor": True}),
    ("/v1/visitors", {"visitor": [NEEDLE]}),
    ("/v1/visitors", {"visitor": ""}),
    ("/v1/visitors", {"visitor": f"{NEEDLE} {NEEDLE}"}),
    ("/v1/visitors", {"visitor": f"{NEEDLE}\x00"}),
    ("/v1/visitors", {"visitor": f"{NEEDLE}\r\nset-cookie: a=b"}),
    ("/v1/visitors", {"visitor": f"{NEEDLE}\n"}),
    ("/v1/visitors", {"visitor": f"{NEEDLE}\u0430"}),
    ("/v1/visitors", {"visitor": "Auto"}),
    ("/v1/visitors", {"visitor": NEEDLE * 9}),
    ("/v1/visitors", {"token": 7}),
    ("/v1/visitors", {"token": {"a": NEEDLE}}),
    ("/v1/visitors", {"consent": NEEDLE}),
    ("/v1/visitors", {"consent": "Granted"}),
    ("/v1/visitors", {"consent": True}),
    ("/v1/visitors", {"consent": ["granted"]}),
    ("/v1/visitors", {"consent": {"purposes": {"storage": NEEDLE}}}),
    ("/v1/visitors", {"consent": {"purposes": {"storage": True}}}),
    ("/v1/visitors", {"consent": {"purposes": [NEEDLE]}}),
    ("/v1/visitors", {"consent": {"google": NEEDLE}}),
    ("/v1/visitors", {"consent": {"decided_at": NEEDLE}}),
    ("/v1/visitors", {"consent": {"decided_at": 1_795_000_000}}),
    ("/v1/visitors", {"consent": {"decided_at": "2026-11-18T10:00:00"}}),
    ("/v1/visitors", {"consent": {"decided_at": "2026-13-18T10:00:00Z"}}),
    ("/v1/visitors", {"consent": {"policy_version": NEEDLE * 9}}),
    ("/v1/visitors", {"client": NEEDLE}),
    ("/v1/consents", {"consent": NEEDLE}),
    ("/v1/verifications", {}),
    ("/v1/verifications", {"token": None}),
    ("/v1/verifications", {"token": 7}),
    ("/v1/receipts", {"receipt_id": 7}),
    ("/v1/receipts", {"receipt_id": NEEDLE * 9}),
    ("/v1/decisions", {"policy": NEEDLE}),
    ("/v1/links", {"email": NEEDLE, "visitor": "own-id"}),
    ("/v1/links", {"email": f"{NEEDLE}@example.com\r\nBcc: b@example.com", "visitor": "own-id"}),
    ("/v1/links", {"email": f"{NEEDLE}@example.com\x00", "visitor": "own-id"}),
    ("/v1/links", {"email": NEEDLE * 1_250 + "@example.com", "visitor": "own-id"}),
    ("/v1/links", {"email": f"{NEEDLE}@" + "\u0301" * 300 + ".example", "visitor": "own-id"}),
    ("/v1/links", {"email": f"{NEEDLE}@exa\u2024mple..com", "visitor": "own-id"}),
    ("/v1/links", {"email": f"{NEEDLE}@xn--\u0430.example", "visitor": "own-id"}),
    ("/v1/links", {"email": f"{NEEDLE}@exam\u2028ple.com", "visitor": "own-id"}),
    ("/v1/links", {"email": f"\u2029{NEEDLE} x@example.com", "visitor": "own-id"}),
    ("/v1/links", {"email": [NEEDLE], "visitor": "own-id"}),
    ("/v1/links", {"customer": f"{NEEDLE}\x00", "visitor": "own-id"}),
    ("/v1/links", {"customer": f"{NEEDLE}\r\nx: y", "visitor": "own-id"}),
    ("/v1/links", {"email": "a@example.com", "visitor": f"{NEEDLE} "}),
    ("/v1/links", {"email": "a@example.com", "token": NEEDLE}),
    ("/v1/lookups", {"email_sha256": NEEDLE}),
    ("/v1/lookups", {"emails": NEEDLE}),
    ("/v1/lookups", {"emails": [7]}),
    ("/v1/lookups", {"emails": ["a@example.com"] * 5_001}),
    ("/v1/exports", {"email": NEEDLE}),
    ("/v1/erasures", {"visitor": f"{NEEDLE}\n"}),
    ("/v2/log/sale", {"sale": NEEDLE * 40, "products": [1]}),
    ("/v2/log/click", {"product": [NEEDLE]}),
]


@pytest.mark.parametrize(("path", "body"), WRONG, ids=lambda value: str(value)[:60] if isinstance(value, str) else None)
async def test_a_wrong_value_is_refused_unstored_and_unrepeated(
    shopper: Shopper, database: redis.Redis, capsys: pytest.CaptureFixture[str], path: str, body: dict[str, Any]
) -> None:
    answer = await shopper.post(path, body)
    if path.startswith("/v1"):
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    else:
        assert (answer.status_code, answer.json()["type"]) == (400, "ParsingError")
    assert NEEDLE not in answer.text + "".join(capsys.readouterr())
    assert "set-cookie" not in answer.headers
    assert kept(database) == []


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/v1/visitors", '{"visitor": "\\ud800"}'),
        ("/v1/links", '{"email": "\\ud83d@example.com", "visitor": "a"}'),
        ("/v2/log/sale", '{"sale": "\\ud800", "products": [1]}'),
        ("/v1/visitors", '{"consent": {"unknown": "\\udfff"}, "visitor": "a"}'),
    ],
)
async def test_a_lone_surrogate_is_never_a_fault(shopper: Shopper, path: str, content: str) -> None:
    answer = await shopper.client.post(path, content=content, headers=HEADERS)
    expected = 200 if path.startswith("/v2") or "unknown" in content else 400 if path == "/v1/links" else 422
    assert answer.status_code == expected


@pytest.mark.parametrize("number", ["9" * 400, "9" * 5_000, "1e400", "-1e400", "1e-400", "1e99999999999999999999", "-0", "0.1e1"])
@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/v1/visitors", '{"unknown": %s}'),
        ("/v1/visitors", '{"visitor": %s}'),
        ("/v1/visitors", '{"consent": {"google": {"analytics_storage": %s}}}'),
        ("/v1/lookups", '{"emails": [%s]}'),
        ("/v2/log/sale", '{"sale": %s, "products": [1]}'),
        ("/v2/log/sale", '{"sale": 1, "products": [%s]}'),
        ("/v2/log/sale", '{"sale": 1, "products": [{"id": 1, "price": %s}]}'),
        ("/v2/log/sale", '{"sale": 1, "products": [{"id": 1, "quantity": %s}]}'),
        ("/v2/log/sale", '{"sale": 1, "products": [1], "customer": %s}'),
        ("/v2/log/sale", '{"sale": 1, "products": [1], "visitor": %s}'),
        ("/v2/log/click", '{"product": %s, "visitor": "own-id"}'),
    ],
)
async def test_an_extreme_number_is_never_a_fault(shopper: Shopper, path: str, form: str, number: str) -> None:
    answer = await shopper.client.post(path, content=form % number, headers=HEADERS)
    assert answer.status_code in {200, 400, 422}
    shown = await shopper.post("/v1/exports", {"visitor": "own-id"})
    assert shown.status_code == 200


@pytest.mark.parametrize("path", CALLS)
async def test_more_than_the_limit_is_413_on_every_call(shopper: Shopper, database: redis.Redis, path: str) -> None:
    size = {"/v1/lookups": 1_048_577, "/v2/log/sale": 131_073, "/v2/log/results": 131_073}.get(path, 32_769)
    answer = await shopper.client.post(path, content=b'{"unknown": "' + b"x" * (size - 15) + b'"}', headers=HEADERS)
    assert answer.status_code == 413
    assert kept(database) == []


async def test_a_body_of_exactly_the_limit_is_read(shopper: Shopper) -> None:
    content = b'{"consent":{"a":"' + b"x" * (32_768 - 20) + b'"}}'
    assert len(content) == 32_768
    assert (await shopper.client.post("/v1/visitors", content=content, headers=HEADERS)).status_code == 200


async def raw(
    application: Application, headers: list[tuple[bytes, bytes]], *chunks: bytes, **scope: Any
) -> tuple[int, dict[str, Any], int]:
    """Status, body and number of chunks read, of a request that no client library would send."""
    asked = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": "/v1/visitors",
        "raw_path": b"/v1/visitors",
        "query_string": b"",
        "root_path": "",
        "client": ("203.0.113.7", 1),
        "headers": headers,
    } | scope
    parts, sent = list(chunks) or [b"{}"], []
    size = len(parts)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)} if parts else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await application(asked, receive, send)
    return sent[0]["status"], json.loads(sent[1]["body"]), size - len(parts)


@pytest.mark.parametrize("announced", [None, b"2", b"0"])
async def test_a_lying_or_absent_length_does_not_get_more_in(
    application: Application, database: redis.Redis, announced: bytes | None
) -> None:
    headers = [HOST, KEY] + ([(b"content-length", announced)] if announced else [])
    status, body, read = await raw(application, headers, *([b" " * 10_000] * 100))
    assert (status, body["code"]) == (413, "too_large")
    assert read == 4
    assert kept(database) == []


@pytest.mark.parametrize("announced", [b"99999999999999999999999", b"32769", b"-1", b"+2", b"2_0", b"0x2", b"junk", b"", b"\xb2", b"1\xb3"])
async def test_an_announced_length_that_is_too_large_or_none_is_refused_before_reading(application: Application, announced: bytes) -> None:
    status, _, read = await raw(application, [HOST, KEY, (b"content-length", announced)], b"{}")
    assert status in {400, 413}
    assert read == 0


async def test_an_announced_larger_body_that_ends_early_stores_nothing(application: Application, database: redis.Redis) -> None:
    status, body, _ = await raw(application, [HOST, KEY, (b"content-length", b"20")], b'{"consent": "granted"')
    assert (status, body["code"]) == (400, "malformed")
    assert kept(database) == []


@pytest.mark.parametrize("path", ["/v1/visitors", "/v2/log/sale", "/healthz", "/nothing"])
async def test_20000_headers_are_431_everywhere(application: Application, capsys: pytest.CaptureFixture[str], path: str) -> None:
    headers = [HOST, KEY, *((f"x-{NEEDLE}-{number}".encode(), N) for number in range(20_000))]
    status, body, read = await raw(application, headers, path=path, raw_path=path.encode())
    assert (status, read) == (431, 0)
    assert NEEDLE not in str(body) + "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([HOST, *((b"x-%d" % number, b"1") for number in range(62)), KEY], 200),
        ([HOST, *((b"x-%d" % number, b"1") for number in range(63)), KEY], 431),
        ([HOST, KEY, (b"x", b"1" * 16_000)], 200),
        ([HOST, KEY, (b"x", b"1" * 16_384)], 431),
        ([HOST, KEY, (b"cookie", b"a=b; " * 3_300)], 431),
    ],
    ids=range(5),
)
async def test_headers_count_up_to_their_limits(application: Application, headers: list[tuple[bytes, bytes]], status: int) -> None:
    assert (await raw(application, headers))[0] == status


@pytest.mark.parametrize("path", ["/v1/visitors", "/v2/log/click", "/healthz", "/nothing"])
@pytest.mark.parametrize(
    "hosts", [[], [HOST, HOST], [HOST, (b"host", b"evil.example")], [(b"host", b"")]], ids=["none", "two", "two different", "empty"]
)
async def test_a_request_has_one_host(application: Application, path: str, hosts: list[tuple[bytes, bytes]]) -> None:
    status, _, read = await raw(application, [*hosts, KEY], path=path, raw_path=path.encode())
    assert (status, read) == (400, 0)


@pytest.mark.parametrize(
    "headers",
    [
        [(b"cookie", b"__Host-visitor=\xff\xfe; visitor-choice=\x00; =; ;;; a")],
        [(b"cookie", b"__Host-visitor=" + b"1p." * 2_000)],
        [(b"cookie", b"__Host-visitor=a"), (b"cookie", b"__Host-visitor=b")] * 9,
        [(b"user-agent", b"\xff" * 4_000)],
        [(b"x-forwarded-for", b"," * 9_000)],
        [(b"x-forwarded-for", b"\xff, 1.2.3.4")],
        [(b"accept", b"\r\n\r\n" + N)],
        [(b"\xff\xfe", b"\xff")],
    ],
    ids=range(8),
)
async def test_hostile_headers_are_no_fault_and_never_logged(
    application: Application, capsys: pytest.CaptureFixture[str], headers: list[tuple[bytes, bytes]]
) -> None:
    public = (b"authorization", b"Bearer demo-public-key")
    status, _, _ = await raw(application, [HOST, public, (b"origin", b"http://localhost:8080"), *headers])
    assert status == 200
    assert NEEDLE not in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    "query", [b"key=\xff", b"key=%ff%fe", b"key=%00", b"&" * 5_000, b"key", b"key=demo-public-key&key=x", b"%", b"=&=" * 900]
)
async def test_a_hostile_query_is_no_fault(application: Application, query: bytes) -> None:
    status, body, _ = await raw(application, [HOST], query_string=query)
    assert (status, body["code"]) == (401, "unauthorized")


@pytest.mark.parametrize(
    "path",
    [
        f"/{NEEDLE}",
        f"/v1/{NEEDLE}",
        f"/v1/visitors/{NEEDLE}",
        f"/v2/{NEEDLE}",
        f"/%00{NEEDLE}",
        f"/\u0430{NEEDLE}",
        f"http://service.test//{NEEDLE}",
    ],
)
async def test_an_unknown_path_is_404_and_never_logged(shopper: Shopper, capsys: pytest.CaptureFixture[str], path: str) -> None:
    answer = await shopper.post(path, {})
    assert answer.status_code == 404
    assert NEEDLE not in answer.text + "".join(capsys.readouterr())
    assert NEEDLE not in (await shopper.client.get("/metrics")).text


@pytest.mark.parametrize("path", ["/v1/visitors/", "/healthz/", "/v2/log/click/"])
async def test_a_path_with_a_slash_at_its_end_is_another_path_and_redirects_nowhere(application: Application, path: str) -> None:
    status, body, _ = await raw(application, [(b"host", b"evil.example"), KEY], path=path, raw_path=path.encode())
    assert status == 404
    assert "evil.example" not in str(body)


async def test_an_unknown_method_is_405_and_never_logged(application: Application, capsys: pytest.CaptureFixture[str]) -> None:
    status, body, _ = await raw(application, [HOST, KEY], method=NEEDLE.upper())
    assert (status, body["code"]) == (405, "method_not_allowed")
    assert NEEDLE.upper() not in "".join(capsys.readouterr())


async def test_what_was_sent_in_order_is_not_logged_either(shopper: Shopper, capsys: pytest.CaptureFixture[str]) -> None:
    email = f"{NEEDLE}@example.com"
    client = {"ip": "198.51.100.99", "user_agent": f"Mozilla/5.0 {NEEDLE}"}
    issued = (await shopper.post("/v1/visitors", {"client": client, "consent": "granted"})).json()
    await shopper.post("/v1/links", {"email": email, "token": issued["token"]})
    await shopper.post(
        "/v2/log/sale", {"sale": NEEDLE, "products": [NEEDLE], "visitor": issued["visitor"], "email": email, "customer": NEEDLE}
    )
    await shopper.post("/v1/lookups", {"email": email})
    await shopper.post("/v1/erasures", {"email": email})
    said = "".join(capsys.readouterr()) + (await shopper.client.get("/metrics")).text
    assert not any(text in said for text in (NEEDLE, "198.51.100.99", issued["visitor"], issued["token"]))
