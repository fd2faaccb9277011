"""The link protocol: a link stands at its handle and is pointed to from its visitor, in two slots that no transaction spans.

Each step is one script in one slot, and every step can be the last one before a crash: what is left then is only ever removed, by the
next caller or by `repair`, never completed. A retry is a new nonce. The order of the steps is what makes it safe:

    link      announce at the handle · point from the visitor · confirm at the handle if the announcement still stands
    settle    read the pointer · does the handle name the visitor? · no: drop the pointer if it is still the one read
    unlink    note · drop at the handle, remember the removal · settle
    withdraw  note · mark the visitor gone and its removal open, read its pointers · drop at each handle, revoke announcements there ·
              drop the record and close the removal, or settle if another call has closed it · clear the note
    erase     note · take all off the handle, remember the removals · settle each, withdraw those that it alone held
    grant     is a removal open? end it first · lift the gone mark if the grant is newer
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from identity_service.consent import Millis
from identity_service.errors import ConsentRequired, Invalid, StoreUnavailable
from identity_service.handle import Handle, handle_named
from identity_service.link import Link, LinkCaps, LinkSource, living_links
from identity_service.shop import ShopId
from identity_service.store.batch import Command, call, read, write
from identity_service.store.client import Client
from identity_service.store.keys import REWRITE, Keys
from identity_service.visitor import LAPSED, Kind, VisitorId

MOST_YIELDS = 3
"""How often a link may make room for itself before it is refused."""
REMOVALS_A_VISITOR = 10
"""How many removals may wait at a handle, for each visitor that it may hold, before it takes no new visitors."""


@dataclass(frozen=True, slots=True)
class Linkable:
    """A visitor as it asks to be linked. `expires`: end of a cookieless ID in seconds since 1970, for its record if it has none."""

    visitor: VisitorId
    kind: Kind
    expires: int
    persistent_only: bool
    verified: bool

    @property
    def flag(self) -> str:
        return "v" if self.verified else "u"


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
        """Raises ConsentRequired, Invalid where a cap is reached, or StoreUnavailable; then there is no link of this call."""
        nonce = secrets.token_urlsafe(8)
        note = f"l {handle.name} {nonce}"
        keys = self._keys.handle(shop, handle)
        await self._intend(shop, handle, linkable, nonce, note, now)
        try:
            expires = await self._point(shop, handle, linkable, nonce, now)
        except (ConsentRequired, Invalid):
            await self._client.run(write("HDEL", keys.intents, nonce))
            await self.settle(shop, handle, linkable.visitor, of_link=True)
            self._forget(shop, note)
            self._client.post(note_destroyed(Millis(now * 1000)))  # the visitor may be one that was withdrawn
            raise
        arguments = (nonce, linkable.visitor, now, expires, source.value[0], linkable.flag)
        [confirmed] = await self._client.run(call("link_commit", (keys.links, keys.intents), *arguments))
        if not confirmed:
            await self.settle(shop, handle, linkable.visitor, of_link=True)
            await self._client.run(write("HDEL", keys.intents, nonce))
        self._forget(shop, note)
        if not confirmed:
            raise StoreUnavailable("The link was removed while it was made; repeat the call if it is still wanted.")

    async def unlink(self, shop: ShopId, handle: Handle, visitor: VisitorId, now: int, *, revoke: bool = False) -> bool:
        """Returns whether there was a link. `revoke`: links of the visitor that are announced there will not stand either."""
        keys = self._keys.handle(shop, handle)
        note = f"u {handle.name} {secrets.token_urlsafe(8)}"
        await self._client.run(*note_removal(self._keys, shop, note, Millis(now * 1000)))
        drop = call("unlink_drop", (keys.links, keys.removals), visitor, now * 1000, "" if revoke else self._most_removals)
        announced = [call("withdraw_unlink", (keys.links, keys.intents, keys.sales), visitor)] if revoke else []
        existed, *_ = await self._client.run(drop, *announced)
        if existed < 0:
            self._forget(shop, note)
            raise StoreUnavailable("Too many removals of this handle wait to be settled; repeat the call in a minute.", retry_after=60)
        await self.settle(shop, handle, visitor)
        return bool(existed)

    async def settle(
        self, shop: ShopId, handle: Handle, visitor: VisitorId, erase_at: Millis | None = None, *, of_link: bool = False
    ) -> None:
        """Drops the visitor's pointer if the handle no longer names the visitor. `erase_at`: an erasure's time; then the withdrawal of a
        visitor that this handle alone held, and that no newer grant holds, is begun, and the caller finishes it. `of_link`: a link that
        failed does the same for the erasure that it failed by, which may find no pointer any more, and repair finishes it."""
        keys, at = self._keys.visitor(shop, visitor), self._keys.handle(shop, handle)
        [pointer] = await self._client.run(read("HGET", keys.record, handle.name))
        if pointer is None:
            return
        [[named, *erased]] = await self._client.run(call("names_visitor", (at.links, at.intents, at.removals), visitor, reads=True))
        if named:
            return
        if of_link:
            [erase_at] = erased
        erasing = ("" if erase_at is None else erase_at, self._gone_life, secrets.token_urlsafe(8))
        await self._client.run(call("settle_drop", (keys.record, keys.gone), handle.name, pointer, *erasing))

    async def extend(self, shop: ShopId, names: Sequence[str], visitor: VisitorId, now: int, expires: int) -> None:
        """After a grant that lasts until `expires`: links of the visitor live as long as its record."""
        if names:
            keys = [self._keys.handle(shop, handle_named(name)) for name in names]
            await self._client.run(*(call("extend_link", [one.links], visitor, now, expires + LAPSED) for one in keys))

    async def _intend(self, shop: ShopId, handle: Handle, linkable: Linkable, nonce: str, note: str, now: int) -> None:
        keys = self._keys.handle(shop, handle)
        intend = call(
            "link_intend",
            (keys.links, keys.intents, keys.removals),
            nonce,
            linkable.visitor,
            now,
            self._caps.visitors_per_handle,
            linkable.flag,
            self._most_removals,
        )
        announce = call("note_removal", [self._keys.notes(shop)], now * 1000, note)
        for _ in range(MOST_YIELDS):
            _, reply = await self._client.run(announce, intend)
            if reply[0] == "ok":
                return
            if reply[0] == "full":
                break
            await self.unlink(shop, handle, VisitorId(reply[1]), now)
        self._forget(shop, note)
        raise Invalid("The handle holds as many visitors as it may; unlink or erase some first.")

    async def _point(self, shop: ShopId, handle: Handle, linkable: Linkable, nonce: str, now: int) -> int:
        """Returns when the visitor's record expires, in seconds since 1970."""
        keys = self._keys.visitor(shop, linkable.visitor)
        need = "p" if linkable.persistent_only else "a"
        arguments = (handle.name, nonce, now, need, self._caps.emails_per_visitor, linkable.flag, linkable.kind, linkable.expires, LAPSED)
        for _ in range(MOST_YIELDS):
            [reply] = await self._client.run(call("link_point", (keys.record, keys.gone), *arguments))
            if reply[0] == "ok":
                return int(reply[1])
            if reply[0] == "full":
                break
            if reply[0] != "yield":
                raise ConsentRequired("The visitor has withdrawn or refused linking; link again only after a new grant.")
            await self.unlink(shop, handle_named(reply[1]), linkable.visitor, now)
        raise Invalid("The visitor holds as many emails or customer IDs as it may; unlink or erase some first.")

    def _forget(self, shop: ShopId, note: str) -> None:
        self._client.post(write("ZREM", self._keys.notes(shop), note))


def note_removal(keys: Keys, shop: ShopId, note: str, now: Millis) -> tuple[Command, Command]:
    """Before a removal begins: what repair has to end if it does not, and that the append-only file will hold what it destroyed."""
    return call("note_removal", [keys.notes(shop)], now, note), note_destroyed(now)


def note_destroyed(at: Millis) -> Command:
    """The append-only file holds what was destroyed then, until it is rewritten."""
    return call("note_rewrite", [REWRITE], at // 1000)
