"""What is kept of a shop as a whole: its orders, hourly counters, seen products, and the log of its tracking calls. It is not personal."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from identity_service.model.shop import ShopId
from identity_service.model.utc import DAY, HOUR
from identity_service.store.events import LabelStore
from identity_service.store.keys import Keys
from identity_service.store.redis.client import StoreClient
from identity_service.store.redis.command import Command, Part, call, read, write

MOST_COUNTERS = 500
"""The most names in one hour. Most of them are labels."""
HOURS_AT_ONCE = 8
"""Hours that are read in one pipeline."""
CLICKED = "click "
"""The prefix of a label whose clicks are counted."""
MOST_COUNTED = 2**63 - 1
"""The highest number of one name in one hour that the store can hold, and below zero the lowest. Revenue is counted in millionths."""
MOST_PRODUCTS = 10_000
MOST_CALLS = 1_000
CALLS_LIFE = DAY
COUNTERS_LIFE = 400 * DAY

PUBLIC_BELOW = 2**31
"""Subtracted from the time of a product that only public keys showed. The result is its score."""

Counts = Mapping[str, int]


class Shown(Struct, frozen=True):
    """`time`: when a product was last seen, in seconds since 1970. `private`: a private key reported it."""

    time: int
    private: bool


class Log(Struct, frozen=True):
    """`calls`: entries of all tracking calls. `failures`: those that failed, again, so that many good calls do not push out the few that
    explain a fault."""

    calls: Sequence[str]
    failures: Sequence[str]


class ActivityStore:
    """`most_orders`: how many of a shop's newest orders are listed. `order_life`: in seconds."""

    def __init__(self, client: StoreClient, keys: Keys, labels: LabelStore, most_orders: int, order_life: int) -> None:
        self._client = client
        self._keys = keys
        self.labels = labels
        self._most_orders = most_orders
        self._order_life = order_life
        self.most_counters, self.most_products, self.most_calls = MOST_COUNTERS, MOST_PRODUCTS, MOST_CALLS

    def listing(self, shop: ShopId, digest: str, at: float) -> Part:
        """`at`: seconds since 1970, to the millisecond, so that orders of one second keep their sequence. The latest listing of an order
        counts."""
        return [self._keys.orders(shop)], (f"{at:.3f}", digest, self._most_orders, self._order_life)

    async def orders(self, shop: ShopId, after: str | None, most: int, since: int | None = None, until: int | None = None) -> list[str]:
        """At most `most` digests after `after`, newest first. Orders that were added meanwhile change nothing. Empty if `after` is
        unknown. `since`, `until`: seconds since 1970; orders from `since` on and before `until`."""
        key = self._keys.orders(shop)
        newer, until_here, rank = await self._client.run(
            read("ZCOUNT", key, "+inf" if until is None else until, "+inf"),
            read("ZCOUNT", key, "-inf" if since is None else since, "+inf"),
            read("ZREVRANK", key, after or ""),
        )
        if after is not None and rank is None:
            return []
        start = max(int(newer), 0 if after is None else int(rank) + 1)
        last = min(start + most, int(until_here)) - 1
        if last < start:
            return []
        [found] = await self._client.run(read("ZREVRANGE", key, start, last))
        return list(found)

    async def write(self, shop: ShopId, hours: Mapping[int, Counts], products: Mapping[str, Shown], log: Log, last: Counts) -> None:
        """Adds counters by the start of their hour, seen products, log entries oldest first, and times of the last calls. Gives the clicked
        labels their numbers."""
        clicked = {name.removeprefix(CLICKED) for counts in hours.values() for name in counts if name.startswith(CLICKED)}
        labels, numbering = self.labels.number(shop, sorted(clicked))
        commands: list[Command] = [numbering] if numbering else []
        for start, counts in hours.items():
            pairs = [text for name, number in counts.items() for text in (name, max(-MOST_COUNTED, min(number, MOST_COUNTED)))]
            commands.append(call("count", [self._keys.hour(shop, start)], self.most_counters, COUNTERS_LIFE, MOST_COUNTED, *pairs))
        if products:
            seen = [text for name, one in products.items() for text in (name, one.time, "1" if one.private else "")]
            commands.append(call("see_products", [self._keys.products(shop)], self.most_products, COUNTERS_LIFE, PUBLIC_BELOW, *seen))
        for key, entries in ((self._keys.calls(shop), log.calls), (self._keys.failures(shop), log.failures)):
            if entries:
                commands += [write("LPUSH", key, *entries), write("LTRIM", key, 0, self.most_calls - 1), write("EXPIRE", key, CALLS_LIFE)]
        if last:
            key = self._keys.latest(shop)
            commands += [write("HSET", key, *(text for pair in last.items() for text in pair)), write("EXPIRE", key, COUNTERS_LIFE)]
        if commands:
            replies = await self._client.run(*commands)
            self.labels.learn(shop, labels, replies[0] if numbering else ())

    async def counts(self, shop: ShopId, first: int, last: int) -> list[dict[str, int]]:
        """One mapping per hour, from the hour of `first` to that of `last`, seconds since 1970."""
        starts = range(first - first % HOUR, last + 1, HOUR)
        return await self._client.hashes([self._keys.hour(shop, start) for start in starts], HOURS_AT_ONCE)

    async def latest(self, shop: ShopId) -> dict[str, int]:
        [found] = await self._client.run(read("HGETALL", self._keys.latest(shop)))
        return {name: int(time) for name, time in found.items()}

    async def log(self, shop: ShopId) -> Log:
        """Newest first."""
        found = await self._client.run(*(read("LRANGE", key, 0, -1) for key in (self._keys.calls(shop), self._keys.failures(shop))))
        return Log(*found)

    async def products(self, shop: ShopId) -> dict[str, int]:
        """Type (i for an integer, s for text) and ID → time when the product was last seen."""
        [found] = await self._client.run(read("ZRANGE", self._keys.products(shop), 0, -1, "WITHSCORES"))
        return {product: int(score) if score >= 0 else int(score) + PUBLIC_BELOW for product, score in found}
