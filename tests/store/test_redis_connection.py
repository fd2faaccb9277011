"""The shared connection: pipelines of a tick, and what becomes of its callers when a server is late, gone or speaks nonsense."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import redis

from identity_service.errors import StoreUnavailable
from identity_service.store.redis.client import StoreClient
from identity_service.store.redis.command import MOST_COMMANDS, read, write
from identity_service.store.redis.server import Connection, Line

pytestmark = pytest.mark.anyio

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[str]:
    """The URL of a server that answers as `serve` does, once for each connection."""
    writers: list[asyncio.StreamWriter] = []

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        assert (await reader.read(65_536)).startswith(b"*2\r\n$5\r\nHELLO")
        writer.write(b"%1\r\n$5\r\nproto\r\n:3\r\n")
        await serve(reader, writer)

    server = await asyncio.start_server(served, "127.0.0.1", 0)
    yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    for writer in writers:
        writer.close()


def answering(*replies: bytes) -> Serve:
    """Answers each arrival with the next of `replies`, the last one again and again; an empty one closes the connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = list(replies)
        while await reader.read(65_536):
            reply = left.pop(0) if len(left) > 1 else left[0]
            if not reply:
                writer.close()
                return
            writer.write(reply)

    return serve


@pytest.fixture
async def client(store_url: str, database: redis.Redis) -> AsyncIterator[StoreClient]:
    made = StoreClient(store_url, 5.0)
    yield made
    await made.close()


async def test_units_of_one_tick_are_one_pipeline_in_their_order(client: StoreClient, monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []
    send = Connection.send

    def counted(self: Connection, packed: bytes, count: int, landed: object) -> None:
        counts.append(count)
        send(self, packed, count, landed)  # type: ignore[arg-type]

    monkeypatch.setattr(Connection, "send", counted)
    replies = await asyncio.gather(*(client.run(write("SET", f"a{n}", n), read("GET", f"a{n}")) for n in range(50)))
    assert replies == [["OK", str(n)] for n in range(50)]
    assert counts == [100]


async def test_a_long_queue_goes_out_in_parts_and_units_stay_whole(client: StoreClient) -> None:
    units = [
        client.run(*(write("RPUSH", f"list{n}", m) for m in range(200)), read("LLEN", f"list{n}")) for n in range(3 * MOST_COMMANDS // 200)
    ]
    assert [replies[-1] for replies in await asyncio.gather(*units)] == [200] * len(units)


async def test_a_cancelled_caller_leaves_its_neighbours_replies_alone(client: StoreClient) -> None:
    for _ in range(200):
        await client.run(write("SET", "mine", "mine"), write("SET", "yours", "yours"))
        mine, yours = asyncio.create_task(client.run(read("GET", "mine"))), asyncio.create_task(client.run(read("GET", "yours")))
        await asyncio.sleep(0)
        mine.cancel()
        assert await yours == ["yours"]


async def test_text_that_is_not_unicode_and_a_lone_surrogate_break_nobody(client: StoreClient, database: redis.Redis) -> None:
    database.set("bytes", b"\xff")
    found = await asyncio.gather(client.run(read("GET", "bytes")), client.run(write("SET", "a", "\ud800"), read("GET", "a")))
    assert list(found) == [["\ufffd"], ["OK", "?"]]


async def test_no_commands_have_no_replies(client: StoreClient) -> None:
    assert await client.run() == []


async def test_an_error_reply_is_its_own_caller_s_alone(client: StoreClient) -> None:
    answers = await asyncio.gather(
        client.run(write("INCR", "n")), client.run(write("NONSENSE", "x")), client.run(write("INCR", "n")), return_exceptions=True
    )
    assert answers[0] == [1]
    assert isinstance(answers[1], StoreUnavailable)
    assert answers[2] == [2]
    assert not client.open


@pytest.mark.parametrize("reply", [b"", b"!nonsense\r\n", b"$5\r\nhel", b"-LOADING the dataset\r\n"])
async def test_a_write_whose_reply_is_lost_is_unknown_and_not_repeated(reply: bytes) -> None:
    arrivals: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            arrivals.append(data)
            writer.write(reply)
            if not reply:
                writer.close()
                return

    async with serving(serve) as url:
        client = StoreClient(url, 0.2)
        with pytest.raises(StoreUnavailable):
            await client.run(write("SET", "a", 1), write("SET", "b", 1))
        assert len(arrivals) == 1
        await client.close()


async def test_a_read_is_repeated_once_over_a_new_connection() -> None:
    served = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        served += 1
        await reader.read(65_536)
        if served == 1:
            writer.close()
        else:
            writer.write(b"+found\r\n")

    async with serving(serve) as url:
        client = StoreClient(url, 1)
        assert await client.run(read("GET", "a")) == ["found"]
        await client.close()


async def test_nobody_waits_behind_a_server_that_went_silent() -> None:
    """Those in flight and those behind them fail together; then the breaker is open."""
    async with serving(lambda reader, _writer: silent(reader)) as url:
        client = StoreClient(url, 0.2)
        failed = []
        for _ in range(5):
            failed += await asyncio.gather(*(client.run(write("SET", "a", n)) for n in range(20)), return_exceptions=True)
        assert {type(one) for one in failed} == {StoreUnavailable}
        assert client.open
        await client.close()


async def test_a_reply_that_nobody_asked_for_ends_the_connection_before_somebody_gets_it() -> None:
    async with serving(answering(b"+first\r\n+surplus\r\n", b"+second\r\n")) as url:
        client = StoreClient(url, 1)
        await client.run(read("GET", "first"))
        answers = [await client.run(read("GET", "second")) for _ in range(3)]
        assert ["surplus"] not in answers
        await client.close()


async def test_replicas_that_do_not_confirm_make_a_write_unknown_and_leave_reads_alone(store_url: str, database: redis.Redis) -> None:
    client = StoreClient(store_url, 0.2, replicas=1)
    with pytest.raises(StoreUnavailable):
        await client.run(write("SET", "a", 1))
    writing = asyncio.create_task(client.run(write("SET", "a", 2)))
    await asyncio.sleep(0)
    assert await client.run(read("EXISTS", "b")) == [0]
    assert not writing.done()
    with pytest.raises(StoreUnavailable):
        await writing
    assert not client.open
    await client.close()


async def test_closing_fails_whoever_waits() -> None:
    async with serving(lambda reader, _writer: silent(reader)) as url:
        line = Line(url, 5, 0, lambda: None, lambda _seconds, _cause: None)
        waiting = [line.submit([read("GET", "a")]) for _ in range(3)]
        await asyncio.sleep(0.05)
        waiting.append(line.submit([read("GET", "a")]))
        line.close()
        failed = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(one) for one in failed} == {StoreUnavailable}


async def silent(reader: asyncio.StreamReader) -> None:
    while await reader.read(65_536):
        pass
