"""A client's connection, as the worker's HTTP server holds it: guarded, answered in one write, and ended so that no call is lost."""

import asyncio

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from identity_service.protocol import GuardedProtocol

LAST_CALL_SECONDS = 2.0
"""How long an idle connection of a worker that stops stays open."""


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


class Connection(GuardedProtocol):
    """Of a worker that stops, stays open for one more call: a call may be on its way, and closing would reset it. The answer says that it
    is the last one here, since the application is told to end, too."""

    def shutdown(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.loop.call_later(LAST_CALL_SECONDS, super().shutdown)
        else:
            super().shutdown()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        cycle.transport = JoinedWrites(self.transport, cycle)
        super()._start_asgi_task(cycle, app)
