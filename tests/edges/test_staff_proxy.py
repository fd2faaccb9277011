"""The manual's lines for the sign-in of the staff, run by Caddy before a service. A small server stands for the program that knows them."""

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx2 as httpx
import pytest

from identity_service.web.manual.book import FOLDER
from tests.edges.proxies import caddy
from tests.test_command import free_port, served

GROUPS = {"anna": "shop-owners,everybody", "bert": "shop-support", "cleo": ""}
STAFF = {
    "IDENTITY_STAFF__PROXIES": "127.0.0.1",
    "IDENTITY_STAFF__USER_HEADER": "remote-user",
    "IDENTITY_STAFF__GROUPS_HEADER": "remote-groups",
    "IDENTITY_SHOPS__DEMO__ROLES__SHOP-OWNERS": "owner",
    "IDENTITY_SHOPS__DEMO__ROLES__SHOP-SUPPORT": "support",
}


class SignedIn(BaseHTTPRequestHandler):
    """Answers as Authelia does: 200 with the person's headers, or 401. The cookie `portal` names the person."""

    def do_GET(self) -> None:
        person = re.sub(".*portal=", "", self.headers.get("cookie", ""))
        self.send_response(200 if person in GROUPS else 401)
        if person in GROUPS:
            self.send_header("Remote-User", person)
            if GROUPS[person]:
                self.send_header("Remote-Groups", GROUPS[person])
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def portal() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), SignedIn)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


def lines(port: int, portal: int, service: str) -> str:
    """The block of the manual, with addresses of this machine."""
    [text] = re.findall(r"```\n(admin\.shop\.example .*?)```", (FOLDER / "admin.md").read_text(), re.DOTALL)
    block = str(text)
    places = {"admin.shop.example": f"http://127.0.0.1:{port}", "authelia:9091": f"127.0.0.1:{portal}", "10.0.0.8:8081": service}
    for name, address in places.items():
        assert block.count(name) == 1
        block = block.replace(name, address)
    return block


def test_the_staff_signs_in_through_the_manuals_proxy(tmp_path: Path, portal: int) -> None:
    port = free_port()
    with served(tmp_path, **STAFF) as service, caddy(tmp_path, port, lines(port, portal, service.url.removeprefix("http://"))) as url:
        own = {"origin": url, "sec-fetch-site": "same-origin"}
        forged = {"Remote-User": "anna", "remote-groups": "shop-owners", "Remote_User": "anna"}
        with httpx.Client(base_url=url) as nobody:
            assert nobody.get("/admin/overview", headers=forged).status_code == 401  # the portal's word

        def status(person: str, page: str) -> int:
            with httpx.Client(base_url=url, headers={"cookie": f"portal={person}"}) as client:
                shown = client.get("/admin/signin", headers=forged)
                assert f"You are <strong>{person}</strong>" in shown.text
                answer = client.post("/admin/signin", data={"shop": "demo"}, headers=own | forged)
                session = answer.headers["set-cookie"].partition(";")[0]
                client.headers["cookie"] = f"{session}; portal={person}"
                return client.get(f"/admin/{page}", headers=forged).status_code

        assert [status("anna", page) for page in ("audit", "customers")] == [200, 200]
        assert [status("bert", page) for page in ("audit", "customers")] == [403, 200]
        with httpx.Client(base_url=url, headers={"cookie": "portal=cleo"}) as cleo:
            assert "None of your groups has a role" in cleo.get("/admin/signin", headers=forged).text  # what she sent is removed
        with httpx.Client(base_url=service.url) as beside:
            assert beside.get("/healthz").status_code == 200
