"""Bytes of all that a visitor leaves in the store, on Valkey and, where it is installed, on Redis; and what a worker holds after many
requests."""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import redis
import uvloop

from identity_service.model.visitor import VisitorId
from identity_service.store.embedded import server_binary
from identity_service.web.call import Services
from tests.benchmarks import checks, fill, load, plots, sides, tables
from tests.benchmarks.install import install
from tests.benchmarks.work import CLICK, COOKIELESS, KNOWN, LOOKUP, NEW, NUMBER, SALE, SERVICE
from tests.stores import valkey
from tests.test_command import descendants

VISITORS = 200_000
FURTHER_CLICKS = 4
SECONDS = 5
"""Of one kind of request, before the next kind's turn."""

CLICKS = replace(CLICK, body=CLICK.body | {"visitor": f"clicker-{NUMBER}"}, stored=1)
REQUESTS = (COOKIELESS, NEW, KNOWN, LOOKUP, CLICKS, SALE)


STAGES: Mapping[str, tuple[Callable[[Services, Sequence[VisitorId]], Awaitable[None]], int]] = {
    "link to an email of its own": (fill.link_each, 1),
    "first click": (fill.click, 1),
    "further click": (fill.click, FURTHER_CLICKS),
    "sale": (fill.sell, 1),
}
"""Each adds something for every visitor, so often."""


@dataclass(frozen=True, slots=True)
class Bytes:
    """What one of each kind takes on average, in a store of many."""

    server: str
    of: Mapping[str, float]

    @property
    def year(self) -> float:
        """Of a visitor: a consent with its receipt, a link, 15 clicks and a sale."""
        once = (self.of[name] for name in ("consent with its receipt", "link to an email of its own", "first click", "sale"))
        return sum(once) + 14 * self.of["further click"]


def main(arguments: Sequence[str]) -> int:
    options = parser().parse_args(arguments)
    install(set())
    programs = [str(server_binary()), *filter(None, [shutil.which("redis-server")])]
    with ProcessPoolExecutor(len(programs)) as pool:
        found = list(pool.map(in_store, programs, [options.visitors] * len(programs)))
    tables.write(options.output, {"memory-store.md": table(found)})
    resident = in_worker(options.requests)
    plot = plots.curves("Resident MiB of a worker", "requests", {"worker": resident})
    tables.write(options.output, {"memory-worker.md": worker_table(resident), "memory-worker.svg": plot})
    return 0


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(prog="python -m tests.benchmarks memory", description=__doc__)
    found.add_argument("--visitors", type=int, default=VISITORS, help=f"in each store ({VISITORS})")
    found.add_argument("--requests", type=int, default=1_000_000, help="to the worker, at least (1000000)")
    found.add_argument("--output", type=Path, default=tables.OUTPUT, help="folder of the tables and plots (build/benchmarks)")
    return found


def in_store(program: str, visitors: int) -> Bytes:
    with valkey(program=program) as store, redis.Redis.from_url(store, decode_responses=True) as connection:
        return uvloop.run(filled(store, connection, visitors))


async def filled(store: str, connection: redis.Redis, count: int) -> Bytes:
    """In stages, so that each adds keys of its own. A small round before them has the server load its scripts."""
    server = connection.info("server")
    async with fill.opened(store) as services:
        warm = await fill.grant(services, 1)
        for stage, _ in STAGES.values():
            await stage(services, warm)
        await fill.refuse(services, 1)
        before = used(connection)
        visitors = await fill.grant(services, count)
        found = {"consent with its receipt": (used(connection) - before) / count}
        for name, (stage, times) in STAGES.items():
            before = used(connection)
            for _ in range(times):
                await stage(services, visitors)
            found[name] = (used(connection) - before) / count / times
        before = used(connection)
        await fill.refuse(services, count)
        found["receipt of a refusal"] = (used(connection) - before) / count
    name = f"Valkey {server['valkey_version']}" if "valkey_version" in server else f"Redis {server['redis_version']}"
    return Bytes(name, found)


def used(connection: redis.Redis) -> int:
    return int(connection.info("memory")["used_memory"])


def table(found: Sequence[Bytes]) -> str:
    lines = [f"| bytes | {' | '.join(one.server for one in found)} |", f"|{'---|' * (1 + len(found))}"]
    lines += [f"| {kind} | {' | '.join(f'{one.of[kind]:.0f}' for one in found)} |" for kind in found[0].of]
    lines.append(f"| a visitor's year | {' | '.join(f'{one.year:.0f}' for one in found)} |")
    return "\n".join(lines) + "\n"


def in_worker(requests: int) -> dict[float, float]:
    """MiB of the largest process of a service, by the number of requests so far."""
    found: dict[float, float] = {}
    done = 0
    core, load_core = sides.two_cores()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as directory, sides.pinned(load_core), valkey() as store:
        place, connection = Path(directory), redis.Redis.from_url(store, decode_responses=True)
        store_pid = int(connection.info("server")["process_id"])
        with sides.side(SERVICE, store, place, core) as side:
            cookie = checks.checked(side, connection)
            while done < requests:
                for work in REQUESTS:
                    done += load.timed(work, side, cookie, store_pid, SECONDS, place, load_core).told.requests
                found[done] = max(map(resident, descendants(side.pid)))
                print(f"{done} requests: {found[done]:.1f} MiB", file=sys.stderr)
        connection.close()
    return found


def resident(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def worker_table(resident: Mapping[float, float]) -> str:
    lines = ["| requests | MiB of a worker |", "|---|---|"]
    return "\n".join([*lines, *(f"| {requests:,} | {mebibytes:.1f} |" for requests, mebibytes in resident.items())]) + "\n"
