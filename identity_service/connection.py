"""A client's connection: two things are left out that the HTTP server's protocol does for every request, a second write to the kernel and a
timer for the time that the connection is idle; and how it ends with its worker."""

import asyncio

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

LAST_CALL_SECONDS = 2.0


class JoinedWrites(asyncio.Transport):
    """What one answer is written to: its head leaves with the first part of its body."""

    __slots__ = ("_cycle", "_head", "_transport")

    def __init__(self, transport: asyncio.Transport, cycle: RequestResponseCycle) -> None:
        self._transport = transport
        self._cycle: RequestResponseCycle | None = cycle
        self._head = b""

    def write(self, data: bytes) -> None:  # type: ignore[override]
        cycle = self._cycle
        if cycle and cycle.response_started:
            self._cycle = None  # or neither would be freed before the collector comes
            if cycle.scope["method"] != "HEAD":
                self._head = data
                return
        self._transport.write(self._head + data)
        self._head = b""

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        self._transport.close()


class Connection(HttpToolsProtocol):
    """Has one timer, which is set again when it rings early."""

    _answered_at: float | None = None
    _timer: asyncio.TimerHandle | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._timer:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._answered_at = None
        super().data_received(data)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        cycle.transport = JoinedWrites(self.transport, cycle)
        super()._start_asgi_task(cycle, app)

    def shutdown(self) -> None:
        """Of a worker that stops, stays open for one more call: a call may be on its way, and closing would reset it. The answer says that
        it is the last one here, since the application is told to end, too."""
        if self.cycle is None or self.cycle.response_complete:
            self.loop.call_later(LAST_CALL_SECONDS, super().shutdown)
        else:
            super().shutdown()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._answered_at = self.loop.time()
        if self._timer is None:
            self._timer = self.loop.call_later(self.timeout_keep_alive, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._answered_at is None:
            return
        left = self._answered_at + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._timer = self.loop.call_later(left, self._ring)
        else:
            self.timeout_keep_alive_handler()
