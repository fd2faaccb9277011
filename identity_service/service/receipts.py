"""Receipts: signed proof of each consent decision."""

import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from msgspec import Struct
from msgspec.structs import asdict, astuple, replace

from identity_service.model.consent import (
    OF_THIRD_EDITION,
    SALE_OPT_IN,
    SHOP,
    BannerContext,
    Choice,
    Purpose,
    Receipt,
    ReceiptEvent,
    Signal,
    visitor_digest,
)
from identity_service.model.event import compact
from identity_service.model.shop import Shop, ShopId
from identity_service.model.token import Signing
from identity_service.model.utc import DAY
from identity_service.model.visitor import Mode, VisitorId, VisitorRecord
from identity_service.service.visit import Known
from identity_service.store import Clock, Store
from identity_service.store.keys import PIECE_LENGTH
from identity_service.store.visitors import StoredReceipt

LATER = ("decided_at", *OF_THIRD_EDITION)
"""Members that receipts of the first edition do not have."""
CHECK_LENGTH = 10
"""Characters of an ID after the piece's name: 60 random bits, so that nobody can guess a receipt's ID."""
RECEIPTS_OF_A_PIECE = 64
"""Reading one receipt reads its whole piece."""
LETTERS = {"granted": "g", "refused": "r"}
WORDS = {letter: word for word, letter in LETTERS.items()}
MODES = {"cookieless": "c", "persistent": "p", "null": "n"}
POLICIES = {"standard": "s", "strict": "t"}
EVENTS: dict[ReceiptEvent | None, str] = {None: "-"} | {event: event.value[0] for event in ReceiptEvent}
SHORT = {name: {letter: word for word, letter in letters.items()} for name, letters in (("mode", MODES), ("policy", POLICIES))}
PURPOSES_OF_COOKIES = 3
"""Letters of a receipt that is not about sale, as in earlier editions."""
SAME_WITHIN = DAY
"""Seconds after a receipt in which an equal choice gets no new one. One that is repeated later extends the grant, which needs proof."""


@dataclass(slots=True)
class Piece:
    """A store key that holds several receipts of one shop and worker. `opened_at`: seconds since 1970. `left`: room for so many more."""

    name: str
    opened_at: int
    left: int = RECEIPTS_OF_A_PIECE


class Packed(Struct, frozen=True, array_like=True):
    """The stored form of a receipt, in this order. `check`: its ID after the piece's name. `purposes`: one letter per Purpose, `-` if it
    was not asked; the last one only in receipts about sale. `raw_digest`: 43 characters of base64url instead of 64 of hex. `mode` and
    `policy`: a letter, or the word in the second edition, which ends with `decided_at`. `days`: of the grant. Nulls at the end are left
    out."""

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
    event: str | None = None
    days: int | None = None
    previous: str | None = None
    consent_version: str | None = None
    notice: str | None = None
    banner: tuple[str | None, str | None, str | None] | None = None


