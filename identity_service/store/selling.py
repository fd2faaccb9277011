"""A sale in one step, where one server holds all that it writes: nothing can come between, and a crash leaves nothing open."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from identity_service.handle import Handle
from identity_service.link import LinkSource
from identity_service.shop import ShopId
from identity_service.store.activity import ActivityStore
from identity_service.store.batch import call
from identity_service.store.client import Client
from identity_service.store.events import Entry, keeping
from identity_service.store.keys import Keys
from identity_service.store.links import Linkable, LinkStore
from identity_service.store.sales import SaleStore
from identity_service.visitor import VisitorId


@dataclass(frozen=True, slots=True)
class SaleOfVisitor:
    """What a sale writes of its visitor. `linkable`: None where the handles that the sale names are not to be linked."""

    visitor: VisitorId
    entry: Entry
    linkable: Linkable | None


@dataclass(frozen=True, slots=True)
class NewSale:
    """`fields` as stored; `handles`: those that they name; `listed_at`: seconds since 1970 with fractions."""

    sale: str
    fields: Mapping[str, str]
    handles: Sequence[Handle]
    listed_at: float
    of: SaleOfVisitor | None


class Selling:
    def __init__(self, client: Client, keys: Keys, sales: SaleStore, links: LinkStore, activity: ActivityStore) -> None:
        self._client = client
        self._keys = keys
        self._sales = sales
        self._links = links
        self._activity = activity

    async def sell(self, shop: ShopId, new: NewSale) -> str | None:
        """Returns sold; otherwise, where the visitor is not as this worker assumed: decide again; or another word, or None from a cluster,
        for what only the steps can do. Nothing personal is written then but the sale's digest under its visitor."""
        digest, handles = self._keys.sale_digest(shop, new.sale), [self._keys.handle(shop, handle) for handle in new.handles]
        sale, claim = self._sales.claiming(shop, digest, new.fields)
        orders, listing = self._activity.listing(shop, digest, new.listed_at)
        keys, groups = [*sale, *orders], [claim, listing, self._sales.naming(digest)]
        if new.of:
            (indexed, indexing), entry = self._sales.indexing(shop, digest, new.of.visitor), new.of.entry
            keys += [*indexed, self._keys.visitor(shop, new.of.visitor).events]
            groups += [indexing, keeping(entry)]
            if linkable := new.of.linkable:
                groups += [self._links.whole(shop, handle, linkable, LinkSource.SALE, entry.now)[1] for handle in new.handles]
        keys += [key for one in handles for key in (one.links, one.intents, one.removals, one.sales)]
        words = [word for group in groups for word in (len(group), *group)]
        outcome: str | None = await self._client.run_across(call("sell", keys, *words))
        return outcome
