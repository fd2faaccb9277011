"""How the cost of a call grows with workers, connections, stored links, IDs in a look-up, emails in a batch, and the rate of calls.

One worker has a core of its own, the load and the store another; on two cores a second worker shares the load's. Amounts take turns, A B
A B, after a warm round that is not counted; figures are medians. Read the last column: it compares rounds of the same turn.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.benchmarks import plots, sides, tables
from tests.benchmarks.axes import AXES, Axis, Stage
from tests.benchmarks.install import install
from tests.benchmarks.load import Round

Results = Mapping[tuple[str, float], Sequence[Round]]
"""By work and amount."""

HEAD = "requests/s | CPU µs | store's CPU µs | p50 ms | p99 ms |"
COLUMNS: tuple[tuple[Callable[[Round], float], int], ...] = (
    (lambda one: one.told.rate, 0),
    (lambda one: one.cpu, 0),
    (lambda one: one.store_cpu, 0),
    (lambda one: one.told.p50, 1),
    (lambda one: one.told.p99, 1),
)
"""With the number of decimals."""


def main(arguments: Sequence[str]) -> int:
    options = parser().parse_args(arguments)
    install(set())
    core, load_core = sides.two_cores()
    second_core = sides.third_core() or load_core
    with tempfile.TemporaryDirectory(prefix="benchmark-") as directory, sides.pinned(load_core):
        for name in options.only or AXES:
            stage = Stage(Path(directory), core, second_core, load_core, options.seconds, options.links)
            with AXES[name](stage) as axis:
                results = run(name, axis, options.rounds)
            tables.write(options.output, {f"scaling-{name}.md": table(axis, results)})
            if all(point.amount for point in axis.points):
                tables.write(options.output, {f"scaling-{name}.svg": plot(axis, results)})
    return 0


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(prog="python -m tests.benchmarks scaling", description=__doc__)
    found.add_argument("--rounds", type=int, default=5, help="timed rounds (5)")
    found.add_argument("--seconds", type=int, default=2, help="seconds of a round (2)")
    found.add_argument("--links", type=int, default=1_000_000, help="most links in a store (1000000)")
    found.add_argument("--only", action="append", choices=AXES, help="may be repeated")
    found.add_argument("--output", type=Path, default=tables.OUTPUT, help="folder of the tables and plots (build/benchmarks)")
    return found


def run(name: str, axis: Axis, rounds: int) -> Results:
    results: dict[tuple[str, float], list[Round]] = {}
    for number in range(rounds + 1):
        print(f"{name}: round {number} of {rounds}", file=sys.stderr)
        for point in axis.points:
            timed = point.timed()
            if number:
                results.setdefault((point.work, point.amount), []).append(timed)
    return results


def table(axis: Axis, results: Results) -> str:
    """The last column is the median of each round's ratio to the first amount of the same round."""
    head = f"| work | {axis.amount} | {HEAD} {axis.cost}, of the first |"
    lines = [f"{axis.title}\n", head, f"|{'---|' * (head.count('|') - 1)}"]
    first: Sequence[Round] = []
    before = ""
    for (work, amount), rounds in results.items():
        first, before = (first if work == before else rounds), work
        figures = [f"{tables.median(rounds, column):,.{decimals}f}" for column, decimals in COLUMNS]
        ratio = statistics.median(axis.of(one) / axis.of(base) for one, base in zip(rounds, first, strict=True))
        lines.append(f"| {work} | {amount:,g} | {' | '.join(figures)} | {ratio:.2f} |")
    return "\n".join(lines) + "\n"


def plot(axis: Axis, results: Results) -> str:
    lines: dict[str, dict[float, float]] = {}
    for (work, amount), rounds in results.items():
        lines.setdefault(work, {})[amount] = tables.median(rounds, axis.of)
    return plots.curves(f"{axis.title}: {axis.cost}", axis.amount, lines)
