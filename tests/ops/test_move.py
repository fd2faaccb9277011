"""A move, between real servers: every kind of key arrives, works, and can be erased; a crash anywhere loses nothing."""

import asyncio
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import redis

from identity_service.errors import StoreUnavailable
from identity_service.model.handle import Handle, HandleKind, Handles, rekey_digest
from identity_service.ops.blocking import direct
from identity_service.ops.entries import NEVER, Side, StoredKey
from identity_service.ops.inspect import inspect
from identity_service.ops.kinds import KINDS, UnknownKeyError, name_of
from identity_service.ops.move import STEPS, Moving, Step, undo
from identity_service.ops.stores import CommandRefused
from identity_service.store.keys import ANY_SCHEMA, MOVE, OF_THE_STORE, REPAIR_LOCK, SCHEMA, Keys, VisitorKeys
from identity_service.store.sales import packed
from identity_service.store.schema import Schema, SeenMark, examine_marks, schema_of
from tests.conftest import Clock
from tests.filled import NEW, NEWEST, OLD, SHOP, digests, fill, picture, service, under
from tests.stores import valkey, view
from tests.test_privacy import dump, hits
from tests.topologies import cluster

pytestmark = pytest.mark.anyio
NAMES = ("FROM", "TO")


def silent(_done: int) -> None:
    pass


@contextmanager
def side(url: str) -> Iterator[Side]:
    client = direct(url, 10.0)
    try:
        yield Side(client)
    finally:
        client.close()


def moved(source: str, target: str, *peppers: str, steps: Mapping[int, Step] = STEPS) -> None:
    """A whole move, as the command does it."""
    with side(source) as there, side(target) as here:
        for one in (there, here):
            one.delete(REPAIR_LOCK)
        move = Moving(there, here, peppers, NAMES, steps)
        move.begin()
        move.copy(silent)
        found = move.compare(silent)
        assert found.equal, found
        move.finish()


@pytest.fixture
def two() -> Iterator[tuple[str, str]]:
    with valkey() as one, valkey() as other:
        yield one, other


def kinds_in(url: str) -> set[str]:
    with side(url) as there:
        names = [name for batch in there.names(f"{ANY_SCHEMA}*") for name in batch]
    return {name_of(name).kind for name in names if name.decode() not in OF_THE_STORE}


def opened(url: str) -> redis.Redis:
    return view(url)


MAKERS = {"probe", "visitor", "visitor_of", "visitor_digest", "handle", "sale_digest", "sale_of", "receipt", "lone_receipt", "salt", "hour"}
MAKERS |= {"audit", "accesses", "lookups", "day", "day_salt", "sketch", "remainders"}
OF_A_SHOP = {"erasures", "removals", "rewrite", "orders", "products", "calls", "failures", "latest", "labels", "sessions"}


def every_key() -> list[str]:
    """One of each that keys.py makes."""
    keys = Keys(Handles("pepper"))
    visitor, handle = keys.visitor(SHOP, "v"), keys.handle(SHOP, Handle(HandleKind.EMAIL, "D" * 22))
    found = [getattr(visitor, name) for name in vars(VisitorKeys) if not name.startswith("_") and name != "digest"]
    found += [handle, keys.sale_of(SHOP, "D" * 22), keys.receipt(SHOP, "R" * 22), keys.salt(SHOP, 1), keys.hour(SHOP, 3600)]
    found += [keys.audit(SHOP, 1), keys.accesses(SHOP, "D" * 22), keys.lookups(SHOP, 1)]
    found += [keys.day(SHOP, 86_400), keys.day_salt(SHOP, 86_400), keys.sketch(SHOP, 86_400, "persistent"), keys.remainders(SHOP, 86_400)]
    return found + [make(SHOP) for make in (getattr(keys, name) for name in OF_A_SHOP)]


def test_every_key_is_of_a_kind_and_every_kind_has_a_key() -> None:
    assert sorted(name_of(key.encode()).kind for key in every_key()) == sorted(KINDS)
    assert {name for name in vars(Keys) if not name.startswith("_")} == OF_A_SHOP | MAKERS


def test_digests_under_newer_peppers_need_no_clear_value() -> None:
    digest = Handles(OLD).of_email(SHOP, "a@example.com").digest
    assert Handles(OLD, NEW, NEWEST).of_email(SHOP, "a@example.com").digest.encode() == rekey_digest(digest.encode(), [NEW, NEWEST])
    assert rekey_digest(digest.encode(), []) == digest.encode()


