"""A real Valkey for tests: one process a test session, emptied between tests. It starts in 40 ms."""

import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import redis

from identity_service.ops.blocking import direct
from identity_service.store.embedded import server_binary
from identity_service.store.sales import unpacked

PATIENT_STORE = {"IDENTITY_STORE__TIMEOUT_SECONDS": "10"}
"""For what does not test the time-out: a busy machine's store may need more than half a second."""


@contextmanager
def valkey(*flags: str, program: str = "") -> Iterator[str]:
    """Yields its `unix://` URL. `program`: another server's than the embedded store's."""
    with tempfile.TemporaryDirectory(prefix="identity-test-") as directory:
        path = Path(directory) / "s.sock"
        command = [program or str(server_binary()), "--port", "0", "--unixsocket", str(path), "--dir", directory, "--save", "", *flags]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            _wait(path)
            yield f"unix://{path}"
        finally:
            server.terminate()
            server.wait(10)


def view(url: str) -> redis.Redis:
    """Of all data of a store on any topology; replies come as text, and what is none with backslashes. To be closed by the caller."""
    return cast(redis.Redis, direct(f"{url}{'&' if '?' in url else '?'}decode_responses=1&encoding_errors=backslashreplace", 10))


def sale_at(database: redis.Redis, key: str | bytes) -> dict[str, str]:
    """Fields of a stored sale; none where there is none."""
    return unpacked(str(database.get(key) or ""))


def _wait(path: Path) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(path))
            except OSError:
                time.sleep(0.01)
                continue
            probe.sendall(b"PING\r\n")
            if probe.recv(16).startswith(b"+PONG"):
                return
    raise TimeoutError("the test server did not start")
