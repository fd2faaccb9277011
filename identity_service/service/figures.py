"""A shop's figures: hourly counters as totals and as series over time, labels, agents, the log of calls, and the products seen."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any

from identity_service.model.estimate import Estimate, of_tens
from identity_service.model.shop import Shop
from identity_service.model.utc import DAY, HOUR
from identity_service.service.counters import LABELLED, MICROS, OF_AGENTS, Counters
from identity_service.service.days import BY_MODE, Day, day_of
from identity_service.store import Clock, Store
from identity_service.store.counters import Counts
from identity_service.store.days import SILENT_CLICK

HOURLY_DAYS = 2
"""Up to so many days, a point is an hour; beyond, a day. The first day is incomplete, so that charts and totals cover the same hours."""
MOST_LABELS = 8
SUMMED_AT_ONCE = 8
"""Hours that are added up before other calls run."""


@dataclass(frozen=True, slots=True)
class PageCounts:
    """Read once for all parts of a page: counters by the start of their hour, and figures by the start of their day. Each part takes the
    newest that it shows."""

    hours: Mapping[int, Counts]
    days: Mapping[int, Counts]


def newest_hours(hours: Mapping[int, Counts], seconds: int) -> dict[int, Counts]:
    """Those of the last `seconds`, of which the newest hour is one."""
    last = max(hours)
    return {start: counts for start, counts in hours.items() if start > last - seconds}


async def sum_of(counts: Iterable[Counts]) -> Counter[str]:
    """There may be thousands of hours, each with hundreds of counters, so other calls run in between."""
    totals = Counter[str]()
    for number, one in enumerate(counts, 1):
        totals.update(one)
        if number % SUMMED_AT_ONCE == 0:
            await asyncio.sleep(0)
    return totals


@dataclass(frozen=True, slots=True)
class LabelFigures:
    """`revenue`: in the shop's currency. `revenues`: by currency, the shop's first."""

    label: str
    clicks: int
    orders: int
    revenues: dict[str, Decimal]

    @classmethod
    def without_figures(cls, shop: Shop, label: str) -> "LabelFigures":
        """Of a label that only visitors clicked who said nothing."""
        return cls(label, 0, 0, {shop.settings.currency: Decimal(0)})

    @property
    def revenue(self) -> Decimal:
        return next(iter(self.revenues.values()))


@dataclass(frozen=True, slots=True)
class AgentFigures:
    """Of one agent. `visits`: calls for an ID. `revenues`: by currency, the shop's first."""

    name: str
    visits: int
    clicks: int
    orders: int
    revenues: dict[str, Decimal]


@dataclass(frozen=True, slots=True)
class Series:
    """`times`: start of each step, in seconds since 1970, from the first one that has a number. `lines`: by name, a number for each step,
    None where it is hidden."""

    times: list[int]
    lines: dict[str, list[float | None]]

    @property
    def rows(self) -> list[tuple[int, list[float | None]]]:
        """The same, step by step."""
        return list(zip(self.times, map(list, zip(*self.lines.values(), strict=True)), strict=False))

    @property
    def empty(self) -> bool:
        return not any(any(line) for line in self.lines.values())


@dataclass(frozen=True, slots=True)
class Figures:
    """`visitors`: distinct, by day and mode; `silent`: distinct, of those who said nothing, and their views, clicks and orders, in tens.
    `without_id`: answers, which are calls and not people. `consent_rate`: share of those who granted among the people who chose, None if
    nobody did. `label_revenue` counts an order for each of its labels; `order_revenue` counts it once."""

    visitors: Series
    silent: Series
    without_id: Series
    choices: Series
    label_revenue: Series
    order_revenue: Series
    errors: Series
    consent_rate: float | None
    days: list[Day]


