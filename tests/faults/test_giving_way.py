"""Who gives way to whom where a handle or a visitor is full: in the same step as the new link is written, and to none that is refused."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest
import redis

from identity_service.errors import ConsentRequired, Invalid
from identity_service.model.link import LinkCaps, Proof
from identity_service.model.visitor import VisitorId
from identity_service.store.redis.command import Command
from tests.faults.world import NOW, World

pytestmark = pytest.mark.anyio
DAY = 86_400
EMAIL = "a@example.com"
PROOFS = {proof.letter: proof for proof in Proof}
Make = Callable[[LinkCaps], World]


@pytest.fixture
async def make(store_url: str, database: redis.Redis) -> AsyncIterator[Make]:
    made = list[World]()

    def one(caps: LinkCaps) -> World:
        made.append(World(store_url, database, caps=caps))
        return made[-1]

    yield one
    for world in made:
        await world.client.close()
    made[0].assert_whole()


def link(world: World, visitor: str, proof: str, now: int = NOW, *, life: int = DAY, email: str = EMAIL) -> Awaitable[None]:
    return world.link(world.handle(email), VisitorId(visitor), PROOFS[proof], now, now + life)


def flags(world: World) -> dict[str, str]:
    return world.links(world.handle(EMAIL))


async def fill(world: World) -> None:
    """Two without proof and two by key, where four are the most."""
    for proof in "uv":
        for number in range(2):
            await link(world, f"{proof}{number}", proof, NOW + number)


def meanwhile(world: World, what: Callable[[Sequence[str]], Awaitable[None]]) -> None:
    """Just before the first link that others are to give way for; they are told."""
    run, waits = world.client.run, [what]

    async def held(*unit: Command) -> list[Any]:
        called = [one for one in unit if one.source and one.source.name == "link" and len(one.words) > 18]
        if called and waits:
            words = called[0].words
            await waits.pop()([str(word) for word in words[3 + int(words[2]) + 12 :]][1::3])
        return await run(*unit)

    setattr(world.client, "run", held)  # noqa: B010


async def test_links_at_once_by_full_visitors_to_a_full_handle_all_find_their_place(make: Make) -> None:
    """Each has to make room in both places, and others take the room it made."""
    worlds = [make(LinkCaps(20, 2)) for _ in range(4)]
    for proof in "uv":
        for number in range(10):
            await link(worlds[0], f"{proof}{number}", proof, NOW + number)
    for number in range(4):
        for proof in "uv":
            await link(worlds[0], f"new-{number}", proof, email=f"{proof}{number}@example.com")
    await asyncio.gather(*(link(world, f"new-{number}", "v", NOW + 50) for number, world in enumerate(worlds)))
    held = flags(worlds[0])
    assert len(held) == 20
    assert {f"new-{number}" for number in range(4)} <= set(held)


async def test_who_gives_way_is_dropped_on_both_sides_as_the_new_link_is_written(make: Make) -> None:
    """Whatever call the process dies at: there is the one or the other."""
    world = make(LinkCaps(4, 2))
    seen = list[set[str]]()
    for call, when in itertools.product(range(1, 4), ("dies_before", "dies_after")):
        world.database.flushall()
        await fill(world)
        for proof in "uv":
            await link(world, "new", proof, email=f"{proof}@example.com")
        world.client.revive()
        setattr(world.client, when, call)
        await world.crashes(link(world, "new", "v", NOW + 50))
        world.assert_whole()
        seen.append(set(flags(world)))
    assert {frozenset(one) for one in seen} == {frozenset({"u0", "u1", "v0", "v1"}), frozenset({"new", "u1", "v0", "v1"})}


@pytest.mark.parametrize("why", ["withdrawn", "refused", "full"])
async def test_nobody_gives_way_to_a_link_that_is_refused(make: Make, why: str) -> None:
    world = make(LinkCaps(4, 2))
    await fill(world)
    if why == "withdrawn":
        await world.withdraw(VisitorId("new"))
    elif why == "refused":
        await world.refuse_linking(VisitorId("new"))
    else:
        for email in ("x@example.com", "y@example.com"):
            await link(world, "new", "v", email=email)
    before = flags(world)
    with pytest.raises((ConsentRequired, Invalid)):
        await link(world, "new", "v", NOW + 5)
    assert flags(world) == before


@pytest.mark.parametrize("why", ["withdrawn", "refused", "full"])
async def test_nobody_gives_way_to_a_link_that_is_refused_once_it_was_told_who_has_to(make: Make, why: str) -> None:
    world, other = make(LinkCaps(4, 2)), make(LinkCaps(4, 2))
    await fill(world)

    async def forbid(_: Sequence[str]) -> None:
        if why == "withdrawn":
            await other.withdraw(VisitorId("new"))
        elif why == "refused":
            await other.refuse_linking(VisitorId("new"))
        else:
            for email in ("x@example.com", "y@example.com"):
                await link(other, "new", "v", email=email)

    before = flags(world)
    meanwhile(world, forbid)
    with pytest.raises((ConsentRequired, Invalid)):
        await link(world, "new", "v", NOW + 5)
    assert flags(world) == before


@pytest.mark.parametrize("later", [5, 2 * DAY])
async def test_a_link_that_was_renewed_or_verified_meanwhile_does_not_give_way(make: Make, later: int) -> None:
    """`later`: seconds, of a link that lives or has ended."""
    world, other = make(LinkCaps(4, 2)), make(LinkCaps(4, 2))
    await fill(world)
    renewed = list[str]()

    async def renew(told: Sequence[str]) -> None:
        renewed.append(told[0])
        await link(other, told[0], "v", NOW + later)

    meanwhile(world, renew)
    await link(world, "new", "v", NOW + later)
    assert renewed
    assert {*renewed, "new"} <= {visitor for visitor, proof in flags(world).items() if proof == "v"}
    world.assert_whole()


async def test_a_pointer_says_what_its_link_says(make: Make) -> None:
    """A link made anew after it was dropped is as its own proof says."""
    world = make(LinkCaps(4, 2))
    await link(world, "v", "v")
    await link(world, "v", "u")
    assert flags(world) == {"v": "v"}
    await world.unlink(world.handle(EMAIL), VisitorId("v"))
    await link(world, "v", "u")
    assert flags(world) == {"v": "u"}


async def test_an_unverified_link_takes_no_place_in_the_last_half_where_its_own_one_ended(make: Make) -> None:
    world = make(LinkCaps(4, 2))
    for number in range(4):
        await link(world, f"v{number}", "v", life=60 if number == 0 else DAY)
    with pytest.raises(Invalid):
        await link(world, "v0", "u", NOW + 100)
    await link(world, "v0", "v", NOW + 100)
    assert set(flags(world).values()) == {"v"}


async def test_an_unverified_link_takes_no_place_in_the_last_half_where_another_one_ended(make: Make) -> None:
    world = make(LinkCaps(4, 2))
    for number in range(4):
        await link(world, f"v{number}", "v", life=60 if number == 0 else DAY)
    with pytest.raises(Invalid):
        await link(world, "new", "u", NOW + 100)
    await link(world, "new", "v", NOW + 100)
    assert set(flags(world)) == {"v1", "v2", "v3", "new"}


async def test_links_that_have_ended_hold_no_place(make: Make) -> None:
    world = make(LinkCaps(40, 20))
    await link(world, "alive", "v")
    for number in range(39):
        await link(world, f"ended-{number}", "v", life=60)
    await link(world, "new", "u", NOW + 100)
    assert {"alive", "new"} <= set(flags(world))
