"""Calls of one loop tick go out as one pipeline.

A unit is a list of commands that belong together: it is never split, and its commands reach the store in their order, except that a
server that has lost its scripts runs the calls of scripts after the unit's other commands; no unit relies on more. A caller that is
cancelled leaves its unit in the pipeline; no connection is ever dropped in the middle of a reply.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from msgspec import Struct

from identity_service.store.scripts import Script, script

Reply = Any
"""What the store answers to one command: text, number, list, dict, None, or an exception in its place."""

MOST_COMMANDS = 512
MOST_IN_FLIGHT = 2


class Command(Struct, frozen=True):
    """`reads` marks a command that changes nothing and may be sent twice."""

    words: tuple[str | int, ...]
    reads: bool = False
    source: Script | None = None


def read(*words: str | int) -> Command:
    return Command(words, reads=True)


def write(*words: str | int) -> Command:
    return Command(words)


def call(name: str, keys: Sequence[str], *arguments: str | int, reads: bool = False) -> Command:
    """A script call; `keys` are all the keys the script may touch."""
    found = script(name)
    return Command(("EVALSHA", found.sha, len(keys), *keys, *arguments), reads, found)


class Batch:
    """`execute` sends commands in order and returns a reply each; what it raises goes to every waiting caller."""

    def __init__(self, execute: Callable[[list[Command]], Awaitable[list[Reply]]]) -> None:
        self._execute = execute
        self._waiting: deque[tuple[Sequence[Command], asyncio.Future[list[Reply]]]] = deque()
        self._flights: set[asyncio.Task[None]] = set()
        self._scheduled = False

    def submit(self, unit: Sequence[Command]) -> asyncio.Future[list[Reply]]:
        future: asyncio.Future[list[Reply]] = asyncio.get_running_loop().create_future()
        self._waiting.append((unit, future))
        self._schedule()
        return future

    async def drain(self) -> None:
        """Returns once everything submitted so far has been answered."""
        while self._waiting or self._flights:
            await asyncio.gather(*self._flights, return_exceptions=True)
            await asyncio.sleep(0)

    def _schedule(self) -> None:
        if self._waiting and not self._scheduled and len(self._flights) < MOST_IN_FLIGHT:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._launch)

    def _launch(self) -> None:
        self._scheduled = False
        units: list[tuple[Sequence[Command], asyncio.Future[list[Reply]]]] = []
        size = 0
        while self._waiting and (not units or size + len(self._waiting[0][0]) <= MOST_COMMANDS):
            units.append(self._waiting.popleft())
            size += len(units[-1][0])
        if not units:
            return
        flight = asyncio.get_running_loop().create_task(self._fly(units))
        self._flights.add(flight)
        flight.add_done_callback(self._landed)
        self._schedule()

    def _landed(self, flight: asyncio.Task[None]) -> None:
        self._flights.discard(flight)
        self._schedule()

    async def _fly(self, units: list[tuple[Sequence[Command], asyncio.Future[list[Reply]]]]) -> None:
        try:
            replies = await self._execute([command for unit, _ in units for command in unit])
        except Exception as error:
            _fail(units, error)
            return
        start = 0
        for unit, future in units:
            if not future.done():
                future.set_result(replies[start : start + len(unit)])
            start += len(unit)


def _fail(units: list[tuple[Sequence[Command], asyncio.Future[list[Reply]]]], error: Exception) -> None:
    for _, future in units:
        if not future.done():
            future.set_exception(error)
