"""What a shop's days came to: distinct visitors of each mode, and the figures of visitors who said nothing, where the shop counts those.

Both are gathered in the worker's memory and written once a second with the counters. A visitor is held until then by its ID, or by address
and user agent; if the store cannot be reached, it is forgotten and not kept for later, so an estimate may be low.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from identity_service.model.cookieless import network
from identity_service.model.estimate import Estimate, of_sketch, of_sketch_in_tens, of_tens, share
from identity_service.model.shop import ShopId
from identity_service.model.utc import DAY, HOUR
from identity_service.model.visitor import Mode, VisitorId
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
class Gathered:
    """Of one day of a shop. `seen`: visitors by kind. `of_hours`: by the start of the hour."""

    seen: dict[str, set[Seen]] = field(default_factory=dict)
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
        self._gathered: dict[tuple[ShopId, int], Gathered] = {}

    def see(self, shop: ShopId, now: int, mode: str, visitor: VisitorId) -> None:
        """A visitor with an ID."""
        _see(self._of(shop, now), mode, (visitor,))

    def count_view(self, shop: ShopId, surroundings: Surroundings) -> None:
        """A page for which a visitor who said nothing was answered that it is counted."""
        now = int(self._clock())
        gathered = self._count(shop, now, SILENT_VIEWS)
        if surroundings.address and surroundings.user_agent:
            visitor = (network(surroundings.address), surroundings.user_agent)
            _see(gathered, COUNTED, visitor)
            _see(gathered, VISITS, (*visitor, str(now // HOUR)))

    def count_click(self, shop: ShopId, labels: Sequence[str]) -> None:
        """Of such a visitor."""
        gathered = self._count(shop, int(self._clock()), SILENT_CLICKS)
        for name in (f"{SILENT_CLICK}{label[:LONGEST_LABEL]}" for label in labels):
            if name in gathered.of_day or len(gathered.of_day) < MOST_NAMES:
                gathered.of_day[name] += 1

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
        return {shop for shop, _ in self._gathered}

    async def write_of(self, shop: ShopId) -> None:
        """Raises StoreUnavailable. Then what was gathered is lost."""
        taken = [(day, self._gathered.pop((shop, day))) for of, day in list(self._gathered) if of == shop]
        for day, one in taken:
            now = int(self._clock())
            await self._store.days.write(shop, day_at(day * DAY), now, one.seen, IN_TENS, one.of_hours, one.of_day)

    def _count(self, shop: ShopId, now: int, name: str) -> Gathered:
        gathered, hour = self._of(shop, now), now - now % HOUR
        gathered.of_day[name] += 1
        gathered.of_hours.setdefault(hour, Counter())[name] += 1
        return gathered

    def _of(self, shop: ShopId, now: int) -> Gathered:
        key = (shop, now // DAY)
        found = self._gathered.get(key)
        if found is None:
            found = self._gathered[key] = Gathered()
        return found


def _see(gathered: Gathered, kind: str, visitor: Seen) -> None:
    seen = gathered.seen.get(kind)
    if seen is None:
        seen = gathered.seen[kind] = set()
    if len(seen) < MOST_SEEN:
        seen.add(visitor)


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
