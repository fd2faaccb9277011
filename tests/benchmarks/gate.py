"""The regression gate: what each main call may cost at most, as a multiple of the CPU time of a bare Starlette text answer, and how many
commands the store may run for it.

Service and bare application stand behind the HTTP server's protocol, each as it is served, in one process without sockets: 16 requests come
at once, turn by turn. The least of many short rounds is what the code costs: whatever else a machine does only adds to it, for both. Run
alone by `python -m tests.benchmarks gate`; with `--times 2` every call is made twice, and has to be found.
"""

import argparse
import asyncio
import contextlib
import gc
import itertools
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import redis
import uvloop
from starlette.types import ASGIApp
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from identity_service.app import Application
from identity_service.connection import Connection
from identity_service.logs import configure
from identity_service.protocol import allowances
from identity_service.settings import load
from tests.benchmarks import bare
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
    TEXT,
    VERIFY,
    Work,
)
from tests.server import valkey


@dataclass(frozen=True, slots=True)
class Measured:
    """`ratio`: to a bare answer's CPU time; `commands`: that the store ran for one call, those inside scripts too."""

    ratio: float
    commands: float


BASE = (
    (NULL, Measured(2.8, 0)),
    (COOKIELESS, Measured(4.3, 2)),
    (KNOWN, Measured(4.5, 2)),
    (NEW, Measured(5.7, 7)),
    (VERIFY, Measured(3.0, 2)),
    (LINK, Measured(3.6, 14)),
    (LINK_AGAIN, Measured(3.1, 9)),
    (LOOKUP, Measured(3.7, 3)),
    (CLICK, Measured(3.5, 7)),
    (CLICKS, Measured(3.7, 6)),
    (SALE, Measured(7.5, 35)),
    (AGAIN, Measured(4.7, 5)),
)
"""As it was measured with Python 3.11."""

DEARER = 1.6
"""Times the base at most: a call may become a good deal dearer unnoticed here, but not twice as dear."""
CHEAPER = 0.6
"""Times the base at least: what has become so much cheaper gets a new base, or it could become dear again unnoticed."""
AT_ONCE = 16
ROUNDS = 20
MORE = 5
"""Times as many rounds before a call counts as too dear: on a busy machine the least takes longer to find."""

NUMBERS = itertools.count()


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks gate", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"of each call ({ROUNDS}); {MORE} times as many if it must be")
    parser.add_argument("--times", type=int, default=1, help="makes each call so often, to see that the gate closes (1)")
    options = parser.parse_args(arguments)
    with valkey() as store, uncollected(), open(os.devnull, "w") as unread, contextlib.redirect_stderr(unread):
        found = uvloop.run(measured(store, options.rounds, options.times))
    for (work, base), one in zip(BASE, found, strict=True):
        figures = f"{one.ratio:5.1f} of a bare answer, {base.ratio:4.1f} before; {one.commands:4.0f} commands, {base.commands:2.0f} before"
        print(f"{work.name:26} {figures}: {verdict(one, base)}")
    return int(any(verdict(one, base) != "ok" for (_, base), one in zip(BASE, found, strict=True)))


def verdict(one: Measured, base: Measured) -> str:
    faults = ["TOO DEAR"] if one.ratio > base.ratio * DEARER else []
    faults += ["TOO MANY COMMANDS"] if one.commands > base.commands * DEARER else []
    if one.ratio < base.ratio * CHEAPER or one.commands < base.commands * CHEAPER:
        faults.append("CHEAPER: GIVE IT A NEW BASE")
    return ", ".join(faults) or "ok"


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
    least, bare_least = [math.inf] * len(BASE), math.inf
    async with application.running():
        service = Served(application, lambda config, state: Connection(config, state, {}, allowed=allowed), 1)
        plain = Served(bare.app, lambda config, state: HttpToolsProtocol(config, state, {}), 2)  # head and body, one after the other
        [issued] = await service.answers([request(NEW, "")])
        token = json.loads(issued.partition(b"\r\n\r\n")[2])["token"]
        await service.answers([request(AGAIN, "")])
        for number in range(rounds * MORE):
            dear = any(one / bare_least > base.ratio * DEARER for one, (_, base) in zip(least, BASE, strict=True))
            if number >= rounds and not dear:
                break
            for index, (work, _) in enumerate(BASE):
                bare_least = min(bare_least, await cost(plain, TEXT, token, 1))
                least[index] = min(least[index], await cost(service, work, token, times))
        commands = [await counted(service, store, work, token, times) for work, _ in BASE]
    return [Measured(one / bare_least, number) for one, number in zip(least, commands, strict=True)]


async def cost(served: Served, work: Work, token: str, times: int) -> float:
    """CPU seconds of this process for `AT_ONCE` calls."""
    turns = [[request(work, token) for _ in range(AT_ONCE)] for _ in range(times)]
    began = time.process_time()
    answers = [told for requests in turns for told in await served.answers(requests)]
    spent = time.process_time() - began
    assert all(told.startswith(b"HTTP/1.1 200 ") for told in answers), f"{work.name}: {answers[0]!r}"
    return spent


async def counted(served: Served, store: str, work: Work, token: str, times: int) -> float:
    with redis.Redis.from_url(store) as connection:
        before = _commands(connection)
        await cost(served, work, token, times)
        await asyncio.sleep(0)  # what is sent without waiting
        return (_commands(connection) - before) / AT_ONCE


def _commands(connection: redis.Redis) -> int:
    return sum(int(one["calls"]) for name, one in connection.info("commandstats").items() if name != "cmdstat_info")


def request(work: Work, token: str) -> bytes:
    body = work.text.replace(NUMBER, str(next(NUMBERS) % (work.among or 1_000_000_000))).replace(COOKIE, token).encode()
    headers = {"Host": "service.test"} | work.headers(f"{COOKIE}={token}") | {"Content-Length": str(len(body))}
    lines = [f"POST {work.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join((*lines, "", "")).encode() + body
