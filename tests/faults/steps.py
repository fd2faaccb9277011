"""A client whose every store call is a step that the test decides about: when it may go, and whether the process dies at it."""

import asyncio
import random
from collections.abc import Awaitable
from typing import Any

from identity_service.store.batch import Command
from identity_service.store.client import Client


class Crash(BaseException):
    """The process ends here; nothing after it runs."""


class SteppedClient(Client):
    """With `turns`, each call waits for its turn; with `dies_before` or `dies_after` N, the Nth call is the last."""

    def __init__(self, url: str) -> None:
        super().__init__(url, 5.0)
        self.turns: Turns | None = None
        self.calls = 0
        self.dead = False
        self.dies_before: int | None = None
        self.dies_after: int | None = None

    async def run(self, *unit: Command) -> list[Any]:
        if self.turns:
            await self.turns.wait()
        self.calls += 1
        number = self.calls
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
        self.dead, self.calls, self.dies_before, self.dies_after = False, 0, None, None

    def post(self, *unit: Command) -> None:
        if not self.dead:
            super().post(*unit)


class Turns:
    """Runs coroutines so that a seeded choice decides whose store call comes next."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._waiting: list[asyncio.Future[None]] = []

    async def wait(self) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        await turn

    async def run(self, *operations: Awaitable[Any]) -> list[Any]:
        """Results in order, exceptions in their places."""
        tasks = [asyncio.ensure_future(operation) for operation in operations]
        while not all(task.done() for task in tasks):
            await asyncio.sleep(0)
            if self._waiting and (len(self._waiting) == sum(not task.done() for task in tasks) or self._random.random() < 0.3):
                self._waiting.pop(self._random.randrange(len(self._waiting))).set_result(None)
        return await asyncio.gather(*tasks, return_exceptions=True)
