"""The Lua scripts: headers, declared keys, one slot each, and removals that work when memory is full."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from msgspec.structs import replace

from identity_service.errors import StoreUnavailable
from identity_service.model.consent import Consent, Millis, OptOut, OptOutsSeen
from identity_service.model.event import Event, EventType
from identity_service.model.handle import Handles
from identity_service.model.link import LinkCaps, LinkSource, Proof
from identity_service.model.shop import ShopId
from identity_service.model.visitor import Kind, VisitorId
from identity_service.store import Retention, Store
from identity_service.store.events import Entry, Kept
from identity_service.store.links import Linkable, LinkCall
from identity_service.store.redis.client import StoreClient
from identity_service.store.redis.command import DIRECTORY, script
from identity_service.store.removals import Erased
from identity_service.store.sales import MOST_SALES, HandleOfSale, NewSale, OfVisitor, SaleAnswer
from identity_service.store.visitors import Grant, StoredReceipt
from tests.stores import valkey
from tests.test_command import eventually, free_port

SCRIPTS = sorted(DIRECTORY.glob("*.lua"))
SHOP, NOW = ShopId("demo"), 1_795_000_000
RECEIPT = StoredReceipt("r", "{}", 60)
REMOVING = {
    "await_no_longer",
    "note_erasure",
    "unlink",
    "withdraw",
    "erase",
    "scrub_sales",
    "refuse_linking",
    "store_receipt",
    "forget_unchanged",
    "claim_turn",
    "touch_visitor",
    "keep_cursor",
    "record_audit",
    "end_session",
}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_states_what_it_does_and_makes_no_key(path: Path) -> None:
    source = path.read_text()
    assert source.startswith("#!lua flags=allow-oom") == (path.stem in REMOVING)
    header = source[: source.index("-- Returns")]
    assert all(f"-- {part}" in header for part in ("Purpose:", "KEYS[1]", "Touches"))
    assert source.count("\n") <= 90
    assert "id:v" not in script(path.stem).source


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
    return Store(StoreClient(url, 5.0), Handles("p"), LinkCaps(10, 10), Retention(400, 400, 400), 100)


async def live(store: Store, number: int) -> VisitorId:
    """Every verb of the store that adds something, once."""
    visitor, handle = VisitorId(f"v{number}"), Handles("p").of_email(SHOP, f"p{number}@example.com")
    consent = Consent(Millis(NOW * 1000), "plain", None)
    grant = Grant(consent, NOW + 99_999, OptOut.STATE, OptOutsSeen(Millis(1), Millis(1)), RECEIPT, "q", VisitorId("b"))
    await store.visitors.store_receipt(SHOP, RECEIPT)
    assert await store.visitors.grant(SHOP, visitor, grant, NOW) == "granted"
    await store.visitors.touch(SHOP, visitor, NOW, OptOut.STATE)
    assert await store.visitors.opt_in(SHOP, visitor, Millis(0), Millis(NOW * 1000), RECEIPT, "q") == "opted_in"
    link = LinkCall(SHOP, handle, Linkable(visitor, Kind.PERSISTENT, 0, False, Proof.KEY), LinkSource.LINK, NOW)
    await store.links.link(link)
    assert await store.visitors.grant(SHOP, visitor, replace(grant, expires=NOW + 199_999), NOW) == "granted"
    await store.visitors.look_up(SHOP, [visitor], NOW)
    fields, entry = (
        {"sale": "1", "time": str(NOW), "visitor": visitor, "email": handle.name, "verified": "1"},
        Entry(Event(EventType.CLICK, 1), Kept(10, 60, from_first=False), NOW),
    )
    sale = NewSale(
        f"s{number}", fields, NOW, OfVisitor(visitor, store.events.assumption(SHOP, visitor), entry), [HandleOfSale(handle, link)]
    )
    assert (await store.sales.sell(SHOP, sale)).outcome == "sold"
    assert await store.sales.confirm(SHOP, f"s{number}")
    assert await store.events.record(SHOP, visitor, entry) == ("kept", ())
    return visitor


@pytest.mark.anyio
async def test_a_cluster_accepts_every_script_with_its_keys(cluster: str) -> None:
    store = made(cluster)
    loaded: redis.Redis = redis.Redis.from_url(cluster)
    before = loaded.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0)
    first = await live(store, 1)
    await store.links.unlink(SHOP, Handles("p").of_email(SHOP, "p1@example.com"), first, NOW)
    await store.removals.withdraw(SHOP, first, Millis(NOW * 1000))
    second = await live(store, 2)
    await store.removals.erase(SHOP, Handles("p").of_email(SHOP, "p2@example.com"), Millis(NOW * 1000))
    await store.visitors.refuse_linking(SHOP, second, Kind.CHOSEN, NOW + 60, NOW, StoredReceipt("r2", "{}", 60), "q")
    await store.repair.run([SHOP], Millis((NOW + 100) * 1000))
    statistics: dict[str, Any] = loaded.info("commandstats")["cmdstat_evalsha"]
    assert statistics["calls"] - before >= 20
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
            await store.links.link(LinkCall(SHOP, handles[0], linkable, LinkSource.LINK, NOW))
        assert (await store.removals.withdraw(SHOP, visitors[0], Millis(NOW * 1000))).visitors == 1
        assert (await store.removals.erase(SHOP, handles[1], Millis(NOW * 1000))).visitors == 1
        assert await store.links.unlink(SHOP, handles[2], visitors[2], NOW)
    finally:
        database.config_set("maxmemory", "0")
    assert await store.links.living(SHOP, handles, NOW) == [[], [], []]
    await store.client.close()


async def live_and_die(store: Store, first: int) -> None:
    """Every verb of the store, with three visitors."""
    visitors = [await live(store, number) for number in range(first, first + 3)]
    handles = [Handles("p").of_email(SHOP, f"p{number}@example.com") for number in range(first, first + 3)]
    await store.links.unlink(SHOP, handles[0], visitors[0], NOW)
    await store.removals.withdraw(SHOP, visitors[0], Millis(NOW * 1000))
    await store.removals.erase(SHOP, handles[1], Millis(NOW * 1000))
    await store.visitors.refuse_linking(SHOP, visitors[2], Kind.CHOSEN, NOW + 60, NOW, StoredReceipt(f"r{first}", "{}", 60), "q")


@pytest.mark.anyio
async def test_a_script_touches_only_keys_that_it_was_given(store_url: str, database: redis.Redis) -> None:
    """Where a slot is being moved, any other key would be missed silently."""
    store = made(store_url)
    await live_and_die(store, 1)  # from now on the server knows every script
    called, outside, declared = set[str](), set[str](), list[str]()
    with database.monitor() as monitor:  # type: ignore[no-untyped-call]
        await live_and_die(store, 11)
        database.echo("the end")
        while "the end" not in (told := monitor.next_command())["command"]:
            words = told["command"].split(" ")
            if words[0] == "EVALSHA":
                declared = words[3 : 3 + int(words[2])]
                called.add(words[1])
            elif told["client_type"] == "lua" and words[1] not in declared:
                outside.add(told["command"])
    await store.client.close()
    assert outside == set()
    assert len(called) >= 10


@pytest.mark.anyio
async def test_a_grant_follows_a_refusal_of_links_that_found_no_record(store_url: str, database: redis.Redis) -> None:
    """It made one of a persistent visitor that has granted nothing."""
    store, visitor = made(store_url), VisitorId("v")
    await store.visitors.refuse_linking(SHOP, visitor, Kind.PERSISTENT, NOW + 60, NOW, None, "q")
    assert database.hgetall(store.keys.visitor(SHOP, visitor).record)["k"] == "p"
    grant = Grant(Consent(Millis(NOW * 1000), "plain", None), NOW + 99, OptOut.NONE, OptOutsSeen(), RECEIPT, "q", None)
    assert await store.visitors.grant(SHOP, visitor, grant, NOW) == "granted"
    await store.client.close()


@pytest.mark.anyio
async def test_the_largest_removal_touches_each_thing_that_a_visitor_holds_a_few_times(store_url: str, database: redis.Redis) -> None:
    """Fifty handles and as many sales as are indexed, which is the most that settings allow."""
    client, visitor = StoreClient(store_url, 5.0), VisitorId("v")
    store = Store(client, Handles("p"), LinkCaps(2_000, 50), Retention(400, 400, 400), 100)
    handles = [Handles("p").of_email(SHOP, f"p{number}@example.com") for number in range(50)]
    for handle in handles:
        await store.links.link(LinkCall(SHOP, handle, Linkable(visitor, Kind.CHOSEN, NOW + 99, False, Proof.KEY), LinkSource.LINK, NOW))
    for number in range(MOST_SALES):
        await store.visitors.look_up(SHOP, [visitor], NOW)
        handle = handles[number % 50]
        fields = {"sale": str(number), "time": str(NOW), "visitor": visitor, "email": handle.name, "verified": "1"}
        entry = Entry(Event(EventType.CLICK, number), Kept(500, 60, from_first=False), NOW)
        sale = NewSale(
            str(number), fields, NOW, OfVisitor(visitor, store.events.assumption(SHOP, visitor), entry), [HandleOfSale(handle, None)]
        )
        assert (await store.sales.sell(SHOP, sale)).outcome == "sold"
    before = database.info("commandstats")
    assert await store.removals.withdraw(SHOP, visitor, Millis(NOW * 1000)) == Erased(1, 50, 500)
    after = database.info("commandstats")
    await store.client.close()
    calls = {name: stat["calls"] - before.get(name, {"calls": 0})["calls"] for name, stat in after.items()}
    assert calls["cmdstat_evalsha"] + calls.get("cmdstat_eval", 0) <= 2
    assert (
        sum(calls.values()) <= 4 * 500 + 2 * 50 + 60
    )  # of each sale: named by whom, twice, taken out in two steps; of each handle: its sales
    assert [str(key) for key in database.scan_iter("*:[VE]:*")] == [store.keys.visitor(SHOP, visitor).gone]


@pytest.mark.anyio
async def test_a_sale_goes_once_through_each_full_list(store_url: str, database: redis.Redis) -> None:
    """By the call that finds what has to leave; the one that lets it go reads single fields."""
    store, visitor, email = made(store_url), VisitorId("v"), Handles("p").of_email(SHOP, "p1@example.com")
    store.sales.most = 3

    async def sell(number: int, leaving: dict[str, dict[str, str]]) -> SaleAnswer:
        fields = {"sale": str(number), "time": str(NOW + number), "visitor": visitor, "email": email.name, "verified": "1"}
        of = OfVisitor(visitor, store.events.assumption(SHOP, visitor), None)
        return await store.sales.sell(
            SHOP, NewSale(str(number), fields, NOW, of, [HandleOfSale(email, None)], leaving=leaving, told=len(leaving))
        )

    for number in range(3):
        assert (await sell(number, {})).outcome == "sold"
    refused = await sell(3, {})
    assert (refused.outcome, refused.told) == ("leaves", (store.keys.sale_digest(SHOP, "0"),))
    leaving = await store.sales.named_by(SHOP, refused.told)
    database.config_resetstat()
    assert (await sell(3, leaving)).outcome == "sold"
    assert not {"cmdstat_hgetall", "cmdstat_hkeys", "cmdstat_hscan"} & database.info("commandstats").keys()
    assert await store.sales.of_handle(SHOP, email) == sorted(store.keys.sale_digest(SHOP, str(number)) for number in (1, 2, 3))
    await store.client.close()
