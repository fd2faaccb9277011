"""What is written: one JSON line an event whatever is sent, and no secret and nobody's data, whatever fails."""

import json
import os
import random
import secrets
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from tests.commands import run
from tests.security.wire import tell
from tests.stores import valkey
from tests.test_command import Service, eventually, free_port

NEEDLE = "zqneedle"
BREAKS = ["\n", "\r", "\r\n", "\x1b[2J", "\x1b]0;", "\u2028", "\u2029", "\u0085", "\x00", "\x0b", "\x0c", "\x7f", "\u202e", "\ufeff", "\\n"]
BREAKS += ["%0a", "%0d%0a", "%00", "%s%n", "{0.__class__}", "${jndi:ldap://x}", '"}', '{"event":"fault"}', "%E2%80%A8", "\ud83d\ude00", "é"]
EVENTS = {"request", "Invalid HTTP request received."}


def payload(chance: random.Random) -> str:
    forged = '{"event": "fault", "level": "error"}'
    return "".join(chance.choice([*BREAKS, NEEDLE, forged]) for _ in range(chance.randint(1, 8))) + NEEDLE


def request(chance: random.Random, number: int) -> bytes:
    """With the payload where a log might repeat it: path, query, a header, the body, or the method."""
    raw = payload(chance).encode("utf-8", "surrogatepass")
    quoted = urllib.parse.quote(raw).encode()
    path, head, body = b"/v1/visitors", b"", b"{}"
    place = number % 6
    if place == 0:
        path = chance.choice([b"/v1/" + quoted, b"/" + quoted, b"/v2/log/" + quoted, raw, b"/v1/orders/" + quoted])
    elif place == 1:
        path += b"?" + chance.choice([b"key=" + quoted, quoted + b"=1", raw])
    elif place == 2:
        name = chance.choice([b"user-agent", b"x-forwarded-for", b"cookie", b"origin", b"referer", b"x-request-id", b"forwarded"])
        head = name + b": " + chance.choice([raw, quoted]) + b"\r\n"
    elif place == 3:
        body = json.dumps({chance.choice(["visitor", "token", "consent", "key", "email"]): raw.decode("utf-8", "replace")}).encode()
    elif place == 4:
        body = raw
    method = raw if place == 5 else b"POST"
    key = b"authorization: Bearer " + (quoted if chance.random() < 0.2 else b"demo-private-key") + b"\r\n"
    common = b"host: service.test\r\nconnection: close\r\ncontent-length: %d\r\n" % len(body)
    return b"%b %b HTTP/1.1\r\n%b%b%b\r\n%b" % (method, path, common, key, head, body)


def lines(log: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.read_text().split("\n") if line]


def test_a_thousand_payloads_make_as_many_lines_as_there_were_requests(service: Service) -> None:
    service.call("/readyz")
    assert eventually(lambda: any(line.get("route") == "/readyz" for line in lines(service.log)))  # and those before it
    chance, before, answered = random.Random(11), len(lines(service.log)), 0
    for number in range(1_000):
        heard = tell(service.url, request(chance, number), wait=5)
        assert heard.closed
        assert len(heard.statuses) == 1
        assert 400 <= heard.statuses[0] < 500 or heard.statuses == [200], heard
        answered += "x-request-id" in heard.text
    service.call("/healthz")
    assert eventually(lambda: lines(service.log)[-1].get("route") == "/healthz")
    written = lines(service.log)[before:]
    assert {line["event"] for line in written} <= EVENTS
    assert len([line for line in written if line["event"] == "request"]) == answered + 1
    assert answered == 1_000
    assert NEEDLE not in service.log.read_text()


CANARIES = {
    "wrong key": "canary-key-5f1c77aa",
    "email": "canary5f1c@person.example",
    "address": "198.51.100.213",
    "agent": "canary-agent-77aa5f1c",
    "customer": "canary-customer-41",
    "sale": "canary-sale-41",
    "cookie": "canarycookie41",
    "text": "canary-text-41",
}


@contextmanager
def guarded(tmp_path: Path, secret: dict[str, str], port: int) -> Iterator[Service]:
    environment = os.environ | {
        "IDENTITY_STORE__URL": f"redis://:{secret['password']}@127.0.0.1:{port}",
        "IDENTITY_STORE__TIMEOUT_SECONDS": "0.3",
        "IDENTITY_SECRETS__SIGNING_KEYS": secret["signing"],
        "IDENTITY_SECRETS__PEPPER": secret["pepper"],
        "IDENTITY_SERVER__LOG_LEVEL": "debug",
    }
    command = [sys.executable, "-m", "identity_service", "serve", "--port", str(free_port())]
    with (tmp_path / "log").open("a") as stderr:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment)
    try:
        yield Service(process, tmp_path / "log")
    finally:
        process.terminate()
        process.wait(20)
        assert process.stdout is not None
        process.stdout.close()


