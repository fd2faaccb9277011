"""Which server gets a unit: the only one, the primary that sentinels name, or the one that holds the slot in a cluster."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from identity_service.errors import StoreUnavailable
from identity_service.settings.store_url import StoreAddress, place_of
from identity_service.store.redis.cause import Cause
from identity_service.store.redis.command import Command, Reply, read
from identity_service.store.redis.episodes import Episodes, Failover, Report
from identity_service.store.redis.server import Node

WATCH_SECONDS = 0.5
"""The interval at which sentinels are asked, and a cluster while one of its servers fails."""

MakeNode = Callable[[str], Node]
"""Makes a Node from a server's URL."""


class Topology(Protocol):
    def submit(self, unit: Sequence[Command]) -> Awaitable[list[Reply]]:
        """Returns a reply for each command, which may be an error. Raises StoreUnavailable."""
        ...

    async def primaries(self) -> list[Node]: ...

    def server_of(self, key: str) -> Node | None:
        """The primary that gets the key's commands. None while no primary is known to hold it."""
        ...

    async def shard_of(self, key: str) -> list[Node]:
        """The servers that hold the key: its primary, then known replicas. Raises StoreUnavailable."""
        ...

    def nodes(self) -> list[Node]:
        """The servers that are in use now."""
        ...

    async def close(self) -> None: ...


class Single:
    def __init__(self, address: StoreAddress, make_node: MakeNode) -> None:
        self._node = make_node(address.servers[0])
        self.submit = self._node.submit

    async def primaries(self) -> list[Node]:
        return [self._node]

    def server_of(self, key: str) -> Node | None:  # noqa: ARG002 it holds every key
        return self._node

    async def shard_of(self, key: str) -> list[Node]:  # noqa: ARG002 it holds every key
        return [self._node]

    def nodes(self) -> list[Node]:
        return [self._node]

    async def close(self) -> None:
        self._node.close()


class Watch:
    """Calls `look` at an interval, and at once for callers that need its result."""

    def __init__(self, look: Callable[[], Awaitable[None]]) -> None:
        self._look = look
        self._task: asyncio.Task[None] | None = None
        self._now: asyncio.Future[None] | None = None

    async def look_now(self) -> None:
        """Callers that wait share one look. Raises what `look` raises."""
        self.begin()
        if self._now is None:
            self._now = asyncio.ensure_future(self._look())
            self._now.add_done_callback(self._done)
        await asyncio.shield(self._now)

    def begin(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._again())

    async def end(self) -> None:
        for task in (self._task, self._now):
            if task:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, StoreUnavailable):
                    await task

    async def _again(self) -> None:
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            with contextlib.suppress(Exception):  # the next look tries again; a caller that needs the result gets the error
                await self.look_now()

    def _done(self, look: "asyncio.Future[None]") -> None:
        self._now = None
        if not look.cancelled():
            look.exception()


class Sentinels:
    """Every sentinel is asked, and the answer of the newest epoch counts, because a sentinel that is cut off names an old primary."""

    def __init__(self, address: StoreAddress, make_node: MakeNode, make_sentinel: MakeNode, report: Report) -> None:
        self._address = address
        self._report = report
        self._make_node = make_node
        self._episodes = Episodes(f"sentinels of {address.service}", time.monotonic, report)
        self._sentinels = [make_sentinel(url) for url in address.servers]
        self._primary: Node | None = None
        self._replicas: dict[str, Node] = {}
        self._watch = Watch(self._look)

    def submit(self, unit: Sequence[Command]) -> Awaitable[list[Reply]]:
        self._watch.begin()
        return self._primary.submit(unit) if self._primary else self._submit_when_found(unit)

    async def primaries(self) -> list[Node]:
        if self._primary is None:
            await self._watch.look_now()
        return self.nodes()

    def server_of(self, key: str) -> Node | None:  # noqa: ARG002 it holds every key
        return self._primary

    async def shard_of(self, key: str) -> list[Node]:  # noqa: ARG002 they hold every key
        primaries = await self.primaries()
        answers, _ = await self._ask("REPLICAS")
        for state in (replica for answer in answers for replica in answer):
            url = self._address.server(state["ip"], int(state["port"]))
            if not self._primary or url != self._primary.url:
                self._replicas.setdefault(url, self._make_node(url))
        return [*primaries, *self._replicas.values()]

    def nodes(self) -> list[Node]:
        return [self._primary] if self._primary else []

    async def close(self) -> None:
        await self._watch.end()
        for node in (*self._sentinels, *self.nodes(), *self._replicas.values()):
            node.close()

    async def _submit_when_found(self, unit: Sequence[Command]) -> list[Reply]:
        await self._watch.look_now()
        if self._primary is None:
            raise StoreUnavailable(reason=Cause.NAME)
        return await self._primary.submit(unit)

    async def _look(self) -> None:
        states, failures = await self._ask("MASTER")
        if not states:
            failure = next(iter(failures), StoreUnavailable())
            if self._primary is None:
                self._episodes.failed(Cause(failure.reason))
            raise failure
        self._episodes.answered()
        newest = max(states, key=lambda state: int(state["config-epoch"]))
        url = self._address.server(newest["ip"], int(newest["port"]))
        if self._primary and self._primary.url == url:
            return
        before, self._primary = self._primary, self._make_node(url)
        if before:
            self._report(Failover(place_of(before.url), place_of(url)))
            before.close()

    async def _ask(self, what: str) -> tuple[list[Reply], list[StoreUnavailable]]:
        """The answers of the sentinels that answer and know the name, and the failures of the others."""
        asked = [sentinel.run(read("SENTINEL", what, self._address.service)) for sentinel in self._sentinels]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        found = [answer[0] for answer in answers if not isinstance(answer, BaseException)]
        return found, [answer for answer in answers if isinstance(answer, StoreUnavailable)]
