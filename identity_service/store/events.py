"""What a visitor did, newest first. Events are capped and expire with the visitor.

The stored form of an event is a letter for its type, its time in seconds since 1970 in base 36, a comma, and the other members of `Event`
as JSON: products, labels, API, text, override, backtracked. Absent members at the end are left out. A click's only product and an event's
only label have no list around them.

A number replaces a label, because every click of an element repeats the same ones. The number is a digest of its label, so that it never
comes to mean another label, even if a store loses its last writes. Of two labels with one number the second keeps its text. So do labels
beyond the cap, and those that this worker has not written yet. Clicked labels are written again with the counters, once a second, so that a
label stays while it is clicked.
"""

import re
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from identity_service.model.event import NEWEST_RESULTS, Event, EventType, ProductId, compact
from identity_service.model.shop import ShopId
from identity_service.model.utc import DAY
from identity_service.model.visitor import VisitorId
from identity_service.store.keys import Keys
from identity_service.store.redis.client import StoreClient
from identity_service.store.redis.command import Command, Reply, call, read
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
ABSENT_AT_END = re.compile(r"(,(null|false))+\]$")
MOST_LABELS = 1_000
"""Labels of one shop that have numbers."""
SHORTEST_LABEL, LONGEST_LABEL = 6, 100
"""Characters of a label that gets a number."""
LABELS_LIFE = 400 * DAY
"""Seconds after the last click of a shop. No event is kept longer."""


class PackedMembers(Struct, frozen=True, array_like=True):
    """The members after an event's time, in their stored form."""

    products: tuple[ProductId, ...] | ProductId
    labels: tuple[str | int, ...] | str | int | None = None
    api: str | None = None
    text: str | None = None
    override: bool = False
    backtracked: bool = False

    @property
    def each_label(self) -> tuple[str | int, ...]:
        return self.labels if isinstance(self.labels, tuple) else () if self.labels is None else (self.labels,)

    def event(self, head: str, labels: Mapping[int, str]) -> Event:
        """`labels`: by number. A number that is not among them is left out."""
        texts = None if self.labels is None else label_texts(self.each_label, labels)
        products = self.products if isinstance(self.products, tuple) else (self.products,)
        return Event(TYPES[head[0]], int(head[1:], 36), products, texts, self.api, self.text, self.override, self.backtracked)


members_of: Callable[[str], PackedMembers] = msgspec.json.Decoder(PackedMembers).decode


class Kept(Struct, frozen=True):
    """How many events stay, and how long. `life`: seconds from the first event if `from_first`, else from the newest."""

    most: int
    life: int
    from_first: bool


class Entry(Struct, frozen=True):
    """An event to write. `now`: seconds since 1970."""

    event: Event
    kept: Kept
    now: int


