"""A shop's hourly counters as series over time, for charts."""

from collections import Counter
from dataclasses import dataclass

from identity_service.model.shop import Shop
from identity_service.service.counters import MICROS, Tally
from identity_service.store import DAY, Clock, Store
from identity_service.store.counters import HOUR

HOURLY_DAYS = 2
"""Up to so many days a point is an hour, beyond it a day; the first day is not whole, so that charts and totals are of the same hours."""
MOST_LABELS = 8


@dataclass(frozen=True, slots=True)
class Series:
    """`times`: start of each step in seconds since 1970; `lines`: by name, a number for each step."""

    times: list[int]
    lines: dict[str, list[float]]

    @property
    def rows(self) -> list[tuple[int, list[float]]]:
        """The same, step by step."""
        return list(zip(self.times, map(list, zip(*self.lines.values(), strict=True)), strict=False))

    @property
    def empty(self) -> bool:
        return not any(any(line) for line in self.lines.values())


@dataclass(frozen=True, slots=True)
class Figures:
    """`consent_rate`: grants of all choices that banners reported, None where there were none."""

    issued: Series
    choices: Series
    revenue: Series
    errors: Series
    consent_rate: float | None
    totals: Counter[str]


class FigureReader:
    """`clock`: seconds since 1970."""

    def __init__(self, store: Store, tally: Tally, clock: Clock) -> None:
        self._store = store
        self._tally = tally
        self._clock = clock

    async def of_shop(self, shop: Shop, days: int) -> Figures:
        await self._tally.write_of(shop.shop_id)
        now, step = int(self._clock()), HOUR if days <= HOURLY_DAYS else DAY
        first = now - days * DAY + HOUR
        first -= first % HOUR
        steps: dict[int, Counter[str]] = {time: Counter() for time in range(first - first % step, now + 1, step)}
        for index, counts in enumerate(await self._store.activity.counts(shop.shop_id, first, now)):
            hour = first + index * HOUR
            steps[hour - hour % step].update(counts)
        totals = sum(steps.values(), Counter[str]())
        grants, refusals = totals["choice granted"], totals["choice refused"]
        best = [label for label, _ in Counter(_named(totals, "revenue")).most_common(MOST_LABELS)]
        return Figures(
            issued=_series(steps, {mode: f"issued {mode}" for mode in ("persistent", "cookieless", "null", "bot")}),
            choices=_series(steps, {"granted": "choice granted", "refused": "choice refused"}),
            revenue=_series(steps, {label: f"revenue {label}" for label in best}, MICROS),
            errors=_series(steps, {name: f"error {name}" for name in sorted(_named(totals, "error"))}),
            consent_rate=grants / (grants + refusals) if grants + refusals else None,
            totals=totals,
        )


def _named(totals: Counter[str], kind: str) -> dict[str, int]:
    return {name.removeprefix(f"{kind} "): number for name, number in totals.items() if name.startswith(f"{kind} ")}


def _series(steps: dict[int, Counter[str]], fields: dict[str, str], unit: int = 1) -> Series:
    return Series(list(steps), {name: [counts[field] / unit for counts in steps.values()] for name, field in fields.items()})