class FigureReader:
    """`clock`: seconds since 1970. This worker's pending counts are written before counters are read."""

    def __init__(self, store: Store, counters: Counters, clock: Clock) -> None:
        self._store = store
        self._counters = counters
        self._clock = clock

    async def of_shop(self, shop: Shop, days: int, counts: PageCounts | None = None) -> Figures:
        """`counts`: if they were read already."""
        counts = counts or await self.counts(shop, days)
        step, hours = HOUR if days <= HOURLY_DAYS else DAY, newest_hours(counts.hours, days * DAY)
        first, last = min(hours), max(hours)
        starts = range(first - first % step, last + 1, step)
        steps = {time: await sum_of(one for hour, one in hours.items() if hour - hour % step == time) for time in starts}
        totals = await sum_of(steps.values())
        grants, refusals = totals["choice granted"], totals["choice refused"]
        best = [label for label, _ in Counter(_counters_of_kind(totals, "revenue")).most_common(MOST_LABELS)]
        of_days = _days(counts.days, hours)
        return Figures(
            visitors=_series_of_days(of_days, {mode: partial(_middle, mode) for mode in BY_MODE}),
            silent=_series_of_days(of_days, SILENT_LINES),
            without_id=_series(steps, {"without an ID": "issued null", "agents": "issued agent", "robots": "issued bot"}),
            choices=_series(steps, {"granted": "choice granted", "refused": "choice refused"}),
            label_revenue=_series(steps, {label: f"revenue {label}" for label in best}, MICROS),
            order_revenue=_series(steps, {"all orders": "revenue_all all", "attributed orders": "revenue_all attributed"}, MICROS),
            errors=_series(steps, {name: f"error {name}" for name in sorted(_counters_of_kind(totals, "error"))}),
            consent_rate=grants / (grants + refusals) if grants + refusals else None,
            days=of_days,
        )

    async def days(self, shop: Shop, days: int) -> list[Day]:
        """The last days in UTC, of which today is the last, oldest first."""
        counts = await self.counts(shop, days, from_midnight=True)
        return _days(counts.days, counts.hours)

    async def counts(self, shop: Shop, days: int, seconds: int = 0, *, from_midnight: bool = False) -> PageCounts:
        """Of the last days in UTC, of which today is the last, and of as many times 24 hours, but at least of the last `seconds`.
        `from_midnight`: of the hours of these days only."""
        await self._counters.write_of(shop.shop_id)
        now = int(self._clock())
        first = now - now % DAY - (days - 1) * DAY if from_midnight else now - now % HOUR - max(days * DAY, seconds) + HOUR
        hours = await self._hours(shop, first, now)
        figures = await self._store.days.figures(shop.shop_id, now - (days - 1) * DAY, now)
        return PageCounts(hours, figures)

    async def labels(self, shop: Shop, days: int, hours: Mapping[int, Counts] | None = None) -> tuple[list[LabelFigures], Counter[str]]:
        """Labels by revenue, highest first, and the totals `orders` and `revenue_all`, each for `all` and `attributed`. `hours`: if they
        were read already."""
        totals = await self.totals(shop, days * DAY, hours)
        named: dict[str, Counter[str]] = {}
        for field, number in totals.items():
            kind, _, label = field.partition(" ")
            if kind.partition(":")[0] in LABELLED:
                named.setdefault(label, Counter())[kind] = number
        figures = [LabelFigures(label, one["click"], one["order"], revenues(shop, one, "revenue")) for label, one in named.items()]
        return sorted(figures, key=lambda one: (-one.revenue, -one.clicks, one.label)), totals

    def agents(self, shop: Shop, totals: Counter[str]) -> list[AgentFigures]:
        """By revenue, highest first. `totals`: from `labels`."""
        names = {name for field in totals for kind, _, name in [field.partition(" ")] if kind.partition(":")[0] in OF_AGENTS}
        found = []
        for name in names:
            visits, clicks, orders = (totals[f"agent_{kind} {name}"] for kind in ("visits", "clicks", "orders"))
            found.append(AgentFigures(name, visits, clicks, orders, revenues(shop, totals, "agent_revenue", f" {name}")))
        return sorted(found, key=lambda one: (-next(iter(one.revenues.values())), -one.orders, -one.visits, one.name))

    async def totals(self, shop: Shop, seconds: int, hours: Mapping[int, Counts] | None = None) -> Counter[str]:
        hours = await self.hours(shop, seconds) if hours is None else newest_hours(hours, seconds)
        return await sum_of(hours.values())

    async def hours(self, shop: Shop, seconds: int) -> dict[int, Counts]:
        """Counters by the start of their hour, oldest first."""
        now = int(self._clock())
        await self._counters.write_of(shop.shop_id)
        return await self._hours(shop, now - seconds + HOUR, now)

    async def _hours(self, shop: Shop, first: int, now: int) -> dict[int, Counts]:
        counts = await self._store.activity.counts(shop.shop_id, first, now)
        return dict(zip(range(first - first % HOUR, now + 1, HOUR), counts, strict=True))

    async def calls(self, shop: Shop) -> list[dict[str, Any]]:
        """The log of tracking calls of the last day, newest first. Failures are kept longer, so the oldest entries may all be failures."""
        await self._counters.write_of(shop.shop_id)
        oldest = int(self._clock()) - DAY
        log = await self._store.activity.log(shop.shop_id)
        found, failures = [json.loads(entry) for entry in log.calls], [json.loads(entry) for entry in log.failures]
        found += [entry for entry in failures if not found or entry["time"] < found[-1]["time"]]
        return [entry for entry in found if entry["time"] > oldest]

    async def latest(self, shop: Shop) -> dict[str, int]:
        await self._counters.write_of(shop.shop_id)
        return await self._store.activity.latest(shop.shop_id)

    async def products(self, shop: Shop) -> dict[str, int]:
        """Products seen in clicks and sales: type (i for an integer, s for text) and ID → when last seen."""
        await self._counters.write_of(shop.shop_id)
        return await self._store.activity.products(shop.shop_id)


