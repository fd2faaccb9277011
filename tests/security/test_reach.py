"""What a call can reach: keys of safe letters in the store, no other server, nothing by a method that only asks."""

import re
import sys
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import redis

from identity_service.app import Application
from identity_service.web.routes import CALLS, TRACKING
from tests.conftest import Shopper
from tests.security.asgi import AGENT, PAGE, bearer, call
from tests.test_privacy import dump

pytestmark = pytest.mark.anyio
PRIVATE = bearer("demo-private-key")
SAFE_KEY = re.compile(r"id:v2:\{[a-z-]+\}:[A-Za-z]+(:[A-Za-z0-9_-]{1,64})?(:[a-z]+)?")
OUTSIDE = {
    "socket.connect",
    "socket.sendto",
    "socket.sendmsg",
    "socket.getaddrinfo",
    "socket.gethostbyname",
    "subprocess.Popen",
    "os.system",
}
URLS = [
    *(
        "http://169.254.169.254/latest/meta-data/",
        "//evil.example",
        "\\\\evil.example\\share",
        "https://user@evil.example/",
        "file:///etc/passwd",
    ),
    *(
        "ldap://evil.example/a",
        "gopher://127.0.0.1:6379/_FLUSHALL",
        "http://[::1]:22/",
        "http://127.0.0.1:1/",
        "a@evil.example",
        "evil.example",
    ),
]
HOSTILE = [
    "a}b",
    "{demo:x}",
    "}{",
    "a:b",
    "a\r\nFLUSHALL\r\n",
    "*1\r\n$8\r\nFLUSHALL\r\n",
    "a\x00b",
    "id:v2:{demo}:E:x",
    "../..",
    "*",
    "a b",
    "ä",
    "%7d",
]

watched: list[tuple[str, Any]] | None = None


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    connected = event == "socket.sendmsg" and arguments[1] is None  # from Python 3.12 on asyncio writes like that
    if watched is not None and event in OUTSIDE and not connected:
        watched.append((event, arguments[1] if event == "socket.connect" else arguments))


sys.addaudithook(_watch)


@pytest.fixture
def reached() -> Iterator[list[tuple[str, Any]]]:
    """What this process connected to, looked up or started. The hook cannot be taken away again; it sleeps between tests."""
    global watched
    watched = []
    yield watched
    watched = None


def members_of(body: type[msgspec.Struct] | None) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(body)] if body else []


def every_call() -> Iterator[tuple[str, str, list[str]]]:
    """Method, path and members of its body or query."""
    for one in (*CALLS, *TRACKING):
        for path in one.paths:
            for method in one.methods:
                yield method, path.format(sale="1", source="didomi"), members_of(one.body)


async def test_no_call_reaches_any_server_but_the_store(application: Application, store_url: str, reached: list[tuple[str, Any]]) -> None:
    asked = 0
    for method, path, members in every_call():
        for url in URLS:
            headers = [PRIVATE, (b"referer", url.encode()), (b"x-forwarded-host", url.encode()), (b"forwarded", url.encode())]
            body = dict.fromkeys(members, url) | {"key": "demo-private-key", "url": url, "image": url, "email": "a@evil.example"}
            bodies = [body, {"email": "a@evil.example", "visitor": "v", "sale": "1", "products": [url], "product": url, "labels": [url]}]
            for one in bodies if method == "POST" else [None]:
                answer = await call(application, method, path, *headers, body=one)
                assert answer.status < 500
                asked += 1
    assert asked > 500
    assert {str(where) for event, where in reached if event == "socket.connect"} == {store_url.removeprefix("unix://")}
    assert {event for event, _ in reached} == {"socket.connect"}


async def test_the_watch_sees_a_name_that_is_looked_up(reached: list[tuple[str, Any]]) -> None:
    sys.audit("socket.getaddrinfo", "evil.example", 80, 0, 0, 0)
    assert reached


async def test_no_text_gets_into_a_key_of_the_store(application: Application, shopper: Shopper, database: redis.Redis) -> None:
    written = 0
    for number, text in enumerate(HOSTILE):
        named = {"visitor": f"v-{number}", "email": "a@example.com"}
        for path, body in (
            ("/v1/links", {"customer": text, "visitor": f"v-{number}"}),
            ("/v1/links", {"email": "a@example.com", "visitor": text}),
            ("/v1/visitors", {"visitor": text, "consent": "granted"}),
            ("/v1/consents", named | {"consent": {"purposes": {"storage": "granted", "measurement": "granted"}, "policy_version": text}}),
            ("/v2/log/sale", named | {"sale": text, "products": [text], "customer": text}),
            ("/v2/log/click", named | {"product": text, "labels": [text], "api": text}),
            ("/v2/log/search", named | {"query": text}),
            ("/v1/erasures", {"customer": text}),
        ):
            answer = await shopper.post(path, body)
            assert answer.status_code < 500
            written += answer.status_code == 200
    await application.services.counters.write()
    assert written > 30
    keys = [str(key) for key in database.scan_iter()]
    assert [key for key in keys if not SAFE_KEY.fullmatch(key)] == []
    assert len(keys) > 20


async def test_head_and_options_change_nothing(application: Application, database: redis.Redis) -> None:
    told = "key=demo-public-key&private_key=demo-private-key&visitor=v&product=1&sale=1&products=[1]&labels=a&email=a@example.com&query=q"
    page = (b"origin", PAGE.encode())
    for method in ("HEAD", "OPTIONS"):
        for _, path, _ in every_call():
            answer = await call(application, method, f"{path}?{told}&category=1&message=m", AGENT, page, body={"visitor": "v"})
            assert answer.status in {200, 401, 403, 404, 405}
            assert answer.all("set-cookie") == []
    await application.services.counters.write()
    kept = [line for line in dump(database) if "rewrite" not in line]
    assert kept == []


async def test_every_method_but_those_named_is_refused_on_every_path(application: Application) -> None:
    for method in ("PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "PROPFIND", "get", "POST "):
        for _, path, _ in every_call():
            assert (await call(application, method, path, PRIVATE, body={})).status == 405
