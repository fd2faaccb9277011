"""Own IDs that come back: grants, withdrawals, links and erasures in every order, with processes that die in the middle."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
import redis

from identity_service.errors import ServiceError
from identity_service.model.consent import SHOP as SHOP_SAYS
from identity_service.model.event import Event, EventType
from identity_service.model.handle import Handle
from identity_service.model.visitor import VisitorId
from identity_service.store.events import Entry, Kept
from tests.faults.steps import Crash, Turns
from tests.faults.world import NOW, SHOP, World

pytestmark = pytest.mark.anyio
USUAL, MOST = 300, 1_000
"""Rounds of a race; the most with --long."""
OWN = VisitorId("own")
ENTRY = Entry(Event(EventType.CLICK, NOW), Kept(10, 60, from_first=False), NOW)


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
    """Its count is also the clock, in seconds after NOW."""

    deeds: list[Deed] = field(default_factory=list)
    count: int = 0

    def tick(self) -> int:
        self.count += 1
        return self.count


class Actor:
    """A process of its own: its deeds follow each other, and one may be its last."""

    def __init__(self, url: str, database: redis.Redis, history: History) -> None:
        self.world = World(url, database)
        self.history = history

    async def act(self, verbs: list[str], handle: Handle, visitor: VisitorId) -> None:
        for verb in verbs:
            deed = Deed(verb, self.history.tick())
            self.history.deeds.append(deed)
            try:
                deed.result = await self.do(verb, handle, visitor, NOW + deed.began)
            except ServiceError:
                deed.result = "no"
            except Crash:
                deed.result = "dead"
            deed.ended = self.history.tick()
            if deed.result == "dead":
                return

    async def do(self, verb: str, handle: Handle, visitor: VisitorId, now: int) -> str:
        if verb == "link":
            await self.world.link_granted(handle, visitor, now)
        elif verb == "unlink":
            await self.world.unlink(handle, visitor)
        elif verb == "withdraw":
            await self.world.withdraw(visitor, now * 1000)
        elif verb == "erase":
            await self.world.erase(handle, now * 1000)
        else:
            return "ok" if await self.world.grant(visitor, now * 1000) == "granted" else "no"
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
async def test_no_order_of_grants_and_removals_loses_or_revives_anything(actors: list[Actor], crashing: bool, long: bool) -> None:
    choose, first = random.Random(7), actors[0].world
    seen: set[tuple[bool, bool]] = set()
    handle = first.handle("a@example.com")
    for number in range(MOST if long else USUAL):
        first.database.flushall()
        history = actors[0].history = History()
        await actors[0].act(["grant"], handle, OWN)
        await raced(actors, history, number, handle, choose if crashing else None)
        first.assert_whole()
        await first.repair(NOW + history.count)
        first.assert_whole()
        linked, granted = first.linked(handle, OWN), first.recorded(OWN)
        seen.add((linked, granted))
        assert faults(history, linked=linked, granted=granted) == [], f"{number} {history.deeds}"
    assert len(seen) == 3


async def raced(actors: list[Actor], history: History, number: int, handle: Handle, crash: random.Random | None) -> None:
    """Three processes at once; where they crash, each may die at one of its calls."""
    choose, turns = random.Random(number), Turns(number)
    for actor in actors:
        actor.history = history
        actor.world.client.turns = turns
        if crash and crash.random() < 0.7:
            actor.world.client.dies_after = crash.randrange(1, 8)
    plans = [[choose.choice(("link", "withdraw", "grant", "grant", "link", "erase", "unlink")) for _ in range(3)] for _ in actors]
    if number % 2:
        plans = [["link", "withdraw"], ["withdraw", "grant", "link"], plans[2][: number % 4 - 1]]
    await turns.run(*(actor.act(plan, handle, OWN) for actor, plan in zip(actors, plans, strict=True)))
    for actor in actors:
        actor.world.client.turns = None
        actor.world.client.revive()


def test_the_history_would_notice_a_lost_grant_and_a_link_that_came_back() -> None:
    lost = History([Deed("withdraw", 1, 2, "ok"), Deed("grant", 3, 4, "ok")])
    assert faults(lost, linked=False, granted=False) == ["an acknowledged grant is lost"]
    revived = History([Deed("link", 1, 2, "ok"), Deed("withdraw", 3, 4, "ok")])
    assert faults(revived, linked=True, granted=True) == ["a link outlived an acknowledged removal"]


@pytest.fixture
async def worlds(store_url: str, database: redis.Redis) -> AsyncIterator[tuple[World, World]]:
    """Two processes: the first is held at a call or dies at one while the second does the rest. An own ID has granted and is linked."""
    made = World(store_url, database), World(store_url, database)
    await prepare(made[1])
    yield made
    for world in made:
        await world.client.close()
    made[0].assert_whole()


async def prepare(world: World) -> Handle:
    handle = world.handle("a@example.com")
    world.database.flushall()
    world.client.revive()
    assert await world.grant(OWN) == "granted"
    await world.link(handle, OWN)
    await world.store.events.record(SHOP, OWN, ENTRY)
    world.client.revive()
    return handle


@pytest.mark.parametrize("relinked", [False, True])
async def test_a_withdrawal_that_a_grant_and_a_link_overtake_takes_them_whole(worlds: tuple[World, World], relinked: bool) -> None:
    slow, swift = worlds
    slow.client.holds_before = 2
    withdrawal = asyncio.create_task(slow.withdraw(OWN, NOW * 1000 + 1))
    await asyncio.wait_for(slow.client.held.wait(), 10)
    assert await swift.grant(OWN, NOW * 1000 + 2) == "granted"
    if relinked:
        await swift.link(swift.handle("b@example.com"), OWN)
    slow.client.released.set()
    await withdrawal
    assert (swift.recorded(OWN), swift.gone(OWN)) == (False, True)
    assert not swift.linked(swift.handle("b@example.com"), OWN)


async def test_a_grant_after_a_withdrawal_begins_anew(worlds: tuple[World, World]) -> None:
    """Nothing of before comes back with it."""
    _, world = worlds
    await world.withdraw(OWN, NOW * 1000 + 1)
    assert await world.grant(OWN, NOW * 1000 + 2) == "granted"
    assert (world.recorded(OWN), world.gone(OWN)) == (True, False)
    assert world.links(world.handle("a@example.com")) == {}
    assert await world.store.events.of(SHOP, OWN) == []


@pytest.mark.parametrize("finished", [False, True])
async def test_an_erasure_is_not_repeated_by_repair_against_a_newer_grant(worlds: tuple[World, World], finished: bool) -> None:
    """One that was cut off takes the link alone, as it does where the grant comes first."""
    slow, swift = worlds
    handle = swift.handle("a@example.com")
    slow.client.dies_after = None if finished else 4
    assert await slow.crashes(slow.erase(handle, NOW * 1000 + 1)) != finished
    assert await swift.grant(OWN, (NOW + 1) * 1000 + 2) == "granted"
    assert await swift.repair() == (0 if finished else 1)
    assert swift.recorded(OWN)
    assert not swift.linked(handle, OWN)


async def test_a_withdrawal_cut_off_is_there_whole_or_not_at_all_and_ended_by_its_repetition(worlds: tuple[World, World]) -> None:
    _, world = worlds
    for when, call in itertools.product(("dies_before", "dies_after"), (1, 2)):
        handle = await prepare(world)
        setattr(world.client, when, call)
        assert await world.crashes(world.withdraw(OWN, NOW * 1000 + 1))
        world.assert_whole()
        assert world.gone(OWN) == (when == "dies_after" and call == 2) != world.linked(handle, OWN)
        await world.withdraw(OWN, NOW * 1000 + 2)
        world.assert_whole()
        assert (world.recorded(OWN), world.gone(OWN), world.linked(handle, OWN)) == (False, True, False)


async def test_an_erasure_cut_off_is_ended_by_its_repetition(worlds: tuple[World, World]) -> None:
    _, world = worlds
    for call in itertools.count(1):
        handle = await prepare(world)
        world.client.dies_after = call
        crashed = await world.crashes(world.erase(handle, NOW * 1000 + 1))
        world.assert_whole()
        await world.erase(handle, NOW * 1000 + 2)
        assert (world.recorded(OWN), world.gone(OWN), world.linked(handle, OWN)) == (False, True, False)
        if not crashed:
            assert call > 5
            return


async def test_a_withdrawal_covers_a_grant_that_a_banner_dated_ahead(worlds: tuple[World, World]) -> None:
    _, world = worlds
    ahead = NOW * 1000 + 240_000
    assert await world.grant(OWN, ahead) == "granted"
    await world.withdraw(OWN, NOW * 1000 + 60_000)
    assert await world.grant(OWN, ahead) == "gone"


@pytest.mark.parametrize("days", [-30, 30])
async def test_links_end_with_the_record_also_where_a_choice_is_older_than_what_the_shop_said(
    worlds: tuple[World, World], days: int
) -> None:
    """Or a handle would name a visitor of whom nothing is left."""
    _, world = worlds
    visitor = VisitorId("of-the-shop")
    assert await world.grant(visitor, source=SHOP_SAYS) == "granted"
    await world.link(world.handle("a@example.com"), visitor)
    assert await world.grant(visitor, (NOW + days * 86_400) * 1000) == "granted"
    world.assert_whole()
