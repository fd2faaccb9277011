"""Linking visitors to emails and customer IDs, and looking them up."""

from collections.abc import Container, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from identity_service.errors import ConsentRequired, Invalid, ServiceError
from identity_service.model.consent import Millis, millis_of
from identity_service.model.handle import Handle, HandleKind, handle_named
from identity_service.model.link import Link, LinkSource, Proof
from identity_service.model.shop import Shop
from identity_service.model.token import Token
from identity_service.model.utc import DAY
from identity_service.model.visitor import Kind, Mode, VisitorId, VisitorRecord, VisitorState
from identity_service.server.metrics import LINK_CONFLICTS
from identity_service.service.counters import Counters
from identity_service.service.visit import Known, token_expires
from identity_service.store import Clock, Store
from identity_service.store.links import FULL_HANDLE, Linkable, LinkCall

MOST_IN_LOOKUP = 1_000
MOST_IN_BATCH = 20
MOST_OF_A_PERSON = 100
"""Links and sales of a handle. Visitors of one with more are not one person's."""


class LinkedVisitor(Struct, frozen=True):
    """A link with members of its visitor's record. `mode`: null if the consent does not count any more.
    `consent_ends_at`: seconds since 1970, for a persistent visitor. `emails`: digests, in a look-up by visitor."""

    link: Link
    mode: Mode
    shared: bool
    sale_share_opt_out: bool
    consent_ends_at: int | None = None
    emails: tuple[str, ...] | None = None


class Links:
    """`clock`: seconds since 1970."""

    def __init__(self, store: Store, counters: Counters, clock: Clock) -> None:
        self._store = store
        self._counters = counters
        self._clock = clock

    async def link(self, shop: Shop, handle: Handle, who: Token | VisitorId, proof: Proof, source: LinkSource) -> VisitorId:
        """`who`: a verified token, or an ID sent with a private key. Raises ConsentRequired, Invalid, StoreUnavailable."""
        now = int(self._clock())
        if isinstance(who, Token):
            linkable = self._of_token(shop, who, proof)
        else:
            linkable = Linkable(who, Kind.CHOSEN, now + shop.settings.window_days * DAY, Mode.COOKIELESS not in shop.policy.linkable, proof)
        await self._check_text(shop, linkable.visitor, now)
        await self.link_as(shop, handle, linkable, source)
        return linkable.visitor

    async def _check_text(self, shop: Shop, visitor: VisitorId, now: int) -> None:
        """Checks what the store's script cannot: whether the grant was given to the text that is shown now, and whether the policy accepts
        a grant of the shop. Raises ConsentRequired."""
        if shop.signals.notice_at(self.now()) is None and shop.policy.persistent_is_consent:
            return
        [state] = await self._store.visitors.states(shop.shop_id, [visitor], now)
        if state.record and state.record.granted and not shop.counts(state.record, self.now()):
            LINK_CONFLICTS.labels(ConsentRequired.code).inc()
            raise ConsentRequired(
                "The visitor's grant does not count: it was given to an earlier text, or by the shop. Link after a new grant."
            )

    async def link_as(self, shop: Shop, handle: Handle, linkable: Linkable, source: LinkSource) -> None:
        try:
            crowded = await self._store.links.link(LinkCall(shop.shop_id, handle, linkable, source, int(self._clock())))
        except ServiceError as error:
            LINK_CONFLICTS.labels(error.code).inc()
            self._counters.count_crowded_links(shop.shop_id, int(error.detail == FULL_HANDLE))
            raise
        self._counters.count_crowded_links(shop.shop_id, int(crowded))

    def _of_token(self, shop: Shop, token: Token, proof: Proof) -> Linkable:
        expires = token_expires(token, shop)
        if token.kind is not Kind.PERSISTENT and expires <= int(self._clock()):
            raise Invalid("token: has expired; get a new one from POST /v1/visitors")
        return Linkable(token.visitor, token.kind, expires, Mode.COOKIELESS not in shop.policy.linkable, proof, token.issued_at)

    async def unlink(self, shop: Shop, handle: Handle, visitor: VisitorId) -> bool:
        return await self._store.links.unlink(shop.shop_id, handle, visitor, int(self._clock()))

    async def of_handle(self, shop: Shop, handle: Handle) -> list[LinkedVisitor]:
        """Newest first. Empty for an unknown handle."""
        [found] = await self.of_handles(shop, [handle], MOST_IN_LOOKUP)
        return found

    async def of_handles(self, shop: Shop, handles: Sequence[Handle], most: int) -> list[list[LinkedVisitor]]:
        """In the given order; per handle at most `most`, and one more if there are more."""
        now = int(self._clock())
        found = await self._store.links.living(shop.shop_id, handles, now)
        states = await self._states(shop, [link for links in found for link in _relevant_links(links, most + 1)], now)
        results = []
        for links in found:
            opted_out = _kinds_opted_out(links, states)
            results.append([_linked_visitor(link, states[link.visitor], opted_out, shop, self.now()) for link in links[: most + 1]])
        return results

    async def of_visitor(self, shop: Shop, visitor: VisitorId) -> list[LinkedVisitor]:
        """One entry with the digests of its emails. Empty for a visitor without links."""
        now = int(self._clock())
        handles = [handle_named(name) for name in await self._store.visitors.pointers(shop.shop_id, visitor)]
        if not handles:
            return []
        found = await self._store.links.living(shop.shop_id, handles, now)
        links = [link for links in found for link in links if link.visitor == visitor]
        if not links:
            return []
        of_person = _of_person(found, visitor)
        states = await self._states(shop, [*links, *(link for links in of_person for link in links if link.proven)], now)
        opted_out = frozenset[Kind]().union(*(_kinds_opted_out(links, states) for links in of_person))
        newest = _linked_visitor(max(links, key=lambda link: link.last_seen), states[visitor], frozenset(), shop, self.now())
        emails = tuple(handle.digest for handle in handles if handle.kind is HandleKind.EMAIL)
        reached = _reach(opted_out, states[visitor].record)
        return [replace(newest, sale_share_opt_out=newest.sale_share_opt_out or reached, emails=emails)]

    async def _states(self, shop: Shop, links: Sequence[Link], now: int) -> dict[VisitorId, VisitorState]:
        visitors = list(dict.fromkeys(link.visitor for link in links))
        return dict(zip(visitors, await self._store.visitors.states(shop.shop_id, visitors, now), strict=True))

    def now(self) -> Millis:
        return millis_of(self._clock())


