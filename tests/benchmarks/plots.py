"""A plot of curves as SVG: how a cost grows, both on logarithmic scales, so that a cost that grows as its work does is a straight line.
The first and the last cost of a curve are written beside it."""

import math
from collections.abc import Callable, Mapping
from html import escape

LEFT, TOP, WIDTH, HEIGHT = 80, 50, 560, 320
COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#7f7f7f")
LEAST_SPAN = 4
"""Of costs, as a factor: without it, noise on a flat curve would look like growth."""


def curves(title: str, amount: str, lines: Mapping[str, Mapping[float, float]]) -> str:
    """`lines`: by name, the cost at each amount; both are more than 0."""
    amounts = sorted({x for line in lines.values() for x in line})
    costs = [y for line in lines.values() for y in line.values()]
    middle = math.sqrt(min(costs) * max(costs))
    across = _scale(amounts[0], amounts[-1], LEFT, WIDTH)
    up = _scale(min(*costs, middle / LEAST_SPAN**0.5), max(*costs, middle * LEAST_SPAN**0.5), TOP + HEIGHT, -HEIGHT)
    parts = [f'<text x="{LEFT}" y="24" font-weight="bold">{escape(title)}</text>']
    parts.append(f'<path d="M{LEFT} {TOP}V{TOP + HEIGHT}H{LEFT + WIDTH}" fill="none" stroke="black"/>')
    parts.append(f'<text x="{LEFT + WIDTH / 2}" y="{TOP + HEIGHT + 42}" text-anchor="middle">{escape(amount)}</text>')
    parts += [f'<text x="{across(x):.0f}" y="{TOP + HEIGHT + 20}" text-anchor="middle">{x:,g}</text>' for x in amounts]
    for index, (name, line) in enumerate(lines.items()):
        colour = COLOURS[index % len(COLOURS)]
        places = [(across(x), up(y), y) for x, y in sorted(line.items())]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for x, y, cost in (places[0], places[-1]):
            told = f"{cost:,.{1 if cost < 10 else 0}f}"
            parts.append(f'<text x="{x:.1f}" y="{y - 6:.1f}" text-anchor="middle" fill="{colour}">{told}</text>')
        parts.append(f'<text x="{LEFT + WIDTH + 30}" y="{TOP + 20 * index + 10}" fill="{colour}">{escape(name)}</text>')
    size = f'width="{LEFT + WIDTH + 260}" height="{TOP + HEIGHT + 60}"'
    ground = '<rect width="100%" height="100%" fill="white"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">{ground}{"".join(parts)}</svg>\n'


def _scale(least: float, most: float, start: float, length: float) -> Callable[[float], float]:
    """From a value to its place, logarithmically; a scale of one value has it in the middle."""
    span = math.log(most / least)
    return lambda value: start + length * (math.log(value / least) / span if span else 0.5)
