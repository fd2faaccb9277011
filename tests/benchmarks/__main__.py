"""One worker on one core beside peers that do the same work on the same store: CPU a request, requests a second, latency, bytes a link.

Each side stays on one core, the load and the store on another. Rounds go side by side, A B A B, after a warm one; figures are medians.
Machines are noisy: read the ratios, and CPU µs before requests a second.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import redis

from tests.benchmarks import checks, load, memory, sides, tables
from tests.benchmarks.install import ROOT, install
from tests.benchmarks.work import BARE, NAMES, Work, chosen
from tests.server import valkey

OUTPUT = ROOT / "build" / "benchmarks"
# A rewrite of the append-only file would fall into one side's round and not into another's.
STORE = ("--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0")


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    work = chosen(options.only)
    wanted = {name for one in work for name in one.sides} - set(options.without)
    left_out = dict.fromkeys(options.without, "not asked for") | install(wanted)
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("the benchmark needs two cores: one for a side, one for the load")
    with tempfile.TemporaryDirectory(prefix="benchmark-") as directory, sides.pinned(cores[-1]), valkey(*STORE) as store:
        place, names = Path(directory), [name for name in NAMES if name in wanted - left_out.keys()]
        with sides.started(names, store, place, cores[0]) as running:
            results = run(work, running, store, place, cores[-1], options)
        write(results, left_out, options.output)
    if options.bytes:
        with valkey() as unused:
            memory.print_bytes(unused)
    return 0


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    found.add_argument("--rounds", type=int, default=5, help="timed rounds (5)")
    found.add_argument("--seconds", type=int, default=3, help="seconds of a round (3)")
    found.add_argument("--warm", type=int, default=5, help="seconds of the round before, which is not counted (5)")
    found.add_argument("--only", action="append", default=[], metavar="WORK", help="only work with this in its name; may be repeated")
    found.add_argument("--without", action="append", default=[], choices=[name for name in NAMES if name != BARE], metavar="SIDE")
    found.add_argument("--output", type=Path, default=OUTPUT, help="folder of the table and the plot (build/benchmarks)")
    found.add_argument("--no-bytes", dest="bytes", action="store_false", help="does not measure the bytes of a link")
    return found


def run(
    work: Sequence[Work], running: Mapping[str, sides.Side], store: str, place: Path, core: int, options: argparse.Namespace
) -> dict[tuple[str, str], list[load.Round]]:
    """Round 0 warms and is not counted: node compiles for thousands of requests until it is as fast as it gets."""
    connection = redis.Redis.from_url(store, decode_responses=True)
    store_pid = int(connection.info("server")["process_id"])
    cookies = {name: checks.checked(side, connection) for name, side in running.items()}
    turns = [(one, running[name]) for one in work for name in one.sides if name in running]
    results: dict[tuple[str, str], list[load.Round]] = {}
    for number in range(options.rounds + 1):
        print(f"round {number} of {options.rounds}", file=sys.stderr)
        for one, side in turns:
            before = int(connection.dbsize())
            seconds = options.seconds if number else options.warm
            timed = load.timed(one, side, cookies[side.name], store_pid, seconds, place, core)
            if one.stored and int(connection.dbsize()) - before < one.stored * timed.told.requests:
                raise SystemExit(f"{side.name}: {one.name} did not store what it answered")
            if number:
                results.setdefault((one.name, side.name), []).append(timed)
    connection.close()
    return results


def write(results: tables.Results, left_out: Mapping[str, str], output: Path) -> None:
    output.mkdir(parents=True, exist_ok=True)
    table = tables.table(results, left_out)
    (output / "table.md").write_text(table)
    (output / "cpu.svg").write_text(tables.plot(results))
    print(f"{table}\nwritten to {output}")


if __name__ == "__main__":
    sys.exit(main())
