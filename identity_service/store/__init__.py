"""The store: verbs in domain words over Redis or Valkey: one server, Sentinel or Cluster."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from identity_service.errors import StoreRefused, StoreUnavailable
from identity_service.model.handle import Handles
from identity_service.model.link import LinkCaps
from identity_service.model.shop import ShopId
from identity_service.server.logs import log
from identity_service.store.counters import ActivityStore
from identity_service.store.events import EventStore, LabelStore
from identity_service.store.keys import Keys
from identity_service.store.links import LinkStore
from identity_service.store.redis.client import StoreClient
from identity_service.store.redis.command import write
from identity_service.store.removals import RemovalStore
from identity_service.store.repair import Repair
from identity_service.store.sales import SaleStore
from identity_service.store.salts import SaltStore
from identity_service.store.schema import VERSION, Schema, SeenMark, examine_marks
from identity_service.store.sweep import Sweep
from identity_service.store.visitors import NOTHING, AssumedVisitors, VisitorStore

DAY = 86_400


@dataclass(frozen=True, slots=True)
class Retention:
    """Lives of what is stored, in days."""

    consent: int
    gone: int
    receipt: int
    sale: int


class Store:
    """`most_orders`: newest orders listed of one shop. `removals_keys`: of the shops that list removed visitors."""

    def __init__(
        self,
        client: StoreClient,
        handles: Handles,
        caps: LinkCaps,
        retention: Retention,
        most_orders: int,
        mark: SeenMark | None = None,
        removals_keys: Mapping[ShopId, str] = {},
    ) -> None:
        keys = Keys(handles)
        self.client = client
        self.keys = keys
        assumed = AssumedVisitors(NOTHING)
        self.visitors = VisitorStore(client, keys, assumed)
        labels = LabelStore(client, keys)
        self.events = EventStore(client, keys, assumed, labels)
        self.salts = SaltStore(client, keys)
        self.links = LinkStore(client, keys, caps)
        self.removals = RemovalStore(client, keys, retention.gone * DAY, removals_keys)
        self.activity = ActivityStore(client, keys, labels, most_orders, retention.sale * DAY)
        self.sales = SaleStore(client, keys, self.links, self.events, self.activity, retention.sale * DAY)
        self._schema = Schema(VERSION, handles.fingerprints)
        self._mark = mark or SeenMark()
        self.repair = Repair(client, keys, self.removals)
        self.sweep = Sweep(client, keys, self.links)

    async def away(self, shops: Sequence[ShopId]) -> list[ShopId]:
        """Those whose server cannot be written; in a cluster others may go on."""

        async def is_away(shop: ShopId) -> bool:
            try:
                await self.client.run(write("SET", self.keys.probe(shop), "1", "EX", 60))
            except StoreUnavailable:
                return True
            return False

        found = await asyncio.gather(*map(is_away, shops))
        return [shop for shop, away in zip(shops, found, strict=True) if away]

    async def check_marks(self) -> None:
        """From now on every call raises StoreUnavailable if the store is moved, was emptied, or proves to be another's; this one raises
        StoreRefused, which says why."""
        if self.client.refused:
            raise StoreRefused(self.client.refused)
        for fault in await examine_marks(self.client, self._schema, self._mark):
            log.error("the store is refused, and every call that needs it", reason=fault)
            self.client.refuse(fault)
            raise StoreRefused(fault)


Clock = Callable[[], float]
