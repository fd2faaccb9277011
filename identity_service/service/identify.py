"""From a visit to an identity: decide, then withdraw, write receipts and grant as the decision requires."""

import re

from msgspec.structs import replace

from identity_service.errors import StoreUnavailable
from identity_service.model.consent import MINUTE, Choice, Millis, Receipt, Signal, choice_said, millis_of
from identity_service.model.cookieless import window_at
from identity_service.model.policy import Asked, Decision, Facts, Reason, decide
from identity_service.model.shop import Shop
from identity_service.model.token import Signing, Token
from identity_service.model.utc import DAY
from identity_service.model.visitor import Kind, Mode, VisitorId, VisitorState
from identity_service.server.metrics import ISSUED, REFUSED_SIGNALS, count
from identity_service.service.grants import Grants, LinkingRefusals
from identity_service.service.links import is_opted_out
from identity_service.service.receipts import Receipts
from identity_service.service.visit import (
    CLEARING,
    UNTOUCHED,
    CookieAct,
    CookielessId,
    CookielessIds,
    Identity,
    Known,
    Tokens,
    Visit,
    clears,
    identity_of,
    known_of,
    null_identity,
    refusal_cookie,
    time_of_choice,
    token_expires,
)
from identity_service.store import Clock, Store
from identity_service.store.visitors import NO_RECEIPT, UNKNOWN

OWN_FORM = re.compile(r"[A-Za-z0-9_-]{22}")
"""The form of IDs that the service makes."""
WRONG_CLOCK = 400 * DAY * 1000
"""Milliseconds. A refusal that seems older has a wrong date: a device with an empty battery starts in 1970."""
DATED_BY_ITSELF = frozenset({"tcf", "gpp"})
"""Sources that check themselves whether a TC string is too old."""


