"""A visit: what a call says about its visitor, what is looked up for it, and the identity in the answer."""

from collections.abc import Iterable, Sequence
from enum import Enum, StrEnum, auto

from msgspec import Struct
from msgspec.structs import replace

from identity_service.errors import Invalid
from identity_service.model.agent import Agent
from identity_service.model.consent import NEVER_SEEN, Choice, EarlierRefusal, Millis, OptOutsSeen, Receipt, Signal
from identity_service.model.cookieless import GRACE, Window, derive, window_at
from identity_service.model.policy import REFUSAL_COOKIE, Asked, Decision, Facts, Reason
from identity_service.model.shop import Shop
from identity_service.model.token import Signing, Token
from identity_service.model.utc import DAY
from identity_service.model.visitor import KeptReceipts, Kind, Mode, VisitorId, VisitorRecord, VisitorState, new_visitor_id
from identity_service.server.metrics import BAD_SIGNATURES
from identity_service.store import Clock, Store

CLEARING = frozenset({Reason.CONSENT_REFUSED, Reason.VISITOR_DISABLED, Reason.WITHDRAWN, Reason.OPTED_OUT})
UNSAID = frozenset({Reason.WITHDRAWN, Reason.OPTED_OUT})
UNTOUCHED = frozenset({Reason.BOT, Reason.AGENT})


class Surroundings(Struct, frozen=True):
    """The visitor's own, never a server's. `address` and `user_agent`: None if unknown. `automated`: a robot, a prefetch or an agent.
    `agent`: which one, if it acts for a person."""

    address: str | None = None
    user_agent: str | None = None
    region: str | None = None
    gpc: bool = False
    dnt: bool = False
    automated: bool = False
    agent: Agent | None = None


class Visit(Struct, frozen=True):
    """One call about one visitor.

    own          the ID that the call names
    trusted      whether that ID is accepted without a token
    tokens       as sent: the body's first, then those of cookies
    refusal      the refusal cookie
    event        the call reports a choice, rather than repeating one with a page view
    override     `own` was typed into the address for a test
    over_limit   a refusal of a caller over its rate limit; only the IDs of its tokens are withdrawn
    own_since    when `own` was given out, in seconds since 1970; 0 if that is unknown
    private      a private key sent the call, so that it may lack the cookies of the visitor's browser
    says_counted the call repeats that its visitor has no ID and is counted
    """

    shop: Shop
    trusted: bool
    asked: Asked
    own: VisitorId | None = None
    tokens: tuple[str, ...] = ()
    signals: tuple[Signal, ...] = ()
    surroundings: Surroundings = Surroundings()
    refusal: EarlierRefusal | None = None
    event: bool = False
    override: bool = False
    over_limit: bool = False
    own_since: int = 0
    private: bool = False
    says_counted: bool = False

    @property
    def refused_before(self) -> bool:
        return self.refusal is not None and self.refusal.refuses

    def without_choices(self) -> "Visit":
        """Without choices about storage. Refusals of links and opt-outs stay."""
        return replace(self, signals=tuple(replace(signal, choice=None) for signal in self.signals))


class CookieAct(Enum):
    KEEP = auto()
    SET = auto()
    CLEAR = auto()


class Identity(Struct, frozen=True):
    """The answer. `expires_at`: seconds since 1970. `cookie` and `refusal_cookie`: what to do with the two cookies. `refused_at`: the
    time of the refusal, for the second one. `counted`: only figures are kept of the visitor."""

    visitor: VisitorId | None
    mode: Mode
    token: str | None
    expires_at: int | None
    linkable: bool
    sale_share_opt_out: bool
    reason: Reason
    signal: str | None
    region: str | None
    policy: str
    cookie: CookieAct = CookieAct.KEEP
    refusal_cookie: CookieAct = CookieAct.KEEP
    refused_at: Millis = Millis(0)
    receipt: Receipt | None = None
    counted: bool = False


