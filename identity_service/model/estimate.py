"""Figures that are not exact, with the interval that holds the true number.

Visitors who said nothing are counted in tens: a figure is a whole number of tens, and what is left over is never shown. So no figure is
about fewer than ten events. Who adds events of its own until a figure moves learns what was left over. Distinct visitors are estimated by
a HyperLogLog sketch.
"""

from msgspec import Struct

TEN = 10
"""The smallest number that is shown of visitors who said nothing."""
SKETCH_ERROR = 0.025
"""Three standard errors of a HyperLogLog with 16,384 registers: of 1,000 estimates, three are further from the truth."""


class Estimate(Struct, frozen=True):
    """The true number is from `low` to `high`. `hidden`: there were fewer than ten, or none, and the figure says no more than that."""

    low: int
    high: int
    hidden: bool = False

    @property
    def middle(self) -> float:
        return (self.low + self.high) / 2

    def __add__(self, other: "Estimate") -> "Estimate":
        return Estimate(self.low + other.low, self.high + other.high, self.hidden and other.hidden)


def of_tens(shown: int, parts: int = 1) -> Estimate:
    """`shown`: a sum of whole tens. `parts`: how many figures it is the sum of, each of which left out nine at most."""
    return Estimate(shown, shown + (TEN - 1) * parts, hidden=shown < TEN)


def of_sketch(number: int) -> Estimate:
    return Estimate(round(number * (1 - SKETCH_ERROR)), round(number * (1 + SKETCH_ERROR)))


def of_sketch_in_tens(shown: int) -> Estimate:
    """`shown`: the sketch's estimate, rounded down to tens."""
    return of_tens(shown) if shown < TEN else Estimate(of_sketch(shown).low, of_sketch(shown + TEN - 1).high)


def share(part: Estimate, whole: Estimate) -> tuple[float, float] | None:
    """Between what the two can be. None if one of them is hidden."""
    if part.hidden or whole.hidden:
        return None
    return round(part.low / whole.high, 4), round(min(part.high / whole.low, 1.0), 4)
