"""Withdrawal of a visitor, and erasure by a handle.

A withdrawal is one script. The script needs all its keys declared. So a call first reads what the visitor holds, and reads again if the
script finds that it has changed. An erasure by a handle is one script per visitor. It is noted before the first script, and the note is
removed after the last. `repair` completes an erasure that was cut off. Links that are newer than the erasure stay.
"""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from identity_service.errors import StoreUnavailable
from identity_service.model.audit import AuditEntry
from identity_service.model.consent import Millis
from identity_service.model.handle import Handle, handle_named
from identity_service.model.link import Link, parse_link
from identity_service.model.shop import ShopId
from identity_service.model.utc import HOUR
from identity_service.model.visitor import VisitorId, removal_digest
from identity_service.store.audit import AuditStore
from identity_service.store.keys import Keys, links_in, sales_in
from identity_service.store.noted import NotedShops
from identity_service.store.redis.client import StoreClient
from identity_service.store.redis.command import Part, call, read, write
from identity_service.store.sales import names_in, read_head, unpacked
from identity_service.store.visitors import MOST_READS, NO_RECEIPT, StoredReceipt, handle_names

SHORTEST_GONE = HOUR
"""The shortest life of a gone mark, in seconds."""
MOST_KEPT_RECEIPTS = 20
"""IDs of receipts that a gone mark keeps, so that they take at most 400 bytes."""
VISITORS_AT_ONCE = 64
"""In one batch of an erasure by a handle, so that other calls do not wait long."""
CHANGING = "The visitor changed again and again while it was removed; repeat the call."


@dataclass(frozen=True, slots=True)
class Erased:
    visitors: int = 0
    links: int = 0
    events: int = 0

    def __add__(self, other: "Erased") -> "Erased":
        return Erased(self.visitors + other.visitors, self.links + other.links, self.events + other.events)


@dataclass(frozen=True, slots=True)
class Held:
    """What a visitor holds: names of the handles that it or one of its sales points to, and digests of its sales."""

    handles: Sequence[str]
    sales: Sequence[str]


@dataclass(frozen=True, slots=True)
class Removal:
    """A removed visitor. `number`: rises by one in a shop. `time`: seconds since 1970. `digest`: see `removal_digest`."""

    number: int
    time: int
    digest: str


