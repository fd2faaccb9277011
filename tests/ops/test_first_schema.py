"""A store of the first schema comes whole into the second one, whatever a crash had left open in it, and wherever the move dies."""

import asyncio
import json
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from identity_service.model.attribution import MOST_CREDIT_BYTES, Credit
from identity_service.model.event import SaleLine
from identity_service.model.handle import Handles
from identity_service.ops.blocking import direct
from identity_service.ops.entries import StoredKey
from identity_service.ops.first_schema import convert_entries, convert_entry
from identity_service.ops.first_steps import end_steps
from identity_service.ops.kinds import UnknownKeyError, name_of
from identity_service.ops.move import Moving, undo
from identity_service.ops.stores import CommandRefused
from identity_service.store.keys import MOVE, SCHEMA
from identity_service.store.sales import unpacked, unpacked_credits, unpacked_lines
from identity_service.store.schema import FIRST, Schema, SeenMark, examine_marks, schema_of
from tests.conftest import Clock, Shopper
from tests.filled import NEW, OLD, SHOP, service, told_of, under
from tests.first_store import GONE, GONE_LIFE, LINKED, RECORD, SALES, SALT, UNLINKED, handle_of, plant
from tests.ops.test_move import NAMES, Crash, everything, moved, moved_by_a_mortal, side, silent
from tests.stores import valkey
from tests.test_privacy import dump, hits
from tests.topologies import cluster, sentinels

pytestmark = pytest.mark.anyio
OF_STEPS = ("id:v1:*{*:repair}", "id:v1:E{*}:intents", "id:v1:E{*}:removals")
VISITORS = sorted({*GONE, *UNLINKED, *(visitor for held in LINKED.values() for visitor in held), "derived"})
CUTS = 16
NOTES_AT_ONCE = 10
"""So that a move may die between two pages of notes."""


@pytest.fixture
def two() -> Iterator[tuple[str, str]]:
    with valkey() as one, valkey() as other:
        yield one, other


def asked() -> list[dict[str, str]]:
    handles = [{"email": text} if "@" in text else {"customer": text} for text in LINKED]
    return [*handles, *({"visitor": visitor} for visitor in VISITORS)]


async def seen(shopper: Shopper) -> dict[str, Any]:
    """Everything that a service tells of the store, after it has told what the store must hold."""
    for text, held in LINKED.items():
        named = {"email" if "@" in text else "customer": text}
        assert {one["visitor"]: one["proof"] for one in await shopper.visitors(**named)} == held, text
    found = await told_of(shopper, asked())
    for visitor in UNLINKED:
        [export] = found[f"exports {{'visitor': '{visitor}'}}"]["visitors"]
        assert (export["emails"], export["customers"], len(export["events"])) == ([], [], 1), visitor
    for visitor in GONE:
        assert found[f"exports {{'visitor': '{visitor}'}}"]["visitors"] == [], visitor
        assert found[f"receipts {{'visitor': '{visitor}'}}"]["receipts"] == [], visitor
    assert {order["sale"]: order["visitor"] for order in found["orders"]} == {sale: named[0] for sale, named in SALES.items()}
    receipts = found["receipts {'visitor': 'kept'}"]["receipts"]
    assert [one["receipt_id"] for one in receipts] == ["kept___________0", "kept___________1"]
    return found


