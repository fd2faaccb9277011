"""What a visitor did, newest first, capped and expiring with the visitor."""

from collections.abc import Sequence

from msgspec import Struct

from identity_service.model.event import NEWEST_RESULTS
from identity_service.model.shop import ShopId
from identity_service.model.visitor import VisitorId
from identity_service.store.keys import Keys
from identity_service.store.redis.client import Client
from identity_service.store.redis.command import call, read
from identity_service.store.remembered import AssumedVisitors


class Kept(Struct, frozen=True):
    """How long events stay: `most` of them; `life` in seconds, from the first event on where `from_first`, else from the newest."""

    most: int
    life: int
    from_first: bool


class Entry(Struct, frozen=True):
    """An event as it is written: as it is stored, how long it stays, and the time in seconds since 1970."""

    event: str
    kept: Kept
    now: int


class Unlabelled(Struct, frozen=True):
    """A click without labels, which takes those of the newest results that showed its product. `around`: see `Event.around_labels`."""

    product: str
    around: tuple[str, str, str]


class EventStore:
    def __init__(self, client: Client, keys: Keys, assumed: AssumedVisitors) -> None:
        self._client = client
        self._keys = keys
        self._assumed = assumed

    async def record(
        self, shop: ShopId, visitor: VisitorId, entry: Entry, *, click: Unlabelled | None = None, expected: str = ""
    ) -> tuple[str, list[str]]:
        """Returns kept, gone or otherwise: the visitor is not as `expected`, and nothing was written; and the labels that were found for
        `click`, as far as `NEWEST_RESULTS` reach."""
        keys = self._keys.visitor(shop, visitor)
        arguments = (*keeping(entry), expected, *((NEWEST_RESULTS, click.product, *click.around) if click else ()))
        [reply] = await self._client.run(call("record_event", (keys.record, keys.gone, keys.events), *arguments))
        return reply[0], reply[1] if len(reply) > 1 else []

    def assumption(self, shop: ShopId, visitor: VisitorId) -> str:
        """What a decision of this moment rests on, for the write that follows from it."""
        return self._assumed.of(self._keys.visitor_digest(shop, visitor)).decisive

    async def newest(self, shop: ShopId, visitor: VisitorId) -> str | None:
        event: str | None
        [event] = await self._client.run(read("LINDEX", self._keys.visitor(shop, visitor).events, 0))
        return event

    async def of(self, shop: ShopId, visitor: VisitorId, bridged_from: str | None = None) -> list[str]:
        """Newest first; then those of the session before the grant, by the digest that the record holds."""
        return [event for events in await self.of_sessions(shop, visitor, bridged_from) for event in events]

    async def of_sessions(self, shop: ShopId, visitor: VisitorId, bridged_from: str | None) -> list[list[str]]:
        """The visitor's, and those of the session before the grant, each newest first."""
        digests = [self._keys.visitor_digest(shop, visitor), *([bridged_from] if bridged_from else [])]
        return await self._client.run(*(read("LRANGE", self._keys.visitor_of(shop, digest).events, 0, -1) for digest in digests))

    async def with_events(self, shop: ShopId, visitors: Sequence[VisitorId]) -> list[VisitorId]:
        """Those of many IDs that anything was logged under."""
        found = await self._client.read_many([read("EXISTS", self._keys.visitor(shop, one).events) for one in visitors])
        return [visitor for visitor, exists in zip(visitors, found, strict=True) if exists]


def keeping(entry: Entry) -> tuple[str | int, ...]:
    """What `keep_event` takes in the scripts."""
    kept = entry.kept
    return entry.event, kept.most, kept.life, entry.now, "1" if kept.from_first else ""
