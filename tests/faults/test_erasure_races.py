"""An erasure and a repeated link of the same pair at once: in each order of the two the visitor, whom the email alone held, goes whole."""

import asyncio

import pytest
import redis

from identity_service.consent import Millis
from identity_service.errors import StoreUnavailable
from tests.faults.test_link_protocol import NOW, SHOP, World

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("erasing", [3, 4, 5])
@pytest.mark.parametrize("linking", [2, 3])
async def test_a_link_that_fails_amid_an_erasure_leaves_no_visitor(
    store_url: str, database: redis.Redis, linking: int, erasing: int
) -> None:
    """`linking`, `erasing`: the store call before which each waits; the link ends first."""
    linker, eraser = World(store_url, database), World(store_url, database)
    handle, visitor = linker.handle("a@example.com"), linker.visitor("v")
    await eraser.grant(visitor)
    await eraser.link(handle, visitor)
    await eraser.client.drain()
    eraser.client.revive()
    linker.client.holds_before, eraser.client.holds_before = linking, erasing
    link = asyncio.create_task(linker.link(handle, visitor))
    await asyncio.wait_for(linker.client.held.wait(), 10)
    erasure = asyncio.create_task(eraser.store.removals.erase(SHOP, handle, Millis(NOW * 1000)))
    await asyncio.wait_for(eraser.client.held.wait(), 10)
    linker.client.released.set()
    [failed] = await asyncio.gather(link, return_exceptions=True)
    eraser.client.released.set()
    await erasure
    await eraser.repair()
    kept = eraser.recorded(visitor)
    for world in (linker, eraser):
        await world.client.close()
    assert isinstance(failed, StoreUnavailable)
    assert not kept
