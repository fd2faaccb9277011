"""What a visitor did, newest first, capped and expiring with the visitor.

An event is stored as a letter for its type, its time in seconds since 1970 to the base of 36, a comma, and the other members of `Event` as
JSON without absent ones at their end: products, labels, API, text, override, backtracked. A click's one product and an event's one label
stand without a list around them. A number in place of a label is told in `labels`.
"""

from collections.abc import Callable, Sequence

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from identity_service.model.event import ABSENT_AT_END, NEWEST_RESULTS, Event, EventType, ProductId, compact
from identity_service.model.shop import ShopId
from identity_service.model.visitor import VisitorId
from identity_service.store.keys import Keys
from identity_service.store.labels import LabelStore
from identity_service.store.redis.client import StoreClient
from identity_service.store.redis.command import call, read
from identity_service.store.visitors import AssumedVisitors

LETTERS = {
    EventType.CLICK: "c",
    EventType.PRODUCT: "p",
    EventType.CATEGORY: "g",
    EventType.SEARCH: "s",
    EventType.RESULTS: "r",
    EventType.BASKET: "b",
    EventType.RETURNED: "t",
    EventType.SALE: "o",
}
TYPES = {letter: kind for kind, letter in LETTERS.items()}
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class PackedMembers(Struct, frozen=True, array_like=True):
    """Those behind an event's time, as they are stored."""

    products: tuple[ProductId, ...] | ProductId
    labels: tuple[str | int, ...] | str | int | None = None
    api: str | None = None
    text: str | None = None
    override: bool = False
    backtracked: bool = False

    @property
    def each_label(self) -> tuple[str | int, ...]:
        return self.labels if isinstance(self.labels, tuple) else () if self.labels is None else (self.labels,)

    def event(self, head: str, labels: dict[int, str]) -> Event:
        """`labels`: by number; one that is lost is left out."""
        told = (
            None
            if self.labels is None
            else tuple(filter(None, (labels.get(one) if isinstance(one, int) else one for one in self.each_label)))
        )
        products = self.products if isinstance(self.products, tuple) else (self.products,)
        return Event(TYPES[head[0]], int(head[1:], 36), products, told, self.api, self.text, self.override, self.backtracked)


_members: Callable[[str], PackedMembers] = msgspec.json.Decoder(PackedMembers).decode


class Kept(Struct, frozen=True):
    """How long events stay: `most` of them; `life` in seconds, from the first event on where `from_first`, else from the newest."""

    most: int
    life: int
    from_first: bool


class Entry(Struct, frozen=True):
    """An event as it is written: how long it stays, and the time in seconds since 1970."""

    event: Event
    kept: Kept
    now: int


