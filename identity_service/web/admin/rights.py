"""A person's request on one page: who this is, what is held, what an erasure takes and leaves, the export, and the erasure
with its certificate."""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from identity_service.errors import Invalid
from identity_service.model.handle import Handle, HandleKind
from identity_service.model.person import Person
from identity_service.model.utc import rfc3339
from identity_service.model.visitor import VisitorId
from identity_service.service.holdings import HeldVisitors
from identity_service.service.rights import Erasure
from identity_service.web.admin.csv_file import Cell, csv_reply
from identity_service.web.admin.pages import AdminCall, View, saved_as
from identity_service.web.admin.references import (
    CERTIFICATE,
    ENDED,
    PERSONS,
    lead_to,
    person_in_form,
    person_of_reference,
    reference_maker,
    seal,
    unseal,
)
from identity_service.web.call import Reply
from identity_service.web.calls.links import ExportAnswer, erase_person, export_person, preview_erasure
from identity_service.web.visit import count_lookup

DIFFERS = "The values differ, so nothing was erased. Enter the same value again."


class Certificate(Struct, frozen=True):
    """What an erasure did. `what`: email, customer ID or visitor ID. `subject`: the digest of the first two. `orders`: those that lost the
    person's names; None if they were too many to count. It names nobody in clear."""

    reference: str
    time: str
    shop: str
    erased_by: str
    what: str
    subject: str
    unproven_included: bool
    visitors: int
    links: int
    events: int
    orders: int | None
    kept_shared: int
    kept_unproven: int
    receipts_kept: int


async def rights(asked: AdminCall) -> View | Reply:
    """The form is posted and redirects to the result, so that the value is in no address."""
    empty = {"asked": asked.form or {}, "subject": None, "fault": None}
    try:
        if asked.form is not None:
            return lead_to("rights", reference_maker(asked)(person_in_form(asked, PERSONS)))
        if "ref" not in asked.query:
            return View("admin/rights.html", empty)
        person = person_of_reference(asked)
    except Invalid as error:
        return View("admin/rights.html", empty | {"fault": error.detail}, error.status)
    return await _request(asked, person)


async def _request(asked: AdminCall, person: Person, fault: str | None = None) -> View:
    call, holdings = asked.call(), asked.services.admin.holdings
    count_lookup(call)
    held = await holdings.of_person(asked.shop, person)
    previews, orders = await preview_erasure(call, person, held), await holdings.count_orders(asked.shop, person, held)
    hidden = [one for one in held.visitors if one.link and not one.link.proven]
    shown, following = asked.part(held.visitors)
    ref = reference_maker(asked)
    values: dict[str, object] = {
        "asked": {},
        "fault": fault,
        "what": _what(person),
        "subject": _subject(person),
        "here": ref(person),
        "ref": ref,
        "held": shown,
        "count": len(held.visitors),
        "next": following,
        "hidden": hidden,
        "going": _certificate(asked, person, held, previews[False], orders[False], unproven=False),
        "going_with": _certificate(asked, person, held, previews[True], orders[True], unproven=True) if hidden else None,
        "others": await holdings.others(asked.shop, shown, person),
    }
    return View("admin/rights.html", values, 200 if fault is None else 422)


def _certificate(asked: AdminCall, person: Person, held: HeldVisitors, done: Erasure, orders: int | None, *, unproven: bool) -> Certificate:
    """`held`: what there is before."""
    return Certificate(
        reference=asked.request_id,
        time=rfc3339(int(asked.services.clock())),
        shop=asked.shop.shop_id,
        erased_by=asked.session.stored.person,
        what=_what(person),
        subject=_subject(person),
        unproven_included=unproven,
        visitors=done.erased.visitors,
        links=done.erased.links,
        events=done.erased.events,
        orders=orders,
        kept_shared=done.shared,
        kept_unproven=done.unproven,
        receipts_kept=sum(one.receipts for one in held.going(unproven=unproven)),
    )


