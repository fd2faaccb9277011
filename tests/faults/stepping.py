"""Operations of the link protocol as a test drives them: whose store call comes next, at which call one dies, and what must hold after.

Run as a program (`python -m tests.faults.stepping URL OPERATION CALL`) it does one operation and kills itself after that store call.
"""

import asyncio
import os
import random
import signal
import sys
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import redis

from identity_service.consent import Consent, Millis
from identity_service.errors import ServiceError
from identity_service.handle import Handle, Handles
from identity_service.link import LinkCaps, LinkSource
from identity_service.shop import ShopId
from identity_service.store import Retention, Store
from identity_service.store.batch import Command
from identity_service.store.client import Client
from identity_service.store.links import Linkable
from identity_service.store.visitors import NAME_LENGTH, Grant
from identity_service.visitor import Kind, VisitorId
from tests.faults.steps import Crash

SHOP = ShopId("demo")
NOW = 1_795_000_000
HANDLES = Handles("pepper-of-the-fault-tests")
TICKS_TO_NEXT_CALL = 12
"""Turns of the event loop after which an operation has reached its next store call or its end: nothing but the store makes it wait."""


@dataclass
class Life:
    """One operation's process. It makes no store call once dead, in none of its tasks. `before`, `after`: the call it dies at."""

    before: int | None = None
    after: int | None = None
    kills: bool = False
    calls: int = 0
    dead: bool = False
    started: int | None = None
    ended: int | None = None
    acknowledged: bool = False

    def die(self) -> Crash:
        if self.kills:
            os.kill(os.getpid(), signal.SIGKILL)
        self.dead = True
        return Crash()


LIFE: ContextVar[Life | None] = ContextVar("life", default=None)


