"""Receipts: signed proof of each consent decision."""

import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from msgspec import Struct
from msgspec.structs import asdict, replace

from identity_service.model.consent import SHOP, Purpose, Receipt, Signal, visitor_digest
from identity_service.model.cookieless import DAY
from identity_service.model.event import compact
from identity_service.model.shop import Shop, ShopId
from identity_service.model.token import Signing
from identity_service.model.visitor import Mode, VisitorId
from identity_service.service.visit import Known
from identity_service.store import Clock, Store
from identity_service.store.keys import PIECE_LENGTH
from identity_service.store.visitors import StoredReceipt

CHECK_LENGTH = 10
"""Characters of an ID after the piece's name: 60 random bits, so that nobody can guess a receipt's ID."""
RECEIPTS_OF_A_PIECE = 64
"""Reading one receipt reads its whole piece."""
LETTERS = {"granted": "g", "refused": "r"}
WORDS = {letter: word for word, letter in LETTERS.items()}


@dataclass(slots=True)
class Piece:
    """A store key that holds several receipts of one shop and worker. `opened_at`: seconds since 1970. `left`: room for so many more."""

    name: str
    opened_at: int
    left: int = RECEIPTS_OF_A_PIECE


class Packed(Struct, frozen=True, array_like=True):
    """The stored form of a receipt, in this order. `check`: its ID after the piece's name. `purposes`: one letter per Purpose, `-` if it
    was not asked. `raw_digest`: 43 characters of base64url instead of 64 of hex."""

    check: str
    time: int
    mode: str
    purposes: str
    source: str
    policy: str
    policy_version: str | None
    raw_digest: str | None
    region: str | None
    override_reason: str | None
    visitor_digest: str | None
    signature: str
    decided_at: int


class Receipts:
    """`life_days`: days that a receipt is kept."""

    def __init__(self, store: Store, signing: Signing, clock: Clock, life_days: int) -> None:
        self._store = store
        self._signing = signing
        self._clock = clock
        self._life = life_days * DAY
        self._pieces: dict[ShopId, Piece] = {}

    def as_stored(self, receipt: Receipt) -> StoredReceipt:
        return StoredReceipt(receipt.receipt_id, compact(_pack(receipt)), self._life)

    def make(self, known: Known, choice: Signal, mode: Mode, visitor: VisitorId | None, receipt_key: str | None) -> Receipt:
        """`choice.choice` None: a choice about linking alone. `receipt_key` None: the visitor has no record, so the receipt names
        nobody."""
        shop, region, now = known.visit.shop, known.visit.surroundings.region, known.seconds
        receipt = Receipt(
            receipt_id=self._new_id(shop.shop_id, now),
            time=now,
            mode=mode,
            purposes=_purposes_of(choice),
            decided_at=choice.decided_at // 1000,
            source=choice.source,
            policy=shop.policy.name,
            policy_version=choice.policy_version,
            raw_digest=choice.raw_digest,
            region=region,
            override_reason=shop.policy.rules(region).override_reason,
            visitor_digest=visitor_digest(receipt_key, visitor) if receipt_key and visitor else None,
        )
        return replace(receipt, signature=self._signing.sign_receipt(shop.shop_id, canonical(receipt), now))

    def is_valid(self, shop: Shop, receipt: Receipt) -> bool:
        """Whether the service signed exactly this receipt for this shop, with a key that it still has."""
        of_first_edition = [replace(receipt, decided_at=None)] if receipt.decided_at == receipt.time else []
        return any(self._signing.verify_receipt(shop.shop_id, canonical(one), receipt.signature) for one in (receipt, *of_first_edition))

    async def of_visitor(self, shop: Shop, visitor: VisitorId) -> list[Receipt]:
        """Newest first. Empty for an unknown or erased visitor."""
        return await self._read(shop, await self._store.visitors.receipt_ids(shop.shop_id, visitor))

    async def by_id(self, shop: Shop, receipt_id: str) -> Receipt | None:
        found = await self._read(shop, [receipt_id])
        return found[0] if found else None

    async def _read(self, shop: Shop, receipt_ids: Sequence[str]) -> list[Receipt]:
        """Expired receipts are left out: a piece may outlive them by a day."""
        found = [_unpack(*one) for one in await self._store.visitors.receipts(shop.shop_id, receipt_ids)]
        return [receipt for receipt in found if receipt.time + self._life > self._clock()]

    def _new_id(self, shop: ShopId, now: int) -> str:
        """Pieces are filled for at most a day, so that no receipt is kept much longer than necessary."""
        piece = self._pieces.get(shop)
        if piece is None or not piece.left or not 0 <= now - piece.opened_at < DAY:
            piece = self._pieces[shop] = Piece(_random(PIECE_LENGTH), now)
        piece.left -= 1
        return piece.name + _random(CHECK_LENGTH)


def canonical(receipt: Receipt) -> str:
    """The signed text: JSON in UTF-8 with sorted members and no spaces, without the signature, and without `decided_at` if it is None."""
    body = asdict(receipt)
    del body["signature"]
    if receipt.decided_at is None:
        del body["decided_at"]
    return msgspec.json.encode(body, order="sorted").decode()


_of_first_schema = msgspec.json.Decoder(Receipt).decode
_of_packed = msgspec.json.Decoder(Packed).decode


def _pack(receipt: Receipt) -> Packed:
    fields = asdict(receipt) | {"check": receipt.receipt_id[PIECE_LENGTH:]}
    fields["purposes"] = "".join(LETTERS.get(receipt.purposes.get(name, ""), "-") for name in Purpose)
    if receipt.raw_digest:
        fields["raw_digest"] = urlsafe_b64encode(bytes.fromhex(receipt.raw_digest)).decode().rstrip("=")
    del fields["receipt_id"]
    return Packed(**fields)


def _unpack(receipt_id: str, body: str) -> Receipt:
    if body.startswith("{"):
        return _of_first_schema(body)
    packed = _of_packed(body)
    fields = asdict(packed) | {"receipt_id": receipt_id}
    fields["purposes"] = {name: WORDS[letter] for name, letter in zip(Purpose, packed.purposes, strict=True) if letter in WORDS}
    if packed.raw_digest:
        fields["raw_digest"] = urlsafe_b64decode(f"{packed.raw_digest}=").hex()
    del fields["check"]
    return Receipt(**fields)


def _purposes_of(choice: Signal) -> dict[str, str]:
    """The choices by purpose, in order, of those that were asked. A single choice of a banner covers storage and measurement. A grant of
    the shop is nobody's choice, so it has none."""
    if choice.source == SHOP:
        return {}
    told = dict(choice.purposes) or dict.fromkeys((Purpose.STORAGE, Purpose.MEASUREMENT), choice.choice) | {Purpose.LINKING: choice.linking}
    return {name: str(told[name]) for name in Purpose if told.get(name)}


def _random(length: int) -> str:
    return secrets.token_urlsafe(length)[:length]


def new_receipt_key() -> str:
    return secrets.token_urlsafe(16)