class CookielessId(Struct, frozen=True):
    """The ID that cookieless mode would issue. `issued_at` and `expires`: seconds since 1970. `text`: a token that can be sent again.
    `random`: the ID is new, so the store cannot know it."""

    visitor: VisitorId
    kind: Kind
    issued_at: int
    expires: int
    text: str | None = None
    random: bool = False


def token_expires(token: Token, shop: Shop) -> int:
    """The end of a cookieless token, in seconds since 1970. A derived ID can last until the grace after its window is over."""
    if token.kind is Kind.DERIVED:
        return window_at(token.issued_at, shop.settings.window_days).salt_destroyed_at
    return token.issued_at + shop.settings.window_days * DAY


class TokenFault(StrEnum):
    BAD_SIGNATURE = "bad_signature"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


class Tokens:
    """Verifies the tokens that calls bring; nothing else does. `clock`: seconds since 1970."""

    def __init__(self, store: Store, signing: Signing, clock: Clock) -> None:
        self._store = store
        self._signing = signing
        self._clock = clock

    def verified(self, shop: Shop, texts: Sequence[str]) -> list[Token]:
        """The tokens that a key of the shop signed, also those that have ended. Others are counted."""
        if not texts:
            return []
        found = [self._signing.verify(shop.shop_id, text) for text in texts]
        tokens = [token for token in found if token]
        if len(tokens) < len(found):
            BAD_SIGNATURES.inc(len(found) - len(tokens))
        return tokens

    def one(self, shop: Shop, text: str) -> Token:
        """Raises Invalid if no key of the shop signed it."""
        for token in self.verified(shop, (text,)):
            return token
        raise Invalid("token: is not a token of this shop; get one from POST /v1/visitors")

    async def visitor_of(self, shop: Shop, text: str) -> VisitorId:
        """The token's visitor, to whom its holder's rights reach. After a withdrawal of a derived ID that is nobody: what is under the ID
        since then is other people's. Raises Invalid like `one`."""
        token = self.one(shop, text)
        [state] = await self._store.visitors.states(shop.shop_id, [token.visitor], int(self._clock()))
        others = state.mark is not None and state.mark.yields and state.mark.stops(token.issued_at)
        return new_visitor_id() if others else token.visitor

    async def check(self, shop: Shop, text: str) -> Token | TokenFault:
        """The token, or why it does not stand for a visitor any more."""
        for token in self.verified(shop, (text,)):
            now = int(self._clock())
            [state] = await self._store.visitors.states(shop.shop_id, [token.visitor], now)
            return _fault(shop, token, state, now) or token
        return TokenFault.BAD_SIGNATURE


def _fault(shop: Shop, token: Token, state: VisitorState, now: int) -> TokenFault | None:
    if state.mark and state.mark.stops(token.issued_at):
        return TokenFault.WITHDRAWN
    if token.kind is not Kind.PERSISTENT:
        return TokenFault.EXPIRED if token_expires(token, shop) <= now else None
    alive = state.record is not None and shop.counts(state.record, Millis(now * 1000))
    return None if alive else TokenFault.EXPIRED


