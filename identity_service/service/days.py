"""What a shop's days came to: distinct visitors of each mode, and the figures of visitors who said nothing, where the shop counts those.

Both are gathered in the worker's memory and written once a second with the counters. A visitor is held until then by its ID, or by address
and user agent; if the store cannot be reached, it is forgotten and not kept for later, so an estimate may be low.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from identity_service.model.cookieless import network
from identity_service.model.estimate import Estimate, of_sketch, of_sketch_in_tens, of_tens, share
from identity_service.model.shop import ShopId
from identity_service.model.utc import DAY, HOUR
from identity_service.model.visitor import Mode
from identity_service.service.unread import KIND, kinds_of
from identity_service.service.visit import Surroundings
from identity_service.store import Clock, Store
from identity_service.store.counters import Counts
from identity_service.store.days import SILENT_CLICK, Seen, day_at

COUNTED, VISITS = "counted", "visits"
"""Kinds of the sketches of visitors who said nothing: one element a visitor, and one a visitor and clock hour."""
IN_TENS = frozenset({COUNTED, VISITS})
BY_MODE = (Mode.PERSISTENT.value, Mode.COOKIELESS.value)
SILENT_VIEWS, SILENT_CLICKS, SILENT_ORDERS = "silent views", "silent clicks", "silent orders"
SILENT_NAMES = (SILENT_VIEWS, SILENT_CLICKS, SILENT_ORDERS)
LONGEST_LABEL = 120
"""Characters of a label that are counted."""
MOST_NAMES = 2_000
"""From so many names in a second on, new labels do not count."""
MOST_SEEN = 50_000
"""Visitors of one kind that are held in a second. More are not counted."""


@dataclass(slots=True)
class SilentCounts:
    """Of one day of a shop. `of_hours`: by the start of the hour."""

    of_hours: dict[int, Counter[str]] = field(default_factory=dict)
    of_day: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Hour:
    """`start`: seconds since 1970."""

    start: int
    views: Estimate
    clicks: Estimate
    orders: Estimate


@dataclass(frozen=True, slots=True)
class Silent:
    """Figures of a day's visitors who said nothing. `visits`: a visitor counts once in each clock hour. `hours`: those that have a figure.
    `conversion`: orders by visitor, between two shares; None if one of them is hidden."""

    visitors: Estimate
    visits: Estimate
    views: Estimate
    clicks: Estimate
    orders: Estimate
    hours: list[Hour]

    @property
    def conversion(self) -> tuple[float, float] | None:
        return share(self.orders, self.visitors)


@dataclass(frozen=True, slots=True)
class Day:
    """`start`: seconds since 1970, in UTC. `visitors`: distinct, by mode. `without_id`: answers in mode null, which are calls and not
    people. `choices`: people who granted and who refused."""

    start: int
    visitors: dict[str, Estimate]
    without_id: int
    granted: int
    refused: int
    silent: Silent

    @property
    def with_id(self) -> Estimate:
        """Distinct visitors of all modes. A visitor who consented that day counts in two."""
        return sum(self.visitors.values(), Estimate(0, 0))

    @property
    def consent_rate(self) -> float | None:
        chose = self.granted + self.refused
        return round(self.granted / chose, 4) if chose else None


class Days:
    """What is gathered. `clock`: seconds since 1970."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._seen = defaultdict[tuple[ShopId, int, str], set[Seen]](set)
        self._silent = defaultdict[tuple[ShopId, int], SilentCounts](SilentCounts)
        self._stopped: frozenset[ShopId] = frozenset()

    def see(self, shop: ShopId, now: int, kind: str, *visitor: str | bytes) -> None:
        """`kind`: the mode of a visitor with an ID, or a kind of those who said nothing."""
        seen = self._seen[shop, now // DAY, kind]
        if len(seen) < MOST_SEEN:
            seen.add(visitor)

    def stop_counting(self, shops: frozenset[ShopId]) -> None:
        """Of visitors who said nothing, these shops keep no more figures. What is gathered of them is forgotten when it would be written.
        It may be called in any thread."""
        self._stopped |= shops

    def count_view(self, shop: ShopId, surroundings: Surroundings) -> None:
        """A page for which a visitor who said nothing was answered that it is counted."""
        now = int(self._clock())
        self._count(shop, now, SILENT_VIEWS)
        if surroundings.address and surroundings.user_agent:
            visitor = (network(surroundings.address), surroundings.user_agent)
            self.see(shop, now, COUNTED, *visitor)
            self.see(shop, now, VISITS, *visitor, str(now // HOUR))

    def count_click(self, shop: ShopId, labels: Sequence[str]) -> None:
        """Of such a visitor."""
        counted = self._count(shop, int(self._clock()), SILENT_CLICKS).of_day
        for name in (f"{SILENT_CLICK}{label[:LONGEST_LABEL]}" for label in labels):
            if name in counted or len(counted) < MOST_NAMES:
                counted[name] += 1

    def count_order(self, shop: ShopId) -> None:
        """Of such a visitor."""
        self._count(shop, int(self._clock()), SILENT_ORDERS)

    def count_call(self, shop: ShopId, call: str, unread: Sequence[str] = ()) -> None:
        """Of such a visitor. It is in no exact counter, because a share of all calls would show how many were not among the others, and in
        no log, because an entry is about one visitor."""
        now = int(self._clock())
        for name in (f"call {call}", *(f"{KIND}{call} {kind}" for kind in kinds_of(unread))):
            self._count(shop, now, f"silent {name}")

    def count_failure(self, shop: ShopId, call: str) -> None:
        """Of such a visitor, as far as the call said so."""
        now = int(self._clock())
        self._count(shop, now, f"silent call {call}")
        self._count(shop, now, f"silent error {call}")

    @property
    def waiting(self) -> set[ShopId]:
        return {shop for shop, _, _ in self._seen} | {shop for shop, _ in self._silent}

    async def write_of(self, shop: ShopId) -> None:
        """Raises StoreUnavailable. Then what was gathered is lost."""
        seen: dict[int, dict[str, set[Seen]]] = {}
        for of, day, kind in list(self._seen):
            if of == shop:
                seen.setdefault(day, {})[kind] = self._seen.pop((of, day, kind))
        silent = {day: self._silent.pop((of, day)) for of, day in list(self._silent) if of == shop}
        for day in sorted(seen.keys() | silent.keys()):
            kinds, counts = seen.get(day, {}), silent.get(day, SilentCounts())
            if shop in self._stopped:
                kinds, counts = {kind: visitors for kind, visitors in kinds.items() if kind not in IN_TENS}, SilentCounts()
            if not kinds and not counts.of_day:
                continue
            now = int(self._clock())
            await self._store.days.write(shop, day_at(day * DAY), now, kinds, IN_TENS, counts.of_hours, counts.of_day)

    def _count(self, shop: ShopId, now: int, name: str) -> SilentCounts:
        counts, hour = self._silent[shop, now // DAY], now - now % HOUR
        counts.of_day[name] += 1
        counts.of_hours.setdefault(hour, Counter())[name] += 1
        return counts


def day_of(start: int, figures: Counts, hours: Mapping[int, Counts]) -> Day:
    """`figures`: of the day. `hours`: its counters by the start of the hour."""
    totals = Counter[str]()
    for counts in hours.values():
        totals.update({name: counts[name] for name in ("issued null", "choice granted", "choice refused") if name in counts})
    visitors, visits = (of_sketch_in_tens(figures.get(f"visitors {kind}", 0)) for kind in (COUNTED, VISITS))
    views, clicks, orders = (of_tens(figures.get(name, 0)) for name in SILENT_NAMES)
    told = [_hour(hour, counts) for hour, counts in hours.items() if any(name in counts for name in SILENT_NAMES)]
    return Day(
        start,
        {mode: of_sketch(number) for mode in BY_MODE if (number := figures.get(f"visitors {mode}", 0))},
        totals["issued null"],
        totals["choice granted"],
        totals["choice refused"],
        Silent(visitors, visits, views, clicks, orders, told),
    )


def _hour(start: int, counts: Counts) -> Hour:
    return Hour(start, *(of_tens(counts.get(name, 0)) for name in SILENT_NAMES))
