"""What goes on beside calls: the breaker, salts, rewriting the append-only file."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
import redis

from identity_service.errors import StoreUnavailable
from identity_service.model.consent import Millis
from identity_service.model.cookieless import GRACE, window_at
from identity_service.model.handle import Handles
from identity_service.model.link import LinkSource, Proof
from identity_service.model.shop import ShopId
from identity_service.model.visitor import Kind, VisitorId
from identity_service.store import Store
from identity_service.store.links import Linkable, LinkCall
from identity_service.store.redis.client import StoreClient
from identity_service.store.redis.command import Command, Reply, read, write
from identity_service.store.redis.server import FAILURES_TO_OPEN, Breaker, Node
from tests.store.test_scripts import NOW, SHOP, made
from tests.stores import valkey
from tests.test_command import eventually

pytestmark = pytest.mark.anyio
EMAIL = Handles("p").of_email(SHOP, "p1@example.com")


async def link(store: Store) -> VisitorId:
    linkable = Linkable(VisitorId("visitor-1"), Kind.CHOSEN, NOW + 99_999, False, Proof.KEY)
    await store.links.link(LinkCall(SHOP, EMAIL, linkable, LinkSource.LINK, NOW))
    return linkable.visitor


def test_the_breaker_opens_after_five_failures_and_lets_one_call_try() -> None:
    now = [0.0]
    breaker = Breaker(lambda: now[0])
    for _ in range(5):
        assert breaker.may_pass()
        breaker.failed()
    assert not breaker.may_pass()
    now[0] = 1.0
    assert breaker.may_pass()
    assert not breaker.may_pass()
    breaker.succeeded()
    assert breaker.may_pass()


async def test_scripts_come_back_after_the_server_forgot_them(store_url: str, database: redis.Redis) -> None:
    store = made(store_url)
    await link(store)
    database.script_flush()
    await link(store)
    await store.client.close()


async def test_a_store_that_is_away_is_503_and_then_fails_at_once() -> None:
    outcomes: list[str] = []
    client = StoreClient("unix:///nonexistent/identity.sock", 0.5, observe=lambda _seconds, outcome: outcomes.append(outcome))
    for _ in range(4):
        with pytest.raises(StoreUnavailable):
            await client.run(write("SET", "a", 1))
    with pytest.raises(StoreUnavailable):
        await client.run(read("GET", "a"))
    with pytest.raises(StoreUnavailable):
        await client.run(read("GET", "a"))
    assert outcomes == ["error"] * 5 + ["open"]
    await client.close()


async def test_workers_share_one_salt_and_it_is_destroyed_half_an_hour_after_its_window(store_url: str, database: redis.Redis) -> None:
    one, other = made(store_url), made(store_url)
    window = window_at(NOW, 1)
    salts = await asyncio.gather(*(store.salts.key(SHOP, window, NOW) for store in (one, other) for _ in range(20)))
    assert len(set(salts)) == 1
    assert len(salts[0]) == 32
    [key] = list(database.scan_iter("id:v2:{*}:Z:*"))
    assert abs(database.ttl(key) - (window.end + GRACE - NOW)) <= 1
    assert await other.salts.earlier_key(SHOP, window, window.end + GRACE - 1) == salts[0]
    assert await other.salts.earlier_key(SHOP, window, window.end + GRACE) is None
    other.salts.forget_destroyed(window.end + GRACE)
    assert other.salts._held == {}
    assert await one.salts.earlier_key(ShopId("other"), window, NOW) is None
    assert list(database.scan_iter("id:v2:{*}:Z:*")) == [key]
    for store in (one, other):
        await store.client.close()


async def test_a_rewrite_waits_for_five_quiet_minutes_but_never_an_hour(store_url: str, database: redis.Redis) -> None:
    store = made(store_url)
    assert not await store.repair.rewrite_if_due([SHOP], NOW)
    for destroyed, now, due in [(0, 299, False), (200, 499, False), (200, 500, True)]:
        database.hset(store.keys.rewrite(SHOP), mapping={str(NOW): 1, str(NOW + destroyed): 1})
        assert await store.repair.rewrite_if_due([SHOP], NOW + now) == due
    assert not database.exists(store.keys.rewrite(SHOP))
    database.hset(store.keys.rewrite(SHOP), mapping={str(NOW): 1, str(NOW + 3_299): 1})
    assert eventually(lambda: not database.info("persistence")["aof_rewrite_in_progress"])
    assert not await store.repair.rewrite_if_due([SHOP], NOW + 3_299)
    assert await store.repair.rewrite_if_due([SHOP], NOW + 3_300)
    await store.client.close()


async def test_what_is_destroyed_later_or_noted_meanwhile_stays_noted(store_url: str, database: redis.Redis) -> None:
    store = made(store_url)
    end = window_at(NOW, 1).salt_destroyed_at
    await store.salts.key(SHOP, window_at(NOW, 1), NOW)
    await store.removals.withdraw(SHOP, VisitorId("v"), Millis(NOW * 1000))
    [of_the_salt, of_the_withdrawal] = sorted(database.hgetall(store.keys.rewrite(SHOP)), reverse=True)
    assert (int(of_the_withdrawal), int(of_the_salt) > end) == (NOW, True)
    [server] = await store.client.primaries()
    sent = server.run

    async def during(*unit: Command) -> list[Reply]:
        database.hincrby(store.keys.rewrite(SHOP), str(NOW), 1)
        return await sent(*unit)

    server.run = during  # type: ignore[method-assign]
    assert eventually(lambda: not database.info("persistence")["aof_rewrite_in_progress"])
    assert await store.repair.rewrite_if_due([SHOP], NOW + 3_300)
    assert sorted(database.hgetall(store.keys.rewrite(SHOP))) == [str(NOW), of_the_salt]
    server.run = sent  # type: ignore[method-assign]
    assert eventually(lambda: not database.info("persistence")["aof_rewrite_in_progress"])
    assert await store.repair.rewrite_if_due([SHOP], NOW + 3_360)
    assert list(database.hgetall(store.keys.rewrite(SHOP))) == [of_the_salt]
    assert eventually(lambda: not database.info("persistence")["aof_rewrite_in_progress"])
    assert not await store.repair.rewrite_if_due([SHOP], end)
    assert await store.repair.rewrite_if_due([SHOP], int(of_the_salt) + 300)
    assert not database.exists(store.keys.rewrite(SHOP))
    await store.client.close()


async def test_after_the_rewrite_the_file_has_forgotten_who_was_erased() -> None:
    with valkey("--appendonly", "yes", "--appendfsync", "always") as url:
        direct: redis.Redis = redis.Redis.from_url(url)
        directory = Path(str(url).removeprefix("unix://")).parent / "appendonlydir"
        store = made(url)
        visitor = await link(store)
        needles = [store.keys.visitor_digest(SHOP, visitor).encode(), EMAIL.digest.encode()]
        await store.removals.erase(SHOP, EMAIL, Millis(NOW * 1000))
        assert all(needle in on_disk(directory) for needle in needles)
        assert await store.repair.rewrite_if_due([SHOP], NOW + 3_400)
        assert eventually(lambda: not direct.info("persistence")["aof_rewrite_in_progress"])
        assert EMAIL.digest.encode() not in on_disk(directory)
        kept = on_disk(directory)
        assert kept.count(needles[0]) == kept.count(needles[0] + b":gone")
        direct.close()
        await store.client.close()


def on_disk(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.iterdir())


async def test_a_server_that_refuses_to_rewrite_is_asked_again(store_url: str, database: redis.Redis) -> None:
    store = made(store_url)
    database.hset(store.keys.rewrite(SHOP), mapping={str(NOW): 1})
    database.acl_setuser("default", enabled=True, commands=["-bgrewriteaof"])
    assert not await store.repair.rewrite_if_due([SHOP], NOW + 3_400)
    database.acl_setuser("default", enabled=True, commands=["+bgrewriteaof"])
    assert eventually(lambda: not database.info("persistence")["aof_rewrite_in_progress"])
    assert await store.repair.rewrite_if_due([SHOP], NOW + 3_400)
    await store.client.close()


async def test_a_server_rewrites_once_for_all_shops_that_it_holds(store_url: str, database: redis.Redis) -> None:
    store, shops = made(store_url), [ShopId("demo"), ShopId("other"), ShopId("strict")]
    for shop, noted in zip(shops, (NOW, NOW, NOW + 3_399), strict=True):
        database.hset(store.keys.rewrite(shop), mapping={str(noted): 1})
    assert eventually(lambda: not database.info("persistence")["aof_rewrite_in_progress"])
    asked = database.info("commandstats").get("cmdstat_bgrewriteaof", {}).get("calls", 0)
    assert await store.repair.rewrite_if_due(shops, NOW + 3_400)
    assert database.info("commandstats")["cmdstat_bgrewriteaof"]["calls"] == asked + 1
    assert [database.exists(store.keys.rewrite(shop)) for shop in shops] == [0, 0, 1]
    await store.client.close()


async def test_a_round_reads_the_shops_that_have_notes_and_no_other(store_url: str, database: redis.Redis) -> None:
    """Ten thousand configured shops cost what one costs, after the first round of a worker, which reads all."""
    store, shops = made(store_url), [ShopId(f"shop-{number}") for number in range(10_000)]

    async def reads(now: int) -> int:
        database.config_resetstat()
        due = store.repair.due(shops, Millis(now * 1000), ours=True)
        await store.repair.run(due, Millis(now * 1000))
        await store.repair.rewrite_if_due(due, now)
        found = database.info("commandstats")
        return sum(found.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("zrange", "hgetall"))

    assert await reads(NOW) == 20_000
    assert await reads(NOW + 60) == 0
    await store.removals.withdraw(shops[7], VisitorId("v"), Millis((NOW + 60) * 1000))
    assert [await reads(NOW + seconds) for seconds in (120, 180, 359, 360, 420)] == [2, 0, 0, 2, 0]
    assert not database.exists(store.keys.rewrite(shops[7]))
    assert eventually(lambda: not database.info("persistence")["aof_rewrite_in_progress"])
    await store.client.close()


async def test_an_erasure_that_was_cut_off_stays_due_until_it_is_a_minute_old(store_url: str, database: redis.Redis) -> None:
    store = made(store_url)
    await link(store)
    assert store.repair.due([SHOP], Millis(NOW * 1000), ours=True) == [SHOP]
    database.acl_setuser("default", enabled=True, commands=["-zrem"])
    with pytest.raises(StoreUnavailable):
        await store.removals.erase(SHOP, EMAIL, Millis(NOW * 1000))
    database.acl_setuser("default", enabled=True, commands=["+zrem"])
    completed = []
    for seconds in (1, 59, 60, 61, 62):
        now = Millis((NOW + seconds) * 1000)
        completed.append(await store.repair.run(store.repair.due([SHOP], now, ours=False), now))
    assert completed == [0, 0, 1, 0, 0]
    assert store.repair.waiting == 0
    await store.client.close()


async def test_an_erasure_that_cannot_be_completed_is_counted_as_waiting(store_url: str, database: redis.Redis) -> None:
    store = made(store_url)
    await link(store)
    database.acl_setuser("default", enabled=True, commands=["-zrem"])
    with pytest.raises(StoreUnavailable):
        await store.removals.erase(SHOP, EMAIL, Millis(NOW * 1000))
    with pytest.raises(StoreUnavailable):
        await store.repair.run([SHOP], Millis((NOW + 60) * 1000))
    assert store.repair.waiting == 1
    database.acl_setuser("default", enabled=True, commands=["+zrem"])
    assert await store.repair.run([SHOP], Millis((NOW + 60) * 1000)) == 1
    assert store.repair.waiting == 0
    await store.client.close()


async def test_a_shop_that_could_not_be_read_is_due_again(store_url: str, database: redis.Redis) -> None:
    store, now = made(store_url), Millis(NOW * 1000)
    database.acl_setuser("default", enabled=True, commands=["-zrange"])
    with pytest.raises(StoreUnavailable):
        await store.repair.run(store.repair.due([SHOP], now, ours=True), now)
    database.acl_setuser("default", enabled=True, commands=["+zrange"])
    assert store.repair.due([SHOP], now, ours=True) == [SHOP]
    await store.client.close()


async def test_the_sweep_finds_the_notes_of_a_worker_that_ended(store_url: str) -> None:
    ended, other, now = made(store_url), made(store_url), Millis(NOW * 1000)
    assert other.repair.due([SHOP], now, ours=True) == [SHOP]
    await ended.removals.withdraw(SHOP, VisitorId("v"), now)
    assert other.repair.due([SHOP], now, ours=True) == []
    await other.sweep.round([SHOP], lambda: now)
    assert other.repair.due([SHOP], now, ours=True) == [SHOP]
    for store in (ended, other):
        await store.client.close()


async def test_a_probe_for_each_server_shows_which_shops_are_away(store_url: str, database: redis.Redis) -> None:
    store, shops = made(store_url), [ShopId(f"shop-{number}") for number in range(10_000)]
    database.config_resetstat()
    assert await store.away(shops) == {}
    assert database.info("commandstats")["cmdstat_set"]["calls"] == 1
    await store.client.close()


class TwoShards:
    """One that lost a connection and answers again, and one that is away."""

    def __init__(self) -> None:
        self.healthy, self.away = (Node(f"unix:///{name}.sock", 0.5, 0, lambda _seconds, _outcome: None) for name in ("healthy", "away"))
        for _ in range(FAILURES_TO_OPEN):
            self.away.breaker.failed()
        self.sent = 0

    async def submit(self, unit: Sequence[Command]) -> list[Reply]:
        self.sent += 1
        if self.sent == 1:
            raise StoreUnavailable
        return ["value" for _ in unit]

    def nodes(self) -> list[Node]:
        return [self.healthy, self.away]

    def server_of(self, key: str) -> Node:
        return {"healthy": self.healthy, "away": self.away}[key]


async def test_a_lost_read_is_sent_again_while_another_shard_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    client, shards = StoreClient("unix:///nonexistent/identity.sock", 5.0), TwoShards()
    monkeypatch.setattr(client, "_topology", shards)
    assert client.open
    assert await client.run(read("GET", "healthy")) == ["value"]
    shards.sent = 0
    with pytest.raises(StoreUnavailable):
        await client.run(read("GET", "away"))
    assert shards.sent == 1
