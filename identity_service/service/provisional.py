"""What a public key says of an order is provisional: what is kept of it, so that it can be taken back once a private key says the order."""

import json
from collections.abc import Mapping
from decimal import Decimal

from msgspec import structs

from identity_service.event import Event, EventType, Sale, compact, first_products
from identity_service.service.subjects import Subject
from identity_service.service.tally import Counted
from identity_service.store.sales import FormerSale, unpacked_lines
from identity_service.visitor import Kind

MOST_COUNTED = Decimal(10**9)
"""Of a provisional amount in the shop's figures, so that a stranger's number cannot end a counter, and with it what others added."""


def bounded(counted: Counted) -> Counted:
    labels = {label: _bounded(amount) for label, amount in counted.labels.items()}
    return Counted(_bounded(counted.revenue), labels, counted.currency)


def counted_fields(counted: Counted) -> dict[str, str]:
    """As it is stored in the sale; nothing where its revenue tells all."""
    if not counted.labels and abs(counted.revenue) < MOST_COUNTED:
        return {}
    labels = {label: f"{amount:f}" for label, amount in counted.labels.items()}
    return {"counted": compact({"revenue": f"{counted.revenue:f}", "labels": labels})}


def is_provisional(stored: Mapping[str, str]) -> bool:
    """Whether a sale is there that no private key has said."""
    return bool(stored) and "verified" not in stored


def counted_in(stored: Mapping[str, str], own_currency: str) -> Counted:
    """From a sale: also after a withdrawal took away whom it was of, and what it was credited to."""
    found = json.loads(stored.get("counted", "{}"))
    labels = {label: Decimal(amount) for label, amount in found.get("labels", {}).items()}
    return Counted(Decimal(found.get("revenue", stored["revenue"])), labels, foreign(stored, own_currency))


def foreign(stored: Mapping[str, str], own_currency: str) -> str:
    """The currency of a sale, empty where it is the shop's own."""
    currency = stored.get("currency", own_currency)
    return "" if currency == own_currency else currency


def session_fields(subject: Subject) -> dict[str, str]:
    """Of a visitor that showed its token: kind and end of its ID."""
    return {"by_token": f"{subject.kind} {subject.expires}"}


def of_session(found: Subject, by_token: str) -> Subject:
    """The visitor of a session that `session_fields` kept, as it was: no other word begins one anew. `found`: the same as it is now."""
    kind, expires = by_token.split(" ")
    return structs.replace(found, kind=Kind(kind), expires=int(expires), signed=True, presented=True)


def former_sale(stored: Mapping[str, str], *, same_visitor: bool) -> FormerSale:
    """`same_visitor`: then its event stays."""
    event = sale_event(Sale(stored["sale"], unpacked_lines(stored["products"]), int(stored["time"])))
    return FormerSale(stored, () if same_visitor else (event, structs.replace(event, override=True)))


def sale_event(sale: Sale) -> Event:
    return Event(EventType.SALE, sale.time, first_products(line.product for line in sale.lines), text=sale.sale)


def _bounded(amount: Decimal) -> Decimal:
    return min(max(amount, -MOST_COUNTED), MOST_COUNTED)
