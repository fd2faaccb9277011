"""Visitors and their consent: issue, verify, report a choice, receipts, decisions."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace

from identity_service.errors import Invalid, NotFound, RateLimited, StoreUnavailable
from identity_service.model.audit import Act
from identity_service.model.consent import Choice, Receipt, ReceiptEvent, choice_said
from identity_service.model.policy import Asked, Decision, Reason
from identity_service.model.receipt_key import proof_fault
from identity_service.model.utc import rfc3339
from identity_service.model.visitor import Mode, VisitorId, own_visitor_id
from identity_service.server.metrics import AGENTS, count
from identity_service.service.links import is_opted_out
from identity_service.service.visit import Identity, Known, TokenFault, Visit
from identity_service.signals.reader import SOURCES
from identity_service.web.call import Call, Reply
from identity_service.web.cookies import read_cookies
from identity_service.web.lists import MOST_RECEIPTS, keys_of_times, page_of
from identity_service.web.payloads import (
    CURSOR,
    LIMIT,
    MODE_TEXTS,
    NEXT,
    TOKEN,
    Body,
    Client,
    ConsentObject,
    Cursor,
    DecisionAnswer,
    ModeText,
    Moment,
    ReceiptAnswer,
    Time,
    VisitorText,
    about,
)
from identity_service.web.visit import (
    count_lookup,
    identity_reply,
    is_ours,
    reader_of,
    signed_receipt,
    visit_of,
    with_refusal_kept,
)

Said = Literal["now", "remembered"]
Milliseconds = Annotated[float, Meta(ge=0, le=4_102_444_800_000)]
ConsentMember = Literal["granted", "refused", "unknown"] | ConsentObject
ASKED = about(
    "Absent: consent decides. Null: no ID. `auto`: a cookieless ID. `persistent`: a persistent ID, asserted by the shop. Else your own ID,"
    " 1 to 64 of `A-Z a-z 0-9 _ . -`."
)
CONSENT = about("The choice in a word, or its signals. `unknown` says nothing.")
CLIENT = about("The visitor's surroundings, sent by a server. Only a private key may send them.")
SAID = about("`remembered` for a stored choice that is repeated; `now` for one that was just made.")
AGE = about("Milliseconds since the choice was made, for a repeated post.")
CLOCK = about("The device's own time, in milliseconds since 1970. A banner's times are corrected by its difference to the service's.")
OURS = frozenset({"key", "private_key", "token", "visitor", "client", "said", "age_ms", "clock_ms"})
"""Members of a banner's event that belong to this service."""


class IssueBody(Body, frozen=True):
    """The visitor that needs an ID, and its consent. `consent` is state here: it counts as remembered unless it has `decided_at`."""

    visitor: Annotated[VisitorText | UnsetType | None, ASKED] = UNSET
    token: Annotated[VisitorText | UnsetType | None, TOKEN] = UNSET
    consent: Annotated[ConsentMember | UnsetType | None, CONSENT] = UNSET
    client: Annotated[Client | UnsetType | None, CLIENT] = UNSET


class ConsentsBody(IssueBody, frozen=True):
    """A choice made now, unless `said`, `age_ms` or `decided_at` say otherwise."""

    said: Annotated[Said | UnsetType, SAID] = UNSET
    age_ms: Annotated[Milliseconds | UnsetType, AGE] = UNSET
    clock_ms: Annotated[Milliseconds | UnsetType, CLOCK] = UNSET


class BannerBody(Body, frozen=True, forbid_unknown_fields=False):
    """Add the banner's event as its JSON, or its cookies as members by name."""

    visitor: Annotated[VisitorText | UnsetType | None, ASKED] = UNSET
    token: Annotated[VisitorText | UnsetType | None, TOKEN] = UNSET
    client: Annotated[Client | UnsetType | None, CLIENT] = UNSET
    said: Annotated[Said | UnsetType, SAID] = UNSET
    age_ms: Annotated[Milliseconds | UnsetType, AGE] = UNSET
    clock_ms: Annotated[Milliseconds | UnsetType, CLOCK] = UNSET