class RemovalStore:
    """`gone_life`: seconds for which a withdrawn or erased visitor is refused. `digest_keys`: by shop. A shop without one lists no
    removals."""

    def __init__(
        self, client: StoreClient, keys: Keys, audit: AuditStore, gone_life: int, noted: NotedShops, digest_keys: Mapping[ShopId, str]
    ) -> None:
        self._client = client
        self._keys = keys
        self._audit = audit
        self._noted = noted
        self._gone_life = gone_life
        self._digest_keys = digest_keys

    async def withdraw(
        self,
        shop: ShopId,
        visitor: VisitorId,
        at: Millis,
        gone_life: int | None = None,
        *,
        chosen_at: Millis | None = None,
        receipt: StoredReceipt = NO_RECEIPT,
        keep_receipts: bool = False,
        unless_newer: bool = False,
        awaited: int | None = None,
        entry: AuditEntry | None = None,
    ) -> Erased:
        """Marks the visitor gone and removes everything that it holds. `gone_life`: seconds, shorter for a derived ID. `chosen_at`: when
        the person chose so, if that was earlier; the mark does not stop later choices. `receipt`: kept in the same step. `keep_receipts`:
        the mark keeps the way to its newest receipts, unlike that of an erasure. `unless_newer`: do nothing if a newer mark or grant is
        stored. `awaited`: minute of the refusal cookie that the answer sets in a browser, for a derived ID. `entry`: kept in the audit in
        the same step."""
        life, how = max(gone_life or self._gone_life, SHORTEST_GONE), "unless newer" if unless_newer else "now"
        proof, (audit, entered) = self._keys.receipt(shop, receipt.receipt_id), self._audit.part(shop, entry)
        for _ in range(MOST_READS):
            [held] = await self._held_by(shop, [visitor])
            keys, names = self._declared(shop, visitor, held)
            kept = (receipt.body, receipt.life, receipt.receipt_id, MOST_KEPT_RECEIPTS if keep_receipts else 0)
            marks = ("" if awaited is None else awaited, self._digest(shop, visitor), at if chosen_at is None else chosen_at)
            arguments = (visitor, at, life, *kept, how, *marks, len(audit), *entered, *names)
            with self._noted.noting(shop, at // 1000):
                command = call("withdraw", (self._keys.rewrite(shop), proof, *audit, *keys), *arguments)
                [[outcome, *counts]] = await self._client.run(command)
            if outcome != "otherwise":
                return Erased(*map(int, counts))
        raise StoreUnavailable(CHANGING)

    async def await_no_longer(self, shop: ShopId, visitor: VisitorId, minute: int) -> None:
        """A refusal cookie of that minute came back. Its browser keeps the refusal, so the mark need not wait for it."""
        await self._client.run(call("await_no_longer", [self._keys.visitor(shop, visitor).gone], minute))

    async def after(self, shop: ShopId, number: int, digest: str, most: int) -> list[Removal]:
        """Removals of the last 30 days that follow the one with this number and digest, oldest first. All of them if there is no such
        one. `digest`: its beginning."""
        [found] = await self._client.run(call("read_removals", [self._keys.removals(shop)], number, digest, most, reads=True))
        parts = [entry.split(":") for entry in found]
        return [Removal(int(one), int(time), digest) for one, time, digest in parts]

    def _digest(self, shop: ShopId, visitor: VisitorId) -> str:
        return removal_digest(self._digest_keys.get(shop, ""), visitor)

    async def unmark(self, shop: ShopId, visitor: VisitorId) -> None:
        """Allows a withdrawn ID to be issued again. Only the demo shop does so."""
        await self._client.run(write("DEL", self._keys.visitor(shop, visitor).gone))

    async def links_at(self, shop: ShopId, handle: Handle) -> list[Link]:
        """All links that an erasure by the handle removes. They include links that have ended and are not swept yet."""
        [stored] = await self._client.run(read("HGETALL", self._keys.handle(shop, handle)))
        return [parse_link(visitor, value) for visitor, value in links_in(stored).items()]

    async def erase(self, shop: ShopId, handle: Handle, at: Millis, *, unproven: bool = False, entry: AuditEntry | None = None) -> Erased:
        """Removes visitors that this handle alone holds by proof; other visitors lose only this link. Orders lose the handle. `unproven`:
        also remove visitors that it holds without proof, if no handle holds them by proof. `at`: raised to the newest time that is stored,
        because another worker's clock may be ahead. `entry`: kept in the audit in the same step as the note."""
        [fields] = await self._client.run(read("HGETALL", self._keys.handle(shop, handle)))
        links, digests = [parse_link(visitor, value) for visitor, value in links_in(fields).items()], sales_in(fields)
        stored = await self._client.read_many([read_head(self._keys.sale_of(shop, digest)) for digest in digests])
        seconds = max([0, *(link.last_seen for link in links), *(int(unpacked(sale)["time"]) for sale in stored if sale)])
        at = at if seconds <= at // 1000 else Millis(seconds * 1000 + 999)
        note = f"{'a' if unproven else 'e'} {handle.name} {secrets.token_urlsafe(8)}"
        with self._noted.noting(shop, at // 1000):
            keys, entered = self._audit.part(shop, entry)
            await self._client.run(call("note_erasure", (self._keys.erasures(shop), *keys), at, note, *entered))
            return await self.erase_noted(shop, note, at)

    async def erase_noted(self, shop: ShopId, note: str, at: Millis) -> Erased:
        """Completes a noted erasure and removes the note. Safe to repeat."""
        reach, name, _ = note.split(" ")
        handle = handle_named(name)
        visitors = [link.visitor for link in await self.links_at(shop, handle)]
        erased = Erased()
        for start in range(0, len(visitors), VISITORS_AT_ONCE):
            erased += await self._erase(shop, handle, visitors[start : start + VISITORS_AT_ONCE], at, "1" if reach == "a" else "")
        await self._scrub(shop, handle, at)
        await self._client.run(write("ZREM", self._keys.erasures(shop), note))
        return erased

    async def _erase(self, shop: ShopId, handle: Handle, visitors: Sequence[VisitorId], at: Millis, unproven: str) -> Erased:
        erased = Erased()
        for _ in range(MOST_READS):
            held = await self._held_by(shop, visitors, handle.name)
            commands = []
            for visitor, one in zip(visitors, held, strict=True):
                keys, names = self._declared(shop, visitor, one)
                arguments = (visitor, at, self._gone_life, unproven, self._digest(shop, visitor), *names)
                commands.append(call("erase", (self._keys.rewrite(shop), *keys), *arguments))
            replies = await asyncio.gather(*(self._client.run(command) for command in commands))
            outcomes = list(zip(visitors, (reply for [reply] in replies), strict=True))
            erased = sum((Erased(*map(int, counts)) for _, (outcome, *counts) in outcomes if outcome == "done"), erased)
            visitors = [visitor for visitor, (outcome, *_) in outcomes if outcome == "otherwise"]
            if not visitors:
                return erased
        raise StoreUnavailable(CHANGING)

    async def _scrub(self, shop: ShopId, handle: Handle, at: Millis) -> None:
        links = self._keys.handle(shop, handle)
        [fields] = await self._client.run(read("HKEYS", links))
        if digests := sales_in(fields):
            sales = [self._keys.sale_of(shop, digest) for digest in digests]
            places = (links, self._keys.rewrite(shop), *sales)
            await self._client.run(call("scrub_sales", places, handle.name, at // 1000, *digests))

    async def _held_by(self, shop: ShopId, visitors: Sequence[VisitorId], first: str | None = None) -> list[Held]:
        """`first`: name of a handle, which becomes the first of each visitor."""
        keys = [self._keys.visitor(shop, visitor) for visitor in visitors]
        found = await self._client.read_many([one for of in keys for one in (read("HKEYS", of.record), read("HKEYS", of.sales))])
        sales = [sales_in(fields) for fields in found[1::2]]
        reads = [read_head(self._keys.sale_of(shop, sale)) for digests in sales for sale in digests]
        stored = iter(map(unpacked, await self._client.read_many(reads)))
        held = []
        for visitor, fields, digests in zip(visitors, found[::2], sales, strict=True):
            owned = [sale for sale in (next(stored) for _ in digests) if sale.get("visitor") == visitor]
            names = [*([first] if first else []), *handle_names(fields), *(name for sale in owned for name in names_in(sale))]
            held.append(Held(list(dict.fromkeys(names)), digests))
        return held

    def _declared(self, shop: ShopId, visitor: VisitorId, held: Held) -> Part:
        """The keys as in `held_of` in the scripts, and the names of their handles and sales."""
        of, handles = self._keys.visitor(shop, visitor), [self._keys.handle(shop, handle_named(name)) for name in held.handles]
        keys = [of.record, of.gone, of.events, of.receipts, of.sales, self._keys.removals(shop), *handles]
        keys += [self._keys.sale_of(shop, sale) for sale in held.sales]
        return keys, (len(handles), *held.handles, *held.sales)
