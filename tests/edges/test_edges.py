"""The manual's edges, each inside a small shop in its language: before a real service, and before one that fails in every way."""

import http.client
import importlib.util
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from http.cookies import SimpleCookie
from pathlib import Path

import pytest

from tests.edges.shops import (
    AGENT,
    COOKIES,
    EDGES,
    KEPT,
    NOBODY,
    PACKAGES,
    SALE,
    STORELESS,
    VISITORS,
    Answer,
    Browser,
    Scripted,
    shop,
)
from tests.test_command import PATIENCE, Service, eventually, free_port, served

EVERY = {
    "store away": Answer(503, {"status": 503, "code": "store_unavailable"}, COOKIES),
    "over a limit": Answer(429, {"status": 429, "code": "rate_limited"}, (*COOKIES, ("Retry-After", "1"))),
    "a proxy's page": Answer(502, b"<html><h1>502 Bad Gateway</h1></html>", (("Content-Type", "text/html"), *COOKIES)),
    "no JSON": Answer(200, b"hello", COOKIES),
    "nothing": Answer(200, b"", COOKIES),
    "no UTF-8": Answer(200, b'{"status": "\xff', COOKIES),
    "too deep": Answer(200, b"[" * 60_000, COOKIES),
    "half an answer": Answer(200, b'{"status": "ok"', COOKIES),
    "cut off": Answer(lost=True),
}
PAIRS = list(zip(list(EVERY), list(EVERY)[4:], strict=False))
GARBAGE = [b"[1]", b'"text"', b"null", b"7", b"{}", b'{"mode": "persistent"}', b'{"mode": 1, "decision": "none", "token": "x"}']
INJECTIONS = [b"Cookie: a=b\rX-Evil: 1", b"Cookie: a=b\nX-Evil: 1", b"User-Agent: a\rX-Evil: 1", b"Cookie: a=\xe9; b\x01"]


@pytest.fixture(scope="module", params=PACKAGES)
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def place(language: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp(language)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with served(tmp_path_factory.mktemp("edges")) as started:
        yield started


@pytest.fixture(scope="module")
def storeless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """With the keys of `service`, and a store that never comes."""
    log = tmp_path_factory.mktemp("storeless") / "log"
    command = [sys.executable, "-m", "identity_service", "serve", "--port", str(free_port())]
    environment = os.environ | {"IDENTITY_STORE__URL": f"redis://127.0.0.1:{free_port()}"}
    with log.open("w") as stderr:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment)
    try:
        yield Service(process, log)
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)


@contextmanager
def staged(language: str, place: Path, *, hasty: bool = False) -> Iterator[tuple[Scripted, str]]:
    made = Scripted()
    try:
        with shop(language, place, made.url, hasty=hasty) as url:
            yield made, url
    finally:
        made.close()


@pytest.fixture(scope="module")
def stage(language: str, place: Path) -> Iterator[tuple[Scripted, str]]:
    with staged(language, place) as made:
        yield made


@pytest.fixture
def scripted(stage: tuple[Scripted, str]) -> Scripted:
    stage[0].begin()
    return stage[0]


@pytest.fixture
def browser(stage: tuple[Scripted, str]) -> Browser:
    return Browser(stage[1])


def test_an_edge_is_short_and_its_lines_are() -> None:
    """Code is what is neither blank, nor a comment, an import or a closing bracket."""
    for language in PACKAGES:
        text = (EDGES / f"edge.{language}").read_text()
        bare = re.sub(r'""".*?"""|^import \(.*?^\)', "", text, flags=re.DOTALL | re.MULTILINE)
        code = [line for line in bare.splitlines() if not re.match(r"\s*(//|#|<\?php|package|import|from|[\])}]+;?$|$)", line)]
        assert len(code) <= 36, language
        assert max(map(len, text.splitlines())) <= 120, language