def revenues(shop: Shop, counts: Counter[str], kind: str, name: str = "") -> dict[str, Decimal]:
    """By currency, the shop's own first. `name`: of the counter, after its kind."""
    found = {shop.settings.currency: Decimal(counts[f"{kind}{name}"]) / MICROS}
    for field, number in sorted(counts.items()):
        currency = field.removeprefix(f"{kind}:").removesuffix(name)
        if number and field == f"{kind}:{currency}{name}":
            found[currency] = Decimal(number) / MICROS
    return found


async def silent_clicks(figures: Mapping[int, Counts]) -> dict[str, Estimate]:
    """By label, of visitors who said nothing. `figures`: of days in UTC."""
    totals = await sum_of(figures.values())
    return {
        name.removeprefix(SILENT_CLICK): of_tens(number, len(figures)) for name, number in totals.items() if name.startswith(SILENT_CLICK)
    }


def _days(figures: Mapping[int, Counts], hours: Mapping[int, Counts]) -> list[Day]:
    return [
        day_of(start, one, {hour: hours[hour] for hour in range(start, start + DAY, HOUR) if hour in hours})
        for start, one in figures.items()
    ]


def _counters_of_kind(totals: Counter[str], kind: str) -> dict[str, int]:
    return {name.removeprefix(f"{kind} "): number for name, number in totals.items() if name.startswith(f"{kind} ")}


def _series(steps: dict[int, Counter[str]], fields: dict[str, str], unit: int = 1) -> Series:
    return _from_first(Series(list(steps), {name: [counts[field] / unit for counts in steps.values()] for name, field in fields.items()}))


def _series_of_days(days: Sequence[Day], lines: Mapping[str, Callable[[Day], float | None]]) -> Series:
    return _from_first(Series([day.start for day in days], {name: [of(day) for day in days] for name, of in lines.items()}))


def _from_first(found: Series) -> Series:
    """Without the steps before the first number, and without lines that have none."""
    first = next((at for at, (_, numbers) in enumerate(found.rows) if any(numbers)), 0)
    return Series(found.times[first:], {name: numbers[first:] for name, numbers in found.lines.items() if any(numbers)})


def _middle(mode: str, day: Day) -> float | None:
    found = day.visitors.get(mode)
    return round(found.middle) if found else 0


def _shown(found: Estimate) -> float | None:
    return None if found.hidden else found.low


SILENT_LINES: Mapping[str, Callable[[Day], float | None]] = {
    "visitors": lambda day: _shown(day.silent.visitors),
    "views": lambda day: _shown(day.silent.views),
    "clicks": lambda day: _shown(day.silent.clicks),
    "orders": lambda day: _shown(day.silent.orders),
}
