"""A process that kills itself after a given store call. It is forked from one that has imported all that it needs."""

import asyncio
import multiprocessing
import os
import signal

import redis

from identity_service.model.visitor import VisitorId
from tests.faults.steps import SteppedClient
from tests.faults.world import OPERATIONS, World
from tests.test_command import PATIENCE

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([__name__])


class KilledClient(SteppedClient):
    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


async def run(url: str, operation: str, call: int) -> None:
    world = World(url, redis.Redis(), KilledClient(url))
    world.client.dies_after = call
    await OPERATIONS[operation](world, world.handle("a@example.com"), VisitorId("v"))
    await world.client.close()


def _run(url: str, operation: str, call: int) -> None:
    asyncio.run(run(url, operation, call))


def exit_code_of(url: str, operation: str, call: int) -> int | None:
    """Negative for a signal; None for a process that did not end."""
    process = PROCESSES.Process(target=_run, args=(url, operation, call))
    process.start()
    process.join(PATIENCE)
    return process.exitcode
