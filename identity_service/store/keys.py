"""Every key of this schema: `id:v2:{SHOP}:…`. The part in braces is the hash tag (Redis Cluster specification). So all keys of a shop share
one slot, and every change of a shop is one script on one server.

V visitor · E handle · S sale · R receipts · Z salt · Q erasures under way · A newest accesses to a person. Lists and counters of the shop
have names. E is public: the manual documents it for services that read it directly. The name of a visitor or a sale is 22 characters of a
keyed digest.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from identity_service.model.handle import Handle, Handles
from identity_service.model.shop import ShopId

PREFIX = "id:v2:"
ANY_SCHEMA = "id:v?:"
"""A pattern for SCAN."""
PIECE_LENGTH = 6
"""Characters of the name of a piece of receipts."""
SALE_MARK = "$"
"""The prefix of a sale's digest in a hash. No visitor's ID and no name of a handle begins with it."""
PROBE = f"{PREFIX}{{probe}}"
PROBES = f"{PREFIX}{{probe-"
PROBE_OF_A_SHOP = "}:probe"
SWEEP = f"{PREFIX}{{sweep}}"
SCHEMA = "id:v1:{schema}"
MOVE = "id:v1:{move}"
REPAIR_LOCK = "id:v1:{repair-lock}"
"""Marks keep the names of the first schema, so that a service of any version recognises a store."""
OF_THE_STORE = frozenset({PROBE, SWEEP, SCHEMA, MOVE, REPAIR_LOCK, "id:v1:{probe}", "id:v1:{sweep}", "id:v1:{rewrite}"})
"""Keys that describe one store or one moment. They are never moved, and probes are not either."""


def probe_of(number: int) -> str:
    """One of many probes, so that each server of a cluster holds one."""
    return f"{PROBES}{number}}}"


def is_of_the_store(name: str) -> bool:
    return name in OF_THE_STORE or name.startswith((PROBES, "id:v1:{probe-")) or name.endswith(PROBE_OF_A_SHOP)


class VisitorKeys(Struct, frozen=True):
    """`record`: the key of a hash. `digest`: of the visitor."""

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
        """List of the IDs of earlier receipts."""
        return f"{self.record}:receipts"

    @property
    def sales(self) -> str:
        """Hash, SALE_MARK and a sale's digest → its score: the time, less than zero if a public key reported it, and lower still without a
        token."""
        return f"{self.record}:sales"


class Keys:
    def __init__(self, handles: Handles) -> None:
        self._digest = handles.digest
        self.window_key = handles.window_key
        self.day_key = handles.day_key

    def visitor_digest(self, shop: ShopId, visitor: str) -> str:
        return self._digest("visitor", shop, visitor)

    def visitor(self, shop: ShopId, visitor: str) -> VisitorKeys:
        return self.visitor_of(shop, self.visitor_digest(shop, visitor))

    def visitor_of(self, shop: ShopId, digest: str) -> VisitorKeys:
        return VisitorKeys(digest, of_shop(shop, f"V:{digest}"))

    def handle(self, shop: ShopId, handle: Handle) -> str:
        """Hash of the handle's links, visitor → value. It also holds the sales that name the handle, as `VisitorKeys.sales` does."""
        return of_shop(shop, f"E:{handle.digest}")

    def sale_digest(self, shop: ShopId, sale: str) -> str:
        return self._digest("sale", shop, sale)

    def sale_of(self, shop: ShopId, digest: str) -> str:
        return of_shop(shop, f"S:{digest}")

    def receipt(self, shop: ShopId, receipt_id: str) -> str:
        """The piece that holds the receipt, named by the first characters of its ID."""
        return of_shop(shop, f"R:{receipt_id[:PIECE_LENGTH]}")

    def lone_receipt(self, shop: ShopId, receipt_id: str) -> str:
        """A receipt that was moved from the first schema."""
        return of_shop(shop, f"R:{receipt_id}")

    def salt(self, shop: ShopId, window_start: int) -> str:
        return of_shop(shop, f"Z:{window_start}")

    def day_salt(self, shop: ShopId, day: int) -> str:
        """Of figures. No ID is derived with it."""
        return of_shop(shop, f"Z:{day}:day")

    def erasures(self, shop: ShopId) -> str:
        return of_shop(shop, "Q")

    def removals(self, shop: ShopId) -> str:
        return of_shop(shop, "removals")

    def audit(self, shop: ShopId, day: int) -> str:
        """List of the day's entries, newest first. `day`: days since 1970."""
        return of_shop(shop, f"audit:{day}")

    def accesses(self, shop: ShopId, subject: str) -> str:
        """List of the newest entries about a person, newest first."""
        return of_shop(shop, f"A:{subject}")

    def lookups(self, shop: ShopId, day: int) -> str:
        """Hash of the day's look-ups by services, hour and key → number."""
        return of_shop(shop, f"lookups:{day}")

    def sessions(self, shop: ShopId) -> str:
        """Hash of the living sessions of the admin pages, ID → session."""
        return of_shop(shop, "sessions")

    def rewrite(self, shop: ShopId) -> str:
        return of_shop(shop, "rewrite")

    def probe(self, shop: ShopId) -> str:
        """Written to find out whether the shop's server accepts writes."""
        return of_shop(shop, "probe")

    def orders(self, shop: ShopId) -> str:
        return of_shop(shop, "orders")

    def hour(self, shop: ShopId, start: int) -> str:
        return of_shop(shop, f"hour:{start}")

    def day(self, shop: ShopId, start: int) -> str:
        """Hash of the day's figures: those of an hour are under `hour`."""
        return of_shop(shop, f"day:{start}")

    def sketch(self, shop: ShopId, day: int, name: str) -> str:
        """Of the day's distinct visitors of one kind. It ends with the day."""
        return of_shop(shop, f"sketch:{day}-{name}")

    def remainders(self, shop: ShopId, day: int) -> str:
        """Hash of what is counted and not shown yet, by digest. It ends with the day."""
        return of_shop(shop, f"remainders:{day}")

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
    """`shop`: `*` in a pattern for any shop."""
    return f"{PREFIX}{{{shop}}}:{name}"


def sales_in(fields: Iterable[str]) -> list[str]:
    """The digests of the sales among the fields of a hash, sorted."""
    return sorted(field.removeprefix(SALE_MARK) for field in fields if field.startswith(SALE_MARK))


def links_in(fields: Mapping[str, str]) -> dict[str, str]:
    """The links in a handle's hash, visitor → value."""
    return {visitor: value for visitor, value in fields.items() if not visitor.startswith(SALE_MARK)}
