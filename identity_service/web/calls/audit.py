"""The audit: who looked at a person, what people did, and how often services looked people up."""

import re
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from msgspec import UNSET, Struct, UnsetType

from identity_service.errors import Invalid
from identity_service.model.audit import Act, AuditEntry
from identity_service.model.consent import Millis
from identity_service.model.person import Person
from identity_service.model.utc import DAY, day_number, rfc3339
from identity_service.model.visitor import own_visitor_id
from identity_service.store.audit import MOST_ACCESSES, AuditPlace
from identity_service.web.call import Call, Reply
from identity_service.web.calls.links import CUSTOMER, EMAIL, EMAIL_SHA256, VISITOR, Customer, Email, Sha256, handle_of, one_of
from identity_service.web.lists import MOST_AUDIT, TAKE_NEXT, QueryParameters, number, page_query
from identity_service.web.payloads import NEXT, Body, Time, VisitorText, about
from identity_service.web.visit import count_lookup

MOST_READ = 5_000
"""Entries that one call reads, so that a filter which matches few of them does not read the whole audit."""
MOST_LOOKUP_DAYS = 31
FROM_THE_NEWEST = 10**9
"""A position above that of any entry."""
PLACE = re.compile("([0-9]{1,6})-([0-9]{1,9})")
ActText = Literal[
    "lookup", "visitor", "export", "erasure_preview", "erasure", "receipts", "orders", "audit", "sign_in", "sign_out", "session_ended"
]
FILTERS = ("actor", "act", "subject")
OF_AUDIT: QueryParameters = page_query(MOST_AUDIT) | {
    "actor": ({"type": "string"}, "Only what this person or key did."),
    "act": ({"type": "string", "enum": [act.value for act in Act]}, "Only this act."),
    "subject": ({"type": "string"}, "Only what concerns this person, by the `subject` of an entry or of `POST /v1/audit`."),
    "since": ({"type": "string", "format": "date"}, "First day, in UTC. Absent, the oldest that is kept."),
    "until": ({"type": "string", "format": "date"}, "Last day, in UTC. Absent, today."),
}
OF_LOOKUPS: QueryParameters = {
    "days": ({"type": "integer", "minimum": 1, "maximum": MOST_LOOKUP_DAYS, "default": 1}, "Days to count, today being the last.")
}


class AuditBody(Body, frozen=True):
    """Exactly one of the members beside `key`."""

    exactly_one: ClassVar[tuple[str, ...]] = ("email", "email_sha256", "customer", "visitor")

    email: Annotated[Email | UnsetType, EMAIL] = UNSET
    email_sha256: Annotated[Sha256 | UnsetType, EMAIL_SHA256] = UNSET
    customer: Annotated[Customer | UnsetType, CUSTOMER] = UNSET
    visitor: Annotated[VisitorText | UnsetType, VISITOR] = UNSET


class AuditedAct(Struct, frozen=True):
    """What somebody did."""

    time: Annotated[Time, about("When it was done, in RFC 3339.")]
    act: Annotated[ActText, about("What was done.")]
    actor: Annotated[str, about("Who did it: a key's name, `key` and the first characters of its SHA-256, or a person.")]
    person: Annotated[bool, about("Whether it was a person in the admin pages, and not a service.")]
    subject: Annotated[str | None, about("A digest of the email, customer ID or visitor ID that was named. Null for nobody in particular.")]
    found: Annotated[int, about("How many visitors, receipts or entries it concerned.", minimum=0)]


class AccessesAnswer(Struct, frozen=True):
    """Who looked at a person, or acted for one."""

    subject: Annotated[str, about("The person in the audit: a digest that no other call answers.")]
    accesses: Annotated[list[AuditedAct], about("Newest first: of each actor and act the newest.", maxItems=MOST_ACCESSES)]