class Schedule:
    """Lets one store call at a time happen; a seeded choice says whose. `moment` counts them."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.moment = 0
        self.waiting: list[asyncio.Future[None]] = []
        self.under_way = 0

    async def wait(self) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(turn)
        await turn

    async def run(self, tasks: Sequence["asyncio.Task[None]"]) -> None:
        while not all(task.done() for task in tasks):
            for _ in range(TICKS_TO_NEXT_CALL):
                await asyncio.sleep(0)
            if self.waiting and not self.under_way:
                self.moment += 1
                self.under_way += 1
                self.waiting.pop(self.random.randrange(len(self.waiting))).set_result(None)
        await asyncio.gather(*tasks)


class MortalClient(Client):
    def __init__(self, url: str) -> None:
        super().__init__(url, 5.0)
        self.schedule: Schedule | None = None

    async def run(self, *unit: Command) -> list[Any]:
        life = LIFE.get() or Life()
        if self.schedule:
            await self.schedule.wait()
        try:
            return await self._call(life, *unit)
        finally:
            if self.schedule:
                self.schedule.under_way -= 1

    async def _call(self, life: Life, *unit: Command) -> list[Any]:
        if life.dead:
            raise Crash
        life.calls += 1
        call = life.calls
        if life.started is None and self.schedule:
            life.started = self.schedule.moment
        if call == life.before:
            raise life.die()
        replies = await super().run(*unit)
        if call == life.after:
            raise life.die()
        if life.dead:
            raise Crash
        return replies

    def post(self, *unit: Command) -> None:
        life = LIFE.get()
        if life is None or not life.dead:
            super().post(*unit)

    async def settle_posts(self) -> None:
        await self._batch.drain()


@dataclass(frozen=True)
class Operation:
    """`kind`: link, unlink, withdraw or erase (which takes the handle alone)."""

    kind: str
    visitor: int = 0
    handle: int = 0

    def __str__(self) -> str:
        return f"{self.kind}-{self.visitor}-{self.handle}"


class Bench:
    """A store on calls that the test steps, and a direct view of what is in it. Names carry `round_`, so that rounds do not meet."""

    def __init__(self, url: str, database: redis.Redis) -> None:
        self.client = MortalClient(url)
        self.store = Store(self.client, HANDLES, LinkCaps(1_000, 20), Retention(390, 400, 1_095, 400), 100)
        self.database = database
        self.round_ = 0

    def visitor(self, number: int) -> VisitorId:
        return VisitorId(f"v{number}.{self.round_}")

    def handle(self, number: int) -> Handle:
        return HANDLES.of_email(SHOP, f"p{number}.{self.round_}@example.com")

    async def grant(self, visitor: VisitorId, now: int = NOW) -> str:
        consent = Consent(Millis(now * 1000), "plain", None)
        outcome, _ = await self.store.visitors.grant(SHOP, visitor, Grant(consent, now + 1_000_000, False, None, "r", "q", None), now)
        return outcome

    async def do(self, operation: Operation, now: int = NOW) -> None:
        visitor, handle = self.visitor(operation.visitor), self.handle(operation.handle)
        if operation.kind == "link":
            await self.store.links.link(SHOP, handle, Linkable(visitor, Kind.PERSISTENT, 0, False, True), LinkSource.LINK, now)
        elif operation.kind == "unlink":
            await self.store.links.unlink(SHOP, handle, visitor, now)
        elif operation.kind == "withdraw":
            await self.store.removals.withdraw(SHOP, visitor, Millis(now * 1000))
        else:
            await self.store.removals.erase(SHOP, handle, Millis(now * 1000))

    async def live(self, operation: Operation, life: Life) -> None:
        """Does the operation as a process of its own; a refused link and a death end it without an acknowledgement."""
        LIFE.set(life)
        try:
            await self.do(operation)
        except (Crash, ServiceError):
            pass
        else:
            life.acknowledged = True
            assert operation.kind != "withdraw" or not self.linked_anywhere(operation.visitor)
        if not life.dead:
            life.ended = self.client.schedule.moment if self.client.schedule else 0

    async def race(self, seed: int, operations: Sequence[Operation], lives: Sequence[Life]) -> None:
        self.client.schedule = Schedule(seed)
        tasks = [asyncio.ensure_future(self.live(*pair)) for pair in zip(operations, lives, strict=True)]
        await self.client.schedule.run(tasks)
        self.client.schedule = None

    async def repair(self) -> None:
        for seconds in (61, 130):
            await self.store.repair.run([SHOP], Millis((NOW + seconds) * 1000))
        await self.client.settle_posts()

    def linked(self, handle: int, visitor: int) -> bool:
        return bool(self.database.hexists(self.store.keys.handle(SHOP, self.handle(handle)).links, self.visitor(visitor)))

    def linked_anywhere(self, visitor: int) -> bool:
        return any(self.linked(handle, visitor) for handle in range(2))

    def record(self, visitor: int) -> dict[str, str]:
        found: dict[str, str] = self.database.hgetall(self.store.keys.visitor(SHOP, self.visitor(visitor)).record)
        return found

    def gone(self, visitor: int) -> bool:
        return bool(self.database.exists(self.store.keys.visitor(SHOP, self.visitor(visitor)).gone))

    def open_work(self) -> list[str]:
        found: list[str] = self.database.zrange(self.store.keys.notes(SHOP), 0, -1)
        keys = [self.store.keys.handle(SHOP, self.handle(number)) for number in range(2)]
        return found + [key for one in keys for key in (one.intents, one.removals) if self.database.exists(key)]

    def disagreements(self) -> list[str]:
        """What is wrong between the two directions, and of what is gone but kept."""
        found = []
        for visitor in range(2):
            record = self.record(visitor)
            pointers = {field for field in record if len(field) == NAME_LENGTH}
            linked = {self.handle(number).name for number in range(2) if self.linked(number, visitor)}
            if pointers != linked:
                found.append(f"visitor {visitor}: points to {len(pointers)} handles, {len(linked)} name it")
            if int(record.get("e") or 0) != len(pointers):
                found.append(f"visitor {visitor}: counts {record.get('e')} emails, points to {len(pointers)}")
            if self.gone(visitor) and (record or linked):
                found.append(f"visitor {visitor}: is gone but kept")
        return found

    def broken_promises(self, operations: Sequence[Operation], lives: Sequence[Life], linked_before: Iterable[Operation]) -> list[str]:
        """What the callers were told and what is there after repair, as `check` in the search of the protocol has it."""
        links = [(one, -1, -1) for one in linked_before]
        links += [
            (one, life.started, life.ended)
            for one, life in zip(operations, lives, strict=True)
            if one.kind == "link" and life.acknowledged and life.started is not None and life.ended is not None
        ]
        removals = [(one, life) for one, life in zip(operations, lives, strict=True) if one.kind != "link" and life.started is not None]
        found = []
        for link, started, _ in links:
            touching = [
                one for one, life in removals if _touches(one, link) and (not life.acknowledged or life.ended is None or life.ended > started)
            ]
            if not touching and not self.gone(link.visitor) and not self.linked(link.handle, link.visitor):
                found.append(f"{link}: acknowledged, then lost")
            if self.gone(link.visitor) and not any(_touches(one, link) or one.kind != "unlink" for one, _ in removals):
                found.append(f"{link}: its visitor is gone without a removal")
        for removal, life in removals:
            for link, _, ended in links:
                later = any(other == link and begun >= life.started for other, begun, _ in links if life.started is not None)
                over = life.started is not None and ended < life.started
                if life.acknowledged and _touches(removal, link) and over and not later and self._survived(link, links, life):
                    found.append(f"{removal}: acknowledged, {link} from before it lives")
        return found

    def _survived(self, link: Operation, links: Sequence[tuple[Operation, int, int]], removal: Life) -> bool:
        """Still linked, and no link of the same pair was under way or came after the removal began."""
        under_way = any(other == link and removal.started is not None and ended >= removal.started for other, _, ended in links)
        return self.linked(link.handle, link.visitor) and not under_way


def _touches(removal: Operation, link: Operation) -> bool:
    """A withdrawal takes every link of its visitor, an erasure every link of its handle and perhaps more of the visitors on it."""
    if removal.kind == "withdraw":
        return removal.visitor == link.visitor
    if removal.kind == "erase":
        return removal.handle == link.handle
    return removal.visitor == link.visitor and removal.handle == link.handle


async def _die(url: str, operation: Operation, call: int) -> None:
    bench = Bench(url, redis.Redis.from_url(url, decode_responses=True))
    await bench.live(operation, Life(after=call, kills=True))
    await bench.client.close()
    bench.database.close()


if __name__ == "__main__":
    asyncio.run(_die(sys.argv[1], Operation(sys.argv[2]), int(sys.argv[3])))
