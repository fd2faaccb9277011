"""Links, look-ups, and the rights of a person: export and erasure."""

import asyncio
import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from identity_service.errors import Forbidden, Invalid, NotFound
from identity_service.model.audit import Act
from identity_service.model.consent import Choice
from identity_service.model.handle import Handle
from identity_service.model.link import LinkSource, Proof
from identity_service.model.person import Person
from identity_service.model.token import Token
from identity_service.model.utc import rfc3339
from identity_service.model.visitor import VisitorId, own_visitor_id
from identity_service.service.holdings import HeldVisitors
from identity_service.service.links import MOST_IN_BATCH, LinkedVisitor
from identity_service.service.rights import Erasure
from identity_service.web.agents import refuse_agent
from identity_service.web.call import Call, Reply
from identity_service.web.calls.orders import EventEntry, ExportedOrder
from identity_service.web.cookies import read_cookies
from identity_service.web.lists import MOST_REMOVALS, TAKE_NEXT, number, page_query
from identity_service.web.payloads import MODE_TEXTS, Body, ModeText, ReceiptAnswer, Time, VisitorText, about, listed
from identity_service.web.visit import (
    count_lookup,
    customer_to_link,
    email_handle,
    email_to_link,
    keep_opt_out,
    signed_receipt,
)

Email = Annotated[str, Meta(max_length=1016)]
Customer = Annotated[str, Meta(min_length=1, max_length=255)] | int | float
Sha256 = Annotated[str, Meta(pattern="^[0-9a-fA-F]{64}$")]
ProofText = Literal["key", "token", "none"]
SourceText = Literal["sale", "email", "link"]
PROOF_TEXTS: Mapping[Proof, ProofText] = {Proof.KEY: "key", Proof.TOKEN: "token", Proof.NONE: "none"}
SOURCE_TEXTS: Mapping[LinkSource, SourceText] = {LinkSource.SALE: "sale", LinkSource.EMAIL: "email", LinkSource.LINK: "link"}
EMAIL = about(
    "An email. Invisible characters are removed, it is trimmed, lower-cased and IDNA-encoded before it is digested, and never kept.",
    examples=["luke@skywalker.com"],
)
EMAIL_SHA256 = about("SHA-256 of the normalised email, in hexadecimal.")
CUSTOMER = about("The shop's ID of a customer: a text, or a whole number. It is digested, and never kept.")
VISITOR = about("A visitor's ID.")
TOKEN = about("A visitor's token.")
PROOF = about("Evidence that the visitor is the person's. `key`: the shop asserts it. `token`: the visitor's token. `none`: no evidence.")
VERIFIED = about("Whether a private key made the link.")
EXACT_FLOAT = 2**53
CURSOR = re.compile("([0-9]{1,15})-([0-9a-f]{8})")
FROM_THE_OLDEST = "0-00000000"
OF_REMOVALS = page_query(MOST_REMOVALS)
TIMES = frozenset({"time", "decided_at", "first_seen", "last_seen", "expires_at", "granted_at", "clicked_at", "sale_opt_in_at"})
"""Members of an export that the service holds as seconds since 1970."""


class LinkBody(Body, frozen=True):
    """Exactly one of `email` and `customer`. The visitor is that of `token`; or, with a private key, `visitor`; else that of the cookie."""

    exactly_one: ClassVar[tuple[str, ...]] = ("email", "customer")

    email: Annotated[Email | UnsetType | None, EMAIL] = UNSET
    customer: Annotated[Customer | UnsetType | None, CUSTOMER] = UNSET
    token: Annotated[VisitorText | UnsetType | None, TOKEN] = UNSET
    visitor: Annotated[VisitorText | UnsetType | None, about("A visitor's ID. Only a private key may name one without its token.")] = UNSET
    markup: Annotated[bool, about("Whether the value was in a page's markup, so that the link proves nothing.")] = False


