"""How well a shop's tracking works: not started, green, amber or red. It depends on the age of the last click and sale, on errors, on
missing labels and visitors, on arguments that could not be read, and on whether visitors have addresses and handles of their own.

Addresses are counted in the worker's memory, for this hour and the one before. No address is kept: the first two of an hour, and the first
few user agents, are held as 64 bits of a hash, keyed by a random key of this start.
"""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from identity_service.model.shop import Shop, ShopId
from identity_service.model.utc import DAY, HOUR
from identity_service.service.days import SILENT_CLICKS
from identity_service.service.figures import FigureReader, newest_hours
from identity_service.service.unread import UnreadShare, shares_of
from identity_service.store import Clock
from identity_service.store.counters import Counts

ENOUGH_VISITS, ENOUGH_AGENTS = 10, 5
"""Fewer visits, or fewer browsers at one public address, may be one household."""
MOST_ADDRESSES = 2
RHYTHM = 14 * DAY
"""Seconds over which a shop's usual interval between clicks, and between sales, is measured."""
ENOUGH, ENOUGH_DAYS = 5, 3
"""Clicks or sales in those seconds, and days (UTC) with at least one. With fewer there is no usual interval yet."""
LATE, MISSING = 3, 10
"""Multiples of the usual interval (a day, if there is none yet) after which silence is amber, or red; but not before one hour, or six."""
BAD_SHARE, WORSE_SHARE = 0.05, 0.25
MOST_UNREAD = 3
"""Kinds of unreadable arguments among the reasons."""
CROWDED = (
    "links of the last day were to an email or customer ID with more visitors than one person has, like that of a till; name such values"
    " in the shop's never_link"
)
OF_PERSONS = frozenset({"email", "customer"})
NEXT_STEPS = {
    "click": "Put the snippet into the shop's pages, or send POST /v2/log/click.",
    "sale": "Send POST /v2/log/sale from the page or the server that confirms an order.",
}


@dataclass(slots=True)
class SeenAddresses:
    """`local`: visits from addresses that no visitor can have. `addresses` and `agents`: digests of the first few."""

    visits: int = 0
    local: int = 0
    addresses: set[bytes] = field(default_factory=set)
    agents: set[bytes] = field(default_factory=set)

    def __add__(self, other: "SeenAddresses") -> "SeenAddresses":
        visits, local = self.visits + other.visits, self.local + other.local
        return SeenAddresses(visits, local, self.addresses | other.addresses, self.agents | other.agents)

    @property
    def local_share(self) -> float:
        return self.local / self.visits if self.visits >= ENOUGH_VISITS else 0.0

    @property
    def from_one(self) -> bool:
        """Whether all visits have one address: one that no visitor can have, or one that many browsers share."""
        several = self.local > 0 or len(self.agents) >= ENOUGH_AGENTS
        return self.visits >= ENOUGH_VISITS and len(self.addresses) == 1 and several


