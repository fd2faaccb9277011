"""The Lua scripts: headers, declared keys, one slot each, and removals that work when memory is full."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from identity_service.consent import Consent, Millis, OptOutsSeen
from identity_service.errors import StoreUnavailable
from identity_service.handle import Handles
from identity_service.link import LinkCaps, LinkSource, Proof
from identity_service.shop import ShopId
from identity_service.store import Retention, Store
from identity_service.store.client import Client
from identity_service.store.events import Entry, Kept
from identity_service.store.links import Linkable
from identity_service.store.scripts import DIRECTORY, script
from identity_service.store.visitors import Grant, StoredReceipt
from identity_service.visitor import Kind, VisitorId
from tests.server import valkey
from tests.test_command import eventually, free_port

SCRIPTS = sorted(DIRECTORY.glob("*.lua"))
SHOP, NOW = ShopId("demo"), 1_795_000_000
RECEIPT = StoredReceipt("r", "{}", 60)
ERASING = {"settle_drop", "unlink_drop", "erase_take", "release", "retire_intents", "scrub_sale", "note_removal", "note_rewrite"}
ERASING |= {"names_visitor", "withdraw_mark", "withdraw_unlink", "withdraw_drop", "refuse_linking", "store_receipt"}
ERASING |= {"claim_turn", "keep_cursor"}


def undeclared(source: str) -> list[str]:
    """First arguments of store calls that are not KEYS[n]."""
    return [call for call in re.findall(r"redis\.p?call\('\w+',\s*([^,)]+)", source) if not re.fullmatch(r"KEYS\[\d\]", call.strip())]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_states_what_it_does_and_touches_only_its_keys(path: Path) -> None:
    source = path.read_text()
    assert source.startswith("#!lua flags=allow-oom") == (path.stem in ERASING)
    keys = "KEYS[1]" if "KEYS" in source.split("-- Returns")[1] else "KEYS     none"
    assert all(f"-- {part}" in source for part in ("Purpose:", keys, "Returns"))
    assert source.count("\n") <= 40
    assert undeclared(script(path.stem).source) == []
    assert {f"KEYS[{n}]" for n in re.findall(r"KEYS\[(\d)\]", source.split("-- Returns")[1])} <= set(re.findall(r"KEYS\[\d\]", source))


def test_the_check_sees_a_key_made_inside_a_script() -> None:
    assert undeclared("redis.call('GET', 'id:v1:' .. ARGV[1])")
    assert undeclared("local k = KEYS[1] .. 'x' redis.call('SET', k, 1)")


@pytest.fixture
def cluster() -> Iterator[str]:
    """One node that holds every slot, with the rules of a cluster."""
    ports = ("--port", str(free_port()), "--cluster-port", str(free_port()))
    with valkey(*ports, "--cluster-enabled", "yes") as socket:
        direct: redis.Redis = redis.Redis.from_url(socket)
        direct.cluster("ADDSLOTSRANGE", 0, 16383)
        assert eventually(lambda: direct.cluster("INFO")["cluster_state"] == "ok")
        yield socket
        direct.close()


def made(url: str) -> Store:
    return Store(Client(url, 5.0), Handles("p"), LinkCaps(10, 10), Retention(390, 400, 1_095, 400), 100)


async def live(store: Store, number: int) -> VisitorId:
    """Every verb of the store, once."""
    visitor, handle = VisitorId(f"v{number}"), Handles("p").of_email(SHOP, f"p{number}@example.com")
    consent = Consent(Millis(NOW * 1000), "plain", None)
    await store.visitors.store_receipt(SHOP, RECEIPT)
    await store.visitors.grant(
        SHOP, visitor, Grant(consent, NOW + 99_999, True, OptOutsSeen(Millis(1), Millis(1)), RECEIPT, "q", VisitorId("b")), NOW
    )
    await store.visitors.touch(SHOP, visitor, NOW, True)
    await store.links.link(SHOP, handle, Linkable(visitor, Kind.PERSISTENT, 0, False, Proof.KEY), LinkSource.LINK, NOW)
    await store.links.extend(SHOP, [handle.name], visitor, NOW, NOW + 199_999)
    await store.visitors.look_up(SHOP, [visitor], NOW)
    await store.sales.index_under_visitor(SHOP, f"s{number}", visitor, None, NOW)
    await store.sales.claim(SHOP, f"s{number}", {"sale": "1", "visitor": visitor, "email": handle.name}, [handle])
    store.sales.close(SHOP, None, finished=f"s{number}")
    await store.events.record(SHOP, visitor, Entry('{"time": 1}', Kept(10, 60, from_first=False), NOW))
    await store.visitors.refuse_linking(SHOP, visitor, Kind.CHOSEN, NOW + 60, NOW, ("r2", "q"))
    return visitor


@pytest.mark.anyio
async def test_a_cluster_accepts_every_script_with_its_keys(cluster: str) -> None:
    store = made(cluster)
    loaded: redis.Redis = redis.Redis.from_url(cluster)
    before = loaded.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0)
    first = await live(store, 1)
    await store.links.unlink(SHOP, Handles("p").of_email(SHOP, "p1@example.com"), first, NOW)
    await store.removals.withdraw(SHOP, first, Millis(NOW * 1000))
    await live(store, 2)
    await store.removals.erase(SHOP, Handles("p").of_email(SHOP, "p2@example.com"), Millis(NOW * 1000))
    await store.repair.run([SHOP], Millis((NOW + 100) * 1000))
    statistics: dict[str, Any] = loaded.info("commandstats")["cmdstat_evalsha"]
    assert statistics["calls"] - before >= 30
    assert statistics["failed_calls"] <= statistics["rejected_calls"] + len(SCRIPTS)
    loaded.close()
    await store.client.close()


@pytest.mark.anyio
async def test_removals_work_when_memory_is_full_and_links_are_refused(store_url: str, database: redis.Redis) -> None:
    store = made(store_url)
    handles = [Handles("p").of_email(SHOP, f"p{number}@example.com") for number in range(3)]
    visitors = [await live(store, number) for number in range(3)]
    linkable = Linkable(VisitorId("new"), Kind.CHOSEN, NOW + 60, False, Proof.KEY)
    database.config_set("maxmemory", "1")
    try:
        with pytest.raises(StoreUnavailable):
            await store.links.link(SHOP, handles[0], linkable, LinkSource.LINK, NOW)
        assert (await store.removals.withdraw(SHOP, visitors[0], Millis(NOW * 1000))).visitors == 1
        assert (await store.removals.erase(SHOP, handles[1], Millis(NOW * 1000))).visitors == 1
        assert await store.links.unlink(SHOP, handles[2], visitors[2], NOW)
    finally:
        database.config_set("maxmemory", "0")
    assert await store.links.living(SHOP, handles, NOW) == [[], [], []]
    await store.client.close()


@pytest.mark.anyio
async def test_an_unlink_that_is_dated_earlier_keeps_the_time_of_an_open_erasure(store_url: str, database: redis.Redis) -> None:
    store, handle = made(store_url), Handles("p").of_email(SHOP, "luke@skywalker.com")
    removals = store.keys.handle(SHOP, handle).removals
    database.hset(removals, "v", f"e {NOW * 1000}")
    await store.links.unlink(SHOP, handle, VisitorId("v"), NOW - 60)
    assert database.hget(removals, "v") == f"e {NOW * 1000}"
    await store.links.unlink(SHOP, handle, VisitorId("v"), NOW + 60)
    assert database.hget(removals, "v") == f"e {(NOW + 60) * 1000}"
    await store.client.close()
