"""Visitor records: reading their state, granting, touching, opting in to sale, and receipts."""

from collections.abc import AsyncIterator, Iterable, Sequence
from functools import cached_property

from msgspec import Struct

from identity_service.errors import StoreUnavailable
from identity_service.model.consent import NEVER_SEEN, Choice, Consent, Millis, OptOut, OptOutsSeen
from identity_service.model.handle import handle_named
from identity_service.model.shop import ShopId
from identity_service.model.visitor import KINDS, LAPSED, GoneMark, KeptReceipts, Kind, VisitorId, VisitorRecord, VisitorState
from identity_service.store.keys import PIECE_LENGTH, Keys, VisitorKeys, of_shop, sales_in
from identity_service.store.noted import NotedShops
from identity_service.store.redis.client import StoreClient
from identity_service.store.redis.command import call, read, write

MOST_VISITORS = 4_096
DECISIVE = 10
"""How many of FIELDS, from the first, are decisive for a visitor's mode. The scripts read the same fields."""
MOST_READS = 12
"""How often a call may find that what the visitor holds has changed since it was read."""
RECORDS_AT_ONCE = 500
NAME_LENGTH = 23
"""Characters of a handle's name. The record's own fields have one letter."""
FIELDS = ("k", "x", "g", "s", "n", "v", "w", "o", "t", "b", "f", "l", "e", "q", "d", "m", "i", "c", "j", "r", "y", "u")
"""kind, expires, granted at, source, linking, policy version, sale/share opt-out, GPC first seen at, DNT first seen at, digest of the
bridged visitor: those decide. Then first seen, last seen, number of emails, receipt key, first characters of the signal's digest, whether
another person was erased from it, number of emails without proof, of customer IDs, of those without proof, the newest receipt's ID,
when the visitor last opted in to sale, ms, and 1 if the grant was repeated without a time."""
KEY, NEWEST = FIELDS.index("q"), FIELDS.index("r")
UNKNOWN = VisitorState(None, None)
"""The state of a visitor of whom nothing is stored."""


class Stored(Struct, frozen=True, dict=True):
    """`fields`: of the record, in the order of FIELDS, None for an absent one. `gone`: the mark as stored. Behind a space it has the key of
    the receipts, or `-` for none, and their IDs, newest first."""

    fields: Sequence[str | None]
    gone: str | None

    @cached_property
    def decisive(self) -> str:
        return "\n".join([field or "" for field in (*self.fields[:DECISIVE], self.gone)])


class AssumedVisitors:
    """What this worker assumes of visitors. `nothing`: of a visitor that was never read."""

    def __init__(self, nothing: Stored) -> None:
        self._nothing = nothing
        self._held: dict[str, Stored] = {}

    def of(self, digest: str) -> Stored:
        return self._held.get(digest, self._nothing)

    def remember(self, digest: str, stored: Stored) -> None:
        """Forgets a visitor of whom nothing is stored."""
        self._held.pop(digest, None)
        if stored is not self._nothing:
            self._held[digest] = stored
        if len(self._held) > MOST_VISITORS:
            del self._held[next(iter(self._held))]


NOTHING = Stored((None,) * len(FIELDS), None)


class StoredReceipt(Struct, frozen=True):
    """`body`: what is stored, a JSON list that begins with the part of the ID after the piece. `life`: in seconds."""

    receipt_id: str
    body: str
    life: int


NO_RECEIPT = StoredReceipt("", "", 0)


class Grant(Struct, frozen=True):
    """A grant to be written. `expires`: end of the consent, in seconds since 1970. `receipt`: its proof. `proven_by`: ID of a receipt that
    says the same; while it is the visitor's newest, none is added. `said_now`: a stored refusal of links ends."""

    consent: Consent
    expires: int
    opt_out: OptOut
    opt_outs_seen: OptOutsSeen
    receipt: StoredReceipt
    receipt_key: str
    bridged_from: VisitorId | None
    proven_by: str | None = None
    said_now: bool = False


