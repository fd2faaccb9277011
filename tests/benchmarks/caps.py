"""The microseconds of a call's scripts in the store: as usual, and where each list that it touches is as full as it may be.

With `--against REVISION`, beside an earlier revision in the same run: both are called over HTTP, by turns, each with a store of its own.
The store's slow log, with nothing too quick for it, tells what a call makes it run, with its microseconds. It does not tell a command
inside a script from one beside it, so the microseconds are those of scripts alone: a revision that also sends plain commands seems
quicker than it is.
"""

import argparse
import asyncio
import itertools
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import redis
import uvloop

from identity_service.model.event import MOST_SHOWN_LENGTH
from identity_service.store.embedded import server_binary
from tests.benchmarks import tables
from tests.benchmarks.install import ROOT, install
from tests.benchmarks.work import PRIVATE, PUBLIC
from tests.faults.connection import Connection
from tests.stores import valkey
from tests.test_command import PATIENCE, Service, free_port

VISITORS, HANDLES, EVENTS, SALES = 1_000, 40, 200, 500
"""Of a handle, of a visitor (20 emails and 20 customer IDs), and twice of a visitor; as `config/default.toml` has them."""
TIMES = 15
SETTLED = 0.1
"""Seconds after a call until the store has run what was sent without waiting."""
AT_ONCE = 16
SETTINGS = {"IDENTITY_LIMITS__ENABLED": "false", "IDENTITY_LIMITS__BODY_BYTES": "65536", "IDENTITY_SERVER__WORKERS": "1"}
"""Earlier revisions limit a sale's body as any other."""
LABELS = ("Home / Bestsellers / Slider",)
LARGEST_LABELS = tuple(f"{number:x>100}" for number in range(20))
SCRIPTS = frozenset({b"EVALSHA", b"EVAL"})
OWN = frozenset({b"SLOWLOG"})
"""Commands of the measure itself."""
Call = Callable[[], Awaitable[object]]
Handle = Mapping[str, str]
"""An email or a customer ID, as a member of a call."""


@dataclass(frozen=True, slots=True)
class Visitor:
    visitor: str
    token: str


@dataclass(frozen=True, slots=True)
class Desk:
    """Calls one revision's service as a shop's server does, and reads its store."""

    url: str
    store: redis.Redis
    numbers: Iterator[int] = field(default_factory=itertools.count)
    idle: list[Connection] = field(default_factory=list)

    async def call(self, path: str, key: str = PRIVATE, **body: object) -> Any:
        connection = self.idle.pop() if self.idle else Connection(self.url, PATIENCE)
        status, answer = await connection.call(path, key, body)
        assert status == 200, (path, status, answer)
        self.idle.append(connection)
        return answer

    async def in_flight(self, calls: Sequence[Call]) -> None:
        """In their order, so many at once."""
        for start in range(0, len(calls), AT_ONCE):
            await asyncio.gather(*(call() for call in calls[start : start + AT_ONCE]))

    def handle(self) -> Handle:
        """An email and a customer ID by turns, nobody's yet."""
        number = next(self.numbers)
        return {"email": f"person-{number}@example.com"} if number % 2 else {"customer": f"person-{number}"}

    async def grant(self) -> Visitor:
        found = await self.call("/v1/consents", consent="granted")
        return Visitor(found["visitor"], found["token"])

    async def link(self, handle: Handle, visitor: str) -> None:
        await self.call("/v1/links", visitor=visitor, **handle)

    async def click(self, visitor: Visitor, product: str = "SKU-0", labels: Sequence[str] = LABELS) -> None:
        await self.call("/v2/log/click", PUBLIC, product=product, visitor=visitor.token, **({"labels": labels} if labels else {}))

    async def sell(self, visitor: Visitor, handle: Handle, lines: int = 2) -> None:
        products = [{"id": f"SKU-{line}", "price": 9.9, "quantity": 1} for line in range(lines)]
        await self.call("/v2/log/sale", PRIVATE, sale=f"sale-{next(self.numbers)}", products=products, visitor=visitor.token, **handle)

    async def withdraw(self, visitor: Visitor) -> None:
        await self.call("/v1/consents", consent="refused", token=visitor.token)

    async def full_handle(self) -> Handle:
        handle = {"email": f"person-{next(self.numbers)}@example.com"}
        await self.in_flight([partial(self.link, handle, f"own-{number}") for number in itertools.islice(self.numbers, VISITORS)])
        return handle

    async def full_visitor(self) -> Visitor:
        visitor, handles = await self.grant(), [self.handle() for _ in range(HANDLES)]
        for handle in handles:
            await self.link(handle, visitor.visitor)
        for number in range(SALES):
            await self.sell(visitor, handles[number % HANDLES])
        for _ in range(EVENTS):
            await self.click(visitor)
        return visitor

    async def microseconds(self, call: Call) -> tuple[int, int]:
        """Of all scripts that the store runs for the call, and the number of commands in and beside them."""
        await asyncio.sleep(SETTLED)
        self.store.slowlog_reset()
        await call()
        await asyncio.sleep(SETTLED)
        ran = [(one["command"].split(b" ")[0].upper(), one["duration"]) for one in self.store.slowlog_get(100_000)]
        return sum(usec for name, usec in ran if name in SCRIPTS), sum(name not in OWN | SCRIPTS for name, _ in ran)


