"""Sales: indexed under whom they concern first, then claimed, once for each sale ID."""

from collections.abc import Mapping, Sequence

from identity_service.handle import Handle
from identity_service.shop import ShopId
from identity_service.store.batch import call, read, write
from identity_service.store.client import Client
from identity_service.store.keys import Keys
from identity_service.visitor import VisitorId

MOST_SALES_OF_A_VISITOR = 1_000


class SaleStore:
    """`life`: seconds a sale is kept."""

    def __init__(self, client: Client, keys: Keys, life: int) -> None:
        self._client = client
        self._keys = keys
        self._life = life

    async def index_under_visitor(self, shop: ShopId, sale: str, visitor: VisitorId) -> bool:
        """Before the sale names the visitor. False where the visitor is gone; then the sale must not name it."""
        keys = self._keys.visitor(shop, visitor)
        index = call("index_sale", (keys.gone, keys.sales), self._keys.sale_digest(shop, sale), self._life, MOST_SALES_OF_A_VISITOR)
        [indexed] = await self._client.run(index)
        return bool(indexed)

    async def index_under_handles(self, shop: ShopId, sale: str, handles: Sequence[Handle]) -> None:
        """Before the sale names the handles, so that an erasure finds it."""
        digest = self._keys.sale_digest(shop, sale)
        keys = [self._keys.handle(shop, handle).sales for handle in handles]
        if keys:
            await self._client.run(*(command for key in keys for command in (write("SADD", key, digest), write("EXPIRE", key, self._life))))

    async def claim(self, shop: ShopId, sale: str, fields: Mapping[str, str]) -> dict[str, str] | None:
        """None for the first call with this sale ID, which stores `fields`; else what the first one stored."""
        digest = self._keys.sale_digest(shop, sale)
        pairs = [text for pair in fields.items() for text in pair]
        [reply] = await self._client.run(call("claim_sale", [self._keys.sale_of(shop, digest)], self._life, *pairs))
        if reply[0] == 1:
            return None
        return dict(zip(reply[1][::2], reply[1][1::2], strict=True))

    async def finish(self, shop: ShopId, sale: str) -> None:
        await self._client.run(call("finish_sale", [self._keys.sale_of(shop, self._keys.sale_digest(shop, sale))]))

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
