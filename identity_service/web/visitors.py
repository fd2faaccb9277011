"""Calls that issue and verify visitor IDs."""

from identity_service.consent import Choice, newest_choice
from identity_service.errors import StoreUnavailable
from identity_service.policy import Asked, Reason
from identity_service.service.visits import Visit
from identity_service.visitor import Kind
from identity_service.web.calls import identity_reply, rfc3339, visit_of, with_refusal_kept
from identity_service.web.endpoints import Call, Reply
from identity_service.web.payloads import VerificationAnswer


async def issue(call: Call) -> Reply:
    return await identify(call, visit_of(call), with_receipt=False)


async def identify(call: Call, visit: Visit, *, with_receipt: bool) -> Reply:
    try:
        identity = await call.services.visitors.identify(visit)
        choice = newest_choice(visit.signals) if visit.event else None
        if identity.reason is Reason.BOT:
            call.services.tally.identified(call.shop.shop_id, "bot", None)
        else:
            call.services.tally.identified(call.shop.shop_id, identity.mode, choice.choice if choice else None)
        return identity_reply(call, identity, with_receipt=with_receipt)
    except StoreUnavailable as error:
        refused = any(signal.choice is Choice.REFUSED for signal in visit.signals)
        raise with_refusal_kept(call, error, refused=refused, switched_off=visit.asked in {Asked.NULL, Asked.AUTO}) from None


async def verify(call: Call) -> Reply:
    token, fault = await call.services.links.verify(call.shop, call.body.token)
    if token is None or fault is not None:
        return Reply(VerificationAnswer(valid=False, reason=fault.value if fault else "bad_signature"))
    mode = "persistent" if token.kind is Kind.PERSISTENT else "cookieless"
    return Reply(VerificationAnswer(True, token.visitor, mode, rfc3339(token.issued_at)))  # type: ignore[arg-type]
