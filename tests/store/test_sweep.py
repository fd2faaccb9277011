"""Links that have ended leave the store, whoever else holds their handle."""

from collections.abc import AsyncIterator, Sequence

import pytest
import redis

from identity_service.handle import Handle, Handles
from identity_service.link import LinkSource
from identity_service.store import Store, sweep
from identity_service.store.batch import Command, Reply
from identity_service.store.links import Linkable
from identity_service.visitor import Kind, VisitorId
from tests.store.test_scripts import NOW, SHOP, made

pytestmark = pytest.mark.anyio
EMAIL = Handles("p").of_email(SHOP, "luke@skywalker.com")
SOON, LATE = NOW + 100, NOW + 100_000
SWEPT = SOON + sweep.MARGIN


@pytest.fixture
async def store(store_url: str, database: redis.Redis) -> AsyncIterator[Store]:
    made_store = made(store_url)
    yield made_store
    await made_store.client.close()


async def link(store: Store, visitor: str, expires: int, handle: Handle = EMAIL) -> None:
    await store.links.link(SHOP, handle, Linkable(VisitorId(visitor), Kind.CHOSEN, expires, False, True), LinkSource.LINK, NOW)


def forget_record(store: Store, database: redis.Redis, visitor: str) -> None:
    """As the server does when it expires."""
    assert database.delete(store.keys.visitor(SHOP, visitor).record) == 1


def held(store: Store, database: redis.Redis, handle: Handle = EMAIL) -> list[str]:
    return [str(one) for one in database.hkeys(store.keys.handle(SHOP, handle).links)]


@pytest.mark.parametrize("recorded", [False, True])
async def test_a_link_that_has_ended_leaves_a_handle_that_others_hold(store: Store, database: redis.Redis, recorded: bool) -> None:
    """Also where its visitor still points to the handle."""
    await link(store, "ended", SOON)
    await link(store, "living", LATE)
    if not recorded:
        forget_record(store, database, "ended")
    assert await store.sweep.round(SWEPT - 1) == 0
    assert await store.sweep.round(SWEPT) == 1
    assert held(store, database) == ["living"]
    record = database.hgetall(store.keys.visitor(SHOP, "ended").record)
    assert (EMAIL.name in record, record.get("e")) == (False, "0" if recorded else None)
    assert await store.sweep.round(SWEPT) == 0


@pytest.mark.parametrize("recorded", [False, True])
async def test_a_link_that_is_made_again_meanwhile_stays(
    store: Store, database: redis.Redis, monkeypatch: pytest.MonkeyPatch, recorded: bool
) -> None:
    await link(store, "one", SOON)
    if not recorded:
        forget_record(store, database, "one")
    read_many = store.client.read_many

    async def renewing(commands: Sequence[Command]) -> list[Reply]:
        found = await read_many(commands)
        if commands[0].words[0] == "HMGET":
            database.delete(store.keys.visitor(SHOP, "one").record)
            await link(store, "one", LATE)
        return found

    monkeypatch.setattr(store.client, "read_many", renewing)
    await store.sweep.round(SWEPT)
    [living] = await store.links.living(SHOP, [EMAIL], SWEPT)
    assert [one.visitor for one in living] == ["one"]
    assert EMAIL.name in database.hgetall(store.keys.visitor(SHOP, "one").record)


async def test_a_round_goes_on_where_the_last_one_ended(store: Store, database: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "SCANS", 1)
    monkeypatch.setattr(sweep, "KEYS_A_SCAN", 10)
    handles = [Handles("p").of_customer(SHOP, f"c{number}") for number in range(60)]
    for number, handle in enumerate(handles):
        await link(store, f"v{number}", SOON, handle)
    taken = [await store.sweep.round(SWEPT) for _ in range(60)]
    assert sum(taken) == 60
    assert max(taken) < 30
    await link(store, "late", SOON, handles[0])
    assert sum([await store.sweep.round(SWEPT) for _ in range(60)]) == 1
    assert not any(held(store, database, handle) for handle in handles)
