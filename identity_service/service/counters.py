"""Counters, seen products and the tracking log, collected in the worker's memory and written once a second.

A killed worker loses the counts of its last second. Only this part fails open, because a counter must never cost a sale. Orders, links and
events are always written at once.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from msgspec import Struct

from identity_service.errors import StoreUnavailable
from identity_service.model.agent import Agent, agent_of_channel
from identity_service.model.event import ProductId, compact
from identity_service.model.shop import ShopId
from identity_service.model.utc import HOUR
from identity_service.model.visitor import VisitorId
from identity_service.service.days import LONGEST_LABEL, Days
from identity_service.service.unread import KIND, kinds_of
from identity_service.store import Clock, Store
from identity_service.store.counters import MOST_COUNTERS, Log, Shown

MICROS = 1_000_000
"""Counters hold revenue in millionths of the currency. The revenue of an order itself is exact."""
MOST_WAITING = 1_000
LABELLED = frozenset({"click", "order", "revenue"})
"""Kinds of counters whose names contain labels. Anybody may send those."""
OF_AGENTS = frozenset({"agent_visits", "agent_clicks", "agent_orders", "agent_revenue"})
"""Kinds of counters whose names contain those of agents."""


@dataclass(frozen=True, slots=True)
class Amounts:
    """What an order adds to the shop's figures: its revenue, and the revenue of each label that it is credited to. It holds nothing
    personal. `currency`: empty for the shop's own; amounts in different currencies are never added. `channel`: of an order that no person
    placed."""

    revenue: Decimal
    labels: Mapping[str, Decimal]
    currency: str = ""
    channel: str = ""

    @property
    def negative(self) -> "Amounts":
        return Amounts(-self.revenue, {label: -amount for label, amount in self.labels.items()}, self.currency, self.channel)


@dataclass(slots=True)
class Pending:
    """What was collected since the last write. `calls`: how often names were counted together in an hour. `hours`: the same by name, and
    amounts."""

    calls: dict[tuple[int, tuple[str, ...]], int] = field(default_factory=dict)
    hours: dict[int, Counter[str]] = field(default_factory=dict)
    products: dict[str, Shown] = field(default_factory=dict)
    log: deque[tuple[int, "LoggedCall"]] = field(default_factory=lambda: deque(maxlen=MOST_WAITING))
    failures: deque[tuple[int, "LoggedCall"]] = field(default_factory=lambda: deque(maxlen=MOST_WAITING))
    last: dict[str, int] = field(default_factory=dict)


class LoggedCall(Struct, frozen=True):
    """One tracking call for the log. `mode`: its subject's, or bot or agent, or None for a call without a visit. `error`: the text that the
    caller got, None for a success. `unread`: names of arguments that were left out."""

    call: str
    mode: str | None
    labels: tuple[str, ...] | None = None
    error: str | None = None
    unread: tuple[str, ...] = ()

    def entry(self, time: int) -> str:
        """The stored form of a log entry."""
        found: dict[str, object] = {"time": time, "call": self.call, "mode": self.mode, "outcome": "ok" if self.error is None else "error"}
        found |= {"labels": self.labels} if self.labels is not None else {}
        found |= {"unread": self.unread} if self.unread else {}
        return compact(found | ({"error": self.error} if self.error is not None else {}))


class Counters:
    """`clock`: seconds since 1970. `most`: names counted in one hour. `days`: written together with the counters."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self.days = Days(store, clock)
        self.most = MOST_COUNTERS
        self._shops: dict[ShopId, Pending] = {}

    def count_call(self, shop: ShopId, called: LoggedCall, visitor: VisitorId | None = None) -> None:
        now, gathered = int(self._clock()), self._of(shop)
        if visitor is not None and called.mode is not None:
            self.days.see(shop, now, called.mode, visitor)
        if called.error is not None:
            self._count(gathered, now, (f"call {called.call}", f"error {called.call}"))
            gathered.failures.append((now, called))
        elif called.mode is None:
            self._count(gathered, now, (f"call {called.call}",))
        else:
            unread = [f"{KIND}{called.call} {kind}" for kind in kinds_of(called.unread)] if called.unread else ()
            self._count(gathered, now, (f"call {called.call}", f"mode {called.mode}", *unread))
        gathered.log.append((now, called))

    def count_beyond_quota(self, shop: ShopId) -> None:
        """A call with a public key was refused, because its client or the key exceeded its bytes per hour."""
        self._count(self._of(shop), int(self._clock()), ("calls beyond quota",))

    def count_crowded_links(self, shop: ShopId, number: int) -> None:
        """Visitors were linked to an email or customer ID that holds more of them than one person has, or not, because it is full."""
        if number:
            now = int(self._clock())
            self._add(self._of(shop), now, {"links crowded": number})

    def count_identity(self, shop: ShopId, mode: str, visitor: VisitorId | None, choice: str | None) -> None:
        """`mode`: of the ID that was issued; null if none was, bot or agent for those. `choice`: a person's, granted or refused, that was
        made with the call."""
        now = int(self._clock())
        if visitor is not None:
            self.days.see(shop, now, mode, visitor)
        issued = f"issued {mode}"
        self._count(self._of(shop), now, (issued, f"choice {choice}") if choice else (issued,))

    def count_agent(self, shop: ShopId, agent: Agent) -> None:
        """An agent asked for an ID and got none."""
        names = ("issued agent", f"agent_visits {agent.name}", f"agents {agent.known_by}")
        self._count(self._of(shop), int(self._clock()), names)

    def count_automated_click(self, shop: ShopId, agent: Agent | None) -> None:
        """`agent`: None for a robot."""
        names = ("clicks agent", f"agent_clicks {agent.name}") if agent else ("clicks bot",)
        self._count(self._of(shop), int(self._clock()), names)

    def count_click(self, shop: ShopId, product: ProductId, labels: Sequence[str], *, visitor: bool, private: bool) -> None:
        now, gathered = int(self._clock()), self._of(shop)
        names = [f"click {label[:LONGEST_LABEL]}" for label in labels] or ["clicks unlabelled"]
        self._count(gathered, now, ("clicks all", *names) if visitor else ("clicks all", "clicks visitorless", *names))
        gathered.last["click"] = now
        self._see(gathered, [product], Shown(now, private))

    def count_sale(self, shop: ShopId, time: int, counted: Amounts, products: Sequence[ProductId], *, private: bool) -> None:
        """`time`: of the order."""
        self._count_order(shop, time, counted, 1, attributed=bool(counted.labels))
        now, gathered = int(self._clock()), self._of(shop)
        gathered.last["sale"] = now
        self._see(gathered, products, Shown(now, private))

    def count_replaced_sale(self, shop: ShopId, time: int, counted: Amounts) -> None:
        """Subtracts an order that counted at `time`, because another one replaces it."""
        self._count_order(shop, time, counted.negative, -1, attributed=bool(counted.labels))

    def count_return(self, shop: ShopId, time: int, counted: Amounts, *, attributed: bool) -> None:
        """Subtracts what was returned of an order that counted at `time`. The order itself stays counted."""
        self._count_order(shop, time, counted.negative, 0, attributed=attributed)

    def _count_order(self, shop: ShopId, time: int, counted: Amounts, number: int, *, attributed: bool) -> None:
        gathered, foreign = self._of(shop), f":{counted.currency}" if counted.currency else ""
        agent = agent_of_channel(counted.channel) if counted.channel else None
        automated = ["agent" if agent else "bot"] if counted.channel else []
        for kind in ["all", *(["attributed"] if attributed else []), *automated]:
            self._add(gathered, time, {f"orders {kind}": number, f"revenue_all{foreign} {kind}": _micros(counted.revenue)})
        if agent:
            self._add(gathered, time, {f"agent_orders {agent}": number, f"agent_revenue{foreign} {agent}": _micros(counted.revenue)})
        for label, amount in counted.labels.items():
            name = label[:LONGEST_LABEL]
            self._add(gathered, time, {f"order {name}": number, f"revenue{foreign} {name}": _micros(amount)})

    async def write(self) -> None:
        """Writes all shops. A shop that cannot be written waits for the next time, and does not block the others. Raises
        StoreUnavailable."""
        shops = dict.fromkeys([*self._shops, *self.days.waiting])
        written = await asyncio.gather(*map(self.write_of, shops), return_exceptions=True)
        for fault in filter(None, written):
            raise fault

    async def write_of(self, shop: ShopId) -> None:
        """Raises StoreUnavailable; then the counts wait for the next time."""
        await self.days.write_of(shop)
        gathered = self._shops.pop(shop, None)
        if gathered is None:
            return
        self._sum_up(gathered)
        log = Log(*([called.entry(time) for time, called in entries] for entries in (gathered.log, gathered.failures)))
        try:
            await self._store.activity.write(shop, gathered.hours, gathered.products, log, gathered.last)
        except StoreUnavailable:
            self._give_back(shop, gathered)
            raise

    def _give_back(self, shop: ShopId, gathered: Pending) -> None:
        newer = self._of(shop)
        for start, counts in gathered.hours.items():
            newer.hours.setdefault(start, Counter()).update(counts)
        newer.products = gathered.products | newer.products
        newer.last = gathered.last | newer.last
        newer.log.extendleft(reversed(gathered.log))
        newer.failures.extendleft(reversed(gathered.failures))

    def _of(self, shop: ShopId) -> Pending:
        found = self._shops.get(shop)
        if found is None:
            found = self._shops[shop] = Pending()
        return found

    def _count(self, gathered: Pending, now: int, names: tuple[str, ...]) -> None:
        """Counts the tuple of names. It is split when it is written, because calls of one kind have the same names."""
        one = (now - now % HOUR, names)
        gathered.calls[one] = gathered.calls.get(one, 0) + 1
        if len(gathered.calls) > MOST_WAITING:
            self._sum_up(gathered)

    def _sum_up(self, gathered: Pending) -> None:
        while gathered.calls:
            (hour, names), number = gathered.calls.popitem()
            self._add(gathered, hour, dict.fromkeys(names, number))

    def _add(self, gathered: Pending, now: int, numbers: dict[str, int]) -> None:
        """Applies the store's cap, even while the store is down: labels beyond it are counted together, and amounts in other currencies are
        dropped."""
        start = now - now % HOUR
        counts = gathered.hours.get(start)
        if counts is None:
            counts = gathered.hours[start] = Counter()
        full = len(counts) >= self.most
        for name, number in numbers.items():
            kind = name.partition(" ")[0] if full and name not in counts else ""
            if ":" not in kind:
                counts[f"{kind} ..." if kind in LABELLED | OF_AGENTS else name] += number

    def _see(self, gathered: Pending, products: Sequence[ProductId], seen: Shown) -> None:
        waiting = gathered.products
        for product in products[:100]:
            name = f"{'i' if isinstance(product, int) else 's'}{product}"
            waiting[name] = seen if name not in waiting else Shown(seen.time, seen.private or waiting[name].private)
        while len(waiting) > MOST_WAITING:
            del waiting[next((name for name, one in waiting.items() if not one.private), next(iter(waiting)))]


def _micros(amount: Decimal) -> int:
    return int(amount.scaleb(6))
