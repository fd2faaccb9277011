"""A client's connection in a worker's HTTP server: it limits requests, answers in one write, and closes without losing a call.

It limits how long a request may take to arrive, and how much of it is read before the application sees it. A refused request is answered in
the format of its address, and the connection is closed: 408 if it takes too long, 414, 431, 413, 505, 429 if its client has too many
connections, and 400 if proxies could read it differently from this server. A connection that sends nothing is closed without an answer, and
so is one whose client does not read. `Upgrade` is ignored.
"""

import asyncio
import secrets
from collections import Counter
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn import Config
from uvicorn._types import ASGI3Application, ASGISendEvent, HTTPResponseBodyEvent, HTTPResponseStartEvent
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from identity_service.errors import (
    HeadersTooLarge,
    Malformed,
    RateLimited,
    ServiceError,
    TargetTooLong,
    TooLarge,
    TooSlow,
    UnknownVersion,
)
from identity_service.server.addresses import NO_PROXIES, Proxies, is_proxy, limited_client, proxies_of
from identity_service.server.logs import log_answered
from identity_service.server.metrics import CUT_OFF
from identity_service.server.problems import problem_body
from identity_service.settings.schema import Settings

VERSIONS = frozenset({"1.0", "1.1"})
TRANSFER_ENCODING = b"transfer-encoding"
LINE_FRAME = 4
CHUNK_FRAMES = 2
ID_BYTES = 9
REFUSALS: dict[HTTPStatus, ServiceError] = {
    HTTPStatus.BAD_REQUEST: Malformed("Send a valid HTTP/1.1 request (RFC 9112)."),
    HTTPStatus.REQUEST_TIMEOUT: TooSlow("Send the whole request at once."),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: TooLarge("Send a smaller body; /docs/contract#limits has the limits."),
    HTTPStatus.REQUEST_URI_TOO_LONG: TargetTooLong("Send the call as POST, with a body in place of the query."),
    HTTPStatus.TOO_MANY_REQUESTS: RateLimited("Open fewer connections, and use each for several calls.", retry_after=1),
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: HeadersTooLarge("Send fewer or shorter headers; /docs/contract#limits has the limits."),
    HTTPStatus.HTTP_VERSION_NOT_SUPPORTED: UnknownVersion("Send HTTP/1.1."),
}
OPEN: Counter[str] = Counter()
"""Open connections of this worker, by client."""
LAST_CALL_SECONDS = 2.0
"""How long a stopping worker keeps an idle connection open."""
OF_HEADERS = bytes(code for code in range(256) if code == 9 or (code >= 32 and code != 127))
"""Bytes that a header may contain (RFC 9110 5.5). None of them ends a line."""


class Part(Enum):
    """The part of a request that is being read, with the status if it is too large. The head is the request line and the headers."""

    HEAD = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    BODY = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


@dataclass(frozen=True, slots=True)
class Allowance:
    """`seconds`: from a part's first byte to its last. `size`: its bytes as sent."""

    seconds: float
    size: int


@dataclass(frozen=True, slots=True)
class Allowances:
    """`target`: bytes of a path with its query. `headers`: their number. `connections`: of one client at a time, 0 for no limit.
    `proxies`: not counted as clients."""

    head: Allowance
    body: Allowance
    target: int
    headers: int
    connections: int = 0
    proxies: Proxies = NO_PROXIES


def allowances(settings: Settings) -> Allowances:
    """The limits in bytes as sent: a header line adds a colon, a space and a line end, and chunks may double a body. The application then
    measures complete requests to the byte."""
    limits = settings.limits
    head = limits.target_bytes + limits.header_bytes + LINE_FRAME * (limits.header_count + 4)
    body = CHUNK_FRAMES * max(limits.body_bytes, limits.sale_body_bytes, limits.lookup_body_bytes)
    return Allowances(
        Allowance(limits.header_seconds, head),
        Allowance(limits.body_seconds, body),
        limits.target_bytes,
        limits.header_count,
        limits.connections_per_client if limits.enabled else 0,
        proxies_of(settings.server),
    )


class RefusedRequest(Exception):
    """Stops the parsing of a request. The protocol's `_status` is the reason."""


