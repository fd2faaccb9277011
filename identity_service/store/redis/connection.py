"""One connection that many callers share: pipelines go out as they come, and their replies come back in the same order.

The library connects, with TLS, login and choice of database; then the socket is read here, with its parser in C. A connection whose
replies are late, broken or out of order is closed, and all its callers fail: nobody ever gets another caller's reply.
"""

import asyncio
from collections import deque
from collections.abc import Callable

import hiredis
import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig

from identity_service.errors import StoreUnavailable
from identity_service.store.redis.command import Reply, ReplyError

QUIET = MaintNotificationsConfig(enabled=False)

Landed = Callable[[list[Reply] | None], None]
"""Called once for each pipeline: with its replies, or with None when the connection was lost before them."""


class Connection(asyncio.Protocol):
    """`timeout`: seconds in which each pipeline must be answered. `lost` is called once, when the connection has ended; with True where it
    was too slow."""

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
            self._transport = self._library._writer.transport  # there is no public way to a socket that is logged in
            if self._transport.is_closing():
                raise ConnectionError
            self._transport.set_protocol(self)
            self._loop = asyncio.get_running_loop()
        except Exception as error:
            raise StoreUnavailable from error

    def send(self, packed: bytes, count: int, landed: Landed) -> None:
        """`count`: how many replies the packed commands have."""
        if self._transport.is_closing():
            self._loop.call_soon(landed, None)
            return
        deadline = self._loop.time() + self._timeout
        self._flights.append((deadline, count, landed))
        self._transport.write(packed)
        if self._timer is None:
            self._timer = self._loop.call_at(deadline, self._check)

    def close(self) -> None:
        """The pipelines under way fail."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False:
                if not isinstance(reply, hiredis.PushNotification):
                    self._receive(reply)
        except (hiredis.HiredisError, IndexError):  # what no server sends, or a reply that nobody asked for
            self.close()

    def _receive(self, reply: Reply) -> None:
        _, count, landed = self._flights[0]
        self._replies.append(reply)
        if len(self._replies) == count:
            replies, self._replies = self._replies, []
            self._flights.popleft()
            landed(replies)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 why does not matter to those who wait
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