async def click(desk: Desk) -> Call:
    visitor = await desk.grant()
    await desk.click(visitor)
    return lambda: desk.click(visitor)


async def click_after_the_largest_results(desk: Desk) -> Call:
    visitor, products = await desk.grant(), [f"{number:x>{MOST_SHOWN_LENGTH}}" for number in range(100)]
    for _ in range(EVENTS):
        await desk.call("/v2/log/results", PUBLIC, products=products, labels=LARGEST_LABELS, visitor=visitor.token, query="x")
    return lambda: desk.click(visitor, "x", ())


async def link(desk: Desk) -> Call:
    visitor, handle = await desk.grant(), desk.handle()
    return lambda: desk.link(handle, visitor.visitor)


async def link_at_a_full_handle(desk: Desk) -> Call:
    visitor, handle = await desk.grant(), await desk.full_handle()
    return lambda: desk.link(handle, visitor.visitor)


async def link_where_all_have_ended(desk: Desk) -> Call | None:
    """None for a revision that keeps links in another form."""
    of_emails = "id:v2:*:E:*"
    before = set(desk.store.keys(of_emails))
    visitor, handle = await desk.grant(), await desk.full_handle()
    full = set(desk.store.keys(of_emails)) - before
    for key in full:
        for one in desk.store.hkeys(key):
            desk.store.hset(key, one, "1000000000 0 60 lv")
    return (lambda: desk.link(handle, visitor.visitor)) if full else None


async def sale(desk: Desk) -> Call:
    visitor, handle = await desk.grant(), desk.handle()
    for _ in range(15):
        await desk.click(visitor)
    return lambda: desk.sell(visitor, handle)


async def sale_of_1000_lines(desk: Desk) -> Call:
    visitor, handle = await desk.grant(), desk.handle()
    for number in range(EVENTS):
        await desk.click(visitor, f"SKU-{number}")
    return lambda: desk.sell(visitor, handle, 1_000)


async def sale_where_another_leaves(desk: Desk) -> Call:
    visitor, handle = await desk.grant(), desk.handle()
    for _ in range(SALES):
        await desk.sell(visitor, handle)
    return lambda: desk.sell(visitor, handle)


async def grant(desk: Desk) -> Call:
    return desk.grant


async def withdrawal(desk: Desk) -> Call:
    visitor, handle = await desk.grant(), desk.handle()
    for _ in range(15):
        await desk.click(visitor)
    await desk.sell(visitor, handle)
    return lambda: desk.withdraw(visitor)


async def withdrawal_of_a_full_visitor(desk: Desk) -> Call:
    visitor = await desk.full_visitor()
    return lambda: desk.withdraw(visitor)


async def erasure_of_a_full_handle(desk: Desk) -> Call:
    handle = await desk.full_handle()
    return lambda: desk.call("/v1/erasures", **handle)


