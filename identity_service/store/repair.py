"""Repair: ends what a crash left open, at start and every 60 seconds. It only removes; it never completes a link.

It also has the append-only file rewritten, so that what was erased leaves the disk: within an hour, and after five quiet minutes.
"""

import secrets
from collections.abc import Iterable, Sequence

from identity_service.consent import Millis
from identity_service.errors import StoreUnavailable
from identity_service.handle import Handle, handle_named
from identity_service.shop import ShopId
from identity_service.store.batch import call, read, write
from identity_service.store.client import Client
from identity_service.store.erasure import erasure_of
from identity_service.store.keys import REPAIR_LOCK, REWRITE, Keys
from identity_service.store.links import LinkStore
from identity_service.store.notes import note_destroyed
from identity_service.store.removals import RemovalStore
from identity_service.visitor import VisitorId

INTERVAL = 60
MOST_NOTES = 1_000
QUIET_SECONDS = 300
LATEST_SECONDS = 3_300


class Repair:
    def __init__(self, client: Client, keys: Keys, links: LinkStore, removals: RemovalStore) -> None:
        self._client = client
        self._keys = keys
        self._links = links
        self._removals = removals

    async def claim_turn(self) -> bool:
        """True for one worker a minute; the others have nothing to do."""
        [claimed] = await self._client.run(call("claim_turn", [REPAIR_LOCK], secrets.token_urlsafe(8), INTERVAL * 1000 - 5000))
        return bool(claimed)

    async def run(self, shops: Iterable[ShopId], now: Millis) -> int:
        """Ends all that was noted 60 seconds ago or earlier; returns how many notes it closed."""
        closed = 0
        for shop in shops:
            left = 0
            while notes := await self._due(shop, now, left):
                ended = await self._close(shop, notes, now)
                closed, left = closed + ended, left + len(notes) - ended
        return closed

    async def _due(self, shop: ShopId, now: Millis, start: int) -> list[tuple[str, str]]:
        """Notes and their times, oldest first; the first `start` stay open."""
        limits = ("-inf", now - INTERVAL * 1000, "WITHSCORES", "LIMIT", start, MOST_NOTES)
        [notes] = await self._client.run(read("ZRANGEBYSCORE", self._keys.notes(shop), *limits))
        return list(notes)

    async def _close(self, shop: ShopId, notes: Sequence[tuple[str, str]], now: Millis) -> int:
        """How many of them; all those of one handle are ended together."""
        closed, still_open = [], dict[str, bool]()
        for note, at in notes:
            kind, subject, *rest = note.split(" ")
            if kind in "wf":
                await self._removals.repair_withdrawal(shop, VisitorId(subject), Millis(int(at)), noted_to_finish=kind == "f")
            elif kind == "r":
                await self._removals.repair_refusal(shop, VisitorId(subject), now)
            elif kind == "s":
                await self._removals.repair_sale(shop, rest[0], VisitorId(subject))
            else:
                if subject not in still_open:
                    still_open[subject] = await self._repair_handle(shop, handle_named(subject), now)
                if still_open[subject]:
                    continue
            closed.append(note)
        if closed:
            await self._client.run(write("ZREM", self._keys.notes(shop), *closed), note_destroyed(now))
        return len(closed)

    async def _repair_handle(self, shop: ShopId, handle: Handle, now: Millis) -> bool:
        """Returns whether something younger is still open here."""
        keys = self._keys.handle(shop, handle)
        oldest = now - INTERVAL * 1000
        retire = call("retire_intents", (keys.intents, keys.removals), oldest // 1000)
        younger, removals = await self._client.run(retire, read("HGETALL", keys.removals))
        due = {name: value for name, value in removals.items() if int(value.partition(" ")[2]) <= oldest}
        for name, value in due.items():
            await self._end_removal(shop, handle, name, value)
        pairs = [text for pair in due.items() for text in pair]
        [remaining] = await self._client.run(call("release", [keys.removals], *pairs))
        return bool(remaining or younger)

    async def _end_removal(self, shop: ShopId, handle: Handle, name: str, value: str) -> None:
        erasure = erasure_of(value)
        if name.startswith("$"):
            await self._removals.scrub_sales(shop, [name[1:]], "handle", handle.name)
        elif erasure:
            await self._removals.erase_name(shop, handle, VisitorId(name), erasure)
        else:
            await self._links.settle(shop, handle, VisitorId(name))

    async def rewrite_if_due(self, now: int) -> bool:
        """Asks the servers to rewrite their append-only files if something destroyed has waited long enough; returns whether they do.
        Where a primary is busy with one, or refuses, all are asked again a minute later."""
        [noted] = await self._client.run(read("HGETALL", REWRITE))
        done = sorted(int(time) for time in noted if int(time) <= now)
        if not done or (now - done[-1] < QUIET_SECONDS and now - done[0] < LATEST_SECONDS):
            return False
        if not await self._rewrite():
            return False
        covered = [text for time in done for text in (str(time), noted[str(time)])]
        await self._client.run(call("release", [REWRITE], *covered))
        return True

    async def _rewrite(self) -> bool:
        primaries = await self._client.primaries()
        for server in await self._client.servers():
            try:
                await server.run(write("BGREWRITEAOF"))
            except StoreUnavailable:
                if server in primaries:
                    return False
        return True
