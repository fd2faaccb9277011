"""From a call to a visit, and from an identity to an answer. All calls about a visitor share this."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import asdict, replace

from identity_service.errors import Forbidden, Invalid, ServiceError
from identity_service.model.consent import (
    OF_THIRD_EDITION,
    BannerContext,
    Choice,
    EarlierRefusal,
    Millis,
    OptOut,
    OptOutsSeen,
    Receipt,
    ReceiptEvent,
    Signal,
    choice_said,
    millis_of,
)
from identity_service.model.handle import Handle
from identity_service.model.policy import Asked
from identity_service.model.receipt_key import canonical_json
from identity_service.model.regions import REGION
from identity_service.model.shop import Shop
from identity_service.model.utc import moment_of, rfc3339
from identity_service.model.visitor import VisitorId, own_visitor_id
from identity_service.server.addresses import client_address, is_local
from identity_service.service.receipts import Receipts
from identity_service.service.visit import CookieAct, Identity, Surroundings, Visit, refused_at
from identity_service.signals.agents import agent_of
from identity_service.signals.browser import browser_signals, is_robot
from identity_service.signals.reader import Delivery, Reader
from identity_service.web.agents import agent_calling, agent_told
from identity_service.web.call import Call, Reply
from identity_service.web.cookies import (
    all_cookies,
    clear_refusals,
    clear_visitor,
    earlier_refusal,
    read_cookies,
    set_refusal,
    set_visitor,
)
from identity_service.web.payloads import (
    MODE_TEXTS,
    YES,
    BannerMembers,
    Client,
    ConsentAnswer,
    ConsentObject,
    DecisionAnswer,
    IdentityAnswer,
    ProofAnswer,
    ReceiptAnswer,
)

EMAILS_A_CALL = 100
CALLS_OF_A_COSTLY_EMAIL = 10
UNKNOWN_SURROUNDINGS = Surroundings()


def visit_of(call: Call, *, event: bool = False, signals: tuple[Signal, ...] | None = None) -> Visit:
    """`event`: the call reports a choice. `signals`: given if they are not in the member `consent`. Raises Forbidden for members that
    need a private key, and Invalid for a malformed own ID. If the call carries a refusal, such members are ignored instead. A refusal
    names the cookie's visitor beside the token's, whose page may have slept while another one got it: its cookie goes."""
    body = call.body
    signals = signals_of(call, body.consent, posted=event) if signals is None else signals
    refused = any(signal.refuses for signal in signals)
    asked, own = asked_visitor(body.visitor, lenient=refused)
    sent = [body.token] if isinstance(body.token, str) and body.token else []
    held = read_cookies(call.headers["cookie"], call.shop.cookie.name) if "cookie" in call.headers else ()
    return Visit(
        shop=call.shop,
        trusted=call.private,
        asked=asked,
        own=own,
        tokens=(*sent, *held) if refused or not sent else tuple(sent),
        signals=signals + cookie_signals_of(call),
        surroundings=surroundings_of(call, body.client, lenient=refused),
        refusal=refusal_of(call),
        event=event,
        private=call.private,
    )


def asked_visitor(visitor: str | UnsetType | None, *, lenient: bool = False) -> tuple[Asked, VisitorId | None]:
    """`lenient`: ignore a malformed own ID."""
    if visitor is UNSET:
        return Asked.NOTHING, None
    if visitor is None:
        return Asked.NULL, None
    if visitor in {"auto", "persistent"}:
        return Asked(visitor), None
    try:
        return Asked.OWN, own_visitor_id(str(visitor))
    except Invalid:
        if lenient:
            return Asked.NOTHING, None
        raise


def surroundings_of(call: Call, client: Client | UnsetType | None, *, lenient: bool = False) -> Surroundings:
    """A server with a private key describes its visitor's surroundings. A device has its own. A server with a public key has none.
    `lenient`: ignore a description with a public key. Raises Forbidden for one otherwise."""
    if isinstance(client, Client) and not (lenient and not call.private):
        if not call.private:
            raise Forbidden("client: only a private key may send this member; leave it out.")
        return _described_surroundings(call, client)
    if not call.device:
        return UNKNOWN_SURROUNDINGS
    browser, user_agent = browser_signals(call.headers), call.headers.get("user-agent")
    agent, robot = agent_calling(call), is_robot(user_agent)
    address = _own_address(call, call.address, user_agent)
    automated = browser.prefetch or robot or agent is not None
    return Surroundings(address, user_agent, call.region, browser.gpc, browser.dnt, automated, agent)


def _described_surroundings(call: Call, client: Client) -> Surroundings:
    """Servers pass on what they received, so unreadable values are unknown. In a list of addresses the first is the visitor's. The
    address of one of the operator's proxies counts as unknown: such a server does not know its visitors' addresses, and they would all
    share one ID."""
    told = client.ip.partition(",")[0].strip() if isinstance(client.ip, str) else None
    user_agent = client.user_agent if isinstance(client.user_agent, str) and client.user_agent else None
    address = _own_address(call, client_address(told, None, call.services.proxies), user_agent)
    region = client.region.upper() if isinstance(client.region, str) else ""
    agent = agent_told(call, client.agent, user_agent) if client.agent else agent_of(user_agent)
    found = region if REGION.fullmatch(region) else None
    automated = agent is not None or is_robot(user_agent)
    return Surroundings(address, user_agent, found, client.gpc in YES, client.dnt in YES, automated, agent)


def tracking_surroundings(call: Call) -> Surroundings:
    """Of a tracking call with a private key. A shop's server says there only which agent acted, in calls that log."""
    told = getattr(call.body, "agent", None)
    if not told:
        return UNKNOWN_SURROUNDINGS
    agent = agent_told(call, told, None)
    return Surroundings(automated=agent is not None, agent=agent)