class LinkAnswer(Struct, frozen=True):
    """The link was made, or already existed."""

    linked: Annotated[bool, about("Always true: a link that is not possible is an error.")]
    visitor: Annotated[str, about("ID of the visitor that is linked.")]
    verified: Annotated[bool, VERIFIED]
    proof: Annotated[ProofText, PROOF]


class UnlinkAnswer(Struct, frozen=True):
    """The link is gone."""

    unlinked: Annotated[bool, about("Whether there was a link.")]
    visitor: Annotated[str, about("ID of the visitor.")]


class LookupBody(Body, frozen=True):
    """Exactly one of the members beside `key`."""

    exactly_one: ClassVar[tuple[str, ...]] = ("email", "email_sha256", "customer", "visitor", "emails")

    email: Annotated[Email | UnsetType, EMAIL] = UNSET
    email_sha256: Annotated[Sha256 | UnsetType, EMAIL_SHA256] = UNSET
    customer: Annotated[Customer | UnsetType, CUSTOMER] = UNSET
    visitor: Annotated[VisitorText | UnsetType, VISITOR] = UNSET
    emails: Annotated[Annotated[list[str], Meta(max_length=5000)] | UnsetType, about("Up to 5,000 emails, answered in order.")] = UNSET


class LookedUpVisitor(Struct, frozen=True, omit_defaults=True):
    """A visitor and the link by which it was found."""

    visitor: Annotated[str, about("The visitor's ID.")]
    mode: Annotated[
        ModeText,
        about("The ID's mode: `null` if its grant does not count any more: ended, for an earlier text, or the shop's and no longer taken."),
    ]
    first_seen: Annotated[Time, about("When the link was first made, in RFC 3339.")]
    last_seen: Annotated[Time, about("When the link was last made, in RFC 3339.")]
    source: Annotated[SourceText, about("The call that made the link: a sale, `log/email`, or `/v1/links`.")]
    verified: Annotated[bool, VERIFIED]
    proof: Annotated[ProofText, PROOF]
    shared: Annotated[bool, about("Whether several emails are linked to the visitor with proof, as on a family's device.")]
    sale_share_opt_out: Annotated[
        bool, about("Whether the person opted out of sale and sharing, with this visitor or with another that the same link proves.")
    ]
    consent_ends_at: Annotated[Time | UnsetType, about("When the consent to a persistent ID ends or ended, in RFC 3339.")] = UNSET
    emails: Annotated[
        list[str] | UnsetType, about("Digests of the visitor's emails, in a look-up by `visitor`: at most 20 (`emails_per_visitor`).")
    ] = UNSET


class BatchResult(Struct, frozen=True, omit_defaults=True):
    """The result of one email: `visitors` and `more`, or `error`."""

    visitors: Annotated[list[LookedUpVisitor] | UnsetType, about("Newest first, at most 20.", maxItems=20)] = UNSET
    more: Annotated[bool | UnsetType, about("Whether there are more. Look this email up alone to get them.")] = UNSET
    error: Annotated[Literal["invalid"] | UnsetType, about("The text is not an email.")] = UNSET


class LookupAnswer(Struct, frozen=True, omit_defaults=True):
    """`visitors` for a single look-up, `results` for `emails`. Empty if nothing is known."""

    visitors: Annotated[list[LookedUpVisitor] | UnsetType, about("Newest first, at most 1,000 (`visitors_per_handle`).")] = UNSET
    results: Annotated[list[BatchResult] | UnsetType, about("One for each of `emails`, in their order.", maxItems=5000)] = UNSET


class RightsBody(Body, frozen=True):
    """Exactly one of `email`, `customer`, `visitor` and `token`."""

    exactly_one: ClassVar[tuple[str, ...]] = ("email", "customer", "visitor", "token")

    email: Annotated[Email | UnsetType, EMAIL] = UNSET
    customer: Annotated[Customer | UnsetType, CUSTOMER] = UNSET
    visitor: Annotated[VisitorText | UnsetType, VISITOR] = UNSET
    token: Annotated[VisitorText | UnsetType, TOKEN] = UNSET
    unproven: Annotated[bool, about("An officer decides for this request that visitors linked without proof are the person's.")] = False


