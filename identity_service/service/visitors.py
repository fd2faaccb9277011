"""Issuing: from a visit to an identity, with everything that the decision obliges to: granting, withdrawing, proving."""

from dataclasses import dataclass, replace

from identity_service.consent import Choice, Consent, Millis, Receipt, Signal
from identity_service.cookieless import DAY, window_at
from identity_service.errors import StoreUnavailable
from identity_service.handle import handle_named
from identity_service.metrics import BAD_SIGNATURES, ISSUED, REFUSED_SIGNALS
from identity_service.policy import Asked, Decision, Facts, Reason, decide
from identity_service.service.candidates import Candidates, token_expires
from identity_service.service.receipts import Receipts, new_receipt_key
from identity_service.service.visits import Candidate, CookieAct, Identity, Visit
from identity_service.signing import Signing, Token
from identity_service.store import Clock, Store
from identity_service.store.visitors import Grant
from identity_service.visitor import Kind, Mode, VisitorId, VisitorRecord, VisitorState, new_visitor_id

TOUCH_AFTER = 3_600
CLEARING = frozenset({Reason.CONSENT_REFUSED, Reason.VISITOR_DISABLED, Reason.WITHDRAWN})


@dataclass(frozen=True, slots=True)
class Scene:
    """A visit with everything that was looked up for it. `subject`: the record whose consent counts, with its visitor and token."""

    visit: Visit
    now: Millis
    tokens: list[Token]
    candidate: Candidate
    states: dict[VisitorId, VisitorState]

    @property
    def seconds(self) -> int:
        return self.now // 1000

    @property
    def own_record(self) -> VisitorRecord | None:
        """Of an ID that a private key names; a public key has no claim on a record it only knows the name of."""
        own = self.visit.own
        return self.states[own].record if own and self.visit.trusted else None

    @property
    def living(self) -> Token | None:
        """The persistent token whose record is alive."""
        for token in self.tokens:
            record = self.states[token.visitor].record
            if token.kind is Kind.PERSISTENT and record and record.mode is Mode.PERSISTENT:
                return token
        return None

    @property
    def record(self) -> VisitorRecord | None:
        if self.visit.own:
            return self.own_record
        return self.states[self.living.visitor].record if self.living else None

    @property
    def gone_at(self) -> Millis | None:
        if self.living and not self.visit.own:
            return None
        named = [self.visit.own] if self.visit.own else [token.visitor for token in self.tokens]
        dead = [state.gone_at for state in (self.states[name] for name in named) if state.gone_at is not None]
        return max(dead) if dead else None


class Visitors:
    """`consent_days`: life of a grant. `clock`: seconds since 1970."""

    def __init__(self, store: Store, signing: Signing, receipts: Receipts, clock: Clock, consent_days: int) -> None:
        self._store = store
        self._signing = signing
        self._receipts = receipts
        self._candidates = Candidates(store)
        self._clock = clock
        self._consent_life = consent_days * DAY

    async def identify(self, visit: Visit) -> Identity:
        """Raises StoreUnavailable only where a choice could not be made durable; otherwise a lost store costs the visitor its ID."""
        now = Millis(int(self._clock() * 1000))
        fresh = tuple(signal for signal in visit.signals if signal.decided_at > now - self._consent_life * 1000)
        visit = replace(visit, signals=fresh)
        tokens = self.verified(visit)
        try:
            identity = await self._identify(visit, tokens, now)
        except StoreUnavailable:
            identity = self._without_store(visit, tokens, now)
        ISSUED.labels(identity.mode, identity.reason).inc()
        return identity

    def verified(self, visit: Visit) -> list[Token]:
        found = [self._signing.verify(visit.shop.shop_id, text) for text in visit.tokens]
        BAD_SIGNATURES.inc(found.count(None))
        return [token for token in found if token]

    async def look_up(self, visit: Visit, tokens: list[Token], now: Millis) -> Scene:
        candidate = await self._candidates.choose(visit, tokens, now // 1000)
        ids = {token.visitor for token in tokens} | {candidate.visitor}
        random = candidate.kind is Kind.CHOSEN and candidate.visitor != visit.own and not candidate.text and not tokens
        names = [] if random else sorted(ids)
        found = await self._store.visitors.states(visit.shop.shop_id, names, now // 1000)
        states = dict(zip(names, found, strict=True)) or {candidate.visitor: VisitorState(None, None)}
        return Scene(visit, now, tokens, candidate, states)

    async def _identify(self, visit: Visit, tokens: list[Token], now: Millis) -> Identity:
        scene = await self.look_up(visit, tokens, now)
        decision = decide(visit.shop.policy, facts(scene))
        withdrawn_key = await self._withdraw(scene, decision)
        if decision.mode is Mode.PERSISTENT and (visit.own is None or visit.trusted):
            return await self._persistent(scene, decision)
        receipt = await self._refusal_receipt(scene, decision, withdrawn_key)
        if decision.mode is Mode.NULL:
            return _null(scene, decision, receipt)
        return await self._cookieless(scene, decision, receipt)
