"""Tracking calls: events and emails under a visitor, where its consent allows one.

A call decides from what its worker knows of the visitor, and its write is checked in the store in the same step: one round trip, unless
the visitor has changed meanwhile.
"""

from contextlib import suppress

from msgspec.structs import replace

from identity_service.cookieless import DAY
from identity_service.errors import ConsentRequired, Invalid, StoreUnavailable
from identity_service.event import NEWEST_RESULTS, Event, EventType, events_of
from identity_service.handle import Handle
from identity_service.link import LinkSource, Proof
from identity_service.service.links import Links
from identity_service.service.subjects import ATTEMPTS, CHANGING, Subject, Subjects
from identity_service.service.visits import Visit
from identity_service.shop import Shop
from identity_service.store import Clock, Store
from identity_service.store.events import Entry, Kept
from identity_service.store.links import Linkable
from identity_service.visitor import Kind, Mode, VisitorId


class Tracking:
    """`most_events`: newest events kept of one visitor. `clock`: seconds since 1970."""

    def __init__(self, store: Store, subjects: Subjects, links: Links, clock: Clock, most_events: int) -> None:
        self._store = store
        self._subjects = subjects
        self._links = links
        self._clock = clock
        self._most_events = most_events

    async def log(self, visit: Visit, event: Event) -> tuple[Subject, tuple[str, ...]]:
        """Keeps an event under its visitor, if it has one; returns whom it is about, and a click's labels, found by back-tracking where
        none were sent."""
        for assumed in ATTEMPTS:
            subject = await self._subjects.find(visit, assumed=assumed)
            if subject.visitor is None:
                if assumed and not subject.unread:
                    continue
                return subject, event.labels or ()
            labels = await self._record(visit.shop, subject, subject.visitor, event)
            if labels is not None:
                return subject, labels
        raise StoreUnavailable(CHANGING)

    async def _record(self, shop: Shop, subject: Subject, visitor: VisitorId, event: Event) -> tuple[str, ...] | None:
        """Returns a click's labels. None where the visitor is not as it was when the subject was found."""
        expected = self._store.events.assumption(shop.shop_id, visitor)
        unlabelled = event.type is EventType.CLICK and event.labels is None
        if unlabelled and subject.bridged_from:
            event = await self._backtracked(shop, visitor, subject.bridged_from, event)
            unlabelled = event.labels is None
        entry = self.entry(shop, subject, event)
        outcome, found = await self._store.events.record(shop.shop_id, visitor, entry, unlabelled=unlabelled, expected=expected)
        if outcome != "kept":
            return None
        return found or event.labels or ()

    def entry(self, shop: Shop, subject: Subject, event: Event) -> Entry:
        """An event of the subject's visitor as it is written now."""
        now = int(self._clock())
        return Entry(_marked(event, subject), self._kept(shop, subject, now), now)

    def _kept(self, shop: Shop, subject: Subject, now: int) -> Kept:
        lasting = subject.signed or subject.kind is Kind.PERSISTENT
        return Kept(self._most_events, max(subject.expires - now, 1) if lasting else shop.window_days * DAY, from_first=not lasting)

    async def _backtracked(self, shop: Shop, visitor: VisitorId, bridged_from: str, click: Event) -> Event:
        """What was shown before a grant counts for the click after it; other clicks are back-tracked where they are written."""
        stored = await self._store.events.of_sessions(shop.shop_id, visitor, bridged_from)
        newest = [results for one in stored for results in events_of(one, EventType.RESULTS, NEWEST_RESULTS)]
        for results in sorted(newest, key=lambda event: -event.time)[:NEWEST_RESULTS]:
            if results.labels and str(click.products[0]) in map(str, results.products):
                return replace(click, labels=results.labels, api=click.api or results.api, backtracked=True)
        return click

    async def email(self, visit: Visit, handle: Handle | None, claimed: Proof) -> Subject:
        """An email that cannot be linked, or a visitor that may not be, changes nothing. `claimed`: see `Subject.proof`."""
        subject = await self._subjects.find(visit)
        linkable = self.linkable(visit.shop, subject, subject.proof(claimed)) if subject.linkable else None
        if handle and linkable:
            with suppress(ConsentRequired, Invalid):  # counted
                await self._links.link_as(visit.shop, handle, linkable, LinkSource.EMAIL)
        return subject

    def linkable(self, shop: Shop, subject: Subject, proof: Proof) -> Linkable | None:
        """None for a subject without a visitor, or one whose ID has ended."""
        if subject.visitor is None or subject.expires <= int(self._clock()):
            return None
        return Linkable(subject.visitor, subject.kind, subject.expires, Mode.COOKIELESS not in shop.policy.linkable, proof)


def _marked(event: Event, subject: Subject) -> Event:
    return replace(event, override=True) if subject.override else event