def test_an_edge_keeps_its_visitor_logs_its_sale_and_follows_consent(language: str, place: Path, service: Service) -> None:
    with shop(language, place, service.url) as url:
        browser = Browser(url)
        first = browser.open()
        assert browser.open() == first != "nobody"
        assert browser.order(f"{language}-1", email=f"{language}@example.org") == "kept"
        assert service.call(f"/v1/orders/{language}-1")[1]["visitor"] == first
        assert [one["visitor"] for one in service.call("/v1/lookups", {"email": f"{language}@example.org"})[1]["visitors"]] == [first]
        granted = service.call("/v1/consents", {"consent": "granted"})[1]
        browser.cookies["__Host-visitor"] = granted["token"]
        assert browser.open() == granted["visitor"]
        browser.cookies["visitor-choice"] = "refused"
        assert browser.open() == "nobody"
        assert "__Host-visitor" not in browser.cookies


def test_while_the_store_is_away_a_visitor_keeps_its_cookie_and_a_sale_says_that_it_is_lost(
    language: str, place: Path, service: Service, storeless: Service
) -> None:
    with shop(language, place, storeless.url) as url:
        browser = Browser(url)
        browser.cookies["__Host-visitor"] = service.call("/v1/consents", {"consent": "granted"})[1]["token"]
        assert (browser.open(), browser.order("1")) == ("nobody", "lost")
        assert "__Host-visitor" in browser.cookies


def test_without_a_service_there_is_a_page_and_a_sale_says_that_it_is_lost(language: str, place: Path) -> None:
    with shop(language, place, f"http://127.0.0.1:{free_port()}") as url:
        browser = Browser(url)
        assert (browser.open(), browser.order("1")) == ("nobody", "lost")


@pytest.mark.parametrize("failure", EVERY)
def test_a_failed_call_leaves_the_session_hands_cookies_on_and_is_not_repeated(scripted: Scripted, browser: Browser, failure: str) -> None:
    answer = EVERY[failure]
    scripted.lay_out(VISITORS, answer)
    assert browser.open() == "nobody"
    assert scripted.paths() == [VISITORS]
    assert [browser.cookies.get(name) for name in ("kept", "also")] == (["yes", "kept"] if answer.headers else [None, None])
    browser.order("1")
    assert "visitor" not in scripted.sales()[0]
    assert browser.open() == "v"
    scripted.lay_out(VISITORS, answer)
    assert browser.open() == "nobody"
    browser.order("2")
    assert scripted.sales()[-1]["visitor"] == "1c.v.t.s"
    assert scripted.paths() == [VISITORS, SALE, VISITORS, VISITORS, SALE]


@pytest.mark.parametrize("pair", PAIRS, ids=" and ".join)
def test_a_sale_is_sent_again_until_it_is_answered(scripted: Scripted, browser: Browser, pair: tuple[str, str]) -> None:
    answers = [EVERY[name] for name in pair]
    scripted.lay_out(SALE, *answers)
    assert browser.order("1") == "kept"
    assert [one["sale"] for one in scripted.sales()] == ["1"] * 3
    assert browser.cookies.get("kept") == ("yes" if any(one.headers for one in answers) else None)


def test_an_edge_gives_up_after_half_a_second(language: str, place: Path) -> None:
    """On a busy machine it may give up on the answers that come, too."""
    with staged(language, place, hasty=True) as (scripted, url):
        browser = Browser(url)
        scripted.lay_out(VISITORS, Answer(late=True))
        assert browser.open() == "nobody"
        assert scripted.paths() == [VISITORS]
        assert eventually(lambda: browser.open() == "v")
        scripted.lay_out(VISITORS, Answer(late=True))
        assert browser.open() == "nobody"
        scripted.lay_out(SALE, Answer(late=True))
        assert eventually(lambda: browser.order("1") == "kept")
        assert len(scripted.sales()) >= 2
        assert {one["visitor"] for one in scripted.sales()} == {"1c.v.t.s"}


