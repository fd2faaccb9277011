"""The content of the demo shop's side panel: what the service knows about the calling device. A read changes nothing."""

from dataclasses import dataclass
from typing import Any

from msgspec import UNSET

from identity_service.errors import Forbidden, Invalid
from identity_service.model.attribution import ATTRIBUTED, EXPLANATIONS, Break
from identity_service.model.cookieless import window_at
from identity_service.model.event import Event
from identity_service.model.policy import Asked, Decision, Reason
from identity_service.model.utc import rfc3339
from identity_service.model.visitor import Mode, VisitorId
from identity_service.service.orders import Order
from identity_service.service.visit import Known, Visit
from identity_service.web.auth import is_from_own_page
from identity_service.web.call import Call, Reply
from identity_service.web.cookies import read_cookies
from identity_service.web.demo.payloads import EarlierSession, PanelAnswer, PanelCredit, PanelEvent, PanelLink, PanelOrder
from identity_service.web.visit import cookie_signals_of, refusal_of, surroundings_of

MOST_EVENTS, MOST_ORDERS, MOST_LINKS = 6, 3, 10
SHOWN_OF_OTHERS = 6

REASONS = {
    Reason.NO_SIGNAL: "You have not chosen yet. The ID is derived from your address and browser and ends with its window.",
    Reason.CONSENT_GRANTED: "You accepted. A signed cookie keeps the ID.",
    Reason.CONSENT_REFUSED: "You refused. You have no ID.",
    Reason.VISITOR_DISABLED: "The shop asked for no ID.",
    Reason.REQUESTED_COOKIELESS: "The shop asked for a cookieless ID.",
    Reason.PERSISTENT_REQUESTED: "The shop reports that you consented.",
    Reason.OPTED_OUT: "Your browser asks not to be tracked. The ID ends with its window.",
    Reason.AGENT: "Your browser identifies itself as an agent. Agents share addresses, so they get no ID.",
    Reason.BOT: "Your browser identifies itself as a robot. Robots get no ID.",
    Reason.WITHDRAWN: "This ID was withdrawn or erased. It is not used again before its window ends. Accept to get a new ID.",
    Reason.STORE_UNAVAILABLE: "The store cannot be reached. Try again in a moment.",
}


@dataclass(frozen=True, slots=True)
class PanelSubject:
    """`visitor`: None in null mode. `derived`: the device's cookieless ID, even if it is not issued."""

    known: Known
    decision: Decision
    visitor: VisitorId | None
    derived: VisitorId | None

    @property
    def expires(self) -> int:
        record = self.known.record
        return record.expires if record and self.decision.mode is Mode.PERSISTENT else self.known.cookieless.expires


async def show(call: Call) -> Reply:
    """What the caller's cookie identifies, or else its address and browser, as for `misc/visitor_id`. Raises Forbidden for a call of
    another page."""
    if call.private or not is_from_own_page(call.headers):
        raise Forbidden("Open the panel on a page of the demo shop. It shows the device that opens it.")
    subject = await _subject(call)
    held = await call.services.rights.export_visitor(call.shop, subject.visitor) if subject.visitor else {}
    events = await _events(call, subject)
    decision, cookies = subject.decision, call.headers.get("cookie", "")
    return Reply(
        PanelAnswer(
            visitor=subject.visitor,
            mode=decision.mode,
            reason=decision.reason,
            explanation=REASONS[decision.reason],
            signal=decision.signal,
            expires_at=rfc3339(subject.expires) if subject.visitor else None,
            cookie_name=call.shop.cookie.name,
            cookie=bool(read_cookies(cookies, call.shop.cookie.name)),
            refusal_cookie=refusal_of(call) is not None,
            held=held if held.get("visitors") else None,
            event_count=len(events),
            events=events[:MOST_EVENTS],
            orders=await _orders(call, held.get("orders", [])),
            earlier=await _earlier(call, subject),
            links=await _links(call, subject),
        )
    )


def device_visit(call: Call) -> Visit:
    return Visit(
        shop=call.shop,
        trusted=False,
        asked=Asked.NOTHING,
        tokens=read_cookies(call.headers.get("cookie", ""), call.shop.cookie.name),
        signals=cookie_signals_of(call),
        surroundings=surroundings_of(call, UNSET),
        refusal=refusal_of(call),
    )


async def _subject(call: Call) -> PanelSubject:
    known, decision = await call.services.visitors.preview(device_visit(call))
    derived = None if known.cookieless.random else known.cookieless.visitor
    persistent = known.living.visitor if known.living else None
    visitor = {Mode.PERSISTENT: persistent, Mode.COOKIELESS: derived, Mode.NULL: None}[decision.mode]
    return PanelSubject(known, decision, visitor, derived)


async def _events(call: Call, subject: PanelSubject) -> list[PanelEvent]:
    """Events of the ID, newest first, followed by those of the session before its grant."""
    if subject.visitor is None:
        return []
    record, shop, stored = subject.known.record, call.shop.shop_id, call.services.store.events
    own = await stored.of(shop, subject.visitor)
    both = await stored.of(shop, subject.visitor, record.bridged_from) if record and record.bridged_from else own
    return [_event(one, earlier=at >= len(own)) for at, one in enumerate(both)]


def _event(event: Event, *, earlier: bool) -> PanelEvent:
    return PanelEvent(event.type, rfc3339(event.time), list(event.products), list(event.labels or ()), event.text, earlier)


async def _orders(call: Call, exported: list[dict[str, Any]]) -> list[PanelOrder]:
    newest = sorted(exported, key=lambda order: -order["time"])[:MOST_ORDERS]
    found = [await call.services.orders.order(call.shop, order["sale"]) for order in newest]
    return [_order(order) for order in found if order]


def _order(order: Order) -> PanelOrder:
    credited = [PanelCredit(one["product"], one["labels"], rfc3339(one["clicked_at"])) for one in order.credits]
    explanation = ATTRIBUTED if credited else EXPLANATIONS[order.missing or Break.NO_CLICK]
    return PanelOrder(order.sale, rfc3339(order.time), f"{order.revenue:f}", credited, explanation)


async def _earlier(call: Call, subject: PanelSubject) -> EarlierSession | None:
    if subject.visitor or subject.derived is None:
        return None
    found = await call.services.store.events.count(call.shop.shop_id, subject.derived)
    ends = window_at(subject.known.seconds, call.shop.settings.window_days).salt_destroyed_at
    return EarlierSession(found, rfc3339(ends)) if found else None


async def _links(call: Call, subject: PanelSubject) -> list[PanelLink] | None:
    """What a look-up by the email answers."""
    if not isinstance(call.body.email, str):
        return None
    try:
        handle = call.services.handles.of_email(call.shop.shop_id, call.body.email)
    except Invalid:
        return []
    found = await call.services.links.of_handle(call.shop, handle)
    return [_link(one.link.visitor, one.mode, own=one.link.visitor in (subject.visitor, subject.derived)) for one in found[:MOST_LINKS]]


def _link(visitor: str, mode: Mode, *, own: bool) -> PanelLink:
    return PanelLink(visitor if own else f"{visitor[:SHOWN_OF_OTHERS]}…", own, mode)
