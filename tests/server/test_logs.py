"""Logs: one JSON line an event on standard error, and nothing in them of what a caller sent."""

import asyncio
import io
import json
import logging
import logging.config
import os
import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from identity_service.server import logs

NEEDLE = "luke@skywalker.com"


@pytest.fixture
def fresh_log(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`configure` caches loggers for the whole process; these tests leave nothing behind."""
    monkeypatch.setattr(logs, "log", structlog.get_logger())
    yield
    structlog.reset_defaults()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    printed = capsys.readouterr()
    assert printed.out == ""
    return [json.loads(line) for line in printed.err.splitlines()]


@pytest.mark.usefixtures("fresh_log")
def test_an_event_is_one_json_line_with_level_and_time(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info")
    logs.log.info("two\nlines", notes=3)
    [line] = lines(capsys)
    assert (line["event"], line["notes"], line["level"], line["pid"]) == ("two\nlines", 3, "info", os.getpid())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", line["timestamp"])


@pytest.mark.usefixtures("fresh_log")
@pytest.mark.parametrize(("level", "told"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_only_the_asked_levels_are_written(capsys: pytest.CaptureFixture[str], level: str, told: int) -> None:
    logs.configure(level)
    for name in ("debug", "info", "warning", "error"):
        getattr(logs.log, name)("event")
    assert len(lines(capsys)) == told


@pytest.mark.usefixtures("fresh_log")
@pytest.mark.parametrize(("level", "told"), [("debug", True), ("info", True), ("warning", False)])
def test_an_answered_request_is_a_line_like_any_other(capsys: pytest.CaptureFixture[str], level: str, told: bool) -> None:
    logs.configure(level)
    logs.log_answered("r-1", "POST", "/v1/links", 200, 1.25)
    found = lines(capsys)
    moments = [line.pop("timestamp") for line in found]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", moment) for moment in moments)
    expected = {"event": "request", "level": "info", "request_id": "r-1", "method": "POST", "route": "/v1/links", "status": 200, "ms": 1.25}
    expected["pid"] = os.getpid()
    assert found == ([expected] if told else [])


TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.usefixtures("fresh_log")
@pytest.mark.parametrize(
    ("header", "told"),
    [
        (f"00-{TRACE}-{PARENT}-01", TRACE),
        (f"cc-{TRACE}-{PARENT}-01-what-comes-later", TRACE),
        (f"00-{TRACE}-{PARENT}-01-more", None),
        (f"ff-{TRACE}-{PARENT}-01", None),
        (f"00-{TRACE.upper()}-{PARENT}-01", None),
        (f"00-{'0' * 32}-{PARENT}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (NEEDLE, None),
        (None, None),
    ],
)
def test_an_answered_request_has_the_trace_of_its_caller(capsys: pytest.CaptureFixture[str], header: str | None, told: str | None) -> None:
    """In the form of the W3C's recommendation. Of another header nothing is written."""
    logs.configure("info")
    logs.log_answered("r-1", "POST", "/v1/links", 200, 1.25, header)
    [line] = lines(capsys)
    assert line.get("trace_id") == told
    assert NEEDLE not in str(line)


@pytest.mark.usefixtures("fresh_log")
def test_lines_leave_at_once_in_their_order(capsys: pytest.CaptureFixture[str]) -> None:
    """Also within one turn of the event loop: after the last line the process may end by a signal."""

    async def turn() -> list[int]:
        for number in range(600):
            getattr(logs.log, ("info", "warning", "error")[number % 3])("event", number=number)
        return [line["number"] for line in lines(capsys)]

    logs.configure("info")
    assert asyncio.run(turn()) == list(range(600))


def fail(value: str) -> None:
    raise ValueError(f"cannot use {value}")


def test_the_frames_of_an_error_hold_neither_its_message_nor_its_values() -> None:
    with pytest.raises(ValueError, match="cannot use") as caught:
        fail(NEEDLE)
    frames = logs.where(caught.value)
    assert frames[-1].startswith("test_logs.py:")
    assert frames[-1].endswith(" fail")
    assert NEEDLE not in "".join(frames)


def test_of_a_deep_error_only_the_last_frames_are_kept() -> None:
    def dive(depth: int) -> None:
        if not depth:
            fail(NEEDLE)
        dive(depth - 1)

    with pytest.raises(ValueError, match="cannot use") as caught:
        dive(30)
    assert len(logs.where(caught.value)) == 8


def test_an_error_that_was_never_raised_has_no_frames() -> None:
    assert logs.where(ValueError(NEEDLE)) == []


@pytest.mark.usefixtures("fresh_log")
def test_the_servers_warnings_keep_their_template_alone(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("debug")
    logger = logging.Logger("uvicorn.error")
    logger.addHandler(logs.ServerLines())
    logger.info("started on %s", "127.0.0.1")
    logger.warning("invalid request %s", NEEDLE)
    try:
        fail(NEEDLE)
    except ValueError:
        logger.exception("in application\n%s", NEEDLE)
    told = [(line["event"], line["level"], line["logger"]) for line in lines(capsys)]
    assert told == [
        ("started on 127.0.0.1", "info", "uvicorn.error"),
        ("invalid request %s", "warning", "uvicorn.error"),
        ("in application", "error", "uvicorn.error"),
    ]


def test_the_server_writes_through_this_form_only() -> None:
    assert logs.SERVER_LOGGING["loggers"]["uvicorn"]["propagate"] is False
    assert logging.config.DictConfigurator(logs.SERVER_LOGGING).configure_handler({"()": "identity_service.server.logs.ServerLines"})


class Broken(io.BytesIO):
    def write(self, data: object) -> int:
        raise BrokenPipeError


def closed() -> io.TextIOWrapper:
    stream = io.TextIOWrapper(io.BytesIO())
    stream.close()
    return stream


@pytest.mark.usefixtures("fresh_log")
@pytest.mark.parametrize("stream", [None, closed(), io.TextIOWrapper(Broken())], ids=["none", "closed", "broken"])
def test_a_log_that_nobody_can_read_stops_nobody(monkeypatch: pytest.MonkeyPatch, stream: io.TextIOWrapper | None) -> None:
    logs.configure("info")
    logger = logging.Logger("uvicorn.error")
    logger.addHandler(logs.ServerLines())
    monkeypatch.setattr(sys, "stderr", stream)
    logs.log.error("event")
    logs.log_answered("r-1", "POST", "/v1/links", 200, 1.25)
    logger.info("Received SIGTERM, exiting.")
    logger.info("%d", "no number")
    logs.end()
