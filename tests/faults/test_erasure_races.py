"""An erasure by an email and a repeated link of the same pair at once, whatever call the erasure has come to."""

import asyncio
import itertools

import pytest
import redis

from identity_service.model.visitor import VisitorId
from tests.faults.world import NOW, World

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("later", [0, 2])
async def test_a_link_amid_an_erasure_leaves_no_visitor_but_one_that_is_linked_anew(
    store_url: str, database: redis.Redis, later: int
) -> None:
    """`later`: seconds after the time of the erasure that the link is of. What is linked before the erasure reads it goes with it."""
    linker, eraser = World(store_url, database), World(store_url, database)
    handle, visitor = linker.handle("a@example.com"), VisitorId("v")
    stayed = []
    for call in itertools.count(1):
        database.flushall()
        eraser.client.revive()
        await linker.link(handle, visitor)
        eraser.client.holds_before = call
        erasure = asyncio.create_task(eraser.erase(handle))
        if not await reached(eraser, erasure):
            break
        if eraser.linked(handle, visitor):
            await linker.link(handle, visitor, now=NOW + later)
        eraser.client.released.set()
        await erasure
        eraser.assert_whole()
        assert eraser.recorded(visitor) == eraser.linked(handle, visitor)
        stayed.append(eraser.recorded(visitor))
    assert len(stayed) > 5
    assert set(stayed) == ({True, False} if later else {False})
    for world in (linker, eraser):
        await world.client.close()


async def reached(world: World, operation: asyncio.Task[None]) -> bool:
    """Whether the operation comes to the call that it is held before; else it has ended."""
    held = asyncio.create_task(world.client.held.wait())
    await asyncio.wait({operation, held}, timeout=10, return_when=asyncio.FIRST_COMPLETED)
    held.cancel()
    return not operation.done()