class VisitorStore:
    def __init__(self, client: StoreClient, keys: Keys, assumed: AssumedVisitors, noted: NotedShops) -> None:
        self._client = client
        self._keys = keys
        self._noted = noted
        self._assumed = assumed
        self.records_at_once = RECORDS_AT_ONCE

    async def states(self, shop: ShopId, visitors: Sequence[VisitorId], now: int) -> list[VisitorState]:
        """In the order of `visitors`. A record past its expiry counts as none."""
        found = await self._read([self._keys.visitor(shop, visitor) for visitor in visitors])
        return [_state(stored, now) for stored in found]

    async def look_up(self, shop: ShopId, visitors: Sequence[VisitorId], now: int) -> list[VisitorState]:
        """As `states`, for the visitors of one call. The worker remembers them for its next calls."""
        keys = [self._keys.visitor(shop, visitor) for visitor in visitors]
        found = await self._read(keys)
        for one, stored in zip(keys, found, strict=True):
            self._assumed.remember(one.digest, stored)
        return [_state(stored, now) for stored in found]

    def assumed(self, shop: ShopId, visitor: VisitorId, now: int) -> VisitorState:
        """The state that this worker assumes, for writes that check it."""
        return _state(self._assumed.of(self._keys.visitor_digest(shop, visitor)), now)

    async def confirm_read(self, shop: ShopId, visitors: Iterable[VisitorId]) -> None:
        """Raises StoreUnavailable if replicas have to confirm writes and no replica follows the server that was read. That server may be a
        primary that was cut off, while another one took over and has newer data."""
        if self._client.replicas:
            await self._client.run(*(write("EXISTS", self._keys.visitor(shop, visitor).record) for visitor in visitors))

    async def _read(self, visitors: Sequence[VisitorKeys]) -> list[Stored]:
        commands = [command for keys in visitors for command in (read("HMGET", keys.record, *FIELDS), read("GET", keys.gone))]
        replies = await self._client.read_many(commands)
        pairs = zip(replies[::2], replies[1::2], strict=True)
        return [Stored(fields, gone) if gone or any(fields) else NOTHING for fields, gone in pairs]

    async def pointers(self, shop: ShopId, visitor: VisitorId) -> list[str]:
        """Names of the handles that the visitor points to."""
        [fields] = await self._client.run(read("HKEYS", self._keys.visitor(shop, visitor).record))
        return sorted(handle_names(fields))

    async def grant(self, shop: ShopId, visitor: VisitorId, grant: Grant, now: int) -> str:
        """Returns the outcome: granted, proven (granted, without a new receipt), gone or older. The links get the record's end, or are
        removed if the grant refuses them."""
        keys = self._keys.visitor(shop, visitor)
        arguments = (
            *(now, grant.expires + LAPSED, grant.consent.granted_at, grant.consent.source),
            *(grant.consent.linking or "", grant.consent.policy_version or ""),
            *(grant.opt_out, *_texts(grant.opt_outs_seen)),
            *(grant.receipt.receipt_id, grant.receipt_key),
            self._keys.visitor_digest(shop, grant.bridged_from) if grant.bridged_from else "",
            *(grant.consent.raw_digest or "", grant.expires, grant.receipt.body, grant.receipt.life, visitor, grant.proven_by or ""),
            *("1" if grant.consent.given_at is None else "", "1" if grant.said_now else ""),
        )
        receipt = self._keys.receipt(shop, grant.receipt.receipt_id)
        places = (keys.record, keys.gone, keys.receipts, keys.events, receipt, self._keys.rewrite(shop))
        return await self._with_links(shop, "grant", places, arguments, now)

    async def _with_links(self, shop: ShopId, script: str, places: Sequence[str], arguments: Sequence[str | int], now: int) -> str:
        """Calls a script that also changes the links of its visitor. The script needs their keys, and returns the names if they are
        others."""
        names: list[str] = []
        for _ in range(MOST_READS):
            links = [self._keys.handle(shop, handle_named(name)) for name in names]
            [[outcome, *found]] = await self._client.run(call(script, (*places, *links), *arguments, *names))
            if outcome != "otherwise":
                if names:  # the script may have dropped links, and noted it
                    self._noted.add(shop, now)
                return str(outcome)
            [names] = found
        raise StoreUnavailable("The visitor's links changed again and again while the call was made; repeat it.")

    async def touch(self, shop: ShopId, visitor: VisitorId, now: int, opt_out: OptOut, seen: OptOutsSeen = NEVER_SEEN) -> bool:
        """Returns False if there is no record."""
        record = self._keys.visitor(shop, visitor).record
        [found] = await self._client.run(call("touch_visitor", [record], now, opt_out, *_texts(seen)))
        return bool(found)

    async def confirm(self, shop: ShopId, visitor: VisitorId, now: int) -> None:
        """Waits until replicas have a choice that an earlier call stored. That call may have failed because replicas were missing. Raises
        StoreUnavailable also if the record is lost."""
        if self._client.replicas and not await self.touch(shop, visitor, now, OptOut.NONE):
            raise StoreUnavailable

    async def refuse_linking(
        self, shop: ShopId, visitor: VisitorId, kind: Kind, expires: int, now: int, receipt: StoredReceipt | None, receipt_key: str
    ) -> None:
        """Stores the refusal, which prevents later links, and removes the visitor's links. `receipt`: None if the refusal is known already.
        `expires`: of a new record."""
        keys = self._keys.visitor(shop, visitor)
        kept = receipt or NO_RECEIPT
        places = (keys.record, keys.gone, keys.receipts, self._keys.receipt(shop, kept.receipt_id), self._keys.rewrite(shop))
        arguments = (visitor, kind, now, expires, kept.receipt_id, receipt_key, kept.body, kept.life)
        await self._with_links(shop, "refuse_linking", places, arguments, now)

    async def opt_in(self, shop: ShopId, visitor: VisitorId, asked_at: Millis, now: Millis, receipt: StoredReceipt, key: str) -> str:
        """Lifts the opt-out of sale. `asked_at`: when its confirmation was made. `receipt`: its proof, or NO_RECEIPT. Returns the outcome:
        opted_in; stands if an opt-in stands, so that no receipt is added; used if the visitor opted in with this confirmation, or a later
        one, and out since; or gone."""
        keys = self._keys.visitor(shop, visitor)
        places = (keys.record, keys.receipts, self._keys.receipt(shop, receipt.receipt_id))
        arguments = (now, asked_at, receipt.receipt_id, key, receipt.body, receipt.life)
        [outcome] = await self._client.run(call("opt_in", places, *arguments))
        return str(outcome)

    async def receipt_ids(self, shop: ShopId, visitor: VisitorId) -> list[str]:
        """Newest first, at most 100."""
        keys = self._keys.visitor(shop, visitor)
        newest, earlier = await self._client.run(read("HGET", keys.record, "r"), read("LRANGE", keys.receipts, 0, -1))
        return [newest, *earlier] if newest else []

    async def withdrawn_receipt_ids(self, shop: ShopId, visitor: VisitorId) -> list[str]:
        """Those that the gone mark keeps, newest first."""
        [gone] = await self._client.run(read("GET", self._keys.visitor(shop, visitor).gone))
        return list(_kept(gone).withdrawn)

    async def sale_digests(self, shop: ShopId, visitor: VisitorId) -> list[str]:
        [fields] = await self._client.run(read("HKEYS", self._keys.visitor(shop, visitor).sales))
        return sales_in(fields)

    async def receipts(self, shop: ShopId, receipt_ids: Sequence[str]) -> list[tuple[str, str]]:
        """ID and body of each, in the order of `receipt_ids`, without unknown ones. A body of the first schema is a JSON object."""
        places = [place for one in receipt_ids for place in (self._keys.receipt(shop, one), self._keys.lone_receipt(shop, one))]
        found = await self._client.read_many([read("LRANGE", place, 0, -1) for place in places])
        receipts = []
        for receipt_id, piece, lone in zip(receipt_ids, found[::2], found[1::2], strict=True):
            beginning = f'["{receipt_id[PIECE_LENGTH:]}",'
            receipts += [(receipt_id, body) for body in (*piece, *lone[:1]) if body.startswith((beginning, "{"))]
        return receipts

    async def records(self, shop: ShopId, now: int) -> AsyncIterator[list[tuple[VisitorRecord, str | None]]]:
        """All of the shop's, each with the ID of its newest receipt, in batches; one may come twice while keys are made. For the operator's
        commands: it looks at every key of the store."""
        beginning = of_shop(shop, "V:")
        for node in await self._client.primaries():
            cursor = None
            while cursor != "0":
                [[cursor, names]] = await node.run(read("SCAN", cursor or "0", "MATCH", f"{beginning}*", "COUNT", self.records_at_once))
                places = [name for name in names if ":" not in name.removeprefix(beginning)]
                found = await self._client.read_many([read("HMGET", place, *FIELDS) for place in places])
                yield [(record, fields[NEWEST]) for fields in found if (record := _record(fields, now))]

    async def store_receipt(self, shop: ShopId, receipt: StoredReceipt, visitor: VisitorId | None = None) -> None:
        """`visitor`: its record keeps the ID among those of earlier receipts, since a newer choice is the newest one."""
        keys = self._keys.visitor(shop, visitor) if visitor else None
        places = [self._keys.receipt(shop, receipt.receipt_id), *((keys.record, keys.receipts) if keys else ())]
        await self._client.run(call("store_receipt", places, receipt.body, receipt.life, receipt.receipt_id))


