"""Reports about a shop's tracking: orders and why they are attributed or not, labels, the log of calls, products, and hourly counters as
series over time."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar

from identity_service.model.attribution import ATTRIBUTED, EXPLANATIONS, ONE_LABEL, Break
from identity_service.model.estimate import Estimate, of_tens
from identity_service.model.event import EventType
from identity_service.model.handle import Handle, handle_named
from identity_service.model.person import Person
from identity_service.model.shop import Shop
from identity_service.model.utc import DAY, HOUR
from identity_service.model.visitor import VisitorId
from identity_service.service.counters import LABELLED, MICROS, OF_AGENTS, Counters
from identity_service.service.days import BY_MODE, Day, day_of
from identity_service.service.returns import shown_lines
from identity_service.store import Clock, Store
from identity_service.store.counters import Counts
from identity_service.store.days import SILENT_CLICK
from identity_service.store.sales import names_in, unpacked_credits

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"
ENOUGH_CLICKS = 10
"""With fewer clicks, a single label is normal."""
HOURLY_DAYS = 2
"""Up to so many days, a point is an hour; beyond, a day. The first day is incomplete, so that charts and totals cover the same hours."""
MOST_LABELS = 8
SUMMED_AT_ONCE = 8
"""Hours that are added up before other calls run."""
ORDERS_AT_ONCE = 20
"""Orders that are read in one batch. An order may have 128 KiB."""
MOST_LISTED = 20
"""Product IDs and labels of an order that a list shows."""
T = TypeVar("T")


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
class Order:
    """`products`: from `shown_lines`. `revenue`: without returns. `credits`: members of attribution.Credit. `mode`: null, none,
    cookieless or persistent, at the time of the sale. `verified`: a private key reported it. `handles`: the email and the customer ID.
    `channel`: of an order that no person placed: agent:NAME, or bot."""

    sale: str
    time: int
    verified: bool
    mode: str
    revenue: Decimal
    currency: str
    products: list[dict[str, Any]]
    visitor: VisitorId | None
    credits: list[dict[str, Any]]
    missing: Break | None
    handles: list[Handle]
    channel: str | None

    @property
    def labels(self) -> list[str]:
        return list(dict.fromkeys(label for credit in self.credits for label in credit["labels"]))


@dataclass(frozen=True, slots=True)
class ListedOrder:
    """What a list shows of an order: its first product IDs and labels, and how many follow. `attributed`: whether a click led to it."""

    sale: str
    time: int
    verified: bool
    mode: str
    revenue: Decimal
    currency: str
    visitor: VisitorId | None
    channel: str | None
    attributed: bool
    products: list[str | int]
    more_products: int
    labels: list[str]
    more_labels: int

    @classmethod
    def of(cls, order: Order) -> "ListedOrder":
        bought = [line["id"] for line in order.products if line["id"] is not None]
        labels = order.labels
        return cls(
            sale=order.sale,
            time=order.time,
            verified=order.verified,
            mode=order.mode,
            revenue=order.revenue,
            currency=order.currency,
            visitor=order.visitor,
            channel=order.channel,
            attributed=bool(order.credits),
            products=bought[:MOST_LISTED],
            more_products=len(bought[MOST_LISTED:]),
            labels=labels[:MOST_LISTED],
            more_labels=len(labels[MOST_LISTED:]),
        )


@dataclass(frozen=True, slots=True)
class OrderFilter:
    """Which orders are wanted. `since` and `until`: seconds since 1970, the second one excluded. `product`: an ID as text."""

    since: int | None = None
    until: int | None = None
    attributed: bool | None = None
    product: str | None = None

    def has(self, order: Order) -> bool:
        """Whether the order is wanted. The times are not looked at: only orders of these times are read."""
        of_product = self.product is None or any(str(line["id"]) == self.product for line in order.products if line["id"] is not None)
        return of_product and (self.attributed is None or self.attributed == bool(order.credits))


ALL_ORDERS = OrderFilter()


@dataclass(frozen=True, slots=True)
class Explanation:
    """`broken`: the first missing link, None for an attributed order. `hint`: a problem of an attributed order."""

    order: Order
    broken: Break | None
    text: str
    hint: str | None = None


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


class Orders:
    """`clock`: seconds since 1970. This worker's pending counts are written before counters are read.

    Anybody with the public key can make large orders. So lists keep of each order only what `form` makes of it, and other calls run between
    two orders."""

    def __init__(self, store: Store, counters: Counters, clock: Clock) -> None:
        self._store = store
        self._counters = counters
        self._clock = clock

    async def search(
        self, shop: Shop, form: Callable[[Order], T], cursor: str | None, most: int, most_read: int, wanted: OrderFilter = ALL_ORDERS
    ) -> tuple[list[T], str | None]:
        """At most `most` orders that are wanted, newest first, among the next `most_read`; and the cursor of the rest."""
        digests = await self._store.activity.orders(shop.shop_id, cursor, most_read + 1, wanted.since, wanted.until)
        shown: list[T] = []
        async with aclosing(self._each(shop, digests[:most_read])) as read:
            async for digest, order in read:
                if wanted.has(order):
                    shown.append(form(order))
                    if len(shown) == most:
                        return shown, digest if digest != digests[-1] else None
        return shown, digests[most_read - 1] if len(digests) > most_read else None

    async def of_handle(self, shop: Shop, form: Callable[[Order], T], handle: Handle, shown: slice) -> tuple[list[T], int]:
        """Orders that name the email or customer ID, newest first, those that `shown` selects; and how many there are, at most 500."""
        return await self._of_person(shop, form, handle, await self._store.sales.of_handle(shop.shop_id, handle), shown)

    async def of_visitor(self, shop: Shop, form: Callable[[Order], T], visitor: VisitorId, shown: slice) -> tuple[list[T], int]:
        """As `of_handle`, of the orders that name the visitor."""
        return await self._of_person(shop, form, visitor, await self._store.visitors.sale_digests(shop.shop_id, visitor), shown)

    async def _of_person(
        self, shop: Shop, form: Callable[[Order], T], person: Person, digests: Sequence[str], shown: slice
    ) -> tuple[list[T], int]:
        """Only the heads of orders that are not shown are read. A person may be erased between the two reads."""
        heads = await self._store.sales.named_by(shop.shop_id, digests)
        named = sorted((-int(head["time"]), digest) for digest, head in heads.items() if person in _persons_in(head))
        each = self._each(shop, [digest for _, digest in named[shown]])
        return [form(order) async for _, order in each if person in (order.visitor, *order.handles)], len(named)

    async def _each(self, shop: Shop, digests: Sequence[str]) -> AsyncGenerator[tuple[str, Order]]:
        """Those that are still stored, each with its digest."""
        for start in range(0, len(digests), ORDERS_AT_ONCE):
            part = digests[start : start + ORDERS_AT_ONCE]
            for digest, stored in zip(part, await self._store.sales.each(shop.shop_id, part), strict=True):
                if stored:
                    yield digest, _order(shop, stored)
                    await asyncio.sleep(0)

    async def order(self, shop: Shop, sale: str) -> Order | None:
        stored = await self._store.sales.by_id(shop.shop_id, sale)
        return _order(shop, stored) if stored else None

    async def explain(self, shop: Shop, order: Order) -> Explanation:
        if order.credits:
            hint = ONE_LABEL if await self._has_one_label(shop) else None
            return Explanation(order, None, ATTRIBUTED, hint)
        broken = order.missing or Break.NO_CLICK
        if order.visitor is None and order.mode in {"cookieless", "persistent"}:
            broken = Break.ERASED
        elif broken is Break.NO_CLICK and order.visitor and await self._similar_clicked(shop, order):
            broken = Break.SIMILAR_VISITOR
        return Explanation(order, broken, EXPLANATIONS[broken])

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
        first = now - seconds + HOUR
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

    async def _has_one_label(self, shop: Shop) -> bool:
        figures, _ = await self.labels(shop, shop.settings.attribution_days)
        clicked = [one for one in figures if one.clicks]
        return len(clicked) == 1 and clicked[0].clicks >= ENOUGH_CLICKS

    async def _similar_clicked(self, shop: Shop, order: Order) -> bool:
        """Whether an ID one character away clicked a product of the order."""
        bought = {str(line["id"]) for line in order.products if line["id"] is not None}
        for near in await self._store.events.with_events(shop.shop_id, list(one_character_away(str(order.visitor)))):
            clicks = await self._store.events.of(shop.shop_id, near, kind=EventType.CLICK)
            clicked = {str(product) for click in clicks for product in click.products}
            if clicked & bought:
                return True
        return False


def _persons_in(head: Mapping[str, str]) -> list[Person]:
    """Whom an order names."""
    visitors = [VisitorId(head["visitor"])] if "visitor" in head else []
    return [*visitors, *map(handle_named, names_in(head))]


def one_character_away(visitor: str) -> Iterator[VisitorId]:
    """Every ID that differs by one character: changed, added or left out."""
    found = {visitor[:at] + visitor[at + 1 :] for at in range(len(visitor))}
    found |= {visitor[:at] + letter + visitor[at + 1 :] for at in range(len(visitor)) for letter in ALPHABET}
    found |= {visitor[:at] + letter + visitor[at:] for at in range(len(visitor) + 1) for letter in ALPHABET}
    found |= {visitor.lower(), visitor.upper()}
    return (VisitorId(one) for one in sorted(found - {visitor, ""}))


def revenues(shop: Shop, counts: Counter[str], kind: str, name: str = "") -> dict[str, Decimal]:
    """By currency, the shop's own first. `name`: of the counter, after its kind."""
    found = {shop.settings.currency: Decimal(counts[f"{kind}{name}"]) / MICROS}
    for field, number in sorted(counts.items()):
        currency = field.removeprefix(f"{kind}:").removesuffix(name)
        if number and field == f"{kind}:{currency}{name}":
            found[currency] = Decimal(number) / MICROS
    return found


