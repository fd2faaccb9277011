"""Callers that hang up in the middle, in thousands: nobody else notices, and the service keeps nothing of them."""

import asyncio
import random
from pathlib import Path

from tests.faults.checker import check
from tests.faults.connection import Connection
from tests.faults.history import History
from tests.faults.inside import descriptors, inside
from tests.faults.load import Load, Requests, perform
from tests.faults.proxy import Conditions, proxied
from tests.faults.running import RunningStore
from tests.faults.test_broken_replies import told_of_others
from tests.faults.test_store_connection import MOST_CONNECTIONS
from tests.test_command import eventually


async def hang_up(url: str, times: int, history: History, seed: int) -> None:
    """Twenty callers, each of whom gives up after at most 50 ms."""
    chance, requests = random.Random(seed), Requests(seed)

    async def caller() -> None:
        for _ in range(times // 20):
            connection = Connection(url, chance.uniform(0, 0.05))
            await perform(connection, requests.next(), history)
            connection.close()

    await asyncio.gather(*(caller() for _ in range(20)))


def test_callers_that_hang_up_disturb_nobody_and_leave_nothing(tmp_path: Path, long: bool) -> None:
    times = 10_000 if long else 2_000
    with RunningStore(tmp_path / "store") as store, proxied(store.url) as proxy, inside(proxy.url) as service:
        tasks, opened = service.tasks, descriptors()
        proxy.conditions = Conditions(reply_delay=0.005)
        with Load(service.url, clients=4) as load:
            asyncio.run(hang_up(service.url, times, load.history, seed=2))
            load.wait(100)
        assert load.history.statuses()[0] > times / 2
        assert eventually(lambda: service.tasks <= tasks)
        assert proxy.connections <= MOST_CONNECTIONS
        assert eventually(lambda: descriptors() <= opened + 3 * proxy.connections)
        assert told_of_others(load.history) == []
        proxy.conditions = Conditions()
        assert check(load.history, service.url, store.url) == []
