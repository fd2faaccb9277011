"""Own IDs that come back: grants, withdrawals, links and erasures in every order, with processes that die in the middle."""

import asyncio
import random
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest
import redis

from identity_service.consent import NEVER_SEEN, Consent, Millis
from identity_service.errors import ServiceError
from identity_service.handle import Handle
from identity_service.store.events import Entry, Kept
from identity_service.store.visitors import Grant
from identity_service.visitor import VisitorId
from tests.faults.steps import Crash, SteppedClient, Turns
from tests.faults.test_link_protocol import NOW, RECEIPT, SHOP, World

pytestmark = pytest.mark.anyio
ROUNDS = 1_000


@dataclass
class Deed:
    """One operation: when it began and ended by the history's own count, and how: ok, no (refused) or dead."""

    verb: str
    began: int = 0
    ended: int | None = None
    result: str | None = None

    def removes(self) -> bool:
        return self.verb in {"withdraw", "erase"} and self.began > 0


@dataclass
class History:
    """Its count is also the clock, in milliseconds after NOW."""

    deeds: list[Deed] = field(default_factory=list)
    count: int = 0

    def tick(self) -> int:
        self.count += 1
        return self.count


class Actor:
    """A process of its own: its deeds follow each other, and one may be its last."""

    def __init__(self, url: str, database: redis.Redis, history: History) -> None:
        self.world = World(url, database, SteppedClient(url))
        self.history = history

    async def act(self, verbs: list[str], handle: Handle, visitor: VisitorId) -> None:
        for verb in verbs:
            deed = Deed(verb, self.history.tick())
            self.history.deeds.append(deed)
            try:
                deed.result = await self.do(verb, handle, visitor, Millis(NOW * 1000 + deed.began))
            except ServiceError:
                deed.result = "no"
            except Crash:
                deed.result = "dead"
            deed.ended = self.history.tick()
            if deed.result == "dead":
                return

    async def do(self, verb: str, handle: Handle, visitor: VisitorId, now: Millis) -> str:
        store = self.world.store
        if verb == "link":
            await self.world.link(handle, visitor)
        elif verb == "unlink":
            await store.links.unlink(SHOP, handle, visitor, now // 1000)
        elif verb == "withdraw":
            await store.removals.withdraw(SHOP, visitor, now)
        elif verb == "erase":
            await store.removals.erase(SHOP, handle, now)
        else:
            grant = Grant(Consent(now, "plain", None), NOW + 1_000_000, False, NEVER_SEEN, RECEIPT, "q", None)
            outcome, _ = await store.removals.grant(SHOP, visitor, grant, now)
            return "ok" if outcome == "granted" else "no"
        return "ok"


def faults(history: History, *, linked: bool, granted: bool) -> list[str]:
    """What the history forbids: acknowledged deeds that are lost, and links that outlived an acknowledged removal."""
    found = []
    kept = [deed for deed in history.deeds if deed.result == "ok"]
    for deed in kept:
        assert deed.ended
        against = [one for one in history.deeds if one.removes() and (one.ended is None or one.ended > deed.began)]
        if deed.verb == "grant" and not against and not granted:
            found.append("an acknowledged grant is lost")
        if deed.removes() and linked:
            since = {one.verb for one in history.deeds if one.result != "no" and one.ended and one.ended > deed.began}
            if "link" not in since or (deed.verb == "withdraw" and "grant" not in since):
                found.append("a link outlived an acknowledged removal")
    return found


@pytest.fixture
async def actors(store_url: str, database: redis.Redis) -> AsyncIterator[list[Actor]]:
    made = [Actor(store_url, database, History()) for _ in range(3)]
    yield made
    for actor in made:
        await actor.world.client.close()


@pytest.mark.parametrize("crashing", [False, True])
async def test_no_order_of_grants_and_removals_loses_or_revives_anything(actors: list[Actor], crashing: bool) -> None:
    choose = random.Random(7)
    seen: set[tuple[bool, bool]] = set()
    first = actors[0].world
    for number in range(ROUNDS):
        handle, visitor = first.handles.of_email(SHOP, f"p{number}@example.com"), VisitorId(f"own{number}")
        history, turns = History(), Turns(number)
        actors[0].history = history
        await actors[0].act(["grant"], handle, visitor)
        for actor in actors:
            actor.history = history
            actor.world.client.turns = turns
            if crashing and choose.random() < 0.7:
                actor.world.client.dies_after = choose.randrange(1, 12)
        plans = [[choose.choice(("link", "withdraw", "grant", "grant", "link", "erase", "unlink")) for _ in range(3)] for _ in actors]
        if number % 2:
            plans = [["link", "withdraw"], ["withdraw", "grant", "link"], plans[2][: number % 4 - 1]]
        await turns.run(*(actor.act(plan, handle, visitor) for actor, plan in zip(actors, plans, strict=True)))
        for actor in actors:
            actor.world.client.turns = None
            actor.world.client.revive()
        await first.repair()
        await asyncio.gather(*(actor.world.client.drain() for actor in actors))
        linked, granted = first.linked(handle, visitor), first.recorded(visitor)
        seen.add((linked, granted))
        assert faults(history, linked=linked, granted=granted) == [], (
            f"{number} {[(deed.verb, deed.began, deed.ended, deed.result) for deed in history.deeds]}"
        )
        first.assert_settled(handle, visitor)
    assert len(seen) == 3


def test_the_history_would_notice_a_lost_grant_and_a_link_that_came_back() -> None:
    lost = History([Deed("withdraw", 1, 2, "ok"), Deed("grant", 3, 4, "ok")])
    assert faults(lost, linked=False, granted=False) == ["an acknowledged grant is lost"]
    revived = History([Deed("link", 1, 2, "ok"), Deed("withdraw", 3, 4, "ok")])
    assert faults(revived, linked=True, granted=True) == ["a link outlived an acknowledged removal"]


@dataclass
class Pair:
    """Two processes: `slow` is held at a call or dies at one while `swift` does the rest."""

    slow: World
    swift: World
    handle: Handle
    visitor: VisitorId

    async def hold(self, call: int, deed: Coroutine[Any, Any, object]) -> asyncio.Task[object]:
        self.slow.client.revive()
        self.slow.client.holds_before = call
        task = asyncio.ensure_future(deed)
        await asyncio.wait_for(self.slow.client.held.wait(), 10)
        return task

    def withdrawal(self, world: World) -> Coroutine[Any, Any, object]:
        return world.store.removals.withdraw(SHOP, self.visitor, Millis(NOW * 1000 + 1))

    async def regrant(self) -> None:
        grant = Grant(Consent(Millis(NOW * 1000 + 2), "plain", None), NOW + 1_000_000, False, NEVER_SEEN, RECEIPT, "q", None)
        assert (await self.swift.store.removals.grant(SHOP, self.visitor, grant, Millis(NOW * 1000 + 2)))[0] == "granted"


@pytest.fixture
async def pair(store_url: str, database: redis.Redis) -> AsyncIterator[Pair]:
    slow, swift = World(store_url, database), World(store_url, database)
    made = Pair(slow, swift, swift.handle("a@example.com"), swift.visitor("own"))
    await swift.grant(made.visitor)
    await swift.link(made.handle, made.visitor)
    yield made
    for world in (slow, swift):
        await world.client.close()


async def test_a_late_step_of_a_withdrawal_that_a_grant_has_ended_leaves_both_directions_agreeing(pair: Pair) -> None:
    withdrawal = await pair.hold(3, pair.withdrawal(pair.slow))
    await pair.regrant()
    await pair.swift.link(pair.handle, pair.visitor)
    pair.slow.client.released.set()
    await withdrawal
    await pair.swift.client.drain()
    assert pair.swift.recorded(pair.visitor)
    pair.swift.assert_settled(pair.handle, pair.visitor)


async def test_a_grant_ends_an_open_withdrawal_before_it_stands(pair: Pair, database: redis.Redis) -> None:
    keys = pair.swift.store.keys.visitor(SHOP, pair.visitor)
    await pair.swift.store.events.record(SHOP, pair.visitor, Entry("{}", Kept(10, 60, from_first=False), NOW))
    withdrawal = await pair.hold(3, pair.withdrawal(pair.slow))
    await pair.regrant()
    assert not database.exists(keys.events)
    assert not pair.swift.linked(pair.handle, pair.visitor)
    pair.slow.client.released.set()
    await withdrawal
    assert pair.swift.recorded(pair.visitor)


async def test_a_finished_erasure_is_not_repeated_by_repair_against_a_newer_grant(pair: Pair) -> None:
    await pair.swift.store.removals.erase(SHOP, pair.handle, Millis(NOW * 1000 + 1))
    await pair.regrant()
    pair.slow.client.revive()
    pair.slow.client.dies_after = 2
    with pytest.raises(Crash):
        await pair.slow.link(pair.handle, pair.visitor)
    await pair.swift.repair()
    assert pair.swift.recorded(pair.visitor)
    pair.swift.assert_settled(pair.handle, pair.visitor)


async def test_a_link_announced_before_a_withdrawal_and_pointed_after_the_next_grant_is_repaired(pair: Pair) -> None:
    link = await pair.hold(2, pair.slow.link(pair.handle, pair.visitor))
    await pair.withdrawal(pair.swift)
    await pair.regrant()
    pair.slow.client.dies_after = 2
    pair.slow.client.released.set()
    with pytest.raises(Crash):
        await link
    assert pair.swift.pointed(pair.handle, pair.visitor)
    await pair.swift.repair()
    pair.swift.assert_settled(pair.handle, pair.visitor)


async def test_a_withdrawal_cut_off_is_ended_by_its_repetition(store_url: str, database: redis.Redis) -> None:
    world = World(store_url, database)
    handle, visitor = world.handle("a@example.com"), world.visitor("v")
    await world.grant(visitor)
    await world.link(handle, visitor)
    world.client.revive()
    world.client.dies_after = 2
    with pytest.raises(Crash):
        await world.store.removals.withdraw(SHOP, visitor, Millis(NOW * 1000 + 1))
    world.client.revive()
    [state] = await world.store.visitors.states(SHOP, [visitor], NOW)
    assert state.leaving
    assert world.linked(handle, visitor)
    await world.store.removals.withdraw(SHOP, visitor, Millis(NOW * 1000 + 2))
    [state] = await world.store.visitors.states(SHOP, [visitor], NOW)
    assert not state.leaving
    assert not world.linked(handle, visitor)
    await world.client.close()


async def test_an_erasure_cut_off_is_ended_by_its_repetition(store_url: str, database: redis.Redis) -> None:
    world = World(store_url, database)
    handle, visitor = world.handle("a@example.com"), world.visitor("v")
    await world.grant(visitor)
    await world.link(handle, visitor)
    for calls in range(2, 5):
        world.client.revive()
        world.client.dies_after = calls
        with pytest.raises(Crash):
            await world.store.removals.erase(SHOP, handle, Millis(NOW * 1000 + 1))
    world.client.revive()
    await world.store.removals.erase(SHOP, handle, Millis(NOW * 1000 + 2))
    assert not world.recorded(visitor)
    assert world.gone(visitor)
    await world.client.close()


async def test_a_withdrawal_covers_a_grant_that_a_banner_dated_ahead(store_url: str, database: redis.Redis) -> None:
    world = World(store_url, database)
    visitor, ahead = world.visitor("v"), Millis(NOW * 1000 + 240_000)
    grant = Grant(Consent(ahead, "plain", None), NOW + 1_000_000, False, NEVER_SEEN, RECEIPT, "q", None)
    await world.store.removals.grant(SHOP, visitor, grant, Millis(NOW * 1000))
    await world.store.removals.withdraw(SHOP, visitor, Millis(NOW * 1000 + 60_000))
    assert await world.store.removals.grant(SHOP, visitor, grant, Millis(NOW * 1000 + 61_000)) == ("gone", [])
    await world.client.close()
