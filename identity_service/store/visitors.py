"""Visitor records: reading their state, granting, touching, events and receipts."""

from collections.abc import Sequence
from dataclasses import dataclass

from identity_service.consent import NEVER_SEEN, Choice, Consent, Millis, OptOutsSeen
from identity_service.shop import ShopId
from identity_service.store.batch import Command, Reply, call, read
from identity_service.store.client import Client
from identity_service.store.keys import Keys
from identity_service.visitor import LAPSED, Kind, VisitorId, VisitorRecord, VisitorState

NAME_LENGTH = 23
"""Characters of a handle's name; the record's own fields are one letter each."""

FIELDS = ("k", "f", "l", "x", "g", "s", "n", "v", "w", "o", "t", "e", "q", "b", "d")
"""kind, first seen, last seen, expires, granted at, source, linking, policy version, sale/share opt-out, GPC first seen at, DNT first seen
at, number of emails, receipt key, digest of the bridged visitor, first characters of the signal's digest. Beside them c counts customer
IDs and r is the newest receipt's ID."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A grant to be written. `expires`: end of the consent in seconds since 1970, `receipt_id` of the receipt that proves it."""

    consent: Consent
    expires: int
    opted_out: bool
    opt_outs_seen: OptOutsSeen
    receipt_id: str
    receipt_key: str
    bridged_from: VisitorId | None


class VisitorStore:
    def __init__(self, client: Client, keys: Keys) -> None:
        self._client = client
        self._keys = keys

    async def states(self, shop: ShopId, visitors: Sequence[VisitorId], now: int) -> list[VisitorState]:
        """In the order asked; a record past its own expiry counts as none."""
        commands = [command for visitor in visitors for command in self._state_commands(shop, visitor)]
        replies = await self._client.read_many(commands)
        return [_state(replies[i], replies[i + 1], now) for i in range(0, len(replies), 2)]

    def _state_commands(self, shop: ShopId, visitor: VisitorId) -> tuple[Command, Command]:
        keys = self._keys.visitor(shop, visitor)
        return read("HMGET", keys.record, *FIELDS), read("GET", keys.gone)

    async def pointers(self, shop: ShopId, visitor: VisitorId) -> list[str]:
        """Names of the handles that the visitor points to."""
        [fields] = await self._client.run(read("HKEYS", self._keys.visitor(shop, visitor).record))
        return sorted(field for field in fields if len(field) == NAME_LENGTH)

    async def grant(self, shop: ShopId, visitor: VisitorId, grant: Grant, now: int) -> tuple[str, list[str]]:
        """Returns the outcome (granted, gone, older, or open while a removal of the visitor is) and the names of linked handles."""
        keys = self._keys.visitor(shop, visitor)
        arguments = (
            *(now, grant.expires + LAPSED, grant.consent.granted_at, grant.consent.source),
            *(grant.consent.linking or "", grant.consent.policy_version or ""),
            *("1" if grant.opted_out else "", *_texts(grant.opt_outs_seen)),
            *(grant.receipt_id, grant.receipt_key),
            self._keys.visitor_digest(shop, grant.bridged_from) if grant.bridged_from else "",
            *(NAME_LENGTH, grant.consent.raw_digest or ""),
        )
        [reply] = await self._client.run(call("grant_visitor", (keys.record, keys.gone, keys.receipts), *arguments))
        return reply[0], reply[1] if len(reply) > 1 else []

    async def touch(self, shop: ShopId, visitor: VisitorId, now: int, opted_out: bool, seen: OptOutsSeen = NEVER_SEEN) -> None:
        record = self._keys.visitor(shop, visitor).record
        await self._client.run(call("touch_visitor", [record], now, "1" if opted_out else "", *_texts(seen)))

    async def refuse_linking(
        self, shop: ShopId, visitor: VisitorId, kind: Kind, expires: int, now: int, proof: tuple[str, str]
    ) -> list[str]:
        """`proof`: ID of the receipt and the record's receipt key, empty where the refusal is known already. Returns the names of handles
        that have to be unlinked."""
        keys = self._keys.visitor(shop, visitor)
        arguments = (kind, now, expires, NAME_LENGTH, *proof)
        [names] = await self._client.run(call("refuse_linking", (keys.record, keys.gone, keys.receipts), *arguments))
        return list(names)

    async def newest_event(self, shop: ShopId, visitor: VisitorId) -> str | None:
        event: str | None
        [event] = await self._client.run(read("LINDEX", self._keys.visitor(shop, visitor).events, 0))
        return event

    async def record_event(
        self, shop: ShopId, visitor: VisitorId, event: str, most: int, life: int, now: int, *, from_first: bool, shown: str = ""
    ) -> list[str] | None:
        """None where the visitor is gone. `from_first`: the life (seconds) counts from the first event, not from this one. `shown`: the
        product of a click without labels; then those of the newest results that showed it are taken, and returned."""
        keys = self._keys.visitor(shop, visitor)
        command = call("record_event", (keys.record, keys.gone, keys.events), event, most, life, now, "1" if from_first else "", shown)
        [reply] = await self._client.run(command)
        return reply[1] if reply[0] == 1 else None

    async def events(self, shop: ShopId, visitor: VisitorId, bridged_from: str | None = None) -> list[str]:
        """Newest first; then those of the session before the grant, by the digest that the record holds."""
        digests = [self._keys.visitor_digest(shop, visitor), *([bridged_from] if bridged_from else [])]
        found = await self._client.run(*(read("LRANGE", self._keys.visitor_of(shop, digest).events, 0, -1) for digest in digests))
        return [event for events in found for event in events]

    async def with_events(self, shop: ShopId, visitors: Sequence[VisitorId]) -> list[VisitorId]:
        """Those of many IDs that anything was logged under."""
        found = await self._client.read_many([read("EXISTS", self._keys.visitor(shop, one).events) for one in visitors])
        return [visitor for visitor, exists in zip(visitors, found, strict=True) if exists]

    async def receipt_ids(self, shop: ShopId, visitor: VisitorId) -> list[str]:
        """Newest first, at most 100."""
        keys = self._keys.visitor(shop, visitor)
        newest, earlier = await self._client.run(read("HGET", keys.record, "r"), read("LRANGE", keys.receipts, 0, -1))
        return [newest, *earlier] if newest else []

    async def sale_digests(self, shop: ShopId, visitor: VisitorId) -> list[str]:
        [sales] = await self._client.run(read("SMEMBERS", self._keys.visitor(shop, visitor).sales))
        return sorted(sales)

    async def receipts(self, shop: ShopId, receipt_ids: Sequence[str]) -> list[str]:
        """Stored receipts in the order asked; those past their life are left out."""
        if not receipt_ids:
            return []
        found = await self._client.run(*(read("GET", self._keys.receipt(shop, receipt_id)) for receipt_id in receipt_ids))
        return [receipt for receipt in found if receipt]

    async def store_receipt(self, shop: ShopId, receipt_id: str, body: str, life: int) -> None:
        await self._client.run(call("store_receipt", [self._keys.receipt(shop, receipt_id)], body, life))


