"""JSON logs, one line an event, to standard error. No event carries an email, ID, token, key, address, user agent, or raw path."""

import logging
import sys
import traceback
from typing import Any

import structlog

log: structlog.stdlib.BoundLogger = structlog.get_logger()


def configure(level: str) -> None:
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )


def where(error: BaseException) -> list[str]:
    """The frames of an error, without its message and values: those may hold what a caller sent."""
    return [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)[-8:]]


class ServerLines(logging.Handler):
    """Turns the HTTP server's own lines into our form. From warnings on they may quote a request, so only their template is kept."""

    def emit(self, record: logging.LogRecord) -> None:
        told = record.getMessage() if record.levelno < logging.WARNING else str(record.msg)
        log.log(record.levelno, told.partition("\n")[0], logger=record.name)


SERVER_LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"lines": {"()": "identity_service.logs.ServerLines"}},
    "loggers": {"uvicorn": {"handlers": ["lines"], "level": "INFO", "propagate": False}},
}
