"""Calls about consent: reporting a choice, proving it, and previewing a decision."""

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from identity_service.errors import Invalid, NotFound
from identity_service.model.consent import Receipt
from identity_service.model.cookieless import DAY
from identity_service.model.policy import Asked
from identity_service.model.visitor import own_visitor_id
from identity_service.service.known import Scene
from identity_service.service.visit import Visit
from identity_service.signals.reader import SOURCES
from identity_service.web.calls.payloads import (
    ConsentObject,
    DecisionAnswer,
    DecisionsAnswer,
    ReceiptsAnswer,
    ReceiptVerificationAnswer,
    TraceStep,
)
from identity_service.web.calls.visitors import identify
from identity_service.web.endpoint import Call, Reply
from identity_service.web.lists import keys_of_times, page_of
from identity_service.web.visit import count_lookup, reader_of, receipt_answer, receipt_from, visit_of

OURS = frozenset({"key", "private_key", "token", "visitor", "client", "said", "age_ms"})
"""Members of a banner's event that are this service's own."""


async def report(call: Call) -> Reply:
    return await identify(call, visit_of(call, event=True), with_receipt=True)


async def report_banner(call: Call) -> Reply:
    """Raises NotFound for a banner that is not known."""
    source = call.parameters["source"]
    if source not in SOURCES:
        raise NotFound(f"This service reads the banners {', '.join(SOURCES)}; post purposes to /v1/consents for another.")
    event = {name: value for name, value in call.members.items() if name not in OURS}
    signals, named = reader_of(call, posted=True).of_event(source, event)
    visit = visit_of(call, event=True, signals=signals)
    if named and visit.asked is Asked.NOTHING and not visit.tokens:
        visit = _of_webhook(visit, named)
    return await identify(call, visit, with_receipt=True)


def _of_webhook(visit: Visit, named: str) -> Visit:
    """A reference that is no ID of ours concerns somebody else: the webhook is answered and changes nothing."""
    try:
        return replace(visit, asked=Asked.OWN, own=own_visitor_id(named))
    except Invalid:
        return replace(visit, signals=())


async def receipts(call: Call) -> Reply:
    count_lookup(call)
    body = call.body
    if not isinstance(body.receipt_id, UnsetType):
        found = await call.services.receipts.by_id(call.shop, body.receipt_id)
        return _receipts([found] if found else [])
    if isinstance(body.visitor, UnsetType):
        raise Invalid("visitor: name the visitor, or one receipt by receipt_id")
    held = await call.services.receipts.of_visitor(call.shop, own_visitor_id(body.visitor))
    if isinstance(body.at, UnsetType):
        return _receipts(*page_of(held, keys_of_times([receipt.time for receipt in held]), body.cursor, body.limit))
    moment = int(body.at.timestamp())
    newest = next((receipt for receipt in held if receipt.time <= moment), None)
    in_force = newest is not None and newest.time > moment - call.services.consent_days * DAY
    return _receipts([newest] if newest and in_force else [])


async def verify(call: Call) -> Reply:
    receipt = receipt_from(call.body.receipt)
    return Reply(ReceiptVerificationAnswer(receipt is not None and call.services.receipts.is_valid(call.shop, receipt)))


async def decisions(call: Call) -> Reply:
    visit = visit_of(call)
    if not isinstance(call.body.policy, UnsetType):
        visit = replace(visit, shop=call.shop.under(call.body.policy))
    scene, decision = await call.services.visitors.preview(visit)
    told = DecisionAnswer(decision.reason, decision.signal, decision.region, decision.policy)
    trace = [*_unread(call.body.consent, scene), *_trace(scene), TraceStep("rule", decision.reason)]
    return Reply(DecisionsAnswer(decision.mode.value, decision.sale_share_opt_out, told, trace))


def _unread(consent: str | ConsentObject | UnsetType, scene: Scene) -> list[TraceStep]:
    """What was sent and gave no signal: it could not be read, is stale, does not apply, or nothing is decided yet."""
    if not isinstance(consent, ConsentObject):
        return []
    read = {signal.source for signal in scene.visit.signals}
    sent = [source for source in ("google", "tcf", "gpp", "us_privacy") if getattr(consent, source) is not UNSET]
    return [TraceStep(f"signal {source}", "not a choice") for source in sent if source not in read]


def _trace(scene: Scene) -> list[TraceStep]:
    """Every fact that the decision could look at, in the order it looks."""
    facts, visit = scene.facts(), scene.visit
    steps = [("robot, prefetch or agent", facts.automated), ("asked", facts.asked)]
    steps += [(f"signal {signal.source}", signal.choice or "absent") for signal in facts.signals]
    steps += [(f"sale_share_opt_out {signal.source}", True) for signal in facts.signals if signal.sale_share_opt_out]
    steps += [("refusal cookie", visit.refused_before), ("stored grant", facts.consent is not None)]
    steps += [("withdrawn", facts.gone_at is not None), ("gpc", facts.gpc), ("dnt", facts.dnt), ("region", facts.region or "unknown")]
    return [TraceStep(name, str(value) if name == "region" else str(value).lower()) for name, value in steps]


def _receipts(found: list[Receipt], following: str | None = None) -> Reply:
    return Reply(ReceiptsAnswer([receipt_answer(receipt) for receipt in found], following))