class ReceiptsBody(Body, frozen=True):
    """`visitor` or `token` for all receipts, newest first; with `at`, for those in force then. Or `receipt_id` for one; other members are
    ignored."""

    visitor: Annotated[VisitorText | UnsetType, about("ID of the visitor whose receipts are asked for. A withdrawn one has none.")] = UNSET
    token: Annotated[
        VisitorText | UnsetType,
        about("The visitor's token. It finds the receipts also after a withdrawal, not after an erasure. Absent, the cookie is read."),
    ] = UNSET
    at: Annotated[Moment | UnsetType, about("The moment for which proof is asked, in RFC 3339 with its offset.")] = UNSET
    receipt_id: Annotated[Annotated[str, Meta(max_length=64)] | UnsetType, about("ID of one receipt.")] = UNSET
    limit: Annotated[int, Meta(ge=1, le=MOST_RECEIPTS), LIMIT] = MOST_RECEIPTS
    cursor: Annotated[Cursor | None, CURSOR] = None


class ReceiptsAnswer(Struct, frozen=True):
    """Empty if nothing is known."""

    receipts: Annotated[list[ReceiptAnswer], about("Newest first, at most `limit`.", maxItems=MOST_RECEIPTS)]
    next: Annotated[str | None, NEXT] = None


class DecisionsBody(IssueBody, frozen=True):
    """A decision for given signals that changes nothing."""

    policy: Annotated[Literal["standard", "strict"] | UnsetType, about("Decide under this policy instead of the shop's.")] = UNSET


class TraceStep(Struct, frozen=True):
    """One fact that the decision looked at."""

    fact: Annotated[str, about("What was looked at.")]
    value: Annotated[str, about("What was found.")]


class DecisionsAnswer(Struct, frozen=True):
    """What a call with this body would get, and why."""

    mode: Annotated[ModeText, about("The mode that the visitor would have.")]
    sale_share_opt_out: Annotated[bool, about("Whether the visitor would count as opted out of sale and sharing.")]
    decision: Annotated[DecisionAnswer, about("Why.")]
    trace: Annotated[list[TraceStep], about("Every fact, in the order of evaluation. The last is the rule.")]


class VerificationBody(Body, frozen=True):
    """One token."""

    token: Annotated[str, about("The token to verify.")]


class VerificationAnswer(Struct, frozen=True, omit_defaults=True):
    """`valid` with the visitor, or with the reason against it."""

    valid: Annotated[bool, about("Whether the token belongs to this shop and its ID is alive.")]
    visitor: Annotated[str | UnsetType, about("The visitor's ID, of a valid token.")] = UNSET
    mode: Annotated[Literal["cookieless", "persistent"] | UnsetType, about("The ID's mode, of a valid token.")] = UNSET
    issued_at: Annotated[Time | UnsetType, about("When a valid token was signed, in RFC 3339.")] = UNSET
    reason: Annotated[Literal["bad_signature", "expired", "withdrawn"] | UnsetType, about("Why a token is not valid.")] = UNSET


class ReceiptVerificationBody(Body, frozen=True):
    """One receipt."""

    receipt: Annotated[dict[str, Any], about("The receipt as it was answered, all members.")]


class ReceiptVerificationAnswer(Struct, frozen=True):
    """Whether the receipt is as the service signed it."""

    valid: Annotated[bool, about("Whether this service signed exactly this receipt for this shop.")]
    signature: Annotated[bool, about("Whether `signature` is right. It is not once the service has dropped the key that made it.")]
    proof: Annotated[bool | UnsetType, about("Whether `proof` is right. Absent for a receipt without one.")] = UNSET


async def issue(call: Call) -> Reply:
    return await identify(call, visit_of(call), with_receipt=False)


async def identify(call: Call, visit: Visit, *, with_receipt: bool) -> Reply:
    """Raises `call.fault`, unless the call carries a refusal of consent: then its valid members count. Raises StoreUnavailable, and
    RateLimited from `_over_limit`; both set the refusal cookie on the device."""
    newest = choice_said(visit.signals)
    refused = newest is not None and newest.choice is Choice.REFUSED
    if call.fault and not refused and not any(signal.linking is Choice.REFUSED and signal.refuses for signal in visit.signals):
        raise call.fault
    if isinstance(call.fault, RateLimited):
        visit = _over_limit(call, visit if refused else visit.without_choices(), call.fault)
    try:
        identity = await call.services.visitors.identify(visit)
        if identity.counted or visit.surroundings.automated:
            _count_apart(call, visit, identity)
        else:
            chosen = _choice_made(call, visit, identity) if visit.event else None
            call.services.counters.count_identity(call.shop.shop_id, identity.mode, identity.visitor, chosen)
        return identity_reply(call, identity, with_receipt=with_receipt)
    except StoreUnavailable as error:
        raise with_refusal_kept(call, error, visit) from None


