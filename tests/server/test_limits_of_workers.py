"""One limit for all workers of an instance, over HTTP: however a caller's connections are spread, and after workers were replaced."""

import http.client
import itertools
import os
import signal
import time
import urllib.parse
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.test_command import PATIENCE, Service, descendants, eventually, served

PER_SECOND, BURST = 5, 100
LIMITS = {"IDENTITY_LIMITS__CLIENT_PER_SECOND": str(PER_SECOND), "IDENTITY_LIMITS__BURST": str(BURST)}
AT_ONCE = PER_SECOND * BURST
CALLS = AT_ONCE * 3 // 2
HEADERS = {"Authorization": "Bearer demo-public-key"}


class Client:
    """A caller with an address of its own and connections that stay open."""

    def __init__(self, service: Service, address: str, connections: int) -> None:
        host = urllib.parse.urlsplit(service.url).netloc
        self._open = [http.client.HTTPConnection(host, timeout=PATIENCE, source_address=(address, 0)) for _ in range(connections)]

    def admitted(self, calls: int, spread: Sequence[int]) -> tuple[int, float]:
        """Of so many calls, and the seconds they took. `spread`: indexes of the connections in turn."""
        began, passed = time.monotonic(), 0
        for index in itertools.islice(itertools.cycle(spread), calls):
            connection = self._open[index]
            connection.request("POST", "/v1/verifications", b'{"token": "x"}', HEADERS)
            answer = connection.getresponse()
            answer.read()
            assert answer.status in {200, 429}
            assert (answer.status == 429) == (answer.headers["retry-after"] is not None)
            passed += answer.status == 200
        return passed, time.monotonic() - began

    def close(self) -> None:
        for connection in self._open:
            connection.close()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with served(tmp_path_factory.mktemp("limits"), "--workers", "2", **LIMITS) as running:
        yield running


@pytest.mark.parametrize(
    ("address", "connections", "spread"),
    [
        ("127.0.0.2", 1, [0]),
        ("127.0.0.3", 12, range(12)),
        ("127.0.0.4", 6, [0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5]),
    ],
    ids=["one connection", "many connections", "one busy and some idle connections"],
)
def test_a_caller_is_admitted_as_often_as_its_limit_says(service: Service, address: str, connections: int, spread: Sequence[int]) -> None:
    client = Client(service, address, connections)
    admitted, seconds = client.admitted(CALLS, spread)
    client.close()
    assert 0.9 * AT_ONCE <= admitted <= 1.1 * (AT_ONCE + PER_SECOND * seconds)


def test_what_a_caller_used_up_stays_used_up_when_workers_are_replaced(tmp_path: Path) -> None:
    with served(tmp_path, "--workers", "2", **LIMITS) as service:
        before, began = set(descendants(service.process.pid)), time.monotonic()
        client = Client(service, "127.0.0.2", 1)
        first, _ = client.admitted(CALLS, [0])
        assert first >= 0.9 * AT_ONCE
        client.close()
        os.kill(service.process.pid, signal.SIGHUP)
        assert eventually(lambda: len(set(descendants(service.process.pid)) - before) == 2, PATIENCE)
        assert eventually(lambda: len(descendants(service.process.pid)) == len(before), PATIENCE)
        client = Client(service, "127.0.0.2", 4)
        second, _ = client.admitted(CALLS, range(4))
        client.close()
        assert first + second <= 1.1 * (AT_ONCE + PER_SECOND * (time.monotonic() - began))
