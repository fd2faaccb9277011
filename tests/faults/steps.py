"""A client whose every store call is a step that the test decides about: when it may go, and whether the process dies at it."""

import asyncio
import random
from collections.abc import Awaitable, Sequence
from typing import Any

from redis.crc import key_slot

from identity_service.store.redis.client import StoreClient
from identity_service.store.redis.command import Command


class Crash(BaseException):
    """The process ends here; nothing after it runs."""


def slots_of(unit: Sequence[Command]) -> set[int]:
    """Of all keys of a unit."""
    keys = [str(key) for one in unit for key in (one.words[3 : 3 + int(one.words[2])] if one.source else one.words[1:2])]
    return {key_slot(key.encode()) for key in keys}


class SteppedClient(StoreClient):
    """A unit whose keys lie in several slots, which a cluster would refuse, fails the test. With `turns`, each call waits for its turn;
    with `dies_before` or `dies_after` N, the Nth call is the last; with `holds_before` N, the Nth call tells `held` and waits for
    `released`."""

    def __init__(self, url: str) -> None:
        super().__init__(url, 5.0)
        self.turns: Turns | None = None
        self.calls = 0
        self.dead = False
        self.dies_before: int | None = None
        self.dies_after: int | None = None
        self.holds_before: int | None = None
        self.held, self.released = asyncio.Event(), asyncio.Event()

    async def run(self, *unit: Command) -> list[Any]:
        if not unit:
            return []
        assert len(slots_of(unit)) == 1, f"{len(slots_of(unit))} slots in one unit"
        if self.turns:
            await self.turns.wait(id(self))
        self.calls += 1
        number = self.calls
        if number == self.holds_before:
            self.held.set()
            await asyncio.wait_for(self.released.wait(), 10)
        if self.dead or number == self.dies_before:
            self.die()
        replies = await super().run(*unit)
        if self.dead or number == self.dies_after:
            self.die()
        return replies

    def die(self) -> None:
        self.dead = True
        raise Crash

    def revive(self) -> None:
        self.dead, self.calls, self.dies_before, self.dies_after, self.holds_before = False, 0, None, None, None
        self.held, self.released = asyncio.Event(), asyncio.Event()


class Turns:
    """Runs coroutines so that a seeded choice decides whose store call comes next: any (even seeds), or that of the process with the
    highest priority, drawn anew now and then, so that one stands still while others go through many steps (odd seeds)."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._by_priority = seed % 2 == 1
        self._priorities: dict[int, float] = {}
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    async def wait(self, process: int = 0) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((process, turn))
        await turn

    def _next(self) -> asyncio.Future[None]:
        index = self._random.randrange(len(self._waiting))
        if self._by_priority:
            index = max(
                range(len(self._waiting)), key=lambda one: self._priorities.setdefault(self._waiting[one][0], self._random.random())
            )
            if self._random.random() < 0.15:
                self._priorities[self._waiting[index][0]] = self._random.random()
        return self._waiting.pop(index)[1]

    async def run(self, *operations: Awaitable[Any]) -> list[Any]:
        """Results in order, exceptions in their places, but for those of the test itself."""
        tasks = [asyncio.ensure_future(operation) for operation in operations]
        while not all(task.done() for task in tasks):
            await asyncio.sleep(0)
            if self._waiting and len(self._waiting) >= sum(not task.done() for task in tasks):  # however long a call takes
                self._next().set_result(None)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, AssertionError):
                raise result
        return results
