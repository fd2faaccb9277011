"""Calls that issue and verify visitor IDs."""

from msgspec.structs import replace

from identity_service.errors import RateLimited, StoreUnavailable
from identity_service.model.consent import Choice, choice_said
from identity_service.model.policy import Reason
from identity_service.model.visitor import Kind
from identity_service.service.visit import Visit
from identity_service.web.calls.payloads import VerificationAnswer
from identity_service.web.endpoint import Call, Reply
from identity_service.web.visit import identity_reply, rfc3339, visit_of, with_refusal_kept


async def issue(call: Call) -> Reply:
    return await identify(call, visit_of(call), with_receipt=False)


async def identify(call: Call, visit: Visit, *, with_receipt: bool) -> Reply:
    """A call that would be refused is, unless it carries a refusal of consent: then what fits of it counts. Raises StoreUnavailable, and
    RateLimited as `_over_limit` says, both with the refusal kept on the device."""
    newest = choice_said(visit.signals)
    refused = newest is not None and newest.choice is Choice.REFUSED
    if call.fault and not refused and not any(signal.linking is Choice.REFUSED and signal.refuses for signal in visit.signals):
        raise call.fault
    if isinstance(call.fault, RateLimited):
        visit = _over_limit(call, visit if refused else visit.without_choices(), call.fault)
    try:
        identity = await call.services.visitors.identify(visit)
        choice = choice_said(visit.signals) if visit.event else None
        if identity.reason in {Reason.BOT, Reason.AGENT}:
            call.services.tally.identified(call.shop.shop_id, "bot", None)
        else:
            call.services.tally.identified(call.shop.shop_id, identity.mode, choice.choice if choice else None)
        return identity_reply(call, identity, with_receipt=with_receipt)
    except StoreUnavailable as error:
        raise with_refusal_kept(call, error, visit) from None


def _over_limit(call: Call, visit: Visit, fault: RateLimited) -> Visit:
    """Only its refusals count. Raises RateLimited where they name no visitor by token, or are too many themselves."""
    try:
        if not call.services.visitors.verified(visit.shop, visit.tokens):
            raise fault
        if call.services.refusal_limit:
            call.services.refusal_limit.count(call.counted_as)
    except RateLimited as error:
        raise with_refusal_kept(call, error, visit) from None
    return replace(visit, over_limit=True)


async def verify(call: Call) -> Reply:
    token, fault = await call.services.links.verify(call.shop, call.body.token)
    if token is None or fault is not None:
        return Reply(VerificationAnswer(valid=False, reason=fault.value if fault else "bad_signature"))
    mode = "persistent" if token.kind is Kind.PERSISTENT else "cookieless"
    return Reply(VerificationAnswer(True, token.visitor, mode, rfc3339(token.issued_at)))  # type: ignore[arg-type]
