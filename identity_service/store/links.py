"""The link protocol: a link stands at its handle and is pointed to from its visitor, in two slots that no transaction spans.

Each step is one script in one slot, and every step can be the last one before a crash: what is left then is only ever removed, by the
next caller or by `repair`, never completed. A retry is a new nonce. The order of the steps is what makes it safe:

    link      announce at the handle · point from the visitor · confirm at the handle if the announcement still stands
              (where one server holds both slots: point and link in one script, as if nobody else had come between)
    settle    read the pointer · does the handle name the visitor? · no: drop the pointer if it is still the one read
    unlink    note · drop at the handle, remember the removal · settle
    withdraw  note · mark the visitor gone and its removal open, read its pointers · drop at each handle, revoke announcements there ·
              drop the record and close the removal, or settle if another call has closed it · clear the note
    erase     note · take all off the handle, remember the removals · settle each, withdraw those that it alone held
    grant     is a removal open? end it first · lift the gone mark if the grant is newer
    refuse    note · mark the visitor's record, read its pointers · unlink each, revoke announcements there · clear the note
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from identity_service.consent import Millis
from identity_service.errors import ConsentRequired, Invalid, StoreUnavailable
from identity_service.handle import Handle, handle_named
from identity_service.link import Link, LinkCaps, LinkSource, Proof, living_links
from identity_service.shop import ShopId
from identity_service.store.batch import Command, Part, Reply, call, call_with, read, write
from identity_service.store.client import Client
from identity_service.store.erasure import HandleErasure, erasure_of
from identity_service.store.keys import Keys
from identity_service.store.notes import note_destroyed, note_first, note_removal
from identity_service.visitor import LAPSED, Kind, VisitorId

MOST_YIELDS = 10
"""How often a link may make room for itself in one place before it is refused; others may take the room it made."""
NONCE_BYTES = 6
"""Enough to tell apart the links of one pair that are made at once. A pointer holds it, and a record with one email takes 152 bytes then,
where allocators have a step."""
REMOVALS_A_VISITOR = 10
"""How many removals may wait at a handle, for each visitor that it may hold, before it takes no new visitors."""
FULL = {
    "handle": "The handle holds as many visitors as it may; unlink or erase some first.",
    "visitor": "The visitor holds as many emails or customer IDs as it may; unlink or erase some first.",
}


@dataclass(frozen=True, slots=True)
class Linkable:
    """A visitor as it asks to be linked. `expires`: end of a cookieless ID in seconds since 1970, for its record if it has none."""

    visitor: VisitorId
    kind: Kind
    expires: int
    persistent_only: bool
    proof: Proof


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call of `link`: whom it links, and what the scripts take that announce, point, and do everything in one step."""

    shop: ShopId
    handle: Handle
    linkable: Linkable
    source: LinkSource
    now: int
    nonce: str
    announcing: Part
    pointing: Part

    @property
    def whole(self) -> Part:
        (places, announced), (record, pointed) = self.announcing, self.pointing
        return (*places, *record), (*announced, *pointed, self.source.value[0])


