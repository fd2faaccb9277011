"""Links between visitors and handles. A link is stored at its handle, and its visitor's record points to it. One script writes both."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from identity_service.errors import ConsentRequired, Invalid, StoreUnavailable
from identity_service.model.handle import Handle, handle_named
from identity_service.model.link import Link, LinkCaps, LinkSource, Proof, living_links
from identity_service.model.shop import ShopId
from identity_service.model.visitor import LAPSED, Kind, VisitorId
from identity_service.store.keys import Keys, links_in
from identity_service.store.noted import NotedShops
from identity_service.store.redis.client import StoreClient
from identity_service.store.redis.command import call, read

MOST_YIELDS = 10
"""How often a call may find that other links have to give way than those it knew."""
FULL_HANDLE = "The handle holds as many visitors as it may; unlink or erase some first."
FULL = {
    "handle": FULL_HANDLE,
    "visitor": "The visitor holds as many emails or customer IDs as it may; unlink or erase some first.",
}


@dataclass(frozen=True, slots=True)
class Linkable:
    """A visitor to be linked. `expires`: the end of a cookieless ID in seconds since 1970, for a new record. `issued_at`: when the ID was
    issued; 0 if the caller only names it."""

    visitor: VisitorId
    kind: Kind
    expires: int
    persistent_only: bool
    proof: Proof
    issued_at: int = 0


@dataclass(frozen=True, slots=True)
class LinkCall:
    """What a script needs to link. `giving_way`: the links that have to give way, as the store returned them: place, who and value,
    alternating."""

    shop: ShopId
    handle: Handle
    linkable: Linkable
    source: LinkSource
    now: int
    giving_way: tuple[str, ...] = ()


class LinkStore:
    def __init__(self, client: StoreClient, keys: Keys, caps: LinkCaps, noted: NotedShops) -> None:
        self._client = client
        self._keys = keys
        self._noted = noted
        self._caps = caps

    async def living(self, shop: ShopId, handles: Sequence[Handle], now: int) -> list[list[Link]]:
        """The links of each handle, newest first."""
        replies = await self._client.read_many([read("HGETALL", self._keys.handle(shop, handle)) for handle in handles])
        return [living_links(links_in(stored), now) for stored in replies]

    async def sizes(self, shop: ShopId, handles: Sequence[Handle]) -> list[int]:
        """How many links and sales each handle has."""
        return [int(size) for size in await self._client.read_many([read("HLEN", self._keys.handle(shop, handle)) for handle in handles])]

    async def link(self, asked: LinkCall) -> bool:
        """Returns whether the visitor is new to a handle that holds more visitors than one person has. Raises ConsentRequired, or Invalid
        if a cap is reached: then nothing is written. Raises StoreUnavailable: then the link may be written."""
        for _ in range(MOST_YIELDS):
            of, links = self._keys.visitor(asked.shop, asked.linkable.visitor), self._keys.handle(asked.shop, asked.handle)
            keys, arguments = self.keys_giving_way(asked), self.arguments(asked)
            [reply] = await self._client.run(call("link", (links, of.record, of.gone, *keys), *arguments))
            outcome, *rest = map(str, reply)
            if outcome == "ok":
                return rest == ["1"]
            if outcome != "yield":
                raise refusal(outcome, *rest)
            asked = replace(asked, giving_way=tuple(rest))
        raise StoreUnavailable("Others were linked in the same places again and again while the call was made; repeat it.")

    def arguments(self, asked: LinkCall) -> Sequence[str | int]:
        """The arguments of `asked_link` in the scripts."""
        linkable, caps = asked.linkable, self._caps
        need = "p" if linkable.persistent_only else "a"
        who = (linkable.visitor, asked.handle.name, asked.now, caps.visitors_per_handle, caps.emails_per_visitor)
        how = (linkable.proof.letter, need, linkable.kind, linkable.expires, LAPSED, asked.source[0], linkable.issued_at)
        return (*who, *how, *asked.giving_way)

    def keys_giving_way(self, asked: LinkCall) -> list[str]:
        """One key per link: the record of its visitor if it gives way at the handle, the links of its handle if at the visitor."""
        pairs = zip(asked.giving_way[::3], asked.giving_way[1::3], strict=True)
        return [
            self._keys.visitor(asked.shop, who).record if place == "handle" else self._keys.handle(asked.shop, handle_named(who))
            for place, who in pairs
        ]

    async def unlink(self, shop: ShopId, handle: Handle, visitor: VisitorId, now: int, *, only: str = "") -> bool:
        """Returns whether the link was removed. `only`: the stored value; a link with another value stays."""
        keys = (self._keys.handle(shop, handle), self._keys.visitor(shop, visitor).record, self._keys.rewrite(shop))
        with self._noted.noting(shop, now):
            [existed] = await self._client.run(call("unlink", keys, visitor, handle.name, now, only))
        return bool(existed)


def refusal(outcome: str, place: str = "") -> ConsentRequired | Invalid:
    """The error for a link that the script refused."""
    if outcome == "full":
        return Invalid(FULL[place])
    return ConsentRequired("The visitor has withdrawn or refused linking; link again only after a new grant.")
