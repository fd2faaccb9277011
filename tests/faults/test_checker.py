"""The checker finds what is planted, and nothing where nothing is: a check that cannot fail proves nothing."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from identity_service.model.event import SaleLine
from identity_service.model.shop import ShopId
from identity_service.store.keys import Keys
from identity_service.store.sales import packed, packed_lines
from tests.faults.checker import check
from tests.faults.connection import Connection
from tests.faults.history import History, Kind, Outcome
from tests.faults.kept import HANDLES
from tests.faults.load import Load, perform, request
from tests.faults.lying import LyingProxy
from tests.faults.running import RunningService, RunningStore
from tests.stores import sale_at

SHOP = ShopId("demo")
KEYS = Keys(HANDLES)
LINK = "1795000000 0 80000 lv"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    place = tmp_path_factory.mktemp("checker")
    with RunningService(place, place / "data", workers=2) as started:
        yield started


@pytest.fixture
def database(running: RunningService) -> Iterator[redis.Redis]:
    running.empty()
    with running.database() as connection:
        yield connection


def told(running: RunningService, history: History, *calls: tuple[Kind, dict[str, str]]) -> None:
    """Calls one after the other, each acknowledged."""

    async def tell() -> None:
        connection = Connection(running.url)
        for kind, arguments in calls:
            done = await perform(connection, request(kind, SHOP, **arguments), history)
            assert done.outcome is Outcome.OK, done
        connection.close()

    asyncio.run(tell())


def found(running: RunningService, history: History) -> set[str]:
    return {violation.name for violation in check(history, running.url, running.store_url)}


def links_of(email: str) -> str:
    return KEYS.handle(SHOP, HANDLES.of_email(SHOP, email))


def test_nothing_is_found_where_nothing_was_planted(running: RunningService, database: redis.Redis) -> None:
    with Load(running.url, seed=7) as load:
        load.wait(500)
    assert check(load.history, running.url, running.store_url) == []


def test_dropped_writes_are_found(running: RunningService, database: redis.Redis) -> None:
    kinds = {Kind.LINK, Kind.CLICK, Kind.SALE, Kind.GRANT}
    with LyingProxy(running.url, one_in=200) as proxy, Load(proxy.url, seed=8, only=lambda one: one.kind in kinds) as load:
        load.wait(1_000)
    lost = [violation.subject for violation in check(load.history, running.url, running.store_url) if violation.name == "lost"]
    assert lost
    dropped = [body.get("sale") or body.get("product") or body["email"] for body in proxy.dropped]
    assert all(any(name in subject for name in dropped) for subject in lost)


LINKED = {"visitor": "v", "email": "p@example.com"}
SOLD = {"visitor": "v", "product": "i1", "sale": "s"}


def erasure_written_back(database: redis.Redis) -> None:
    database.hset(links_of("p@example.com"), "v", LINK)


def withdrawal_written_back(database: redis.Redis) -> None:
    database.hset(KEYS.visitor(SHOP, "v").record, mapping={"k": "p", "x": "4000000000"})


def order_twice(database: redis.Redis) -> None:
    database.copy(KEYS.sale_of(SHOP, KEYS.sale_digest(SHOP, "s")), KEYS.sale_of(SHOP, KEYS.sale_digest(SHOP, "another")))
    database.zadd(KEYS.orders(SHOP), {KEYS.sale_digest(SHOP, "another"): 1})


def click_twice(database: redis.Redis) -> None:
    events = KEYS.visitor(SHOP, "v").events
    database.lpush(events, *database.lrange(events, 0, -1))


def order_of_the_repetition(database: redis.Redis) -> None:
    key = KEYS.sale_of(SHOP, KEYS.sale_digest(SHOP, "s"))
    database.set(key, packed(sale_at(database, key) | {"products": packed_lines([SaleLine("i2")])}))


def link_without_pointer(database: redis.Redis) -> None:
    database.hset(links_of("p@example.com"), "nobody", LINK)


def link_of_another_shop(database: redis.Redis) -> None:
    other = ShopId("other")
    database.hset(KEYS.handle(other, HANDLES.of_email(other, "p@example.com")), "v", LINK)


def grant_taken_back(database: redis.Redis) -> None:
    database.hset(KEYS.visitor(SHOP, "v").record, "k", "c")


PLANTED: list[tuple[Callable[[redis.Redis], None], list[tuple[Kind, dict[str, str]]], set[str]]] = [
    (erasure_written_back, [(Kind.LINK, LINKED), (Kind.ERASE, {"email": "p@example.com"})], {"resurrected", "disagree"}),
    (withdrawal_written_back, [(Kind.GRANT, {"visitor": "v"}), (Kind.WITHDRAW, {"visitor": "v"})], {"resurrected", "disagree"}),
    (order_twice, [(Kind.SALE, SOLD)], {"doubled", "phantom"}),
    (click_twice, [(Kind.CLICK, {"visitor": "v", "product": "c1"})], {"doubled"}),
    (order_of_the_repetition, [(Kind.SALE, SOLD), (Kind.SALE, SOLD | {"product": "i2"})], {"content"}),
    (link_without_pointer, [(Kind.LINK, LINKED)], {"phantom", "disagree", "wrong shop"}),
    (link_of_another_shop, [(Kind.LINK, LINKED)], {"phantom", "disagree", "wrong shop"}),
    (grant_taken_back, [(Kind.GRANT, {"visitor": "v"})], {"lost"}),
]


@pytest.mark.parametrize(("plant", "calls", "names"), PLANTED, ids=[plant.__name__ for plant, _, _ in PLANTED])
def test_a_planted_fault_is_found(
    running: RunningService,
    database: redis.Redis,
    plant: Callable[[redis.Redis], None],
    calls: list[tuple[Kind, dict[str, str]]],
    names: set[str],
) -> None:
    history = History()
    told(running, history, *calls)
    assert found(running, history) == set()
    plant(database)
    assert found(running, history) == names


def test_writes_that_a_power_cut_took_are_found(tmp_path: Path, power_cut: dict[str, str]) -> None:
    with (
        RunningStore(tmp_path / "store", "--appendfsync", "everysec", environment=power_cut) as store,
        RunningService(tmp_path, store.url, workers=2) as service,
    ):
        with Load(service.url, seed=9) as load:
            load.wait(1_000)
            store.kill()
            store.start()
        assert "lost" in {violation.name for violation in check(load.history, service.url, store.url)}
