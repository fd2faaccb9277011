"""Receipts: signed proof of each consent decision, and what they say about a moment."""

import secrets

import msgspec
from msgspec.structs import asdict, replace

from identity_service.consent import Choice, Receipt, Signal, visitor_digest
from identity_service.cookieless import DAY
from identity_service.event import compact
from identity_service.service.scene import Scene
from identity_service.shop import Shop
from identity_service.signing import Signing
from identity_service.store import Store
from identity_service.store.visitors import StoredReceipt
from identity_service.visitor import Mode, VisitorId

ID_BYTES = 12
"""A record holds the newest one's, and with one email takes 152 bytes then, where the server's own allocator has a step."""


class Receipts:
    """`life_days`: how long a receipt is kept."""

    def __init__(self, store: Store, signing: Signing, life_days: int) -> None:
        self._store = store
        self._signing = signing
        self._life = life_days * DAY

    def as_stored(self, receipt: Receipt) -> StoredReceipt:
        return StoredReceipt(receipt.receipt_id, compact(receipt), self._life)

    def make(self, scene: Scene, choice: Signal, mode: Mode, visitor: VisitorId | None, receipt_key: str | None) -> Receipt:
        """`choice.choice` None proves a choice about linking alone. `receipt_key` None: the visitor's record is gone or never was, so the
        receipt names nobody."""
        shop, region, now = scene.visit.shop, scene.visit.surroundings.region, scene.seconds
        purposes = {"storage": choice.choice, "measurement": choice.choice, "linking": choice.linking or choice.choice}
        receipt = Receipt(
            receipt_id=secrets.token_urlsafe(ID_BYTES),
            time=now,
            mode=mode,
            purposes={
                purpose: "refused" if choice.choice is Choice.REFUSED else str(value) for purpose, value in purposes.items() if value
            },
            source=choice.source,
            policy=shop.policy.name,
            policy_version=choice.policy_version,
            raw_digest=choice.raw_digest,
            region=region,
            override_reason=shop.policy.rules(region).override_reason,
            visitor_digest=visitor_digest(receipt_key, visitor) if receipt_key and visitor else None,
        )
        return replace(receipt, signature=self._signing.sign_receipt(shop.shop_id, canonical(receipt), now))

    async def of_visitor(self, shop: Shop, visitor: VisitorId) -> list[Receipt]:
        """Newest first; empty for an unknown or erased visitor."""
        ids = await self._store.visitors.receipt_ids(shop.shop_id, visitor)
        return [_read(body) for body in await self._store.visitors.receipts(shop.shop_id, ids)]

    async def by_id(self, shop: Shop, receipt_id: str) -> Receipt | None:
        found = await self._store.visitors.receipts(shop.shop_id, [receipt_id])
        return _read(found[0]) if found else None


def canonical(receipt: Receipt) -> str:
    """What is signed: JSON in UTF-8 with sorted members, no spaces, without the signature."""
    body = asdict(receipt)
    del body["signature"]
    return msgspec.json.encode(body, order="sorted").decode()


_read = msgspec.json.Decoder(Receipt).decode


def new_receipt_key() -> str:
    return secrets.token_urlsafe(16)
