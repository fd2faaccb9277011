"""One server: its connections, and a breaker.

Many callers share a connection. The units of one loop tick leave as one pipeline, and replies arrive in the same order. If replicas must
confirm writes, reads have a connection of their own, so that they do not wait for confirmations.

The library connects, with TLS, login and choice of database. Then this module reads the socket, with the library's parser in C. A
connection whose replies are late, broken or out of order is closed, and all its callers fail: no caller ever gets another caller's reply.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property, partial

import hiredis
import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig

from identity_service.errors import StoreUnavailable
from identity_service.settings.store_url import place_of
from identity_service.store.redis.cause import Cause, cause_of_exception, cause_of_reply
from identity_service.store.redis.command import MOST_COMMANDS, Command, Reply, ReplyError, confirm, only_reads, read
from identity_service.store.redis.episodes import Episodes, Report, report_nothing

QUIET = MaintNotificationsConfig(enabled=False)
MOST_IN_FLIGHT = 2
"""Pipelines at once. Later units make the next one longer, which costs both ends less than many short ones."""
Landed = Callable[[list[Reply] | None], None]
"""Called once for each pipeline: with its replies, or with None if the connection was lost before them."""
Waiter = asyncio.Future[list[Reply]]
Unit = tuple[Sequence[Command], bytes, Waiter]
"""Commands, their bytes, and the future of their replies."""
FAILURES_TO_OPEN = 5
OPEN_SECONDS = 1.0
Observe = Callable[[float, str], None]
"""Called with the seconds of a pipeline and its outcome: ok, error or open."""


class Connection(asyncio.Protocol):
    """`timeout`: seconds in which each pipeline must be answered. `lost` is called once, when the connection has ended, with True if it was
    too slow."""

    def __init__(self, timeout: float, lost: Callable[[bool], None]) -> None:
        self._timeout = timeout
        self._lost = lost
        self._reader = hiredis.Reader(encoding="utf-8", errors="replace", replyError=ReplyError)
        self._flights: deque[tuple[float, int, Landed]] = deque()
        self._replies: list[Reply] = []
        self._timer: asyncio.TimerHandle | None = None
        self._late = False

    async def open(self, url: str) -> None:
        """Raises StoreUnavailable. `url`: redis://, rediss:// or unix://."""
        options = {"protocol": 3, "driver_info": None, "retry": Retry(NoBackoff(), 0), "maint_notifications_config": QUIET}
        try:
            pool = redis.ConnectionPool.from_url(url, socket_timeout=self._timeout, socket_connect_timeout=self._timeout, **options)
            self._library = pool.make_connection()  # type: ignore[no-untyped-call]
            async with asyncio.timeout(self._timeout):
                await self._library.connect()
            self._transport = self._library._writer.transport  # the library has no public way to a socket that is logged in
            if self._transport.is_closing():
                raise ConnectionError
            self._transport.set_protocol(self)
            self._loop = asyncio.get_running_loop()
        except Exception as error:
            raise StoreUnavailable(reason=cause_of_exception(error)) from error

    def send(self, packed: bytes, count: int, landed: Landed) -> None:
        """`count`: the number of replies to the packed commands."""
        if self._transport.is_closing():
            self._loop.call_soon(landed, None)
            return
        deadline = self._loop.time() + self._timeout
        self._flights.append((deadline, count, landed))
        self._transport.write(packed)
        if self._timer is None:
            self._timer = self._loop.call_at(deadline, self._check)

    def close(self) -> None:
        """Fails the pipelines that wait for replies."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False:
                if not isinstance(reply, hiredis.PushNotification):
                    self._receive(reply)
        except (hiredis.HiredisError, IndexError):  # a reply in no known form, or one that nobody asked for
            self.close()

    def _receive(self, reply: Reply) -> None:
        _, count, landed = self._flights[0]
        self._replies.append(reply)
        if len(self._replies) == count:
            replies, self._replies = self._replies, []
            self._flights.popleft()
            landed(replies)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 all callers fail alike
        if self._timer:
            self._timer.cancel()
        self._library._writer = None  # closed here, not by the library
        flights, self._flights = self._flights, deque()
        self._lost(self._late)
        for _, _, landed in flights:
            landed(None)

    def _check(self) -> None:
        self._timer = None
        if not self._flights:
            return
        deadline = self._flights[0][0]
        if deadline <= self._loop.time():
            self._late = True
            self.close()
        else:
            self._timer = self._loop.call_at(deadline, self._check)


class Line:
    """For one event loop. Connects at the first unit, and again after a loss. `began` returns the cause for which a pipeline is refused, or
    None. `ended` gets the seconds of a pipeline, and the cause if it was not answered. `replicas`: how many must have a write, or its
    caller gets StoreUnavailable."""

    def __init__(
        self,
        url: str,
        timeout: float,
        replicas: int,
        began: Callable[[], Cause | None],
        ended: Callable[[float, Cause | None], None],
    ) -> None:
        self._url = url
        self._timeout = timeout
        self._confirm = confirm(replicas, timeout).packed() if replicas else b""
        self._replicas = replicas
        self._began = began
        self._ended = ended
        self._loss = Cause.CLOSED
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
        """The unit of a cancelled caller stays in the pipeline."""
        future: asyncio.Future[list[Reply]] = self._loop.create_future()
        self._waiting.append((unit, b"".join([command.packed() for command in unit]), future))
        self._schedule()
        return future

    def close(self) -> None:
        """Fails all units."""
        if self._connecting:
            self._connecting.cancel()
        if self._connection:
            self._connection.close()
        self._fail_waiting(Cause.CLOSED)

    def _schedule(self) -> None:
        if self._waiting and not self._scheduled and self._in_flight < MOST_IN_FLIGHT:
            self._scheduled = True
            self._loop.call_soon(self._launch)

    def _launch(self) -> None:
        self._scheduled = False
        if not self._waiting or self._connecting:
            return
        if cause := self._began():
            self._fail_waiting(cause)
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
        except StoreUnavailable as error:
            self._ended(self._loop.time() - began, Cause(error.reason))
            self._fail_waiting(Cause(error.reason))
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
        loading = replies is not None and isinstance(replies[0], ReplyError) and replies[0].code == "LOADING"
        self._ended(self._loop.time() - began, self._loss if replies is None else Cause.LOADING if loading else None)
        if replies is None:
            _fail(units, self._loss)
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
                    future.set_exception(StoreUnavailable(reason=Cause.NOREPLICAS))
            start = end

    def _answer(self, unit: Sequence[Command], replies: list[Reply], future: Waiter) -> None:
        """Repeats calls of scripts that the server has lost, with their sources."""
        missing = [index for index, reply in enumerate(replies) if isinstance(reply, ReplyError) and unit[index].is_missing(reply)]
        if missing:
            again = self.submit([unit[index].with_source() for index in missing])
            again.add_done_callback(partial(_complete, replies, missing, future))
        else:
            future.set_result(replies)

    def _lost(self, late: bool) -> None:
        """A server that is too slow for one pipeline is too slow for the next, too. After a reset the next may be answered."""
        self._connection = None
        self._loss = Cause.TIMEOUT if late else Cause.CLOSED
        if late:
            self._fail_waiting(Cause.TIMEOUT)

    def _fail_waiting(self, cause: Cause) -> None:
        units, self._waiting = list(self._waiting), deque()
        _fail(units, cause)


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


def _fail(units: list[Unit], cause: Cause) -> None:
    for _, _, future in units:
        if not future.done():
            future.set_exception(StoreUnavailable(reason=cause))


class Breaker:
    """Opens after five failures in a row. From then on one call a second may try again."""

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
    """`url`: redis://, rediss:// or unix://. `timeout`: seconds for a connection, and for each pipeline. `sentinel`: it holds nothing of
    the store. Use it inside one event loop."""

    def __init__(
        self, url: str, timeout: float, replicas: int, observe: Observe, report: Report = report_nothing, *, sentinel: bool = False
    ) -> None:
        self.url = url
        self._observe = observe
        self.episodes = Episodes(place_of(url), time.monotonic, report, sentinel=sentinel)
        self._cause = Cause.OTHER
        self.breaker = Breaker(time.monotonic)
        self._writing = self._reading = Line(url, timeout, replicas, self._began, self._ended)
        if replicas:
            self._reading = Line(url, timeout, 0, self._began, self._ended)

    def submit(self, unit: Sequence[Command]) -> Awaitable[list[Reply]]:
        """Returns a reply for each command, an error among them as a ReplyError. Raises StoreUnavailable."""
        line = self._reading if self._reading is not self._writing and only_reads(unit) else self._writing
        return line.submit(unit)

    async def run(self, *unit: Command) -> list[Reply]:
        """Raises StoreUnavailable, also if a reply is an error."""
        replies = await self.submit(unit)
        for reply in replies:
            if isinstance(reply, ReplyError):
                raise StoreUnavailable(reason=cause_of_reply(reply)) from reply
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

    def _began(self) -> Cause | None:
        """While the breaker is open, the cause is that of the last failure."""
        if self.breaker.may_pass():
            return None
        self._observe(0.0, "open")
        return self._cause

    def _ended(self, seconds: float, cause: Cause | None) -> None:
        if cause is None:
            self.breaker.succeeded()
            self.episodes.answered()
        else:
            self.breaker.failed()
            self.episodes.failed(cause)
            self._cause = cause
        self._observe(seconds, "error" if cause else "ok")
