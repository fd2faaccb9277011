"""A primary of a cluster that dies, hangs or is replaced, and slots that move, under load: nothing acknowledged is lost, and shops that
need no server that is away are served all the while."""

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis.crc import key_slot

from identity_service.model.shop import ShopId
from identity_service.ops.doctor import placement
from identity_service.ops.inspect import inspect
from identity_service.store.keys import SCHEMA, Keys
from tests.faults.checker import AssertKept
from tests.faults.history import History, Operation
from tests.faults.kept import HANDLES
from tests.faults.load import SHOPS, Load, Request, key_of
from tests.faults.running import RunningService
from tests.topologies import DURABLE, Cluster, Migration, Server, cluster, eventually

KEYS = Keys(HANDLES)
GUARDED = (*DURABLE, "--min-replicas-to-write", "1", "--min-replicas-max-lag", "2")
Record = Callable[[str, object], None]
"""The fixture `record_property`."""
SERVED = frozenset({200, 409})
REDIS = shutil.which("redis-server") or ""


def slot_of(shop: str) -> int:
    """Of all keys of the shop."""
    return int(key_slot(KEYS.orders(ShopId(shop)).encode()))


def spared(slots: range) -> Callable[[Request], bool]:
    """Calls of shops that need none of the slots."""
    return lambda one: slot_of(one.shop) not in slots


def struck(slots: range) -> Callable[[Request], bool]:
    """Calls of shops that need nothing else."""
    return lambda one: slot_of(one.shop) in slots


def joined(*loads: Load) -> History:
    together = History()
    for load in loads:
        together.recoveries += load.history.recoveries
        for operation in load.history.operations:
            together.record(operation)
    return together


@contextmanager
def served(store: Cluster, directory: Path, patience: float) -> Iterator[RunningService]:
    """`patience`: seconds for the store, of which a machine that does much else needs more than a service promises."""
    environment = {"IDENTITY_STORE__REPLICAS": str(store.replicas), "IDENTITY_STORE__TIMEOUT_SECONDS": str(patience)}
    with RunningService(directory, store.url, 2, **environment) as service:
        yield service


FAULTS: dict[str, tuple[Callable[[Server], None], Callable[[Server], None]]] = {
    "dies": (Server.kill, Server.start),
    "hangs": (Server.hold, Server.release),
}
"""What happens to a primary, and how it comes back, since a replica must have what is written."""


def test_the_shops_of_the_load_lie_on_different_primaries() -> None:
    thirds = [Cluster([]).slots(number) for number in range(3)]
    assert [sum(slot_of(shop) in slots for shop in SHOPS) for slots in thirds] == [1, 1, 1]