class ErasureBody(RightsBody, frozen=True):
    """Exactly one of `email`, `customer`, `visitor` and `token`."""

    dry_run: Annotated[bool, about("Answer what would be erased, and change nothing.")] = False


class RemovedVisitor(Struct, frozen=True):
    """A visitor that was withdrawn or erased."""

    digest: Annotated[str, about("The first 32 hex characters of HMAC-SHA-256 of the visitor's ID under the shop's `removals_key`.")]
    time: Annotated[Time, about("When it was removed, in RFC 3339.")]


class RemovalsAnswer(Struct, frozen=True):
    """Removed visitors, oldest first. A visitor may be listed again."""

    removals: Annotated[list[RemovedVisitor], about("Removals after `cursor`.", maxItems=MOST_REMOVALS)]
    next: Annotated[str, about("The `cursor` for the next call. Keep it, also when there was nothing new.")]
    more: Annotated[bool, about("Whether there are more removals now.")]


class ExportedLink(Struct, frozen=True):
    """How a visitor is linked to the email or customer ID that was named."""

    first_seen: Annotated[Time, about("When the link was first made, in RFC 3339.")]
    last_seen: Annotated[Time, about("When the link was last made, in RFC 3339.")]
    source: Annotated[SourceText, about("The call that made the link: a sale, `log/email`, or `/v1/links`.")]
    verified: Annotated[bool, VERIFIED]
    proof: Annotated[ProofText, PROOF]


class ExportedConsent(Struct, frozen=True):
    """The grant that is in force."""

    granted_at: Annotated[Time, about("When the visitor granted, in RFC 3339.")]
    source: Annotated[str, about("Who reported the choice: `plain`, `shop`, or a banner's name.")]
    linking: Annotated[Choice | None, about("The choice about links. Null where none was made.")]
    policy_version: Annotated[str | None, about("Version of the notice that the visitor saw, if it was sent.")]
    raw_digest: Annotated[str | None, about("The first characters of the signal's SHA-256.")]
    repeated: Annotated[bool, about("Whether its sender repeated it without a time. `granted_at` is then when it arrived.")]


class ExportedVisitor(Struct, frozen=True):
    """Everything stored about one visitor. For a `shared` one, which is also another person's, only `link` is shown."""

    visitor: Annotated[str, about("The visitor's ID.")]
    shared: Annotated[bool, about("Whether it is another person's, too.")]
    emails: Annotated[list[str] | UnsetType, about("Digests of its emails, at most 20 (`emails_per_visitor`).")] = UNSET
    customers: Annotated[list[str] | UnsetType, about("Digests of its customer IDs, at most 20 (`emails_per_visitor`).")] = UNSET
    receipts: Annotated[list[ReceiptAnswer] | UnsetType, about("Its receipts, newest first.", maxItems=100)] = UNSET
    events: Annotated[list[EventEntry] | UnsetType, about("Newest first, at most 200 (`events_per_visitor`).")] = UNSET
    mode: Annotated[ModeText | UnsetType, about("The ID's mode, as a look-up has it.")] = UNSET
    first_seen: Annotated[Time | UnsetType, about("When it was first seen, in RFC 3339.")] = UNSET
    last_seen: Annotated[Time | UnsetType, about("When it was last seen, in RFC 3339.")] = UNSET
    expires_at: Annotated[Time | UnsetType, about("When the ID ends, in RFC 3339.")] = UNSET
    consent: Annotated[ExportedConsent | UnsetType | None, about("The stored grant, or null once it has ended.")] = UNSET
    sale_share_opt_out: Annotated[bool | UnsetType, about("Whether it has opted out of sale and sharing.")] = UNSET
    sale_opt_in_at: Annotated[Time | UnsetType, about("When it last opted in to sale and sharing, in RFC 3339.")] = UNSET
    link: Annotated[ExportedLink | UnsetType, about("How it is linked to the email or customer ID of the request.")] = UNSET


