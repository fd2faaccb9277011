"""What the work of the service is made to grow by, and what is timed at each amount."""

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import redis
import uvloop

from identity_service.model.visitor import VisitorId
from tests.benchmarks import calls, checks, fill, load, sides
from tests.benchmarks.load import Round
from tests.benchmarks.work import AGAIN, CLICK, COOKIELESS, KNOWN, LINK, LOOKUP, NEW, NUMBER, SALE, SERVICE, VERIFY, Work
from tests.stores import valkey

WORK = (KNOWN, LOOKUP, CLICK)
CONNECTIONS = (1, 4, 16, 64, 256)
LINKS = (1_000, 10_000, 100_000, 1_000_000)
IDS = {1: 4_000, 10: 3_000, 1_000: 150}
EMAILS = {1: 4_000, 100: 500, 5_000: 15}
"""With the number of calls of a round."""

PERCENT = (25, 50, 75)
ERASED = 2_000
"""People erased in a round."""

STORED = Work("look up", "/v1/lookups", {"email": f"person-{NUMBER}@example.com"})
LINKED = Work("link", "/v1/links", None)
ERASE = Work("erase", "/v1/erasures", None)
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Stage:
    """`seconds` of a round, `links`: most in a store. `second_core`: of a second worker."""

    place: Path
    core: int
    second_core: int
    load_core: int
    seconds: int
    links: int


@dataclass(frozen=True, slots=True)
class Point:
    work: str
    amount: float
    timed: Callable[[], Round]


def all_cpu(one: Round) -> float:
    return one.cpu + one.store_cpu


@dataclass(frozen=True, slots=True)
class Axis:
    """`of`: the cost that is plotted, `cost` its name, `amount` what grows. A work's other amounts are compared to its first one."""

    title: str
    amount: str
    points: Sequence[Point]
    cost: str = "CPU µs of service and store"
    of: Callable[[Round], float] = all_cpu