def _what(person: Person) -> str:
    return person.kind.words if isinstance(person, Handle) else "visitor ID"


def _subject(person: Person) -> str:
    return person.digest if isinstance(person, Handle) else person


async def erasure(asked: AdminCall) -> View | Reply:
    """Erases after the value is entered again. Without a confirmation, redirects to the request."""
    person = _person_of(asked)
    form = asked.form or {}
    if "confirmation" not in form:
        return lead_to("rights", reference_maker(asked)(person))
    if not _is_same(asked, person, form["confirmation"]):
        return await _request(asked, person, DIFFERS)
    call, holdings, unproven = asked.call(), asked.services.admin.holdings, "unproven" in form
    count_lookup(call)
    held = await holdings.of_person(asked.shop, person)
    orders = await holdings.count_orders(asked.shop, person, held)
    done = _certificate(asked, person, held, await erase_person(call, person, unproven=unproven), orders[unproven], unproven=unproven)
    return lead_to("certificate", seal(asked, CERTIFICATE + msgspec.json.encode(done).decode()))


async def certificate(asked: AdminCall) -> View | Reply:
    """What an erasure did, to print or to save. Its address has all of it, sealed, since nothing of it is stored."""
    try:
        text = unseal(asked)
        found = msgspec.json.decode(text.removeprefix(CERTIFICATE), type=Certificate) if text.startswith(CERTIFICATE) else None
    except Invalid:
        found = None
    if found is None:
        return View("admin/rights.html", {"asked": {}, "subject": None, "fault": ENDED}, Invalid.status)
    if asked.query.get("as") == "json":
        return _json_file("certificate", found)
    return View("admin/certificate.html", {"done": found, "here": asked.query["ref"]})


def _person_of(asked: AdminCall) -> Person:
    """Raises Invalid."""
    return person_of_reference(asked) if asked.form and asked.form.get("ref") else person_in_form(asked, PERSONS)


def _is_same(asked: AdminCall, person: Person, typed: str) -> bool:
    if not isinstance(person, Handle):
        return typed.strip() == person
    handles, shop = asked.services.handles, asked.shop.shop_id
    try:
        return (handles.of_email(shop, typed) if person.kind is HandleKind.EMAIL else handles.of_customer(shop, typed)) == person
    except Invalid:
        return False


async def export(asked: AdminCall) -> Reply:
    """Everything that is held, as a file."""
    call, form = asked.call(), asked.form or {}
    person = _person_of(asked)
    count_lookup(call)
    answer = await export_person(call, person, unproven="unproven" in form)
    if form.get("as") == "csv":
        return await asyncio.to_thread(csv_reply, "export", ("visitor", "what", "time", "name", "value"), _rows(answer))
    return await asyncio.to_thread(_json_file, "export", answer)


def _json_file(name: str, content: Struct) -> Reply:
    return Reply(msgspec.json.format(msgspec.json.encode(content), indent=2), headers=[saved_as(f"{name}.json")])


def _rows(answer: ExportAnswer) -> Iterator[tuple[Cell, ...]]:
    """A row for each value. Lists within are rows of their own, with the time of their entry."""
    for one in answer.visitors:
        named = VisitorId(one["visitor"])
        lists = {"events": "event", "receipts": "receipt"}
        yield from _values(named, "visitor", {name: value for name, value in one.items() if name not in {"visitor", *lists}})
        for name, what in lists.items():
            for entry in msgspec.to_builtins(one.get(name, [])):
                yield from _values(named, what, entry)
    for order in msgspec.to_builtins(answer.orders):
        yield from _values(order.get("visitor", ""), "order", order)
    for link in msgspec.to_builtins(answer.unproven):
        yield from _values("", "link without proof", link)


def _values(visitor: str, what: str, members: Mapping[str, Any]) -> Iterator[tuple[Cell, ...]]:
    time = members.get("time")
    for name, value in members.items():
        plain = value if isinstance(value, str | int | bool) or value is None else msgspec.json.encode(value).decode()
        yield visitor, what, time, name, plain
