"""An HTTP client that costs little: one kept-alive connection, JSON both ways, every failure in one exception."""

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit


class NoAnswer(Exception):
    """Refused, reset, cut off or too late: what was asked may have happened."""


class Connection:
    """Of one client at a time. `url`: base URL of a service; `seconds`: time-out of a call; `kept`: for the next call, too."""

    def __init__(self, url: str, seconds: float = 2.0, *, kept: bool = True) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._seconds = seconds
        self._kept = kept
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def call(self, path: str, key: str, body: object = None) -> tuple[int, Any]:
        """Status and answer of a POST, or of a GET without a body. Never repeats a call. Raises NoAnswer."""
        try:
            async with asyncio.timeout(self._seconds):
                status, answer = await self._call(path, key, body)
        except (OSError, EOFError, ValueError, TimeoutError) as error:
            self.close()
            raise NoAnswer from error
        except asyncio.CancelledError:
            self.close()
            raise
        return status, answer

    async def _call(self, path: str, key: str, body: object) -> tuple[int, Any]:
        if self._streams is None or self._streams[0].at_eof():
            self.close()
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        sent = b"" if body is None else json.dumps(body).encode()
        method = "GET" if body is None else "POST"
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\nAuthorization: Bearer {key}\r\nContent-Length: {len(sent)}\r\n\r\n"
        writer.write(head.encode() + sent)
        line, *headers = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
        told = dict(header.split(": ", 1) for header in headers if header)
        raw = await reader.readexactly(int(told["content-length"]))
        if told.get("connection") == "close" or not self._kept:
            self.close()
        return int(line.split(" ")[1]), json.loads(raw) if raw else None

    def close(self) -> None:
        if self._streams:
            self._streams[1].close()
        self._streams = None