async def is_opted_out(store: Store, known: Known, visitor: VisitorId) -> bool:
    """Whether the visitor, or another one of the same person, opted out of sale and sharing. Four reads for a visitor with a link by proof,
    else none."""
    record = known.states[visitor].record if visitor in known.states else None
    if record is None or record.opted_out or not record.proven_handles:
        return record is not None and record.opted_out
    others = await others_of_person(store, known.visit.shop, visitor, known.seconds)
    return _reach(frozenset(other.kind for other in others.values() if other.opted_out), record)


async def others_of_person(
    store: Store, shop: Shop, visitor: VisitorId, now: int, sources: Container[LinkSource] = frozenset(LinkSource)
) -> dict[VisitorId, VisitorRecord]:
    """The records of the person's other visitors: those that the shop itself linked to the same handle as this one, by one of `sources`.
    Whoever links a visitor to a stranger's email by token learns and changes nothing. A handle of a crowd is no person's, and is not read.
    `now`: seconds since 1970."""
    handles = [handle_named(name) for name in await store.visitors.pointers(shop.shop_id, visitor)]
    sizes = await store.links.sizes(shop.shop_id, handles)
    personal = [handle for handle, size in zip(handles, sizes, strict=True) if size <= MOST_OF_A_PERSON]
    found = await store.links.living(shop.shop_id, personal, now)
    verified = [{link.visitor for link in links if link.verified and link.source in sources} for links in found]
    others = sorted(set().union(*(visitors for visitors in verified if visitor in visitors)) - {visitor})
    states = await store.visitors.states(shop.shop_id, others, now) if others else []
    return {other: state.record for other, state in zip(others, states, strict=True) if state.record}


def _of_person(found: Sequence[Sequence[Link]], visitor: VisitorId) -> list[Sequence[Link]]:
    """The links of those handles that have the visitor by proof."""
    return [links for links in found if any(link.visitor == visitor and link.proven for link in links)]


def _relevant_links(links: Sequence[Link], most: int) -> list[Link]:
    """The links that are shown, and those whose visitors' opt-outs apply to them."""
    return [*links[:most], *(link for link in links[most:] if link.proven)]


def _kinds_opted_out(links: Sequence[Link], states: Mapping[VisitorId, VisitorState]) -> frozenset[Kind]:
    """The kinds of the visitors that opted out of sale and sharing, and whose links are proven."""
    records = (states[link.visitor].record for link in links if link.proven)
    return frozenset(record.kind for record in records if record is not None and record.opted_out)


def _reach(opted_out: frozenset[Kind], record: VisitorRecord | None) -> bool:
    """Whether opt-outs of visitors of these kinds apply to another visitor of the same person (Cal. Code Regs. tit. 11 para 7025(c)(1)).
    One of a derived ID may be a neighbour's, and the ID cannot opt in. So it does not apply to a visitor who has."""
    return bool(opted_out - {Kind.DERIVED} if record is not None and record.opted_in_at is not None else opted_out)


def _linked_visitor(link: Link, state: VisitorState, opted_out: frozenset[Kind], shop: Shop, now: Millis) -> LinkedVisitor:
    """`opted_out`: kinds of the person's visitors that opted out."""
    record, reached = state.record, link.proven and _reach(opted_out, state.record)
    if record is None:
        return LinkedVisitor(link, Mode.COOKIELESS, False, reached)
    ends = record.expires if record.kind is Kind.PERSISTENT else None
    return LinkedVisitor(link, shop.mode_of(record, now), record.shared, reached or record.opted_out, ends)