def _order(shop: Shop, stored: dict[str, str]) -> Order:
    missing = stored.get("missing")
    return Order(
        sale=stored["sale"],
        time=int(stored["time"]),
        verified="verified" in stored,
        mode=stored["mode"],
        revenue=Decimal(stored["revenue"]),
        currency=stored.get("currency", shop.settings.currency),
        products=shown_lines(stored),
        visitor=VisitorId(stored["visitor"]) if "visitor" in stored else None,
        credits=[credit.members() for credit in unpacked_credits(stored)],
        missing=Break(missing) if missing else None,
        handles=[handle_named(name) for name in names_in(stored)],
        channel=stored.get("channel"),
    )


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
    """`clock`: seconds since 1970."""

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
        hours = await self._store.activity.counts(shop.shop_id, first, now)
        figures = await self._store.days.figures(shop.shop_id, now - (days - 1) * DAY, now)
        return PageCounts({first + index * HOUR: one for index, one in enumerate(hours)}, figures)


def _days(figures: Mapping[int, Counts], hours: Mapping[int, Counts]) -> list[Day]:
    return [
        day_of(start, one, {hour: hours[hour] for hour in range(start, start + DAY, HOUR) if hour in hours})
        for start, one in figures.items()
    ]


async def silent_clicks(figures: Mapping[int, Counts]) -> dict[str, Estimate]:
    """By label, of visitors who said nothing. `figures`: of days in UTC."""
    totals = await sum_of(figures.values())
    return {
        name.removeprefix(SILENT_CLICK): of_tens(number, len(figures)) for name, number in totals.items() if name.startswith(SILENT_CLICK)
    }


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
