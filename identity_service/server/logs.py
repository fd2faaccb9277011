"""JSON logs, one line an event, to standard error. Every line has the ID of its process. No event carries an email, ID, token, key,
address, user agent, or raw path.

Logging never raises. If nobody reads the log, or its disk is full, lines are lost, but the service runs and can be stopped.
"""

import atexit
import contextlib
import logging
import os
import re
import sys
import time
import traceback
from collections.abc import MutableMapping
from functools import lru_cache
from typing import Any

import msgspec
import structlog
from msgspec import UNSET, Struct, UnsetType

TRACEPARENT = re.compile(
    r"(?P<version>(?!ff)[0-9a-f]{2})-(?P<trace>(?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?P<more>-.*)?", re.ASCII
)
"""IDs of zeros alone and version ff are invalid. A version later than 00 may have more after a hyphen."""
log: structlog.stdlib.BoundLogger = structlog.get_logger()


def configure(level: str) -> None:
    """Called once in each process, before its first line."""
    LINES.pid = os.getpid()
    LINES.least = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[_line],
        wrapper_class=structlog.make_filtering_bound_logger(LINES.least),
        logger_factory=lambda *_names: LINES,
        cache_logger_on_first_use=True,
    )


class Lines:
    """Writes each line in one write. `least`: the lowest level that is written. `pid`: of this process."""

    least = logging.INFO
    pid = os.getpid()

    def write(self, line: bytes) -> None:
        """Bypasses Python's buffer: a rest in it would make a later flush fail, such as the one before a process starts."""
        if not sys.stderr:
            return
        try:
            out = getattr(sys.stderr.buffer, "raw", sys.stderr.buffer)
            while line:
                line = line[out.write(line) or len(line) :]
        except (OSError, ValueError):  # broken or full; closed. Every call writes a line, and `suppress` takes a microsecond
            pass

    debug = info = warning = error = critical = write


LINES = Lines()


def end() -> None:
    """Drops unwritten lines, which would otherwise change the exit code of the process."""
    try:
        if sys.stderr:
            sys.stderr.flush()
    except (OSError, ValueError):
        sys.stderr = None  # as Python sets it if there is none


atexit.register(end)


def open_standard_files() -> None:
    """Opens standard files that the caller closed. Otherwise the next file or socket would get their number and receive the log."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # it gets the lowest free number, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode))  # noqa: SIM115 it lives as long as the process


class AnsweredLine(Struct, frozen=True):
    """One answered request. `ms`: its duration in milliseconds. `trace_id`: of the caller, which finds its own line by it."""

    request_id: str
    method: str
    route: str
    status: int
    ms: float
    pid: int
    timestamp: str
    trace_id: str | UnsetType = UNSET
    event: str = "request"
    level: str = "info"


def log_answered(request_id: str, method: str, route: str, status: int, ms: float, traceparent: str | None = None) -> None:
    """Writes the line of an answered request. It bypasses structlog, because every call writes one. `traceparent`: the header."""
    if LINES.least <= logging.INFO:
        trace = trace_id(traceparent) if traceparent else UNSET
        LINES.write(msgspec.json.encode(AnsweredLine(request_id, method, route, status, ms, LINES.pid, _timestamp(), trace)) + b"\n")


def trace_id(traceparent: str) -> str | UnsetType:
    """The trace ID of a header in the form of W3C Trace Context, level 1: 16 bytes in lower-case hexadecimal digits. Nothing else of it is
    logged, because a caller chooses what it sends."""
    found = TRACEPARENT.fullmatch(traceparent)
    return found["trace"] if found and (found["version"] != "00" or not found["more"]) else UNSET


def _line(_lines: Lines, level: str, event: MutableMapping[str, Any]) -> bytes:
    event["level"], event["pid"], event["timestamp"] = level, LINES.pid, _timestamp()
    return msgspec.json.encode(event) + b"\n"


def _timestamp() -> str:
    now = time.time()
    second = int(now)
    return f"{_second(second)}.{int((now - second) * 1_000_000):06}Z"


@lru_cache(maxsize=1)
def _second(now: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))


def where(error: BaseException) -> list[str]:
    """The frames of an error, without its message and values, which may contain what a caller sent."""
    return [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)[-8:]]


class ServerLines(logging.Handler):
    """Writes the HTTP server's own lines in the service's format. Warnings and errors may quote a request, so only their template is
    kept."""

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(Exception):  # an error here would keep the server from stopping
            told = record.getMessage() if record.levelno < logging.WARNING else str(record.msg)
            log.log(record.levelno, told.partition("\n")[0], logger=record.name)


SERVER_LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"lines": {"()": "identity_service.server.logs.ServerLines"}},
    "loggers": {"uvicorn": {"handlers": ["lines"], "level": "INFO", "propagate": False}},
}
