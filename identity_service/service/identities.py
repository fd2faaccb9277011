"""From a decision to the answer, and what the answer does to the two cookies."""

from collections.abc import Iterable

from identity_service.model.consent import Choice, EarlierRefusal, Millis, Receipt, Signal
from identity_service.model.policy import Asked, Decision, Reason
from identity_service.model.visitor import Mode, VisitorId
from identity_service.service.known import Scene
from identity_service.service.visit import CookieAct, Identity, Visit

CLEARING = frozenset({Reason.CONSENT_REFUSED, Reason.VISITOR_DISABLED, Reason.WITHDRAWN, Reason.OPTED_OUT})
UNTOUCHED = frozenset({Reason.BOT, Reason.AGENT})
RefusalAct = tuple[CookieAct, Millis]
"""What to do with the refusal cookie, and when the refusal was."""
UNCHANGED: RefusalAct = (CookieAct.KEEP, Millis(0))


def null_identity(scene: Scene, decision: Decision, receipt: Receipt | None = None) -> Identity:
    cleared = decision.reason in CLEARING or scene.visit.asked is Asked.AUTO
    return identity_of(
        decision,
        mode=Mode.NULL,
        cookie=CookieAct.CLEAR if cleared and decision.reason not in UNTOUCHED else CookieAct.KEEP,
        refusal=refusal_cookie(scene, decision),
        receipt=receipt,
    )


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
    )


def refusal_cookie(scene: Scene, decision: Decision) -> RefusalAct:
    """Set by every explicit refusal that counts, and where a token's visitor is withdrawn; deleted by an explicit grant, else left."""
    if decision.reason is Reason.WITHDRAWN and scene.tokens and not scene.visit.own and scene.gone_at is not None:
        return CookieAct.SET, Millis(min(max([scene.gone_at, *_remembered(scene.visit.refusal)]), scene.now))
    if decision.choice is None or decision.choice not in scene.visit.signals or decision.reason in UNTOUCHED:
        return UNCHANGED
    if decision.choice.choice is not Choice.REFUSED:  # one that did not come along is lifted only by what is said now
        return (CookieAct.CLEAR, Millis(0)) if decision.choice.said_now or scene.visit.refusal else UNCHANGED
    stored = [state.record.consent.granted_at for state in scene.states.values() if state.record and state.record.consent]
    return CookieAct.SET, refused_at(decision.choice, scene.visit, stored, scene.now)


def refused_at(refusal: Signal, visit: Visit, stored: Iterable[Millis], now: Millis) -> Millis:
    """No earlier than a grant that came with the refusal or was `stored` before it, so that no repetition of that grant lifts it; nor than
    the refusal that the device remembers."""
    granted = [signal.decided_at for signal in visit.signals if signal.choice is Choice.GRANTED]
    return Millis(min(max([refusal.decided_at, *granted, *stored, *_remembered(visit.refusal)]), now))


def _remembered(refusal: EarlierRefusal | None) -> list[Millis]:
    return [refusal.at] if refusal else []
