"""A client's connection, as the worker's HTTP server holds it: guarded, answered in one write, and ended so that no call is lost."""

from uvicorn._types import ASGI3Application, ASGISendEvent, HTTPResponseBodyEvent, HTTPResponseStartEvent
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from identity_service.server.protocol import GuardedProtocol

LAST_CALL_SECONDS = 2.0
"""How long an idle connection of a worker that stops stays open."""
OF_HEADERS = bytes(code for code in range(256) if code == 9 or (code >= 32 and code != 127))
"""What a header may hold (RFC 9110 5.5), none of which ends a line."""


class Answer:
    """What the application answers one request by: head and body leave in one write.

    An answer that is there whole, on a connection that stays open, is written here, since nearly all are; any other one by the library.
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
        if start and message["type"] == "http.response.body" and self._write_whole(start, message):
            return
        if start:
            await self._cycle.send(start)
        await self._cycle.send(message)

    def _write_whole(self, start: HTTPResponseStartEvent, message: HTTPResponseBodyEvent) -> bool:
        """False where the library has to answer, which also tells of headers that are none."""
        cycle, body, headers = self._cycle, message.get("body", b""), [*self._cycle.default_headers, *start["headers"]]
        if cycle.disconnected or cycle.flow.write_paused or not cycle.keep_alive or cycle.scope["method"] == "HEAD":
            return False
        head = b"\r\n".join(map(b": ".join, headers))
        whole = not message.get("more_body") and (b"content-length", b"%d" % len(body)) in headers
        if not whole or b"\nconnection: " in head or head.translate(None, OF_HEADERS) != b"\r\n" * (len(headers) - 1):
            return False
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        cycle.transport.write(b"%b%b\r\n\r\n%b" % (STATUS_LINE[start["status"]], head, body))
        cycle.on_response()
        return True


class Connection(GuardedProtocol):
    """Of a worker that stops, stays open for one more call: a call may be on its way, and closing would reset it. The answer says that it
    is the last one here, since the application is told to end, too."""

    def shutdown(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.loop.call_later(LAST_CALL_SECONDS, super().shutdown)
        else:
            super().shutdown()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        super()._start_asgi_task(cycle, lambda scope, receive, _send: app(scope, receive, Answer(cycle)))
