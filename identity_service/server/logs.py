"""JSON logs, one line an event, to standard error. No event carries an email, ID, token, key, address, user agent, or raw path.

Logging raises nothing: where nobody reads the log, or its disk is full, the service goes on without lines, and can still be stopped.
"""

import atexit
import contextlib
import logging
import os
import sys
import time
import traceback
from collections.abc import MutableMapping
from functools import lru_cache
from typing import Any

import msgspec
import structlog
from msgspec import Struct

log: structlog.stdlib.BoundLogger = structlog.get_logger()


def configure(level: str) -> None:
    LINES.least = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[_line],
        wrapper_class=structlog.make_filtering_bound_logger(LINES.least),
        logger_factory=lambda *_names: LINES,
        cache_logger_on_first_use=True,
    )


class Lines:
    """Each leaves in one write. `least`: level that is written."""

    least = logging.INFO

    def write(self, line: bytes) -> None:
        """Past Python's buffer: what stays in it makes whoever flushes it later fail, as the start of a process does."""
        if not sys.stderr:
            return
        with contextlib.suppress(OSError, ValueError):  # broken or full; closed
            out = getattr(sys.stderr.buffer, "raw", sys.stderr.buffer)
            while line:
                line = line[out.write(line) or len(line) :]

    debug = info = warning = error = critical = write


LINES = Lines()


def end() -> None:
    """What nobody takes would otherwise change the exit code of the process."""
    try:
        if sys.stderr:
            sys.stderr.flush()
    except (OSError, ValueError):
        sys.stderr = None  # as Python does it where there is none


atexit.register(end)


def open_standard_files() -> None:
    """In place of what the caller closed: the next file or socket would take its number, and be written to by all who log."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # takes the lowest number that is free, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode))  # noqa: SIM115 it lives as long as the process


class AnsweredLine(Struct, frozen=True):
    """One answered request. `ms`: milliseconds that it took."""

    request_id: str
    method: str
    route: str
    status: int
    ms: float
    timestamp: str
    event: str = "request"
    level: str = "info"


def log_answered(request_id: str, method: str, route: str, status: int, ms: float) -> None:
    """The one line that every call writes, so it goes the shortest way."""
    if LINES.least <= logging.INFO:
        LINES.write(msgspec.json.encode(AnsweredLine(request_id, method, route, status, ms, _timestamp())) + b"\n")


def _line(_lines: Lines, level: str, event: MutableMapping[str, Any]) -> bytes:
    event["level"], event["timestamp"] = level, _timestamp()
    return msgspec.json.encode(event) + b"\n"


def _timestamp() -> str:
    now = time.time()
    second = int(now)
    return f"{_second(second)}.{int((now - second) * 1_000_000):06}Z"


@lru_cache(maxsize=1)
def _second(now: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))


def where(error: BaseException) -> list[str]:
    """The frames of an error, without its message and values: those may hold what a caller sent."""
    return [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)[-8:]]


class ServerLines(logging.Handler):
    """Turns the HTTP server's own lines into our form. From warnings on they may quote a request, so only their template is kept."""

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(Exception):  # the server logs before it ends, and would not end
            told = record.getMessage() if record.levelno < logging.WARNING else str(record.msg)
            log.log(record.levelno, told.partition("\n")[0], logger=record.name)


SERVER_LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"lines": {"()": "identity_service.server.logs.ServerLines"}},
    "loggers": {"uvicorn": {"handlers": ["lines"], "level": "INFO", "propagate": False}},
}
