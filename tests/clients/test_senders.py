"""Orders by the HTTP clients that shops' servers have, to the service itself and through the proxies that stand before it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.clients.packages import Unavailable, packages
from tests.debian import install_program
from tests.edges.proxies import caddy, haproxy, nginx, varnish
from tests.stores import valkey
from tests.test_command import Service, free_port, served

SENDERS = Path(__file__).parent / "senders"
CACHE = Path(__file__).parents[2] / ".cache" / "clients"
AIOHTTP = "aiohttp==3.13.2"
LINES = '[{"id":"12793","quantity":2,"price":"99.95"},{"id":7,"quantity":1,"price":1}]'
WAYS = ("json", "query", "form")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    environment = {"IDENTITY_SERVER__PORT": str(free_port()), "IDENTITY_SERVER__TRUSTED_PROXIES": "127.0.0.1"}
    with valkey() as store, served(tmp_path_factory.mktemp("service"), IDENTITY_STORE__URL=store, **environment) as started:
        yield started


@pytest.fixture(scope="module")
def addresses(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """The service's own, and that of each proxy that this machine has."""
    upstream, place = service.url.partition("://")[2], tmp_path_factory.mktemp("proxies")
    found, port = [service.url], free_port()
    passed = f"proxy_pass http://{upstream}; proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr;"
    with ExitStack() as stack:
        found.append(stack.enter_context(nginx(place, port, f"server {{ listen 127.0.0.1:{port}; location / {{ {passed} }} }}")))
        if install_program("caddy", "caddy"):
            port = free_port()
            found.append(stack.enter_context(caddy(place, port, f"http://:{port} {{\n\treverse_proxy {upstream}\n}}\n")))
        if install_program("haproxy", "haproxy"):
            found.append(stack.enter_context(haproxy(place, free_port(), upstream)))
        if install_program("varnishd", "varnish"):
            found.append(stack.enter_context(varnish(place, free_port(), upstream)))
        yield found


def need(program: str, package: str) -> str:
    found = install_program(program, package)
    if found is None:
        pytest.skip(f"needs {program}: apt-get install {package}")
    return found


def aiohttp() -> Path:
    """A folder with the package, fetched once."""
    place = CACHE / AIOHTTP
    if not place.exists():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(place), AIOHTTP]
        if subprocess.run(command, capture_output=True, timeout=300, check=False).returncode:
            pytest.skip("pip could not fetch aiohttp: is the package index reachable?")
    return place


def command_of(client: str) -> tuple[list[str], dict[str, str]]:
    """The command before a name and addresses, and its environment. Skips where the client cannot be had."""
    if client in {"requests", "httpx", "aiohttp"}:
        return [sys.executable, str(SENDERS / "send.py"), client], {"PYTHONPATH": str(aiohttp())} if client == "aiohttp" else {}
    if client == "php":
        return [need("php", "php-cli"), str(SENDERS / "send.php")], {}
    if client == "go":
        cache = CACHE / "go"
        cache.mkdir(parents=True, exist_ok=True)
        return [need("go", "golang-go"), "run", str(SENDERS / "send.go")], {
            "GOCACHE": str(cache),
            "GOTOOLCHAIN": "local",
            "GO111MODULE": "off",
        }
    if client == "java":
        need("javac", "openjdk-17-jdk-headless")
        return [need("java", "openjdk-17-jdk-headless"), str(SENDERS / "Send.java")], {}
    return [need("node", "nodejs"), str(SENDERS / "send.mjs"), client], {}


def arrived(service: Service, name: str) -> list[str]:
    """Revenue of each order that the client sent to one address."""
    return [service.call(f"/v1/orders/{name}-{way}")[1]["revenue"] for way in WAYS]


@pytest.mark.parametrize("client", ["php", "requests", "httpx", "aiohttp", "undici", "axios", "go", "java"])
def test_orders_arrive_by_every_client_through_every_proxy(client: str, service: Service, addresses: list[str], tmp_path: Path) -> None:
    command, environment = command_of(client)
    if client == "axios":
        try:
            (tmp_path / "node_modules").symlink_to(packages() / "node_modules")
        except Unavailable as missing:
            pytest.skip(str(missing))
        (tmp_path / "send.mjs").write_text((SENDERS / "send.mjs").read_text())
        command[1] = str(tmp_path / "send.mjs")
    told = os.environ | environment
    ended = subprocess.run([*command, client, *addresses], env=told, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert (ended.returncode, ended.stdout.splitlines()) == (0, ['200 {"status":"ok"}'] * len(addresses) * len(WAYS)), ended.stderr
    for at in range(len(addresses)):
        assert arrived(service, f"{client}-{at}") == ["200.90"] * len(WAYS)


def test_orders_arrive_by_curl_through_every_proxy(service: Service, addresses: list[str]) -> None:
    """JSON without a content type of its own, and the expectation that curl has for larger bodies."""
    program = need("curl", "curl")
    for at, address in enumerate(addresses):
        url, name = f"{address}/v2/log/sale", f"curl-{at}"
        large = json.loads(LINES) + [{"id": number, "price": 0, "name": "x" * 40} for number in range(900)]
        body = json.dumps({"key": "demo-public-key", "sale": f"{name}-json", "products": large})
        query, form = (urlencode({"key": "demo-public-key", "sale": f"{name}-{way}", "products": LINES}) for way in WAYS[1:])
        for more in (["--data-binary", "@-", url], [f"{url}?{query}"], ["--data", form, url]):
            command = [program, "--silent", "--write-out", " %{http_code}", "--header", "Expect: 100-continue", *more]
            assert (
                subprocess.run(command, input=body, capture_output=True, text=True, timeout=60, check=True).stdout == '{"status":"ok"} 200'
            )
        assert arrived(service, name) == ["200.90"] * len(WAYS)
