"""The regression gate: how many steps Python may take for each main call at most, and how many commands the store may run for it.

A step is a line that runs or a function that is called, one in C too. Steps are counted and not timed: however busy a machine is, a call
takes as many. The service stands behind the HTTP server's protocol, as it is served, in one process without sockets, and without what goes
on beside calls: 16 requests come at once. The least of some rounds is what a call takes, since replies of the store may come in more pieces
or fewer. What only takes longer inside one function in C is not seen here, but by the benchmark. Run alone by
`python -m tests.benchmarks gate`; with `--times 2` every call is made twice, and has to be found.
"""

import argparse
import asyncio
import contextlib
import gc
import itertools
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

import redis
import uvloop
from starlette.types import ASGIApp
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from identity_service.app import Application
from identity_service.server.logs import configure
from identity_service.server.protocol import ClientConnection, allowances
from identity_service.settings.load import load
from tests.benchmarks.work import (
    AGAIN,
    CLICK,
    CLICKS,
    COOKIE,
    COOKIELESS,
    KNOWN,
    LINK,
    LINK_AGAIN,
    LOOKUP,
    NEVER_LIMITED,
    NEW,
    NULL,
    NUMBER,
    SALE,
    VERIFY,
    Work,
)
from tests.stores import valkey


@dataclass(frozen=True, slots=True)
class Measured:
    """For one call. `steps`: of Python; `commands`: that the store ran, those inside scripts too."""

    steps: float
    commands: float


BASE = (
    (NULL, Measured(1_035, 0)),
    (COOKIELESS, Measured(1_373, 2)),
    (KNOWN, Measured(1_485, 2)),
    (NEW, Measured(1_848, 10)),
    (VERIFY, Measured(958, 2)),
    (LINK, Measured(1_019, 10)),
    (LINK_AGAIN, Measured(870, 6)),
    (LOOKUP, Measured(1_165, 3)),
    (CLICK, Measured(1_318, 5)),
    (CLICKS, Measured(1_390, 5)),
    (SALE, Measured(2_342, 25)),
    (AGAIN, Measured(1_594, 5)),
)
"""As it was measured with Python 3.11."""

DEARER = 1.6
"""Times the base at most: a call may become a good deal dearer unnoticed here, but not twice as dear."""
CHEAPER = 0.6
"""Times the base at least: what has become so much cheaper gets a new base, or it could become dear again unnoticed."""
AT_ONCE = 16
ROUNDS = 5

NUMBERS = itertools.count()


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks gate", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"of each call ({ROUNDS})")
    parser.add_argument("--times", type=int, default=1, help="makes each call so often, to see that the gate closes (1)")
    options = parser.parse_args(arguments)
    with valkey() as store, uncollected(), open(os.devnull, "w") as unread, contextlib.redirect_stderr(unread):
        found = uvloop.run(measured(store, options.rounds, options.times))
    for (work, base), one in zip(BASE, found, strict=True):
        figures = f"{one.steps:5.0f} steps, {base.steps:4.0f} before; {one.commands:4.0f} commands, {base.commands:2.0f} before"
        print(f"{work.name:26} {figures}: {verdict(one, base)}")
    return int(any(verdict(one, base) != "ok" for (_, base), one in zip(BASE, found, strict=True)))


def verdict(one: Measured, base: Measured) -> str:
    faults = ["TOO DEAR"] if one.steps > base.steps * DEARER else []
    faults += ["TOO MANY COMMANDS"] if one.commands > base.commands * DEARER else []
    if one.steps < base.steps * CHEAPER or one.commands < base.commands * CHEAPER:
        faults.append("CHEAPER: GIVE IT A NEW BASE")
    return ", ".join(faults) or "ok"


class Steps:
    """Counts what Python does in this thread, from its beginning to its end."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> "Steps":
        sys.settrace(self._trace)
        sys.setprofile(self._profile)
        return self

    def __exit__(self, *_raised: object) -> None:
        sys.setprofile(None)
        sys.settrace(None)

    def _trace(self, _frame: FrameType, event: str, _argument: object) -> Callable[..., Any]:
        self.count += event in {"call", "line"}
        return self._trace

    def _profile(self, _frame: FrameType, event: str, _argument: object) -> None:
        self.count += event == "c_call"


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """The collector's turns fall on one call or another."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


