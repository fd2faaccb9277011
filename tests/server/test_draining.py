"""A service that ends refuses new connections at once, so that a proxy asks another instance, and answers on those that it has."""

import signal
import socket
from http.client import HTTPConnection
from pathlib import Path

from tests.faults.running import RunningService
from tests.test_command import eventually


def is_refused(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_service_that_ends_refuses_new_connections_while_it_answers_on_open_ones(tmp_path: Path) -> None:
    with RunningService(tmp_path, tmp_path / "data", 2) as service:
        kept = HTTPConnection("127.0.0.1", service.port, timeout=10)
        kept.connect()
        service.signal(signal.SIGTERM)
        assert eventually(lambda: is_refused(service.port))
        kept.request("GET", "/healthz")
        answer = kept.getresponse()
        assert (answer.status, answer.getheader("connection")) == (200, "close")
        kept.close()
