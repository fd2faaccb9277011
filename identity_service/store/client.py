"""The one way to the store: units of commands in, replies out, every failure a StoreUnavailable.

Timeouts are short, reads are sent twice at most, writes once: after a lost write nobody knows whether it happened, so the caller hears
503 and repeats a call that is safe to repeat. While the breaker is open calls fail at once. Commands are packed in C and their replies read
in one go: the library's own pipeline object costs several times what the store does.
"""

import asyncio
import math
import time
from collections.abc import Callable, Sequence

import hiredis
import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError

from identity_service.errors import StoreUnavailable
from identity_service.store.batch import MOST_COMMANDS, Batch, Command, Reply, write
from identity_service.store.scripts import all_scripts

FAILURES_TO_OPEN = 5
OPEN_SECONDS = 1.0

_pack: Callable[[tuple[str | int | bytes, ...]], bytes] = hiredis.pack_command  # type: ignore[assignment]  # takes any length

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


class Client:
    """`url`: redis://, rediss:// or unix://. Use it inside one event loop and close it there."""

    def __init__(self, url: str, timeout: float, *, observe: Observe = lambda _seconds, _outcome: None) -> None:
        self._timeout = timeout
        self._observe = observe
        self.breaker = Breaker(time.monotonic)
        self._pool = redis.ConnectionPool.from_url(
            url,
            decode_responses=True,
            encoding_errors="replace",
            socket_timeout=None,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
            max_connections=8,
        )
        self._batch = Batch(self._execute)

    async def run(self, *unit: Command) -> list[Reply]:
        """Replies in the order of the commands. Raises StoreUnavailable; for writes that means: perhaps done, perhaps not."""
        try:
            replies = await self._batch.submit(unit)
        except StoreUnavailable:
            if not all(command.reads for command in unit) or self.breaker.open:
                raise
            replies = await self._batch.submit(unit)
        for reply in replies:
            if isinstance(reply, Exception):
                raise StoreUnavailable from reply
        return replies

    async def read_many(self, commands: Sequence[Command]) -> list[Reply]:
        """For reads that may be thousands: in several pipelines, so that nobody else waits behind them for long."""
        if len(commands) <= MOST_COMMANDS:
            return await self.run(*commands)
        chunks = [commands[start : start + MOST_COMMANDS] for start in range(0, len(commands), MOST_COMMANDS)]
        return [reply for replies in await asyncio.gather(*(self.run(*chunk) for chunk in chunks)) for reply in replies]

    def post(self, *unit: Command) -> None:
        """Sends without waiting, for what repair would do anyway; a failure is counted, not raised."""
        self._batch.submit(unit).add_done_callback(lambda future: future.cancelled() or future.exception())

    async def close(self) -> None:
        await self._batch.drain()
        await self._pool.aclose()

    async def _execute(self, commands: list[Command]) -> list[Reply]:
        if not self.breaker.may_pass():
            self._observe(0.0, "open")
            raise StoreUnavailable
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self._timeout):
                replies = await self._pipeline(commands)
        except Exception as error:
            self.breaker.failed()
            self._observe(time.perf_counter() - began, "error")
            raise StoreUnavailable from error
        self.breaker.succeeded()
        self._observe(time.perf_counter() - began, "ok")
        return replies

    async def _pipeline(self, commands: list[Command]) -> list[Reply]:
        replies = await self._send(commands)
        missing = [index for index, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if missing:
            await self._send([write("SCRIPT", "LOAD", script.source) for script in all_scripts()])
            for index, reply in zip(missing, await self._send([commands[index] for index in missing]), strict=True):
                replies[index] = reply
        if any(isinstance(reply, RedisError) and not isinstance(reply, ResponseError) for reply in replies):
            raise StoreUnavailable
        return replies

    async def _send(self, commands: list[Command]) -> list[Reply]:
        """A connection that is left in the middle of its replies closes itself."""
        packed = b"".join([_packed(command.words) for command in commands])
        connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
        try:
            await connection.send_packed_command(packed, check_health=False)
            return [await _reply(connection) for _ in commands]
        finally:
            await self._pool.release(connection)


async def _reply(connection: redis.Connection) -> Reply:
    """The whole pipeline has one time-out, so that a reply needs none of its own."""
    try:
        return await connection.read_response(timeout=math.inf)
    except ResponseError as error:
        return error


def _packed(words: tuple[str | int, ...]) -> bytes:
    try:
        return _pack(words)
    except UnicodeEncodeError:
        return _pack(tuple(word.encode(errors="replace") if isinstance(word, str) else word for word in words))