class LabelStore:
    """Keeps in memory the numbers and labels that this worker knows to be in the store, by shop. `most`: labels of a shop with numbers."""

    def __init__(self, client: StoreClient, keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self.most = MOST_LABELS
        self._numbers: dict[ShopId, dict[str, int]] = {}
        self._labels: dict[ShopId, dict[int, str]] = {}

    def numbered(self, shop: ShopId, labels: Iterable[str]) -> list[int | str]:
        """The labels of an event in their stored form."""
        numbers = self._numbers.get(shop, {})
        return [numbers.get(label, label) for label in labels]

    def number(self, shop: ShopId, labels: Iterable[str]) -> tuple[Sequence[str], Command | None]:
        """Returns the labels that can have numbers, and the command that gives them some. `learn` takes both the labels and its reply."""
        fitting = [label for label in labels if SHORTEST_LABEL <= len(label) <= LONGEST_LABEL]
        pairs = [text for label in fitting for text in (zlib.crc32(label.encode("utf-8", "replace")) & 0xFFFF, label)]
        return fitting, call("number_labels", [self._keys.labels(shop)], self.most, LABELS_LIFE, *pairs) if fitting else None

    def learn(self, shop: ShopId, labels: Sequence[str], reply: Reply) -> None:
        """`reply`: the number of each label, 0 if it has none."""
        numbers = self._numbers.setdefault(shop, {})
        for label, number in zip(labels, reply, strict=True):
            if number:
                numbers[label] = int(number)
            else:
                numbers.pop(label, None)

    async def labels(self, shop: ShopId, numbers: Iterable[int]) -> dict[int, str]:
        """Labels by number. A label that the store has lost is left out."""
        known = self._labels.setdefault(shop, {})
        missing = sorted(set(numbers) - known.keys())
        if missing:
            [found] = await self._client.run(read("HMGET", self._keys.labels(shop), *missing))
            known |= {number: label for number, label in zip(missing, found, strict=True) if label is not None}
        return known


class EventStore:
    def __init__(self, client: StoreClient, keys: Keys, assumed: AssumedVisitors, labels: LabelStore) -> None:
        self._client = client
        self._keys = keys
        self._assumed = assumed
        self._labels = labels

    async def record(
        self, shop: ShopId, visitor: VisitorId, entry: Entry, *, unlabelled: bool = False, expected: str = ""
    ) -> tuple[str, tuple[str, ...]]:
        """Returns the outcome: kept, gone, or otherwise if the visitor is not as `expected` and nothing was written. For an `unlabelled`
        click it also returns the labels of the newest results that showed its product, among the last `NEWEST_RESULTS`."""
        keys = self._keys.visitor(shop, visitor)
        arguments = (*self.keeping(shop, entry), expected, *(looking_for(entry.event) if unlabelled else ()))
        [[outcome, *found]] = await self._client.run(call("record_event", (keys.record, keys.gone, keys.events), *arguments))
        return outcome, label_texts(found, await self._labels.labels(shop, _numbers(found))) if found else ()

    def assumption(self, shop: ShopId, visitor: VisitorId) -> str:
        """What a decision of this moment rests on, for the write that follows from it."""
        return self._assumed.of(self._keys.visitor_digest(shop, visitor)).decisive

    async def newest(self, shop: ShopId, visitor: VisitorId) -> Event | None:
        found = await self._client.run(read("LINDEX", self._keys.visitor(shop, visitor).events, 0))
        events = await self.unpacked(shop, [stored for stored in found if stored])
        return events[0] if events else None

    async def of(self, shop: ShopId, visitor: VisitorId, bridged_from: str | None = None, kind: EventType | None = None) -> list[Event]:
        """Newest first, then the events of the session before the grant. `bridged_from`: its digest, from the visitor's record."""
        return [event for session in await self.of_sessions(shop, visitor, bridged_from, kind) for event in session]

    async def of_sessions(
        self, shop: ShopId, visitor: VisitorId, bridged_from: str | None, kind: EventType | None = None
    ) -> list[list[Event]]:
        """The events of the visitor, and those of the session before the grant, each newest first."""
        sessions = await self._client.run(*self.reading(shop, visitor, bridged_from))
        return [await self.unpacked(shop, stored, kind) for stored in sessions]

    def reading(self, shop: ShopId, visitor: VisitorId, bridged_from: str | None) -> list[Command]:
        """What reads the stored events of both sessions."""
        digests = [self._keys.visitor_digest(shop, visitor), *([bridged_from] if bridged_from else [])]
        return [read("LRANGE", self._keys.visitor_of(shop, digest).events, 0, -1) for digest in digests]

    async def count(self, shop: ShopId, visitor: VisitorId) -> int:
        [number] = await self._client.run(read("LLEN", self._keys.visitor(shop, visitor).events))
        return int(number)

    async def with_events(self, shop: ShopId, visitors: Sequence[VisitorId]) -> list[VisitorId]:
        """Those that have events."""
        found = await self._client.read_many([read("EXISTS", self._keys.visitor(shop, one).events) for one in visitors])
        return [visitor for visitor, exists in zip(visitors, found, strict=True) if exists]

    def keeping(self, shop: ShopId, entry: Entry) -> tuple[str | int, ...]:
        """The arguments of `keep_event` in the scripts."""
        kept = entry.kept
        return self.packed(shop, entry.event), kept.most, kept.life, entry.now, "1" if kept.from_first else ""

    def packed(self, shop: ShopId, event: Event) -> str:
        """The stored form."""
        return packed(event, None if event.labels is None else self._labels.numbered(shop, event.labels))

    async def unpacked(self, shop: ShopId, stored: Iterable[str], kind: EventType | None = None) -> list[Event]:
        """`kind`: the only one returned. Others are not decoded."""
        parts = [_parts(one) for one in stored if kind is None or one.startswith(LETTERS[kind])]
        numbers = [number for _, members in parts for number in _numbers(members.each_label)]
        labels = await self._labels.labels(shop, numbers) if numbers else {}
        return [members.event(head, labels) for head, members in parts]


def label_texts(found: Iterable[str | int], labels: Mapping[int, str]) -> tuple[str, ...]:
    """`found`: labels and numbers. `labels`: by number."""
    return tuple(filter(None, (labels.get(one) if isinstance(one, int) else one for one in found)))


def _numbers(found: Iterable[str | int]) -> list[int]:
    return [one for one in found if isinstance(one, int)]


def packed(event: Event, labels: Sequence[str | int] | None) -> str:
    """The stored form. `labels`: those of the event, or their numbers."""
    products = event.products[0] if event.type is EventType.CLICK and len(event.products) == 1 else event.products
    only = labels[0] if labels and len(labels) == 1 else labels
    members = compact([products, only, event.api, event.text, event.override, event.backtracked])
    return f"{LETTERS[event.type]}{_digits(event.time)},{ABSENT_AT_END.sub(']', members)[1:-1]}"


def unpacked(stored: str, labels: Mapping[int, str]) -> Event:
    """`labels`: by number."""
    head, members = _parts(stored)
    return members.event(head, labels)


def _parts(stored: str) -> tuple[str, PackedMembers]:
    head, _, members = stored.partition(",")
    return head, members_of(f"[{members}]")


def looking_for(click: Event) -> tuple[str | int, ...]:
    """The arguments by which `record_event` seeks labels: how many newest results, the product, the text before the labels, the API or
    nothing, and the text after them."""
    bare = packed(replace(click, api=None, text=None, override=False), None)
    api = compact(click.api) if click.api else ""
    return NEWEST_RESULTS, str(click.products[0]), bare, api, f",{compact([click.text, click.override, True])[1:-1]}"


def _digits(number: int) -> str:
    found = ""
    while number:
        number, last = divmod(number, 36)
        found = DIGITS[last] + found
    return found or "0"
