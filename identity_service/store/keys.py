"""Every key in the store, and nowhere else. Prefix `id:v1:`; the part in braces is the aggregate that one script changes in one slot.

V visitor · E handle · S sale · R receipt · Z salt; `{shop:repair}` open removals, `{shop:lists}` lists of one shop. E is public: the
README documents it for services that read it directly. Visitors and sales appear as 22 characters of a keyed digest.
"""

from msgspec import Struct

from identity_service.handle import Handle, Handles
from identity_service.shop import ShopId

PREFIX = "id:v1:"
REWRITE = f"{PREFIX}{{rewrite}}"
PROBE = f"{PREFIX}{{probe}}"
REPAIR_LOCK = f"{PREFIX}{{repair-lock}}"
SCHEMA = f"{PREFIX}{{schema}}"
MOVE = f"{PREFIX}{{move}}"
OF_THE_STORE = frozenset({PROBE, REPAIR_LOCK, SCHEMA, MOVE})
"""They say something of one store or one moment, and are never moved."""


class VisitorKeys(Struct, frozen=True):
    """`record` hash, `gone` time of withdrawal, `events` list newest first, `receipts` list of the IDs of those
    before the newest, `sales` set of sale digests. `digest` stands for the visitor."""

    digest: str
    record: str
    gone: str
    events: str
    receipts: str
    sales: str


class HandleKeys(Struct, frozen=True):
    """`links` hash visitor → value, `intents` hash nonce → time and visitor, `removals` hash name → kind and time, `sales` set."""

    links: str
    intents: str
    removals: str
    sales: str


class Keys:
    def __init__(self, handles: Handles) -> None:
        self._digest = handles.digest

    def visitor_digest(self, shop: ShopId, visitor: str) -> str:
        return self._digest("visitor", shop, visitor)

    def visitor(self, shop: ShopId, visitor: str) -> VisitorKeys:
        return self.visitor_of(shop, self.visitor_digest(shop, visitor))

    def visitor_of(self, shop: ShopId, digest: str) -> VisitorKeys:
        tag = f"{{{shop}:{digest}}}"
        return VisitorKeys(
            digest, f"{PREFIX}V{tag}", f"{PREFIX}V{tag}:gone", f"{PREFIX}V{tag}:events", f"{PREFIX}V{tag}:receipts", f"{PREFIX}V{tag}:sales"
        )

    def handle(self, shop: ShopId, handle: Handle) -> HandleKeys:
        tag = f"{{{shop}:{handle.digest}}}"
        return HandleKeys(f"{PREFIX}E{tag}", f"{PREFIX}E{tag}:intents", f"{PREFIX}E{tag}:removals", f"{PREFIX}E{tag}:sales")

    def sale_digest(self, shop: ShopId, sale: str) -> str:
        return self._digest("sale", shop, sale)

    def sale_of(self, shop: ShopId, digest: str) -> str:
        return f"{PREFIX}S{{{shop}:{digest}}}"

    def receipt(self, shop: ShopId, receipt_id: str) -> str:
        return f"{PREFIX}R{{{shop}:{receipt_id}}}"

    def salt(self, shop: ShopId, window_start: int) -> str:
        return f"{PREFIX}Z{{{shop}:{window_start}}}"

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

    def latest(self, shop: ShopId) -> str:
        return f"{PREFIX}latest{{{shop}:lists}}"