def test_a_sale_is_sent_three_times_at_most(scripted: Scripted, browser: Browser) -> None:
    scripted.lay_out(SALE, *[EVERY[name] for name in ("store away", "over a limit", "cut off")])
    assert browser.order("1") == "lost"
    assert len(scripted.sales()) == 3


def test_a_sale_whose_answer_was_lost_counts_once(language: str, scripted: Scripted, browser: Browser, service: Service) -> None:
    scripted.behind = service
    assert browser.open() != "nobody"
    before = service.call("/v1/labels")[1]["other_orders"]
    scripted.lay_out(SALE, Answer(lost=True), replace(EVERY["a proxy's page"], lost=True))
    assert browser.order(f"{language}-once") == "kept"
    assert len(scripted.sales()) == 3
    assert service.call("/v1/labels")[1]["other_orders"] == before + 1


def test_a_refused_order_is_not_sent_again(scripted: Scripted, browser: Browser) -> None:
    scripted.lay_out(SALE, Answer(400, {"status": "error", "message": "Missing required argument: sale"}, COOKIES))
    assert browser.order("1") == "lost"
    assert len(scripted.sales()) == 1
    assert browser.cookies["kept"] == "yes"


def test_json_of_somebody_else_breaks_no_page_and_changes_no_session(scripted: Scripted, browser: Browser) -> None:
    assert browser.open() == "v"
    for body in GARBAGE:
        scripted.lay_out(VISITORS, Answer(200, body))
        assert browser.open() == "nobody", body
    for body in (b"7", b"{}"):
        scripted.lay_out(SALE, *[Answer(200, body)] * 3)
        assert browser.order("1") == "lost"
        assert scripted.sales()[-1]["visitor"] == "1c.v.t.s"
        scripted.begin()


def test_null_is_an_answer_and_a_store_that_is_away_is_none(scripted: Scripted, browser: Browser) -> None:
    scripted.lay_out(VISITORS, STORELESS)
    assert browser.open() == "nobody"
    browser.order("1")
    assert "visitor" not in scripted.sales()[-1]
    browser.open()
    scripted.lay_out(VISITORS, STORELESS)
    assert browser.open() == "nobody"
    browser.order("2")
    assert scripted.sales()[-1]["visitor"] == "1c.v.t.s"
    scripted.lay_out(VISITORS, NOBODY, STORELESS)
    assert (browser.open(), browser.open()) == ("nobody", "nobody")
    browser.order("3")
    assert scripted.sales()[-1]["visitor"] is None
    assert "visitor" in scripted.sales()[-1]


def test_the_visitor_is_described_and_its_cookie_goes_before_the_sessions_token(scripted: Scripted, browser: Browser) -> None:
    browser.cookies["theme"] = "dark"
    browser.open("/", sec_gpc="1")
    first = scripted.asked[-1]
    assert first.body["client"]["ip"].partition(":")[0] == "127.0.0.1"  # Go hands on the port too
    assert first.body["client"] == first.body["client"] | {"user_agent": AGENT, "gpc": "1"}
    assert (first.headers["authorization"], first.headers["cookie"]) == ("Bearer demo-private-key", "theme=dark")
    assert first.headers["content-type"] == "application/json"
    assert first.body.get("token") is None
    browser.open()
    assert scripted.asked[-1].body["token"] == "1c.v.t.s"
    assert scripted.asked[-1].body["client"].get("gpc") in {None, 0, ""}
    for name, token in (("old__Host-visitor", "1c.v.t.s"), ("__Host-visitor-choice", "1c.v.t.s"), ("__Host-visitor", None)):
        browser.cookies[name] = "1p.x.y.z"
        browser.open()
        assert scripted.asked[-1].body.get("token") == token
        assert f"{name}=1p.x.y.z" in scripted.asked[-1].headers["cookie"]