def _own_address(call: Call, address: str | None, user_agent: str | None) -> str | None:
    """None for an address that no visitor can have. Counts addresses, so that health reports if many have such a one, or all have the
    same."""
    if address is None or call.shop.development:
        return address
    local = is_local(address)
    call.services.addresses.count(call.shop.shop_id, address, user_agent, local=local)
    return None if local else address


def reader_of(call: Call, *, posted: bool = False) -> Reader:
    """`posted`: to `/v1/consents`, as an event; else it is state."""
    cookies = all_cookies(call.headers["cookie"]) if "cookie" in call.headers else {}
    delivery = Delivery(posted, call.device)
    if posted:
        said, age, clock = (None if told is UNSET else told for told in (call.body.said, call.body.age_ms, call.body.clock_ms))
        delivery = Delivery(posted, call.device, said, None if age is None else int(age), None if clock is None else int(clock))
    return Reader(call.shop.signals, call.now, cookies, delivery)


def signals_of(call: Call, consent: str | ConsentObject | UnsetType | None, *, posted: bool = False) -> tuple[Signal, ...]:
    reader = reader_of(call, posted=posted)
    if isinstance(consent, str):
        return reader.of_word(consent)
    if not isinstance(consent, ConsentObject):
        return ()
    decided_at = None if isinstance(consent.decided_at, UnsetType) else millis_of(consent.decided_at.timestamp())
    return reader.of_object(msgspec.to_builtins(consent), decided_at)


def cookie_signals_of(call: Call) -> tuple[Signal, ...]:
    return reader_of(call).of_cookies() if call.shop.signals.cookies else ()


async def keep_opt_out(call: Call, visitor: VisitorId | None) -> None:
    """Stores the opt-out of a device that sends GPC, on any call, unless the visitor has opted in to sale. Look-ups show it. Not for a bare
    ID, which may be anybody's."""
    if visitor and call.device and browser_signals(call.headers).gpc:
        now = call.now // 1000
        await call.services.store.visitors.touch(call.shop.shop_id, visitor, now, OptOut.STATE, OptOutsSeen(gpc=Millis(now * 1000)))


def email_handle(call: Call, email: str) -> Handle:
    """Raises Invalid, and RateLimited for a client's many non-ASCII emails. Each takes as long as several calls."""
    costly = not email.isascii() or "xn--" in email.lower()
    if costly and not call.private:
        call.services.rates.client.count(call.counted_as, CALLS_OF_A_COSTLY_EMAIL)
    return call.services.handles.of_email(call.shop.shop_id, email)


def customer_handle(call: Call, customer: str) -> Handle:
    """Raises Invalid."""
    return call.services.handles.of_customer(call.shop.shop_id, customer)


def email_to_link(call: Call, email: str) -> Handle:
    """Like `email_handle`. Also raises Invalid for an email that many people share."""
    handle = email_handle(call, email)
    call.shop.never_linked.check_email(email)
    return handle


def customer_to_link(call: Call, customer: str) -> Handle:
    """Like `customer_handle`. Also raises Invalid for an ID that many people share."""
    call.shop.never_linked.check_customer(customer)
    return customer_handle(call, customer)


