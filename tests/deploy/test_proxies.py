"""nginx and Caddy with their deployment files before a real service: they publish what is meant for the outside, over HTTP/2."""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from identity_service.app import Application
from identity_service.settings.load import load
from identity_service.web.routes import _internal_routes as internal_routes
from identity_service.web.routes import _public_routes as public_routes
from tests.deploy.files import DEPLOY, certificate, replaced
from tests.edges.proxies import caddy, needed, nginx
from tests.stores import valkey
from tests.test_command import Service, eventually, free_port, served

FILES = ("nginx.conf", "Caddyfile")
PROBES = ("/healthz", "/readyz")
"""Addresses of the public port that only machines of the operator ask."""
EVADING = ("/v1/../admin", "/v1/%2e%2e/metrics", "/v1/..%2fmetrics", "/admin/../v1/", "//metrics", "/v1%2f..%2f..%2fmetrics", "/V1/../docs")
ORIGIN = "http://localhost:8080"
PAGE = {"Origin": ORIGIN, "User-Agent": "Mozilla/5.0 (X11) Firefox/140.0", "Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Answer:
    version: str
    status: int
    media: str

    @property
    def is_services(self) -> bool:
        """Both proxies refuse without JSON."""
        return self.status == 200 or "json" in self.media


def asked(base: str, *paths: str) -> dict[str, Answer]:
    """Each path as it is, over HTTP/2 if the proxy has it."""
    shown = "%{http_version} %{http_code} %{content_type}\n"
    command = [needed("curl"), "--silent", "--insecure", "--http2", "--path-as-is", "--write-out", shown]
    for path in paths:
        command += ["--output", "/dev/null", base + path]
    lines = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout.splitlines()
    answers = [line.split(" ", 2) for line in lines]
    return {path: Answer(version, int(status), media) for path, (version, status, media) in zip(paths, answers, strict=True)}


def visitor(base: str, forged: str, address: str = "127.0.0.2") -> str:
    """The ID that the service derives from the address of a page's visitor, who comes from `address` and sends forged headers."""
    headers = PAGE | {"X-Forwarded-For": forged, "Forwarded": f"for={forged}", "X-Real-IP": forged}
    command = [needed("curl"), "--silent", "--insecure", "--interface", address, "--ipv4", "--data", '{"key": "demo-public-key"}']
    for name, value in headers.items():
        command += ["--header", f"{name}: {value}"]
    told = json.loads(subprocess.run([*command, f"{base}/v1/visitors"], capture_output=True, check=True, timeout=60).stdout)
    return str(told["visitor"])


@contextmanager
def by_nginx(place: Path, service: str, _: pytest.MonkeyPatch) -> Iterator[str]:
    port = free_port()
    chain, key = certificate(place, "id.shop.example")
    places = {"/etc/ssl/id.shop.example.pem": str(chain), "/etc/ssl/id.shop.example.key": str(key)}
    # the other instance is away
    addresses = {"127.0.0.1:8080": f"127.0.0.1:{free_port()}", "127.0.0.1:8090": service, "443 ssl http2": f"127.0.0.1:{port} ssl http2"}
    with nginx(place, port, replaced("nginx.conf", **places, **addresses)):
        yield f"https://127.0.0.1:{port}"


@contextmanager
def by_caddy(place: Path, service: str, patch: pytest.MonkeyPatch) -> Iterator[str]:
    port = free_port()
    patch.setenv("IDENTITY_HOST", f"https://localhost:{port}")
    patch.setenv("IDENTITY_INSTANCES", service)
    own = ("skip_install_trust", "auto_https disable_redirects", f"storage file_system {place}/caddy")
    base = f"https://localhost:{port}"
    with caddy(place, port, replaced("Caddyfile"), *own):
        assert eventually(lambda: asked(base, "/healthz")["/healthz"].status)  # it listens before it has its certificate
        yield base


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """It serves everything on one port, so that only the proxy hides what is internal."""
    own = {"IDENTITY_SERVER__TRUSTED_PROXIES": "127.0.0.1", "IDENTITY_SHOPS__DEMO__ORIGINS": ORIGIN}
    with valkey() as store, served(tmp_path_factory.mktemp("service"), IDENTITY_STORE__URL=store, **own) as running:
        yield running


@pytest.mark.parametrize("proxy", [by_nginx, by_caddy], ids=lambda proxy: proxy.__name__)
def test_the_outside_reaches_calls_over_http_2_and_nothing_internal(
    proxy: Callable[[Path, str, pytest.MonkeyPatch], AbstractContextManager[str]],
    tmp_path: Path,
    service: Service,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    public, internal = paths()
    with proxy(tmp_path, service.url.partition("://")[2], monkeypatch) as base:
        for path, answer in asked(base, *public).items():
            assert (answer.version, answer.is_services) == ("2", True), (path, answer)
        for path, answer in asked(base, *internal, *PROBES).items():
            assert (answer.version, answer.status, answer.is_services) == ("2", 404, False), (path, answer)
        assert {answer.status for answer in asked(base, *EVADING).values()} <= {404, 400}
        assert visitor(base, "198.51.100.1") == visitor(base, "198.51.100.2")
        assert visitor(base, "198.51.100.1") != visitor(base, "198.51.100.1", "127.0.0.3")


def test_a_header_of_the_proxys_own_address_counts(service: Service) -> None:
    """Else the test above would show nothing."""
    assert visitor(service.url, "198.51.100.1", "127.0.0.1") != visitor(service.url, "198.51.100.2", "127.0.0.1")


def paths() -> tuple[list[str], list[str]]:
    """Addresses for the outside, and internal ones, with a text for each parameter."""
    settings = load("development", {"IDENTITY_STORE__URL": "unix:///nonexistent", "IDENTITY_SERVER__GPC_SUPPORT_SINCE": "2026-11-01"})
    services = Application(settings).services
    found = [[re.sub(r"\{[^}]+\}", "x", route.path) for route in routes(services)] for routes in (public_routes, internal_routes)]
    return [path for path in found[0] if path not in {*PROBES, "/.well-known/gpc.json"}], found[1]


@pytest.mark.parametrize("file", FILES)
def test_the_published_paths_are_those_of_the_routes(file: str) -> None:
    [pattern] = re.findall(r"(?:location ~|path_regexp) (\^\S+)", (DEPLOY / file).read_text())
    public, internal = paths()
    assert len(public) > 50
    assert len(internal) > 10
    assert [path for path in [*public, "/.well-known/gpc.json"] if not re.search(pattern, path)] == []
    assert [path for path in [*internal, *PROBES] if re.search(pattern, path)] == []
