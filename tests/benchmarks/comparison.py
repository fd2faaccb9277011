"""One worker on one core beside peers that do the same work on the same store: CPU a request, requests a second, latency.

Each side stays on one core, the load and the store on another. Rounds go side by side, A B A B, after a warm one, each begun by the next
side, and with the measure before every work; figures are medians, CPU µs with the least and the most. The service runs by the interpreter
of the README's commands, and by the image's beside it. A busy machine gets no table. Read the ratios, and CPU µs before requests a second.
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import redis

from tests.benchmarks import checks, load, machine, sides, tables
from tests.benchmarks.install import install, pythons
from tests.benchmarks.work import BARE, IMAGE_BARE, IMAGE_SERVICE, MEASURES, NAMES, OURS, TEXT, Work, chosen
from tests.stores import valkey


def main(arguments: Sequence[str]) -> int:
    options = parser().parse_args(arguments)
    work = chosen(options.only)
    wanted = {name for one in work for name in one.sides} - set(options.without)
    left_out = dict.fromkeys(options.without, "not asked for") | install(wanted)
    core, load_core = sides.two_cores()
    interpreters = pythons()
    left_out |= {name: "its interpreter is missing" for name in (IMAGE_SERVICE, IMAGE_BARE) if name not in interpreters}
    with tempfile.TemporaryDirectory(prefix="benchmark-") as directory, sides.pinned(load_core), valkey(*sides.STORE) as store:
        place, names = Path(directory), [name for name in NAMES if name in wanted - left_out.keys()]
        with sides.started(names, store, place, core, interpreters) as running:
            results = run(work, running, store, place, load_core, options)
        builds = {name: machine.build_of(interpreters[name]) for name in OURS if name in running}
        table = tables.table(results, left_out, builds, machine.description())
        tables.write(options.output, {"table.md": table, "cpu.svg": tables.plot(results)})
    return 0


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    found.add_argument("--rounds", type=int, default=5, help="timed rounds (5)")
    found.add_argument("--seconds", type=int, default=3, help="seconds of a round (3)")
    found.add_argument("--warm", type=int, default=5, help="seconds of the round before, which is not counted (5)")
    found.add_argument("--only", action="append", default=[], metavar="WORK", help="only work with this in its name; may be repeated")
    found.add_argument("--without", action="append", default=[], choices=[name for name in NAMES if name != BARE], metavar="SIDE")
    found.add_argument("--busy", action="store_true", help="on a busy machine, too, whose figures are worth little")
    found.add_argument("--output", type=Path, default=tables.OUTPUT, help="folder of the table and the plot (build/benchmarks)")
    return found


def run(
    work: Sequence[Work], running: Mapping[str, sides.Side], store: str, place: Path, core: int, options: argparse.Namespace
) -> dict[tuple[str, str], list[load.Round]]:
    """Round 0 warms and is not counted: node compiles for thousands of requests until it is as fast as it gets."""
    connection = redis.Redis.from_url(store, decode_responses=True)
    store_pid = int(connection.info("server")["process_id"])
    cookies = {name: checks.checked(side, connection) for name, side in running.items()}
    results: dict[tuple[str, str], list[load.Round]] = {(one.name, name): [] for one in work for name in one.sides if name in running}
    for number in range(options.rounds + 1):
        print(f"round {number} of {options.rounds}", file=sys.stderr)
        seconds = options.seconds if number else options.warm
        for one in work:
            if not options.busy:
                machine.demand_rest()
            bare = {name: load.timed(TEXT, running[name], "", store_pid, 1, place, core).told.rate for name in measures(one, running)}
            for side in in_turn([running[name] for name in one.sides if name in running], number):
                before = int(connection.dbsize())
                timed = load.timed(one, side, cookies[side.name], store_pid, seconds, place, core)
                if one.stored and int(connection.dbsize()) - before < one.stored * timed.told.requests:
                    raise SystemExit(f"{side.name}: {one.name} did not store what it answered")
                if number:
                    results[one.name, side.name].append(replace(timed, measure=bare[MEASURES.get(side.name, BARE)]))
    connection.close()
    return results


def measures(work: Work, running: Mapping[str, sides.Side]) -> set[str]:
    """The bare answers that the work's sides are compared to."""
    return {MEASURES.get(name, BARE) for name in work.sides if name in running}


def in_turn(running: Sequence[sides.Side], number: int) -> Sequence[sides.Side]:
    """Another one first in each round."""
    first = number % max(len(running), 1)
    return [*running[first:], *running[:first]]