def handle_names(fields: Iterable[str]) -> list[str]:
    """The fields of a record that are pointers."""
    return [field for field in fields if len(field) == NAME_LENGTH]


def _texts(seen: OptOutsSeen) -> tuple[str, str]:
    return "" if seen.gpc is None else str(seen.gpc), "" if seen.dnt is None else str(seen.dnt)


def _state(stored: Stored, now: int) -> VisitorState:
    if stored is NOTHING:
        return UNKNOWN
    record = _record(stored.fields, now)
    receipts = KeptReceipts(stored.fields[KEY], stored.fields[NEWEST]) if record else _kept(stored.gone)
    return VisitorState(record, gone_mark(stored.gone) if stored.gone else None, receipts)


def _kept(mark: str | None) -> KeptReceipts:
    _, key, *ids = (mark or "").split(" ") if mark and " " in mark else ("", "-")
    return KeptReceipts(None if key == "-" else key, ids[0] if ids else None, tuple(ids))


def _record(fields: Sequence[str | None], now: int) -> VisitorRecord | None:
    """`fields` in the order of FIELDS."""
    letter, end, granted, source, linked, version, opted_out, gpc, dnt, bridged, first, last, emails, _, digest, *rest = fields
    mixed, unproven_emails, customers, unproven_customers, _, opted_in, repeated = rest
    if not letter or int(end or 0) <= now:
        return None
    kind = KINDS[letter]
    expires = int(end or 0) - (LAPSED if kind is Kind.PERSISTENT else 0)
    linking = Choice(linked) if linked else None
    return VisitorRecord(
        kind=kind,
        first_seen=int(first or 0),
        last_seen=int(last or 0),
        expires=expires,
        consent=Consent(Millis(int(granted)), source or "", linking, version, digest, repeated == "1")
        if granted and expires > now
        else None,
        opted_out=opted_out == "1",
        emails=int(emails or 0),
        unproven_emails=int(unproven_emails or 0),
        customers=int(customers or 0),
        unproven_customers=int(unproven_customers or 0),
        mixed=mixed == "1",
        bridged_from=bridged,
        opt_outs_seen=OptOutsSeen(_moment(gpc), _moment(dnt)) if gpc or dnt else NEVER_SEEN,
        linking=linking,
        newest_opt_in=_moment(opted_in),
    )


def gone_mark(text: str) -> GoneMark:
    """As the scripts write it (`lua/parts/marks.lua`)."""
    at, *more = text.partition(" ")[0].split(":")
    if not more:
        return GoneMark(Millis(int(at)))
    withdrawn_at, awaited = more
    return GoneMark(Millis(int(at)), tuple(map(int, filter(None, awaited.split(",")))), int(withdrawn_at))


def _moment(text: str | None) -> Millis | None:
    return Millis(int(text)) if text else None