class Wire(asyncio.Transport):
    """Of one connection: takes answers, and tells `answered` of each that is whole, which is after so many writes."""

    def __init__(self, writes: int, answered: Callable[[], None]) -> None:
        super().__init__({"peername": ("127.0.0.1", 4711), "sockname": ("127.0.0.1", 8080)})
        self.sent: list[bytes] = []
        self._writes, self._answered = writes, answered

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent.append(bytes(data))
        if len(self.sent) == self._writes:
            self._answered()

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Served:
    """An application behind `AT_ONCE` connections."""

    def __init__(self, app: ASGIApp, make: Callable[[Config, ServerState], HttpToolsProtocol], writes: int) -> None:
        config = Config(app, log_config=None, access_log=False, proxy_headers=False, server_header=False, interface="asgi3")
        config.load()
        self._left, self._done = 0, asyncio.Event()
        self._wires = [Wire(writes, self._answered) for _ in range(AT_ONCE)]
        self._connections = [make(config, ServerState()) for _ in self._wires]
        for connection, wire in zip(self._connections, self._wires, strict=True):
            connection.connection_made(wire)

    async def answers(self, requests: Sequence[bytes]) -> list[bytes]:
        """One for each connection, all at once. Raises TimeoutError where one stays away."""
        self._left = len(requests)
        self._done.clear()
        for wire in self._wires:
            wire.sent.clear()
        for connection, request in zip(self._connections, requests, strict=False):
            connection.data_received(request)
        await asyncio.wait_for(self._done.wait(), 30)
        return [b"".join(wire.sent) for wire, _ in zip(self._wires, requests, strict=False)]

    def _answered(self) -> None:
        self._left -= 1
        if not self._left:
            self._done.set()


async def measured(store: str, rounds: int, times: int) -> list[Measured]:
    """Of each call. `times`: how often it is made."""
    configure("info")
    settings = load("development", {"IDENTITY_STORE__URL": store, "IDENTITY_STORE__TIMEOUT_SECONDS": "30"} | NEVER_LIMITED)
    application, allowed = Application(settings), allowances(settings)
    least = [Measured(math.inf, math.inf)] * len(BASE)
    service = Served(application, lambda config, state: ClientConnection(config, state, {}, allowed=allowed), 1)
    [issued] = await service.answers([request(NEW, "")])
    token = json.loads(issued.partition(b"\r\n\r\n")[2])["token"]
    await service.answers([request(AGAIN, "")])
    with redis.Redis.from_url(store) as connection:
        for _ in range(rounds):
            for index, (work, _) in enumerate(BASE):
                before = _commands(connection)
                steps = await taken(service, work, token, times)
                await application.services.store.client.drain()  # what is sent without waiting
                commands = _commands(connection) - before
                least[index] = Measured(min(least[index].steps, steps / AT_ONCE), min(least[index].commands, commands / AT_ONCE))
    await application.services.store.client.close()
    return least


async def taken(served: Served, work: Work, token: str, times: int) -> int:
    """Steps for `AT_ONCE` calls."""
    turns = [[request(work, token) for _ in range(AT_ONCE)] for _ in range(times)]
    with Steps() as steps:
        answers = [told for requests in turns for told in await served.answers(requests)]
    assert all(told.startswith(b"HTTP/1.1 200 ") for told in answers), f"{work.name}: {answers[0]!r}"
    return steps.count


def _commands(connection: redis.Redis) -> int:
    """But for those of the measure itself."""
    return sum(int(one["calls"]) for name, one in connection.info("commandstats").items() if name not in {"cmdstat_info", "cmdstat_ping"})


def request(work: Work, token: str) -> bytes:
    body = work.text.replace(NUMBER, str(next(NUMBERS) % (work.among or 1_000_000_000))).replace(COOKIE, token).encode()
    headers = {"Host": "service.test"} | work.headers(f"{COOKIE}={token}") | {"Content-Length": str(len(body))}
    lines = [f"POST {work.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join((*lines, "", "")).encode() + body