async def test_a_store_is_the_same_under_a_new_pepper_and_everything_in_it_can_be_erased(two: tuple[str, str], clock: Clock) -> None:
    source, target = two
    async with service(source, clock, OLD) as (application, shopper):
        people = await fill(application, shopper, clock)
        before = await picture(shopper, people)
    assert kinds_in(source) == set(KINDS)
    old, new = digests(people, OLD), digests(people, OLD, NEW)
    await asyncio.to_thread(moved, source, target, OLD, NEW)

    after = opened(target)
    assert hits([*old, *(Handles(OLD).digest(kind, SHOP, one) for kind, one in everyone(people))], dump(after)) == []
    async with service(target, clock, OLD, NEW) as (application, shopper):
        assert under(await picture(shopper, people), new, new) == under(before, old, new)
        for person in people[8:]:  # a new pepper ends the window, as its end does
            again = (await shopper.post("/v1/visitors", {"client": person.client})).json()
            assert again["visitor"] != person.cookieless
        assert (await shopper.post("/v2/log/sale", {"sale": "sale-8", "products": [1]})).json() == {"status": "ok"}
        assert len((await picture(shopper, people))["orders"]) == len(before["orders"])
        for person in people[:8]:
            await shopper.post("/v1/erasures", {"email": person.email})
            await shopper.post("/v1/erasures", {"customer": person.customer})
        for person in people[8:]:
            await shopper.post("/v1/visitors", {"token": person.token, "consent": "refused"})
        await shopper.post("/v1/erasures", {"visitor": "own-id"})
        for _ in range(3):
            clock.forward(100)
            after.delete(REPAIR_LOCK)
            await application.keep_up()
    left = dump(after)
    needles = [*new, *(one.visitor for one in people), "own-id"]
    assert hits(needles, left) == []
    assert not after.exists(Keys(Handles(OLD)).erasures(SHOP))
    after.close()


def everyone(people: list[Any]) -> list[tuple[str, str]]:
    visitors = [visitor for person in people for visitor in (person.visitor, person.cookieless)]
    return [("visitor", one) for one in (*visitors, "own-id")] + [("sale", f"sale-{person.number}") for person in people]


needs_redis = pytest.mark.skipif(not shutil.which("redis-server"), reason="needs Debian's redis-server")


@needs_redis
async def test_a_store_goes_to_redis_and_through_a_cluster_and_back(clock: Clock) -> None:
    with valkey() as source, valkey(program="redis-server") as old_server, cluster() as several, valkey() as target:
        async with service(source, clock, OLD) as (application, shopper):
            people = await fill(application, shopper, clock)
            before = await picture(shopper, people)
        old = digests(people, OLD)
        for one, other, peppers in ((source, old_server, [OLD]), (old_server, several.url, [OLD, NEW]), (several.url, target, [OLD, NEW])):
            for examined in (one, other):  # whose probes stay for a minute
                inspect(examined, 5.0, 0)
            await asyncio.to_thread(moved, one, other, *peppers)
            async with service(other, clock, *peppers) as (application, shopper):
                now = digests(people, *peppers)
                assert under(await picture(shopper, people), now, now) == under(before, old, now), other
                assert await examine_marks(application.services.store.client, schema_of(peppers), SeenMark()) is None


@needs_redis
@pytest.mark.parametrize("moment", [1_796_041_846.275, 1_796_041_846.1, 4e-9, 1e22, float("inf"), -0.1])
@pytest.mark.parametrize("programs", [("", "redis-server"), ("redis-server", "")])
def test_a_score_is_the_same_number_whichever_server_writes_its_digits(programs: tuple[str, str], moment: float) -> None:
    """Valkey writes the fewest digits that tell a number from all others, Redis 7.0 as many as seventeen."""
    key = Keys(Handles(OLD)).orders(SHOP)
    source, target = programs
    with valkey(program=source) as one, valkey(program=target) as other:
        with direct(one, 10.0) as there:
            there.zadd(key, {"D" * 22: moment})
        moved(one, other, OLD)
        with direct(other, 10.0) as here:
            assert here.zscore(key, "D" * 22) == moment


class Crash(BaseException):
    """The process ends here."""


class DyingSide(Side):
    """All its calls are counted; the last one ends the process, before or after the store has done it."""

    calls, last, when = 0, 0, ""

    def ask(self, calls: Any) -> list[Any]:
        DyingSide.calls += 1
        if (DyingSide.calls, DyingSide.when) == (DyingSide.last, "before"):
            raise Crash
        replies = super().ask(calls)
        if (DyingSide.calls, DyingSide.when) == (DyingSide.last, "after"):
            raise Crash
        return replies


