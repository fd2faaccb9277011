"""The manual's lines for nginx, before a real service: they publish what pages call, and nothing else."""

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from identity_service.web.manual.book import FOLDER
from tests.edges.proxies import nginx
from tests.test_command import free_port, served

PAGE = (FOLDER / "snippet.md").read_text()
KEY = "demo-public-key"
SHOPIFY = "/v2/log/sale/shopify?key=demo-public-key&sale=7"
OPEN = ["/visitor.js", "/v2/misc/visitor_id?key=demo-public-key&visitor=auto", SHOPIFY]
CLOSED = [
    *("/", "/admin", "/admin/signin", "/metrics", "/docs", "/openapi.json", "/healthz", "/readyz", "/shop", "/.well-known/gpc.json"),
    *("/v1/lookups", "/v1/exports", "/v1/erasures", "/v1/orders", "/v1/orders/1", "/v1/events", "/v1/receipts", "/v1/health/tracking"),
    *(
        "/v2/../metrics",
        "/v2/%2e%2e/metrics",
        "/v2/..%2fmetrics",
        "/v1/visitors/../../metrics",
        "/v1/consents/../exports",
        "/v1/visitors;x",
    ),
    *("/v2/privacy/info", "/v3/privacy/forget", "/v2/log/returned", "/v2/log/sale/x", "/v2/log/"),
    *("//metrics", "/visitor.js/../admin/signin", "/V1/lookups", "/v4/x"),
]


def location_of(language: str) -> str:
    """The indented block behind a comment that names the proxy."""
    [found] = re.findall(rf"^    # {language}\n((?:    .*\n)+)", PAGE, re.MULTILINE)
    return str(found)


@contextmanager
def proxied(place: Path, upstream: str) -> Iterator[str]:
    port = free_port()
    lines = location_of("nginx").replace("127.0.0.1:8080", upstream)
    server = f"server {{ listen 127.0.0.1:{port}; server_name _;\n{lines}\nlocation / {{ return 404 'the shop'; }} }}"
    with nginx(place, port, server) as url:
        yield url


def asked(url: str, body: object = None, **headers: str) -> tuple[int, str]:
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, None if body is None else json.dumps(body).encode(), told)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_the_readmes_lines_publish_what_pages_call_and_nothing_else(tmp_path: Path, store_url: str) -> None:
    origin = {"IDENTITY_SHOPS__DEMO__ORIGINS": "https://shop.example", "IDENTITY_SERVER__TRUSTED_PROXIES": "127.0.0.1"}
    with served(tmp_path, IDENTITY_STORE__URL=store_url, **origin) as service, proxied(tmp_path, service.url.partition("://")[2]) as shop:
        for path in OPEN:
            assert asked(f"{shop}/id{path}", Host="shop.example", Sec_Fetch_Site="same-origin")[0] == 200, path
        for path in CLOSED:
            assert asked(f"{shop}/id{path}") == (404, "the shop"), path
            assert asked(f"{shop}/id{path}", {"key": KEY}) == (404, "the shop"), path
        page = {"Host": "shop.example", "Origin": "https://shop.example", "User-Agent": "Mozilla/5.0 (X11) Firefox/140.0"}
        for path in ("/v1/visitors", "/v1/consents", "/v1/consents/klaro"):
            status, text = asked(f"{shop}/id{path}", {"key": KEY}, **page)
            assert (status, json.loads(text)["mode"]) == (200, "cookieless"), path
        assert asked(f"{shop}/id/v2/log/click", {"key": KEY, "product": 5}, **page) == (200, '{"status":"ok"}')
        assert asked(f"{shop}/id/v1/visitors", {"key": KEY}, Origin="https://evil.example")[0] == 403


def test_both_proxies_are_told_the_same_paths() -> None:
    nginx_lines, caddy_lines = location_of("nginx"), location_of("Caddy")
    [pattern] = re.findall(r"location ~ (\S+) \{", nginx_lines)
    assert f"path_regexp {pattern}" in caddy_lines