def whole(url: str, *peppers: str) -> None:
    """Nothing is half done: each link is pointed to and counted, each sale indexed where it names somebody, and a mark stands alone."""
    handles, held = Handles(*peppers), {entry.name.decode(): entry for entry in everything(url)}
    of = {handles.digest("visitor", SHOP, visitor): visitor for visitor in VISITORS}
    at = {handle.digest: handle for handle in (handle_of(handles, text) for text in LINKED)}
    links = {
        (of_name(name), visitor.decode()): value
        for name, one in of_kind(held, "E")
        for visitor, value in one.value.items()
        if not visitor.startswith(b"$")
    }
    pointers = dict[tuple[str, str], bytes]()
    for name, entry in of_kind(held, "V"):
        proofs = {field.decode(): proof for field, proof in entry.value.items() if len(field) == 23}
        pointers |= {(handle[1:], of[of_name(name)]): proof for handle, proof in proofs.items()}
        for letter, unproven in (("e", b"i"), ("c", b"j")):
            mine = [proof for handle, proof in proofs.items() if handle[0] == letter]
            counted = [int(entry.value.get(field, 0)) for field in (letter.encode(), unproven)]
            assert counted == [len(mine), mine.count(b"u")], of[of_name(name)]
        assert f"{name}:gone" not in held
    assert {key: value[-1:] for key, value in links.items()} == pointers
    assert {digest for digest, _ in links} <= set(at)
    gone = {of[of_name(name)]: (int(entry.value), entry.expires_at > 0) for name, entry in of_kind(held, "V:gone")}
    assert gone == {visitor: (time, True) for visitor, time in GONE.items()}
    names_of_sales(handles, held)


def names_of_sales(handles: Handles, held: dict[str, StoredKey]) -> None:
    stored = {sale["sale"]: sale for sale in (unpacked(entry.value.decode()) for _, entry in of_kind(held, "S"))}
    expected = {sale: (visitor, email and handle_of(handles, email).name) for sale, (visitor, email) in SALES.items()}
    assert {sale: tuple(one.get(field) for field in ("visitor", "email")) for sale, one in stored.items()} == expected
    by = {sale: handles.digest("sale", SHOP, sale).encode() for sale in SALES}
    under_handles = {(of_name(name), field[1:]) for name, entry in of_kind(held, "E") for field in entry.value if field.startswith(b"$")}
    assert under_handles == {(name[1:], by[sale]) for sale, (_, name) in expected.items() if name}
    under_visitors = {(of_name(name), field[1:]) for name, entry in of_kind(held, "V:sales") for field in entry.value}
    assert under_visitors == {(handles.digest("visitor", SHOP, one), by[sale]) for sale, (one, _) in expected.items() if one}


def of_kind(held: dict[str, StoredKey], kind: str) -> list[tuple[str, StoredKey]]:
    return [(name, entry) for name, entry in held.items() if name != SCHEMA and entry.kind == kind]


def of_name(name: str) -> str:
    return name_of(name.encode()).own.decode()


def open_steps(url: str) -> list[bytes]:
    with side(url) as there:
        return [name for pattern in OF_STEPS for names in there.names(pattern) for name in names]


async def test_everything_comes_into_the_second_schema_and_nothing_stays_half_done(two: tuple[str, str], clock: Clock) -> None:
    source, target = two
    plant(source)
    assert len(open_steps(source)) == 6
    await asyncio.to_thread(moved, source, target, OLD)
    whole(target, OLD)
    assert open_steps(source) == []
    with direct(target, 10.0) as here:
        assert {name for name in here.scan_iter() if name.startswith(b"id:v1:")} == {SCHEMA.encode()}
        links = f"id:v2:{{demo}}:E:{handle_of(Handles(OLD), 'kept@first.example').digest}"
        assert RECORD - 60 < here.ttl(links) <= RECORD
        assert here.hget(links, "kept") == b"1794999980 3 36288000 lv"
        [salt] = here.keys("id:v2:{demo}:Z:*")
        assert here.get(salt) == SALT.encode()
        shared = here.hgetall(f"id:v2:{{demo}}:V:{Handles(OLD).digest('visitor', SHOP, 'shared')}")
        assert (shared[b"m"], shared[b"e"]) == (b"1", b"1")
        ends = [here.ttl(name) for name in here.keys("id:v2:{demo}:V:*:gone")]
        assert all(GONE_LIFE - 60 < end <= GONE_LIFE for end in ends)
    async with service(target, clock, OLD) as (application, shopper):
        await seen(shopper)
        assert await examine_marks(application.services.store.client, schema_of([OLD]), SeenMark()) is None