def moved_by_a_mortal(source: str, target: str, last: int, when: str, at_once: int = 40) -> int:
    """How many calls it took."""
    DyingSide.calls, DyingSide.last, DyingSide.when = 0, last, when
    with direct(source, 10.0) as there, direct(target, 10.0) as here:
        move = Moving(DyingSide(there, at_once), DyingSide(here, at_once), [OLD, NEW], NAMES)
        move.begin()
        move.copy(silent)
        assert move.compare(silent).equal
        move.finish()
    return DyingSide.calls


def everything(url: str) -> list[StoredKey]:
    with side(url) as there:
        names = [name for batch in there.names(f"{ANY_SCHEMA}*") for name in batch if name.decode() != MOVE]
        return sorted(there.read(names), key=lambda entry: entry.name)


async def test_a_move_that_dies_at_any_call_goes_on_where_it_was(two: tuple[str, str], clock: Clock) -> None:
    source, target = two
    async with service(source, clock, OLD) as (application, shopper):
        await fill(application, shopper, clock)
    there, here = opened(source), opened(target)
    there.delete(REPAIR_LOCK)
    calls = moved_by_a_mortal(source, target, 0, "")
    expected = everything(target)
    assert calls > 20
    for last in range(1, calls + 1):
        for when in ("before", "after"):
            here.flushall()
            there.delete(MOVE)
            with pytest.raises(Crash):
                moved_by_a_mortal(source, target, last, when)
            arriving = here.exists(MOVE) == 1
            if arriving or not here.exists(SCHEMA):
                moved_by_a_mortal(source, target, 0, "")
            assert everything(target) == expected
            assert (there.hget(MOVE, "state"), here.exists(MOVE)) == ("left", 0)
    there.close()
    here.close()


def begun(source: str, target: str, *peppers: str) -> None:
    with side(source) as there, side(target) as here:
        Moving(there, here, peppers or (OLD,), NAMES).begin()


def planted(url: str) -> None:
    with side(url) as there:
        there.load_scripts()
        there.write([StoredKey(key.encode(), *sample(name_of(key.encode()).kind)) for key in every_key()])


def sample(kind: str) -> tuple[str, int, Any]:
    if kind == "S":
        return "string", LATER, packed({"time": "1", "customer": "c" + "D" * 22, "sale": "of\ntwo lines"}).encode()
    return SAMPLES[KINDS[kind].type]


LATER = 4_000_000_000_000
BINARY = bytes(range(256))
SAMPLES: dict[str, tuple[str, int, Any]] = {
    "string": ("string", LATER, BINARY),
    "hash": ("hash", NEVER, {BINARY: BINARY, b"b2": b""}),
    "list": ("list", LATER, [BINARY, b"", BINARY, *(b"%d" % i for i in range(2_500))]),
    "zset": ("zset", LATER, {b"e handle %d" % i: 1_795_000_000_123.0 + i for i in range(2_500)}),
}


def test_values_of_every_type_are_copied_byte_for_byte_with_their_ends(two: tuple[str, str]) -> None:
    source, target = two
    planted(source)
    moved(source, target, OLD)
    copied = [entry for entry in everything(target) if entry.name != SCHEMA.encode()]
    assert copied == everything(source)
    assert len(copied) == len(KINDS)
    assert {entry.expires_at for entry in copied} == {LATER, NEVER}


def test_refused_without_a_change(two: tuple[str, str]) -> None:
    source, target = two
    planted(source)
    with pytest.raises(CommandRefused, match="TO is not empty"):
        begun(target, source)
    moved(source, target, OLD)
    before = everything(target)
    with pytest.raises(CommandRefused, match="was already moved to TO"):
        begun(source, target)
    with valkey() as third, pytest.raises(CommandRefused, match="not the one that this store was written under"):
        begun(target, third, NEW)
    with valkey() as third:
        begun(target, third, OLD, NEW)
        with pytest.raises(CommandRefused, match="holds only part of FROM; finish"):
            begun(third, source, OLD, NEW)
        with pytest.raises(CommandRefused, match="under other peppers"):
            begun(target, third, OLD, NEW, NEWEST)
        with side(third) as here, pytest.raises(CommandRefused, match="empty it instead"):
            undo(here)
        with side(target) as there:
            undo(there)
            with pytest.raises(CommandRefused, match="was not moved"):
                undo(there)
        with pytest.raises(CommandRefused, match="part of another store"):
            begun(target, third, OLD, NEW)
    assert everything(target) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda there: there.rpush("id:v2:{demo}:R:new", "1"),
        lambda there: there.rpush(f"id:v2:{{demo}}:R:{'R' * 6}", "1"),
        lambda there: there.pexpireat(f"id:v2:{{demo}}:R:{'R' * 6}", LATER + 1),
        lambda there: there.delete(f"id:v2:{{demo}}:R:{'R' * 6}"),
        lambda there: there.hset(f"id:v2:{{demo}}:V:{'D' * 22}", "l", "1"),
    ],
)
def test_what_was_changed_meanwhile_is_seen(two: tuple[str, str], change: Callable[[redis.Redis], object]) -> None:
    source, target = two
    planted(source)
    with side(source) as there, side(target) as here, direct(source, 10.0) as writer:
        move = Moving(there, here, [OLD], NAMES)
        move.begin()
        move.copy(silent)
        assert move.compare(silent).equal
        change(writer)
        assert not move.compare(silent).equal