def _count_apart(call: Call, visit: Visit, identity: Identity) -> None:
    """A visitor who said nothing, a robot or an agent. A refusal that one of these two conveys counts like a person's."""
    counters, shop = call.services.counters, call.shop.shop_id
    if identity.counted:
        counters.days.count_view(shop, visit.surroundings)
    elif identity.reason is Reason.AGENT and (agent := visit.surroundings.agent):
        count(AGENTS, agent.known_by)
        counters.count_agent(shop, agent)
    elif identity.reason is Reason.BOT:
        counters.count_identity(shop, "bot", None, None)
    else:
        counters.count_identity(shop, identity.mode, None, _choice_made(call, visit, identity) if visit.event else None)


def _choice_made(call: Call, visit: Visit, identity: Identity) -> Choice | None:
    """What a person chose with this call. None for a choice that a page repeats, so that people are counted and not page views."""
    choice = choice_said(visit.signals)
    if choice is None or choice.remembered:
        return None
    if choice.choice is Choice.REFUSED:
        return None if visit.refused_before else Choice.REFUSED
    receipt = identity.receipt
    return Choice.GRANTED if receipt and receipt.event is ReceiptEvent.GIVEN and receipt.time == call.now // 1000 else None


def _over_limit(call: Call, visit: Visit, fault: RateLimited) -> Visit:
    """Keeps only the refusals. Raises RateLimited if no token names a visitor, or if there are too many refusals."""
    try:
        if not call.services.tokens.verified(visit.shop, visit.tokens):
            raise fault
        call.services.rates.refusal.count(call.counted_as)
    except RateLimited as error:
        raise with_refusal_kept(call, error, visit) from None
    return replace(visit, over_limit=True)


async def verify(call: Call) -> Reply:
    token = await call.services.tokens.check(call.shop, call.body.token)
    if isinstance(token, TokenFault):
        return Reply(VerificationAnswer(valid=False, reason=token.value))
    return Reply(VerificationAnswer(True, token.visitor, token.kind.mode.value, rfc3339(token.issued_at)))  # type: ignore[arg-type]


async def report(call: Call) -> Reply:
    return await identify(call, visit_of(call, event=True), with_receipt=True)


async def report_banner(call: Call) -> Reply:
    """Raises NotFound for an unknown banner."""
    source = call.parameters["source"]
    if source not in SOURCES:
        raise NotFound(f"This service knows the banners {', '.join(SOURCES)}. For another one, post purposes to /v1/consents.")
    event = {name: value for name, value in call.members.items() if name not in OURS}
    signals, named = reader_of(call, posted=True).of_event(source, event)
    visit = visit_of(call, event=True, signals=signals)
    if named and visit.asked is Asked.NOTHING and not visit.tokens:
        visit = _of_webhook(visit, named)
    return await identify(call, visit, with_receipt=True)


def _of_webhook(visit: Visit, named: str) -> Visit:
    """A reference in another form than an ID is not a visitor's: the webhook is answered, and changes nothing."""
    try:
        return replace(visit, asked=Asked.OWN, own=own_visitor_id(named))
    except Invalid:
        return replace(visit, signals=())


async def receipts(call: Call) -> Reply:
    """By `receipt_id`, `visitor` or `token`; without them the visitor's cookie is read."""
    count_lookup(call)
    body, services = call.body, call.services
    if not isinstance(body.receipt_id, UnsetType):
        found = await services.receipts.by_id(call.shop, body.receipt_id)
        await services.audit.record(call.shop, call.actor, Act.RECEIPTS, None, int(found is not None))
        return _receipts(call, [found] if found else [])
    if not isinstance(body.visitor, UnsetType):
        visitor = own_visitor_id(body.visitor)
        held = await services.receipts.of_visitor(call.shop, visitor)
    else:
        visitor, held = await _receipts_of_token(call)
    await services.audit.record(call.shop, call.actor, Act.RECEIPTS, visitor, len(held))
    if isinstance(body.at, UnsetType):
        return _receipts(call, *page_of(held, keys_of_times([receipt.time for receipt in held]), body.cursor, body.limit))
    return _receipts(call, services.receipts.in_force(held, int(body.at.timestamp())))


