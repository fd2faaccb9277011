"""Too much, and too slowly: what is cut off, when, and that nobody else notices."""

import selectors
import socket
import threading
import time
from pathlib import Path

import pytest

from tests.security.conftest import BODY_SECONDS, HEADER_SECONDS
from tests.security.wire import HEADERS, connect, post, tell
from tests.test_command import PATIENCE, Service, descendants, eventually

LATE = 20.0
"""Seconds that a busy machine may take longer; a connection that is never cut off is still seen."""
HEAD = b"GET /healthz HTTP/1.1\r\n" + HEADERS
POST = b"POST /v1/visitors HTTP/1.1\r\n" + HEADERS


def worker_of(service: Service) -> int:
    return next(pid for pid in descendants(service.process.pid) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes())


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def open_sockets(service: Service) -> int:
    found = 0
    for file in Path(f"/proc/{worker_of(service)}/fd").iterdir():
        try:
            found += str(file.readlink()).startswith("socket:")
        except OSError:
            continue
    return found


@pytest.mark.parametrize(
    ("pieces", "statuses", "seconds"),
    [
        ([], [], HEADER_SECONDS),
        ([b"GET /hea"], [408], HEADER_SECONDS),
        ([HEAD + b"x: y"], [408], HEADER_SECONDS),
        ([b"GET /healthz HTTP/1.1\r\n", *[b"x: y\r\n"] * 60], [408], HEADER_SECONDS),
        ([POST + b"content-length: 20\r\n\r\n", *[b" "] * 12], [408], BODY_SECONDS),
        ([POST + b"transfer-encoding: chunked\r\n\r\n2\r\n{"], [408], BODY_SECONDS),
        ([post("/v1/visitors", b"{}"), b"\r\n"], [200], HEADER_SECONDS),
        ([post("/v1/visitors", b"{}"), b"POST /v1/vis"], [200, 408], HEADER_SECONDS),
        ([POST + b"content-length: 9\r\n\r\n{}       " + b"GET /slow"], [200, 408], HEADER_SECONDS),
        ([b"PUT /v1/visitors HTTP/1.1\r\n" + HEADERS + b"content-length: 20\r\n\r\n", b"{}"], [405], BODY_SECONDS),
    ],
    ids=range(10),
)
def test_what_comes_too_slowly_is_cut_off(service: Service, pieces: list[bytes], statuses: list[int], seconds: float) -> None:
    heard = tell(service.url, *pieces, pause=0.05, wait=BODY_SECONDS + LATE)
    assert (heard.statuses, heard.closed) == (statuses, True), heard.text
    assert seconds * 0.9 <= heard.seconds <= seconds + 3 + LATE


def test_a_connection_in_use_is_not_cut_off(service: Service) -> None:
    with connect(service.url) as connection:
        began = time.monotonic()
        while time.monotonic() < began + HEADER_SECONDS + BODY_SECONDS:
            connection.sendall(HEAD + b"\r\n")
            assert connection.recv(65_536)
            time.sleep(0.2)


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        ([b"GET /" + b"a" * 5_000], 414),
        ([b"GET /" + b"a" * 5_000 + b" HTTP/1.1\r\n" + HEADERS + b"\r\n"], 414),
        ([b"GET /healthz?" + b"a" * 5_000 + b" HTTP/1.1\r\n" + HEADERS + b"\r\n"], 414),
        ([b"A" * 65_536] * 4, 400),
        ([HEAD + b"x: "] + [b"a" * 4_096] * 2_048, 431),
        ([HEAD] + [b"a: b\r\n" * 100] * 200, 431),
        ([HEAD + b"a: b\r\n" * 20_000 + b"\r\n"], 431),
        ([HEAD + b"a" * 300_000], 431),
        ([b"\r\n" * 4_096] * 200, 431),
    ],
    ids=["address", "whole address", "query", "method", "8 MiB header", "headers", "20,000 headers", "name", "blank lines"],
)
def test_a_head_that_is_too_large_is_refused_while_it_comes(service: Service, pieces: list[bytes], status: int) -> None:
    heard = tell(service.url, *pieces, wait=HEADER_SECONDS)
    assert heard.closed or heard.statuses == [status]
    assert heard.statuses in ([status], [])
    assert tell(service.url, HEAD + b"\r\n", wait=0.1).statuses == [200]


@pytest.mark.parametrize("target", [4_096, 4_097])
def test_an_address_may_have_4_kib(service: Service, target: int) -> None:
    address = b"/healthz?" + b"a" * (target - len("/healthz?"))
    assert tell(service.url, b"GET " + address + b" HTTP/1.1\r\n" + HEADERS + b"\r\n").statuses == [200 if target == 4_096 else 414]