TOPOLOGIES: dict[str, Callable[[], Any]] = {
    "valkey": valkey,
    "redis": lambda: valkey(program="redis-server"),
    "sentinel": sentinels,
    "cluster": cluster,
}


@contextmanager
def every_topology() -> Iterator[dict[str, str]]:
    with ExitStack() as stack:
        opened = {name: stack.enter_context(made()) for name, made in TOPOLOGIES.items()}
        yield {name: one if isinstance(one, str) else one.url for name, one in opened.items()}


@pytest.mark.skipif(not shutil.which("redis-server"), reason="needs Debian's redis-server")
async def test_it_comes_from_every_topology_into_every_other_alike_under_a_newer_pepper_too(clock: Clock) -> None:
    names = list(TOPOLOGIES)
    with every_topology() as urls:
        pictures = []
        for number, (source, target) in enumerate((one, other) for one in names for other in names if one != other):
            for name in (source, target):
                with direct(urls[name], 10.0) as client:
                    client.flushall()
            plant(urls[source])
            peppers = (OLD, NEW) if number % 2 else (OLD,)
            await asyncio.to_thread(moved, urls[source], urls[target], *peppers)
            assert open_steps(urls[source]) == []
            whole(urls[target], *peppers)
            async with service(urls[target], clock, *peppers) as (_, shopper):
                now, before = ([handle_of(Handles(*one), text).digest for text in LINKED] for one in (peppers, [OLD]))
                pictures.append(under(await seen(shopper), now, before))
        assert len(pictures) == 12
        assert all(picture == pictures[0] for picture in pictures)


async def test_no_digest_under_the_older_pepper_and_nobody_who_is_gone_is_in_it(two: tuple[str, str]) -> None:
    source, target = two
    plant(source)
    await asyncio.to_thread(moved, source, target, OLD, NEW)
    old = Handles(OLD)
    digests = [handle_of(old, one).digest for one in LINKED]
    digests += [old.digest("visitor", SHOP, one) for one in VISITORS] + [old.digest("sale", SHOP, one) for one in SALES]
    with direct(f"{target}?decode_responses=1", 10.0) as here:
        assert hits([*digests, *(f'"{one}"' for one in GONE), *(f"'{one}'" for one in GONE)], dump(here)) == []


def test_a_move_that_dies_among_the_steps_begins_them_again(two: tuple[str, str]) -> None:
    source, target = two
    plant(source)
    calls = moved_by_a_mortal(source, target, 0, "", NOTES_AT_ONCE)
    expected = contents(target)
    assert calls > 100
    with direct(source, 10.0) as there, direct(target, 10.0) as here:
        for last in sorted(random.sample(range(5, calls - 2), CUTS)):
            for when in ("before", "after"):
                for one in (there, here):
                    one.flushall()
                plant(source)
                with pytest.raises(Crash):
                    moved_by_a_mortal(source, target, last, when, NOTES_AT_ONCE)
                moved_by_a_mortal(source, target, 0, "", NOTES_AT_ONCE)
                assert contents(target) == expected, (last, when)
                assert (there.hget(MOVE, "state"), here.exists(MOVE)) == (b"left", 0)
    whole(target, OLD, NEW)


def contents(url: str) -> dict[bytes, Any]:
    """Without ends, which are counted from when the store was made. A count of zero is none."""
    counts = {b"e", b"c", b"i", b"j"}
    return {
        entry.name: {field: one for field, one in entry.value.items() if not (field in counts and one == b"0")}
        if entry.type == "hash"
        else entry.value
        for entry in everything(url)
    }


def test_steps_that_have_been_ended_are_ended_again_without_a_change(two: tuple[str, str]) -> None:
    source, target = two
    plant(source)
    with side(source) as there, side(target) as here:
        move = Moving(there, here, [OLD], NAMES)
        move.begin()
        end_steps(there, [OLD])
        ended = everything(source)
        end_steps(there, [OLD])
        assert everything(source) == ended
        move.copy(silent)
        assert move.compare(silent).equal
        assert everything(source) == ended


