"""Every key in the store, and nowhere else. Prefix `id:v1:`; the part in braces is the aggregate whose keys share one slot.

V visitor · E handle · S sale · R receipt · Z salt; `{shop:repair}` open removals, `{shop:lists}` lists of one shop. E is public: the
README documents it for services that read it directly. Visitors and sales appear as 22 characters of a keyed digest.
"""

from msgspec import Struct

from identity_service.handle import Handle, Handles
from identity_service.shop import ShopId

PREFIX = "id:v1:"
REWRITE = f"{PREFIX}{{rewrite}}"
PROBE = f"{PREFIX}{{probe}}"
PROBES = f"{PREFIX}{{probe-"
REPAIR_LOCK = f"{PREFIX}{{repair-lock}}"
SCHEMA = f"{PREFIX}{{schema}}"
MOVE = f"{PREFIX}{{move}}"
SWEEP = f"{PREFIX}{{sweep}}"
SALTS = f"{PREFIX}Z{{"
OF_THE_STORE = frozenset({PROBE, REPAIR_LOCK, SCHEMA, MOVE, SWEEP})
"""They say something of one store or one moment, and are never moved; nor are an examination's probes."""


def probe_of(number: int) -> str:
    """One of many, so that each server of a cluster can be given one that it holds."""
    return f"{PROBES}{number}}}"


def is_of_the_store(name: str) -> bool:
    return name in OF_THE_STORE or name.startswith(PROBES)


class VisitorKeys(Struct, frozen=True):
    """`record` is a hash. `digest` stands for the visitor."""

    digest: str
    record: str

    @property
    def gone(self) -> str:
        """Time of withdrawal."""
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
        """Set of sale digests."""
        return f"{self.record}:sales"


class HandleKeys(Struct, frozen=True):
    """`links` is a hash, visitor → value."""

    links: str

    @property
    def intents(self) -> str:
        """Hash, nonce → time and visitor."""
        return f"{self.links}:intents"

    @property
    def removals(self) -> str:
        """Hash, name → kind and time."""
        return f"{self.links}:removals"

    @property
    def sales(self) -> str:
        """Set of sale digests."""
        return f"{self.links}:sales"


class Keys:
    def __init__(self, handles: Handles) -> None:
        self._digest = handles.digest
        self.window_key = handles.window_key

    def visitor_digest(self, shop: ShopId, visitor: str) -> str:
        return self._digest("visitor", shop, visitor)

    def visitor(self, shop: ShopId, visitor: str) -> VisitorKeys:
        return self.visitor_of(shop, self.visitor_digest(shop, visitor))

    def visitor_of(self, shop: ShopId, digest: str) -> VisitorKeys:
        return VisitorKeys(digest, f"{PREFIX}V{{{shop}:{digest}}}")

    def handle(self, shop: ShopId, handle: Handle) -> HandleKeys:
        return HandleKeys(f"{PREFIX}E{{{shop}:{handle.digest}}}")

    def sale_digest(self, shop: ShopId, sale: str) -> str:
        return self._digest("sale", shop, sale)

    def sale_of(self, shop: ShopId, digest: str) -> str:
        return f"{PREFIX}S{{{shop}:{digest}}}"

    def receipt(self, shop: ShopId, receipt_id: str) -> str:
        return f"{PREFIX}R{{{shop}:{receipt_id}}}"

    def salt(self, shop: ShopId, window_start: int) -> str:
        return f"{SALTS}{shop}:{window_start}}}"

    def notes(self, shop: ShopId) -> str:
        return f"{PREFIX}Q{{{shop}:repair}}"

    def orders(self, shop: ShopId) -> str:
        return f"{PREFIX}orders{{{shop}:lists}}"

    def hour(self, shop: ShopId, start: int) -> str:
        return f"{PREFIX}hour{{{shop}:lists}}:{start}"

    def products(self, shop: ShopId) -> str:
        return f"{PREFIX}products{{{shop}:lists}}"

    def calls(self, shop: ShopId) -> str:
        return f"{PREFIX}calls{{{shop}:lists}}"

    def failures(self, shop: ShopId) -> str:
        return f"{PREFIX}failures{{{shop}:lists}}"

    def latest(self, shop: ShopId) -> str:
        return f"{PREFIX}latest{{{shop}:lists}}"
