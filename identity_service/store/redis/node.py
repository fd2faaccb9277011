"""One server: its connections and a breaker.

Where replicas must confirm what was written, reads have a connection of their own, so that they do not wait behind confirmations.
"""

import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence

from identity_service.errors import StoreUnavailable
from identity_service.store.redis.batch import Command, Reply, ReplyError, only_reads, read
from identity_service.store.redis.line import Line

FAILURES_TO_OPEN = 5
OPEN_SECONDS = 1.0

Observe = Callable[[float, str], None]
"""Told the seconds that a pipeline took and its outcome: ok, error or open."""


class Breaker:
    """Opens after five failures in a row; after a second one call at a time may try again."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures = 0
        self._retry_at = 0.0

    @property
    def open(self) -> bool:
        return self._failures >= FAILURES_TO_OPEN

    @property
    def failing(self) -> bool:
        return self._failures > 0

    def may_pass(self) -> bool:
        if not self.open:
            return True
        if self._clock() < self._retry_at:
            return False
        self._retry_at = self._clock() + OPEN_SECONDS
        return True

    def succeeded(self) -> None:
        self._failures = 0

    def failed(self) -> None:
        self._failures += 1
        self._retry_at = self._clock() + OPEN_SECONDS


class Node:
    """`url`: redis://, rediss:// or unix://. `timeout`: seconds for a connection, and for each pipeline. Use it inside one event loop."""

    def __init__(self, url: str, timeout: float, replicas: int, observe: Observe) -> None:
        self.url = url
        self._observe = observe
        self.breaker = Breaker(time.monotonic)
        self._writing = self._reading = Line(url, timeout, replicas, self._began, self._ended)
        if replicas:
            self._reading = Line(url, timeout, 0, self._began, self._ended)

    def submit(self, unit: Sequence[Command]) -> Awaitable[list[Reply]]:
        """A reply for each command, errors in their places. Raises StoreUnavailable."""
        line = self._reading if self._reading is not self._writing and only_reads(unit) else self._writing
        return line.submit(unit)

    async def run(self, *unit: Command) -> list[Reply]:
        """Raises StoreUnavailable also for an error in a reply."""
        replies = await self.submit(unit)
        for reply in replies:
            if isinstance(reply, ReplyError):
                raise StoreUnavailable from reply
        return replies

    async def drain(self) -> None:
        """Returns once everything submitted so far has been answered."""
        for line in (self._writing, self._reading):
            if not line.idle:
                with contextlib.suppress(StoreUnavailable):
                    await line.submit([read("PING")])

    def close(self) -> None:
        self._writing.close()
        self._reading.close()

    def _began(self) -> bool:
        if self.breaker.may_pass():
            return True
        self._observe(0.0, "open")
        return False

    def _ended(self, seconds: float, answered: bool) -> None:
        if answered:
            self.breaker.succeeded()
        else:
            self.breaker.failed()
        self._observe(seconds, "ok" if answered else "error")
