"""How soon ended data leaves memory: a pass of the sweep through a store whose server itself looks for nothing that has ended."""

import argparse
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import redis
import uvloop

from identity_service.model.consent import Millis
from identity_service.model.handle import Handles
from identity_service.model.link import LinkCaps
from identity_service.model.shop import ShopId
from identity_service.store import Retention, Store
from identity_service.store.embedded import server_binary
from identity_service.store.keys import SWEEP, of_shop
from identity_service.store.redis.client import StoreClient
from identity_service.store.sweep import KEYS_A_SCAN, LONGEST_ROUND, MOST_SCANS
from tests.benchmarks import tables
from tests.stores import valkey, view

SHOP = ShopId("demo")
LIVING = "1795000000 0 999999999 lv"
AT_ONCE = 10_000
WITH_LINKS, ENDED = 5, 10
"""Of so many keys one has links, and one has ended."""
ROUND = 60
"""Seconds from one round to the next."""
A_ROUND = MOST_SCANS * KEYS_A_SCAN
LARGE = 100_000_000


@dataclass(frozen=True, slots=True)
class Passed:
    """Seconds of the whole pass, and of CPU. `left`: keys that have ended and are still in memory."""

    keys: int
    took: float
    store: float
    worker: float
    left: int


def plant(database: redis.Redis, keys: int) -> int:
    """Returns how many of them have ended."""
    for start in range(0, keys, AT_ONCE):
        with database.pipeline(transaction=False) as pipe:
            for number in range(start, min(start + AT_ONCE, keys)):
                if number % WITH_LINKS == 0:
                    pipe.hset(of_shop(SHOP, f"E:{number:022}"), "v" * 22, LIVING)
                else:
                    pipe.set(of_shop(SHOP, f"S:{number:022}"), "x" * 100, px=1 if number % ENDED == 1 else None)
            pipe.execute()
    return len(range(1, keys, ENDED))


def cpu(database: redis.Redis) -> float:
    used = database.info("cpu")
    return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])


async def passed(url: str, database: redis.Redis, keys: int) -> Passed:
    planted = int(database.dbsize())
    ended = plant(database, keys)
    store = Store(StoreClient(url, 5.0), Handles("p"), LinkCaps(10, 10), Retention(400, 400, 400), 100)
    began, used, worker = time.monotonic(), cpu(database), time.process_time()
    while "0" not in database.hvals(SWEEP):
        await store.sweep.round([SHOP], lambda: Millis(int(time.time() * 1000)))
    left = int(database.dbsize()) - 1 - planted - (keys - ended)
    found = Passed(keys, time.monotonic() - began, cpu(database) - used, time.process_time() - worker, left)
    await store.client.close()
    return found


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks expiry", description=__doc__)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--output", type=Path, default=tables.OUTPUT, help="folder of the table (build/benchmarks)")
    options = parser.parse_args(arguments)
    programs = {"Valkey": str(server_binary()), "Redis": shutil.which("redis-server")}
    found = {}
    for name, program in programs.items():
        if program:
            with valkey("--enable-debug-command", "yes", program=program) as url, view(url) as database:
                database.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", "0")
                found[name] = uvloop.run(passed(url, database, options.keys))
    tables.write(options.output, {"expiry.md": table(found)})
    return 0


def table(found: dict[str, Passed]) -> str:
    """Of the largest round, and what follows for a store that takes many of them."""
    lines = [f"| server | keys | left | s of a round of {A_ROUND:,} keys | CPU of the store | of the worker | hours for {LARGE:,} keys |"]
    lines.append(f"|{'---|' * 7}")
    for name, one in found.items():
        seconds = [spent * A_ROUND / one.keys for spent in (one.took, one.store, one.worker)]
        hours = LARGE / A_ROUND * ROUND / 3_600 if 1_000 * seconds[0] < LONGEST_ROUND else float("nan")
        lines.append(f"| {name} | {one.keys:,} | {one.left} | {' | '.join(f'{one:.2f}' for one in seconds)} | {hours:.0f} |")
    return "\n".join(lines) + "\n"
