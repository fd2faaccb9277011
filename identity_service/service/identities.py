"""From a decision to the answer, and what the answer does to the two cookies."""

from identity_service.consent import Choice, Receipt
from identity_service.policy import Asked, Decision, Reason
from identity_service.service.scene import Scene
from identity_service.service.visits import CookieAct, Identity
from identity_service.visitor import Mode, VisitorId

CLEARING = frozenset({Reason.CONSENT_REFUSED, Reason.VISITOR_DISABLED, Reason.WITHDRAWN, Reason.OPTED_OUT})


def null_identity(scene: Scene, decision: Decision, receipt: Receipt | None = None) -> Identity:
    cleared = decision.reason in CLEARING or scene.visit.asked is Asked.AUTO
    return identity_of(
        decision,
        mode=Mode.NULL,
        cookie=CookieAct.CLEAR if cleared and decision.reason is not Reason.BOT else CookieAct.KEEP,
        refusal_cookie=refusal_cookie(scene, decision),
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
    refusal_cookie: CookieAct = CookieAct.KEEP,
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
        refusal_cookie=refusal_cookie,
        receipt=receipt,
    )


def refusal_cookie(scene: Scene, decision: Decision) -> CookieAct:
    """Set by every explicit refusal, deleted by an explicit grant, otherwise left alone."""
    if decision.choice is None or decision.choice not in scene.visit.signals or decision.reason is Reason.BOT:
        return CookieAct.KEEP
    return CookieAct.SET if decision.choice.choice is Choice.REFUSED else CookieAct.CLEAR
