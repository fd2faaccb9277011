"""The address split: one address for a plugin, of which tracking goes to a real service and everything else to Clerk, by nginx and by
Caddy as the deployment files have them."""

import json
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from identity_service.web.routes import TRACKING
from tests.debian import install_program
from tests.deploy.files import certificate, replaced
from tests.edges.proxies import caddy, nginx
from tests.edges.test_proxies import asked
from tests.test_command import free_port, served

KEYS = "key=demo-public-key&private_key=demo-private-key"
HERE = ("log/", "privacy/", "misc/visitor_id")
TRACKED = [row.path for row in TRACKING if row.path.startswith(HERE)]
OF_CLERK = [
    *("client/account/info", "token/verify", "recommendations/popular", "search/search", "product/remove", "products", "customers"),
    *("misc/visitor_ids", "logs", "client/account/log/sale", "product/log/sale"),
]


@dataclass
class Clerk:
    """The other side of the split; keeps what it got: method, path, host, cookie and size."""

    address: str
    got: list[tuple[str, str, str | None, str | None, int]] = field(default_factory=list)


@contextmanager
def clerk() -> Iterator[Clerk]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            size = len(self.rfile.read(int(self.headers.get("content-length", 0))))
            found.got.append((self.command, self.path, self.headers["host"], self.headers["cookie"], size))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"status":"ok","of":"clerk"}')

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Clerk(f"127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield found
    server.shutdown()
    server.server_close()


def by_nginx(place: Path, service: str, other: str, port: int, listen: str = "") -> AbstractContextManager[str]:
    chain, key = certificate(place, "clerk.shop.example")
    places = {"/etc/ssl/clerk.shop.example.pem": str(chain), "/etc/ssl/clerk.shop.example.key": str(key)}
    addresses = {"127.0.0.1:8080": service, "https://api.clerk.io": f"http://{other}", "443 ssl http2": listen or f"127.0.0.1:{port}"}
    return nginx(place, port, replaced("address-split.nginx.conf", **places, **addresses))


def by_caddy(place: Path, service: str, other: str, port: int) -> AbstractContextManager[str]:
    addresses = {"127.0.0.1:8080": service, "https://api.clerk.io": f"http://{other}", "clerk.shop.example {": f"http://:{port} {{"}
    return caddy(place, port, replaced("address-split.Caddyfile", **addresses))


@pytest.mark.parametrize("proxy", [by_nginx, by_caddy], ids=lambda proxy: proxy.__name__)
def test_tracking_comes_here_and_everything_else_goes_to_clerk(
    proxy: Callable[[Path, str, str, int], AbstractContextManager[str]], tmp_path: Path, store_url: str, database: object
) -> None:
    trusted = {"IDENTITY_SERVER__TRUSTED_PROXIES": "127.0.0.1", "IDENTITY_STORE__URL": store_url}
    with served(tmp_path, **trusted) as service, clerk() as other:
        with proxy(tmp_path, service.url.partition("://")[2], other.address, free_port()) as address:
            for path in TRACKED:
                for version in ("v2", "v3"):
                    status, text = asked(f"{address}/{version}/{path}?{KEYS}")
                    assert (status in {200, 400}, json.loads(text).get("of")) == (True, None), path
            assert other.got == []
            for path in OF_CLERK:
                status, text = asked(f"{address}/v2/{path}?{KEYS}", Cookie="visitor=1p.secret")
                assert (status, json.loads(text)["of"]) == (200, "clerk"), path
            assert {one[2:] for one in other.got} == {("api.clerk.io", None, 0)}
            catalogue = [{"id": number, "name": "A shirt"} for number in range(60_000)]
            assert asked(f"{address}/v2/products", {"products": catalogue})[0] == 200
            assert (other.got[-1][0], other.got[-1][-1] > 2_000_000) == ("POST", True)
            lines = [{"id": "12793", "quantity": 2, "price": 99.95}]
            assert asked(f"{address}/v2/log/sale", {"key": "demo-public-key", "sale": "S-1", "products": lines})[0] == 200
        order = asked(f"{service.url}/v1/orders/S-1", Authorization="Bearer demo-private-key")[1]
        assert json.loads(order)["revenue"] == "199.90"


def test_nginx_takes_orders_by_http_2(tmp_path: Path, store_url: str, database: object) -> None:
    if not install_program("curl", "curl"):
        pytest.skip("needs curl: apt-get install curl")
    port = free_port()
    trusted = {"IDENTITY_SERVER__TRUSTED_PROXIES": "127.0.0.1", "IDENTITY_STORE__URL": store_url}
    with served(tmp_path, **trusted) as service, clerk() as other:
        upstream = service.url.partition("://")[2]
        with by_nginx(tmp_path, upstream, other.address, port, listen=f"127.0.0.1:{port} ssl http2"):
            told = ["--resolve", f"clerk.shop.example:{port}:127.0.0.1", "--cacert", str(tmp_path / "certificate.pem")]
            for path, more in (
                ("log/sale", ["--json", '{"key":"demo-public-key","sale":"h2","products":[{"id":5,"price":3}]}']),
                ("log/sale?key=demo-public-key&sale=h2-get&products=%5B5%5D", []),
            ):
                address = f"https://clerk.shop.example:{port}/v2/{path}"
                command = ["curl", "--silent", "--http2", "--write-out", "%{http_version} %{http_code}", *told, *more, address]
                shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
                assert shown == '{"status":"ok"}2 200'
        request = urllib.request.Request(f"{service.url}/v1/orders", headers={"Authorization": "Bearer demo-private-key"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            assert sorted(one["sale"] for one in json.load(answer)["orders"]) == ["h2", "h2-get"]