class Receipts:
    """`life_days`: days that a receipt is kept. `consent_days`: how long a grant lasts."""

    def __init__(self, store: Store, signing: Signing, clock: Clock, life_days: int, consent_days: int) -> None:
        self._store = store
        self._signing = signing
        self._clock = clock
        self._life = life_days * DAY
        self._consent_life = consent_days * DAY
        self._pieces: dict[ShopId, Piece] = {}

    def as_stored(self, receipt: Receipt) -> StoredReceipt:
        return StoredReceipt(receipt.receipt_id, compact(_pack(receipt)), self._life)

    def make(self, known: Known, choice: Signal, mode: Mode, visitor: VisitorId | None, receipt_key: str | None) -> Receipt:
        """`choice.choice` None: a choice about linking or sale alone. `receipt_key` None: the visitor has no record, so the receipt names
        nobody."""
        shop, region, now = known.visit.shop, known.visit.surroundings.region, known.seconds
        notice = shop.signals.notice_at(known.now)
        granted = choice.choice is Choice.GRANTED
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
            shop=shop.shop_id,
            event=_event_of(choice, known.states[visitor].record if visitor in known.states else None),
            ends_at=choice.decided_at // 1000 + self._consent_life if granted else None,
            previous=known.receipts_of(visitor).newest if visitor else None,
            consent_version=notice.name if notice else None,
            notice=shop.settings.notice or None,
            banner=choice.banner,
        )
        return replace(receipt, signature=self._signing.sign_receipt(shop.shop_id, canonical(receipt), now))

    async def equal_to(self, shop: Shop, receipt: Receipt, newest: str | None) -> Receipt | None:
        """The visitor's `newest` receipt, if it proves the same choice, made within a day. Otherwise None."""
        found = await self.by_id(shop, newest) if newest else None
        lately = found is not None and abs(receipt.chosen_at - found.chosen_at) < SAME_WITHIN
        return found if found and lately and receipt.says_the_same(found) else None

    def is_valid(self, shop: Shop, receipt: Receipt) -> bool:
        """Whether the service signed exactly this receipt for this shop, with a key that it still has."""
        of_first_edition = [replace(receipt, decided_at=None)] if receipt.decided_at == receipt.time else []
        return any(self._signing.verify_receipt(shop.shop_id, canonical(one), receipt.signature) for one in (receipt, *of_first_edition))

    async def of_visitor(self, shop: Shop, visitor: VisitorId) -> list[Receipt]:
        """Newest first. Empty for an unknown or erased visitor."""
        return await self._read(shop, await self._store.visitors.receipt_ids(shop.shop_id, visitor))

    async def listed_of_visitor(self, shop: Shop, visitor: VisitorId, shown: slice) -> tuple[list[Receipt], int]:
        """As `of_visitor`, those that `shown` selects; and how many there are."""
        listed = await self._store.visitors.receipt_ids(shop.shop_id, visitor)
        return await self._read(shop, listed[shown]), len(listed)

    def in_force(self, held: Sequence[Receipt], moment: int) -> list[Receipt]:
        """Of the choices made by `moment`, in seconds since 1970, those that held then, newest first: the last one, unless it is a grant
        that had ended, and a later one about links alone. When a choice arrived does not matter; at the same second a refusal counts. An
        opt-in to sale is left out, because the opt-out that ends it has no receipt."""
        others = (one for one in held if one.chosen_at <= moment and not one.is_about_sale)
        made = sorted(others, key=lambda one: (one.chosen_at, one.refuses), reverse=True)
        about_links = next((one for one in made[:1] if one.is_about_links_alone), None)
        about_storage = next((one for one in made if not one.is_about_links_alone), None)
        if about_storage and not about_storage.refuses_storage and self._end_of(about_storage) <= moment:
            about_storage = None
        return [one for one in (about_links, about_storage) if one]

    def _end_of(self, grant: Receipt) -> int:
        return grant.chosen_at + self._consent_life if grant.ends_at is None else grant.ends_at

    async def of_withdrawn(self, shop: Shop, visitor: VisitorId) -> list[Receipt]:
        """Newest first. Empty for a visitor who did not withdraw, or was erased."""
        return await self._read(shop, await self._store.visitors.withdrawn_receipt_ids(shop.shop_id, visitor))

    async def by_id(self, shop: Shop, receipt_id: str) -> Receipt | None:
        found = await self._read(shop, [receipt_id])
        return found[0] if found else None

    async def _read(self, shop: Shop, receipt_ids: Sequence[str]) -> list[Receipt]:
        """Newest first. Expired receipts are left out: a piece may outlive them by a day."""
        found = [_unpack(shop.shop_id, *one) for one in await self._store.visitors.receipts(shop.shop_id, receipt_ids)]
        return sorted((one for one in found if one.time + self._life > self._clock()), key=lambda receipt: -receipt.time)

    def _new_id(self, shop: ShopId, now: int) -> str:
        """Pieces are filled for at most a day, so that no receipt is kept much longer than necessary."""
        piece = self._pieces.get(shop)
        if piece is None or not piece.left or not 0 <= now - piece.opened_at < DAY:
            piece = self._pieces[shop] = Piece(_random(PIECE_LENGTH), now)
        piece.left -= 1
        return piece.name + _random(CHECK_LENGTH)