class EventStore:
    def __init__(self, client: StoreClient, keys: Keys, assumed: AssumedVisitors, labels: LabelStore) -> None:
        self._client = client
        self._keys = keys
        self._assumed = assumed
        self._labels = labels

    async def record(
        self, shop: ShopId, visitor: VisitorId, entry: Entry, *, unlabelled: bool = False, expected: str = ""
    ) -> tuple[str, tuple[str, ...]]:
        """Returns kept, gone or otherwise: the visitor is not as `expected`, and nothing was written; and the labels that were found for an
        `unlabelled` click: those of the newest results that showed its product, as far as `NEWEST_RESULTS` reach."""
        keys = self._keys.visitor(shop, visitor)
        arguments = (*self.keeping(shop, entry), expected, *(looking_for(entry.event) if unlabelled else ()))
        [[outcome, *found]] = await self._client.run(call("record_event", (keys.record, keys.gone, keys.events), *arguments))
        if not found:
            return outcome, ()
        labels = await self._labels.labels(shop, (one for one in found if isinstance(one, int)))
        return outcome, tuple(filter(None, (labels.get(one) if isinstance(one, int) else one for one in found)))

    def assumption(self, shop: ShopId, visitor: VisitorId) -> str:
        """What a decision of this moment rests on, for the write that follows from it."""
        return self._assumed.of(self._keys.visitor_digest(shop, visitor)).decisive

    async def newest(self, shop: ShopId, visitor: VisitorId) -> str | None:
        [event] = await self._client.run(read("LINDEX", self._keys.visitor(shop, visitor).events, 0))
        return (await self.told(shop, [event]))[0] if event else None

    async def of(self, shop: ShopId, visitor: VisitorId, bridged_from: str | None = None) -> list[str]:
        """Newest first, as `Event.stored` has them; then those of the session before the grant, by the digest that the record holds."""
        return [event for events in await self.of_sessions(shop, visitor, bridged_from) for event in events]

    async def of_sessions(self, shop: ShopId, visitor: VisitorId, bridged_from: str | None) -> list[list[str]]:
        """The visitor's, and those of the session before the grant, each newest first."""
        digests = [self._keys.visitor_digest(shop, visitor), *([bridged_from] if bridged_from else [])]
        found = await self._client.run(*(read("LRANGE", self._keys.visitor_of(shop, digest).events, 0, -1) for digest in digests))
        return [await self.told(shop, events) for events in found]

    async def with_events(self, shop: ShopId, visitors: Sequence[VisitorId]) -> list[VisitorId]:
        """Those of many IDs that anything was logged under."""
        found = await self._client.read_many([read("EXISTS", self._keys.visitor(shop, one).events) for one in visitors])
        return [visitor for visitor, exists in zip(visitors, found, strict=True) if exists]

    def keeping(self, shop: ShopId, entry: Entry) -> tuple[str | int, ...]:
        """What `keep_event` takes in the scripts."""
        kept = entry.kept
        return self.packed(shop, entry.event), kept.most, kept.life, entry.now, "1" if kept.from_first else ""

    def packed(self, shop: ShopId, event: Event) -> str:
        """As it is stored."""
        labels = None if event.labels is None else [self._labels.numbered(shop, label) for label in event.labels]
        return packed(event, labels)

    async def told(self, shop: ShopId, stored: Sequence[str], kind: EventType | None = None) -> list[str]:
        """As `Event.stored` has them. `kind`: those alone; others are not even decoded."""
        parts = [_taken_apart(one) for one in stored if kind is None or one.startswith(LETTERS[kind])]
        numbers = [label for _, members in parts for label in members.each_label if isinstance(label, int)]
        labels = await self._labels.labels(shop, numbers) if numbers else {}
        return [members.event(head, labels).stored() for head, members in parts]


def packed(event: Event, labels: Sequence[str | int] | None) -> str:
    """`labels`: those of the event, or their numbers."""
    products = event.products[0] if event.type is EventType.CLICK and len(event.products) == 1 else event.products
    told = labels[0] if labels and len(labels) == 1 else labels
    members = compact([products, told, event.api, event.text, event.override, event.backtracked])
    return f"{LETTERS[event.type]}{_digits(event.time)},{ABSENT_AT_END.sub(']', members)[1:-1]}"


def unpacked(stored: str, labels: dict[int, str]) -> Event:
    """`labels`: by number."""
    head, members = _taken_apart(stored)
    return members.event(head, labels)


def _taken_apart(stored: str) -> tuple[str, PackedMembers]:
    head, _, members = stored.partition(",")
    return head, _members(f"[{members}]")


def looking_for(click: Event) -> tuple[str | int, ...]:
    """What `record_event` looks for labels by: newest results to look through, product, what stands before the labels, API or nothing, what
    follows."""
    bare = packed(replace(click, api=None, text=None, override=False), None)
    api = compact(click.api) if click.api else ""
    return NEWEST_RESULTS, str(click.products[0]), bare, api, f",{compact([click.text, click.override, True])[1:-1]}"


def _digits(number: int) -> str:
    found = ""
    while number:
        number, last = divmod(number, 36)
        found = DIGITS[last] + found
    return found or "0"
