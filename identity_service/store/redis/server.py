"""One server: a breaker, and connections over which the units of one loop tick go out as one pipeline.

Where replicas must confirm what was written, reads have a connection of their own, so that they do not wait behind confirmations.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property, partial

from identity_service.errors import StoreUnavailable
from identity_service.store.redis.command import MOST_COMMANDS, Command, Reply, ReplyError, confirm, only_reads, read
from identity_service.store.redis.connection import Connection

MOST_IN_FLIGHT = 2
"""Pipelines at once; what comes meanwhile makes the next one longer, which costs both ends less than many short ones."""
Waiter = asyncio.Future[list[Reply]]
Unit = tuple[Sequence[Command], bytes, Waiter]
"""Commands, the same as bytes, and who waits for their replies."""
FAILURES_TO_OPEN = 5
OPEN_SECONDS = 1.0
Observe = Callable[[float, str], None]
"""Told the seconds that a pipeline took and its outcome: ok, error or open."""


class Line:
    """For one event loop. Connects when it is first needed, and again after a loss. `began` may refuse a pipeline (False); `ended` is told
    whether it was answered. `replicas`: how many must have what was written, or the writers hear StoreUnavailable."""

    def __init__(self, url: str, timeout: float, replicas: int, began: Callable[[], bool], ended: Callable[[float, bool], None]) -> None:
        self._url = url
        self._timeout = timeout
        self._confirm = confirm(replicas, timeout).packed() if replicas else b""
        self._replicas = replicas
        self._began = began
        self._ended = ended
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._waiting: deque[Unit] = deque()
        self._in_flight = 0
        self._scheduled = False

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    @property
    def idle(self) -> bool:
        return not self._waiting and not self._in_flight

    def submit(self, unit: Sequence[Command]) -> asyncio.Future[list[Reply]]:
        """A caller that is cancelled leaves its unit in the pipeline."""
        future: asyncio.Future[list[Reply]] = self._loop.create_future()
        self._waiting.append((unit, b"".join([command.packed() for command in unit]), future))
        self._schedule()
        return future

    def close(self) -> None:
        """Whoever waits fails."""
        if self._connecting:
            self._connecting.cancel()
        if self._connection:
            self._connection.close()
        self._fail_waiting()

    def _schedule(self) -> None:
        if self._waiting and not self._scheduled and self._in_flight < MOST_IN_FLIGHT:
            self._scheduled = True
            self._loop.call_soon(self._launch)

    def _launch(self) -> None:
        self._scheduled = False
        if not self._waiting or self._connecting:
            return
        if not self._began():
            self._fail_waiting()
        elif self._connection is None:
            self._connecting = self._loop.create_task(self._connect())
        else:
            self._send(self._connection)
            self._schedule()

    async def _connect(self) -> None:
        connection = Connection(self._timeout, self._lost)
        began = self._loop.time()
        try:
            await connection.open(self._url)
            self._connection = connection
        except StoreUnavailable:
            self._ended(self._loop.time() - began, False)
            self._fail_waiting()
        finally:
            self._connecting = None
        if self._waiting and self._connection:
            self._send(self._connection)
        self._schedule()

    def _send(self, connection: Connection) -> None:
        units: list[Unit] = []
        count = 0
        while self._waiting and (not units or count + len(self._waiting[0][0]) <= MOST_COMMANDS):
            units.append(self._waiting.popleft())
            count += len(units[-1][0])
        packed = b"".join([packed for _, packed, _ in units])
        confirmed = bool(self._confirm) and not all(only_reads(unit) for unit, _, _ in units)
        if confirmed:
            packed += self._confirm
        self._in_flight += 1
        connection.send(packed, count + confirmed, partial(self._landed, units, confirmed, self._loop.time()))

    def _landed(self, units: list[Unit], confirmed: bool, began: float, replies: list[Reply] | None) -> None:
        self._in_flight -= 1
        answered = replies is not None and not (isinstance(replies[0], ReplyError) and replies[0].code == "LOADING")
        self._ended(self._loop.time() - began, answered)
        if replies is None:
            _fail(units)
        else:
            safe = not confirmed or (isinstance(replies[-1], int) and replies[-1] >= self._replicas)
            self._distribute(units, replies, safe)
        self._schedule()

    def _distribute(self, units: list[Unit], replies: list[Reply], safe: bool) -> None:
        start = 0
        for unit, _, future in units:
            end = start + len(unit)
            if not future.done():
                if safe or only_reads(unit):
                    self._answer(unit, replies[start:end], future)
                else:
                    future.set_exception(StoreUnavailable())
            start = end

    def _answer(self, unit: Sequence[Command], replies: list[Reply], future: Waiter) -> None:
        """A server that has lost scripts gets their calls once more, with the sources."""
        missing = [index for index, reply in enumerate(replies) if isinstance(reply, ReplyError) and unit[index].is_missing(reply)]
        if missing:
            again = self.submit([unit[index].with_source() for index in missing])
            again.add_done_callback(partial(_complete, replies, missing, future))
        else:
            future.set_result(replies)

    def _lost(self, late: bool) -> None:
        """A server that is too slow for those in flight is so for those who wait, too; after a reset they may have better luck."""
        self._connection = None
        if late:
            self._fail_waiting()

    def _fail_waiting(self) -> None:
        units, self._waiting = list(self._waiting), deque()
        _fail(units)


def _complete(replies: list[Reply], missing: Sequence[int], future: Waiter, again: Waiter) -> None:
    error = again.exception()
    if future.done():
        return
    if error:
        future.set_exception(error)
    else:
        for index, reply in zip(missing, again.result(), strict=True):
            replies[index] = reply
        future.set_result(replies)


def _fail(units: list[Unit]) -> None:
    for _, _, future in units:
        if not future.done():
            future.set_exception(StoreUnavailable())


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
