"""A proxy that a connection to the store goes through, and that is told while it runs how to treat what passes.

It listens on 127.0.0.1 and forwards to a TCP address or a Unix socket, on an event loop in a thread of its own.
"""

import asyncio
import math
import random
import socket
import ssl
import struct
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

PIECE_BYTES = 65_536
NO_REPLY = b"\x00\xff#garbage#\r\n"
"""No type of reply begins so."""


class Fault(StrEnum):
    """What may happen to a piece of replies, which is what the server wrote at once. After a garbage one the connection stays open."""

    RESET = "reset"
    HALF = "half"
    GARBAGE = "garbage"


@dataclass(frozen=True)
class Conditions:
    """Delays in seconds, each way. `flowing` False: nothing passes, all is kept. `refusing`: every new connection is reset.
    `share`: of the pieces of replies that suffer `fault`, until `most_struck` have in all. `most_reply_bytes`: after as many a connection
    is reset."""

    request_delay: float = 0.0
    reply_delay: float = 0.0
    flowing: bool = True
    refusing: bool = False
    fault: Fault = Fault.RESET
    share: float = 0.0
    most_struck: float = math.inf
    most_reply_bytes: int | None = None


class Connection:
    """Both ends of one connection. A piece leaves one delay after it came, however many are on their way."""

    def __init__(self, proxy: "Proxy", caller: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._caller = caller
        self._replied = 0

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, replies: bool) -> None:
        """Until either side ends, or a fault does."""
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(1024)
        reading = asyncio.create_task(_read_into(waiting, reader))
        try:
            while True:
                came, piece = await waiting.get()
                await self._proxy.pause(came, replies=replies)
                if not piece:
                    return
                writer.write(self._spoilt(piece) if replies else piece)
                await writer.drain()
        except OSError:
            return
        finally:
            reading.cancel()

    def _spoilt(self, piece: bytes) -> bytes:
        """Raises ConnectionResetError to end the connection, after sending what may still pass."""
        conditions, left = self._proxy.conditions, None
        if conditions.most_reply_bytes is not None:
            left = max(conditions.most_reply_bytes - self._replied, 0)
        self._replied += len(piece)
        if self._proxy.strikes():
            if conditions.fault is Fault.GARBAGE:
                return NO_REPLY + piece
            left = len(piece) // 2 if conditions.fault is Fault.HALF else 0
        if left is None or left >= len(piece):
            return piece
        self._caller.write(piece[:left])
        raise ConnectionResetError

    def reset(self) -> None:
        sock = self._caller.get_extra_info("socket")
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._caller.transport.abort()


async def _read_into(waiting: asyncio.Queue[tuple[float, bytes]], reader: asyncio.StreamReader) -> None:
    piece = b"-"
    while piece:
        try:
            piece = await reader.read(PIECE_BYTES)
        except OSError:
            piece = b""
        await waiting.put((time.monotonic(), piece))


class Proxy:
    """`target`: a URL of redis:// or unix://. Set `conditions` at any time; they hold for what passes from then on.
    `struck`: the faults so far. `port` 0: any that is free. `tls`: callers reach it by TLS alone."""

    def __init__(
        self, target: str, conditions: Conditions | None = None, *, port: int = 0, seed: int = 1, tls: ssl.SSLContext | None = None
    ) -> None:
        self.target = target
        self._tls = tls
        self.conditions = conditions or Conditions()
        self.port = port
        self.struck = 0
        self._random = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._open: set[Connection] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        return len(self._open)

    def reset_all(self) -> None:
        """Resets every open connection, as a firewall that lost its table does."""
        for connection in list(self._open):
            self._loop.call_soon_threadsafe(connection.reset)

    def strikes(self) -> bool:
        conditions = self.conditions
        struck = self.struck < conditions.most_struck and self._random.random() < conditions.share
        self.struck += struck
        return struck

    async def pause(self, came: float, *, replies: bool) -> None:
        delay = self.conditions.reply_delay if replies else self.conditions.request_delay
        await asyncio.sleep(max(came + delay - time.monotonic(), 0) if delay else 0)
        while not self.conditions.flowing:  # noqa: ASYNC110 set by another thread
            await asyncio.sleep(0.005)

    def start(self) -> None:
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self._tls))
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _serve(self, reader: asyncio.StreamReader, caller: asyncio.StreamWriter) -> None:
        connection = Connection(self, caller)
        try:
            if not self.conditions.refusing:
                self._open.add(connection)
                await self._join(connection, reader, caller)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._open.discard(connection)
            connection.reset()

    async def _join(self, connection: Connection, reader: asyncio.StreamReader, caller: asyncio.StreamWriter) -> None:
        answers, server = await self._connect()
        ways = [
            asyncio.create_task(connection.forward(reader, server, replies=False)),
            asyncio.create_task(connection.forward(answers, caller, replies=True)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            server.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        parts = urlsplit(self.target)
        if parts.scheme == "unix":
            return await asyncio.open_unix_connection(parts.path)
        return await asyncio.open_connection(parts.hostname, parts.port or 6379)


@contextmanager
def proxied(target: str, conditions: Conditions | None = None, *, tls: ssl.SSLContext | None = None) -> Iterator[Proxy]:
    proxy = Proxy(target, conditions, tls=tls)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()
