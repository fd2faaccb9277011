"""What the runs for scaling and memory stand on: stores filled as calls fill them, and latency that counts from when a call is due."""

import asyncio
import re
from typing import Any

import pytest
import redis

from identity_service.app import Application
from tests.benchmarks import calls, fill
from tests.benchmarks.work import CLICK
from tests.conftest import Shopper

POINTER = 23
"""Characters of a pointer's name."""


def shapes(database: redis.Redis) -> dict[str, Any]:
    """Keys and fields with the lengths of their values, names of people left out."""
    found: dict[str, Any] = {}
    for key in database.scan_iter():
        name = re.sub(r":(?:[\w-]{22}|[\w-]{16})(?=:|$)", ":…", key)
        if database.type(key) == "hash":
            stored = database.hgetall(key)
            found[name] = sorted(("…" if len(field) >= POINTER - 1 else field, len(value)) for field, value in stored.items())
        else:
            found[re.sub(r":R:[\w-]+$", ":R:…", name)] = [len(one) for one in database.lrange(key, 0, -1)]
        assert int(database.ttl(key)) > 0, key
    return found


@pytest.mark.anyio
async def test_a_filled_store_holds_what_calls_leave(
    shopper: Shopper, application: Application, store_url: str, database: redis.Redis
) -> None:
    visitor = (await shopper.post("/v1/visitors", {"consent": "granted"})).json()["visitor"]
    await shopper.post("/v1/links", {"email": "person-1@example.com", "visitor": visitor})
    await application.services.store.client.drain()
    called = shapes(database)
    assert len(called) == 3, called
    database.flushall()
    async with fill.opened(store_url) as services:
        [visitor] = await fill.grant(services, 1)
        await fill.link(services, [("person-1@example.com", visitor)])
    assert shapes(database) == called


@pytest.mark.anyio
async def test_a_call_that_waits_for_others_is_late_where_a_rate_is_asked_for() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(20):
            await reader.readuntil(b"}")
            await asyncio.sleep(0.05)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1")
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    told = await calls.made(url, CLICK, [{}] * 20, 1, rate=100)
    assert told.requests == 20
    assert told.rate < 20
    assert told.p99 > 20 * 50 - 20 * 10 - 1, "the last was due after 0.19 s and answered after 1 s"
    server.close()
    await server.wait_closed()