class CookielessIds:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def choose(self, visit: Visit, tokens: list[Token], now: int) -> CookielessId:
        """Raises StoreUnavailable if a salt is needed and cannot be read."""
        shop = visit.shop
        if visit.own is not None:
            return CookielessId(visit.own, Kind.CHOSEN, now, now + shop.settings.window_days * DAY)
        for token in tokens:
            held = await self._from_token(token, shop, now)
            if held:
                return held
        derived = await self.derive_id(visit, now)
        return derived or CookielessId(new_visitor_id(), Kind.CHOSEN, now, now + shop.settings.window_days * DAY, random=True)

    async def derive_id(self, visit: Visit, now: int) -> CookielessId | None:
        """None if the visitor's own address or user agent is unknown."""
        address, user_agent = visit.surroundings.address, visit.surroundings.user_agent
        if not address or not user_agent:
            return None
        shop = visit.shop
        window = window_at(now, shop.settings.window_days)
        earlier = await self._store.salts.earlier_key(shop.shop_id, window.previous(), now)
        if earlier:
            visitor = derive(earlier, shop.shop_id, address, user_agent)
            if await self._in_session(shop, visitor, now):
                return _id_of_previous_window(visitor, window.previous())
        key = await self._store.salts.key(shop.shop_id, window, now)
        return CookielessId(derive(key, shop.shop_id, address, user_agent), Kind.DERIVED, now, window.end)

    async def _from_token(self, token: Token, shop: Shop, now: int) -> CookielessId | None:
        if token.kind is Kind.PERSISTENT or token_expires(token, shop) <= now:
            return None
        window = window_at(token.issued_at, shop.settings.window_days)
        if token.kind is Kind.CHOSEN:
            return CookielessId(token.visitor, token.kind, token.issued_at, token_expires(token, shop), _reusable_text(token))
        if now < window.end:
            return CookielessId(token.visitor, token.kind, token.issued_at, window.end, _reusable_text(token))
        return _id_of_previous_window(token.visitor, window) if await self._in_session(shop, token.visitor, now) else None

    async def _in_session(self, shop: Shop, visitor: VisitorId, now: int) -> bool:
        newest = await self._store.events.newest(shop.shop_id, visitor)
        return newest is not None and newest.time > now - GRACE


def _id_of_previous_window(visitor: VisitorId, window: Window) -> CookielessId:
    """The issue time lies in the ID's own window, so that none of its tokens outlives the salt."""
    return CookielessId(visitor, Kind.DERIVED, window.end - 1, window.salt_destroyed_at)


def _reusable_text(token: Token) -> str | None:
    return token.text if token.newest_key else None