@pytest.mark.parametrize("note", ["x visitor nonce", "w visitor", "s visitor nonce", "u"])
def test_a_note_that_cannot_be_read_stops_the_move_before_anything_is_copied(two: tuple[str, str], note: str) -> None:
    source, target = two
    plant(source)
    with direct(source, 10.0) as there:
        there.zadd("id:v1:Q{demo:repair}", {note: 1.0})
    with pytest.raises(UnknownKeyError):
        moved(source, target, OLD)
    assert everything(target) == []


@pytest.mark.parametrize("peppers", [(NEW,), (NEW, OLD)])
def test_a_marked_store_is_not_touched_under_other_peppers(two: tuple[str, str], peppers: tuple[str, ...]) -> None:
    """Its steps could not be ended: whom they name would not be found."""
    source, target = two
    plant(source)
    with side(source) as there:
        there.load_scripts()
        there.set_hash(SCHEMA, Schema(FIRST, schema_of([OLD]).peppers).fields())
    before = everything(source)
    with pytest.raises(CommandRefused, match="is not the one that this store was written under"):
        moved(source, target, *peppers)
    assert everything(source) == before


def test_a_store_without_a_mark_is_of_the_schema_whose_keys_it_holds(two: tuple[str, str]) -> None:
    source, target = two
    with direct(source, 10.0) as there:
        there.rpush("id:v2:{demo}:R:one", "receipt")
    moved(source, target, OLD)
    with direct(target, 10.0) as here:
        assert here.lrange("id:v2:{demo}:R:one", 0, -1) == [b"receipt"]


def test_a_gone_mark_that_is_open_though_nobody_noted_it_still_counts(two: tuple[str, str]) -> None:
    source, target = two
    name = Handles(OLD).digest("visitor", SHOP, "one")
    with direct(source, 10.0) as there:
        there.set(f"id:v1:V{{{SHOP}:{name}}}:gone", "5 nonce", ex=100)
    moved(source, target, OLD)
    with direct(target, 10.0) as here:
        assert here.get(f"id:v2:{{{SHOP}}}:V:{name}:gone") == b"5"


def test_steps_of_a_shop_end_in_that_shop_alone(two: tuple[str, str]) -> None:
    source, _ = two
    handles = Handles(OLD)
    with direct(source, 10.0) as there:
        for shop in ("demo", "other"):
            there.set(f"id:v1:V{{{shop}:{handles.digest('visitor', shop, 'one')}}}:gone", "5 nonce", ex=100)
            there.hset(f"id:v1:V{{{shop}:{handles.digest('visitor', shop, 'one')}}}", mapping={"k": "c", "x": "9"})
        there.zadd("id:v1:Q{other:repair}", {"f one nonce": 5})
        with side(source) as one:
            one.load_scripts()
            end_steps(one, [OLD])
        assert there.exists(f"id:v1:V{{demo:{handles.digest('visitor', 'demo', 'one')}}}") == 1
        assert there.get(f"id:v1:V{{demo:{handles.digest('visitor', 'demo', 'one')}}}:gone") == b"5 nonce"
        assert there.exists(f"id:v1:V{{other:{handles.digest('visitor', 'other', 'one')}}}") == 0
        assert there.get(f"id:v1:V{{other:{handles.digest('visitor', 'other', 'one')}}}:gone") == b"5"


def test_a_move_that_is_given_up_leaves_a_store_of_the_first_schema(two: tuple[str, str]) -> None:
    """With nothing open, for the version that wrote it."""
    source, target = two
    plant(source)
    with side(source) as there, side(target) as here:
        move = Moving(there, here, [OLD], NAMES)
        move.begin()
        move.copy(silent)
        undo(there)
    assert {entry.name[:6] for entry in everything(source)} == {b"id:v1:"}
    assert open_steps(source) == []
    with direct(source, 10.0) as left:
        assert left.exists(MOVE, SCHEMA) == 0