@pytest.mark.parametrize(("fault", "shop"), [("dies", "demo"), ("hangs", "other")])
def test_a_primary_that_is_away_stops_only_its_own_shops_and_loses_nothing(
    tmp_path: Path, writes: int, takeover: float, patience: float, assert_kept: AssertKept, fault: str, shop: str
) -> None:
    strike, heal = FAULTS[fault]
    with cluster(*GUARDED) as store, served(store, tmp_path, patience) as service:
        number = next(number for number in range(3) if slot_of(shop) in store.slots(number))
        primary, replica, slots = store.data[number], store.data[number + 3], store.slots(number)
        mixed = Load(service.url, seed=41, clients=6)
        beside = Load(service.url, seed=42, clients=3, only=spared(slots))
        within = Load(service.url, seed=43, clients=3, only=struck(slots))
        with mixed, beside, within:
            mixed.wait(writes // 2)
            moment = time.monotonic()
            strike(primary)
            eventually(lambda: replica.told("INFO", "replication")["role"] == "master", "the replica as primary")
            promoted = time.monotonic()
            heal(primary)
            assert within.recovery(moment) <= takeover
            mixed.wait(writes - joined(mixed, beside, within).acknowledged)
        statuses = Counter(one.status in SERVED for one in beside.history.between(moment, promoted))
        assert statuses[False] == 0 < statuses[True], statuses
        eventually(store.is_whole, "the old primary as a replica")
        assert_kept(joined(mixed, beside, within), service)


def test_a_planned_failover_loses_nothing(tmp_path: Path, writes: int, takeover: float, patience: float, assert_kept: AssertKept) -> None:
    with cluster(*GUARDED) as store, served(store, tmp_path, patience) as service:
        with Load(service.url, seed=44) as load:
            load.wait(writes // 2)
            moment = time.monotonic()
            store.data[3].ask("CLUSTER", "FAILOVER")
            eventually(lambda: store.data[3].told("INFO", "replication")["role"] == "master", "the replica as primary")
            assert load.recovery(moment) <= takeover
            load.wait(writes - load.history.acknowledged)
        eventually(store.is_whole, "the old primary as a replica")
        assert_kept(load.history, service)


def test_slots_that_move_lose_nothing_and_refuse_little(
    tmp_path: Path, writes: int, long: bool, patience: float, assert_kept: AssertKept
) -> None:
    with cluster(*GUARDED) as store, served(store, tmp_path, patience) as service:
        slots = sorted({slot_of("demo"), *store.slots(0)[: 500 if long else 100]})
        migrations = [Migration([slot], store.data[0], store.data[1], store.data[:3]) for slot in slots]
        with Load(service.url, seed=45) as load:
            load.wait(writes // 2)
            began = time.monotonic()
            for migration in migrations:
                migration.begin()
                migration.end()
            during = Counter(one.status for one in load.history.between(began, time.monotonic()))
            load.wait(writes - load.history.acknowledged)
        assert during[503] <= 0.005 * during.total() + 1, during
        assert_kept(load.history, service)


@pytest.mark.parametrize("program", ["", pytest.param(REDIS, marks=pytest.mark.skipif(not REDIS, reason="needs Debian's redis-server"))])
def test_slots_that_are_half_moved_lose_nothing(
    tmp_path: Path, writes: int, patience: float, assert_kept: AssertKept, program: str
) -> None:
    """The keys of a shop are on both sides while the load goes on, which scripts on several of them are told (TRYAGAIN)."""
    with cluster(*GUARDED, program=program) as store, served(store, tmp_path, patience) as service:
        with Load(service.url, seed=46) as load:
            load.wait(writes // 2)
            migration = Migration([slot_of("demo")], store.data[0], store.data[1], store.data[:3])
            migration.begin()
            moved = migration.move(share=0.5)
            assert any("demo is being moved" in line for line in placement(inspect(store.url, 5, 0), [ShopId("demo")]))
            load.wait(50)
            refused = [server.told("INFO", "errorstats").get("errorstat_TRYAGAIN", "") for server in store.data[:2]]
            migration.end()
            load.wait(writes - load.history.acknowledged)
        assert moved
        assert any(refused), "no script met keys on both sides"
        assert_kept(load.history, service)


def populate(server: Server, visitors: int) -> int:
    """Fills the demo shop, beside what its calls make, with hashes as large as records and links. Returns the number of keys."""
    record = {"k": "p", "l": "1795000000", "x": "1831000000", "g": "1795000000000", "s": "plain", "r": "r" * 22, "q": "q" * 22}
    for start in range(0, visitors, 1_000):
        with server.client.pipeline(transaction=False) as pipe:
            for number in range(start, min(start + 1_000, visitors)):
                for name, fields in (("V", record), ("E", {"v" * 22: "1795000000 0 36000000 lv"})):
                    key = f"planted:{{demo}}:{name}:{number:022}"
                    pipe.hset(key, items=[text for pair in fields.items() for text in pair])
                    pipe.expire(key, 36_000_000)
            pipe.execute()
    return 2 * visitors


@dataclass(frozen=True)
class Moved:
    """What callers saw while a shop moved. Times in seconds."""

    took: float
    of_the_shop: Sequence[Operation]
    of_others: Sequence[Operation]

    def refused(self) -> dict[str, tuple[int, int]]:
        """By kind of call to the shop: how many were refused, of how many."""
        refused, made = (
            Counter(one.kind for one in self.of_the_shop if one.status not in SERVED),
            Counter(one.kind for one in self.of_the_shop),
        )
        return {kind.value: (refused[kind], count) for kind, count in made.items()}

    def slowest(self) -> tuple[float, float]:
        """Call to the shop, and to others."""
        within, beside = ([one.ended - one.began for one in found] for found in (self.of_the_shop, self.of_others))
        return round(max(within), 2), round(max(beside), 2)


def moved_under_load(service: RunningService, writes: int, move: Callable[[], None], record: Record) -> tuple[Moved, History]:
    slots = range(slot_of("demo"), slot_of("demo") + 1)
    with (
        Load(service.url, seed=47, clients=6, only=struck(slots), seconds=20) as within,
        Load(service.url, seed=48, clients=3, only=spared(slots), seconds=20) as beside,
    ):
        within.wait(writes // 2)
        began = time.monotonic()
        move()
        ended = time.monotonic()
        within.wait(writes // 4)
    found = Moved(ended - began, within.history.between(began, ended), beside.history.between(began, ended))
    for name, figure in (("seconds", round(found.took, 1)), ("refused", found.refused()), ("slowest", found.slowest())):
        record(name, figure)
    return found, joined(within, beside)


@pytest.mark.skipif(not REDIS, reason="needs Debian's redis-server")
def test_a_populated_shop_that_moves_key_by_key_has_calls_refused_and_none_half_done(
    tmp_path: Path, long: bool, writes: int, patience: float, assert_kept: AssertKept, record_property: Record
) -> None:
    slot = slot_of("demo")
    with cluster(*GUARDED, program=REDIS) as store, served(store, tmp_path, patience) as service:
        source, target = store.data[:2]
        planted = populate(source, 200_000 if long else 3_000)

        def move() -> None:
            migration = Migration([slot], source, target, store.data[:3])
            migration.begin()
            migration.move_all(1_000 if long else 100)
            migration.end()

        found, history = moved_under_load(service, writes, move, record_property)
        assert {one.status for one in found.of_the_shop} <= SERVED | {503}
        assert {one.status for one in found.of_others} <= SERVED
        assert target.ask("CLUSTER", "COUNTKEYSINSLOT", slot) > planted
        assert_kept(history, service)


def test_a_populated_shop_that_moves_whole_has_no_call_refused(
    tmp_path: Path, long: bool, writes: int, patience: float, assert_kept: AssertKept, record_property: Record
) -> None:
    """By `CLUSTER MIGRATESLOTS`, as Valkey 9 moves a slot."""
    slot = slot_of("demo")
    with cluster(*GUARDED) as store, served(store, tmp_path, patience) as service:
        source, target = store.data[:2]
        planted = populate(source, 200_000 if long else 3_000)

        def move() -> None:
            source.ask("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", target.ask("CLUSTER", "MYID"))
            eventually(lambda: source.ask("CLUSTER", "COUNTKEYSINSLOT", slot) == 0, "the shop on the other primary", 120)

        found, history = moved_under_load(service, writes, move, record_property)
        assert target.ask("CLUSTER", "COUNTKEYSINSLOT", slot) > planted
        refused = sum(one.status not in SERVED for one in found.of_the_shop)
        assert refused <= 0.02 * len(found.of_the_shop) + 1, found.refused()  # while the source frees what it held, it answers nobody
        assert_kept(history, service)


def test_the_service_starts_without_the_shard_of_the_store_s_marks(tmp_path: Path) -> None:
    with cluster(*GUARDED) as store:
        with served(store, tmp_path, 0.5):
            pass
        number = next(number for number in range(3) if key_slot(SCHEMA.encode()) in store.slots(number))
        away = [shop for shop in SHOPS if slot_of(shop) in store.slots(number)]
        others = [shop for shop in SHOPS if shop not in away]
        for server in (store.data[number], store.data[number + 3]):
            server.hold()
        with served(store, tmp_path, 0.5) as service:
            eventually(lambda: service.call("/readyz") == (200, {"status": "ok", "away": away}), "ready without a shard")
            statuses = [service.call("/v1/links", {"email": "a@example.com", "visitor": "v"}, key_of(shop))[0] for shop in others * 50]
            assert set(statuses) <= SERVED
        for server in (store.data[number], store.data[number + 3]):
            server.release()


def test_the_service_is_ready_while_some_shops_can_be_served_and_says_which_cannot(tmp_path: Path) -> None:
    shop = "demo"
    with cluster(*GUARDED) as store, served(store, tmp_path, 0.5) as service:
        number = next(number for number in range(3) if slot_of(shop) in store.slots(number))
        away = (store.data[number], store.data[number + 3])
        for server in away:
            server.hold()
        eventually(lambda: service.call("/readyz") == (200, {"status": "ok", "away": [shop]}), "ready without a shop")
        assert service.call("/v1/links", {"email": "a@example.com", "visitor": "v"}, "other-private-key")[0] == 200
        assert service.call("/v1/links", {"email": "a@example.com", "visitor": "v"})[0] == 503
        for server in away:
            server.release()
        eventually(lambda: service.call("/readyz") == (200, {"status": "ok"}), "ready with all shops")
