"""Random histories of browsers against a model that knows only what the person last said; and each guard, once it is taken out, is missed.

The same histories are played each time. A history that ends otherwise is told with its seed and all that happened in it.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
import redis

from identity_service.app import Application
from identity_service.web.snippet import code
from tests.browser.histories.emphasis import Emphasis, emphasis_of
from tests.browser.histories.guards import GUARDS, Guard, without
from tests.browser.histories.person import ENVIRONMENT, Difference, play
from tests.browser.histories.world import Tabs, tabs
from tests.conftest import Clock, development

pytestmark = pytest.mark.anyio
USUAL, MOST, MOST_BY_A_GUARD = 120, 10_000, 300
UNREACHABLE = {"IDENTITY_STORE__URL": "unix:///nonexistent/identity.sock"}
Play = Callable[[int, Emphasis], Awaitable[None]]
"""Plays the history of a seed. Raises Difference."""


@pytest.fixture(scope="module")
def pages() -> Iterator[Tabs]:
    with tabs() as made:
        yield made


@pytest.fixture
async def play_one(pages: Tabs, environment: dict[str, str], database: redis.Redis) -> AsyncIterator[Play]:
    """One service serves all histories of a test, since to make it costs as much as a history; each begins with an empty store."""
    clock = Clock()
    settings = [development(frozenset((environment | more).items())) for more in (ENVIRONMENT, ENVIRONMENT | UNREACHABLE)]
    service, without_store = (Application(one, clock) for one in settings)

    async def one(seed: int, emphasis: Emphasis) -> None:
        database.flushall()
        await play(seed, pages, service, without_store, clock, emphasis)

    yield one
    await service.services.store.client.close()
    await without_store.services.store.client.close()


async def test_a_history_ends_as_the_person_last_said(play_one: Play, long: bool) -> None:
    for seed in range(MOST if long else USUAL):
        await play_one(seed, emphasis_of(seed))


async def differs(seed: int, emphasis: Emphasis, play_one: Play) -> bool:
    try:
        await play_one(seed, emphasis)
    except Difference:
        return True
    return False


async def is_missed(guard: Guard, play_one: Play) -> bool:
    """The history that found it first is tried first."""
    for seed in (guard.first, *range(MOST_BY_A_GUARD)):
        if await differs(seed, guard.emphasis, play_one):
            return True
    return False


@pytest.mark.parametrize("guard", [pytest.param(one, id=one.name) for one in GUARDS if not one.covered])
async def test_a_guard_that_is_missing_is_found(guard: Guard, play_one: Play, pages: Tabs) -> None:
    pages.tell("snippet", code=guard.snippet)
    with without(guard):
        assert await is_missed(guard, play_one)
    pages.tell("snippet", code=code())


@pytest.mark.parametrize("guard", [pytest.param(one, id=one.name) for one in GUARDS if one.covered])
async def test_a_guard_that_another_one_covers_is_found_without_that_one(guard: Guard, play_one: Play) -> None:
    [cover] = [one for one in GUARDS if one.name == guard.covered]
    with without(cover):
        assert not await differs(guard.first, guard.emphasis, play_one)
        with without(guard):
            assert await differs(guard.first, guard.emphasis, play_one)
