"""A process that kills itself after a given store call: python -m tests.faults.dying URL OPERATION CALL."""

import asyncio
import os
import signal
import sys

import redis

from identity_service.model.visitor import VisitorId
from tests.faults.steps import SteppedClient
from tests.faults.world import OPERATIONS, World


class KilledClient(SteppedClient):
    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


async def run(url: str, operation: str, call: int) -> None:
    world = World(url, redis.Redis(), KilledClient(url))
    world.client.dies_after = call
    await OPERATIONS[operation](world, world.handle("a@example.com"), VisitorId("v"))
    await world.client.close()


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], sys.argv[2], int(sys.argv[3])))