def first(kind: bytes, part: bytes, type_: str, value: Any) -> StoredKey:
    found = convert_entry(StoredKey(b"id:v1:%b{demo:own}%b" % (kind, part), type_, 1, value))
    assert found
    return found


@pytest.mark.parametrize(
    "value",
    [
        {b"sale": b"S-1"},
        {b"sale": b"S-1", b"time": b"soon"},
        {b"sale": b"S-1", b"time": b"1", b"visitor": b"two\nlines"},
        {b"sale": b"S-1", b"time": b"1", b"phone": b"+31"},
        {b"sale": b"S-1", b"time": b"1", b"products": b"\xff"},
        {b"sale": b"S-1", b"time": b"1", b"products": b'[{"quantity":1}]'},
        {b"sale": b"S-1", b"time": b"1", b"products": b'[{"id":1,"quantity":"many"}]'},
        {b"sale": b"S-1", b"time": b"1", b"attribution": b'[{"product":1}]'},
    ],
)
def test_a_sale_that_no_erasure_could_read_is_not_brought_over(value: dict[bytes, bytes]) -> None:
    with pytest.raises(UnknownKeyError):
        first(b"S", b"", "hash", value)


def test_a_sale_of_several_lines_comes_over_without_credits_that_no_script_reads() -> None:
    value = {b"sale": b"\nS\n1", b"time": b"1", b"attribution": b"[%s]" % (b"1," * MOST_CREDIT_BYTES)}
    assert unpacked(first(b"S", b"", "hash", value).value.decode()) == {"sale": "\nS\n1", "time": "1"}


def test_lines_and_credits_of_a_sale_come_over() -> None:
    credit, line = Credit("SKU", ("Home",), None, 5), SaleLine("SKU", Decimal("1.5"), Decimal("9.90"))
    told = {"products": json.dumps([line.stored(), SaleLine(None).stored()]), "attribution": json.dumps([credit.members()])}
    value = {b"sale": b"1", b"time": b"1", b"mode": b"persistent"} | {name.encode(): text.encode() for name, text in told.items()}
    sale = unpacked(first(b"S", b"", "hash", value).value.decode())
    assert (unpacked_lines(sale["products"]), unpacked_credits(sale), sale["mode"]) == ((line, SaleLine(None)), [credit], "persistent")


def test_links_and_sales_of_a_handle_become_one_key_that_lives_as_long_as_both() -> None:
    links, sales = StoredKey(b"id:v1:E{demo:own}", "hash", 5, {b"v": b"link"}), StoredKey(b"id:v1:E{demo:own}:sales", "set", 9, {b"S"})
    whole = StoredKey(b"id:v2:{demo}:E:own", "hash", 9, {b"v": b"link", b"$S": b"0"})
    stored = {links.name: links, sales.name: sales}

    def read(names: Sequence[bytes]) -> list[StoredKey]:
        return [stored[name] for name in names if name in stored]

    assert convert_entries([links], read) == convert_entries([sales, links], read) == [whole]
    assert convert_entries([sales], read) == []
    del stored[links.name]
    assert convert_entries([sales], read) == [replace(whole, value={b"$S": b"0"})]
    stored[sales.name] = replace(sales, type="string", value=b"")
    with pytest.raises(UnknownKeyError):
        convert_entries([links], read)


@pytest.mark.parametrize(
    "event",
    [
        b"",
        b"[1]",
        b"{}",
        b'{"type":"click"}',
        b'{"type":"walk","time":1}',
        b'{"type":"click","time":"1"}',
        b'{"type":"click","time":1,"a":1}',
    ],
)
def test_an_event_that_could_not_be_read_is_not_brought_over(event: bytes) -> None:
    with pytest.raises(UnknownKeyError):
        first(b"V", b":events", "list", [b'{"type":"click","time":1}', event])
