"""The regression gate: what each main call may cost at most, as a multiple of the CPU time of a bare Starlette text answer.

Both are called in one process without a socket, turn by turn, 16 at a time; the store is a process of its own and does not count. The
least of many short rounds is what the code costs: whatever else a machine does only adds to it, for both. Run alone by
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
import time
from collections.abc import Iterator, Sequence

import uvloop
from starlette.types import ASGIApp, Message, Scope

from identity_service.app import Application
from identity_service.logs import configure
from identity_service.settings import load
from tests.benchmarks import bare
from tests.benchmarks.work import AGAIN, CLICK, COOKIE, COOKIELESS, KNOWN, LINK, LOOKUP, NEVER_LIMITED, NEW, NULL, NUMBER, SALE, TEXT, Work
from tests.server import valkey

CEILINGS = ((NULL, 5.8), (COOKIELESS, 9.3), (KNOWN, 10.4), (NEW, 14.4), (LINK, 9.5), (LOOKUP, 8.2), (CLICK, 8.4), (SALE, 31.4))
"""1.6 times what was measured with Python 3.11: a call may become a good deal dearer unnoticed here, but not twice as dear."""

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
        ratios = uvloop.run(measured(store, options.rounds, options.times))
    for (work, most), ratio in zip(CEILINGS, ratios, strict=True):
        print(f"{work.name:26} {ratio:5.1f} of a bare answer, at most {most:4.1f}: {'TOO DEAR' if ratio > most else 'ok'}")
    return int(too_dear(ratios))


def too_dear(ratios: Sequence[float]) -> bool:
    return any(ratio > most for (_, most), ratio in zip(CEILINGS, ratios, strict=True))


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """The collector's turns fall on one call or another."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def measured(store: str, rounds: int, times: int) -> list[float]:
    """How many bare answers each call costs. `times`: how often it is made."""
    environment = {"IDENTITY_STORE__URL": store, "IDENTITY_STORE__TIMEOUT_SECONDS": "30"}
    configure("info")
    application = Application(load("development", environment | NEVER_LIMITED))
    least, bare_least = [math.inf] * len(CEILINGS), math.inf
    async with application.running():
        _, issued = await answer(application, *request(NEW, ""))
        cookie = f"{COOKIE}={json.loads(issued)['token']}"
        await answer(application, *request(AGAIN, ""))
        for number in range(rounds * MORE):
            if number >= rounds and not too_dear([one / bare_least for one in least]):
                break
            for index, (work, _) in enumerate(CEILINGS):
                bare_least = min(bare_least, await cost(bare.app, TEXT, "", 1))
                least[index] = min(least[index], await cost(application, work, cookie, times))
    return [one / bare_least for one in least]


async def cost(app: ASGIApp, work: Work, cookie: str, times: int) -> float:
    """CPU seconds of this process."""
    turns = [[answer(app, *request(work, cookie)) for _ in range(AT_ONCE)] for _ in range(times)]
    began = time.process_time()
    answers = [told for calls in turns for told in await asyncio.gather(*calls)]
    spent = time.process_time() - began
    assert {status for status, _ in answers} == {200}, f"{work.name}: {answers[0]}"
    return spent


async def answer(app: ASGIApp, scope: Scope, body: bytes) -> tuple[int, bytes]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"], sent[-1]["body"]


def request(work: Work, cookie: str) -> tuple[Scope, bytes]:
    """As uvicorn makes it, and its body."""
    body = work.text.replace(NUMBER, str(next(NUMBERS))).encode()
    headers = work.headers(cookie) | {"Host": "service.test", "Content-Length": str(len(body))}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8080),
        "client": ("127.0.0.1", 4711),
        "scheme": "http",
        "method": "POST",
        "root_path": "",
        "path": work.path,
        "raw_path": work.path.encode(),
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "state": {},
    }
    return scope, body