class Known(Struct, frozen=True):
    """A visit with what was looked up for it.

    tokens       those that verified
    cookieless   the ID that cookieless mode would issue
    states       of every ID that the visit names
    living       the token whose visitor is persistent
    record       of the visitor whose consent counts
    gone_at      when the presented or named ID was withdrawn; None if another presented one is alive
    derived      the client's derived ID, if the decision needs it in addition
    """

    visit: Visit
    now: Millis
    tokens: list[Token]
    cookieless: CookielessId
    states: dict[VisitorId, VisitorState]
    living: Token | None
    record: VisitorRecord | None
    gone_at: Millis | None
    derived: VisitorId | None = None

    @property
    def seconds(self) -> int:
        return self.now // 1000

    @property
    def issued_at(self) -> int:
        """When the ID of cookieless mode was given out, in seconds since 1970."""
        return self.visit.own_since if self.visit.own else self.cookieless.issued_at

    @property
    def is_named(self) -> bool:
        """Whether the call itself names the ID of cookieless mode, by a token or as an own ID."""
        return bool(self.visit.own) or any(token.visitor == self.cookieless.visitor for token in self.tokens)

    @property
    def stopped(self) -> bool:
        """Whether the mark of the ID of cookieless mode stops this call. Only a browser's call without a refusal cookie can be another
        person's, and a token that was issued since."""
        mark = self.states[self.cookieless.visitor].mark
        if mark is None:
            return False
        unnamed = self.visit.private and not self.is_named
        return unnamed or self.visit.refusal is not None or mark.stops(self.issued_at)

    def is_dead(self, token: Token) -> bool:
        """Whether its visitor was withdrawn since it was issued."""
        mark = self.states[token.visitor].mark
        return mark is not None and mark.stops(token.issued_at)

    def opted_out_as(self, visitor: VisitorId) -> bool:
        """Whether `visitor` is opted out of sale and sharing, with any ID that the visit names or its client has. Its own opt-in outweighs
        the others' opt-outs."""
        own = self.states[visitor].record if visitor in self.states else None
        if own is not None and own.opted_in_at is not None:
            return False
        return any(state.record is not None and state.record.opted_out for state in self.states.values())

    @property
    def cookieless_record(self) -> VisitorRecord | None:
        """Of the ID of cookieless mode. None if a public key only names it."""
        return self.states[self.cookieless.visitor].record if self.visit.own is None or self.visit.trusted else None

    @property
    def link_refusals(self) -> list[Signal]:
        """The refusals of links that are not older than the stored consent."""
        consent = self.record.consent if self.record else None
        refusals = [signal for signal in self.visit.signals if signal.linking is Choice.REFUSED]
        return [signal for signal in refusals if consent is None or not signal.is_older(consent.given_at)]

    def opt_outs_at(self, moment: Millis) -> OptOutsSeen:
        """The opt-outs of this visit, as seen at `moment`."""
        surroundings = self.visit.surroundings
        return OptOutsSeen(moment if surroundings.gpc else None, moment if surroundings.dnt else None)

    def receipts_of(self, visitor: VisitorId) -> KeptReceipts:
        return self.states[visitor].receipts if visitor in self.states else KeptReceipts()

    def facts(self) -> Facts:
        record, surroundings, cookieless = self.record, self.visit.surroundings, self.cookieless_record
        persistent = record or cookieless
        return Facts(
            asked=self.visit.asked,
            now=self.now,
            signals=self.visit.signals,
            consent=record.consent if record else None,
            opt_outs_seen=record.opt_outs_seen if record else NEVER_SEEN,
            refusal=self.visit.refusal,
            gone_at=self.gone_at,
            cookieless_gone_at=self.states[self.cookieless.visitor].gone_at,
            derived_gone_at=self.states[self.derived].gone_at if self.derived else None,
            opted_out=record is not None and record.opted_out,
            gpc=surroundings.gpc,
            dnt=surroundings.dnt,
            automated=surroundings.automated,
            agent=surroundings.agent is not None,
            region=surroundings.region,
            notice=self.visit.shop.signals.notice_at(self.now),
            mark_yields=not self.stopped,
            opted_in_at=persistent.opted_in_at if persistent else None,
            cookieless_opted_in_at=cookieless.opted_in_at if cookieless else None,
        )


