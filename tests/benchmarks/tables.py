"""What is written: a Markdown table, and a plot of the CPU time a request."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path

from tests.benchmarks.install import ROOT
from tests.benchmarks.load import Round
from tests.benchmarks.work import BARE, SERVICE

Results = Mapping[tuple[str, str], Sequence[Round]]
"""By work and side; the rounds of all stand in the same order."""

OUTPUT = ROOT / "build" / "benchmarks"
HEAD = "| work | side | requests/s | of bare Starlette | of the service | CPU µs | store's CPU µs | p50 ms | p99 ms |"
COLOURS = {SERVICE: "#1f77b4", BARE: "#7f7f7f"}
OTHERS = "#ff7f0e"
ROW, LEFT, WIDTH = 22, 330, 560


def table(results: Results, left_out: Mapping[str, str], builds: Mapping[str, str], machine: str) -> str:
    """Ratios are medians of those of each round, to what was timed just before or beside, so that what slows both counts in neither.
    `builds`: interpreters by side."""
    lines = [*(f"{name}: {build}." for name, build in builds.items()), f"{machine}.\n", HEAD, f"|{'---|' * (HEAD.count('|') - 1)}"]
    for (work, side), rounds in results.items():
        figures = [f"{median(rounds, lambda one: one.told.rate):,.0f}"]
        figures += [f"{median(rounds, lambda one: one.told.rate / one.measure):.2f}", _ratio(rounds, results.get((work, SERVICE)))]
        figures += [_with_spread([one.cpu for one in rounds]), f"{median(rounds, lambda one: one.store_cpu):.0f}"]
        figures += [f"{median(rounds, lambda one: one.told.p50):.1f}", f"{median(rounds, lambda one: one.told.p99):.1f}"]
        lines.append(f"| {work} | {side} | {' | '.join(figures)} |")
    return "\n".join(lines + [f"\n{name} is left out: {why}." for name, why in sorted(left_out.items())]) + "\n"


def write(output: Path, files: Mapping[str, str]) -> None:
    """Shows those that are tables."""
    output.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (output / name).write_text(text)
        if name.endswith(".md"):
            print(text, flush=True)
        print(f"written: {output / name}")


def median(rounds: Sequence[Round], of: Callable[[Round], float]) -> float:
    return statistics.median(of(one) for one in rounds)


def _with_spread(figures: Sequence[float]) -> str:
    """The median, with the least and the most."""
    return f"{statistics.median(figures):.0f} ({min(figures):.0f}–{max(figures):.0f})"


def _ratio(rounds: Sequence[Round], measure: Sequence[Round] | None) -> str:
    if not measure:
        return "–"
    return f"{statistics.median(one.told.rate / base.told.rate for one, base in zip(rounds, measure, strict=True)):.2f}"


def plot(results: Results) -> str:
    """Bars, shorter is better, as SVG."""
    figures = {f"{work} · {side}": (median(rounds, lambda one: one.cpu), side) for (work, side), rounds in results.items()}
    longest = max(figure for figure, _ in figures.values()) or 1
    parts = [f'<text x="{LEFT}" y="16" font-weight="bold">CPU microseconds a request, shorter is better</text>']
    for index, (name, (figure, side)) in enumerate(figures.items(), 1):
        width, y = figure / longest * WIDTH, index * ROW
        parts.append(f'<text x="{LEFT - 8}" y="{y + 16}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<rect x="{LEFT}" y="{y + 3}" width="{width:.1f}" height="{ROW - 6}" fill="{COLOURS.get(side, OTHERS)}"/>')
        parts.append(f'<text x="{LEFT + width + 6:.1f}" y="{y + 16}">{figure:.0f}</text>')
    size = f'width="{LEFT + WIDTH + 60}" height="{(len(figures) + 2) * ROW}"'
    ground = '<rect width="100%" height="100%" fill="white"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">{ground}{"".join(parts)}</svg>\n'
