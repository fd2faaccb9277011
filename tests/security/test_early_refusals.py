"""What the HTTP server refuses before the application sees it is answered in the form of its address."""

import json

import pytest

from tests.security.wire import HEADERS, tell
from tests.test_command import Service

LONG = b"x" * 6_000
MANY = b"".join(b"x-%d: 1\r\n" % number for number in range(200))


@pytest.mark.parametrize("version", [b"v2", b"v3"])
@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /%b/log/sale?sale=1&products=" + LONG + b" HTTP/1.1\r\n" + HEADERS + b"\r\n", 414),
        (b"GET /%b/log/sale?sale=1 HTTP/1.1\r\n" + HEADERS + MANY + b"\r\n", 431),
        (b"POST /%b/log/sale HTTP/1.1\r\n" + HEADERS + b"content-length: 99999999\r\n\r\n", 413),
        (b"POST /%b/log/sale HTTP/1.1\r\n" + HEADERS + b"transfer-encoding: gzip, chunked\r\n\r\n", 400),
        (b"GET /%b/log/sale HTTP/1.2\r\n" + HEADERS + b"\r\n", 400),
    ],
)
def test_plugins_read_it_in_clerks_form(service: Service, version: bytes, request_: bytes, status: int) -> None:
    heard = tell(service.url, request_.replace(b"%b", version))
    assert heard.statuses == [status]
    told = json.loads(heard.text.partition("\r\n\r\n")[2])
    assert told["status"] == "error"
    assert told["error"] == told["message"] != ""
    assert len(told["id"]) == 12


def test_other_calls_read_it_as_a_problem(service: Service) -> None:
    heard = tell(service.url, b"GET /v1/orders?cursor=" + LONG + b" HTTP/1.1\r\n" + HEADERS + b"\r\n")
    problem = json.loads(heard.text.partition("\r\n\r\n")[2])
    assert (heard.statuses, heard.closed, problem["code"], problem["status"]) == ([414], True, "target_too_long", 414)
    assert "content-type: application/problem+json\r\n" in heard.text
