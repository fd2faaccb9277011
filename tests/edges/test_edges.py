"""The README's edges, each inside a small shop in its language, before a real service."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.test_command import Service, free_port, served

HERE = Path(__file__).parent
README = (HERE.parent.parent / "README.md").read_text()
LANGUAGES: dict[str, tuple[str, Callable[[int], list[str]]]] = {
    "php": ("php", lambda port: ["php", "-S", f"127.0.0.1:{port}", str(HERE / "shop.php")]),
    "js": ("node", lambda _port: ["node", str(HERE / "shop.mjs")]),
    "python": (sys.executable, lambda _port: [sys.executable, str(HERE / "shop.py")]),
}


def edge_of(language: str) -> str:
    [found] = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    return str(found)


class Browser:
    """Keeps cookies as a browser does, flags aside."""

    def __init__(self, shop: str) -> None:
        self.shop = shop
        self.cookies: dict[str, str] = {}

    def open(self, path: str, body: object = None) -> str:
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()), "User-Agent": "Mozilla/5.0 (X11)"}
        request = urllib.request.Request(self.shop + path, None if body is None else json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            for line in answer.headers.get_all("set-cookie", []):
                for name, morsel in SimpleCookie(line).items():
                    self.cookies[name] = morsel.value
                    if morsel["max-age"] == "0":
                        del self.cookies[name]
            return str(answer.read().decode())


@contextmanager
def shop(language: str, place: Path, service: str) -> Iterator[str]:
    program, command = LANGUAGES[language]
    if not shutil.which(program):
        pytest.skip(f"needs {program}")
    edge, port = place / f"edge.{language}", free_port()
    edge.write_text(("<?php\n" if language == "php" else "") + edge_of(language))
    environment = {"EDGE": str(edge), "PORT": str(port), "IDENTITY_URL": service, "IDENTITY_KEY": "demo-private-key"}
    with (place / "shop.log").open("w") as log:
        process = subprocess.Popen(command(port), env=os.environ | environment, stdout=log, stderr=log)
    try:
        _wait_for(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(port: int) -> None:
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise TimeoutError(port)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, store_url: str) -> Iterator[Service]:
    with served(tmp_path_factory.mktemp("edges"), IDENTITY_STORE__URL=store_url, IDENTITY_SERVER__PORT=str(free_port())) as started:
        yield started


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_edge_keeps_its_visitor_logs_its_sale_and_hears_consent(language: str, tmp_path: Path, service: Service) -> None:
    assert len([line for line in edge_of(language).splitlines() if line]) <= 30
    with shop(language, tmp_path, service.url) as url:
        browser = Browser(url)
        first = browser.open("/")
        assert first != "nobody"
        assert browser.open("/") == first
        sale = f"{language}-1"
        browser.open("/order", {"sale": sale, "products": [{"id": 1, "price": 5}], "email": f"{language}@example.org"})
        assert service.call(f"/v1/orders/{sale}")[1]["visitor"] == first
        assert [one["visitor"] for one in service.call("/v1/lookups", {"email": f"{language}@example.org"})[1]["visitors"]] == [first]
        granted = service.call("/v1/consents", {"consent": "granted"})[1]
        browser.cookies["__Host-visitor"] = granted["token"]
        assert browser.open("/") == granted["visitor"]
        browser.cookies["visitor-choice"] = "refused"
        assert browser.open("/") == "nobody"
        assert "__Host-visitor" not in browser.cookies


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_edge_without_a_service_still_gives_a_page(language: str, tmp_path: Path) -> None:
    with shop(language, tmp_path, f"http://127.0.0.1:{free_port()}") as url:
        assert Browser(url).open("/") == "nobody"


class Failing:
    """A service that answers each path with 503 and a cookie as often as it was told, then ok; it keeps what it was asked."""

    def __init__(self, failures: dict[str, int]) -> None:
        self.failures, self.storeless, self.asked = failures, False, list[tuple[str, dict[str, object]]]()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                outer.asked.append((self.path, body))
                outer.failures[self.path] = outer.failures.get(self.path, 0) - 1
                failed = outer.failures[self.path] >= 0
                answer: dict[str, object] = {"mode": "cookieless", "visitor": "v", "token": "1c.v.t.s", "decision": {"reason": "no_signal"}}
                if outer.storeless:
                    answer = {"mode": "null", "visitor": None, "token": None, "decision": {"reason": "store_unavailable"}}
                if "visitors" not in self.path:
                    answer = {"status": "ok"}
                content = json.dumps({"status": 503} if failed else answer).encode()
                self.send_response(503 if failed else 200)
                if failed:
                    self.send_header("set-cookie", "kept=yes; Path=/")
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def sales(self) -> list[dict[str, object]]:
        return [body for path, body in self.asked if path == "/v2/log/sale"]


@pytest.fixture
def failing() -> Iterator[Callable[[dict[str, int]], Failing]]:
    made: list[Failing] = []

    def make(failures: dict[str, int]) -> Failing:
        made.append(Failing(failures))
        return made[-1]

    yield make
    for one in made:
        one.server.shutdown()
        one.server.server_close()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_failed_call_is_not_the_answer_null_and_a_sale_is_sent_again(
    language: str, tmp_path: Path, failing: Callable[[dict[str, int]], Failing]
) -> None:
    service = failing({"/v1/visitors": 1, "/v2/log/sale": 2})
    with shop(language, tmp_path, service.url) as url:
        browser = Browser(url)
        assert browser.open("/") == "nobody"
        assert browser.cookies["kept"] == "yes"
        browser.open("/order", {"sale": 1, "products": [5]})
        assert service.sales() == [{"sale": 1, "products": [5]}] * 3
        assert browser.open("/") == "v"
        service.failures["/v1/visitors"] = 1
        assert browser.open("/") == "nobody"
        service.storeless = True
        assert browser.open("/") == "nobody"
        browser.open("/order", {"sale": 2, "products": [5]})
        assert service.sales()[3:] == [{"sale": 2, "products": [5], "visitor": "1c.v.t.s"}]
