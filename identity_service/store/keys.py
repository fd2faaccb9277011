"""Every key of this schema: `id:v2:{SHOP}:…`. The part in braces is the hash tag, so that all keys of a shop share one slot
(Redis Cluster specification), and every change of it is one script on one server.

V visitor · E handle · S sale · R receipts · Z salt · Q erasures under way; lists and counters of the shop by their names. E is public: the
manual documents it for services that read it directly. Visitors and sales appear as 22 characters of a keyed digest.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from identity_service.model.handle import Handle, Handles
from identity_service.model.shop import ShopId

PREFIX = "id:v2:"
ANY_SCHEMA = "id:v?:"
"""As SCAN looks for names."""
PIECE_LENGTH = 6
"""Characters that name a piece of receipts."""
SALE_MARK = "$"
"""Before a sale's digest in a hash. No visitor's ID and no name of a handle begins so."""
PROBE = f"{PREFIX}{{probe}}"
PROBES = f"{PREFIX}{{probe-"
PROBE_OF_A_SHOP = "}:probe"
SWEEP = f"{PREFIX}{{sweep}}"
SCHEMA = "id:v1:{schema}"
MOVE = "id:v1:{move}"
REPAIR_LOCK = "id:v1:{repair-lock}"
"""Marks keep the names of their first version: by them a store is known to a service of any version."""
OF_THE_STORE = frozenset({PROBE, SWEEP, SCHEMA, MOVE, REPAIR_LOCK, "id:v1:{probe}", "id:v1:{sweep}", "id:v1:{rewrite}"})
"""They say something of one store or one moment, and are never moved; nor are an examination's probes."""


def probe_of(number: int) -> str:
    """One of many, so that each server of a cluster can be given one that it holds."""
    return f"{PROBES}{number}}}"


def is_of_the_store(name: str) -> bool:
    return name in OF_THE_STORE or name.startswith((PROBES, "id:v1:{probe-")) or name.endswith(PROBE_OF_A_SHOP)


class VisitorKeys(Struct, frozen=True):
    """`record` is a hash. `digest` stands for the visitor."""

    digest: str
    record: str

    @property
    def gone(self) -> str:
        """The mark of its withdrawal."""
        return f"{self.record}:gone"

    @property
    def events(self) -> str:
        """List, newest first."""
        return f"{self.record}:events"

    @property
    def receipts(self) -> str:
        """List of the IDs of those before the newest."""
        return f"{self.record}:receipts"

    @property
    def sales(self) -> str:
        """Hash, SALE_MARK and a sale's digest → its time, less than zero where a public key said it, and lower without a token."""
        return f"{self.record}:sales"


class Keys:
    def __init__(self, handles: Handles) -> None:
        self._digest = handles.digest
        self.window_key = handles.window_key

    def visitor_digest(self, shop: ShopId, visitor: str) -> str:
        return self._digest("visitor", shop, visitor)

    def visitor(self, shop: ShopId, visitor: str) -> VisitorKeys:
        return self.visitor_of(shop, self.visitor_digest(shop, visitor))

    def visitor_of(self, shop: ShopId, digest: str) -> VisitorKeys:
        return VisitorKeys(digest, of_shop(shop, f"V:{digest}"))

    def handle(self, shop: ShopId, handle: Handle) -> str:
        """The handle's links, a hash, visitor → value. Sales that name the handle stand in it as in those of a visitor."""
        return of_shop(shop, f"E:{handle.digest}")

    def sale_digest(self, shop: ShopId, sale: str) -> str:
        return self._digest("sale", shop, sale)

    def sale_of(self, shop: ShopId, digest: str) -> str:
        return of_shop(shop, f"S:{digest}")

    def receipt(self, shop: ShopId, receipt_id: str) -> str:
        """The piece that it lies in, by the first characters of its ID."""
        return of_shop(shop, f"R:{receipt_id[:PIECE_LENGTH]}")

    def lone_receipt(self, shop: ShopId, receipt_id: str) -> str:
        """One that was brought over from the first schema."""
        return of_shop(shop, f"R:{receipt_id}")

    def salt(self, shop: ShopId, window_start: int) -> str:
        return of_shop(shop, f"Z:{window_start}")

    def erasures(self, shop: ShopId) -> str:
        return of_shop(shop, "Q")

    def removals(self, shop: ShopId) -> str:
        return of_shop(shop, "removals")

    def rewrite(self, shop: ShopId) -> str:
        return of_shop(shop, "rewrite")

    def probe(self, shop: ShopId) -> str:
        """Written to see whether the shop's server can be."""
        return of_shop(shop, "probe")

    def orders(self, shop: ShopId) -> str:
        return of_shop(shop, "orders")

    def hour(self, shop: ShopId, start: int) -> str:
        return of_shop(shop, f"hour:{start}")

    def products(self, shop: ShopId) -> str:
        return of_shop(shop, "products")

    def calls(self, shop: ShopId) -> str:
        return of_shop(shop, "calls")

    def failures(self, shop: ShopId) -> str:
        return of_shop(shop, "failures")

    def labels(self, shop: ShopId) -> str:
        return of_shop(shop, "labels")

    def latest(self, shop: ShopId) -> str:
        return of_shop(shop, "latest")


def of_shop(shop: ShopId | str, name: str) -> str:
    """`*` for any shop, where names are looked for."""
    return f"{PREFIX}{{{shop}}}:{name}"


def sales_in(fields: Iterable[str]) -> list[str]:
    """Digests of the sales among the fields of a hash, in order."""
    return sorted(field.removeprefix(SALE_MARK) for field in fields if field.startswith(SALE_MARK))


def links_in(fields: Mapping[str, str]) -> dict[str, str]:
    """Of a handle's hash, visitor → value."""
    return {visitor: value for visitor, value in fields.items() if not visitor.startswith(SALE_MARK)}
