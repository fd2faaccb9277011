"""Sales, once for each ID: read, and written in one step with all that they write elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from identity_service.handle import Handle, handle_named
from identity_service.shop import ShopId
from identity_service.store.activity import ActivityStore
from identity_service.store.batch import Command, call, read
from identity_service.store.client import Client
from identity_service.store.events import Entry, keeping
from identity_service.store.keys import Keys
from identity_service.store.links import LinkCall, LinkStore
from identity_service.visitor import VisitorId

MOST_SALES = 500
"""Of a visitor, and of a handle; later ones are kept without naming it, so that whatever names it is found. What public keys say never
takes the last half."""


@dataclass(frozen=True, slots=True)
class HandleOfSale:
    """One that came with a sale. `link`: how the visitor is to be linked to it, None for not at all. `named`: the sale is to name it."""

    handle: Handle
    link: LinkCall | None
    named: bool = True


@dataclass(frozen=True, slots=True)
class FormerSale:
    """One that a public key told, and whose place another one takes. `events`: forms in which its visitor's may be stored; none where it
    stays."""

    fields: Mapping[str, str]
    events: tuple[str, ...]

    @property
    def handles(self) -> list[Handle]:
        return [handle_named(self.fields[name]) for name in ("email", "customer") if name in self.fields]


@dataclass(frozen=True, slots=True)
class OfVisitor:
    """Whom a sale names. `assumed`: as the sale was decided by it. `entry`: its event, None where it is there."""

    visitor: VisitorId
    assumed: str
    entry: Entry | None


@dataclass(frozen=True, slots=True)
class NewSale:
    """`fields` as stored; `listed_at`: seconds since 1970 with fractions."""

    sale: str
    fields: Mapping[str, str]
    listed_at: float
    of: OfVisitor | None
    handles: Sequence[HandleOfSale]
    former: FormerSale | None = None


@dataclass(frozen=True, slots=True)
class SaleAnswer:
    """`outcome`: sold, or why nothing was written: known (a sale has this ID, and not as `former` tells); otherwise (the visitor is not as
    this worker assumed), gone or full, of the visitor; or, of the handle at `place`, full, or `link` and what that script returns, with
    what it tells beside it."""

    outcome: str
    place: int | None = None
    told: tuple[str, ...] = ()


class SaleStore:
    """`life`: seconds a sale is kept."""

    def __init__(self, client: Client, keys: Keys, links: LinkStore, activity: ActivityStore, life: int) -> None:
        self._client = client
        self._keys = keys
        self._links = links
        self._activity = activity
        self._life = life

    async def before(self, shop: ShopId, sale: str, visitor: VisitorId, bridged_from: str | None) -> tuple[dict[str, str], list[str]]:
        """What a sale is decided from: what an earlier call of it stored, and the visitor's events, newest first, then those of the session
        before its grant."""
        lists = [self._keys.visitor_digest(shop, visitor), *([bridged_from] if bridged_from else [])]
        events = (read("LRANGE", self._keys.visitor_of(shop, one).events, 0, -1) for one in lists)
        stored, *found = await self._client.run(read("HGETALL", self._key(shop, sale)), *events)
        return stored, [event for events in found for event in events]

    async def sell(self, shop: ShopId, new: NewSale) -> SaleAnswer:
        [[outcome, *rest]] = await self._client.run(self._selling(shop, new))
        if outcome != "of a handle":
            return SaleAnswer(outcome)
        place, outcome, *told = rest
        if outcome == "full":
            return SaleAnswer(outcome, place - 1)
        reason, *named = told
        return SaleAnswer(f"link {reason}", place - 1, tuple(named))

    def _selling(self, shop: ShopId, new: NewSale) -> Command:
        digest = self._keys.sale_digest(shop, new.sale)
        sale: Sequence[str | int] = (self._life, *(text for pair in new.fields.items() for text in pair))
        index = (digest, self._life, MOST_SALES if "verified" in new.fields else MOST_SALES // 2)
        orders, listing = self._activity.listing(shop, digest, new.listed_at)
        keys = [self._key(shop, new.sale), *orders]
        assumed: Sequence[str] = ()
        event: Sequence[str | int] = ()
        if new.of:
            of = self._keys.visitor(shop, new.of.visitor)
            keys += [of.record, of.gone, of.sales, of.events]
            assumed, event = (new.of.assumed,), keeping(new.of.entry) if new.of.entry else ()
        groups: list[Sequence[str | int]] = [sale, listing, index, assumed, event, _former(new.former) if new.former else ()]
        if new.former:
            keys += self._keys_of(shop, new.former)
        for one in new.handles:
            at = self._keys.handle(shop, one.handle)
            keys += [at.links, at.sales, *(self._links.keys_giving_way(one.link) if one.link else ())]
            groups.append(("1" if one.named else "", *(self._links.arguments(one.link) if one.link else ())))
        return call("sell", keys, *(text for group in groups for text in (len(group), *group)))

    def _keys_of(self, shop: ShopId, former: FormerSale) -> list[str]:
        keys: list[str] = []
        if "visitor" in former.fields:
            of = self._keys.visitor(shop, former.fields["visitor"])
            keys += [of.record, of.sales, of.events]
        return keys + [key for at in (self._keys.handle(shop, one) for one in former.handles) for key in (at.links, at.sales)]

    async def confirm(self, shop: ShopId, sale: str) -> bool:
        """Returns once replicas have a sale that an earlier call stored, and that perhaps heard that they do not. False where it is lost
        meanwhile."""
        [stored] = await self._client.run(call("known_sale", [self._key(shop, sale)]))
        return bool(stored)

    async def by_id(self, shop: ShopId, sale: str) -> dict[str, str] | None:
        found = await self.read(shop, [self._keys.sale_digest(shop, sale)])
        return found[0] if found else None

    async def of_handle(self, shop: ShopId, handle: Handle) -> list[str]:
        """Digests of the sales that name the handle."""
        [sales] = await self._client.run(read("SMEMBERS", self._keys.handle(shop, handle).sales))
        return sorted(sales)

    async def read(self, shop: ShopId, digests: Sequence[str]) -> list[dict[str, str]]:
        if not digests:
            return []
        found = await self._client.run(*(read("HGETALL", self._keys.sale_of(shop, digest)) for digest in digests))
        return [sale for sale in found if sale]

    def _key(self, shop: ShopId, sale: str) -> str:
        return self._keys.sale_of(shop, self._keys.sale_digest(shop, sale))


def _former(former: FormerSale) -> Sequence[str | int]:
    """As the script takes it."""
    fields = former.fields
    names = (handle.name for handle in former.handles)
    return fields["time"], fields.get("visitor", ""), len(former.events), *former.events, *names