class Visitors:
    """`consent_days` and `refusal_days`: how long a grant and a refusal last. `clock`: seconds since 1970."""

    def __init__(
        self, store: Store, signing: Signing, tokens: Tokens, receipts: Receipts, clock: Clock, consent_days: int, refusal_days: int
    ) -> None:
        self._store = store
        self._tokens = tokens
        self._signing = signing
        self._receipts = receipts
        self._cookieless_ids = CookielessIds(store)
        self._linking = LinkingRefusals(store, receipts)
        self._grants = Grants(store, signing, receipts, self._linking, consent_days * DAY)
        self._clock = clock
        self._consent_life = Millis(consent_days * DAY * 1000)
        self._refusal_life = Millis(refusal_days * DAY * 1000)

    async def identify(self, visit: Visit) -> Identity:
        """Raises StoreUnavailable only if a choice could not be stored. Otherwise, without a store, the visitor gets no persistent ID."""
        now = millis_of(self._clock())
        visit = self._without_stale(visit, now)
        tokens = self._tokens.verified(visit.shop, visit.tokens)
        try:
            identity = await self._identify(visit, tokens, now)
        except StoreUnavailable:
            identity = self._without_store(visit, tokens, now)
        count(ISSUED, identity.mode, identity.reason)
        return identity

    async def preview(self, visit: Visit, tokens: list[Token] | None = None, *, assumed: bool = False) -> tuple[Known, Decision]:
        """What `identify` would decide. It changes nothing. `tokens`: the visit's, if already verified. `assumed`: use this worker's cached
        view of the visitor."""
        now = millis_of(self._clock())
        tokens = self._tokens.verified(visit.shop, visit.tokens) if tokens is None else tokens
        visit = self._without_stale(visit, now)
        by_one = len(tokens) == 1 and tokens[0].kind is Kind.PERSISTENT and visit.asked is Asked.NOTHING and not visit.signals
        if assumed and by_one and (decided := self._decide_by_grant(visit, tokens[0], now)):
            return decided
        known = await self.look_up(visit, tokens, now, assumed=assumed)
        return known, decide(visit.shop.policy, known.facts())

    async def is_counted(self, visit: Visit, *, assumed: bool = False) -> bool:
        """Whether figures are kept of a visitor who was answered null. What it has said since, its GPC, its refusal cookie and the mark of
        its derived ID stop that. Without a store, nobody is counted. `assumed`: as for `preview`."""
        now = millis_of(self._clock())
        visit = replace(self._without_stale(visit, now), asked=Asked.NOTHING, own=None, tokens=())
        if not _decide_by_visit(visit, Asked.NOTHING, now).counted:
            return False
        try:
            known = await self.look_up(visit, [], now, assumed=assumed)
        except StoreUnavailable:
            return False
        return decide(visit.shop.policy, known.facts()).counted

    async def confirm_read(self, known: Known) -> None:
        """Confirms what was read, for decisions that write nothing: a write would detect a stale server. Raises StoreUnavailable."""
        await self._store.visitors.confirm_read(known.visit.shop.shop_id, known.states)

    def _without_stale(self, visit: Visit, now: Millis) -> Visit:
        """Removes remembered choices that have expired. Opt-outs sent with them stay."""
        if not visit.signals:
            return visit
        return replace(visit, signals=tuple(self._as_of_now(one, now) if self._is_stale(one, now) else one for one in visit.signals))

    def _as_of_now(self, stale: Signal, now: Millis) -> Signal:
        """A refusal said with this call counts, even if a wrong clock dated it."""
        wrong = stale.decided_at <= now - WRONG_CLOCK
        if wrong and stale.refuses and stale.choice is not Choice.GRANTED and not stale.remembered:
            return replace(stale, decided_at=now, dated=False)
        return replace(stale, choice=None, linking=None)

    def _is_stale(self, signal: Signal, now: Millis) -> bool:
        refuses = Choice.REFUSED in {signal.choice, signal.linking} and signal.choice is not Choice.GRANTED
        if refuses and signal.source in DATED_BY_ITSELF:
            return False
        return signal.decided_at <= now - (self._refusal_life if refuses else self._consent_life)

    def _decide_by_grant(self, visit: Visit, token: Token, now: Millis) -> tuple[Known, Decision] | None:
        """By this worker's cached view of the token's visitor alone, without the ID of cookieless mode. None if that ID may matter: without
        a grant of the person, or if the grant does not decide. The opt-outs of the client's other IDs are not seen."""
        state = self._store.visitors.assumed(visit.shop.shop_id, token.visitor, now // 1000)
        record = state.record
        if record is None or not record.granted or (record.consent and record.consent.is_of_the_shop):
            return None
        own = CookielessId(token.visitor, token.kind, token.issued_at, record.expires)
        known = known_of(visit, now, [token], own, {token.visitor: state})
        decision = decide(visit.shop.policy, known.facts())
        return None if decision.mode is Mode.COOKIELESS else (known, decision)

    async def _states(self, shop: Shop, visitors: list[VisitorId], now: int, *, assumed: bool) -> list[VisitorState]:
        """`assumed`: one visitor as this worker has it cached. The write must check it."""
        if assumed and len(visitors) == 1:
            return [self._store.visitors.assumed(shop.shop_id, visitors[0], now)]
        return await self._store.visitors.look_up(shop.shop_id, visitors, now) if visitors else []

    async def look_up(self, visit: Visit, tokens: list[Token], now: Millis, *, assumed: bool = False) -> Known:
        seconds = now // 1000
        cookieless = await self._cookieless_ids.choose(visit, tokens, seconds)
        matters = (tokens or visit.own) and _derived_matters(visit, assumed=assumed)
        derived = await self._cookieless_ids.derive_id(visit, seconds) if matters else None
        named = [token.visitor for token in tokens] + ([] if cookieless.random else [cookieless.visitor])
        names = list(dict.fromkeys(named + ([derived.visitor] if derived else [])))
        states = {cookieless.visitor: UNKNOWN} if cookieless.random else {}
        states.update(zip(names, await self._states(visit.shop, names, seconds, assumed=assumed), strict=True))
        known = known_of(visit, now, tokens, cookieless, states)
        return replace(known, derived=derived.visitor) if derived else known

    async def _identify(self, visit: Visit, tokens: list[Token], now: Millis) -> Identity:
        known = await self.look_up(visit, tokens, now)
        decision = decide(visit.shop.policy, known.facts())
        await self._note_kept_refusal(known)
        withdrawn = self._ids_to_withdraw(known, decision)
        made = self._refusal_receipt(known, decision, withdrawn)
        standing = await self._receipt_standing(known, made, withdrawn)
        await self._withdraw(known, decision, withdrawn, None if standing else made)
        receipt = standing or made
        if decision.mode is Mode.PERSISTENT and (visit.own is None or visit.trusted):
            identity = await self._grants.persistent_identity(known, decision)
            return replace(identity, receipt=identity.receipt or receipt)
        if decision.reason in UNTOUCHED and known.tokens and known.link_refusals:
            token = known.living or known.tokens[0]
            receipt = await self._linking.refuse(known, token.visitor, token.kind, token_expires(token, visit.shop)) or receipt
        if decision.mode is Mode.NULL:
            return null_identity(known, decision, receipt)
        if known.cookieless.visitor in withdrawn:
            known = await self.look_up(replace(visit, tokens=(), own=None), [], now)
        if known.stopped:
            return null_identity(known, replace(decision, mode=Mode.NULL, reason=Reason.WITHDRAWN), receipt)
        return await self._cookieless(known, decision, receipt)

    async def _note_kept_refusal(self, known: Known) -> None:
        """If a browser sends the refusal cookie that the mark of its derived ID waits for, the mark waits no longer. Only an ID that was
        derived from this call counts: an ID or a token may be sent from anywhere, and the minute can be guessed."""
        visit, visitor = known.visit, known.cookieless.visitor
        minute, mark = visit.refusal.minute if visit.refusal else None, known.states[visitor].mark
        if minute is not None and mark and mark.awaited and minute in mark.awaited and not known.is_named and not visit.private:
            await self._store.removals.await_no_longer(visit.shop.shop_id, visitor, minute)

    async def _withdraw(self, known: Known, decision: Decision, visitors: list[VisitorId], receipt: Receipt | None) -> None:
        """The receipt names the first visitor, and is stored in the same step."""
        chosen_at = time_of_choice(known, decision)
        shop, proof = known.visit.shop, self._receipts.as_stored(receipt) if receipt else NO_RECEIPT
        if receipt and not visitors:
            await self._store.visitors.store_receipt(shop.shop_id, proof, _refused_late(known))
        for visitor in visitors:
            life = awaited = None
            shared = _is_derived(known, visitor)  # the receipts under such an ID may be several people's
            if shared:
                life = window_at(known.seconds, shop.settings.window_days).salt_destroyed_at - known.seconds
                awaited = _minute_of_cookie(known, decision)
            await self._store.removals.withdraw(
                shop.shop_id, visitor, known.now, life, chosen_at=chosen_at, receipt=proof, keep_receipts=not shared, awaited=awaited
            )
            proof = NO_RECEIPT

    def _ids_to_withdraw(self, known: Known, decision: Decision) -> list[VisitorId]:
        """The IDs that this decision withdraws. Over the rate limit, only living IDs of tokens."""
        named = self._ids_named_to_withdraw(known, decision)
        if known.visit.over_limit:
            return self._not_gone(known, [token.visitor for token in known.tokens if token.visitor in named])
        return named

    def _ids_named_to_withdraw(self, known: Known, decision: Decision) -> list[VisitorId]:
        """A refusal withdraws only the IDs that it names; if it names none, the client's derived one. That one, too, where visitors are
        counted who say nothing: else the client would be, once it has no token. If the policy still allows cookieless IDs after a refusal,
        only persistent ones are withdrawn."""
        visit, living = known.visit, known.living
        if decision.reason in UNTOUCHED:
            return []
        refused = decision.choice is not None and decision.choice.choice is Choice.REFUSED and decision.choice in visit.signals
        if decision.reason is not Reason.CONSENT_REFUSED and not (refused and visit.event):
            switched_off = decision.reason is Reason.VISITOR_DISABLED
            downgraded = visit.asked is Asked.AUTO and living is not None
            return self._not_gone(known, [t.visitor for t in known.tokens if switched_off or (downgraded and t == living)])
        if decision.reason is Reason.CONSENT_REFUSED and visit.shop.policy.rules(decision.region).refusal is Mode.COOKIELESS:
            named_ones = {token.visitor for token in known.tokens} | ({visit.own} if visit.own and visit.trusted else set())
            return self._not_gone(known, sorted(one for one in named_ones if _is_persistent(known.states[one])))
        named = [token.visitor for token in known.tokens]
        if visit.own and (visit.trusted or _is_of_a_caller(visit.own, known.states[visit.own])):
            named.append(visit.own)
        named_one = any(token.kind is Kind.PERSISTENT or token_expires(token, visit.shop) > known.seconds for token in known.tokens)
        stops_counting = visit.shop.policy.rules(decision.region).counts_silent
        derives = not visit.own and decision.choice in visit.signals and known.cookieless.kind is Kind.DERIVED
        if derives and (stops_counting or not named_one):
            named.append(known.cookieless.visitor)
        if _is_kept_by_cookie(known):
            named = [visitor for visitor in named if visitor != known.cookieless.visitor]
        if visit.event:
            return named
        return self._unmarked(known, named) if decision.choice in visit.signals else self._not_gone(known, named)

    def _not_gone(self, known: Known, named: list[VisitorId]) -> list[VisitorId]:
        """Those with a living token, and those without a mark."""
        living = {token.visitor for token in known.tokens if not known.is_dead(token)}
        return [visitor for visitor in dict.fromkeys(named) if visitor in living or known.states[visitor].mark is None]

    def _unmarked(self, known: Known, named: list[VisitorId]) -> list[VisitorId]:
        """Those without a mark, and those whose mark waits for cookies, because it records each refusal."""
        marks = {visitor: known.states[visitor].mark for visitor in named}
        return [visitor for visitor, mark in marks.items() if mark is None or mark.awaited is not None]

    def _refusal_receipt(self, known: Known, decision: Decision, withdrawn: list[VisitorId]) -> Receipt | None:
        """A refusal gets a receipt even if a newer grant outdates it."""
        late = choice_said(known.visit.signals) if known.visit.event else None
        choice = decision.choice if late is None or late.choice is Choice.GRANTED else late
        if choice is None or choice.choice is not Choice.REFUSED or decision.reason in UNTOUCHED or known.visit.over_limit:
            return None
        if decision.reason is not Reason.CONSENT_REFUSED and not known.visit.event:
            return None
        REFUSED_SIGNALS.labels(choice.source).inc()
        if not withdrawn and not (known.visit.event and choice in known.visit.signals):
            return None
        visitor = withdrawn[0] if withdrawn else _refused_late(known)
        key = known.receipts_of(visitor).key if visitor else None
        return self._receipts.make(known, choice, decision.mode, visitor, key)

    async def _receipt_standing(self, known: Known, receipt: Receipt | None, withdrawn: list[VisitorId]) -> Receipt | None:
        """The receipt of the equal refusal by which the first visitor withdrew. None for a derived ID, which may be several people's."""
        if receipt is None or not withdrawn or _is_derived(known, withdrawn[0]) or known.states[withdrawn[0]].gone_at is None:
            return None
        return await self._receipts.equal_to(known.visit.shop, receipt, known.receipts_of(withdrawn[0]).newest)

    async def _cookieless(self, known: Known, decision: Decision, receipt: Receipt | None) -> Identity:
        shop, cookieless = known.visit.shop, known.cookieless
        state = known.states[cookieless.visitor]
        refused = state.record is not None and state.record.linking is Choice.REFUSED
        signed = known.visit.own is None or known.visit.trusted
        if known.link_refusals:
            refused = True
            if signed:
                proof = await self._linking.refuse(known, cookieless.visitor, cookieless.kind, cookieless.expires)
                receipt = receipt or proof
        elif not refused and known.record is not None and known.record.linking is Choice.REFUSED:
            refused = True
            await self._linking.keep(known, cookieless.visitor, cookieless.kind, cookieless.expires)
        if signed and state.record and decision.sale_share_opt_out and not state.record.opted_out:
            await self._store.visitors.touch(shop.shop_id, cookieless.visitor, known.seconds, decision.opt_out)
        opted_out = decision.sale_share_opt_out or (signed and await is_opted_out(self._store, known, cookieless.visitor))
        token = cookieless.text or self._signing.sign(shop.shop_id, cookieless.kind, cookieless.visitor, cookieless.issued_at)
        cleared = known.visit.asked is Asked.AUTO or decision.reason in CLEARING - {Reason.OPTED_OUT}
        return identity_of(
            decision,
            visitor=cookieless.visitor,
            token=token if signed else None,
            expires_at=cookieless.expires,
            linkable=Mode.COOKIELESS in shop.policy.linkable and not refused,
            opted_out=opted_out,
            mode=Mode.COOKIELESS,
            cookie=CookieAct.CLEAR if cleared else CookieAct.KEEP,
            refusal=refusal_cookie(known, decision),
            receipt=receipt,
        )

    def _without_store(self, visit: Visit, tokens: list[Token], now: Millis) -> Identity:
        """Fails closed: without a store, persistent and derived IDs cannot be checked. A cookieless token still works. Raises
        StoreUnavailable if a choice would have to be stored."""
        withdraws = visit.asked is Asked.NULL or (visit.asked is Asked.AUTO and any(token.kind is Kind.PERSISTENT for token in tokens))
        if visit.event or (withdraws and tokens) or any(signal.refuses for signal in visit.signals):
            raise StoreUnavailable
        decision = _decide_by_visit(visit, visit.asked, now)
        held = [token for token in tokens if token.kind is not Kind.PERSISTENT and token_expires(token, visit.shop) > now // 1000]
        if decision.mode is Mode.COOKIELESS and held and len(held) == len(tokens) and not visit.own:
            linkable = Mode.COOKIELESS in visit.shop.policy.linkable
            expires = token_expires(held[0], visit.shop)
            return identity_of(
                decision, visitor=held[0].visitor, token=held[0].text, expires_at=expires, linkable=linkable, mode=Mode.COOKIELESS
            )
        certain = not tokens or decision.reason is Reason.CONSENT_REFUSED
        reason = decision.reason if decision.mode is Mode.NULL and certain else Reason.STORE_UNAVAILABLE
        emptied = clears(visit, decision) and decision.reason is not Reason.OPTED_OUT
        # the cookie stays if its withdrawal is not stored, or nothing could name that visitor again
        cookie = CookieAct.CLEAR if emptied and not tokens else CookieAct.KEEP
        return identity_of(replace(decision, reason=reason, counted=False), mode=Mode.NULL, cookie=cookie)


def _decide_by_visit(visit: Visit, asked: Asked, now: Millis) -> Decision:
    """Without anything stored."""
    surroundings = visit.surroundings
    return decide(
        visit.shop.policy,
        Facts(
            *(asked, now, visit.signals),
            refusal=visit.refusal,
            gpc=surroundings.gpc,
            dnt=surroundings.dnt,
            automated=surroundings.automated,
            agent=surroundings.agent is not None,
            region=surroundings.region,
        ),
    )


def _refused_late(known: Known) -> VisitorId | None:
    """The visitor whose newer grant a refusal does not end."""
    if known.visit.own:
        return known.visit.own if known.record else None
    return known.living.visitor if known.living else None


def _is_derived(known: Known, visitor: VisitorId) -> bool:
    return known.cookieless.kind is Kind.DERIVED and visitor == known.cookieless.visitor


def _derived_matters(visit: Visit, *, assumed: bool) -> bool:
    """Whether the refusal of the client's derived ID counts for a call that names another one. `assumed`: as for `preview`."""
    may_count = visit.shop.policy.counts_silent and visit.shop.policy.rules(visit.surroundings.region).counts_silent
    return (may_count and not assumed) or _repeats_a_word(visit)


def _repeats_a_word(visit: Visit) -> bool:
    """Whether the call repeats the shop's statement, or a grant that was not made now. Neither overrides a refusal of the client's derived
    ID."""
    repeated = any(one.choice is Choice.GRANTED and not one.said_now for one in visit.signals)
    return visit.asked is Asked.PERSISTENT or repeated


def _minute_of_cookie(known: Known, decision: Decision) -> int | None:
    """The minute in the refusal cookie that this answer sets in a browser. None if it sets no cookie, if a server gets the answer, or if
    the refusal is late, because its minute may be another person's."""
    act, refused_at = refusal_cookie(known, decision)
    said_now = act is CookieAct.SET and refused_at // MINUTE == known.now // MINUTE
    return refused_at // MINUTE if said_now and not known.visit.private else None


def _is_kept_by_cookie(known: Known) -> bool:
    """Whether the browser's own cookie keeps its refusal, so that the derived ID need not be withdrawn and the others behind its address
    are not stopped. The cookie is older than the ID, or the ID was withdrawn since. A page that repeats its refusal renews the cookie, so
    then any withdrawal of the ID counts."""
    visit, cookieless = known.visit, known.cookieless
    if visit.private or visit.refusal is None or not visit.refusal.refuses or cookieless.kind is not Kind.DERIVED:
        return False
    if any(token.visitor == cookieless.visitor and not known.is_dead(token) for token in known.tokens):
        return False
    mark = known.states[cookieless.visitor].mark
    if mark:
        return not visit.event or visit.refusal.at // MINUTE <= mark.at // MINUTE
    return visit.refusal.at // 1000 < window_at(cookieless.issued_at, visit.shop.settings.window_days).start


def _is_persistent(state: VisitorState) -> bool:
    return state.record is not None and state.record.mode is Mode.PERSISTENT


def _is_of_a_caller(visitor: VisitorId, state: VisitorState) -> bool:
    """Whether naming the ID is enough to withdraw it. Only its maker knows a caller's ID, while an ID of the service may be read in a
    log."""
    return not OWN_FORM.fullmatch(visitor) and not _is_persistent(state)
