"""Random histories of browsers against a model that knows only what the person last said; and each guard, once it is taken out, is missed.

The same histories are played each time. A history that ends otherwise is told with its seed and all that happened in it.
"""

from collections.abc import Iterator

import pytest
import redis

from identity_service.app import Application
from identity_service.settings.load import load
from identity_service.web.snippet import code
from tests.browser.histories.guards import GUARDS, Guard, without
from tests.browser.histories.person import ENVIRONMENT, Difference, play
from tests.browser.histories.world import Tabs, tabs
from tests.conftest import Clock

pytestmark = pytest.mark.anyio
USUAL, MOST = 120, 10_000
UNREACHABLE = {"IDENTITY_STORE__URL": "unix:///nonexistent/identity.sock"}


@pytest.fixture(scope="module")
def pages() -> Iterator[Tabs]:
    with tabs() as made:
        yield made


async def history(seed: int, pages: Tabs, environment: dict[str, str], database: redis.Redis) -> None:
    """Raises Difference."""
    database.flushall()
    clock = Clock()
    service, without_store = (
        Application(load("development", environment | more), clock) for more in (ENVIRONMENT, ENVIRONMENT | UNREACHABLE)
    )
    try:
        await play(seed, pages, service, without_store, clock)
    finally:
        await service.services.store.client.close()
        await without_store.services.store.client.close()


async def test_a_history_ends_as_the_person_last_said(pages: Tabs, environment: dict[str, str], database: redis.Redis, long: bool) -> None:
    for seed in range(MOST if long else USUAL):
        await history(seed, pages, environment, database)


async def is_missed(histories: int, pages: Tabs, environment: dict[str, str], database: redis.Redis) -> bool:
    for seed in range(histories):
        try:
            await history(seed, pages, environment, database)
        except Difference:
            return True
    return False


@pytest.mark.parametrize("guard", [pytest.param(one, id=one.name, marks=[pytest.mark.thorough] * one.rare) for one in GUARDS])
async def test_a_guard_that_is_missing_is_found(guard: Guard, pages: Tabs, environment: dict[str, str], database: redis.Redis) -> None:
    pages.tell("snippet", code=guard.snippet)
    with without(guard):
        assert await is_missed(MOST if guard.rare else USUAL, pages, environment, database)
    pages.tell("snippet", code=code())
