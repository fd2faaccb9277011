"""Links that race with what takes them away, and processes that die at any call: both directions agree at once, without any repair."""

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest
import redis

from identity_service.errors import ServiceError
from identity_service.model.consent import Millis
from identity_service.model.visitor import VisitorId
from identity_service.store.redis.command import read
from tests.faults.steps import SteppedClient, Turns
from tests.faults.world import NOW, OPERATIONS, REMOVALS, SHOP, World
from tests.stores import valkey, view

pytestmark = pytest.mark.anyio
USUAL, MOST = 300, 1_000
"""Rounds of a race; the most with --long."""
MOST_CALLS = 60


@pytest.fixture
async def world(store_url: str, database: redis.Redis) -> AsyncIterator[World]:
    made = World(store_url, database)
    yield made
    await made.client.close()


@pytest.mark.parametrize("removal", REMOVALS)
async def test_a_link_racing_with_a_removal_leaves_both_directions_agreeing(world: World, removal: str, long: bool) -> None:
    outcomes = set()
    for seed in range(MOST if long else USUAL):
        handle, visitor = world.handle(f"p{seed}@example.com"), VisitorId(f"v{seed}")
        await world.grant(visitor)
        if seed % 2:
            await world.link(handle, visitor)
        world.client.turns = Turns(seed)
        linked, removed = await world.client.turns.run(world.link(handle, visitor), OPERATIONS[removal](world, handle, visitor))
        world.client.turns = None
        assert not isinstance(removed, BaseException)
        assert linked is None or isinstance(linked, ServiceError)
        outcomes.add((type(linked), world.linked(handle, visitor)))
        if removal not in {"unlink", "erase"}:
            assert not world.linked(handle, visitor)
        if seed % 100 == 99:
            world.assert_whole()
    assert len(outcomes) >= 2
    assert world.noted() == 0


@pytest.mark.parametrize("removal", REMOVALS)
async def test_a_link_that_ended_before_the_removal_began_is_gone(world: World, removal: str) -> None:
    handle, visitor = world.handle("a@example.com"), VisitorId("v")
    await world.grant(visitor)
    await world.link(handle, visitor)
    assert world.linked(handle, visitor)
    await OPERATIONS[removal](world, handle, visitor)
    assert not world.linked(handle, visitor)
    assert world.gone(visitor) == (removal in {"withdraw", "erase"})
    world.assert_whole()


@pytest.mark.parametrize("linked_before", [False, True])
@pytest.mark.parametrize("when", ["dies_before", "dies_after"])
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_crash_at_any_call_leaves_nothing_half_done(world: World, operation: str, when: str, linked_before: bool) -> None:
    """What an erasure did not come to is noted, and done by repair."""
    handle, visitor, other = world.handle("a@example.com"), VisitorId("v"), VisitorId("w")
    for call in range(1, MOST_CALLS):
        world.database.flushall()
        await prepare(world, *([visitor] if linked_before else []))
        setattr(world.client, when, call)
        crashed = await world.crashes(OPERATIONS[operation](world, handle, visitor))
        world.assert_whole()
        begun = world.noted()
        assert await world.repair() == begun == (begun if operation == "erase" else 0)
        world.assert_whole()
        assert world.noted() == 0
        assert not begun or not world.links(handle)
        assert operation == "erase" or world.linked(handle, other)
        if not crashed:
            assert call > 1
            assert world.linked(handle, visitor) == (operation == "link" or (operation == "grant" and linked_before))
            return
    raise AssertionError("the operation never came to its end")


async def prepare(world: World, *linked: VisitorId) -> None:
    """Two visitors; the email is linked to one, and to whoever else is named."""
    for one in ("v", "w"):
        await world.grant(VisitorId(one))
    for visitor in (VisitorId("w"), *linked):
        await world.link(world.handle("a@example.com"), visitor)
    world.client.revive()


async def test_links_made_after_the_time_of_an_erasure_stay_when_repair_resumes_it(world: World) -> None:
    handle, new = world.handle("a@example.com"), VisitorId("new")
    for call in itertools.count(1):
        world.database.flushall()
        await prepare(world, VisitorId("v"))
        world.client.dies_before = call
        crashed = await world.crashes(world.erase(handle))
        if world.noted():
            await world.grant(new, (NOW + 2) * 1000)
            await world.link(handle, new, now=NOW + 2)
            assert await world.repair() == 1
            assert set(world.links(handle)) == {"new"}
        world.assert_whole()
        if not crashed:
            assert call > 4
            return


async def test_a_hundred_parallel_links_of_one_pair_give_one_entry(world: World) -> None:
    handle, visitor = world.handle("a@example.com"), VisitorId("v")
    await world.grant(visitor)
    await asyncio.gather(*(world.link(handle, visitor) for _ in range(100)))
    assert world.links(handle) == {"v": "v"}
    world.assert_whole()


async def test_the_invariants_would_notice_a_pointer_without_its_link(world: World) -> None:
    handle, visitor = world.handle("a@example.com"), VisitorId("v")
    await world.grant(visitor)
    await world.link(handle, visitor)
    world.database.hdel(world.store.keys.handle(SHOP, handle), visitor)
    with pytest.raises(AssertionError, match="pointer without its link"):
        world.assert_whole()


async def test_a_unit_whose_keys_lie_in_several_slots_would_be_noticed(store_url: str, database: redis.Redis) -> None:
    client = SteppedClient(store_url)
    with pytest.raises(AssertionError, match="slots in one unit"):
        await client.run(read("GET", "id:v2:{demo}:V:1"), read("GET", "id:v2:{other}:V:1"))
    await client.close()


async def test_an_erasure_is_not_resumed_before_its_worker_has_had_a_minute(world: World) -> None:
    handle = world.handle("a@example.com")
    await prepare(world)
    world.client.dies_after = 4
    assert await world.crashes(world.erase(handle))
    assert await world.store.repair.run([SHOP], Millis((NOW + 59) * 1000)) == 0
    assert (world.noted(), await world.repair(), world.noted()) == (1, 1, 0)
    assert world.links(handle) == {}


@pytest.mark.parametrize("removal", ["withdraw", "unlink", "erase", "refuse linking"])
async def test_a_removal_is_made_also_when_memory_is_full(removal: str) -> None:
    with valkey() as url, view(url) as database:
        world = World(url, database)
        await prepare(world, VisitorId("v"))
        database.config_set("maxmemory", 1)
        await OPERATIONS[removal](world, world.handle("a@example.com"), VisitorId("v"))
        await world.client.close()
        assert not world.linked(world.handle("a@example.com"), VisitorId("v"))
        assert world.noted() == 0
        world.assert_whole()