def _texts(seen: OptOutsSeen) -> tuple[str, str]:
    return "" if seen.gpc is None else str(seen.gpc), "" if seen.dnt is None else str(seen.dnt)


def _state(fields: list[str | None], gone: Reply, now: int) -> VisitorState:
    at, _, removal = (gone or "").partition(" ")
    return VisitorState(_record(dict(zip(FIELDS, fields, strict=True)), now), Millis(int(at)) if at else None, removal != "")


def _record(found: dict[str, str | None], now: int) -> VisitorRecord | None:
    if not found["k"] or int(found["x"] or 0) <= now:
        return None
    kind = Kind(found["k"])
    expires = int(found["x"] or 0) - (LAPSED if kind is Kind.PERSISTENT else 0)
    granted = found["g"] if expires > now else None
    linking = Choice(found["n"]) if found["n"] else None
    return VisitorRecord(
        kind=kind,
        first_seen=int(found["f"] or 0),
        last_seen=int(found["l"] or 0),
        expires=expires,
        consent=Consent(Millis(int(granted)), found["s"] or "", linking, found["v"], found["d"]) if granted else None,
        opted_out=found["w"] == "1",
        emails=int(found["e"] or 0),
        receipt_key=found["q"],
        bridged_from=found["b"],
        opt_outs_seen=OptOutsSeen(_moment(found["o"]), _moment(found["t"])),
        linking=linking,
    )


def _moment(text: str | None) -> Millis | None:
    return Millis(int(text)) if text else None
