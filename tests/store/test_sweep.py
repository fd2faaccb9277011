"""Links that have ended leave the store, whoever else holds their handle."""

from collections.abc import AsyncIterator, Sequence

import pytest
import redis

from identity_service.errors import StoreUnavailable
from identity_service.model.consent import Millis
from identity_service.model.handle import Handle, Handles
from identity_service.model.link import LinkSource, Proof
from identity_service.model.visitor import Kind, VisitorId
from identity_service.store import Store, sweep
from identity_service.store.keys import SWEEP, of_shop
from identity_service.store.links import Linkable, LinkCall
from identity_service.store.redis.command import Command, Reply
from identity_service.store.redis.server import Node
from tests.store.test_scripts import NOW, SHOP, made
from tests.stores import valkey, view

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
    linkable = Linkable(VisitorId(visitor), Kind.CHOSEN, expires, False, Proof.KEY)
    await store.links.link(LinkCall(SHOP, handle, linkable, LinkSource.LINK, NOW))


def forget_record(store: Store, database: redis.Redis, visitor: str) -> None:
    """As the server does when it expires."""
    assert database.delete(store.keys.visitor(SHOP, visitor).record) == 1


async def swept(store: Store, now: int = SWEPT) -> int:
    return await store.sweep.round([SHOP], lambda: Millis(now * 1000))


def held(store: Store, database: redis.Redis, handle: Handle = EMAIL) -> list[str]:
    return [str(one) for one in database.hkeys(store.keys.handle(SHOP, handle))]


@pytest.mark.parametrize("recorded", [False, True])
async def test_a_link_that_has_ended_leaves_a_handle_that_others_hold(store: Store, database: redis.Redis, recorded: bool) -> None:
    """Also where its visitor still points to the handle."""
    await link(store, "ended", SOON)
    await link(store, "living", LATE)
    if not recorded:
        forget_record(store, database, "ended")
    assert await swept(store, SWEPT - 1) == 0
    assert await swept(store) == 1
    assert held(store, database) == ["living"]
    record = database.hgetall(store.keys.visitor(SHOP, "ended").record)
    assert (EMAIL.name in record, record.get("e")) == (False, "0" if recorded else None)
    assert await swept(store) == 0


async def test_whatever_has_ended_leaves_the_memory_as_the_sweep_passes() -> None:
    """Of every kind, though the server itself is not looking for what has ended."""
    with valkey("--enable-debug-command", "yes") as url, view(url) as database:
        database.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", "0")
        for kind in ("R", "V", "S"):
            for number in range(500):
                database.set(of_shop(SHOP, f"{kind}:{number}"), "ended", px=1)
        store = made(url)
        await link(store, "living", LATE)
        while database.exists(of_shop(SHOP, "R:0")):
            pass
        assert int(database.dbsize()) > 1_000
        for _ in range(2):
            await swept(store)
        assert int(database.dbsize()) < 20
        assert held(store, database) == ["living"]
        await store.client.close()


@pytest.mark.parametrize(("keys", "rounds"), [(3_000, 3), (130_000, 44), (300_000, 50)])
async def test_a_pass_through_a_store_takes_an_hour_at_most(store: Store, database: redis.Redis, keys: int, rounds: int) -> None:
    """More keys are looked at in a round where there are more of them."""
    for start in range(0, keys, 10_000):
        database.mset({of_shop(SHOP, f"S:{number}"): "1" for number in range(start, min(start + 10_000, keys))})
    passed = 0
    while not passed or "0" not in database.hvals(SWEEP):
        await swept(store)
        passed += 1
    assert rounds - 1 <= passed <= sweep.ROUNDS_OF_A_PASS


