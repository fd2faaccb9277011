"""JSON logs, one line an event, to standard error. No event carries an email, ID, token, key, address, user agent, or raw path."""

import asyncio
import atexit
import contextlib
import logging
import sys
import time
import traceback
from collections import deque
from collections.abc import MutableMapping
from typing import Any

import msgspec
import structlog

log: structlog.stdlib.BoundLogger = structlog.get_logger()
MOST_WAITING = 512


def configure(level: str) -> None:
    structlog.configure(
        processors=[_line],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=lambda *_names: LINES,
        cache_logger_on_first_use=True,
    )


class Lines:
    """Lines of one turn of the event loop leave in one write, in their order; warnings and errors, and without a loop all, at once."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()

    def info(self, line: bytes) -> None:
        self._waiting.append(line)
        if len(self._waiting) == 1:
            try:
                asyncio.get_running_loop().call_soon(self.write)
            except RuntimeError:
                self.write()
        elif len(self._waiting) >= MOST_WAITING:
            self.write()

    def error(self, line: bytes) -> None:
        self._waiting.append(line)
        self.write()

    debug, warning, critical = info, error, error

    def write(self) -> None:
        lines: list[bytes] = []
        with contextlib.suppress(IndexError):  # another thread may take some
            while self._waiting:
                lines.append(self._waiting.popleft())
        if lines:
            sys.stderr.buffer.write(b"".join(lines))
            sys.stderr.buffer.flush()


LINES = Lines()
atexit.register(LINES.write)


def _line(_lines: Lines, level: str, event: MutableMapping[str, Any]) -> bytes:
    now = time.time()
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
    event["level"], event["timestamp"] = level, f"{moment}.{int(now % 1 * 1_000_000):06}Z"
    return msgspec.json.encode(event) + b"\n"


def where(error: BaseException) -> list[str]:
    """The frames of an error, without its message and values: those may hold what a caller sent."""
    return [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)[-8:]]


class ServerLines(logging.Handler):
    """Turns the HTTP server's own lines into our form. From warnings on they may quote a request, so only their template is kept. They are
    written at once: after its last one the server may end by a signal."""

    def emit(self, record: logging.LogRecord) -> None:
        told = record.getMessage() if record.levelno < logging.WARNING else str(record.msg)
        log.log(record.levelno, told.partition("\n")[0], logger=record.name)
        LINES.write()


SERVER_LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"lines": {"()": "identity_service.logs.ServerLines"}},
    "loggers": {"uvicorn": {"handlers": ["lines"], "level": "INFO", "propagate": False}},
}