CHUNK = b"1000\r\n" + b" " * 4_096 + b"\r\n"
FLOODS = {
    "50 MB of a body": (POST + b"content-length: 50000000\r\n\r\n", b" " * 65_536),
    "endless chunks": (POST + b"transfer-encoding: chunked\r\n\r\n", CHUNK * 16),
    "small chunks": (POST + b"transfer-encoding: chunked\r\n\r\n", b"1\r\n \r\n" * 8_000),
    "an endless extension": (POST + b"transfer-encoding: chunked\r\n\r\n1;", b"a" * 65_536),
    "an endless trailer": (POST + b"transfer-encoding: chunked\r\n\r\n0\r\nx: ", b"a" * 65_536),
    "endless trailers": (POST + b"transfer-encoding: chunked\r\n\r\n0\r\n", b"a: b\r\n" * 8_000),
    "endless headers": (HEAD, b"a: b\r\n" * 8_000),
    "an endless header": (HEAD + b"x: ", b"a" * 65_536),
    "a body nobody reads": (b"PUT /nothing HTTP/1.1\r\n" + HEADERS + b"content-length: 50000000\r\n\r\n", b" " * 65_536),
}


def flood(url: str, opening: bytes, piece: bytes, times: int = 800) -> int:
    """Bytes that went out before the server closed."""
    sent = 0
    with connect(url) as connection:
        try:
            connection.sendall(opening)
            for _ in range(times):
                connection.sendall(piece)
                sent += len(piece)
        except OSError:
            pass
    return sent


def test_a_flood_is_cut_off_and_leaves_no_memory(service: Service) -> None:
    worker = worker_of(service)
    for opening, piece in FLOODS.values():
        flood(service.url, opening, piece, 40)
    before = resident_bytes(worker)
    for name, (opening, piece) in FLOODS.items():
        sent = flood(service.url, opening, piece)
        assert sent < 16 * 1_048_576, name
    assert resident_bytes(worker) - before < 4 * 1_048_576
    assert service.call("/healthz")[0] == 200


def test_a_client_that_does_not_read_is_cut_off(service: Service) -> None:
    before = open_sockets(service)
    with connect(service.url) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.sendall((b"GET /openapi.json HTTP/1.1\r\n" + HEADERS + b"\r\n") * 200)
        assert eventually(lambda: open_sockets(service) > before)
        assert eventually(lambda: open_sockets(service) <= before, BODY_SECONDS + LATE)


@pytest.mark.parametrize("announced", [32_769, 50_000_000, 10**17])
def test_a_body_that_is_announced_too_large_is_refused_before_it_comes(service: Service, announced: int) -> None:
    assert tell(service.url, POST + b"content-length: %d\r\n\r\n" % announced).statuses == [413]


def test_what_follows_a_body_is_no_part_of_it(service: Service) -> None:
    heard = tell(service.url, POST + b"content-length: 2\r\n\r\n{}" + b" " * 60_000)
    assert heard.statuses == [200]


@pytest.mark.parametrize("method", [b"TRACE", b"PUT", b"DELETE", b"PATCH", b"PROPFIND", b"SEARCH", b"SUBSCRIBE"])
def test_another_method_is_405_and_repeats_nothing(service: Service, method: bytes) -> None:
    heard = tell(service.url, method + b" /v1/visitors HTTP/1.1\r\n" + HEADERS + b"x-secret: zqneedle\r\n\r\n", wait=0.1)
    assert heard.statuses == [405]
    assert "zqneedle" not in heard.text


class Crowd:
    """Connections that send a byte a second, each opened again when the server cuts it off."""

    def __init__(self, url: str, slow_heads: int, slow_bodies: int) -> None:
        self.url = url
        self.openings = [HEAD + b"x: "] * slow_heads + [POST + b"content-length: 30000\r\n\r\n{"] * slow_bodies
        self.cut_off = 0
        self.open: dict[socket.socket, bytes] = {}
        self._ready = selectors.DefaultSelector()

    def join(self, opening: bytes) -> None:
        connection = connect(self.url)
        connection.sendall(opening)
        connection.setblocking(False)
        self.open[connection] = opening
        self._ready.register(connection, selectors.EVENT_READ)

    def leave(self, connection: socket.socket) -> bytes:
        self._ready.unregister(connection)
        connection.close()
        return self.open.pop(connection)

    def harass(self, done: threading.Event) -> None:
        for opening in self.openings:
            self.join(opening)
        while not done.is_set():
            for key, _ in self._ready.select(0.2):
                assert isinstance(key.fileobj, socket.socket)
                self.cut_off += 1
                self.join(self.leave(key.fileobj))
            for connection in list(self.open):
                try:
                    connection.send(b"a")
                except OSError:
                    continue
            done.wait(0.8)
        for connection in list(self.open):
            self.leave(connection)


def test_a_thousand_slow_clients_keep_nobody_from_being_answered(service: Service, long: bool) -> None:
    crowd, done, statuses = Crowd(service.url, 1_000, 200), threading.Event(), list[int]()
    harasser = threading.Thread(target=crowd.harass, args=(done,))
    harasser.start()
    began = time.monotonic()
    while crowd.cut_off < 1_200 or len(statuses) <= 50 or (long and time.monotonic() < began + 60):
        assert time.monotonic() < began + PATIENCE, (crowd.cut_off, len(statuses))
        try:
            statuses.append(service.call("/v1/visitors", {})[0])
        except OSError:
            statuses.append(0)
        time.sleep(0.01)
    done.set()
    harasser.join()
    assert statuses.count(200) >= 0.99 * len(statuses)