def known_of(visit: Visit, now: Millis, tokens: list[Token], cookieless: CookielessId, states: dict[VisitorId, VisitorState]) -> Known:
    living = _living_token(visit, now // 1000, tokens, states) if tokens else None
    if visit.own:  # a public key must not see the record of an ID that it can only name
        own = states[visit.own]
        gone_at = own.mark.at if own.mark and own.mark.stops(visit.own_since) else None
        return Known(visit, now, tokens, cookieless, states, living, own.record if visit.trusted else None, gone_at)
    if living:
        return Known(visit, now, tokens, cookieless, states, living, states[living.visitor].record, None)
    marks = [mark for token in tokens if (mark := states[token.visitor].mark) and mark.stops(token.issued_at)]
    return Known(visit, now, tokens, cookieless, states, None, None, max((mark.at for mark in marks), default=None))


def _living_token(visit: Visit, now: int, tokens: list[Token], states: dict[VisitorId, VisitorState]) -> Token | None:
    """The persistent visitor's token, or the token that its chosen ID had before the grant."""
    for token in tokens:
        record = states[token.visitor].record
        held = token.kind is Kind.PERSISTENT or (token.kind is Kind.CHOSEN and token_expires(token, visit.shop) > now)
        if held and record and record.granted:
            return token
    return None


RefusalAct = tuple[CookieAct, Millis]
"""What to do with the refusal cookie, and the time of the refusal."""
UNCHANGED: RefusalAct = (CookieAct.KEEP, Millis(0))


def null_identity(known: Known, decision: Decision, receipt: Receipt | None = None) -> Identity:
    return identity_of(
        decision,
        mode=Mode.NULL,
        cookie=CookieAct.CLEAR if clears(known.visit, decision) else CookieAct.KEEP,
        refusal=refusal_cookie(known, decision),
        receipt=receipt,
    )


def clears(visit: Visit, decision: Decision) -> bool:
    """Whether the answer clears the visitor's cookie. Not if the call has none and nothing in it refuses: another tab may just have
    received one. A server may lack its visitor's cookies, so for one that holds only of what the refusal cookie refuses."""
    if decision.reason in UNTOUCHED:
        return False
    unsaid = decision.signal == REFUSAL_COOKIE or (decision.reason in UNSAID and not visit.private)
    if unsaid and not visit.tokens and visit.asked is not Asked.AUTO:
        return False
    return decision.reason in CLEARING or visit.asked is Asked.AUTO


def identity_of(
    decision: Decision,
    *,
    mode: Mode,
    visitor: VisitorId | None = None,
    token: str | None = None,
    expires_at: int | None = None,
    linkable: bool = False,
    opted_out: bool = False,
    cookie: CookieAct = CookieAct.KEEP,
    refusal: RefusalAct = UNCHANGED,
    receipt: Receipt | None = None,
) -> Identity:
    return Identity(
        visitor=visitor,
        mode=mode,
        token=token,
        expires_at=expires_at,
        linkable=linkable,
        sale_share_opt_out=decision.sale_share_opt_out or opted_out,
        reason=decision.reason,
        signal=decision.signal,
        region=decision.region,
        policy=decision.policy,
        cookie=cookie,
        refusal_cookie=refusal[0],
        refused_at=refusal[1],
        receipt=receipt,
        counted=decision.counted and decision.reason is Reason.NO_SIGNAL,
    )


def refusal_cookie(known: Known, decision: Decision) -> RefusalAct:
    """Set after every explicit refusal that counts, and if a token's visitor is withdrawn, unless it is a derived ID, which another person
    may have withdrawn. Deleted after an explicit grant. Else unchanged."""
    own = [known.states[token.visitor].gone_at for token in known.tokens if token.kind is not Kind.DERIVED]
    withdrawn = [gone_at for gone_at in own if gone_at is not None]
    if decision.reason is Reason.WITHDRAWN and withdrawn and not known.visit.own:
        return CookieAct.SET, Millis(min(max([*withdrawn, *_remembered_times(known.visit.refusal)]), known.now))
    if decision.choice is None or decision.choice not in known.visit.signals or decision.reason in UNTOUCHED:
        return UNCHANGED
    if decision.choice.choice is not Choice.REFUSED:  # a refusal cookie that was not sent is cleared only by a grant said now
        return (CookieAct.CLEAR, Millis(0)) if decision.choice.said_now or known.visit.refusal else UNCHANGED
    return CookieAct.SET, time_of_choice(known, decision)


def time_of_choice(known: Known, decision: Decision) -> Millis:
    """When the refusal that counts was said; now, if none does."""
    if decision.choice is None or decision.choice.choice is not Choice.REFUSED:
        return known.now
    stored = [state.record.consent.granted_at for state in known.states.values() if state.record and state.record.consent]
    return refused_at(decision.choice, known.visit, stored, known.now)


def refused_at(refusal: Signal, visit: Visit, stored: Iterable[Millis], now: Millis) -> Millis:
    """Not before a grant of the same call or a `stored` one, so that repeating that grant does not override the refusal. Not before the
    refusal that the device remembers."""
    granted = [signal.decided_at for signal in visit.signals if signal.choice is Choice.GRANTED]
    return Millis(min(max([refusal.decided_at, *granted, *stored, *_remembered_times(visit.refusal)]), now))


def _remembered_times(refusal: EarlierRefusal | None) -> list[Millis]:
    return [refusal.at] if refusal else []
