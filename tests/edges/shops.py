"""Small shops around the edges, a browser before them, and a service behind them that answers as it is told."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.edges.conftest import need
from tests.test_command import PATIENCE, Service, free_port

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
EDGES = ROOT / "identity_service/web/manual/edges"
AGENT = "Mozilla/5.0 (X11)"
PACKAGES = {"php": ("php", "php-cli"), "mjs": ("node", "nodejs"), "py": (sys.executable, "python3"), "go": ("go", "golang-go")}
WAITS = {"php": ("'timeout' => 0.5", "'timeout' => {}"), "mjs": ("timeout(500)", "timeout({}e3)"), "py": ("timeout=0.5", "timeout={}")}
WAITS["go"] = ("500 * time.Millisecond", "{} * time.Second")
SALE = "/v2/log/sale"
VISITORS = "/v1/visitors"


def patient(language: str, place: Path) -> Path:
    """A copy of the edge that waits as long as a busy machine needs, and not the half second after which an edge gives up."""
    copy, (wait, longer) = place / f"edge.{language}", WAITS[language]
    text = (EDGES / copy.name).read_text()
    assert text.count(wait) == 1, language
    copy.write_text(text.replace(wait, longer.format(PATIENCE)))
    return copy


def command_of(language: str, place: Path, port: int, edge: Path) -> list[str]:
    need(*PACKAGES[language])
    if language == "go":
        return [str(built(place, edge))]
    program, source = PACKAGES[language][0], str(HERE / f"shop.{language}")
    if language == "php":  # without a limit of its own, so that the edge's is tested
        return [program, "-d", "default_socket_timeout=600", "-S", f"127.0.0.1:{port}", source]
    return [program, source]


def built(place: Path, edge: Path) -> Path:
    """The Go shop with the edge as a package of its own, as a shop would have it. The compiler's cache outlives the test."""
    module = place / ("hasty" if edge.parent == EDGES else "patient")
    program = module / "program"
    if not program.exists():
        (module / "edge").mkdir(parents=True)
        (module / "go.mod").write_text("module shop\n\ngo 1.18\n")
        shutil.copy(edge, module / "edge")
        shutil.copy(HERE / "shop.go", module / "main.go")
        cache = ROOT / ".cache" / "go"
        cache.mkdir(parents=True, exist_ok=True)
        environment = os.environ | {"GOCACHE": str(cache), "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod"}
        subprocess.run(["go", "build", "-o", str(program), "."], cwd=module, env=environment, check=True)
    return program


@contextmanager
def shop(language: str, place: Path, service: str, *, hasty: bool = False) -> Iterator[str]:
    """`hasty`: the edge as it is in the manual, which gives up after half a second."""
    port, edge = free_port(), EDGES / f"edge.{language}" if hasty else patient(language, place)
    environment = {"EDGE": str(edge), "PORT": str(port), "IDENTITY_URL": service, "IDENTITY_KEY": "demo-private-key"}
    command = command_of(language, place, port, edge)
    with (place / "shop.log").open("a") as log:
        process = subprocess.Popen(command, env=os.environ | environment, stdout=log, stderr=log)
    try:
        wait_for(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(PATIENCE)


def wait_for(port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise TimeoutError(port)


class Browser:
    """Keeps cookies as a browser does, flags aside."""

    def __init__(self, shop: str) -> None:
        self.shop = shop
        self.cookies: dict[str, str] = {}
        self.lines: list[str] = []

    def open(self, path: str = "/", body: object = None, **headers: str) -> str:
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        told = {"Cookie": cookie, "User-Agent": AGENT} | {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.shop + path, None if body is None else json.dumps(body).encode(), told)
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            self.lines = answer.headers.get_all("set-cookie", [])
            for name, morsel in (pair for line in self.lines for pair in SimpleCookie(line).items()):
                self.cookies[name] = morsel.value
                if morsel["max-age"] == "0":
                    del self.cookies[name]
            return str(answer.read().decode())

    def order(self, sale: str, **more: object) -> str:
        return self.open("/order", {"sale": sale, "products": [{"id": 1, "price": 5}]} | more)


@dataclass(frozen=True)
class Answer:
    """`late`: it never comes. `lost`: a real service keeps what was sent, and its answer is lost on the way."""

    status: int = 200
    body: bytes | dict[str, object] = b""
    headers: tuple[tuple[str, str], ...] = ()
    late: bool = False
    lost: bool = False


@dataclass(frozen=True)
class Asked:
    path: str
    headers: dict[str, str]
    body: dict[str, Any]


COOKIELESS = Answer(body={"mode": "cookieless", "visitor": "v", "token": "1c.v.t.s", "decision": {"reason": "no_signal"}})
NOBODY = Answer(body={"mode": "null", "visitor": None, "token": None, "decision": {"reason": "consent_refused"}})
STORELESS = Answer(body={"mode": "null", "visitor": None, "token": None, "decision": {"reason": "store_unavailable"}})
KEPT = Answer(body={"status": "ok"})
COOKIES = (("Set-Cookie", "kept=yes; Path=/"), ("Set-Cookie", "also=kept; Path=/; Secure; HttpOnly; SameSite=Lax"))


class Scripted:
    """Gives the answers that are laid out for a path, in turn, and then the usual ones; keeps what it was asked. `behind`: a real service
    that answers instead of the usual ones."""

    def __init__(self) -> None:
        self.answers: defaultdict[str, deque[Answer]] = defaultdict(deque)
        self.asked: list[Asked] = []
        self.behind: Service | None = None
        self.ended = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def begin(self) -> None:
        self.answers.clear()
        self.asked.clear()
        self.behind = None

    def lay_out(self, path: str, *answers: Answer) -> None:
        self.answers[path].extend(answers)

    def sales(self) -> list[dict[str, Any]]:
        return [one.body for one in self.asked if one.path == SALE]

    def paths(self) -> list[str]:
        return [one.path for one in self.asked]

    def close(self) -> None:
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()

    def answer(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        laid = self.answers[asked.path]
        if laid:
            found = laid.popleft()
            if found.lost and self.behind:
                self.behind.call(asked.path, asked.body)
            return found
        if self.behind:
            status, body = self.behind.call(asked.path, asked.body)
            return Answer(status, body)
        return KEPT if asked.path == SALE else COOKIELESS

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                found = outer.answer(Asked(self.path, {name.lower(): value for name, value in self.headers.items()}, body))
                if found.late:
                    outer.ended.wait(PATIENCE)
                if found.late or found.lost:
                    self.close_connection = True
                    return
                content = found.body if isinstance(found.body, bytes) else json.dumps(found.body).encode()
                self.send_response(found.status)
                for name, value in found.headers:
                    self.send_header(name, value)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None: ...

        return Handler
