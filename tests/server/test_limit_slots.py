"""Numbers of callers in memory that processes share: who is found, who gives way, and what is seen of them."""

import hashlib
import multiprocessing
import time

import pytest

from identity_service.errors import RateLimited
from identity_service.server.limits import NEIGHBOURS, SLOTS, TABLE_BYTES, RateLimit, Slots, create_memory, open_memory, private_memory

KEY = b"a key that is always the same one"
ADDRESSES = [f"198.51.100.{number}" for number in range(256)]


def slots_of_key() -> Slots:
    return Slots(memoryview(bytearray(TABLE_BYTES)), KEY)


@pytest.fixture(scope="module")
def crowd() -> list[str]:
    """Callers whose places are one, found by their hashes."""
    slots = slots_of_key()
    places: dict[int, list[str]] = {}
    for number in range(400_000):
        caller = str(number)
        held = places.setdefault(slots.hashed(caller) % SLOTS, [])
        held.append(caller)
        if len(held) > NEIGHBOURS:
            return held
    raise AssertionError


def test_every_caller_has_a_number_of_its_own_and_keeps_it() -> None:
    slots = private_memory().slots(0)
    for number, address in enumerate(ADDRESSES):
        slots.numbers[slots.find(address)] = number + 0.5
    assert [slots.numbers[slots.find(address)] for address in ADDRESSES] == [number + 0.5 for number in range(256)]


def test_callers_of_one_place_live_beside_each_other_until_the_idlest_gives_way(crowd: list[str]) -> None:
    slots = slots_of_key()
    for number, caller in enumerate(crowd[:NEIGHBOURS]):
        slots.numbers[slots.find(caller)] = 100.0 + (number - 3) ** 2
    kept = {caller: slots.find(caller) for caller in crowd[:NEIGHBOURS]}
    assert len(set(kept.values())) == NEIGHBOURS
    newcomer = slots.find(crowd[NEIGHBOURS])
    assert newcomer == kept.pop(crowd[3])
    assert slots.numbers[newcomer] == 0
    assert {caller: slots.find(caller) for caller in kept} == kept


def test_a_newcomer_is_never_refused_however_busy_its_place_is(crowd: list[str]) -> None:
    limit = RateLimit(1, 1, lambda: 1_000.0, slots_of_key())
    for caller in crowd:
        limit.count(caller)


def test_tables_of_one_memory_know_nothing_of_each_other() -> None:
    memory = private_memory()
    one, other = memory.slots(0), memory.slots(3)
    one.numbers[one.find("caller")] = 7.0
    other.numbers[other.find("caller")] = 8.0
    assert one.numbers[one.find("caller")] == 7.0


def test_neither_an_address_nor_its_plain_hash_stands_in_memory() -> None:
    """Two instances hash one address differently."""
    memories = [private_memory(), private_memory()]
    hashes = {memory.slots(0).hashed("198.51.100.7") for memory in memories}
    assert len(hashes) == 2
    for memory in memories:
        slots = memory.slots(0)
        slots.numbers[slots.find("198.51.100.7")] = 1.0
        assert b"198.51.100.7" not in bytes(memory._whole)


WORK = bytes(400_000)
"""Hashed for about as long as a worker needs for its cheapest call: 200 to 300 µs."""


def hammer(asked: tuple[str, int, float, float]) -> int:
    """One process's admitted calls, each with a call's work: a process that does nothing but count counts a thousand times in the moment
    in which another is interrupted between its reading and its writing, and those are lost."""
    path, calls, per_second, burst = asked
    limit = RateLimit(per_second, burst, time.monotonic, open_memory(path).slots(0))
    admitted = 0
    for _ in range(calls):
        hashlib.sha256(WORK).digest()
        try:
            limit.count("one caller")
        except RateLimited:
            continue
        admitted += 1
    return admitted


@pytest.mark.parametrize("calls", [(8_000, 800), (4_000, 100, 4_000, 1_000)], ids=["two processes", "four processes"])
def test_processes_together_admit_what_one_would(calls: tuple[int, ...]) -> None:
    """However unevenly one caller's calls are spread. Lost updates let a few more in than that."""
    per_second, burst = 100.0, 40.0
    path = create_memory()
    assert path.startswith("/proc/")
    with multiprocessing.get_context("spawn").Pool(len(calls)) as pool:
        began = time.monotonic()
        admitted = sum(pool.map(hammer, [(path, number, per_second, burst) for number in calls], chunksize=1))
        expected = per_second * (burst + time.monotonic() - began)
    assert per_second * burst <= admitted <= 1.1 * expected
