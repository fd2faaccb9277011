"""Links against removals on the real server, their store calls interleaved by seeded choices; some of them die on the way."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
import redis

from tests.faults.stepping import SHOP, Bench, Life, Operation, Schedule

pytestmark = pytest.mark.anyio
ROUNDS = 1_000
MIXED_ROUNDS = 250
LINK, UNLINK, WITHDRAW, ERASE = (Operation(kind) for kind in ("link", "unlink", "withdraw", "erase"))
OTHER_LINK = Operation("link", 1)
MIXES = {
    "two links of a pair, erase": [LINK, LINK, ERASE],
    "links of two visitors, erase": [LINK, OTHER_LINK, ERASE],
    "two links of a pair, withdraw": [LINK, LINK, WITHDRAW],
    "link, unlink, withdraw": [LINK, UNLINK, WITHDRAW],
    "link, unlink, erase": [LINK, UNLINK, ERASE],
    "link, withdraw, erase": [LINK, WITHDRAW, ERASE],
    "link, erase, erase": [LINK, ERASE, ERASE],
    "two links of a pair, unlink, withdraw": [LINK, LINK, UNLINK, WITHDRAW],
    "links of two visitors, withdraw, erase": [LINK, OTHER_LINK, WITHDRAW, ERASE],
    "links to two handles, erase one": [LINK, Operation("link", 0, 1), ERASE],
    "links to two handles, erase both": [LINK, Operation("link", 0, 1), ERASE, Operation("erase", 0, 1)],
}


@pytest.fixture
async def bench(store_url: str, database: redis.Redis) -> AsyncIterator[Bench]:
    made = Bench(store_url, database)
    yield made
    await made.client.close()


async def raced(bench: Bench, seed: int, operations: list[Operation], lives: list[Life], linked_before: list[Operation]) -> list[str]:
    """What is wrong after one round and its repair."""
    bench.round_ = seed
    for visitor in {one.visitor for one in operations}:
        await bench.grant(bench.visitor(visitor))
    for link in linked_before:
        await bench.do(link)
    await bench.race(seed, operations, lives)
    visible = [str(one) for one, life in zip(operations, lives, strict=True) if one.kind == "withdraw" and life.acknowledged]
    faults = [f"{one}: acknowledged, yet linked" for one in visible if bench.linked_anywhere(0)]
    await bench.repair()
    faults += bench.open_work() + bench.disagreements() + bench.broken_promises(operations, lives, linked_before)
    return [f"seed {seed}: {fault}" for fault in faults]


@pytest.mark.parametrize("removal", [UNLINK, WITHDRAW, ERASE], ids=lambda one: one.kind)
async def test_a_link_and_a_removal_keep_their_promises_in_every_order(bench: Bench, removal: Operation) -> None:
    outcomes = set()
    for seed in range(ROUNDS):
        lives = [Life(), Life()]
        before = [LINK] if seed % 2 else []
        assert await raced(bench, seed, [LINK, removal], lives, before) == []
        assert lives[1].acknowledged
        outcomes.add((lives[0].acknowledged, bench.linked(0, 0)))
    assert len(outcomes) == (3 if removal is not UNLINK else len(outcomes)) or (True, False) in outcomes
    assert (False, False) in outcomes or removal is UNLINK


@pytest.mark.parametrize("mix", MIXES.values(), ids=MIXES)
async def test_a_mix_of_links_and_removals_keeps_its_promises_while_some_die(bench: Bench, mix: list[Operation]) -> None:
    deaths = 0
    for seed in range(MIXED_ROUNDS):
        chance = random.Random(seed)
        lives = [Life() for _ in mix]
        for life in chance.sample(lives, chance.choice([0, 1, 1, 2])):
            setattr(life, chance.choice(["before", "after"]), chance.randint(1, 8))
        before = [LINK] if chance.random() < 0.5 else []
        assert await raced(bench, seed, mix, lives, before) == []
        deaths += sum(life.dead for life in lives)
    assert deaths > MIXED_ROUNDS / 4


async def test_a_visitor_of_two_handles_goes_whole_when_both_are_erased_at_once(bench: Bench) -> None:
    for seed in range(100):
        both = [LINK, Operation("link", 0, 1)]
        assert await raced(bench, seed, [ERASE, Operation("erase", 0, 1)], [Life(), Life()], both) == []
        assert bench.gone(0)
        assert not bench.record(0)


async def test_a_hundred_parallel_links_of_one_pair_give_one_entry(bench: Bench) -> None:
    await bench.grant(bench.visitor(0))
    lives = [Life() for _ in range(100)]
    await bench.race(1, [LINK] * 100, lives)
    await bench.client.settle_posts()
    assert all(life.acknowledged for life in lives)
    assert bench.database.hlen(bench.store.keys.handle(SHOP, bench.handle(0)).links) == 1
    assert bench.disagreements() == []
    assert bench.open_work() == []


async def test_a_schedule_is_decided_by_its_seed_and_seeds_differ() -> None:
    async def order(seed: int) -> list[str]:
        schedule, happened = Schedule(seed), []

        async def calls(name: str) -> None:
            for number in range(4):
                await schedule.wait()
                happened.append(f"{name}{number}")
                schedule.under_way -= 1

        await schedule.run([asyncio.ensure_future(calls(name)) for name in "abc"])
        return happened

    orders = [tuple(await order(seed)) for seed in range(20)]
    assert len(set(orders)) > 10
    assert orders == [tuple(await order(seed)) for seed in range(20)]


async def test_the_promises_would_notice_a_lost_link_and_a_survivor(bench: Bench) -> None:
    await bench.grant(bench.visitor(0))
    await bench.do(LINK)
    acknowledged = Life(started=1, ended=5, acknowledged=True)
    assert bench.broken_promises([WITHDRAW], [acknowledged], [LINK]) == ["withdraw-0-0: acknowledged, link-0-0 from before it lives"]
    bench.database.delete(bench.store.keys.handle(SHOP, bench.handle(0)).links)
    assert bench.broken_promises([], [], [LINK]) == ["link-0-0: acknowledged, then lost"]
    assert bench.disagreements() == ["visitor 0: points to 1 handles, 0 name it"]
