"""Tracking calls: clicks, emails and sales under a visitor, where its consent allows one.

A sale is stored in an order that survives a crash after any step: first the indexes through which a removal finds it, then the sale
itself, once per sale ID, then its links; a repeated call resumes the links from what the first one stored.
"""

import json
from dataclasses import dataclass, replace

from identity_service.attribution import Attribution, Break, attribute
from identity_service.consent import Millis
from identity_service.cookieless import DAY
from identity_service.errors import ConsentRequired, Invalid
from identity_service.event import Event, EventType, Sale, event_of
from identity_service.handle import Handle, handle_named
from identity_service.link import LinkSource
from identity_service.metrics import SALE_CONFLICTS
from identity_service.policy import Asked
from identity_service.service.candidates import token_expires
from identity_service.service.links import Links
from identity_service.service.visitors import Visitors
from identity_service.service.visits import Visit
from identity_service.shop import Shop
from identity_service.store import Clock, Store
from identity_service.store.links import Linkable
from identity_service.visitor import Kind, Mode, VisitorId


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a call is about. `personal` False: only what was bought may be kept. `expires` in seconds since 1970; `signed`: by token.
    `bridged_from`: digest of the session before the grant. `override`: an ID typed into the address for a test."""

    personal: bool
    visitor: VisitorId | None = None
    kind: Kind = Kind.CHOSEN
    expires: int = 0
    signed: bool = False
    linkable: bool = False
    bridged_from: str | None = None
    override: bool = False

    @property
    def mode(self) -> str:
        """null, none (no session), cookieless or persistent."""
        if self.visitor is None:
            return "none" if self.personal else "null"
        return "persistent" if self.kind is Kind.PERSISTENT else "cookieless"


NOBODY = Subject(personal=False)
NO_SESSION = Subject(personal=True)


class Tracking:
    """`most_events`: newest events kept of one visitor. `clock`: seconds since 1970."""

    def __init__(self, store: Store, visitors: Visitors, links: Links, clock: Clock, most_events: int) -> None:
        self._store = store
        self._visitors = visitors
        self._links = links
        self._clock = clock
        self._most_events = most_events

    async def subject(self, visit: Visit) -> Subject:
        """Never issues, grants or withdraws. Raises Invalid for a visitor that cannot be read, or is unsigned where that is refused."""
        if visit.asked is Asked.NULL or visit.surroundings.automated:
            return NOBODY
        if visit.own and not (visit.trusted or visit.shop.accept_unsigned):
            raise Invalid("visitor: this shop takes signed visitor IDs only")
        tokens = self._visitors.verified(visit.shop, visit.tokens)
        if visit.tokens and not tokens:
            raise Invalid("visitor: is neither one of our tokens nor an ID")
        if not visit.own and not tokens and visit.asked is not Asked.AUTO:
            return NOBODY if visit.refused_before else NO_SESSION
        return await self._known_subject(visit)

    async def _known_subject(self, visit: Visit) -> Subject:
        scene, decision = await self._visitors.preview(replace(visit, trusted=True) if visit.own else visit)
        if decision.mode is Mode.NULL or scene.gone_at is not None:
            return NOBODY
        if visit.asked is Asked.AUTO:
            if scene.candidate.kind is not Kind.DERIVED:
                return NO_SESSION
        elif scene.tokens and not visit.own:
            token = scene.tokens[0]
            dead = scene.living is None if token.kind is Kind.PERSISTENT else token_expires(token, visit.shop) <= scene.seconds
            if dead:
                return NOBODY
            expires = scene.record.expires if scene.record else token_expires(token, visit.shop)
            mode = Mode.PERSISTENT if token.kind is Kind.PERSISTENT else Mode.COOKIELESS
            bridged = scene.record.bridged_from if scene.record else None
            return Subject(True, token.visitor, token.kind, expires, True, mode in visit.shop.policy.linkable, bridged)
        mode = scene.record.mode if scene.record else Mode.COOKIELESS
        expires = scene.record.expires if scene.record else scene.candidate.expires
        visitor = scene.candidate.visitor
        kind = Kind.PERSISTENT if mode is Mode.PERSISTENT else scene.candidate.kind
        bridged = scene.record.bridged_from if scene.record else None
        return Subject(True, visitor, kind, expires, visit.own is None, mode in visit.shop.policy.linkable, bridged)

    async def log(self, shop: Shop, subject: Subject, event: Event) -> tuple[str, ...]:
        """Keeps an event under its visitor, if it has one; returns a click's labels, found by back-tracking where none were sent."""
        if subject.visitor is None:
            return event.labels or ()
        now = int(self._clock())
        life = max(subject.expires - now, 1) if subject.signed else shop.window_days * DAY
        unlabelled = event.type is EventType.CLICK and event.labels is None
        if unlabelled and subject.bridged_from:
            event = await self._backtracked(shop, subject.visitor, subject.bridged_from, event)
            unlabelled = event.labels is None
        found = await self._store.visitors.record_event(
            *(shop.shop_id, subject.visitor, event.stored(), self._most_events, life, now),
            from_first=not subject.signed,
            shown=str(event.products[0]) if unlabelled else "",
        )
        return tuple(found) if found and unlabelled else event.labels or ()

    async def _backtracked(self, shop: Shop, visitor: VisitorId, bridged_from: str, click: Event) -> Event:
        """What was shown before a grant counts for the click after it; other clicks are back-tracked where they are written."""
        stored = await self._store.visitors.events(shop.shop_id, visitor, bridged_from)
        for results in (event_of(one) for one in stored):
            if results.type is EventType.RESULTS and results.labels and str(click.products[0]) in map(str, results.products):
                return replace(click, labels=results.labels, api=click.api or results.api, backtracked=True)
        return click

    async def email(self, shop: Shop, subject: Subject, handle: Handle | None, verified: bool) -> None:
        """An email that cannot be linked, or a visitor that may not be, changes nothing."""
        if handle and subject.visitor and subject.linkable:
            await self._link(shop, subject, handle, verified, LinkSource.EMAIL)

    async def sale(self, shop: Shop, subject: Subject, sale: Sale, handles: list[Handle], verified: bool) -> Attribution | None:
        """The first call with a sale ID wins, and gets its attribution; a later one only ends what the first could not, and gets None."""
        if subject.visitor and not await self._store.sales.index_under_visitor(shop.shop_id, sale.sale, subject.visitor):
            subject = NOBODY
        if not subject.personal or (subject.visitor and not subject.linkable):
            handles = []
        await self._store.sales.index_under_handles(shop.shop_id, sale.sale, handles)
        attribution = await self._attribution(shop, subject, sale)
        fields = _fields(subject, sale, handles, verified, attribution)
        stored = await self._store.sales.claim(shop.shop_id, sale.sale, fields)
        if stored is None:
            await self._store.activity.list_order(shop.shop_id, self._store.keys.sale_digest(shop.shop_id, sale.sale), sale.time)
            products = tuple(line.product for line in sale.lines)
            await self.log(shop, subject, Event(EventType.SALE, sale.time, products, text=sale.sale, override=subject.override))
        elif stored["products"] != fields["products"]:
            SALE_CONFLICTS.inc()
        if "linked" not in (stored or fields):
            await self._link_sale(shop, sale.sale, stored or fields)
        return attribution if stored is None else None

    async def _attribution(self, shop: Shop, subject: Subject, sale: Sale) -> Attribution:
        if subject.visitor is None:
            return Attribution(missing=Break.NO_VISITOR if subject.personal else Break.NULL_MODE)
        stored = await self._store.visitors.events(shop.shop_id, subject.visitor, subject.bridged_from)
        products = [line.product for line in sale.lines]
        return attribute(products, [event_of(one) for one in stored], sale.time, shop.attribution_days * DAY)

    async def _link_sale(self, shop: Shop, sale: str, stored: dict[str, str]) -> None:
        visitor = stored.get("visitor")
        if visitor:
            subject = Subject(True, VisitorId(visitor), Kind(stored["kind"]), int(stored["expires"]), linkable=True)
            for name in (stored[field] for field in ("email", "customer") if field in stored):
                if not await self._link(shop, subject, handle_named(name), stored["verified"] == "1", LinkSource.SALE):
                    digest = self._store.keys.sale_digest(shop.shop_id, sale)
                    await self._store.removals.scrub_sales(shop.shop_id, [digest], "visitor", visitor)
                    break
        await self._store.sales.finish(shop.shop_id, sale)

    async def _link(self, shop: Shop, subject: Subject, handle: Handle, verified: bool, source: LinkSource) -> bool:
        """False where consent forbids the link; a full handle or visitor is only counted."""
        if subject.visitor is None or subject.expires <= int(self._clock()):
            return True
        persistent_only = Mode.COOKIELESS not in shop.policy.linkable
        linkable = Linkable(subject.visitor, subject.kind, subject.expires, persistent_only, verified)
        try:
            await self._links.link_as(shop, handle, linkable, source)
        except ConsentRequired:
            return False
        except Invalid:
            return True
        return True

    def now(self) -> Millis:
        return Millis(int(self._clock() * 1000))


def _fields(subject: Subject, sale: Sale, handles: list[Handle], verified: bool, attribution: Attribution) -> dict[str, str]:
    fields = {"sale": sale.sale, "time": str(sale.time), "revenue": str(sale.revenue), "mode": subject.mode}
    fields["products"] = json.dumps([line.stored() for line in sale.lines], separators=(",", ":"))
    if subject.visitor:
        fields |= {"visitor": subject.visitor, "kind": subject.kind, "expires": str(subject.expires), "verified": "1" if verified else "0"}
    if attribution.credits:
        fields["attribution"] = json.dumps([credit.members() for credit in attribution.credits], separators=(",", ":"))
    if attribution.missing:
        fields["missing"] = attribution.missing
    names = {"e": "email", "c": "customer"}
    return fields | {names[handle.kind]: handle.name for handle in handles}
