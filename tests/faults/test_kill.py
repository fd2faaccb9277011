"""The same crashes with a real process and a real SIGKILL after each store call."""

import asyncio
import signal
import subprocess
import sys

import pytest
import redis

from tests.faults.test_link_protocol import OPERATIONS, World


@pytest.mark.parametrize("operation", list(OPERATIONS))
def test_a_process_killed_after_any_store_call_is_repaired(store_url: str, database: redis.Redis, operation: str) -> None:
    for call in range(1, 30):
        database.flushall()
        asyncio.run(prepare(store_url, database, linked=operation != "link"))
        command = [sys.executable, "-m", "tests.faults.dying", store_url, operation, str(call)]
        status = subprocess.run(command, timeout=30, check=False).returncode
        assert status in {0, -signal.SIGKILL}
        asyncio.run(repaired(store_url, database))
        if status == 0:
            assert call > 3
            return
    raise AssertionError("the operation never came to its end")


async def prepare(url: str, database: redis.Redis, *, linked: bool) -> None:
    world = World(url, database)
    for name in ("v", "w"):
        await world.grant(world.visitor(name))
    await world.link(world.handle("a@example.com"), world.visitor("w"))
    if linked:
        await world.link(world.handle("a@example.com"), world.visitor("v"))
    await world.client.close()


async def repaired(url: str, database: redis.Redis) -> None:
    world = World(url, database)
    await world.repair()
    world.assert_settled(world.handle("a@example.com"), world.visitor("v"), world.visitor("w"))
    await world.client.close()