class LinkStore:
    """`gone_life`: seconds that an erased visitor stays refused."""

    def __init__(self, client: Client, keys: Keys, caps: LinkCaps, gone_life: int) -> None:
        self._client = client
        self._keys = keys
        self._caps = caps
        self._most_removals = REMOVALS_A_VISITOR * caps.visitors_per_handle
        self._gone_life = gone_life

    async def living(self, shop: ShopId, handles: Sequence[Handle], now: int) -> list[list[Link]]:
        """The links of each handle, newest first."""
        replies = await self._client.read_many([read("HGETALL", self._keys.handle(shop, handle).links) for handle in handles])
        return [living_links(stored, now) for stored in replies]

    async def link(self, shop: ShopId, handle: Handle, linkable: Linkable, source: LinkSource, now: int) -> None:
        """Raises ConsentRequired, or Invalid where a cap is reached: then there is no link of this call; or StoreUnavailable: then there is
        none, unless only the answer was lost."""
        attempt, yields = self._attempt(shop, handle, linkable, source, now), Counter[str]()
        whole = call_with("link", attempt.whole)
        while (reply := await self._client.run_across(whole)) is not None:
            if await self._taken(attempt, reply, yields) is not None:
                return
        await self._link_in_steps(attempt)

    def whole(self, shop: ShopId, handle: Handle, linkable: Linkable, source: LinkSource, now: int) -> Part:
        """Of a link that is a part of a larger step."""
        return self._attempt(shop, handle, linkable, source, now).whole

    async def _link_in_steps(self, attempt: Attempt) -> None:
        shop, handle, visitor, nonce, now = attempt.shop, attempt.handle, attempt.linkable.visitor, attempt.nonce, attempt.now
        note = f"l {handle.name} {nonce}"
        keys = self._keys.handle(shop, handle)
        try:
            await self._step(attempt, note_first(self._keys, shop, note, Millis(now * 1000)), call_with("link_intend", attempt.announcing))
        except Invalid:
            self._forget(shop, note)
            raise
        try:
            [expires] = await self._step(attempt, call_with("link_point", attempt.pointing))
        except (ConsentRequired, Invalid):
            await self._client.run(write("HDEL", keys.intents, nonce))
            await self.settle(shop, handle, visitor, of_link=True)
            self._forget(shop, note)
            self._client.post(note_destroyed(Millis(now * 1000)))  # the announcement may have named a visitor that was withdrawn
            raise
        link = (visitor, now, expires, attempt.source.value[0], attempt.linkable.proof.letter)
        [confirmed] = await self._client.run(call("link_commit", (keys.links, keys.intents), nonce, *link))
        if not confirmed:
            await self.settle(shop, handle, visitor, of_link=True)
            await self._client.run(write("HDEL", keys.intents, nonce))
        self._forget(shop, note)
        if not confirmed:
            raise StoreUnavailable("The link was removed while it was made; repeat the call if it is still wanted.")

    async def unlink(self, shop: ShopId, handle: Handle, visitor: VisitorId, now: int, *, revoke: bool = False, only: str = "") -> bool:
        """Returns whether there was a link. `revoke`: links of the visitor that are announced there will not stand either. `only`: how its
        stored value must end, or it stays."""
        keys = self._keys.handle(shop, handle)
        note = f"u {handle.name} {secrets.token_urlsafe(8)}"
        await self._client.run(*note_removal(self._keys, shop, note, Millis(now * 1000)))
        drop = call("unlink_drop", (keys.links, keys.removals), visitor, now * 1000, "" if revoke else self._most_removals, only)
        announced = [call("withdraw_unlink", (keys.links, keys.intents, keys.sales), visitor)] if revoke else []
        existed, *_ = await self._client.run(drop, *announced)
        if existed < 0:
            self._forget(shop, note)
            raise StoreUnavailable("Too many removals of this handle wait to be settled; repeat the call in a minute.", retry_after=60)
        await self.settle(shop, handle, visitor)
        return bool(existed)

    async def settle(
        self, shop: ShopId, handle: Handle, visitor: VisitorId, erasure: HandleErasure | None = None, *, of_link: bool = False
    ) -> None:
        """Drops the visitor's pointer if the handle no longer names the visitor. `erasure`: then the withdrawal of a visitor that no other
        handle holds by proof, and that no newer grant holds, is begun, and the caller finishes it. `of_link`: a link that failed does the
        same for the erasure that it failed by, which may find no pointer any more, and repair finishes it."""
        keys, at = self._keys.visitor(shop, visitor), self._keys.handle(shop, handle)
        [pointer] = await self._client.run(read("HGET", keys.record, handle.name))
        if pointer is None:
            return
        [[named, *removal]] = await self._client.run(call("names_visitor", (at.links, at.intents, at.removals), visitor, reads=True))
        if named:
            return
        if of_link:
            erasure = erasure_of(*removal)
        at_ms, unproven = (erasure.at, "1" if erasure.unproven else "") if erasure else ("", "")
        erasing = (at_ms, self._gone_life, secrets.token_urlsafe(8), unproven)
        await self._client.run(call("settle_drop", (keys.record, keys.gone), handle.name, pointer, *erasing))

    async def extend(self, shop: ShopId, names: Sequence[str], visitor: VisitorId, now: int, expires: int) -> None:
        """After a grant that lasts until `expires`: links of the visitor live as long as its record."""
        if names:
            keys = [self._keys.handle(shop, handle_named(name)) for name in names]
            await self._client.run(*(call("extend_link", [one.links], visitor, now, expires + LAPSED) for one in keys))

    def _attempt(self, shop: ShopId, handle: Handle, linkable: Linkable, source: LinkSource, now: int) -> Attempt:
        at, of, nonce = self._keys.handle(shop, handle), self._keys.visitor(shop, linkable.visitor), secrets.token_urlsafe(NONCE_BYTES)
        places = (at.links, at.intents, at.removals)
        announcing = (nonce, linkable.visitor, now, self._caps.visitors_per_handle, linkable.proof.letter, self._most_removals)
        need = "p" if linkable.persistent_only else "a"
        record = (linkable.proof.letter, linkable.kind, linkable.expires, LAPSED)
        pointing = (handle.name, nonce, now, need, self._caps.emails_per_visitor, *record)
        return Attempt(shop, handle, linkable, source, now, nonce, (places, announcing), ((of.record, of.gone), pointing))

    async def _step(self, attempt: Attempt, *unit: Command) -> list[str]:
        """What the unit's last script returns beside ok, once those who have to give way have done so."""
        yields = Counter[str]()
        while True:
            *_, reply = await self._client.run(*unit)
            rest = await self._taken(attempt, reply, yields)
            if rest is not None:
                return rest

    async def _taken(self, attempt: Attempt, reply: Sequence[Reply], yields: Counter[str]) -> list[str] | None:
        """What a script returned beside ok. None where others had to give way first, and have: then it has to be run again."""
        outcome, *rest = map(str, reply)
        if outcome == "ok":
            return rest
        if outcome not in {"yield", "full"}:
            raise ConsentRequired("The visitor has withdrawn or refused linking; link again only after a new grant.")
        place, *named = rest
        if outcome == "full" or yields[place] == MOST_YIELDS:
            raise Invalid(FULL[place])
        yields[place] += 1
        await asyncio.gather(*(self._yield(attempt, place, *one) for one in zip(named[::2], named[1::2], strict=True)))
        return None

    async def _yield(self, attempt: Attempt, place: str, name: str, link: str) -> None:
        """`link`: how the link of who yields must still end."""
        handle, visitor = (attempt.handle, VisitorId(name)) if place == "handle" else (handle_named(name), attempt.linkable.visitor)
        await self.unlink(attempt.shop, handle, visitor, attempt.now, only=link)

    def _forget(self, shop: ShopId, note: str) -> None:
        self._client.post(write("ZREM", self._keys.notes(shop), note))
