"""The README's edges, each inside a small shop in its language, before a real service."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.cookies import SimpleCookie
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
    assert len([line for line in edge_of(language).splitlines() if line]) <= 20
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
