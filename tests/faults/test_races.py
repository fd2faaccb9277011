"""Two calls about the same person at the same time, at two workers over HTTP."""

import asyncio
import random
from collections.abc import Iterator

import pytest

from tests.faults.checker import AssertKept
from tests.faults.connection import Connection
from tests.faults.history import History, Kind, Operation
from tests.faults.load import SHOPS, Request, perform, request
from tests.faults.running import RunningService

AT_ONCE = 6
LARGEST_OFFSET = 0.005

RACES: dict[str, tuple[list[Kind], tuple[Kind, Kind]]] = {
    "link and withdraw": ([Kind.GRANT], (Kind.LINK, Kind.WITHDRAW)),
    "link and erase": ([Kind.GRANT, Kind.LINK], (Kind.LINK, Kind.ERASE)),
    "grant and refuse": ([Kind.GRANT, Kind.LINK], (Kind.GRANT, Kind.WITHDRAW)),
    "two sales": ([Kind.GRANT], (Kind.SALE, Kind.SALE)),
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    place = tmp_path_factory.mktemp("races")
    with RunningService(place, place / "data", workers=2) as started:
        yield started


@pytest.mark.parametrize("race", RACES)
def test_a_race_ends_as_one_of_its_orders(running: RunningService, long: bool, assert_kept: AssertKept, race: str) -> None:
    running.empty()
    history, rounds = History(), 1_000 if long else 200
    results = asyncio.run(raced(running.url, history, *RACES[race], rounds))
    assert_kept(history, running)
    assert set(history.statuses()) <= {200, 409, 503}
    if race == "two sales":
        assert set(history.statuses()) == {200}
    assert sum(one.began < other.ended and other.began < one.ended for one, other in results) > rounds / 2


async def raced(url: str, history: History, before: list[Kind], kinds: tuple[Kind, Kind], rounds: int) -> list[tuple[Operation, Operation]]:
    """Each round has people of its own; some rounds are under way at a time."""
    chance, waiting = random.Random(31), iter(range(rounds))
    results: list[tuple[Operation, Operation]] = []

    async def runner() -> None:
        connections = Connection(url), Connection(url)
        for number in waiting:
            shop = SHOPS[number % len(SHOPS)]
            for kind in before:
                await perform(connections[0], named(kind, shop, number), history)
            offsets = chance.uniform(0, LARGEST_OFFSET), chance.uniform(0, LARGEST_OFFSET)
            calls = [named(kind, shop, number, index) for index, kind in enumerate(kinds)]
            one, other = await asyncio.gather(*(later(*three, history) for three in zip(offsets, connections, calls, strict=True)))
            results.append((one, other))
        for connection in connections:
            connection.close()

    await asyncio.gather(*(runner() for _ in range(AT_ONCE)))
    return results


def named(kind: Kind, shop: str, number: int, index: int = 0) -> Request:
    return request(kind, shop, f"v{number}", f"p{number}@example.com", product=f"i{number}{index}", sale=f"s{number}")


async def later(offset: float, connection: Connection, call: Request, history: History) -> Operation:
    await asyncio.sleep(offset)
    return await perform(connection, call, history)