def count_lookup(call: Call, emails: int = 1) -> None:
    """Counts a look-up before anything about a person is shown or erased. A hundred emails of a batch count as one. Raises RateLimited."""
    call.services.rates.lookup.count(call.key, max(1, -(-emails // EMAILS_A_CALL)))


def refusal_of(call: Call) -> EarlierRefusal | None:
    """The refusal in the cookie."""
    if "cookie" not in call.headers:
        return None
    return earlier_refusal(call.shop.cookie, call.headers["cookie"], call.now, call.services.retention.refusal_days)


def identity_reply(call: Call, identity: Identity, *, with_receipt: bool) -> Reply:
    answer = IdentityAnswer(
        identity.visitor,
        MODE_TEXTS[identity.mode],
        identity.token,
        rfc3339(identity.expires_at) if identity.expires_at else None,
        identity.linkable,
        identity.sale_share_opt_out,
        DecisionAnswer(identity.reason, identity.signal, identity.region, identity.policy),
        True if identity.counted else UNSET,
    )
    if with_receipt:
        answer = ConsentAnswer(**asdict(answer), receipt=receipt_answer(identity.receipt.members()) if identity.receipt else None)
    return Reply(answer, cookies=cookies_of(call, identity))


def cookies_of(call: Call, identity: Identity) -> Sequence[str]:
    rule, cookies = call.shop.cookie, []
    if identity.cookie is CookieAct.SET and identity.token and identity.expires_at:
        cookies.append(set_visitor(rule, identity.token, identity.expires_at - call.now // 1000))
    if identity.cookie is CookieAct.CLEAR:
        cookies.append(clear_visitor(rule))
    if identity.refusal_cookie is CookieAct.SET:
        cookies.append(set_refusal(rule, identity.refused_at))
    if identity.refusal_cookie is CookieAct.CLEAR:
        cookies += clear_refusals(rule, call.headers.get("cookie", ""))
    return cookies


def with_refusal_kept(call: Call, error: ServiceError, visit: Visit) -> ServiceError:
    """The error, with a refusal that was not taken remembered on the device. Its visitor cookie stays: the refusal outranks it, and the
    first call with both that can be taken withdraws what it names."""
    newest = choice_said(visit.signals)
    if newest and newest.choice is Choice.REFUSED:
        error.cookies = (set_refusal(call.shop.cookie, refused_at(newest, visit, (), call.now)),)
    return error


def receipt_answer(members: Mapping[str, Any]) -> ReceiptAnswer:
    """`members`: of a receipt, as `Receipt.members` gives them."""
    times = {name: rfc3339(members[name]) for name in ("time", "decided_at", "ends_at") if members[name] is not None}
    banner = members["banner"]
    return ReceiptAnswer(**{**members, **times, "banner": BannerMembers(**asdict(banner)) if banner else None})


def signed_receipt(call: Call, members: Mapping[str, Any]) -> ReceiptAnswer:
    """The answer with a proof that anybody can verify, if the service has a key for it."""
    now = call.now // 1000
    answer = replace(receipt_answer(members), signed_at=rfc3339(now))
    proof = call.services.receipt_keys.sign(canonical_json(answer), now)
    return replace(answer, proof=ProofAnswer(**asdict(proof))) if proof else replace(answer, signed_at=UNSET)


def _receipt_from(members: Mapping[str, Any]) -> Receipt | None:
    """From what `receipt_answer` gave, now or in an earlier edition; None for what it cannot have given. `proof` is left out, and only a
    receipt with one has the time of it."""
    if "signed_at" in members and "proof" not in members:
        return None
    own = {name: value for name, value in members.items() if name not in {"signed_at", "proof"}}
    earlier = {"decided_at": own.get("time"), "basis": "person"} | ({} if "shop" in own else dict.fromkeys(OF_THIRD_EDITION))
    try:
        told = msgspec.convert(earlier | own, ReceiptAnswer)
        fields = asdict(told)
        fields |= {name: int(moment_of(fields[name]).timestamp()) for name in ("time", "decided_at", "ends_at") if fields[name] is not None}
        del fields["basis"], fields["signed_at"], fields["proof"]
        fields["event"] = ReceiptEvent(told.event) if told.event else None
        fields["banner"] = BannerContext(**asdict(told.banner)) if told.banner else None
    except (msgspec.ValidationError, ValueError):
        return None
    receipt = Receipt(**fields)
    answered = msgspec.to_builtins(told)
    return receipt if receipt.basis == told.basis and all(answered.get(name, UNSET) == one for name, one in own.items()) else None


def is_ours(receipts: Receipts, shops: Iterable[Shop], members: Mapping[str, Any]) -> bool:
    """Whether the service signed exactly this receipt, as it was answered, for one of the shops."""
    receipt = _receipt_from(members)
    return receipt is not None and any(receipts.is_valid(shop, receipt) for shop in shops)