CASES: Mapping[str, tuple[Callable[[Desk], Awaitable[Call | None]], int]] = {
    "click": (click, TIMES),
    "click without labels, after the 200 largest results": (click_after_the_largest_results, 3),
    "link": (link, TIMES),
    "link at an email of 1,000 visitors, one gives way": (link_at_a_full_handle, 3),
    "link at an email whose 1,000 links have ended": (link_where_all_have_ended, 3),
    "consent with its receipt": (grant, TIMES),
    "sale of 2 lines with an email, after 15 clicks": (sale, TIMES),
    "sale of 1,000 lines, after 200 clicks": (sale_of_1000_lines, 3),
    "sale of a visitor and an email with 500, of which one leaves": (sale_where_another_leaves, 3),
    "withdrawal of a visitor with an email, 15 clicks and a sale": (withdrawal, TIMES),
    "withdrawal of one with 40 emails and customer IDs, 500 sales, 200 events": (withdrawal_of_a_full_visitor, 3),
    "erasure of an email of 1,000 visitors": (erasure_of_a_full_handle, 2),
}
"""What is measured, and how often, each time anew."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Medians of a case: the scripts' microseconds, None where the revision cannot be brought there, and the number of commands."""

    microseconds: float | None
    commands: float


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks caps", description=__doc__)
    parser.add_argument("--output", type=Path, default=tables.OUTPUT, help="folder of the table (build/benchmarks)")
    parser.add_argument("--against", metavar="REVISION", help="an earlier revision of this repository, measured beside this one")
    parser.add_argument("--cases", metavar="WORD", default="", help="only cases with this word in their names")
    options = parser.parse_args(arguments)
    install(set())
    cases = [name for name in CASES if options.cases in name]
    with revisions(options.against) as sources:
        servers = [str(server_binary()), *filter(None, [shutil.which("redis-server")])]
        found = [in_stores(program, sources, cases) for program in servers]
    tables.write(options.output, {"caps.md": table(cases, found)})
    return 0


@contextmanager
def revisions(earlier: str | None) -> Iterator[list[Path]]:
    """Folders of this revision's source, and of the earlier one's."""
    if earlier is None:
        yield [ROOT]
        return
    with tempfile.TemporaryDirectory(prefix="identity-revision-") as folder:
        archive = subprocess.run(["git", "archive", earlier], cwd=ROOT, check=True, capture_output=True)
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        yield [ROOT, Path(folder)]


@contextmanager
def desk(program: str, source: Path, place: Path) -> Iterator[Desk]:
    """A service of that source with a store of its own, without limits on calls."""
    with valkey("--slowlog-log-slower-than", "0", "--slowlog-max-len", "100000", program=program) as store:
        environment = os.environ | SETTINGS | {"IDENTITY_STORE__URL": store}
        command, log = [sys.executable, "-m", "identity_service", "serve", "--port", str(free_port())], place / "log"
        with log.open("a") as stderr, redis.Redis.from_url(store) as connection:
            process = subprocess.Popen(command, cwd=source, env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True)
            try:
                yield Desk(Service(process, log).url, connection)
            finally:
                process.terminate()
                process.communicate(timeout=PATIENCE)


def in_stores(program: str, sources: Sequence[Path], cases: Sequence[str]) -> list[dict[str, Cost]]:
    """Of each source, in stores of that program."""
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="identity-caps-")))
        return uvloop.run(measured([stack.enter_context(desk(program, source, place)) for source in sources], cases))


async def measured(desks: Sequence[Desk], cases: Sequence[str]) -> list[dict[str, Cost]]:
    found: list[dict[str, Cost]] = [{} for _ in desks]
    for one in desks:
        await (await withdrawal(one))()  # the server loads its scripts
    for name in cases:
        prepare, times = CASES[name]
        told: list[list[tuple[int, int]]] = [[] for _ in desks]
        for _ in range(times):
            for one, costs in zip(desks, told, strict=True):
                if call := await prepare(one):
                    costs.append(await one.microseconds(call))
        for costs, medians in zip(told, found, strict=True):
            usec, commands = (statistics.median(column) for column in zip(*costs, strict=True)) if costs else (None, 0)
            medians[name] = Cost(usec, commands)
    for one in desks:
        for connection in one.idle:
            connection.close()
    return found


def table(cases: Sequence[str], found: Sequence[Sequence[Mapping[str, Cost]]]) -> str:
    """`found`: by server, then by revision."""
    names, beside = ("Valkey", "Redis")[: len(found)], len(found[0]) > 1
    heads = [head for name in names for head in ([name, "earlier", "ratio"] if beside else [name])]
    lines = [f"| µs of scripts | {' | '.join(heads)} | commands |", f"|{'---|' * (len(heads) + 2)}"]
    for case in cases:
        figures = [figure for by_revision in found for figure in compared([one[case] for one in by_revision])]
        lines.append(f"| {case} | {' | '.join(figures)} | {' of '.join(f'{one[case].commands:.0f}' for one in found[0])} |")
    return "\n".join(lines) + "\n"


def compared(costs: Sequence[Cost]) -> list[str]:
    """The microseconds of each revision, and the ratio of the first to the second."""
    told = [f"{one.microseconds:,.0f}" if one.microseconds is not None else "–" for one in costs]
    if len(costs) > 1:
        now, before = (one.microseconds for one in costs)
        told.append(f"{now / before:.2f}" if now and before else "–")
    return told
