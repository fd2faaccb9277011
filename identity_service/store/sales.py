"""Sales, once for each ID: read, and written in one step with all that they write elsewhere."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeVar

import msgspec
from msgspec import Struct

from identity_service.errors import StoreUnavailable
from identity_service.model.attribution import Credit
from identity_service.model.event import Event, EventType, ProductId, SaleLine, compact
from identity_service.model.handle import Handle, handle_named
from identity_service.model.link import Proof
from identity_service.model.shop import ShopId
from identity_service.model.visitor import VisitorId
from identity_service.store.counters import ActivityStore
from identity_service.store.events import Entry, EventStore
from identity_service.store.keys import Keys, sales_in
from identity_service.store.links import LinkCall, LinkStore
from identity_service.store.redis.client import StoreClient
from identity_service.store.redis.command import Command, call, read
from identity_service.store.visitors import MOST_READS

T = TypeVar("T")
MOST_SALES = 500
"""The most sales of a visitor, and of a handle. From a full list the oldest leaves: first those past their time, then those of a public key
without a token, then those with one. A sale that left names nobody, so every name is found. Sales of public keys fill at most half."""
FIELDS = ("time", "visitor", "email", "customer", "verified", "by_token", "attribution")
"""Scripts read and write these in place. Spaces fill the length of removed values. The other fields follow."""
NAMING = ("visitor", "email", "customer")
HEAD = 255
"""The first bytes of a sale, which contain its time and names. The whole may be a hundred times as long."""
OTHERS = ("mode", "revenue", "currency", "returned", "missing", "counted", "products", "sale")
MODES = {"null": "0", "none": "n", "cookieless": "c", "persistent": "p"}
MODES_BY_LETTER = {letter: mode for mode, letter in MODES.items()}


def packed(fields: Mapping[str, str]) -> str:
    """The stored form: a line per field, the mode as a letter, and after it the channel of an order that no person placed. The shop's ID
    of the sale is last, because it may have line breaks."""
    mode = MODES.get(fields.get("mode", ""), "")
    if "channel" in fields:
        mode += f" {fields['channel']}"
    stored = {**fields, "mode": mode}
    return "\n".join([stored.get(name, "") for name in (*FIELDS, *OTHERS)])


def unpacked(stored: str | None) -> dict[str, str]:
    """Empty if there is no sale. If only the beginning was read, the last field may be cut off."""
    lines = (stored or "").split("\n", len(FIELDS) + len(OTHERS) - 1)
    found = {name: line for name, line in zip((*FIELDS, *OTHERS), lines, strict=False) if line.strip(" ")}
    if "mode" not in found:
        return found
    letter, _, channel = found["mode"].partition(" ")
    return found | {"mode": MODES_BY_LETTER[letter]} | ({"channel": channel} if channel else {})


class PackedLine(Struct, frozen=True, array_like=True):
    """A line of a sale. Decimals are text, whole quantities are numbers."""

    product: ProductId | None
    quantity: int | str
    price: str | None = None


class StoredCredit(Struct, frozen=True, array_like=True):
    """A `Credit`. A single label has no list around it."""

    product: ProductId
    labels: tuple[str, ...] | str
    clicked_at: int
    api: str | None = None


_lines = msgspec.json.Decoder(list[PackedLine]).decode
_credits = msgspec.json.Decoder(list[StoredCredit]).decode


def packed_lines(lines: Iterable[SaleLine]) -> str:
    return compact([list(line.stored().values()) for line in lines])


def unpacked_lines(stored: str) -> tuple[SaleLine, ...]:
    return tuple(
        SaleLine(
            line.product,
            line.quantity if isinstance(line.quantity, int) else Decimal(line.quantity),
            None if line.price is None else Decimal(line.price),
        )
        for line in _lines(stored)
    )


def packed_credits(found: Iterable[Credit]) -> str:
    return compact(
        [
            [one.product, one.labels[0] if len(one.labels) == 1 else one.labels, one.clicked_at, *([] if one.api is None else [one.api])]
            for one in found
        ]
    )


def unpacked_credits(fields: Mapping[str, str]) -> list[Credit]:
    """Of a sale."""
    return [
        Credit(one.product, one.labels if isinstance(one.labels, tuple) else (one.labels,), one.api, one.clicked_at)
        for one in _credits(fields.get("attribution", "[]"))
    ]


def read_head(key: str) -> Command:
    """Enough of a sale to be unpacked into its time and whom it names."""
    return read("GETRANGE", key, 0, HEAD)


def names_in(fields: Mapping[str, str]) -> list[str]:
    """Of the handles that a sale names."""
    return [fields[name] for name in ("email", "customer") if name in fields]


@dataclass(frozen=True, slots=True)
class HandleOfSale:
    """A handle that came with a sale. `link`: the link to make, None for none. `named`: whether the sale names the handle."""

    handle: Handle
    link: LinkCall | None
    named: bool = True


@dataclass(frozen=True, slots=True)
class FormerSale:
    """A sale that a public key reported and another one replaces. `events`: the forms that its event may have; none if it stays."""

    fields: Mapping[str, str]
    events: tuple[Event, ...]

    @property
    def handles(self) -> list[Handle]:
        return [handle_named(name) for name in names_in(self.fields)]


@dataclass(frozen=True, slots=True)
class OfVisitor:
    """The visitor that a sale names. `assumed`: the view by which the sale was decided. `entry`: its event, None if it is already
    stored."""

    visitor: VisitorId
    assumed: str
    entry: Entry | None


@dataclass(frozen=True, slots=True)
class NewSale:
    """`listed_at`: seconds since 1970 with fractions. `leaving`: by digest, whom those name that can make room for it;
    `told`: how often it was told who has to."""

    sale: str
    fields: Mapping[str, str]
    listed_at: float
    of: OfVisitor | None
    handles: Sequence[HandleOfSale]
    former: FormerSale | None = None
    leaving: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    told: int = 0

    @property
    def proof(self) -> Proof:
        """By what it was said, as of a link."""
        return Proof.KEY if "verified" in self.fields else Proof.TOKEN if "by_token" in self.fields else Proof.NONE


@dataclass(frozen=True, slots=True)
class SaleAnswer:
    """`outcome`: sold, or why nothing was written: known (a sale has this ID, and not as `former` tells); otherwise (the visitor is not as
    this worker assumed); leaves (sales have to, whose digests it tells); gone or full, of the visitor; or, of the handle at `place`, full,
    or `link` and what that script returns, with what it tells beside it. `crowded`: links to handles that hold more visitors than one
    person has."""

    outcome: str
    place: int | None = None
    told: tuple[str, ...] = ()
    crowded: int = 0

    @property
    def full_of_visitors(self) -> bool:
        """Whether the handle at `place` holds as many visitors as it may."""
        return (self.outcome, self.told) == ("link full", ("handle",))


class SaleStore:
    """`life`: seconds a sale is kept. `most`: of a visitor, and of a handle."""

    def __init__(self, client: StoreClient, keys: Keys, links: LinkStore, events: EventStore, activity: ActivityStore, life: int) -> None:
        self._client = client
        self._keys = keys
        self._links = links
        self._events = events
        self._activity = activity
        self._life = life
        self.most = MOST_SALES

    async def before(self, shop: ShopId, sale: str, visitor: VisitorId, bridged_from: str | None) -> tuple[dict[str, str], list[Event]]:
        """What a sale is decided from: what an earlier call of it stored, and the visitor's clicks, newest first, then those of the session
        before its grant."""
        sale_read = read("GET", self._key(shop, sale))
        stored, *found = await self._client.run(sale_read, *self._events.reading(shop, visitor, bridged_from))
        return unpacked(stored), await self._events.unpacked(shop, [event for events in found for event in events], EventType.CLICK)

    async def sell(self, shop: ShopId, new: NewSale) -> SaleAnswer:
        [[outcome, *rest]] = await self._client.run(self._selling(shop, new))
        if outcome == "sold":
            return SaleAnswer(outcome, crowded=int(rest[0]))
        if outcome != "of a handle":
            return SaleAnswer(outcome, told=tuple(rest))
        place, outcome, *told = rest
        if outcome == "full":
            return SaleAnswer(outcome, place - 1)
        reason, *named = told
        return SaleAnswer(f"link {reason}", place - 1, tuple(named))

    def _selling(self, shop: ShopId, new: NewSale) -> Command:
        digest = self._keys.sale_digest(shop, new.sale)
        index = (digest, new.fields["time"], new.proof.letter, new.told, self._life, self.most)
        orders, listing = self._activity.listing(shop, digest, new.listed_at)
        keys = [self._keys.sale_of(shop, digest), *orders]
        assumed: Sequence[str] = ()
        event: Sequence[str | int] = ()
        if new.of:
            of = self._keys.visitor(shop, new.of.visitor)
            keys += [of.record, of.gone, of.sales, of.events]
            assumed, event = (new.of.assumed,), self._events.keeping(shop, new.of.entry) if new.of.entry else ()
        former = self._former(shop, new.former) if new.former else ()
        groups: list[Sequence[str | int]] = [(self._life, packed(new.fields)), listing, index, assumed, event, former]
        if new.former:
            keys += self._keys_of(shop, new.former)
        groups.append([text for one, fields in new.leaving.items() for text in (one, *(fields.get(name, "") for name in NAMING))])
        keys += [key for one, fields in new.leaving.items() for key in self._keys_of_leaving(shop, one, fields)]
        for one in new.handles:
            keys += [self._keys.handle(shop, one.handle), *(self._links.keys_giving_way(one.link) if one.link else ())]
            groups.append(("1" if one.named else "", *(self._links.arguments(one.link) if one.link else ())))
        arguments: list[str | int] = []
        for group in groups:
            arguments += (len(group), *group)
        return call("sell", keys, *arguments)

    def _keys_of(self, shop: ShopId, former: FormerSale) -> list[str]:
        keys: list[str] = []
        if "visitor" in former.fields:
            of = self._keys.visitor(shop, former.fields["visitor"])
            keys += [of.record, of.sales, of.events]
        return keys + [self._keys.handle(shop, one) for one in former.handles]

    def _keys_of_leaving(self, shop: ShopId, digest: str, fields: Mapping[str, str]) -> list[str]:
        lists = [self._keys.visitor(shop, VisitorId(fields["visitor"])).sales] if "visitor" in fields else []
        return [self._keys.sale_of(shop, digest), *lists, *(self._keys.handle(shop, handle_named(name)) for name in names_in(fields))]

    async def amend(self, shop: ShopId, sale: str, change: Callable[[dict[str, str]], tuple[Mapping[str, str], T] | None]) -> T | None:
        """Replaces a sale by what `change` makes of it. If the sale has changed meanwhile, `change` is called again. Returns the second
        value of `change`. None if there is no such sale, or `change` returns None. Raises StoreUnavailable."""
        for _ in range(MOST_READS):
            [stored] = await self._client.run(read("GET", self._key(shop, sale)))
            changed = change(unpacked(stored)) if stored else None
            if changed is None:
                return None
            fields, told = changed
            [amended] = await self._client.run(call("amend_sale", [self._key(shop, sale)], stored, packed(fields)))
            if amended:
                return told
        raise StoreUnavailable("The order changed again and again while the call was made; repeat it.")

    async def confirm(self, shop: ShopId, sale: str) -> bool:
        """Waits until replicas have a sale that an earlier call stored. Returns False if it was lost."""
        [stored] = await self._client.run(call("known_sale", [self._key(shop, sale)]))
        return bool(stored)

    async def named_by(self, shop: ShopId, digests: Sequence[str]) -> dict[str, dict[str, str]]:
        """The fields of each sale; empty if it has ended."""
        found = await self._client.read_many([read_head(self._keys.sale_of(shop, digest)) for digest in digests])
        return dict(zip(digests, map(unpacked, found), strict=True))

    async def by_id(self, shop: ShopId, sale: str) -> dict[str, str] | None:
        found = await self.read(shop, [self._keys.sale_digest(shop, sale)])
        return found[0] if found else None

    async def of_handle(self, shop: ShopId, handle: Handle) -> list[str]:
        """Digests of the sales that name the handle."""
        [fields] = await self._client.run(read("HKEYS", self._keys.handle(shop, handle)))
        return sales_in(fields)

    async def read(self, shop: ShopId, digests: Sequence[str]) -> list[dict[str, str]]:
        """Those that are still stored."""
        return [sale for sale in await self.each(shop, digests) if sale]

    async def each(self, shop: ShopId, digests: Sequence[str]) -> list[dict[str, str]]:
        """In the order of `digests`, empty where a sale is no longer stored."""
        found = await self._client.read_many([read("GET", self._keys.sale_of(shop, digest)) for digest in digests])
        return [unpacked(sale) for sale in found]

    def _key(self, shop: ShopId, sale: str) -> str:
        return self._keys.sale_of(shop, self._keys.sale_digest(shop, sale))

    def _former(self, shop: ShopId, former: FormerSale) -> Sequence[str | int]:
        """As the script takes it."""
        fields, events = former.fields, [self._events.packed(shop, event) for event in former.events]
        return fields["time"], fields.get("visitor", ""), len(events), *events, *(handle.name for handle in former.handles)
