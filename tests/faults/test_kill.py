"""The same crashes with a real process and a real SIGKILL after each store call."""

import asyncio
import itertools
import signal

import pytest
import redis

from identity_service.model.visitor import VisitorId
from tests.faults.dying import exit_code_of
from tests.faults.world import OPERATIONS, World


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_process_killed_after_any_store_call_leaves_nothing_half_done(store_url: str, database: redis.Redis, operation: str) -> None:
    """The erasure of one is ended by another's repair."""
    for call in itertools.count(1):
        database.flushall()
        asyncio.run(prepare(store_url, database, linked=operation != "link"))
        status = exit_code_of(store_url, operation, call)
        assert status in {0, -signal.SIGKILL}
        asyncio.run(inspected(store_url, database, operation))
        if status == 0:
            assert call > 1
            return


async def prepare(url: str, database: redis.Redis, *, linked: bool) -> None:
    world = World(url, database)
    for name in ("v", "w"):
        await world.grant(VisitorId(name))
    for name in ("w", "v") if linked else ("w",):
        await world.link(world.handle("a@example.com"), VisitorId(name))
    await world.client.close()


async def inspected(url: str, database: redis.Redis, operation: str) -> None:
    world = World(url, database)
    world.assert_whole()
    begun = world.noted()
    await world.repair()
    world.assert_whole()
    assert world.noted() == 0
    if begun:
        assert operation == "erase"
        assert world.links(world.handle("a@example.com")) == {}
    await world.client.close()