class ExportAnswer(Struct, frozen=True):
    """Everything stored about the person. Three empty lists if nothing is known."""

    visitors: Annotated[list[dict[str, Any]], listed(ExportedVisitor, "The person's visitors, at most 1,000 (`visitors_per_handle`).")]
    unproven: Annotated[
        list[dict[str, Any]],
        listed(ExportedLink, "Links of visitors that are not shown, for lack of proof; at most 1,000 (`visitors_per_handle`)."),
    ]
    orders: Annotated[list[dict[str, Any]], listed(ExportedOrder, "The person's orders, at most 1,000 of an email and of each visitor.")]


class ErasedCounts(Struct, frozen=True):
    """How much was erased, or would be."""

    visitors: Annotated[int, about("Visitors.", minimum=0)]
    links: Annotated[int, about("Links to emails and customer IDs.", minimum=0)]
    events: Annotated[int, about("Events of those visitors.", minimum=0)]


class KeptCounts(Struct, frozen=True):
    """How many visitors were kept."""

    unproven: Annotated[int, about("Visitors whose link proved nothing.", minimum=0)]
    shared: Annotated[int, about("Visitors that are linked to another email or customer ID with proof.", minimum=0)]


class ErasureAnswer(Struct, frozen=True):
    """What was erased and what was kept; in a dry run, what would be."""

    erased: Annotated[ErasedCounts, about("What was erased.")]
    kept: Annotated[KeptCounts, about("What was kept, and why.")]
    dry_run: Annotated[bool, about("Whether nothing was changed.")]
    reference: Annotated[str, about("The request's ID, which is also in the service's log.")]


async def link(call: Call) -> Reply:
    if not call.private:
        refuse_agent(call)
    handle = _handle_to_link(call)
    who = _visitor_to_link(call)
    proof = Proof.NONE if call.body.markup else Proof.KEY if call.private else Proof.TOKEN
    visitor = await call.services.links.link(call.shop, handle, who, proof, LinkSource.LINK)
    await keep_opt_out(call, visitor)
    return Reply(LinkAnswer(True, visitor, proof is Proof.KEY, PROOF_TEXTS[proof]))


async def unlink(call: Call) -> Reply:
    handle = handle_of(call)
    who = _visitor_to_link(call)
    visitor = await call.services.tokens.visitor_of(call.shop, who.text) if isinstance(who, Token) else who
    return Reply(UnlinkAnswer(await call.services.links.unlink(call.shop, handle, visitor), visitor))


async def look_up(call: Call) -> Reply:
    body = call.body
    one_of(body, LookupBody.exactly_one)
    count_lookup(call, 1 if isinstance(body.emails, UnsetType) else len(body.emails))
    if not isinstance(body.emails, UnsetType):
        return Reply(LookupAnswer(results=await _batch(call, body.emails)))
    person: Person
    if not isinstance(body.visitor, UnsetType):
        person = own_visitor_id(body.visitor)
        found = await call.services.links.of_visitor(call.shop, person)
        await call.services.audit.look(call.shop, call.actor, Act.LOOKUP, [(person, len(found))])
        return Reply(LookupAnswer(visitors=[_looked_up(linked) for linked in found]))
    return Reply(LookupAnswer(visitors=await visitors_of(call, handle_of(call))))


async def visitors_of(call: Call, handle: Handle) -> list[LookedUpVisitor]:
    """Newest first. Entered in the audit. The caller counts the look-up."""
    found = await call.services.links.of_handle(call.shop, handle)
    await call.services.audit.look(call.shop, call.actor, Act.LOOKUP, [(handle, len(found))])
    return [_looked_up(linked) for linked in found]


def handle_of(call: Call) -> Handle:
    """The one handle that the body names. Raises Invalid for none, two, or a junk value."""
    body, handles, shop = call.body, call.services.handles, call.shop.shop_id
    name = one_of(body, ("email", "email_sha256", "customer"))
    value = getattr(body, name)
    if name == "email":
        return email_handle(call, value)
    return handles.of_customer(shop, _customer_text(value)) if name == "customer" else handles.of_email_sha256(shop, value)