async def _receipts_of_token(call: Call) -> tuple[VisitorId, list[Receipt]]:
    """A person who brings a token finds its receipts also after the withdrawal. Raises Invalid for none, or another shop's."""
    body, cookies = call.body, read_cookies(call.headers.get("cookie", ""), call.shop.cookie.name)
    for text in (*([body.token] if isinstance(body.token, str) else []), *cookies):
        visitor = await call.services.tokens.visitor_of(call.shop, text)
        living = await call.services.receipts.of_visitor(call.shop, visitor)
        return visitor, living or await call.services.receipts.of_withdrawn(call.shop, visitor)
    raise Invalid("visitor: send a visitor ID, or receipt_id for one receipt, or the visitor's token")


async def verify_receipt(call: Call) -> Reply:
    """If there is a `proof`, it decides: it covers all other members, the service's own signature among them. A receipt that names no shop
    needs both."""
    members = call.body.receipt
    ours = is_ours(call.services.receipts, [call.shop], members)
    if "proof" not in members:
        return Reply(ReceiptVerificationAnswer(ours, ours))
    signed = proof_fault(members, call.services.receipt_keys.published) is None
    of_this_shop = ours or members.get("shop") == call.shop.shop_id
    return Reply(ReceiptVerificationAnswer(signed and of_this_shop, ours, signed))


async def decisions(call: Call) -> Reply:
    visit = visit_of(call)
    if not isinstance(call.body.policy, UnsetType):
        visit = replace(visit, shop=call.shop.under(call.body.policy))
    known, decision = await call.services.visitors.preview(visit)
    named = visit.own or (known.living.visitor if known.living else None)
    if named and call.actor.person:  # the trace shows what is stored about it
        await call.services.audit.record(call.shop, call.actor, Act.VISITOR, named, 1)
    told = DecisionAnswer(decision.reason, decision.signal, decision.region, decision.policy)
    trace = [*_unread(call.body.consent, known), *_trace(known), TraceStep("rule", decision.reason)]
    return Reply(DecisionsAnswer(MODE_TEXTS[decision.mode], await _opted_out(call, known, decision), told, trace))


async def _opted_out(call: Call, known: Known, decision: Decision) -> bool:
    """As the answer of a visitor that keeps its ID."""
    of = known.living.visitor if known.living else known.cookieless.visitor
    if decision.sale_share_opt_out or decision.mode is Mode.NULL:
        return decision.sale_share_opt_out
    return await is_opted_out(call.services.store, known, of)


def _unread(consent: str | ConsentObject | UnsetType, known: Known) -> list[TraceStep]:
    """What was sent and gave no signal: it could not be read, is stale, does not apply, or nothing is decided yet."""
    if not isinstance(consent, ConsentObject):
        return []
    read = {signal.source for signal in known.visit.signals}
    sent = [source for source in ("google", "tcf", "gpp", "us_privacy") if getattr(consent, source) is not UNSET]
    return [TraceStep(f"signal {source}", "not a choice") for source in sent if source not in read]


def _trace(known: Known) -> list[TraceStep]:
    """Every fact that the decision could look at, in the order it looks."""
    facts, visit = known.facts(), known.visit
    agent = visit.surroundings.agent
    steps = [("robot, prefetch or agent", facts.automated), ("agent", agent.words if agent else "none"), ("asked", facts.asked)]
    steps += [(f"signal {signal.source}", signal.choice or "absent") for signal in facts.signals]
    steps += [(f"sale_share_opt_out {signal.source}", True) for signal in facts.signals if signal.sale_share_opt_out]
    steps += [("refusal cookie", visit.refused_before), ("stored grant", facts.consent is not None)]
    opted_in = facts.opted_in_at is not None or facts.cookieless_opted_in_at is not None
    steps += [("withdrawn", facts.gone_at is not None), ("gpc", facts.gpc), ("dnt", facts.dnt), ("sale opt-in", opted_in)]
    steps += [("region", facts.region or "unknown")]
    return [TraceStep(name, str(value) if name == "region" else str(value).lower()) for name, value in steps]


def _receipts(call: Call, found: Sequence[Receipt], following: str | None = None) -> Reply:
    return Reply(ReceiptsAnswer([signed_receipt(call, receipt.members()) for receipt in found], following))