def canonical(receipt: Receipt) -> str:
    """The signed text: JSON in UTF-8 with sorted members and no spaces, without the signature, and without members of later editions that
    are None."""
    body = asdict(receipt)
    del body["signature"]
    for name in LATER:
        if body[name] is None:
            del body[name]
    return msgspec.json.encode(body, order="sorted").decode()


_of_first_schema = msgspec.json.Decoder(Receipt).decode
_of_packed = msgspec.json.Decoder(Packed).decode


def _pack(receipt: Receipt) -> list[object]:
    fields = asdict(receipt) | {"check": receipt.receipt_id[PIECE_LENGTH:]}
    fields["mode"] = MODES.get(receipt.mode, receipt.mode)
    fields["policy"] = POLICIES.get(receipt.policy, receipt.policy)
    letters = "".join(LETTERS.get(receipt.purposes.get(name, ""), "-") for name in Purpose)
    fields["purposes"] = letters if receipt.is_about_sale else letters[:PURPOSES_OF_COOKIES]
    if receipt.raw_digest:
        fields["raw_digest"] = urlsafe_b64encode(bytes.fromhex(receipt.raw_digest)).decode().rstrip("=")
    fields["event"] = EVENTS[receipt.event]
    fields["days"] = None if receipt.ends_at is None else (receipt.ends_at - receipt.chosen_at) // DAY
    fields["banner"] = astuple(receipt.banner) if receipt.banner else None
    packed = [fields[name] for name in Packed.__struct_fields__]
    while packed[-1] is None:
        packed.pop()
    return packed


def _unpack(shop: ShopId, receipt_id: str, body: str) -> Receipt:
    if body.startswith("{"):
        return _of_first_schema(body)
    packed = _of_packed(body)
    fields = asdict(packed) | {"receipt_id": receipt_id}
    fields["purposes"] = {name: WORDS[letter] for name, letter in zip(Purpose, packed.purposes, strict=False) if letter in WORDS}
    fields |= {name: words.get(fields[name], fields[name]) for name, words in SHORT.items()}
    if packed.raw_digest:
        fields["raw_digest"] = urlsafe_b64decode(f"{packed.raw_digest}=").hex()
    if packed.event:
        fields["shop"] = shop
        fields["event"] = next(event for event, letter in EVENTS.items() if letter == packed.event)
    fields["ends_at"] = None if packed.days is None else packed.decided_at + packed.days * DAY
    fields["banner"] = BannerContext(*packed.banner) if packed.banner else None
    del fields["check"], fields["days"]
    return Receipt(**fields)


def _event_of(choice: Signal, record: VisitorRecord | None) -> ReceiptEvent | None:
    """What the choice does to what `record` holds. None for the shop's word, which is no choice. An opt-in to sale that stands already
    gets no receipt."""
    if choice.source == SHOP:
        return None
    if choice.source == SALE_OPT_IN:
        return ReceiptEvent.GIVEN
    consent = record.consent if record else None
    stored = consent is not None and not consent.is_of_the_shop and not choice.is_older(consent.given_at)
    if choice.choice is Choice.GRANTED:
        return ReceiptEvent.CONFIRMED if stored else ReceiptEvent.GIVEN
    if choice.choice is None:  # a refusal of links alone
        stored = record is not None and record.linking is Choice.GRANTED
    return ReceiptEvent.WITHDRAWN if stored else ReceiptEvent.REFUSED


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
