"""Figures of a shop's days: distinct visitors by kind, and what visitors did who said nothing.

A sketch (HyperLogLog) of a kind of visitors takes digests under the day's salt. Sketch, salt and remainders end a minute after the day; its
figures stay. Nothing else is written under that salt, so after that minute no address, user agent or ID can be looked for in what is left.
"""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Collection, Mapping
from hashlib import sha256

from identity_service.model.cookieless import Window
from identity_service.model.estimate import TEN
from identity_service.model.handle import prefixed
from identity_service.model.shop import ShopId
from identity_service.model.utc import DAY
from identity_service.store.counters import COUNTERS_LIFE, Counts
from identity_service.store.keys import Keys
from identity_service.store.redis.client import StoreClient
from identity_service.store.redis.command import Command, call
from identity_service.store.salts import SaltStore

GRACE = 60
"""Seconds after a day in which its last counts are written."""
MOST_REMAINDERS = 5_000
"""From so many names of a day on, new labels do not count. Anybody may send labels."""
DIGESTS_A_CALL = 500
DAYS_AT_ONCE = 2
"""Days that are read in one pipeline."""
SILENT_CLICK = "silent_click "
"""Before the label of a click."""
Seen = tuple[str | bytes, ...]
"""What distinguishes a visitor of one kind."""


def day_at(time: int) -> Window:
    """In UTC."""
    start = time - time % DAY
    return Window(start, start + DAY, GRACE)


class DayStore:
    def __init__(self, client: StoreClient, keys: Keys, salts: SaltStore) -> None:
        self._client = client
        self._keys = keys
        self.salts = salts
        self.most_remainders = MOST_REMAINDERS

    async def write(
        self,
        shop: ShopId,
        day: Window,
        now: int,
        seen: Mapping[str, Collection[Seen]],
        rounded: Collection[str],
        of_hours: Mapping[int, Counts],
        of_day: Counts,
    ) -> None:
        """Nothing, once the day's salt is destroyed. `seen`: visitors by kind; the estimates of those kinds in `rounded` are kept in tens.
        `of_hours` and `of_day`: what visitors did who said nothing. Raises StoreUnavailable."""
        life = day.salt_destroyed_at - now
        if life <= 0:
            return
        key = await self.salts.key(shop, day, now)
        commands: list[Command] = []
        for kind, visitors in seen.items():
            digests = [_digest(key, *visitor) for visitor in visitors]
            keys, step = (self._keys.sketch(shop, day.start, kind), self._keys.day(shop, day.start)), TEN if kind in rounded else 1
            for first in range(0, len(digests), DIGESTS_A_CALL):
                some = digests[first : first + DIGESTS_A_CALL]
                commands.append(call("see_visitors", keys, f"visitors {kind}", life, COUNTERS_LIFE, step, *some))
        targets = {self._keys.hour(shop, start): counts for start, counts in of_hours.items()}
        for target, counts in (targets | ({self._keys.day(shop, day.start): of_day} if of_day else {})).items():
            told = [text for name, number in counts.items() for text in (_digest(key, target, name), _mark(name), name, number)]
            keys = (self._keys.remainders(shop, day.start), target)
            commands.append(call("count_in_tens", keys, self.most_remainders, life, COUNTERS_LIFE, TEN, *told))
        if commands:
            await self._client.run(*commands)

    async def figures(self, shop: ShopId, first: int, last: int) -> dict[int, Counts]:
        """By the start of each day, from that of `first` to that of `last`, oldest first."""
        starts = range(first - first % DAY, last + 1, DAY)
        found = await self._client.hashes([self._keys.day(shop, start) for start in starts], DAYS_AT_ONCE)
        return dict(zip(starts, found, strict=True))


def _mark(name: str) -> str:
    return "1" if name.startswith(SILENT_CLICK) else ""


def _digest(key: bytes, *parts: str | bytes) -> str:
    return urlsafe_b64encode(hmac.digest(key, prefixed(parts), sha256)[:16]).decode().rstrip("=")