def _handle_to_link(call: Call) -> Handle:
    """As `handle_of`. Raises Invalid also for a value that stands for many people."""
    if one_of(call.body, ("email", "customer")) == "email":
        return email_to_link(call, call.body.email)
    return customer_to_link(call, _customer_text(call.body.customer))


def _customer_text(value: str | int | float) -> str:
    """12.0 becomes 12. Raises Invalid for a number that is not whole, or too large to be exact."""
    if isinstance(value, float) and not (value.is_integer() and abs(value) < EXACT_FLOAT):
        raise Invalid("customer: must be a string or a whole number")
    return value if isinstance(value, str) else str(int(value))


def one_of(body: Any, names: tuple[str, ...]) -> str:
    """Raises Invalid unless exactly one of the members is there and not null."""
    present = [name for name in names if getattr(body, name, UNSET) not in (UNSET, None)]
    if len(present) != 1:
        raise Invalid(f"Send exactly one of the members {', '.join(name for name in names if hasattr(body, name))}.")
    return present[0]


def _visitor_to_link(call: Call) -> Token | VisitorId:
    """A token from the body or the cookie, or an ID with a private key. Raises Forbidden and Invalid."""
    body = call.body
    if isinstance(body.token, str):
        return call.services.tokens.one(call.shop, body.token)
    if isinstance(body.visitor, str):
        if not call.private:
            raise Forbidden("visitor: only a private key may send an ID; with a public key, send the visitor's token.")
        return own_visitor_id(body.visitor)
    for text in read_cookies(call.headers.get("cookie", ""), call.shop.cookie.name):
        return call.services.tokens.one(call.shop, text)
    raise Invalid("token: send the visitor's token; with a private key, a visitor ID works too")


async def _batch(call: Call, emails: list[str]) -> list[BatchResult]:
    handles: list[Handle | None] = []
    for email in emails:
        try:
            handles.append(call.services.handles.of_email(call.shop.shop_id, email))
        except Invalid:
            handles.append(None)
        if not email.isascii():  # normalising one takes as long as a call
            await asyncio.sleep(0)
    asked = [handle for handle in handles if handle]
    found = await call.services.links.of_handles(call.shop, asked, MOST_IN_BATCH)
    counted = [(one, len(linked)) for one, linked in zip(asked, found, strict=True)]
    await call.services.audit.look(call.shop, call.actor, Act.LOOKUP, counted)
    results = iter(found)
    return [_batch_result(next(results)) if handle else BatchResult(error="invalid") for handle in handles]


def _batch_result(linked: list[LinkedVisitor]) -> BatchResult:
    return BatchResult(visitors=[_looked_up(one) for one in linked[:MOST_IN_BATCH]], more=len(linked) > MOST_IN_BATCH)


def _looked_up(linked: LinkedVisitor) -> LookedUpVisitor:
    link = linked.link
    return LookedUpVisitor(
        visitor=link.visitor,
        mode=MODE_TEXTS[linked.mode],
        first_seen=rfc3339(link.first_seen),
        last_seen=rfc3339(link.last_seen),
        source=SOURCE_TEXTS[link.source],
        verified=link.verified,
        proof=PROOF_TEXTS[link.proof],
        shared=linked.shared,
        sale_share_opt_out=linked.sale_share_opt_out,
        consent_ends_at=UNSET if linked.consent_ends_at is None else rfc3339(linked.consent_ends_at),
        emails=UNSET if linked.emails is None else list(linked.emails),
    )