class AuditAnswer(Struct, frozen=True):
    """What was done, newest first. A page may have fewer entries than `limit`, also none, if few match."""

    entries: Annotated[list[AuditedAct], about("Entries that match.", maxItems=MOST_AUDIT)]
    next: Annotated[str | None, NEXT]


class CountedLookups(Struct, frozen=True):
    """How many look-ups a key made within an hour."""

    hour: Annotated[Time, about("The start of the hour, in RFC 3339.")]
    actor: Annotated[str, about("The key, as in the audit.")]
    lookups: Annotated[int, about("Emails, customer IDs and visitors that were looked up, and reads of `GET /v1/removals`.", minimum=0)]


class LookupCountsAnswer(Struct, frozen=True):
    """Look-ups of services, newest hour first."""

    lookups: Annotated[list[CountedLookups], about("Newest hour first, at most 24 for each day and key.")]


async def accesses(call: Call) -> Reply:
    count_lookup(call)
    one_of(call.body, AuditBody.exactly_one)
    person: Person = handle_of(call) if isinstance(call.body.visitor, UnsetType) else own_visitor_id(call.body.visitor)
    return Reply(await accesses_to(call, person))


async def accesses_to(call: Call, person: Person) -> AccessesAnswer:
    """Entered in the audit itself. The caller counts the look-up."""
    audit = call.services.audit
    found = await audit.about(call.shop, person)
    await audit.record(call.shop, call.actor, Act.AUDIT, person, len(found))
    return AccessesAnswer(audit.subject(call.shop, person), [_audited(entry) for entry in found])


async def page(call: Call) -> Reply:
    """Raises Invalid for a wrong cursor or day."""
    query, today = call.query, call.now // 1000 // DAY
    most = number(query, "limit", MOST_AUDIT, MOST_AUDIT)
    oldest = today - call.services.retention.audit_days
    place = _place(query["cursor"]) if "cursor" in query else AuditPlace(_day(query, "until", today), FROM_THE_NEWEST)
    place = place if place.day <= today else AuditPlace(today, FROM_THE_NEWEST)
    read = await call.services.store.audit.newest_before(call.shop.shop_id, place, max(oldest, _day(query, "since", oldest)), MOST_READ)
    wanted = {name: query[name] for name in FILTERS if query.get(name)}
    matching = [(where, entry) for where, entry in read if all(str(getattr(entry, name)) == text for name, text in wanted.items())]
    shown = matching[:most]
    last = shown[-1][0] if len(matching) > most else read[-1][0] if len(read) == MOST_READ else None
    if call.actor.person:
        await call.services.audit.record(call.shop, call.actor, Act.AUDIT, None, len(shown))
    following = f"{last.day}-{last.position}" if last else None
    return Reply(AuditAnswer([_audited(entry) for _, entry in shown], following))


async def lookup_counts(call: Call) -> Reply:
    today, days = call.now // 1000 // DAY, number(call.query, "days", 1, MOST_LOOKUP_DAYS)
    found = await call.services.store.audit.lookups(call.shop.shop_id, range(today - days + 1, today + 1))
    counts = sorted(found.items(), key=lambda one: (-one[0][0], one[0][1]))
    return Reply(LookupCountsAnswer([CountedLookups(rfc3339(hour), name, lookups) for (hour, name), lookups in counts]))


def _audited(entry: AuditEntry) -> AuditedAct:
    time = rfc3339(Millis(entry.time) // 1000)
    return AuditedAct(time, entry.act.value, entry.actor, entry.person, entry.subject, entry.found)


def _place(cursor: str) -> AuditPlace:
    found = PLACE.fullmatch(cursor)
    if not found:
        raise Invalid(TAKE_NEXT)
    return AuditPlace(int(found[1]), int(found[2]))


def _day(query: Mapping[str, str], name: str, usual: int) -> int:
    """Days since 1970."""
    if not query.get(name):
        return usual
    try:
        return day_number(query[name])
    except ValueError:
        raise Invalid(f"{name}: must be a day like 2026-12-01") from None
