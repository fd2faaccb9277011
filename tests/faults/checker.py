"""Holds what a service kept against what it had told its clients, after a fault and once it has recovered.

Operations without an answer may have happened or not. Everything else is a violation: what was acknowledged and is lost, what nobody
wrote, what was removed and is there again, an order that is there twice or has another content, a mode that no order of events explains.
"""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from identity_service.app import Application
from identity_service.model.consent import Millis
from identity_service.model.shop import ShopId
from identity_service.settings.load import load
from tests.faults.evidence import Evidence, is_ok, over_before
from tests.faults.history import History, Kind, Operation
from tests.faults.kept import Kept, Order, dumped, told
from tests.faults.load import SHOPS
from tests.faults.running import RunningService
from tests.stores import view

AssertKept = Callable[[History, RunningService], None]
"""The fixture `assert_kept`."""
EXPECTED = frozenset({0, 200, 409, 503})


@dataclass(frozen=True, slots=True)
class Violation:
    """`name`: lost, phantom, resurrected, doubled, content, consent, wrong shop, disagree, unstable, open, refused or fault."""

    name: str
    shop: str
    subject: str


def check(history: History, url: str, store_url: str) -> list[Violation]:
    """Runs the repair as of two minutes later, and reads everything twice. `url` of a service, `store_url` of its store."""
    operations = history.operations
    asyncio.run(repaired(store_url))
    with view(store_url) as database:
        kept, shown, again = dumped(database, operations), told(url, operations), dumped(database, operations)
    found = [Violation("fault" if status >= 500 else "refused", "", str(status)) for status in set(history.statuses()) - EXPECTED]
    for shop in SHOPS:
        evidence = Evidence(shop, operations)
        found += [Violation(name, shop, subject) for name, subject in violations(evidence, kept[shop])]
        found += [Violation("disagree", shop, subject) for subject in disagreements(evidence, kept[shop], shown[shop])]
        found += [Violation("unstable", shop, "")] if kept[shop] != again[shop] else []
    return found


def explained(history: History, violation: Violation) -> str:
    """What clients did that the violation speaks of, in order."""
    words = set(re.findall(r"[\w.@-]+", violation.subject))
    said = [one for one in history.operations if one.shop == violation.shop and words & set(one.arguments.values())]
    lines = [
        f"{one.began:.4f} {one.ended:.4f} {one.status} {one.kind} {dict(one.arguments)}" for one in sorted(said, key=lambda one: one.began)
    ]
    return "\n".join([str(violation), *lines])


async def repaired(store_url: str) -> None:
    """Ends what the fault left open, as the service does when it is a minute old."""
    settings = load("development", {"IDENTITY_STORE__URL": store_url, "IDENTITY_STORE__TIMEOUT_SECONDS": "30"})
    services = Application(settings).services
    for later in (61, 130):
        await services.store.repair.run([ShopId(shop) for shop in SHOPS], Millis(int((time.time() + later) * 1000)))
    await services.store.client.close()


def violations(evidence: Evidence, kept: Kept) -> Iterator[tuple[str, str]]:
    """Name and subject of each."""
    yield from links(evidence, kept)
    yield from visitors(evidence, kept)
    yield from clicks(evidence, kept)
    yield from sales(evidence, kept)
    yield from strangers(evidence, kept)
    yield from (("disagree", f"link and pointer of {pair}") for pair in kept.links ^ kept.pointers)
    yield from (("doubled", what) for what in kept.twice)
    yield from (("open", what) for what in kept.open)


def links(evidence: Evidence, kept: Kept) -> Iterator[tuple[str, str]]:
    yield from (("phantom", f"link of {pair}") for pair in kept.links if pair not in evidence.adds)
    orders = dict(kept.orders)
    for pair in evidence.pairs:
        email, visitor = pair
        removals = evidence.removals_of_link(pair)
        sure = [one for one in evidence.adds[pair] if (one.kind is Kind.LINK and is_ok(one)) or _surely_linked(evidence, orders, one)]
        if pair not in kept.links:
            if any(over_before(removals, one.began) for one in sure):
                yield "lost", f"link of {pair}"
            continue
        repeated = [one for add in evidence.adds[pair] if add.kind is Kind.SALE for one in evidence.sales[add.arguments["sale"]]]
        ended = [(one, evidence.adds[pair]) for one in evidence.erasures(email) + evidence.withdrawals(visitor)]
        ended += [(one, evidence.adds[pair] + repeated) for one in evidence.unlinks(pair)]
        if any(is_ok(removal) and over_before(adds, removal.began) for removal, adds in ended):
            yield "resurrected", f"link of {pair}"


