"""Bytes of visitors and links in the store, on Valkey and, where it is installed, on Redis; and what a worker holds after many requests."""

import argparse
import itertools
import shutil
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import redis
import uvloop

from identity_service.store.binary import server_binary
from identity_service.visitor import VisitorId
from identity_service.web.endpoints import Services
from tests.benchmarks import checks, fill, load, plots, sides, tables
from tests.benchmarks.install import install
from tests.benchmarks.work import CLICK, COOKIELESS, KNOWN, LOOKUP, NEW, NUMBER, SALE, SERVICE
from tests.server import valkey
from tests.test_command import descendants

SIZES = (1_000, 10_000, 100_000, 1_000_000)
SAMPLE = 500
SECONDS = 5
"""Of one kind of request, before the next kind's turn."""

CLICKS = replace(CLICK, body=CLICK.body | {"visitor": f"clicker-{NUMBER}"}, stored=1)
REQUESTS = (COOKIELESS, NEW, KNOWN, LOOKUP, CLICKS, SALE)


@dataclass(frozen=True, slots=True)
class Bytes:
    """Of one, on average, in a store. `visitors` and `links` by their number: a visitor is its record and the receipt of its consent; a
    link is its key under the email's digest and a pointer in the visitor's record. The others are those parts, at the last number."""

    server: str
    visitors: Mapping[float, float]
    links: Mapping[float, float]
    record: float
    receipt: float
    key: float
    pointer: float


def main(arguments: Sequence[str]) -> int:
    options = parser().parse_args(arguments)
    install(set())
    sizes = [size for size in SIZES if size < options.links] + [options.links]
    programs = [str(server_binary()), *filter(None, [shutil.which("redis-server")])]
    with ProcessPoolExecutor(len(programs)) as pool:
        found = list(pool.map(in_store, programs, [sizes] * len(programs)))
    lines = {f"{kind}, {one.server}": by_number for one in found for kind, by_number in (("visitor", one.visitors), ("link", one.links))}
    plot = plots.curves("Bytes in the store: of a visitor, of a link", "visitors, then as many links", lines)
    tables.write(options.output, {"memory-store.md": table(found), "memory-store.svg": plot})
    resident = in_worker(options.requests)
    plot = plots.curves("Resident MiB of a worker", "requests", {"worker": resident})
    tables.write(options.output, {"memory-worker.md": worker_table(resident), "memory-worker.svg": plot})
    return 0


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(prog="python -m tests.benchmarks memory", description=__doc__)
    found.add_argument("--links", type=int, default=SIZES[-1], help=f"in each store ({SIZES[-1]})")
    found.add_argument("--requests", type=int, default=1_000_000, help="to the worker, at least (1000000)")
    found.add_argument("--output", type=Path, default=tables.OUTPUT, help="folder of the tables and plots (build/benchmarks)")
    return found


def in_store(program: str, sizes: Sequence[int]) -> Bytes:
    with valkey(program=program) as store, redis.Redis.from_url(store, decode_responses=True) as connection:
        return uvloop.run(filled(store, connection, sizes))


async def filled(store: str, connection: redis.Redis, sizes: Sequence[int]) -> Bytes:
    """Visitors first and links after, so that each stage adds keys of its own."""
    server = connection.info("server")
    visitors: list[VisitorId] = []
    async with fill.opened(store) as services:
        await fill.link(services, [("first@example.com", one) for one in await fill.grant(services, 1)])  # the server loads its scripts
        before, by_visitors, by_links = used(connection), dict[float, float](), dict[float, float]()
        for size in sizes:
            visitors += await fill.grant(services, size - len(visitors))
            by_visitors[size] = (used(connection) - before) / size
        record, receipt = parts(services, connection, visitors)
        before = used(connection)
        for start, size in itertools.pairwise((0, *sizes)):
            await fill.link(services, ((f"person-{number}@example.com", visitors[number]) for number in range(start, size)))
            by_links[size] = (used(connection) - before) / size
        pointer = parts(services, connection, visitors)[0] - record
    key = (by_visitors[sizes[-1]] - record - receipt) / 2
    name = f"Valkey {server['valkey_version']}" if "valkey_version" in server else f"Redis {server['redis_version']}"
    return Bytes(name, by_visitors, by_links, record + key, receipt + key, by_links[sizes[-1]] - pointer, pointer)


def used(connection: redis.Redis) -> int:
    return int(connection.info("memory")["used_memory"])


def parts(services: Services, connection: redis.Redis, visitors: Sequence[VisitorId]) -> tuple[float, float]:
    """Bytes of a record and of a receipt, without their places in the server's tables of keys."""
    shop, keys = fill.demo(services).shop_id, services.store.keys
    records = [keys.visitor(shop, visitor).record for visitor in visitors[:SAMPLE]]
    receipts = [keys.receipt(shop, str(connection.hget(record, "r"))) for record in records]
    first, second = (statistics.mean(int(connection.memory_usage(key, 0) or 0) for key in some) for some in (records, receipts))
    return first, second


def table(found: Sequence[Bytes]) -> str:
    lines = [
        "| bytes | visitor's record | receipt | link's own key | its pointer in the record | record, link and pointer |",
        f"|{'---|' * 6}",
    ]
    for one in found:
        figures = (one.record, one.receipt, one.key, one.pointer, one.record + one.key + one.pointer)
        lines.append(f"| {one.server} | {' | '.join(f'{figure:.0f}' for figure in figures)} |")
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