async def test_the_lag_of_the_sweep_is_the_time_since_a_server_was_passed_for_whichever_worker(
    store: Store, store_url: str, database: redis.Redis
) -> None:
    """A server that is new counts from the first round."""
    other = made(store_url)
    assert store.sweep.lag(Millis(NOW * 1000)) is None
    database.mset({of_shop(SHOP, f"S:{number}"): "1" for number in range(3_000)})
    await swept(store, NOW)
    assert store.sweep.lag(Millis((NOW + 60) * 1000)) == 60
    await swept(other, NOW + 60)
    assert other.sweep.lag(Millis((NOW + 60) * 1000)) == 60
    while "0" not in database.hvals(SWEEP):
        await swept(other, NOW + 120)
    assert other.sweep.lag(Millis((NOW + 120) * 1000)) == 0
    await swept(store, NOW + 150)
    assert store.sweep.lag(Millis((NOW + 150) * 1000)) == 30
    await other.client.close()


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
    await swept(store)
    [living] = await store.links.living(SHOP, [EMAIL], SWEPT)
    assert [one.visitor for one in living] == ["one"]
    assert EMAIL.name in database.hgetall(store.keys.visitor(SHOP, "one").record)


async def test_a_round_goes_on_where_the_last_one_ended(store: Store, database: redis.Redis) -> None:
    store.sweep.most_scans, store.sweep.keys_a_scan = 1, 10
    handles = [Handles("p").of_customer(SHOP, f"c{number}") for number in range(60)]
    for number, handle in enumerate(handles):
        await link(store, f"v{number}", SOON, handle)
    taken = [await swept(store) for _ in range(60)]
    assert sum(taken) == 60
    assert max(taken) < 30
    await link(store, "late", SOON, handles[0])
    assert sum([await swept(store) for _ in range(60)]) == 1
    assert not any(held(store, database, handle) for handle in handles)


@pytest.mark.parametrize(
    "name",
    [
        "id:v2:{}:E:",
        "id:v2:{demo}:E",
        "id:v2:{demo}:E:short",
        f"id:v1:E{{demo:{'a' * 22}}}",
        f"id:v2:{{a}}x{{demo}}:E:{'a' * 22}",
        f"id:v2:{{other}}:E:{'a' * 22}",
        f"id:v2:{{demo}}:E:{'a' * 22}",
    ],
)
@pytest.mark.parametrize("value", ["garbage", "1 2 3 xv extra", "1 2 3 sv"])
async def test_what_is_no_link_of_a_shop_stops_nothing_and_stays(store: Store, database: redis.Redis, name: str, value: str) -> None:
    """Of a shop that is not set up any more, too: nobody would end what its removals left open."""
    handles = [Handles("p").of_customer(SHOP, f"c{number}") for number in range(20)]
    for number, handle in enumerate(handles):
        await link(store, f"v{number}", SOON, handle)
    database.hset(name, "odd", value)
    database.set("id:v2:{demo}:E:string", value)
    ended = name.startswith("id:v2:{demo}:E:a") and value.endswith("sv")
    assert await swept(store) == 20 + ended
    assert database.exists(name) == (not ended)


async def test_a_server_that_is_away_keeps_no_other_from_being_swept(
    store: Store, database: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await link(store, "ended", SOON)
    away = Node("unix:///nonexistent/identity.sock", 0.5, 0, lambda _seconds, _outcome: None)
    [here] = await store.client.primaries()

    async def primaries() -> list[Node]:
        return [away, here]

    monkeypatch.setattr(store.client, "primaries", primaries)
    with pytest.raises(StoreUnavailable):
        await swept(store)
    assert held(store, database) == []


async def test_it_takes_links_away_when_memory_is_full(store: Store, database: redis.Redis) -> None:
    await link(store, "ended", SOON)
    await link(store, "living", LATE)
    forget_record(store, database, "ended")
    database.config_set("maxmemory", "1")
    try:
        assert await store.repair.claim_turn()
        assert not await store.repair.claim_turn()
        assert await swept(store) == 1
    finally:
        database.config_set("maxmemory", "0")
    assert held(store, database) == ["living"]


async def test_a_handle_with_many_ended_links_is_emptied(store: Store, database: redis.Redis) -> None:
    links = store.keys.handle(SHOP, EMAIL)
    await link(store, "living", LATE)
    database.hset(links, mapping={f"v{number}": f"{NOW} 0 100 sv" for number in range(2 * sweep.MOST_ENDED)})
    assert [await swept(store) for _ in range(3)] == [sweep.MOST_ENDED, sweep.MOST_ENDED, 0]
    assert held(store, database) == ["living"]
