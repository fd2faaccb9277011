"""Tracking calls: which visitor each concerns, and its events and emails, if the consent allows them.

A call decides from the worker's cached view of the visitor. The store checks that view in the same step as the write, so a call takes one
round trip unless the visitor has changed.
"""

from contextlib import suppress

from msgspec import Struct
from msgspec.structs import replace

from identity_service.errors import ConsentRequired, Invalid, StoreUnavailable
from identity_service.model.agent import BOT_CHANNEL, Agent
from identity_service.model.consent import Choice
from identity_service.model.cookieless import window_at
from identity_service.model.event import NEWEST_RESULTS, Event, EventType
from identity_service.model.handle import Handle
from identity_service.model.link import LinkSource, Proof
from identity_service.model.policy import Asked
from identity_service.model.shop import Shop
from identity_service.model.utc import DAY
from identity_service.model.visitor import Kind, Mode, VisitorId
from identity_service.service.identify import Visitors
from identity_service.service.links import Links
from identity_service.service.visit import Known, Tokens, Visit, token_expires
from identity_service.store import Clock, Store
from identity_service.store.events import Entry, Kept
from identity_service.store.links import Linkable

CHANGING = "The visitor's consent kept changing during this call. Repeat the call."
ATTEMPTS = (True, *[False] * 12)
"""Whether each attempt uses this worker's cached view. The first one does; later ones read first. They are needed if the write finds the
visitor changed. Few calls need more than two."""


class Subject(Struct, frozen=True):
    """The visitor of a tracking call.

    personal       False: only what was bought may be kept
    counted        of what it did, only figures are kept
    expires        end of the ID, in seconds since 1970
    signed         the service issued the ID: a token was `presented`, or it was derived from the device
    bridged_from   digest of the session before the grant
    override       the ID was typed into the address for a test
    automated      a robot or an agent called
    agent          which one, if it acts for a person
    unread         the call named a visitor that was not accepted: the token does not verify, or the shop accepts signed IDs only
    issued_at      when the ID was given out, in seconds since 1970; 0 if the caller only names it
    """

    personal: bool
    visitor: VisitorId | None = None
    kind: Kind = Kind.CHOSEN
    expires: int = 0
    signed: bool = False
    presented: bool = False
    linkable: bool = False
    bridged_from: str | None = None
    override: bool = False
    automated: bool = False
    agent: Agent | None = None
    unread: bool = False
    issued_at: int = 0
    counted: bool = False

    @property
    def channel(self) -> str | None:
        """Through which an order came, if no person placed it."""
        return self.agent.channel if self.agent else BOT_CHANNEL if self.automated else None

    @property
    def mode(self) -> str:
        """null, none (no session), cookieless or persistent."""
        if self.automated:
            return "null"
        if self.visitor is None:
            return "none" if self.personal else "null"
        return self.kind.mode

    def proof(self, claimed: Proof) -> Proof:
        """The proof of a link to this visitor. `claimed`: the strongest proof that the caller can have. Without a presented token there
        is no proof, because many people may share a derived ID."""
        return Proof.NONE if claimed is Proof.TOKEN and not self.presented else claimed


NOBODY = Subject(personal=False)
SILENT = Subject(personal=False, counted=True)
NO_SESSION = Subject(personal=True)


def _without_visitor(visit: Visit) -> Subject:
    return NOBODY if visit.refused_before else NO_SESSION


def _automated(visit: Visit) -> Subject:
    """A robot or an agent. Only a shop's server knows for whom an agent acts, so only its order may name that person."""
    agent = visit.surroundings.agent
    named = agent is not None and visit.private and visit.asked is not Asked.NULL and not visit.refused_before
    return Subject(personal=named, automated=True, agent=agent)


class Subjects:
    def __init__(self, visitors: Visitors, tokens: Tokens) -> None:
        self._visitors = visitors
        self._tokens = tokens

    async def find(self, visit: Visit, *, assumed: bool = False) -> Subject:
        """Never issues, grants or withdraws. `assumed`: use this worker's cached view, which the write must check. A visitor that is not
        accepted counts as none, so that no order is lost."""
        subject = await self._find(visit, assumed=assumed)
        if not visit.override:
            return subject
        return replace(subject, override=True, linkable=subject.linkable and visit.shop.settings.link_overrides)

    async def _find(self, visit: Visit, *, assumed: bool) -> Subject:
        if visit.surroundings.automated:
            return _automated(visit)
        if visit.asked is Asked.NULL:
            return SILENT if visit.says_counted and await self._visitors.is_counted(visit, assumed=assumed) else NOBODY
        tokens = self._tokens.verified(visit.shop, visit.tokens)
        if (visit.own and not visit.trusted) or (visit.tokens and not tokens):
            return replace(_without_visitor(visit), unread=True)
        if not visit.own and not tokens and visit.asked is not Asked.AUTO:
            return _without_visitor(visit)
        known, decision = await self._visitors.preview(visit, tokens, assumed=assumed)
        if decision.mode is not Mode.NULL and known.gone_at is None:
            return _subject_of(known, decision.mode)
        if not assumed:
            await self._visitors.confirm_read(known)
        return SILENT if decision.counted else NOBODY