def live_through_everything(service: Service) -> list[int]:
    """Every kind of answer with everything personal in it; returns the statuses."""
    c = CANARIES
    client = {"ip": c["address"], "user_agent": c["agent"]}
    granted = service.call("/v1/visitors", {"client": client, "consent": "granted", "visitor": "canary-visitor-41"})
    bodies = [
        ("/v1/visitors", {"client": {"ip": c["text"]}}),
        ("/v1/links", {"email": c["email"], "visitor": "canary-visitor-41"}),
        ("/v1/links", {"email": c["email"] + "@", "visitor": "canary-visitor-41"}),
        ("/v1/lookups", {"email": c["email"]}),
        ("/v1/lookups", {"email": c["text"]}),
        ("/v2/log/sale", {"sale": c["sale"], "products": [c["text"]], "email": c["email"], "customer": c["customer"]}),
        ("/v2/log/sale", {"sale": c["sale"], "products": c["text"]}),
        (f"/v1/{c['text']}?email={c['email']}", {}),
        ("/v1/erasures", {"email": c["email"]}),
        ("/v1/verifications", {"token": c["text"]}),
    ]
    statuses = [granted[0], service.call("/v1/visitors", {}, key=c["wrong key"])[0], service.call("/v1/lookups", {}, "demo-public-key")[0]]
    statuses += [service.call(path, body)[0] for path, body in bodies]
    text = c["text"].encode()
    raw = [
        b"GET /" + text + b" HTTP/1.1\r\nhost: x\r\nauthorization: Basic " + text + b"\r\n\r\n",
        b"GET /\0" + text + b" HTTP/1.1\r\n\r\n",
        text + b"\r\n\r\n",
        b"POST /v1/visitors HTTP/1.1\r\nhost: x\r\ncookie: __Host-visitor="
        + c["cookie"].encode()
        + b"\r\ncontent-length: 9\r\n\r\n{"
        + text,
        b"POST /v1/visitors HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999\r\n\r\n{" + text,
        b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: " + text + b"\r\n\r\n",
        b"GET /" + text * 600 + b" HTTP/1.1\r\n\r\n",
        b"POST /v1/visitors HTTP/1.1\r\nhost: x\r\ntransfer-encoding: " + text + b"\r\n\r\n",
    ]
    return statuses + [status for sent in raw for status in tell(service.url, sent, wait=0.1).statuses]


def test_no_secret_and_nobodys_data_is_written_whatever_fails(tmp_path: Path) -> None:
    secret = {name: secrets.token_urlsafe(32) for name in ("signing", "pepper", "password")}
    port = free_port()
    with valkey("--port", str(port)) as url:
        store = redis.Redis.from_url(url)
        store.config_set("requirepass", secret["password"])
        with guarded(tmp_path, secret, port) as service:
            well = live_through_everything(service)
            store.execute_command("AUTH", secret["password"])  # type: ignore[no-untyped-call]
            store.execute_command("CLIENT", "PAUSE", "1500", "ALL")  # type: ignore[no-untyped-call]
            ill = live_through_everything(service)
            assert eventually(lambda: service.call("/readyz")[0] == 200)
            store.config_set("requirepass", "another")
            store.execute_command("CLIENT", "KILL", "TYPE", "normal")  # type: ignore[no-untyped-call]
            locked_out = live_through_everything(service)
            answers = "".join(str(service.call(path)) for path in ("/readyz", "/v1/nothing"))
        told = answers + (tmp_path / "log").read_text()
        former = {"IDENTITY_STORE__URL": f"redis://:{secret['password']}@127.0.0.1:{port}"}
        refused = run("check", "--store", environment=os.environ | former)
    assert {200, 400, 401, 403, 404, 413, 414, 422} <= set(well)
    assert 503 in ill
    assert 503 in locked_out
    assert 500 not in {*well, *ill, *locked_out}
    told += refused.stdout + refused.stderr
    needles = [*secret.values(), *CANARIES.values(), "demo-private-key", "demo-public-key", "canary-visitor-41"]
    assert [needle for needle in needles if needle in told] == []
    place = f"redis://127.0.0.1:{port}"  # is for operators alone
    assert place in refused.stderr
    assert place not in answers
    assert all(isinstance(line, dict) for line in lines(tmp_path / "log"))


@pytest.mark.parametrize("value", ["short-canary-41", "canary-41 " * 9])
def test_a_check_of_the_settings_repeats_no_secret(value: str) -> None:
    variables = ("IDENTITY_SECRETS__PEPPER", "IDENTITY_SECRETS__SIGNING_KEYS", "IDENTITY_SHOPS__DEMO__PRIVATE_KEYS")
    told = run("check", environment=os.environ | dict.fromkeys(variables, value) | {"IDENTITY_SERVER__PRODUCTION": "true"})
    assert told.returncode == 2
    assert "canary-41" not in told.stdout + told.stderr
