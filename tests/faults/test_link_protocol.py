"""The link protocol on the real server: interleaved steps, a crash after every step, and repair."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import redis

from identity_service.consent import NEVER_SEEN, Consent, Millis
from identity_service.errors import ServiceError
from identity_service.handle import Handle, Handles
from identity_service.link import LinkCaps, LinkSource, Proof
from identity_service.shop import ShopId
from identity_service.store import Retention, Store
from identity_service.store.links import Linkable
from identity_service.store.visitors import NAME_LENGTH, Grant, StoredReceipt
from identity_service.visitor import Kind, VisitorId
from tests.faults.steps import Crash, SteppedClient, Turns

pytestmark = pytest.mark.anyio
SHOP = ShopId("demo")
NOW = 1_795_000_000
RECEIPT = StoredReceipt("r", "{}", 60)
ROUNDS = 1_000
Removal = Callable[["World", Handle, VisitorId], Awaitable[object]]


class World:
    """A store on stepped calls, and what is left in it, read directly."""

    def __init__(self, url: str, database: redis.Redis, client: SteppedClient | None = None) -> None:
        self.client = client or SteppedClient(url)
        self.handles = Handles("development-only-pepper-of-the-demo-shops-00000001--")
        self.store = Store(self.client, self.handles, LinkCaps(1_000, 20), Retention(390, 400, 1_095, 400), 100)
        self.database = database

    def handle(self, email: str) -> Handle:
        return self.handles.of_email(SHOP, email)

    def visitor(self, name: str) -> VisitorId:
        return VisitorId(name)

    async def grant(self, visitor: VisitorId) -> None:
        consent = Consent(Millis(NOW * 1000), "plain", None)
        await self.store.visitors.grant(SHOP, visitor, Grant(consent, NOW + 1_000_000, False, NEVER_SEEN, RECEIPT, "q", None), NOW)

    async def link(self, handle: Handle, visitor: VisitorId) -> None:
        linkable = Linkable(visitor, Kind.PERSISTENT, 0, False, Proof.KEY)
        await self.store.links.link(SHOP, handle, linkable, LinkSource.LINK, NOW)

    async def repair(self) -> None:
        for seconds in (61, 130):
            await self.store.repair.run([SHOP], Millis((NOW + seconds) * 1000))
        await self.client.drain()

    def linked(self, handle: Handle, visitor: VisitorId) -> bool:
        return bool(self.database.hexists(self.store.keys.handle(SHOP, handle).links, visitor))

    def pointed(self, handle: Handle, visitor: VisitorId) -> bool:
        return bool(self.database.hexists(self.store.keys.visitor(SHOP, visitor).record, handle.name))

    def gone(self, visitor: VisitorId) -> bool:
        return bool(self.database.exists(self.store.keys.visitor(SHOP, visitor).gone))

    def recorded(self, visitor: VisitorId) -> bool:
        return bool(self.database.exists(self.store.keys.visitor(SHOP, visitor).record))

    def assert_settled(self, handle: Handle, *visitors: VisitorId) -> None:
        """Both directions agree, nothing gone is kept, nothing is left open."""
        keys = self.store.keys.handle(SHOP, handle)
        assert not self.database.exists(keys.intents, keys.removals, self.store.keys.notes(SHOP))
        for visitor in visitors:
            assert self.linked(handle, visitor) == self.pointed(handle, visitor)
            assert not (self.gone(visitor) and (self.linked(handle, visitor) or self.recorded(visitor)))
            pointers = [field for field in self.database.hkeys(self.store.keys.visitor(SHOP, visitor).record) if len(field) == NAME_LENGTH]
            assert len(pointers) == int(self.database.hget(self.store.keys.visitor(SHOP, visitor).record, "e") or 0)


@pytest.fixture(params=["in a cluster", "on one server"])
async def world(request: pytest.FixtureRequest, store_url: str, database: redis.Redis) -> AsyncIterator[World]:
    made = World(store_url, database, SteppedClient(store_url, clustered=request.param == "in a cluster"))
    yield made
    await made.client.close()


async def withdraw(world: World, handle: Handle, visitor: VisitorId) -> object:
    return await world.store.removals.withdraw(SHOP, visitor, Millis(NOW * 1000))


async def unlink(world: World, handle: Handle, visitor: VisitorId) -> object:
    return await world.store.links.unlink(SHOP, handle, visitor, NOW)


async def erase(world: World, handle: Handle, visitor: VisitorId) -> object:
    return await world.store.removals.erase(SHOP, handle, Millis(NOW * 1000))


async def link(world: World, handle: Handle, visitor: VisitorId) -> object:
    await world.link(handle, visitor)
    return None


OPERATIONS: dict[str, Removal] = {"link": link, "unlink": unlink, "withdraw": withdraw, "erase": erase}


@pytest.mark.parametrize("removal", [withdraw, unlink, erase])
async def test_a_link_racing_with_a_removal_leaves_both_directions_agreeing(world: World, removal: Removal) -> None:
    outcomes = set()
    for seed in range(ROUNDS):
        handle, visitor = world.handles.of_email(SHOP, f"p{seed}@example.com"), VisitorId(f"v{seed}")
        await world.grant(visitor)
        if seed % 2:
            await world.link(handle, visitor)
        world.client.turns = Turns(seed)
        linked, removed = await world.client.turns.run(world.link(handle, visitor), removal(world, handle, visitor))
        world.client.turns = None
        assert not isinstance(removed, BaseException)
        assert linked is None or isinstance(linked, ServiceError)
        outcomes.add((type(linked), world.linked(handle, visitor)))
        if removal is withdraw:
            assert not world.linked(handle, visitor)
        if seed % 100 == 99:
            await world.repair()
            world.assert_settled(handle, visitor)
    await world.repair()
    for seed in range(ROUNDS):
        world.assert_settled(world.handles.of_email(SHOP, f"p{seed}@example.com"), VisitorId(f"v{seed}"))
    assert len(outcomes) >= 2


@pytest.mark.parametrize("removal", [withdraw, unlink, erase])
async def test_a_link_that_ended_before_the_removal_began_is_gone(world: World, removal: Removal) -> None:
    handle, visitor = world.handles.of_email(SHOP, "a@example.com"), VisitorId("v")
    await world.grant(visitor)
    await world.link(handle, visitor)
    assert world.linked(handle, visitor)
    await removal(world, handle, visitor)
    assert not world.linked(handle, visitor)
    assert world.gone(visitor) == (removal is not unlink)


@pytest.mark.parametrize("linked_before", [False, True])
@pytest.mark.parametrize("when", ["dies_before", "dies_after"])
@pytest.mark.parametrize("operation", [link, unlink, withdraw, erase])
async def test_a_crash_at_any_step_is_repaired(world: World, operation: Removal, when: str, linked_before: bool) -> None:
    handle, visitor, other = world.handles.of_email(SHOP, "a@example.com"), VisitorId("v"), VisitorId("w")
    for step in range(1, 60):
        world.database.flushall()
        for one in (visitor, other):
            await world.grant(one)
        await world.link(handle, other)
        if linked_before:
            await world.link(handle, visitor)
        world.client.revive()
        setattr(world.client, when, step)
        crashed = await _crashes(operation(world, handle, visitor))
        world.client.revive()
        await world.repair()
        world.assert_settled(handle, visitor, other)
        if operation is link and linked_before:
            assert world.linked(handle, visitor)
        if operation is not erase:
            assert world.linked(handle, other)
        if not crashed:
            assert step > (3 if world.client.clustered or operation is not link else 1)
            assert operation is link or not world.linked(handle, visitor)
            return
    raise AssertionError("the operation never came to its end")


async def _crashes(operation: Awaitable[object]) -> bool:
    try:
        await operation
    except Crash:
        return True
    return False


async def test_a_hundred_parallel_links_of_one_pair_give_one_entry(world: World) -> None:
    handle, visitor = world.handles.of_email(SHOP, "a@example.com"), VisitorId("v")
    await world.grant(visitor)
    await asyncio.gather(*(world.link(handle, visitor) for _ in range(100)))
    await world.client.drain()
    assert world.database.hlen(world.store.keys.handle(SHOP, handle).links) == 1
    world.assert_settled(handle, visitor)


async def test_the_invariants_would_notice_a_pointer_without_its_link(world: World) -> None:
    handle, visitor = world.handles.of_email(SHOP, "a@example.com"), VisitorId("v")
    await world.grant(visitor)
    await world.link(handle, visitor)
    world.database.hdel(world.store.keys.handle(SHOP, handle).links, visitor)
    with pytest.raises(AssertionError):
        world.assert_settled(handle, visitor)
