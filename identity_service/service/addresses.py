"""Whether a shop's visitors come from addresses of their own, so that health can say when a proxy hides them all.

Counted in the worker's memory, this hour and the one before, and lost with it. No address is kept: the first two of an hour, and the first
few user agents, are 64 bits of a hash under a key that is drawn at each start.
"""

import hashlib
import secrets
from dataclasses import dataclass, field

from identity_service.model.shop import ShopId
from identity_service.store import Clock
from identity_service.store.counters import HOUR

ENOUGH_VISITS, ENOUGH_AGENTS = 10, 5
"""With fewer visits, or fewer browsers at one public address, it may be one household."""
MOST_ADDRESSES = 2


@dataclass(slots=True)
class SeenAddresses:
    """`local`: visits from addresses that can be nobody's. `addresses` and `agents`: digests of the first few."""

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
        """Whether one address stands for all visitors: one that can be nobody's, or one that many browsers share."""
        several = self.local > 0 or len(self.agents) >= ENOUGH_AGENTS
        return self.visits >= ENOUGH_VISITS and len(self.addresses) == 1 and several


class Addresses:
    """`clock`: seconds since 1970."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._hours: dict[tuple[ShopId, int], SeenAddresses] = {}

    def count(self, shop: ShopId, address: str, user_agent: str | None, *, local: bool) -> None:
        """One visit."""
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
