"""From a call to a visit, and from an identity to an answer: what all calls about a visitor share."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import asdict

from identity_service.consent import Millis, OptOutsSeen, Receipt, Signal
from identity_service.errors import Forbidden, Invalid, ServiceError
from identity_service.policy import Asked
from identity_service.service.visits import CookieAct, Identity, Surroundings, Visit
from identity_service.signals.browser import browser_signals, is_robot
from identity_service.signals.statements import Reader
from identity_service.visitor import VisitorId, own_visitor_id
from identity_service.web.auth import client_address
from identity_service.web.cookies import (
    REFUSAL_COOKIE,
    REFUSED,
    all_cookies,
    clear_refusal,
    clear_visitor,
    read_cookies,
    set_refusal,
    set_visitor,
)
from identity_service.web.endpoints import Call, Reply
from identity_service.web.payloads import Client, ConsentAnswer, ConsentObject, DecisionAnswer, IdentityAnswer, ReceiptAnswer

MOST_TOKEN_CHARACTERS = 120
EMAILS_A_CALL = 100
UNKNOWN_SURROUNDINGS = Surroundings()


def visit_of(call: Call, *, event: bool = False, signals: tuple[Signal, ...] | None = None) -> Visit:
    """`signals` where they are not in the member `consent`. Raises Forbidden for members that the key may not send, Invalid for an own ID
    of another form."""
    body = call.body
    asked, own = asked_visitor(body.visitor)
    sent = [body.token] if isinstance(body.token, str) and body.token else []
    cookie = call.headers.get("cookie", "")
    return Visit(
        shop=call.shop,
        trusted=call.private,
        asked=asked,
        own=own,
        tokens=tuple(sent) or read_cookies(cookie, call.shop.cookie.name),
        signals=(signals_of(call, body.consent) if signals is None else signals) + cookie_signals_of(call),
        surroundings=surroundings_of(call, body.client),
        refused_before=refused_before(call),
        event=event,
    )


def asked_visitor(visitor: str | UnsetType | None) -> tuple[Asked, VisitorId | None]:
    if visitor is UNSET:
        return Asked.NOTHING, None
    if visitor is None:
        return Asked.NULL, None
    if visitor in {"auto", "persistent"}:
        return Asked(visitor), None
    return Asked.OWN, own_visitor_id(str(visitor))


def surroundings_of(call: Call, client: Client | UnsetType | None) -> Surroundings:
    """A private key tells its visitor's surroundings; a device shows its own; of a server with a public key nothing is known."""
    if isinstance(client, Client):
        if not call.private:
            raise Forbidden("client: only a private key may describe a visitor.")
        address = client_address(client.ip, None, ())
        if client.ip is not None and address is None:
            raise Invalid("client.ip: is not an IP address")
        agent = client.user_agent
        return Surroundings(address, agent, client.region, client.gpc, client.dnt, is_robot(agent))
    if not call.device:
        return UNKNOWN_SURROUNDINGS
    browser = browser_signals(call.headers)
    agent = call.headers.get("user-agent")
    return Surroundings(call.address, agent, call.region, browser.gpc, browser.dnt, browser.prefetch or is_robot(agent))


def reader_of(call: Call) -> Reader:
    cookies = all_cookies(call.headers["cookie"]) if "cookie" in call.headers else {}
    return Reader(call.shop.signals, Millis(int(call.services.clock() * 1000)), cookies, live=call.device)


def signals_of(call: Call, consent: str | ConsentObject | UnsetType | None) -> tuple[Signal, ...]:
    if isinstance(consent, str):
        return reader_of(call).of_word(consent)
    if not isinstance(consent, ConsentObject):
        return ()
    decided_at = None if isinstance(consent.decided_at, UnsetType) else Millis(int(consent.decided_at.timestamp() * 1000))
    return reader_of(call).of_object(msgspec.to_builtins(consent), decided_at)


def cookie_signals_of(call: Call) -> tuple[Signal, ...]:
    return reader_of(call).of_cookies() if call.shop.signals.cookies else ()


async def keep_opt_out(call: Call, visitor: VisitorId | None) -> None:
    """A device's GPC opts its visitor out on whatever call it comes along with; look-ups tell it."""
    if visitor and call.device and browser_signals(call.headers).gpc:
        now = int(call.services.clock())
        await call.services.store.visitors.touch(call.shop.shop_id, visitor, now, True, OptOutsSeen(gpc=Millis(now * 1000)))


def count_lookup(call: Call, emails: int = 1) -> None:
    """Before anything about a person is told or erased. Raises RateLimited. A hundred emails of a batch count as one call."""
    if call.services.lookup_limit:
        call.services.lookup_limit.count(call.key, max(1, -(-emails // EMAILS_A_CALL)))


def refused_before(call: Call) -> bool:
    return REFUSED in read_cookies(call.headers.get("cookie", ""), REFUSAL_COOKIE)


def identity_reply(call: Call, identity: Identity, *, with_receipt: bool) -> Reply:
    answer = IdentityAnswer(
        identity.visitor,
        identity.mode.value,
        identity.token,
        rfc3339(identity.expires_at) if identity.expires_at else None,
        identity.linkable,
        identity.sale_share_opt_out,
        DecisionAnswer(identity.reason, identity.signal, identity.region, identity.policy),
    )
    if with_receipt:
        answer = ConsentAnswer(**asdict(answer), receipt=receipt_answer(identity.receipt) if identity.receipt else None)
    return Reply(answer, cookies=cookies_of(call, identity))


def cookies_of(call: Call, identity: Identity) -> Sequence[str]:
    rule, cookies = call.shop.cookie, []
    if identity.cookie is CookieAct.SET and identity.token and identity.expires_at:
        cookies.append(set_visitor(rule, identity.token, identity.expires_at - int(call.services.clock())))
    if identity.cookie is CookieAct.CLEAR:
        cookies.append(clear_visitor(rule))
    if identity.refusal_cookie is CookieAct.SET:
        cookies.append(set_refusal(call.services.refusal_days))
    if identity.refusal_cookie is CookieAct.CLEAR:
        cookies.append(clear_refusal())
    return cookies


def with_refusal_kept(call: Call, error: ServiceError, *, refused: bool, switched_off: bool) -> ServiceError:
    """A withdrawal that the store could not take still empties the device, and a refusal is remembered there."""
    if refused or switched_off:
        kept = [set_refusal(call.services.refusal_days)] if refused else []
        error.cookies = (clear_visitor(call.shop.cookie), *kept)
    return error


def receipt_answer(receipt: Receipt) -> ReceiptAnswer:
    return ReceiptAnswer(**{**asdict(receipt), "time": rfc3339(receipt.time)})


@lru_cache(maxsize=1024)
def rfc3339(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
