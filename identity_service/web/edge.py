"""The middleware around every call: request ID, limits on headers, CORS, errors as answers, one log line, one count."""

import asyncio
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from identity_service.errors import HeadersTooLarge, Malformed, MethodNotAllowed, NotFound, ServiceError
from identity_service.model.shop import NO_ORIGIN
from identity_service.server.logs import log, log_answered, where
from identity_service.server.metrics import REQUESTS, count, observe_request
from identity_service.web.call import Reply
from identity_service.web.endpoint import AnswerSend, error_reply, send_reply

PRIVATE = [(b"cache-control", b"private, no-store"), (b"vary", b"Cookie, Origin"), (b"x-content-type-options", b"nosniff")]
ORIGIN = b"origin"
PREFLIGHT = [
    (b"access-control-allow-methods", b"GET, POST"),
    (
        b"access-control-allow-headers",
        b"authorization, content-type, baggage, sentry-trace, traceparent, tracestate, x-requested-with, newrelic, x-datadog-origin,"
        b" x-datadog-parent-id, x-datadog-sampling-priority, x-datadog-trace-id",
    ),  # beside ours those that monitoring scripts add to every call
    (b"access-control-max-age", b"600"),
]
EXPOSED = (b"access-control-expose-headers", b"retry-after, x-request-id")
"""Headers that a page's script may read: when to repeat the call, and the ID for questions about it."""
METHODS = frozenset({"GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"})
"""As the log has them."""
ID_BYTES = 9
IDS_AT_ONCE = 64


class Edge:
    """`origins`: of all shops, because preflights carry no key. `stopping`: once set, every answer closes its connection.
    `joined`: headers whose repeated values are joined, and by which separator. Of others, the first counts."""

    def __init__(
        self,
        app: ASGIApp,
        origins: frozenset[str],
        header_count: int,
        header_bytes: int,
        stopping: asyncio.Event,
        joined: Mapping[str, str],
    ) -> None:
        self._app = app
        self._join_headers = joined
        self._stopping = stopping
        self._origins = {origin.encode(): origin for origin in origins}
        self._header_count = header_count
        self._header_bytes = header_bytes
        self._request_ids = _request_ids()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.lifespan(receive, send)
            return
        request_id = next(self._request_ids)
        answered = AnswerSend(send, self._added_headers(scope, request_id))
        began = time.perf_counter()
        state = scope.setdefault("state", {})
        try:
            state["headers"] = self._checked_headers(scope["headers"], scope["http_version"])
            state["request_id"] = request_id
            scope["app"] = self
            if scope["method"] == "OPTIONS" and "access-control-request-method" in state["headers"]:
                await send_reply(answered, Reply(b"", 204, headers=PREFLIGHT))
            else:
                await self._app(scope, receive, answered)
        except Exception as error:
            await self._answer_error(error, request_id, scope, answered)
        route = state.get("route", "none")
        seconds = time.perf_counter() - began
        count(REQUESTS, route, answered.status)
        observe_request(route, seconds)
        traceparent = state["headers"].get("traceparent") if "headers" in state else None
        method = scope["method"] if scope["method"] in METHODS else "other"
        log_answered(request_id, method, route, answered.status, round(seconds * 1000, 2), traceparent)

    async def lifespan(self, receive: Receive, send: Send) -> None:
        """What the server says of its own start and end."""

    def _checked_headers(self, raw: Sequence[tuple[bytes, bytes]], version: str) -> dict[str, str]:
        """Headers by name in lower case. If repeated, the first counts; cookies and addresses are joined. Raises HeadersTooLarge or
        Malformed."""
        if len(raw) > self._header_count or sum(map(len, chain.from_iterable(raw))) > self._header_bytes:
            raise HeadersTooLarge(f"Send at most {self._header_count} headers, of {self._header_bytes} bytes in total.")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in raw}
        if len(headers) < len(raw):
            headers = _join_headers(raw, self._join_headers)
        if version != "1.0" and not headers.get("host"):
            raise Malformed("Send a Host header.")
        return headers

    def _added_headers(self, scope: Scope, request_id: str) -> list[tuple[bytes, bytes]]:
        """The headers of every answer. Scripts of a shop's pages may read answers of calls, but not admin pages."""
        added = [*PRIVATE, (b"x-request-id", request_id.encode())]
        if self._stopping.is_set():
            added.append((b"connection", b"close"))
        if ORIGIN not in dict(scope["headers"]) or scope["path"].startswith("/admin"):
            return added
        origins = [value for name, value in scope["headers"] if name == ORIGIN]
        if len(origins) == 1 and origins[0] in self._origins:
            added += [(b"access-control-allow-origin", origins[0]), EXPOSED]
            if origins[0] != NO_ORIGIN.encode():  # that may be anybody's frame
                added.append((b"access-control-allow-credentials", b"true"))
        return added

    async def _answer_error(self, error: Exception, request_id: str, scope: Scope, answered: "AnswerSend") -> None:
        headers: list[tuple[bytes, bytes]] = []
        if isinstance(error, HTTPException):
            headers = [(b"allow", allowed.encode()) for name, allowed in (error.headers or {}).items() if name == "Allow"]
            error = MethodNotAllowed("See /docs for the methods of this address.") if error.status_code == 405 else NotFound()
        if not isinstance(error, ServiceError):
            log.error("fault", request_id=request_id, error=type(error).__name__, frames=where(error))
            error = ServiceError("The service failed. Its log has the error under this request_id.")
        if answered.status:
            return
        await send_reply(answered, error_reply(error, request_id, scope["path"], headers))


def _join_headers(raw: Sequence[tuple[bytes, bytes]], joined: Mapping[str, str]) -> dict[str, str]:
    """`joined`: headers whose repeated values are joined, and by which separator."""
    headers: dict[str, str] = {}
    for raw_name, value in raw:
        name = raw_name.decode("latin-1")
        if name not in headers:
            headers[name] = value.decode("latin-1")
        elif name in joined:
            headers[name] += f"{joined[name]}{value.decode('latin-1')}"
        elif name == "host":
            raise Malformed("Send exactly one Host header.")
    return headers


def _request_ids() -> Iterator[str]:
    """IDs of 72 random bits, read from the kernel in blocks."""
    length = ID_BYTES * 4 // 3
    while True:
        block = secrets.token_urlsafe(ID_BYTES * IDS_AT_ONCE)
        yield from [block[start : start + length] for start in range(0, len(block), length)]