def test_what_an_agent_signed_is_handed_on(scripted: Scripted, browser: Browser) -> None:
    signed = {
        "signature_agent": 'sig1="https://agent.example"',
        "signature_input": 'sig1=("@path");tag="web-bot-auth"',
        "signature": "sig1=:AAAA:",
    }
    request = {"authority": browser.shop.removeprefix("http://"), "method": "GET", "target": "/?a=1"}
    browser.open("/?a=1", **signed)
    assert scripted.asked[-1].body["client"]["agent"] == signed | request
    browser.open("/order", {"sale": "9", "products": [1]}, **signed)
    assert scripted.sales()[-1]["agent"] == signed | request | {"method": "POST", "target": "/order"}
    browser.open("/")
    assert not any(scripted.asked[-1].body["client"]["agent"].get(name) for name in signed)


def test_cookies_are_handed_on_as_they_are(scripted: Scripted, browser: Browser) -> None:
    lines = [
        "__Host-visitor=1p.a-b_c.d.e; Max-Age=33696000; Path=/; Secure; HttpOnly; SameSite=Lax",
        "visitor-choice=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax",
        'odd="a, b"; Expires=Wed, 09 Jun 2027 10:18:14 GMT; Path=/',
    ]
    scripted.lay_out(VISITORS, Answer(503, {}, tuple(("Set-Cookie", line) for line in lines)))
    browser.open()
    assert [line for line in browser.lines if "sid=" not in line.lower()] == lines


def test_nobody_follows_a_redirect_with_the_key(scripted: Scripted, browser: Browser) -> None:
    elsewhere = Answer(307, b"", (("Location", f"{scripted.url}/elsewhere"), *COOKIES))
    scripted.lay_out(VISITORS, elsewhere, replace(elsewhere, status=302))
    assert (browser.open(), browser.open()) == ("nobody", "nobody")
    assert scripted.paths() == [VISITORS] * 2
    assert browser.cookies["kept"] == "yes"


@pytest.mark.parametrize("header", INJECTIONS)
def test_a_browsers_headers_add_none_to_the_call(scripted: Scripted, browser: Browser, header: bytes) -> None:
    """A server that refuses such a request does well, too."""
    port = int(browser.shop.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: shop\r\n" + header + b"\r\nConnection: close\r\n\r\n")
        answer = http.client.HTTPResponse(raw)
        answer.begin()
        assert answer.status == 400 or answer.read() in {b"v", b"nobody"}
    assert not any("x-evil" in asked.headers for asked in scripted.asked)


def test_a_user_agent_in_no_known_encoding_is_told_all_the_same(scripted: Scripted, browser: Browser) -> None:
    port = int(browser.shop.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: shop\r\nUser-Agent: caf\xe9\r\nConnection: close\r\n\r\n")
        answer = http.client.HTTPResponse(raw)
        answer.begin()
        assert (answer.status, answer.read()) == (200, b"v")
    assert scripted.asked[-1].body["client"]["user_agent"].startswith("caf")


def test_the_python_edge_sends_exact_prices_and_djangos_cookies_take_its_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("edge", EDGES / "edge.py")
    assert spec is not None
    assert spec.loader is not None
    edge = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(edge)
    scripted, cookies = Scripted(), SimpleCookie()
    monkeypatch.setenv("IDENTITY_URL", scripted.url)
    monkeypatch.setenv("IDENTITY_KEY", "demo-private-key")
    try:
        scripted.lay_out(SALE, replace(KEPT, headers=COOKIES))
        visit = edge.Visit({}, None, {}, cookies.load)
        assert edge.sale(visit, {"sale": "1", "products": [{"id": 1, "price": Decimal("19.90")}]})
    finally:
        scripted.close()
    assert scripted.sales()[0]["products"] == [{"id": 1, "price": "19.90"}]
    assert cookies["also"].OutputString() == "also=kept; HttpOnly; Path=/; SameSite=Lax; Secure"