class Parser(httptools.HttpRequestParser):
    """Ignores `Upgrade`, which servers may do (RFC 9110 7.8). Java's HttpClient sends it with its first calls. The library stops after
    such a head, so the parser is fed the same head without `Upgrade`, and then the rest."""

    def __init__(self, protocol: "GuardedProtocol") -> None:
        super().__init__(protocol)
        self._protocol = protocol

    @property
    def asks_for_upgrade(self) -> bool:
        """Whether the head asks for another protocol. CONNECT does not count."""
        return self.should_upgrade() and self.get_method() != b"CONNECT"

    def feed_data(self, data: bytes) -> None:  # type: ignore[override]  # nothing else comes
        while True:
            try:
                super().feed_data(data)
                return
            except httptools.HttpParserUpgrade as stopped:
                if not self.asks_for_upgrade:
                    raise
                data = self._head() + data[stopped.args[0] :]

    def _head(self) -> bytes:
        lines = [b"%b: %b" % header for header in self._protocol.headers if header[0] != b"upgrade"]
        first = b"%b %b HTTP/%b" % (self.get_method(), self._protocol.url, self.get_http_version().encode())
        return b"\r\n".join((first, *lines, b"", b""))


class GuardedProtocol(HttpToolsProtocol):
    """One timer per connection. If it fires too early it is set again, so a usual request sets none. `_part`: of a request that has begun;
    None while the connection waits for a request or for its answer."""

    parser: Parser

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        allowed: Allowances,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.parser = Parser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as the library's own
        self.url = b""
        self.headers = []
        self._allowed = allowed
        self._tick = min(allowed.head.seconds, allowed.body.seconds, config.timeout_keep_alive)
        self._part: Part | None = None
        self._upgrading = False
        self._idle = False
        self._size = 0
        self._due: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stuck: asyncio.TimerHandle | None = None
        self._status = HTTPStatus.BAD_REQUEST
        self._peer: str | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._set_deadline(Part.HEAD)
        self._peer = self._client_to_count()
        if self._peer:
            OPEN[self._peer] += 1
            if OPEN[self._peer] > self._allowed.connections:
                self._refuse(HTTPStatus.TOO_MANY_REQUESTS)

    def _client_to_count(self) -> str | None:
        """The client for the limit on connections. None for the operator's own proxies, and for a socket without an address."""
        address = self.client[0] if self.client and self._allowed.connections else None
        return None if address is None or is_proxy(address, self._allowed.proxies) else limited_client(address)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._peer:
            OPEN[self._peer] -= 1
            if not OPEN[self._peer]:
                del OPEN[self._peer]
        for timer in filter(None, (self._timer, self._stuck)):
            timer.cancel()

    def pause_writing(self) -> None:
        """The client does not read its answer. It gets as much time for that as for sending a body."""
        super().pause_writing()
        self._stuck = self.loop.call_later(self._allowed.body.seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stuck:
            self._stuck.cancel()

    def data_received(self, data: bytes) -> None:
        before, cycle = self._part or self._awaited_part(), self.cycle
        if self._idle:
            self._idle, self._due = False, None
        super().data_received(data)
        part = self._part or self._awaited_part()
        if part is None or self.transport.is_closing():
            return
        self._set_deadline(part)
        if part is before and self.cycle is cycle:
            self._size += len(data)
        if self._size > self._allowance(part).size:
            self._refuse(part.value)
        elif len(self.url) > self._allowed.target:
            self._refuse(HTTPStatus.REQUEST_URI_TOO_LONG)
        elif len(self.headers) > self._allowed.headers:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._part, self._due = Part.HEAD, None

    def on_headers_complete(self) -> None:
        self._upgrading = self.parser.asks_for_upgrade
        if self._upgrading:
            return
        status = self._fault_of_head(self.parser.get_http_version())
        if status:
            self._status = status
            raise RefusedRequest
        super().on_headers_complete()
        self.headers = []  # trailers go here: the application already has its list, and trailers are not headers
        self._part, self._due = Part.BODY, None

    def on_message_complete(self) -> None:
        if self._upgrading:
            return
        super().on_message_complete()
        self._part = self._due = None
        if self.cycle.response_complete:
            self._rest()

    def on_response_complete(self) -> None:
        """Replaces the library's method, which would set a timer after every answer."""
        if self.pipeline or self.transport.is_closing():
            super().on_response_complete()
        else:
            self.server_state.total_requests += 1
            self.flow.resume_reading()
            if self._part is None:
                self._rest()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 the server's word for whatever its parser refused
        self._refuse(self._status)

    def _awaited_part(self) -> Part | None:
        """The part to expect between requests; None while one is being answered. Blank lines before a request belong to its head."""
        return Part.HEAD if self.cycle is None or self.cycle.response_complete else None

    def _allowance(self, part: Part) -> Allowance:
        return self._allowed.head if part is Part.HEAD else self._allowed.body

    def _set_deadline(self, part: Part) -> None:
        if self._due is None:
            self._wait(self._allowance(part).seconds)

    def _rest(self) -> None:
        self._idle = True  # until the first byte of the next request
        self._wait(self.timeout_keep_alive)

    def _wait(self, seconds: float) -> None:
        self._due, self._size = self.loop.time() + seconds, 0
        if self._timer is None:
            self._timer = self.loop.call_later(self._tick, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._due is None or self.transport.is_closing():
            return
        if self.flow.read_paused or (self._part is not Part.BODY and self._is_answering()):
            self._due = self.loop.time() + 1
        left = self._due - self.loop.time()
        if left > 0:
            self._timer = self.loop.call_later(min(left, self._tick), self._ring)
        elif self._part is None:
            self.transport.close()
        else:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _fault_of_head(self, version: str) -> HTTPStatus | None:
        """The parser would accept chunked bodies of HTTP/1.0."""
        if len(self.url) > self._allowed.target:
            return HTTPStatus.REQUEST_URI_TOO_LONG
        if version not in VERSIONS:
            return HTTPStatus.HTTP_VERSION_NOT_SUPPORTED
        if TRANSFER_ENCODING not in dict(self.headers):
            return None
        codings = [value.lower() for name, value in self.headers if name == TRANSFER_ENCODING]
        return HTTPStatus.BAD_REQUEST if version == "1.0" or codings != [b"chunked"] else None

    def _refuse(self, status: HTTPStatus) -> None:
        """Sends no answer if one is already being sent: the client would take a second one for the next request's."""
        CUT_OFF.labels(status.value).inc()
        if self._part is not Part.BODY and self._is_answering():
            self.cycle.keep_alive = False
            self.flow.pause_reading()
            return
        if self._part is not Part.BODY or not (self.pipeline or self.cycle.response_started):
            self.transport.write(self._refusal(status))
        self.transport.close()

    def _refusal(self, status: HTTPStatus) -> bytes:
        error, request_id = REFUSALS[status], secrets.token_urlsafe(ID_BYTES)
        _, media, body = problem_body(error, request_id, self.url.partition(b"?")[0].decode("latin-1"))
        log_answered(request_id, "other", "none", status.value, 0.0)
        lines = [b"HTTP/1.1 %d %b" % (status, status.phrase.encode()), b"content-type: %b" % media.encode()]
        lines.append(b"x-request-id: %b" % request_id.encode())
        lines += [b"retry-after: %d" % error.retry_after] if error.retry_after else []
        return b"\r\n".join((*lines, b"content-length: %d" % len(body), b"connection: close", b"", body))


class ResponseWriter:
    """Sends the application's answer to one request, with head and body in one write.

    It writes complete answers on connections that stay open, which nearly all are. The library writes the others. An application that has
    both messages at once calls `write_whole`.
    """

    __slots__ = ("_cycle", "_start")

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self._start: HTTPResponseStartEvent | None = None

    async def __call__(self, message: ASGISendEvent) -> None:
        start, self._start = self._start, None
        if message["type"] == "http.response.start":
            self._start = message
            return
        if start and message["type"] == "http.response.body" and self.write_whole(start, message):
            return
        if start:
            await self._cycle.send(start)
        await self._cycle.send(message)

    def write_whole(self, start: HTTPResponseStartEvent, message: HTTPResponseBodyEvent) -> bool:
        """False if the library must write the answer. It also reports invalid headers."""
        cycle, body, headers = self._cycle, message.get("body", b""), [*self._cycle.default_headers, *start["headers"]]
        if cycle.transport.is_closing():  # the client went while a call before this one was answered
            self._end()
            return True
        if cycle.disconnected or cycle.flow.write_paused or not cycle.keep_alive or cycle.scope["method"] == "HEAD":
            return False
        head = b"\r\n".join(map(b": ".join, headers))
        whole = not message.get("more_body") and (b"content-length", b"%d" % len(body)) in headers
        if not whole or b"\nconnection: " in head or head.translate(None, OF_HEADERS) != b"\r\n" * (len(headers) - 1):
            return False
        cycle.transport.write(b"%b%b\r\n\r\n%b" % (STATUS_LINE[start["status"]], head, body))
        self._end()
        return True

    def _end(self) -> None:
        cycle = self._cycle
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        cycle.on_response()


class ClientConnection(GuardedProtocol):
    """While a worker stops, an idle connection stays open for two more seconds, so that a call on its way is answered instead of reset.
    That answer has `Connection: close`."""

    def shutdown(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.loop.call_later(LAST_CALL_SECONDS, super().shutdown)
        else:
            super().shutdown()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        super()._start_asgi_task(cycle, lambda scope, receive, _send: app(scope, receive, ResponseWriter(cycle)))
