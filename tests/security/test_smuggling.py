"""Requests that two servers could read in two ways: one answer at most, a refusal, and what is hidden in them never happens."""

import re

import pytest

from tests.security.wire import HEADERS, post, tell
from tests.test_command import Service

HIDDEN = "hidden@example.com"
SECOND = post("/v1/links", b'{"email": "hidden@example.com", "visitor": "evil"}')
HEAD = b"POST /v1/visitors HTTP/1.1\r\n" + HEADERS
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n"
SIZED = HEAD + b"content-length: 2\r\n"
EMPTY = b"0\r\n\r\n"

REFUSED = {
    "length and coding": HEAD + b"content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding and length": CHUNKED + b"content-length: 4\r\n\r\n" + EMPTY,
    "two lengths": SIZED + b"content-length: 3\r\n\r\n{} ",
    "the same length twice": SIZED + b"content-length: 2\r\n\r\n{}",
    "a list of lengths": HEAD + b"content-length: 2, 2\r\n\r\n{}",
    "a signed length": HEAD + b"content-length: +2\r\n\r\n{}",
    "a negative length": HEAD + b"content-length: -2\r\n\r\n{}",
    "a length in hex": HEAD + b"content-length: 0x2\r\n\r\n{}",
    "an endless length": HEAD + b"content-length: 99999999999999999999999\r\n\r\n{}",
    "an empty length": HEAD + b"content-length:\r\n\r\n{}",
    "a space before the colon": HEAD + b"content-length : 2\r\n\r\n{}",
    "an unknown coding": HEAD + b"transfer-encoding: identity\r\n\r\n{}",
    "a prefixed coding": HEAD + b"transfer-encoding: xchunked\r\n\r\n" + EMPTY,
    "chunked first": HEAD + b"transfer-encoding: chunked, identity\r\n\r\n" + EMPTY,
    "chunked last": HEAD + b"transfer-encoding: gzip, chunked\r\n\r\n" + EMPTY,
    "two codings": CHUNKED + b"transfer-encoding: identity\r\n\r\n" + EMPTY,
    "two codings, chunked last": HEAD + b"transfer-encoding: identity\r\ntransfer-encoding: chunked\r\n\r\n" + EMPTY,
    "a quoted coding": HEAD + b'transfer-encoding: "chunked"\r\n\r\n' + EMPTY,
    "a vertical tab before the coding": HEAD + b"transfer-encoding: \x0bchunked\r\n\r\n" + EMPTY,
    "a space after the coding's name": HEAD + b"transfer-encoding : chunked\r\n\r\n" + EMPTY,
    "a folded coding": HEAD + b"transfer-encoding:\r\n chunked\r\n\r\n" + EMPTY,
    "a folded header": SIZED + b"x: y\r\n z: 1\r\n\r\n{}",
    "a request line that ends with LF": b"POST /v1/visitors HTTP/1.1\n" + HEADERS + b"content-length: 2\r\n\r\n{}",
    "a header that ends with LF": HEAD + b"x: y\ncontent-length: 2\r\n\r\n{}",
    "a header that ends with CR": HEAD + b"x: y\rcontent-length: 2\r\n\r\n{}",
    "NUL in a name": SIZED + b"x\0: y\r\n\r\n{}",
    "NUL in a value": SIZED + b"x: y\0\r\n\r\n{}",
    "a header without a colon": SIZED + b"junk\r\n\r\n{}",
    "a header without a name": SIZED + b": junk\r\n\r\n{}",
    "a negative chunk": CHUNKED + b"\r\n-2\r\n{}\r\n0\r\n\r\n",
    "a chunk in 0x": CHUNKED + b"\r\n0x2\r\n{}\r\n0\r\n\r\n",
    "an endless chunk": CHUNKED + b"\r\nffffffffffffffffff\r\n{}\r\n0\r\n\r\n",
    "a chunk's size with a space": CHUNKED + b"\r\n2 \r\n{}\r\n0\r\n\r\n",
    "a chunk longer than it says": CHUNKED + b"\r\n2\r\n{}0\r\n\r\n",
    "a chunk's size that ends with LF": CHUNKED + b"\r\n2\n{}\r\n0\r\n\r\n",
    "a chunk's extension that ends with LF": CHUNKED + b"\r\n2;a\n{}\r\n0\r\n\r\n",
    "the last chunk ends with LF": CHUNKED + b"\r\n2\r\n{}\r\n0\n\n",
    "HTTP/1.0 in chunks": b"POST /v1/visitors HTTP/1.0\r\n" + HEADERS + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n" + EMPTY,
    "a tunnel": b"CONNECT evil.example:443 HTTP/1.1\r\n" + HEADERS + b"\r\n",
    "a version of tomorrow": b"GET /healthz HTTP/1.2\r\n" + HEADERS + b"\r\n",
    "a space before the method": b" GET /healthz HTTP/1.1\r\n" + HEADERS + b"\r\n",
    "tabs in the request line": b"GET\t/healthz\tHTTP/1.1\r\n" + HEADERS + b"\r\n",
    "an unknown method": b"TRACK /healthz HTTP/1.1\r\n" + HEADERS + b"\r\n",
    "a TLS greeting": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "the greeting of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}
OTHER_VERSIONS = {
    "HTTP/0.9": b"GET /healthz\r\n\r\n",
    "HTTP/0.9 by name": b"GET /healthz HTTP/0.9\r\n" + HEADERS + b"\r\n",
    "HTTP/2": b"GET /healthz HTTP/2.0\r\n" + HEADERS + b"\r\n",
}


def assert_nothing_hidden_happened(service: Service) -> None:
    assert service.call("/v1/lookups", {"email": HIDDEN}) == (200, {"visitors": []})


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_be_read_in_two_ways_is_refused_and_the_connection_closed(service: Service, name: str) -> None:
    for pieces in ([REFUSED[name] + SECOND], [REFUSED[name], SECOND]):
        heard = tell(service.url, *pieces, pause=0.02)
        assert (heard.statuses, heard.closed) in (([400], True), ([], True)), heard.text
    assert tell(service.url, REFUSED[name]).statuses == [400]
    assert_nothing_hidden_happened(service)


@pytest.mark.parametrize("name", OTHER_VERSIONS)
def test_another_version_of_http_is_not_spoken(service: Service, name: str) -> None:
    heard = tell(service.url, OTHER_VERSIONS[name])
    assert (heard.statuses, heard.closed) == ([505], True)


@pytest.mark.parametrize("hosts", [b"", b"host: a\r\nhost: b\r\n", b"host:\r\n"], ids=["none", "two", "empty"])
def test_a_request_without_one_host_is_refused(service: Service, hosts: bytes) -> None:
    assert tell(service.url, b"GET /healthz HTTP/1.1\r\n" + hosts + b"\r\n").statuses == [400]


@pytest.mark.parametrize("coding", [b"content-length: %d" % len(SECOND), b"transfer-encoding: chunked"], ids=["sized", "chunked"])
def test_the_body_of_an_upgrade_is_no_request_of_its_own(service: Service, coding: bytes) -> None:
    heard = tell(service.url, HEAD + coding + b"\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n", SECOND, pause=0.1)
    assert heard.statuses in ([400], [])
    assert_nothing_hidden_happened(service)


@pytest.mark.parametrize("wish", [b"h2c", b"websocket", b"TLS/1.3, h2c"])
@pytest.mark.parametrize("pause", [0.0, 0.05])
def test_a_wish_for_another_protocol_is_ignored(service: Service, wish: bytes, pause: float) -> None:
    """Java's client sends it with every first call: the body is the call's own, and the next request is the next."""
    more = b"connection: Upgrade, HTTP2-Settings\r\nhttp2-settings: AAEAAEAAAAIAAAABAAMAAABk\r\nupgrade: %b\r\n" % wish
    sized, get = post("/v1/visitors", b'{"visitor": "v-1"}', more=more), b"GET /healthz HTTP/1.1\r\n" + HEADERS + more + b"\r\n"
    chunks = HEAD + more + b'transfer-encoding: chunked\r\n\r\n12\r\n{"visitor": "v-2"}\r\n0\r\n\r\n'
    whole = sized + get + chunks + post("/v1/visitors", b'{"visitor": "v-3"}') + sized
    pieces = [whole] if not pause else [whole[at : at + 150] for at in range(0, len(whole), 150)]
    heard = tell(service.url, *pieces, pause=pause)
    assert (heard.statuses, heard.closed) == ([200] * 5, False), heard.text
    assert re.findall(r'"visitor":"(v-\d)"', heard.text) == ["v-1", "v-2", "v-3", "v-1"]


def test_many_wishes_at_once_are_many_requests(service: Service) -> None:
    one = b"GET /healthz HTTP/1.1\r\n" + HEADERS + b"connection: upgrade\r\nupgrade: h2c\r\n\r\n"
    assert tell(service.url, one * 300).statuses == [200] * 300


@pytest.mark.parametrize(
    "request_head",
    [
        b"transfer-encoding: gzip, chunked\r\n",
        b"content-length: 2\r\ntransfer-encoding: chunked\r\n",
        b"content-length: 2\r\ncontent-length: 3\r\n",
    ],
)
def test_a_wish_for_another_protocol_hides_no_fault(service: Service, request_head: bytes) -> None:
    head = HEAD + b"connection: upgrade\r\nupgrade: h2c\r\n" + request_head + b"\r\n"
    assert tell(service.url, head + EMPTY + SECOND).statuses == [400]
    assert_nothing_hidden_happened(service)


def test_a_body_is_never_a_request(service: Service) -> None:
    for path in ("/healthz", "/v1/visitors", "/v1/nothing", "/visitor.js"):
        for method in (b"GET", b"POST", b"PUT"):
            head = b"%b %b HTTP/1.1\r\n%bcontent-length: %d\r\n\r\n" % (method, path.encode(), HEADERS, len(SECOND))
            assert len(tell(service.url, head, SECOND, pause=0.02, wait=0.1).statuses) == 1
    assert_nothing_hidden_happened(service)


def test_what_a_trailer_says_is_no_header(service: Service) -> None:
    trailers = b"authorization: Bearer demo-private-key\r\nx-forwarded-for: 198.51.100.1\r\ncookie: visitor-choice=refused\r\n\r\n"
    chunks = b"host: service.test\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n" + trailers
    keyless = tell(service.url, b"POST /v1/visitors HTTP/1.1\r\n" + chunks)
    refused = tell(service.url, b"POST /v1/visitors HTTP/1.1\r\nauthorization: Bearer demo-private-key\r\n" + chunks)
    assert keyless.statuses == [401]
    assert '"reason":"no_signal"' in refused.text


def test_requests_in_one_packet_are_answered_in_order(service: Service) -> None:
    heard = tell(service.url, b"".join(post("/v1/visitors", b'{"visitor": "v-%d"}' % number) for number in range(20)))
    assert heard.statuses == [200] * 20
    assert [heard.text.find(f'"visitor":"v-{number}"') for number in range(20)] == sorted(
        heard.text.find(f'"visitor":"v-{number}"') for number in range(20)
    )


def test_a_request_before_an_unreadable_one_is_answered_first_and_alone(service: Service) -> None:
    heard = tell(service.url, post("/v1/visitors", b'{"visitor": "v-1"}') + b"\0junk\r\n\r\n" + SECOND)
    assert (heard.statuses, heard.closed) == ([200], True)
    assert '"visitor":"v-1"' in heard.text
    assert_nothing_hidden_happened(service)


def test_a_connection_can_be_used_again_after_refusals_of_the_application(service: Service) -> None:
    heard = tell(service.url, *(post("/v1/visitors", body) for body in (b"{", b'{"visitor": 7}', b"{}")), pause=0.02)
    assert (heard.statuses, heard.closed) == ([400, 422, 200], False)
