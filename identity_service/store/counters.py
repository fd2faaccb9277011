"""What is kept of a shop as a whole: its orders, hourly counters, products seen, and the log of its tracking calls. Nothing personal."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from identity_service.model.shop import ShopId
from identity_service.store.events import LabelStore
from identity_service.store.keys import Keys
from identity_service.store.redis.client import StoreClient
from identity_service.store.redis.command import Command, Part, call, read, write

HOUR = 3_600
DAY = 86_400
MOST_COUNTERS = 500
"""Names of one hour, most of them labels."""
CLICKED = "click "
"""What stands before a label whose clicks are counted."""
MOST_COUNTED = 2**63 - 1
"""Of one name in one hour, the highest that the store can hold, and below zero the lowest; revenue is counted in millionths."""
MOST_PRODUCTS = 10_000
MOST_CALLS = 1_000
CALLS_LIFE = DAY
COUNTERS_LIFE = 400 * DAY

PUBLIC_BELOW = 2**31
"""Products that only public keys showed score by their time less this."""

Counts = Mapping[str, int]


class Shown(Struct, frozen=True):
    """When a product was last seen, in seconds since 1970; `private`: a private key said so."""

    time: int
    private: bool


class Log(Struct, frozen=True):
    """Entries of all tracking calls, and of those that failed once more: many good calls must not push out the few that tell why."""

    calls: Sequence[str]
    failures: Sequence[str]


class ActivityStore:
    """`most_orders`: newest orders listed of a shop; `order_life` in seconds."""

    def __init__(self, client: StoreClient, keys: Keys, labels: LabelStore, most_orders: int, order_life: int) -> None:
        self._client = client
        self._keys = keys
        self._labels = labels
        self._most_orders = most_orders
        self._order_life = order_life

    def listing(self, shop: ShopId, digest: str, at: float) -> Part:
        """`at`: seconds since 1970, to the millisecond, so that those of one second have their order; the latest listing of one counts."""
        return [self._keys.orders(shop)], (f"{at:.3f}", digest, self._most_orders, self._order_life)

    async def orders(self, shop: ShopId, after: str | None, most: int) -> list[str]:
        """Digests, newest first, at most `most` of those that follow `after`, however many came in the meantime; none after an unknown
        one."""
        key, start = self._keys.orders(shop), 0
        if after is not None:
            [rank] = await self._client.run(read("ZREVRANK", key, after))
            if rank is None:
                return []
            start = int(rank) + 1
        [found] = await self._client.run(read("ZREVRANGE", key, start, start + most - 1))
        return list(found)

    async def write(self, shop: ShopId, hours: Mapping[int, Counts], products: Mapping[str, Shown], log: Log, last: Counts) -> None:
        """Adds what was gathered: counters by the start of their hour, products seen, log entries oldest first, times of the last calls;
        and gives the labels that were clicked their numbers."""
        clicked = {name.removeprefix(CLICKED) for counts in hours.values() for name in counts if name.startswith(CLICKED)}
        labels, numbering = self._labels.number(shop, sorted(clicked))
        commands: list[Command] = [numbering] if numbering else []
        for start, counts in hours.items():
            pairs = [text for name, number in counts.items() for text in (name, max(-MOST_COUNTED, min(number, MOST_COUNTED)))]
            commands.append(call("count", [self._keys.hour(shop, start)], MOST_COUNTERS, COUNTERS_LIFE, MOST_COUNTED, *pairs))
        if products:
            told = [text for name, one in products.items() for text in (name, one.time, "1" if one.private else "")]
            commands.append(call("see_products", [self._keys.products(shop)], MOST_PRODUCTS, COUNTERS_LIFE, PUBLIC_BELOW, *told))
        for key, entries in ((self._keys.calls(shop), log.calls), (self._keys.failures(shop), log.failures)):
            if entries:
                commands += [write("LPUSH", key, *entries), write("LTRIM", key, 0, MOST_CALLS - 1), write("EXPIRE", key, CALLS_LIFE)]
        if last:
            key = self._keys.latest(shop)
            commands += [write("HSET", key, *(text for pair in last.items() for text in pair)), write("EXPIRE", key, COUNTERS_LIFE)]
        if commands:
            replies = await self._client.run(*commands)
            self._labels.learn(shop, labels, replies[0] if numbering else ())

    async def counts(self, shop: ShopId, first: int, last: int) -> list[dict[str, int]]:
        """One mapping for each hour from that of `first` to that of `last`, seconds since 1970."""
        starts = range(first - first % HOUR, last + 1, HOUR)
        found = await self._client.read_many([read("HGETALL", self._keys.hour(shop, start)) for start in starts])
        return [{name: int(number) for name, number in counts.items()} for counts in found]

    async def latest(self, shop: ShopId) -> dict[str, int]:
        [found] = await self._client.run(read("HGETALL", self._keys.latest(shop)))
        return {name: int(time) for name, time in found.items()}

    async def log(self, shop: ShopId) -> Log:
        """Newest first."""
        found = await self._client.run(*(read("LRANGE", key, 0, -1) for key in (self._keys.calls(shop), self._keys.failures(shop))))
        return Log(*found)

    async def products(self, shop: ShopId) -> dict[str, int]:
        """Type (i for an integer, s for text) and ID → when it was last seen."""
        [found] = await self._client.run(read("ZRANGE", self._keys.products(shop), 0, -1, "WITHSCORES"))
        return {product: int(score) if score >= 0 else int(score) + PUBLIC_BELOW for product, score in found}
