"""Bytes on a socket, for requests that no client library would send."""

import re
import socket
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

HEADERS = b"host: service.test\r\nauthorization: Bearer demo-private-key\r\n"


@dataclass(frozen=True)
class Heard:
    """`statuses`: of every answer on the connection. `closed`: by the server, `seconds` after the first byte was sent."""

    statuses: list[int]
    text: str
    closed: bool
    seconds: float


def connect(url: str) -> socket.socket:
    address = urlsplit(url)
    return socket.create_connection((address.hostname, address.port), timeout=10)


def tell(url: str, *pieces: bytes, wait: float = 0.3, pause: float = 0.0) -> Heard:
    """Sends the pieces `pause` seconds apart, and listens until the server closes or says nothing for `wait` seconds."""
    with connect(url) as connection:
        began, heard, closed = time.monotonic(), b"", False
        try:
            for number, piece in enumerate(pieces):
                time.sleep(pause if number else 0)
                connection.sendall(piece)
        except OSError:
            closed = True
        connection.settimeout(wait)
        try:
            while got := connection.recv(65_536):
                heard += got
            closed = True
        except TimeoutError:
            pass
        except OSError:
            closed = True
    statuses = [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", heard)]
    return Heard(statuses, heard.decode("latin-1"), closed, time.monotonic() - began)


def post(path: str, body: bytes, *, more: bytes = b"", version: bytes = b"1.1") -> bytes:
    """A whole request; `more`: further header lines, each with its end."""
    head = b"POST %b HTTP/%b\r\n%b%bcontent-length: %d\r\n\r\n" % (path.encode(), version, HEADERS, more, len(body))
    return head + body
