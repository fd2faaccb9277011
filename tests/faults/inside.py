"""A service inside the tests' process, on a real socket: its clock can be moved, and its tasks and descriptors counted."""

import asyncio
import os
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import uvicorn
import uvloop

from identity_service.app import Application
from identity_service.model.consent import Millis
from identity_service.settings.load import load
from tests.test_command import eventually, free_port

T = TypeVar("T")


class MovedClock:
    """Runs as the real one does, `ahead` seconds of it."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@dataclass(frozen=True)
class ServiceInside:
    url: str
    application: Application
    loop: asyncio.AbstractEventLoop

    @property
    def tasks(self) -> int:
        return len(asyncio.all_tasks(self.loop))

    def repair(self, now: float) -> None:
        """What the service does every minute, as of `now`."""
        services = self.application.services
        self._run(services.store.repair.run([shop.shop_id for shop in services.shops], Millis(int(now * 1000))))

    def rewrite(self, now: float) -> bool:
        """Whether the append-only file was due to be rewritten, and is."""
        services = self.application.services
        return self._run(services.store.repair.rewrite_if_due([shop.shop_id for shop in services.shops], int(now)))

    def keep_up(self) -> None:
        self._run(self.application.keep_up())

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)


def descriptors() -> int:
    """Open files and sockets of this process."""
    return len(os.listdir("/proc/self/fd"))


@contextmanager
def inside(store_url: str, clock: MovedClock | None = None) -> Iterator[ServiceInside]:
    environment = {"IDENTITY_STORE__URL": store_url, "IDENTITY_LIMITS__ENABLED": "false", "IDENTITY_SERVER__LOG_LEVEL": "warning"}
    application, port = Application(load("development", environment), clock or MovedClock()), free_port()
    config = uvicorn.Config(application, port=port, http="httptools", ws="none", log_config=None, access_log=False, proxy_headers=False)
    server = uvicorn.Server(config)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        loop = runner.get_loop()
        thread = threading.Thread(target=loop.run_until_complete, args=(server.serve(),))
        thread.start()
        try:
            assert eventually(lambda: server.started)
            yield ServiceInside(f"http://127.0.0.1:{port}", application, loop)
        finally:
            server.should_exit = True
            thread.join(20)