class Service:
    """Running on a store of its own, with a known visitor and a known buyer."""

    def __init__(self, stage: Stage, side: sides.Side, store: str) -> None:
        self.side, self.store = side, store
        self._stage = stage
        with redis.Redis.from_url(store) as connection:
            self._store_pid = int(connection.info("server")["process_id"])
        issued = checks.call(side, NEW)
        self.token = issued.json["token"]
        self._cookie = issued.cookie.partition(";")[0]
        checks.call(side, AGAIN)

    def loaded(self, work: Work, connections: int = 32) -> Round:
        stage = self._stage
        return load.timed(work, self.side, self._cookie, self._store_pid, stage.seconds, stage.place, stage.load_core, connections)

    def paced(self, work: Work, rate: float) -> Round:
        bodies = [json.loads(work.text.replace(NUMBER, f"paced-{next(_numbers)}")) for _ in range(int(rate * self._stage.seconds))]
        return self.spent(lambda: uvloop.run(calls.made(self.side.url, work, bodies, 64, rate)))

    def called(self, work: Work, count: int) -> Round:
        """By one caller."""
        return self.spent(lambda: uvloop.run(calls.made(self.side.url, work, itertools.repeat(work.body, count), 1)))

    def erased(self) -> Round:
        people = [{"email": f"erased-{number}@example.com", "visitor": f"erased-{number}"} for number in itertools.islice(_numbers, ERASED)]
        uvloop.run(calls.made(self.side.url, LINKED, people, 16))
        emails = [{"email": one["email"]} for one in people]
        assert all(self.found({"email": email["email"]}) == [1] for email in emails[:: ERASED // 10])
        return self.spent(lambda: uvloop.run(calls.made(self.side.url, ERASE, emails, 16)))

    def found(self, asked: dict[str, object]) -> list[int]:
        """How many visitors a look-up names, of each email: one that finds nothing is answered, too."""
        told = checks.call(self.side, LOOKUP, asked).json
        return [len(one["visitors"]) for one in told.get("results", [told])]

    def spent(self, loaded: Callable[[], load.Told]) -> Round:
        return load.spent(loaded, self.side.pid, self._store_pid)

    def fill(self, links: Iterable[tuple[str, VisitorId]]) -> None:
        """On the side's core, which is idle meanwhile."""

        async def filled() -> None:
            async with fill.opened(self.store) as services:
                await fill.link(services, links)

        with sides.pinned(self._stage.core):
            uvloop.run(filled())


@contextmanager
def serving(stage: Stage, *cores: int) -> Iterator[Service]:
    with valkey(*sides.STORE) as store, sides.side(SERVICE, store, stage.place, *(cores or (stage.core,))) as side:
        yield Service(stage, side, store)


@contextmanager
def workers(stage: Stage) -> Iterator[Axis]:
    with serving(stage) as one, serving(stage, stage.core, stage.second_core) as two:
        pairs = [(work, amount, service) for work in (COOKIELESS, *WORK) for amount, service in ((1, one), (2, two))]
        points = [Point(work.name, amount, partial(service.loaded, work)) for work, amount, service in pairs]
        yield Axis("One worker and two", "workers", points)


@contextmanager
def connections(stage: Stage) -> Iterator[Axis]:
    with serving(stage) as service:
        points = [Point(work.name, amount, partial(service.loaded, work, amount)) for work in WORK for amount in CONNECTIONS]
        yield Axis("Callers at once", "connections", points)


@contextmanager
def links(stage: Stage) -> Iterator[Axis]:
    sizes = [size for size in LINKS if size < stage.links] + [stage.links]
    with ExitStack() as stack:
        filled = [(size, stack.enter_context(serving(stage))) for size in sizes]
        for size, service in filled:
            service.fill((f"person-{number}@example.com", VisitorId(f"{number:022}")) for number in range(size))
            assert all(service.found({"email": f"person-{number}@example.com"}) == [1] for number in (0, size // 2, size - 1))
        points = [Point("look up", size, partial(service.loaded, replace(STORED, among=size))) for size, service in filled]
        points += [Point("erase", size, service.erased) for size, service in filled]
        yield Axis("Emails linked in the store", "links", points)


@contextmanager
def ids(stage: Stage) -> Iterator[Axis]:
    with serving(stage) as service:
        service.fill((f"has-{size}@example.com", VisitorId(f"{number:022}")) for size in IDS for number in range(size))
        assert all(service.found({"email": f"has-{size}@example.com"}) == [size] for size in IDS)
        works = [(size, count, replace(LOOKUP, body={"email": f"has-{size}@example.com"})) for size, count in IDS.items()]
        points = [Point("look up", size, partial(service.called, work, count)) for size, count, work in works]
        yield Axis("IDs of an email, one caller", "IDs", points)


@contextmanager
def batch(stage: Stage) -> Iterator[Axis]:
    emails = [f"person-{number}@example.com" for number in range(max(EMAILS))]
    with serving(stage) as service:
        service.fill((email, VisitorId(f"{number:022}")) for number, email in enumerate(emails))
        assert service.found({"emails": emails}) == [1] * len(emails)
        works = [(size, count, replace(LOOKUP, body={"emails": emails[:size]})) for size, count in EMAILS.items()]
        points = [Point("look up", size, partial(service.called, work, count)) for size, count, work in works]
        yield Axis("Emails in a batch, one caller", "emails", points)


@contextmanager
def rate(stage: Stage) -> Iterator[Axis]:
    with serving(stage) as service:
        works = (COOKIELESS, replace(KNOWN, body={"token": service.token}), NEW, LINK, LOOKUP, CLICK, SALE)
        highest = [(work, max(service.loaded(work).told.rate for _ in range(2))) for work in works]
        shares = itertools.product(highest, PERCENT)
        points = [Point(work.name, percent, partial(service.paced, work, most * percent / 100)) for (work, most), percent in shares]
        yield Axis("Calls at an even rate", "% of the highest rate", points, "p99 ms", lambda one: one.told.p99)


@contextmanager
def store_calls(stage: Stage) -> Iterator[Axis]:
    """Two answers of one endpoint: a wrong signature needs no store, a right one the visitor's state."""
    with serving(stage) as service:
        head, _, signature = service.token.rpartition(".")
        tokens = {0: f"{head}.{signature[::-1]}", 1: service.token}
        works = [(amount, replace(VERIFY, body={"token": token})) for amount, token in tokens.items()]
        points = [Point(work.name, amount, partial(service.loaded, work)) for amount, work in works]
        yield Axis("A call without and with one call of the store", "store calls", points, "CPU µs of the service", lambda one: one.cpu)


AXES: Mapping[str, Callable[[Stage], AbstractContextManager[Axis]]] = {
    "workers": workers,
    "connections": connections,
    "links": links,
    "ids": ids,
    "batch": batch,
    "rate": rate,
    "store-calls": store_calls,
}