def _surely_linked(evidence: Evidence, orders: Mapping[str, Order], one: Operation) -> bool:
    """Whether a sale must have linked its email: it was the first with its ID, and its visitor lives."""
    if one.kind is not Kind.SALE or not evidence.surely_recorded(one):
        return False
    order = orders.get(one.arguments["sale"])
    return order is not None and order.product == one.arguments["product"]


def visitors(evidence: Evidence, kept: Kept) -> Iterator[tuple[str, str]]:
    """Each visitor's consent is a register: its last value was written by something that no later acknowledged write replaced."""
    seen = kept.records | {visitor for _, visitor in kept.links} | {visitor for visitor, _ in kept.clicks}
    for visitor in sorted(evidence.visitors):
        grants, withdrawals, removals = evidence.grants(visitor), evidence.withdrawals(visitor), evidence.removals(visitor)
        last = max((one.began for one in withdrawals if is_ok(one)), default=None)
        granted = max((one.began for one in grants if is_ok(one)), default=None)
        if last is not None and over_before(grants, last):
            yield from (("resurrected", f"visitor {name}") for name in {visitor} & seen)
            yield from (("lost", f"withdrawal of {name}") for name in {visitor} - kept.gone)
        elif visitor in kept.persistent and not grants:
            yield "consent", f"{visitor} is persistent without a grant"
        elif granted is not None and visitor not in kept.persistent and over_before(removals, granted):
            yield "lost", f"grant of {visitor}"


def clicks(evidence: Evidence, kept: Kept) -> Iterator[tuple[str, str]]:
    known = {(one.visitor, one.arguments["product"]): one for one in evidence.clicks}
    yield from (("phantom", f"click {click}") for click in kept.clicks if click not in known)
    for click, one in known.items():
        if click not in kept.clicks and evidence.surely_recorded(one):
            yield "lost", f"click {click}"
        if click in kept.clicks and any(is_ok(end) and one.until < end.began for end in evidence.withdrawals(one.visitor)):
            yield "resurrected", f"click {click}"


def sales(evidence: Evidence, kept: Kept) -> Iterator[tuple[str, str]]:
    counted = Counter(sale for sale, _ in kept.orders)
    for sale, calls in evidence.sales.items():
        if not counted[sale] and any(is_ok(one) for one in calls):
            yield "lost", f"sale {sale}"
    for sale, order in kept.orders:
        if counted[sale] > 1:
            yield "doubled", f"sale {sale}"
        called = [one for one in evidence.sales[sale] if one.arguments["product"] == order.product]
        if not called:
            yield "phantom", f"sale {sale}"
        elif called[0] not in evidence.winners(sale):
            yield "content", f"sale {sale} has what a later call said"
        else:
            yield from (("resurrected", f"{what} of sale {sale}") for what in _names_again(evidence, called[0], order))


def _names_again(evidence: Evidence, call: Operation, order: Order) -> Iterator[str]:
    """What the order says of people who have been taken out of it since."""
    if order.visitor not in {None, call.visitor} or order.email not in {None, call.email}:
        yield "name of somebody else"
    withdrawn = any(is_ok(one) and call.until < one.began for one in evidence.withdrawals(call.visitor))
    erased = any(is_ok(one) and call.until < one.began for one in evidence.erasures(call.email))
    if order.visitor and withdrawn:
        yield "visitor"
    if order.email and (withdrawn or erased):
        yield "email"


def strangers(evidence: Evidence, kept: Kept) -> Iterator[tuple[str, str]]:
    """A grant without an answer may have made a visitor whose ID nobody knows."""
    unnamed = sum(one.kind is Kind.GRANT and not one.visitor for one in evidence.operations)
    yield from (("phantom", what) for what in kept.strangers + kept.unnamed[unnamed:])
    known = evidence.visitors | evidence.emails
    foreign = {name for name in kept.records | kept.gone if name not in evidence.visitors}
    foreign |= {name for pair in kept.links | kept.pointers for name in pair if name not in known}
    yield from (("wrong shop", name) for name in sorted(foreign | {sale for sale, _ in kept.orders if sale not in evidence.sales}))


def disagreements(evidence: Evidence, kept: Kept, shown: Kept) -> Iterator[str]:
    """Between what is stored and what the API tells of it. An order whose calls all died is listed once a repeated call completes it."""
    stored = Counter((sale, order.visitor, order.product) for sale, order in kept.orders)
    listed = Counter((sale, order.visitor, order.product) for sale, order in shown.orders)
    yield from (f"listed order {order}" for order in listed - stored)
    yield from (f"stored order {order}" for order in stored - listed if any(map(is_ok, evidence.sales[order[0]])))
    for name in ("links", "clicks", "persistent"):
        yield from (f"{name}: {one}" for one in getattr(kept, name) ^ getattr(shown, name))
