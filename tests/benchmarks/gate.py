"""The regression gate: how many functions of the service each main call enters, give or take two, and how many commands the store runs.

Calls are counted and not timed, so a busy machine changes nothing. The service stands behind the HTTP server's protocol, as it is served,
in one process without sockets, and without what goes on beside calls: 16 requests come at once. The least of some rounds is what a call
takes, since replies of the store may come in more pieces or fewer. What only takes longer inside one function is not seen here, but by the
benchmark; a warning tells a call whose CPU has changed beside that of the others. Run alone by `python -m tests.benchmarks gate`; with
`--times 2` every call is made twice, and has to be found.
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
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import redis
import uvloop
from starlette.types import ASGIApp
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

import identity_service
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
    """For one call. `functions`: of the service that are entered; `commands`: that the store runs, those inside scripts too. `cpu`: of the
    mean of all calls."""

    functions: int
    commands: int
    cpu: float


BASE = (
    (NULL, Measured(131, 0, 0.66)),
    (COOKIELESS, Measured(192, 2, 1)),
    (KNOWN, Measured(213, 2, 0.98)),
    (NEW, Measured(256, 10, 1.4)),
    (VERIFY, Measured(110, 2, 0.63)),
    (LINK, Measured(114, 10, 0.85)),
    (LINK_AGAIN, Measured(108, 6, 0.64)),
    (LOOKUP, Measured(178, 3, 0.98)),
    (CLICK, Measured(186, 5, 0.83)),
    (CLICKS, Measured(189, 5, 1.1)),
    (SALE, Measured(342, 25, 1.9)),
    (AGAIN, Measured(239, 5, 1.1)),
)
"""As it was measured with Python 3.11. Later ones enter fewer functions, because they put comprehensions into their callers."""

SLACK = 2 if sys.version_info[:2] == (3, 11) else math.inf
"""Functions more or fewer that change nothing: some are entered for a part of the calls alone."""
WARNED = 1.4
"""Times the base's CPU."""
AT_ONCE = 16
ROUNDS = 5
SOURCE = str(Path(identity_service.__file__).parent)
Measure = TypeVar("Measure", bound=AbstractContextManager[Any])

NUMBERS = itertools.count()


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks gate", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"of each call ({ROUNDS})")
    parser.add_argument("--times", type=int, default=1, help="makes each call so often, to see that the gate closes (1)")
    options = parser.parse_args(arguments)
    with valkey() as store, uncollected(), open(os.devnull, "w") as unread, contextlib.redirect_stderr(unread):
        found = uvloop.run(measured(store, options.rounds, options.times))
    for (work, base), one in zip(BASE, found, strict=True):
        figures = f"{one.functions:4} functions, {base.functions:4} before; {one.commands:3} commands, {base.commands:2} before"
        cpu = f"{one.cpu:.2f} of the mean CPU" + (f", WARNING: {base.cpu:.2f} before" if one.cpu > base.cpu * WARNED else "")
        print(f"{work.name:26} {figures}; {cpu}: {verdict(one, base)}")
    return int(any(verdict(one, base) != "ok" for (_, base), one in zip(BASE, found, strict=True)))


def verdict(one: Measured, base: Measured) -> str:
    """Fewer is a fault, too: without a new base, the call could become dear again unnoticed."""
    changes = [(one.functions - base.functions, SLACK, "FUNCTIONS"), (one.commands - base.commands, 0, "COMMANDS")]
    faults = [f"{'MORE' if more > 0 else 'FEWER'} {what}" for more, slack, what in changes if abs(more) > slack]
    return ", ".join(faults) or "ok"


class Functions:
    """Counts the functions of the service that this thread enters, from its beginning to its end."""

    count = 0

    def __enter__(self) -> "Functions":
        sys.setprofile(self._profile)
        return self

    def __exit__(self, *_raised: object) -> None:
        sys.setprofile(None)

    def _profile(self, frame: FrameType, event: str, _argument: object) -> None:
        self.count += event == "call" and frame.f_code.co_filename.startswith(SOURCE)


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
    functions, commands, cpu = ([math.inf] * len(BASE) for _ in range(3))
    service = Served(application, lambda config, state: ClientConnection(config, state, {}, allowed=allowed), 1)
    [issued] = await service.answers([request(NEW, "")])
    token = json.loads(issued.partition(b"\r\n\r\n")[2])["token"]
    await service.answers([request(AGAIN, "")])
    with redis.Redis.from_url(store) as connection:
        for _ in range(rounds):
            for index, (work, _) in enumerate(BASE):
                before = _commands(connection)
                entered = await made(service, work, token, times, Functions())
                await application.services.store.client.drain()  # what is sent without waiting
                functions[index] = min(functions[index], entered.count / AT_ONCE)
                commands[index] = min(commands[index], (_commands(connection) - before) / AT_ONCE)
                timed = await made(service, work, token, times, Seconds())
                cpu[index] = min(cpu[index], timed.taken)
    await application.services.store.client.close()
    mean = sum(cpu) / len(cpu)
    return [Measured(round(one), round(ran), took / mean) for one, ran, took in zip(functions, commands, cpu, strict=True)]


class Seconds:
    """CPU of this process, from its beginning to its end."""

    taken = 0.0

    def __enter__(self) -> "Seconds":
        self.taken = -time.process_time()
        return self

    def __exit__(self, *_raised: object) -> None:
        self.taken += time.process_time()


async def made(served: Served, work: Work, token: str, times: int, measure: Measure) -> Measure:
    """`AT_ONCE` calls."""
    turns = [[request(work, token) for _ in range(AT_ONCE)] for _ in range(times)]
    with measure:
        answers = [told for requests in turns for told in await served.answers(requests)]
    assert all(told.startswith(b"HTTP/1.1 200 ") for told in answers), f"{work.name}: {answers[0]!r}"
    return measure


def _commands(connection: redis.Redis) -> int:
    """But for those of the measure itself."""
    return sum(int(one["calls"]) for name, one in connection.info("commandstats").items() if name not in {"cmdstat_info", "cmdstat_ping"})


def request(work: Work, token: str) -> bytes:
    body = work.text.replace(NUMBER, str(next(NUMBERS) % (work.among or 1_000_000_000))).replace(COOKIE, token).encode()
    headers = {"Host": "service.test"} | work.headers(f"{COOKIE}={token}") | {"Content-Length": str(len(body))}
    lines = [f"POST {work.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join((*lines, "", "")).encode() + body
