"""Connections of the HTTP server: what a client gets, in how many writes, and when an idle one ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from identity_service.server.protocol import ClientConnection, allowances
from identity_service.settings.load import load

pytestmark = pytest.mark.anyio
IDLE = 1


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the body it got; `/parts` in two parts of unknown length, `/fails` with a head alone, `/split` with a header of two
    lines, `/short` with less than it announced, `/later` once the connection is closed."""
    body = (await receive())["body"] or scope["path"].encode()
    while scope["path"] == "/later" and not send._cycle.transport.is_closing():  # type: ignore[attr-defined]  # noqa: ASYNC110 it tells nobody
        await asyncio.sleep(0.01)
    parts = scope["path"] == "/parts"
    length = [] if parts else [(b"content-length", b"%d" % len(body))]
    if scope["path"] == "/split":
        length.append((b"x-note", b"one\r\nset-cookie: two"))
    if scope["path"] == "/short":
        length = [(b"content-length", b"%d" % (len(body) + 1))]
    await send({"type": "http.response.start", "status": 204 if scope["path"] == "/empty" else 200, "headers": length})
    if scope["path"] == "/fails":
        raise ValueError
    if parts:
        await send({"type": "http.response.body", "body": body, "more_body": True})
    await send({"type": "http.response.body", "body": b"" if scope["path"] == "/empty" else body})


class Counted(asyncio.Transport):
    """A transport that remembers what it is given, each write apart."""

    def __init__(self, transport: asyncio.Transport, writes: list[bytes]) -> None:
        self._transport, self._writes = transport, writes

    def write(self, data: Any) -> None:
        self._writes.append(bytes(data))
        self._transport.write(data)

    def __getattribute__(self, name: str) -> Any:
        found = object.__getattribute__
        return found(self, name) if name in {"write", "_transport", "_writes"} else getattr(found(self, "_transport"), name)


class Server:
    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.port = 0
        self.state = ServerState()

    async def ask(self, *requests: bytes, until: bytes) -> bytes:
        """What came until the text did."""
        async with opened(self.port) as (reader, writer):
            for request in requests:
                writer.write(request)
            return await asyncio.wait_for(reader.readuntil(until), 10)


@asynccontextmanager
async def opened(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    config = uvicorn.Config(app, http=ClientConnection, ws="none", log_config=None, access_log=False, timeout_keep_alive=IDLE)
    config.load()
    made, allowed = Server(), allowances(load("development", {}))
    state = made.state

    class Watched(ClientConnection):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(Counted(transport, made.writes))

    listening = await asyncio.get_running_loop().create_server(lambda: Watched(config, state, {}, allowed=allowed), "127.0.0.1", 0)
    made.port = listening.sockets[0].getsockname()[1]
    yield made
    for connection in list(state.connections):
        connection.transport.close()
    listening.close()


def posted(path: str, body: bytes = b"hello", *lines: str, method: str = "POST") -> bytes:
    head = [f"{method} {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *lines]
    return "\r\n".join([*head, "", ""]).encode() + body


async def test_an_answer_leaves_in_one_write(server: Server) -> None:
    told = await server.ask(posted("/"), until=b"\r\n\r\nhello")
    assert server.writes == [told]


async def test_parts_leave_when_they_are_sent(server: Server) -> None:
    told = await server.ask(posted("/parts"), until=b"0\r\n\r\n")
    assert b"\r\n\r\n5\r\nhello\r\n5\r\nhello\r\n0\r\n\r\n" in told
    assert len(server.writes) == 3


@pytest.mark.parametrize(("path", "told"), [("/split", b""), ("/short", b"hello")])
async def test_a_header_that_is_none_never_leaves_and_a_wrong_length_ends_the_connection(server: Server, path: str, told: bytes) -> None:
    with pytest.raises(asyncio.IncompleteReadError) as ended:
        await server.ask(posted(path, b"hello"), until=b"never")
    assert told in ended.value.partial
    assert b"set-cookie" not in ended.value.partial


@pytest.mark.parametrize("earlier", [0, 1])
async def test_a_head_that_comes_at_once_is_measured_like_one_in_pieces(server: Server, earlier: int) -> None:
    limits = load("development", {}).limits
    async with opened(server.port) as (reader, writer):
        for _ in range(earlier):
            writer.write(posted("/"))
            await asyncio.wait_for(reader.readuntil(b"hello"), 10)
        writer.write(b"GET / HTTP/1.1\r\nx: " + b"x" * (limits.target_bytes + 2 * limits.header_bytes))
        told = await asyncio.wait_for(reader.read(), limits.header_seconds / 2)
    assert told.startswith(b"HTTP/1.1 431 ")


async def test_answers_to_requests_sent_at_once_come_in_their_order(server: Server) -> None:
    told = await server.ask(posted("/", b"one"), posted("/", b"two") + posted("/", b"three"), until=b"three")
    assert [told.count(word) for word in (b"one", b"two", b"three")] == [1, 1, 1]
    assert told.index(b"one") < told.index(b"two") < told.index(b"three")
    assert len(server.writes) == 3


@pytest.mark.parametrize(("method", "path"), [("HEAD", "/"), ("GET", "/empty"), ("HEAD", "/parts")])
async def test_an_answer_without_a_body_is_sent(server: Server, method: str, path: str) -> None:
    assert (await server.ask(posted(path, b"", method=method), until=b"\r\n\r\n")).startswith(b"HTTP/1.1 20")


async def test_whoever_waits_to_be_asked_for_the_body_is_asked(server: Server) -> None:
    head, _, body = posted("/", b"hello", "Expect: 100-continue").partition(b"hello")
    await server.ask(head, until=b"100 Continue\r\n\r\n")
    assert body == b""


@pytest.mark.parametrize("path", ["/", "/fails"])
async def test_a_last_answer_is_whole_and_then_the_connection_ends(server: Server, path: str) -> None:
    with pytest.raises(asyncio.IncompleteReadError) as ended:
        await server.ask(posted(path, b"hello", "Connection: close"), until=b"never")
    assert ended.value.partial.endswith(b"\r\n\r\nhello" if path == "/" else b"")


async def test_a_connection_ends_when_it_has_been_idle_and_not_before(server: Server) -> None:
    loop = asyncio.get_running_loop()
    async with opened(server.port) as (reader, writer):
        for _ in range(3):
            writer.write(posted("/"))
            await asyncio.wait_for(reader.readuntil(b"hello"), 10)
            answered = loop.time()
            await asyncio.sleep(IDLE * 0.6)
        assert await asyncio.wait_for(reader.read(), 30) == b""
        assert loop.time() - answered >= IDLE * 0.9


async def test_nobody_is_answered_who_left_after_several_calls_and_it_is_no_fault(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """The library tells the last call alone that its client has gone."""
    async with opened(server.port) as (_, writer):
        writer.write(posted("/later") * 2)
        await writer.drain()
    await asyncio.wait(server.state.tasks)
    assert server.writes == []
    assert caplog.records == []
