"""The store: verbs in domain words over Redis or Valkey, on one server, Sentinel or Cluster."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from identity_service.errors import StoreRefused, StoreUnavailable
from identity_service.model.handle import Handles
from identity_service.model.link import LinkCaps
from identity_service.model.shop import ShopId
from identity_service.model.utc import DAY
from identity_service.server.logs import log
from identity_service.server.metrics import STORE_ERRORS, count
from identity_service.store.audit import AuditStore
from identity_service.store.counters import ActivityStore
from identity_service.store.days import DayStore
from identity_service.store.events import EventStore, LabelStore
from identity_service.store.holdings import HoldingStore
from identity_service.store.keys import Keys
from identity_service.store.links import LinkStore
from identity_service.store.noted import NotedShops
from identity_service.store.redis.cause import Cause
from identity_service.store.redis.client import StoreClient
from identity_service.store.redis.command import write
from identity_service.store.removals import RemovalStore
from identity_service.store.repair import Repair
from identity_service.store.sales import SaleStore
from identity_service.store.salts import SaltStore
from identity_service.store.schema import VERSION, Schema, SeenMark, examine_marks
from identity_service.store.sessions import SessionStore
from identity_service.store.sweep import Sweep
from identity_service.store.visitors import NOTHING, AssumedVisitors, VisitorStore


@dataclass(frozen=True, slots=True)
class Retention:
    """How many days the marks of removed visitors, sales, and entries of the audit are stored."""

    gone: int
    sale: int
    audit: int


class Store:
    """`most_orders`: how many of a shop's newest orders are listed. `removals_keys`: of the shops that list removed visitors."""

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
        keys, noted = Keys(handles), NotedShops()
        self.client = client
        self.keys = keys
        assumed = AssumedVisitors(NOTHING)
        self.visitors = VisitorStore(client, keys, assumed, noted)
        labels = LabelStore(client, keys)
        self.events = EventStore(client, keys, assumed, labels)
        self.salts = SaltStore(client, keys, noted, keys.salt, keys.window_key)
        self.days = DayStore(client, keys, SaltStore(client, keys, noted, keys.day_salt, keys.day_key))
        self.links = LinkStore(client, keys, caps, noted)
        self.audit = AuditStore(client, keys, retention.audit * DAY)
        self.sessions = SessionStore(client, keys, self.audit)
        self.removals = RemovalStore(client, keys, self.audit, retention.gone * DAY, noted, removals_keys)
        self.activity = ActivityStore(client, keys, labels, most_orders, retention.sale * DAY)
        self.sales = SaleStore(client, keys, self.links, self.events, self.activity, retention.sale * DAY)
        self.holdings = HoldingStore(client, keys)
        self._schema = Schema(VERSION, handles.fingerprints)
        self._mark = mark or SeenMark()
        self.repair = Repair(client, keys, self.removals, noted)
        self.sweep = Sweep(client, keys, self.links, noted)

    async def away(self, shops: Sequence[ShopId]) -> dict[ShopId, Cause]:
        """The shops whose server cannot be written, and why. Each server is probed once, by the key of one of its shops."""
        with suppress(StoreUnavailable):
            await self.client.primaries()
        servers = {shop: self.client.server_of(self.keys.probe(shop)) for shop in shops}
        probed = {server: shop for shop, server in servers.items()}
        found = await asyncio.gather(*map(self._why_away, probed.values()))
        causes = dict(zip(probed, found, strict=True))
        return {shop: cause for shop, server in servers.items() if (cause := causes[server])}

    async def _why_away(self, shop: ShopId) -> Cause | None:
        try:
            await self.client.run(write("SET", self.keys.probe(shop), "1", "EX", 60))
        except StoreUnavailable as error:
            return Cause(error.reason)
        return None

    async def check_marks(self) -> None:
        """Raises StoreRefused with the reason if the store was moved or emptied, or belongs to another service. Then every later call
        raises StoreUnavailable."""
        if self.client.refused:
            raise StoreRefused(self.client.refused)
        if fault := await examine_marks(self.client, self._schema, self._mark):
            count(STORE_ERRORS, fault.cause)
            log.error("the store is refused, and every call that needs it", reason=fault.cause, meaning=fault.text)
            self.client.refuse(fault.text, fault.cause)
            raise StoreRefused(fault.text)


Clock = Callable[[], float]