def _subject_of(known: Known, decided: Mode) -> Subject:
    """A persistent ID whose grant does not count now, such as one to an earlier text, has no session."""
    visit, record = known.visit, known.record
    bridged = record.bridged_from if record else None
    if visit.asked is Asked.AUTO:
        if known.cookieless.kind is not Kind.DERIVED:
            return NO_SESSION
    elif known.tokens and not visit.own:
        token = known.living or known.tokens[0]
        lasts = known.living is not None and decided is Mode.PERSISTENT
        alive = lasts if token.kind is Kind.PERSISTENT else token_expires(token, visit.shop) > known.seconds
        if not alive:
            return _without_visitor(visit)
        expires = record.expires if record else token_expires(token, visit.shop)
        mode = token.kind.mode
        linkable = _may_link(known, token.visitor, mode)
        return Subject(True, token.visitor, token.kind, expires, True, True, linkable, bridged, issued_at=token.issued_at)
    elif record and record.granted and decided is not Mode.PERSISTENT:
        return _without_visitor(visit)
    mode = record.mode if record else Mode.COOKIELESS
    expires = record.expires if record else known.cookieless.expires
    if known.cookieless.kind is Kind.DERIVED:
        # the same end as its token's: events must outlive midnight, or nothing shows that the session continues
        expires = window_at(known.cookieless.issued_at, visit.shop.settings.window_days).salt_destroyed_at
    kind = Kind.PERSISTENT if mode is Mode.PERSISTENT else known.cookieless.kind
    visitor = known.cookieless.visitor
    linkable, issued_at = _may_link(known, visitor, mode), known.issued_at
    return Subject(True, visitor, kind, expires, visit.own is None, False, linkable, bridged, issued_at=issued_at)


def _may_link(known: Known, visitor: VisitorId, mode: Mode) -> bool:
    """Whether the policy and the person allow links. A person may refuse links alone."""
    record = known.states[visitor].record
    return mode in known.visit.shop.policy.linkable and not (record and record.linking is Choice.REFUSED)


class Tracking:
    """`most_events`: newest events kept per visitor. `clock`: seconds since 1970."""

    def __init__(self, store: Store, subjects: Subjects, links: Links, clock: Clock, most_events: int) -> None:
        self._store = store
        self._subjects = subjects
        self._links = links
        self._clock = clock
        self._most_events = most_events

    async def log(self, visit: Visit, event: Event) -> tuple[Subject, tuple[str, ...]]:
        """Stores an event under its visitor, if it has one. Returns the subject, and a click's labels, which are back-tracked if none were
        sent. Raises StoreUnavailable."""
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
        """Returns a click's labels; None if the visitor has changed since the subject was found."""
        expected = self._store.events.assumption(shop.shop_id, visitor)
        unlabelled = event.type is EventType.CLICK and event.labels is None
        if unlabelled and subject.bridged_from:
            event = await self._back_track(shop, visitor, subject.bridged_from, event)
            unlabelled = event.labels is None
        entry = self.entry(shop, subject, event)
        outcome, found = await self._store.events.record(shop.shop_id, visitor, entry, unlabelled=unlabelled, expected=expected)
        if outcome != "kept":
            return None
        return found or event.labels or ()

    def entry(self, shop: Shop, subject: Subject, event: Event) -> Entry:
        """The stored form of an event of the subject's visitor, as of now."""
        now = int(self._clock())
        return Entry(_with_override(event, subject), self._retention_of(shop, subject, now), now)

    def _retention_of(self, shop: Shop, subject: Subject, now: int) -> Kept:
        lasting = subject.signed or subject.kind is Kind.PERSISTENT
        lasts = max(subject.expires - now, 1) if lasting else shop.settings.window_days * DAY
        return Kept(self._most_events, lasts, from_first=not lasting)

    async def _back_track(self, shop: Shop, visitor: VisitorId, bridged_from: str, click: Event) -> Event:
        """Finds labels in results that were shown before a grant. Other clicks are back-tracked by the script that stores them."""
        sessions = await self._store.events.of_sessions(shop.shop_id, visitor, bridged_from, EventType.RESULTS)
        newest = [results for session in sessions for results in session[:NEWEST_RESULTS]]
        for results in sorted(newest, key=lambda event: -event.time)[:NEWEST_RESULTS]:
            if results.labels and str(click.products[0]) in map(str, results.products):
                return replace(click, labels=results.labels, api=click.api or results.api, backtracked=True)
        return click

    async def email(self, visit: Visit, handle: Handle | None, claimed: Proof) -> Subject:
        """Links an email to the visitor. If it is not allowed or not possible, nothing changes. `claimed`: see `Subject.proof`."""
        subject = await self._subjects.find(visit)
        linkable = self.linkable(visit.shop, subject, subject.proof(claimed)) if subject.linkable else None
        if handle and linkable:
            with suppress(ConsentRequired, Invalid):  # counted
                await self._links.link_as(visit.shop, handle, linkable, LinkSource.EMAIL)
        return subject

    def linkable(self, shop: Shop, subject: Subject, proof: Proof) -> Linkable | None:
        """None for a subject without a visitor, or with an expired ID."""
        if subject.visitor is None or subject.expires <= int(self._clock()):
            return None
        only_persistent = Mode.COOKIELESS not in shop.policy.linkable
        return Linkable(subject.visitor, subject.kind, subject.expires, only_persistent, proof, subject.issued_at)


def _with_override(event: Event, subject: Subject) -> Event:
    return replace(event, override=True) if subject.override else event
