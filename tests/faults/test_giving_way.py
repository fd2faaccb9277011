"""Who gives way to whom where a handle or a visitor is full, and what becomes of those who changed meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis

from identity_service.consent import Millis
from identity_service.errors import ConsentRequired, Invalid
from identity_service.handle import Handle, Handles
from identity_service.link import LinkCaps, LinkSource, Proof
from identity_service.store import Retention, Store
from identity_service.store.batch import Command
from identity_service.store.links import Linkable
from identity_service.store.visitors import NAME_LENGTH
from identity_service.visitor import Kind, VisitorId
from tests.faults.steps import SteppedClient
from tests.faults.test_link_protocol import NOW, SHOP

pytestmark = pytest.mark.anyio
DAY = 86_400
HANDLES = Handles("development-only-pepper-of-the-demo-shops-00000001--")
EMAIL = HANDLES.of_email(SHOP, "a@example.com")
BY_LETTER = {proof.letter: proof for proof in Proof}


class Worker:
    def __init__(self, url: str, caps: LinkCaps, *, clustered: bool) -> None:
        self.client = SteppedClient(url, clustered=clustered)
        self.store = Store(self.client, HANDLES, caps, Retention(390, 400, 1_095, 400), 100)

    async def link(self, visitor: str, flag: str, now: int = NOW, ends: int = NOW + DAY, handle: Handle = EMAIL) -> None:
        linkable = Linkable(VisitorId(visitor), Kind.CHOSEN, ends, persistent_only=False, proof=BY_LETTER[flag])
        await self.store.links.link(SHOP, handle, linkable, LinkSource.LINK, now)

    def meanwhile(self, script: str, what: Any) -> None:
        """Just before the first call of a script."""
        run, waits = self.client.run, [what]

        async def held(*unit: Command) -> list[Any]:
            called = [one for one in unit if one.source and one.source.name == script]
            if called and waits:
                await waits.pop()(str(called[0].words[5]))
            return await run(*unit)

        setattr(self.client, "run", held)  # noqa: B010


Workers = tuple[Worker, Worker]


@pytest.fixture(params=["in a cluster", "on one server"])
async def workers(request: pytest.FixtureRequest, store_url: str, database: redis.Redis) -> AsyncIterator[Workers]:
    made = [Worker(store_url, LinkCaps(4, 2), clustered=request.param == "in a cluster") for _ in range(2)]
    yield made[0], made[1]
    for one in made:
        await one.client.close()


def flags(worker: Worker, database: redis.Redis) -> dict[str, str]:
    held = database.hgetall(worker.store.keys.handle(SHOP, EMAIL).links)
    return {str(visitor): str(link)[-1] for visitor, link in held.items()}


async def fill(worker: Worker) -> None:
    for flag in "uv":
        for number in range(2):
            await worker.link(f"{flag}{number}", flag, NOW + number)


async def test_links_at_once_by_full_visitors_to_a_full_handle_all_find_their_place(store_url: str, database: redis.Redis) -> None:
    """Each has to make room in both places, and others take the room it made."""
    made = [Worker(store_url, LinkCaps(20, 2), clustered=False) for _ in range(4)]
    for flag in "uv":
        for number in range(10):
            await made[0].link(f"{flag}{number}", flag, NOW + number)
    for number in range(4):
        await made[0].link(f"new-{number}", "u", handle=HANDLES.of_email(SHOP, f"u{number}@example.com"))
        await made[0].link(f"new-{number}", "v", handle=HANDLES.of_email(SHOP, f"v{number}@example.com"))
    await asyncio.gather(*(worker.link(f"new-{number}", "v", NOW + 50) for number, worker in enumerate(made)))
    held = flags(made[0], database)
    for one in made:
        await one.client.close()
    assert len(held) == 20
    assert {f"new-{number}" for number in range(4)} <= set(held)


@pytest.mark.parametrize("why", ["withdrawn", "full"])
async def test_nobody_gives_way_to_a_link_that_is_refused(store_url: str, database: redis.Redis, why: str) -> None:
    worker = Worker(store_url, LinkCaps(4, 2), clustered=False)
    await fill(worker)
    if why == "withdrawn":
        await worker.store.removals.withdraw(SHOP, VisitorId("new"), Millis(NOW * 1000))
    else:
        for email in ("x@example.com", "y@example.com"):
            await worker.link("new", "v", handle=HANDLES.of_email(SHOP, email))
    before = flags(worker, database)
    with pytest.raises((ConsentRequired, Invalid)):
        await worker.link("new", "v", NOW + 5)
    await worker.client.close()
    assert flags(worker, database) == before


@pytest.mark.parametrize("later", [5, 2 * DAY])
async def test_a_link_that_was_renewed_or_verified_meanwhile_does_not_give_way(workers: Workers, database: redis.Redis, later: int) -> None:
    worker, other = workers
    await fill(worker)
    renewed = []

    async def renew(visitor: str) -> None:
        renewed.append(visitor)
        await other.link(visitor, "v", NOW + later, NOW + later + DAY)

    worker.meanwhile("unlink_drop", renew)
    await worker.link("new", "v", NOW + later, NOW + later + DAY)
    assert renewed
    assert {*renewed, "new"} <= {visitor for visitor, flag in flags(worker, database).items() if flag == "v"}


async def test_a_pointer_says_what_its_link_says(store_url: str, database: redis.Redis) -> None:
    """The link is made anew, unverified, between an unlink's two steps."""
    worker, other = (Worker(store_url, LinkCaps(4, 2), clustered=False) for _ in range(2))
    await worker.link("v", "v")
    pointer = worker.store.keys.visitor(SHOP, "v").record

    run = worker.client.run

    async def held(*unit: Command) -> list[Any]:
        replies = await run(*unit)
        if any(one.source and one.source.name == "unlink_drop" for one in unit):
            await other.link("v", "u")
        return replies

    setattr(worker.client, "run", held)  # noqa: B010
    await worker.store.links.unlink(SHOP, EMAIL, VisitorId("v"), NOW)
    found = [str(value)[-1] for field, value in database.hgetall(pointer).items() if len(field) == NAME_LENGTH]
    for one in (worker, other):
        await one.client.close()
    assert (found, flags(worker, database)) == (["u"], {"v": "u"})


async def test_an_unverified_link_takes_no_place_in_the_last_half_where_its_own_one_ended(workers: Workers, database: redis.Redis) -> None:
    worker, _ = workers
    for number in range(4):
        await worker.link(f"v{number}", "v", ends=NOW + (60 if number == 0 else DAY))
    with pytest.raises(Invalid):
        await worker.link("v0", "u", NOW + 100)
    await worker.link("v0", "v", NOW + 100)
    assert set(flags(worker, database).values()) == {"v"}


async def test_links_that_have_ended_hold_no_place(store_url: str, database: redis.Redis) -> None:
    worker = Worker(store_url, LinkCaps(40, 20), clustered=False)
    await worker.link("alive", "v")
    for number in range(39):
        await worker.link(f"ended-{number}", "v", ends=NOW + 60)
    await worker.link("new", "u", NOW + 100)
    assert {"alive", "new"} <= set(flags(worker, database))
    await worker.client.close()