NO_DIGEST = "D" * 22
UNKNOWN = ["W:x", "V:x:other", "nothing", f"V:{NO_DIGEST}", f"S:{'A' * 22}", "V:short:gone", f"V:{NO_DIGEST}:gone"]
OF_THE_FIRST = [
    "W{demo:x}",
    "V{demo:x}:other",
    "nothing",
    f"V{{demo:{NO_DIGEST}}}",
    f"S{{demo:{'A' * 22}}}",
    "V{demo:short}:gone",
    "{other}",
]


@pytest.mark.parametrize("key", [*(f"id:v2:{{demo}}:{one}" for one in UNKNOWN), *(f"id:v1:{one}" for one in OF_THE_FIRST), "id:v2:{other}"])
def test_a_key_of_no_known_kind_is_not_left_behind(two: tuple[str, str], key: str) -> None:
    """Nor one of another type, nor one whose digest is none."""
    source, target = two
    with direct(source, 10.0) as there:
        there.set(key, "1")
    with pytest.raises(UnknownKeyError):
        moved(source, target, OLD, NEW)


def test_keys_of_others_and_keys_that_end_are_left_alone(two: tuple[str, str]) -> None:
    source, target = two
    with direct(source, 10.0) as there:
        there.set("somebody:else", "1")
        there.set("id:v2:{demo}:Z:60", "1", px=1)
    moved(source, target, OLD)
    with direct(target, 10.0) as here:
        assert here.keys() == [SCHEMA.encode()]


def test_an_older_schema_is_brought_forward_by_its_steps(two: tuple[str, str]) -> None:
    """As if orders had been a list of digests under another name, in a schema before the first."""

    def step(entries: Sequence[StoredKey], read: object) -> list[StoredKey]:
        return [forward(entry) for entry in entries]

    def forward(entry: StoredKey) -> StoredKey:
        if not entry.name.startswith(b"id:v1:list{"):
            return entry
        name = entry.name.replace(b"id:v1:list{", b"id:v1:orders{")
        return replace(entry, name=name, type="zset", value={one: float(i) for i, one in enumerate(entry.value)})

    source, target = two
    digest = Handles(OLD).digest("sale", SHOP, "1")
    with direct(source, 10.0) as there:
        there.rpush("id:v1:list{demo:lists}", digest)
        there.hset(SCHEMA, mapping=dict(Schema(0, schema_of([OLD]).peppers).fields()))
    moved(source, target, OLD, NEW, steps={0: step, **STEPS})
    with direct(target, 10.0) as here:
        assert here.zrange("id:v2:{demo}:orders", 0, -1) == [Handles(OLD, NEW).digest("sale", SHOP, "1").encode()]
        assert here.hget(SCHEMA, "version") == b"2"


async def test_a_service_that_runs_when_its_store_is_moved_refuses_it_within_a_minute(two: tuple[str, str], clock: Clock) -> None:
    source, target = two
    async with service(source, clock, OLD) as (application, shopper):
        await shopper.post("/v1/links", {"email": "a@example.com", "visitor": "v"})
        await application.keep_up()
        assert len(await shopper.visitors(email="a@example.com")) == 1
        await asyncio.to_thread(moved, source, target, OLD)
        with pytest.raises(StoreUnavailable, match="this store was moved to TO"):
            await application.keep_up()
        assert (await shopper.post("/v1/lookups", {"email": "a@example.com"})).status_code == 503
        assert (await shopper.client.get("/readyz")).status_code == 503
        assert (await shopper.client.get("/healthz")).status_code == 200
        never = await shopper.post("/v1/visitors", {"client": {"ip": "198.51.100.1", "user_agent": "Mozilla/5.0"}})
        assert (never.status_code, never.json()["mode"]) == (200, "null")
    async with service(target, clock, NEW) as (application, shopper):
        with pytest.raises(StoreUnavailable, match="is not the one that this store was written under"):
            await application.keep_up()
        assert (await shopper.post("/v1/lookups", {"email": "a@example.com"})).status_code == 503