class Addresses:
    """`clock`: seconds since 1970."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._hours: dict[tuple[ShopId, int], SeenAddresses] = {}

    def count(self, shop: ShopId, address: str, user_agent: str | None, *, local: bool) -> None:
        """Counts one visit."""
        hour = int(self._clock()) // HOUR
        seen = self._hours.get((shop, hour))
        if seen is None:
            self._hours = {name: one for name, one in self._hours.items() if name[1] >= hour - 1}
            seen = self._hours[shop, hour] = SeenAddresses()
        seen.visits += 1
        seen.local += local
        if len(seen.addresses) < MOST_ADDRESSES:
            seen.addresses.add(self._digest(address))
        if len(seen.agents) < ENOUGH_AGENTS:
            seen.agents.add(self._digest(user_agent or ""))

    def seen(self, shop: ShopId) -> SeenAddresses:
        hour = int(self._clock()) // HOUR
        return self._hours.get((shop, hour - 1), SeenAddresses()) + self._hours.get((shop, hour), SeenAddresses())

    def _digest(self, text: str) -> bytes:
        return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8, key=self._key).digest()


class Light(StrEnum):
    """From the best to the worst. Of several, the worst counts."""

    GREEN = "green"
    NOT_STARTED = "not_started"
    AMBER = "amber"
    RED = "red"


LIGHTS = list(Light)


@dataclass(frozen=True, slots=True)
class Activity:
    """Clicks, or sales. `last`: the last one ever. In the last fourteen days: their `number`, the `days` with one, and the `first`."""

    last: int | None
    number: int
    days: int
    first: int

    @property
    def usual(self) -> int | None:
        """Seconds from one to the next. None if there were too few."""
        if self.last is None or self.number < ENOUGH or self.days < ENOUGH_DAYS:
            return None
        return max((self.last - self.first) // (self.number - 1), 1)


@dataclass(frozen=True, slots=True)
class Rhythm:
    """`age` and `usual`: seconds; None if there never was one, or there is no usual interval yet."""

    light: Light
    age: int | None
    usual: int | None
    text: str


@dataclass(frozen=True, slots=True)
class Health:
    """`without_…`: shares of all clicks of the last day. `error_rate`: share of all calls of this clock hour and the one before. `unread`:
    arguments that could not be read, last day."""

    light: Light
    click: Rhythm
    sale: Rhythm
    error_rate: float
    without_labels: float
    without_visitor: float
    unread: list[UnreadShare]
    reasons: list[str]


class HealthCheck:
    """`clock`: seconds since 1970."""

    def __init__(self, figures: FigureReader, addresses: Addresses, clock: Clock) -> None:
        self._figures = figures
        self._addresses = addresses
        self._clock = clock

    async def of_shop(self, shop: Shop, hours: Mapping[int, Counts] | None = None) -> Health:
        """`hours`: if they were read already."""
        hours = await self._figures.hours(shop, RHYTHM) if hours is None else newest_hours(hours, RHYTHM)
        day, hour = [await self._figures.totals(shop, seconds, hours) for seconds in (DAY, 2 * HOUR)]
        latest, now = await self._figures.latest(shop), int(self._clock())
        clicks = activity_of(with_silent_clicks(hours), "clicks all", last_click(hours, latest.get("click"), now))
        sales = activity_of(hours, "orders all", latest.get("sale"))
        click, sale = rhythm("click", clicks, sales, now), rhythm("sale", sales, clicks, now)
        errors = sum(number for name, number in hour.items() if name.startswith("error "))
        rate = _share(errors, sum(number for name, number in hour.items() if name.startswith("call ")))
        unlabelled, visitorless = (_share(day[name], day["clicks all"]) for name in ("clicks unlabelled", "clicks visitorless"))
        told = [one for one in (click, sale) if one.light is not Light.GREEN]
        lights = [one.light for one in told]
        reasons = [one.text for one in told]
        for share, worst, text in (
            (rate, Light.RED, "of the calls of the last hour failed; GET /v1/calls shows the errors"),
            (unlabelled, Light.AMBER, "of the clicks carried no labels and cannot be attributed"),
            (visitorless, Light.AMBER, "of the clicks had no visitor and cannot be attributed"),
        ):
            if share > BAD_SHARE:
                lights.append(worst if share > WORSE_SHARE else Light.AMBER)
                reasons.append(f"{share:.0%} {text}")
        if beyond := hour["calls beyond quota"]:
            lights.append(Light.AMBER)
            reasons.append(f"{beyond:,} calls of the last hour were refused because a client or the public key exceeded its quota")
        if hidden := hidden_visitors(self._addresses.seen(shop.shop_id)):
            lights.append(Light.AMBER)
            reasons.append(hidden)
        if crowded := day["links crowded"]:
            lights.append(Light.AMBER)
            reasons.append(f"{crowded:,} {CROWDED}")
        unread = shares_of(day)
        if frequent := frequently_unread(shop, unread):
            lights.append(Light.AMBER)
            reasons += frequent
        return Health(max(lights, key=LIGHTS.index, default=Light.GREEN), click, sale, rate, unlabelled, visitorless, unread, reasons)


def frequently_unread(shop: Shop, found: Sequence[UnreadShare]) -> list[str]:
    """A text for each of the most frequent kinds. A shop that names values never to link expects emails and customer IDs among them."""
    expected = OF_PERSONS if shop.settings.never_link else frozenset()
    return [one.text for one in found if one.share > BAD_SHARE and one.argument not in expected][:MOST_UNREAD]


def hidden_visitors(found: SeenAddresses) -> str | None:
    """A text if visitors seem to come from a proxy's address. They would all share one ID, or have none that lasts."""
    if found.from_one:
        what = "all visitors of the last hour come from one address"
    elif found.local_share > WORSE_SHARE:
        what = f"{found.local_share:.0%} of the visits of the last hour come from a private, loopback or link-local address"
    else:
        return None
    return f"{what}, probably a proxy's; name your proxies in server.trusted_proxies, and send each visitor's own address in client.ip"


def with_silent_clicks(hours: Mapping[int, Counts]) -> dict[int, Counts]:
    """Clicks of visitors who said nothing count, too, as far as there are ten."""
    return {start: {"clicks all": counts.get("clicks all", 0) + counts.get(SILENT_CLICKS, 0)} for start, counts in hours.items()}


def last_click(hours: Mapping[int, Counts], last: int | None, now: int) -> int | None:
    """`last`: of a visitor whose clicks are counted one by one. Of the others, only the hour is known."""
    silent = [min(start + HOUR, now) for start, counts in hours.items() if counts.get(SILENT_CLICKS)]
    return max([*silent, *([] if last is None else [last])], default=None)


def activity_of(hours: Mapping[int, Counts], counter: str, last: int | None) -> Activity:
    """`hours`: counters by the start of their hour."""
    found = {start: counts[counter] for start, counts in hours.items() if counts.get(counter)}
    return Activity(last, sum(found.values()), len({start // DAY for start in found}), min(found, default=0))


def rhythm(name: str, one: Activity, other: Activity, now: int) -> Rhythm:
    """`other`: sales for clicks, clicks for sales. If there never was one, that is red once the other has a usual interval."""
    if one.last is None:
        light = Light.NOT_STARTED if other.usual is None else Light.RED
        return Rhythm(light, None, None, f"No {name} has been logged yet. {NEXT_STEPS[name]}")
    age, usual = max(now - one.last, 0), one.usual
    expected = usual or DAY
    text = f"The last {name} was logged {duration(age)} ago."
    if age > max(MISSING * expected, 6 * HOUR):
        return Rhythm(Light.RED, age, usual, f"{text} No {name}s recently.")
    if age > max(LATE * expected, HOUR):
        return Rhythm(Light.AMBER, age, usual, f"{text} {'Longer than usual.' if usual else 'None since.'}")
    return Rhythm(Light.GREEN, age, usual, text)


def duration(seconds: int) -> str:
    for name, length in (("day", DAY), ("hour", HOUR), ("minute", 60)):
        if seconds >= length:
            number = seconds // length
            return f"{number} {name}{'s' if number != 1 else ''}"
    return "less than a minute"


def every(seconds: int) -> str:
    """An interval in words: every 7 days, every hour."""
    return f"every {duration(seconds).removeprefix('1 ')}" if seconds >= 60 else "more than once a minute"


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0