async def removals(call: Call) -> Reply:
    """Raises NotFound for a shop without a list, and Invalid for a wrong cursor."""
    if not call.shop.settings.removals_key:
        raise NotFound("This shop lists no removals; set its `removals_key`.")
    cursor, most = call.query.get("cursor", FROM_THE_OLDEST), number(call.query, "limit", MOST_REMOVALS, MOST_REMOVALS)
    last = CURSOR.fullmatch(cursor)
    if not last:
        raise Invalid(TAKE_NEXT)
    found = await call.services.store.removals.after(call.shop.shop_id, int(last[1]), last[2], most + 1)
    call.services.audit.count_lookups(call.shop.shop_id, call.actor.name)  # an entry each would fill the day's list
    shown = found[:most]
    following = f"{shown[-1].number}-{shown[-1].digest[:8]}" if shown else cursor
    return Reply(RemovalsAnswer([RemovedVisitor(one.digest, rfc3339(one.time)) for one in shown], following, len(found) > most))


async def export(call: Call) -> Reply:
    one_of(call.body, RightsBody.exactly_one)
    count_lookup(call)
    return Reply(await export_person(call, await _person_of(call), unproven=call.body.unproven))


async def export_person(call: Call, person: Person, *, unproven: bool = False) -> ExportAnswer:
    """Everything that is held of the person. Entered in the audit. The caller counts the look-up."""
    rights = call.services.rights
    if isinstance(person, Handle):
        held = await rights.export_handle(call.shop, person, unproven=unproven)
    else:
        held = await rights.export_visitor(call.shop, person)
    await call.services.audit.record(call.shop, call.actor, Act.EXPORT, person, len(held["visitors"]))
    for one in held["visitors"]:
        if "receipts" in one:
            one["receipts"] = [signed_receipt(call, members) for members in one["receipts"]]
            await asyncio.sleep(0)  # a hundred signatures take as long as several calls
    return ExportAnswer(**with_times(held))


def with_times(held: Any) -> Any:
    """A copy with its times in RFC 3339."""
    if isinstance(held, list):
        return [with_times(one) for one in held]
    if not isinstance(held, dict):
        return held
    return {name: rfc3339(one) if name in TIMES and isinstance(one, int) else with_times(one) for name, one in held.items()}


async def erase(call: Call) -> Reply:
    one_of(call.body, RightsBody.exactly_one)
    count_lookup(call)
    person, unproven = await _person_of(call), call.body.unproven
    if not call.body.dry_run:
        return Reply(_erasure_answer(call, await erase_person(call, person, unproven=unproven)))
    held = await call.services.admin.holdings.of_person(call.shop, person)
    previews = await preview_erasure(call, person, held, unproven=unproven)
    return Reply(_erasure_answer(call, previews[unproven], dry_run=True))


async def erase_person(call: Call, person: Person, *, unproven: bool = False) -> Erasure:
    """Entered in the audit. The caller counts the look-up."""
    rights = call.services.rights
    entry = call.services.audit.entry(call.shop, call.actor, Act.ERASURE, person)
    if isinstance(person, Handle):
        return await rights.erase_handle(call.shop, person, entry, unproven=unproven)
    return await rights.erase_visitor(call.shop, person, entry)


async def preview_erasure(call: Call, person: Person, held: HeldVisitors, *, unproven: bool = False) -> dict[bool, Erasure]:
    """What an erasure would do, by its `unproven`. Entered in the audit once, with the number of visitors for the one that was asked for.
    The caller counts the look-up."""
    found = await call.services.admin.holdings.erasures(call.shop, person, held)
    await call.services.audit.record(call.shop, call.actor, Act.ERASURE_PREVIEW, person, found[unproven].erased.visitors)
    return found


def _erasure_answer(call: Call, found: Erasure, *, dry_run: bool = False) -> ErasureAnswer:
    counts = ErasedCounts(found.erased.visitors, found.erased.links, found.erased.events)
    return ErasureAnswer(counts, KeptCounts(found.unproven, found.shared), dry_run, call.request_id)


async def _person_of(call: Call) -> Person:
    if not isinstance(call.body.token, UnsetType):
        return await call.services.tokens.visitor_of(call.shop, call.body.token)
    return handle_of(call) if isinstance(call.body.visitor, UnsetType) else own_visitor_id(call.body.visitor)
