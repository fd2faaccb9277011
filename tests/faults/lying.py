"""A planted fault: a proxy before a service that acknowledges one write in many without handing it on."""

import asyncio
import json
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from tests.faults.connection import Connection

CANNED: Mapping[str, Mapping[str, Any]] = {
    "/v1/links": {"linked": True, "verified": True, "proof": "key"},
    "/v2/log/click": {"status": "ok"},
    "/v2/log/sale": {"status": "ok"},
}


class LyingProxy:
    """`one_in`: of how many links, clicks and sales one is dropped. `dropped`: bodies of those."""

    def __init__(self, behind: str, one_in: int) -> None:
        self.dropped: list[dict[str, Any]] = []
        self.url = ""
        self._behind = behind
        self._one_in = one_in
        self._writes = 0
        self._ready, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="lying proxy")

    def __enter__(self) -> "LyingProxy":
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()

    async def _run(self) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        await asyncio.to_thread(self._ended.wait)
        server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(self._behind)
        try:
            while head := await self._head(reader):
                path, told = head
                body = json.loads(await reader.readexactly(int(told["content-length"])))
                status, answer = self._lie(path, body) or await connection.call(path, told["authorization"].removeprefix("Bearer "), body)
                sent = json.dumps(answer).encode()
                writer.write(f"HTTP/1.1 {status} -\r\ncontent-length: {len(sent)}\r\n\r\n".encode() + sent)
        finally:
            connection.close()
            writer.close()

    async def _head(self, reader: asyncio.StreamReader) -> tuple[str, dict[str, str]] | None:
        try:
            line, *headers = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        except asyncio.IncompleteReadError:
            return None
        return line.split(" ")[1], {name.lower(): value for name, _, value in (header.partition(": ") for header in headers)}

    def _lie(self, path: str, body: dict[str, Any]) -> tuple[int, Mapping[str, Any]] | None:
        if path not in CANNED:
            return None
        self._writes += 1
        if self._writes % self._one_in:
            return None
        self.dropped.append(body)
        return 200, CANNED[path]
