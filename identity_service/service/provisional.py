"""What a public key says of an order is provisional: what is kept of it, so that it can be taken back once a private key says the order."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from msgspec import structs

from identity_service.event import Event, EventType, Sale, compact, first_products, lines_of
from identity_service.service.subjects import Subject
from identity_service.store.sales import FormerSale
from identity_service.visitor import Kind

MOST_COUNTED = Decimal(10**9)
"""Of a provisional amount in the shop's figures, so that a stranger's number cannot end a counter, and with it what others added."""


@dataclass(frozen=True, slots=True)
class Counted:
    """How an order stands in the shop's figures: its revenue, and that of each label that it is credited to. Nothing of it is personal."""

    revenue: Decimal
    labels: Mapping[str, Decimal]

    def bounded(self) -> "Counted":
        return Counted(_bounded(self.revenue), {label: _bounded(amount) for label, amount in self.labels.items()})

    def fields(self) -> dict[str, str]:
        """As it is stored in the sale; nothing where its revenue tells all."""
        if not self.labels and abs(self.revenue) < MOST_COUNTED:
            return {}
        labels = {label: f"{amount:f}" for label, amount in self.labels.items()}
        return {"counted": compact({"revenue": f"{self.revenue:f}", "labels": labels})}


def is_provisional(stored: Mapping[str, str]) -> bool:
    """Whether a sale is there that no private key has said."""
    return bool(stored) and "verified" not in stored


def counted_in(stored: Mapping[str, str]) -> Counted:
    """From a sale: also after a withdrawal took away whom it was of, and what it was credited to."""
    found = json.loads(stored.get("counted", "{}"))
    labels = {label: Decimal(amount) for label, amount in found.get("labels", {}).items()}
    return Counted(Decimal(found.get("revenue", stored["revenue"])), labels)


def session_fields(subject: Subject) -> dict[str, str]:
    """Of a visitor that showed its token: kind and end of its ID."""
    return {"by_token": f"{subject.kind} {subject.expires}"}


def of_session(found: Subject, by_token: str) -> Subject:
    """The visitor of a session that `session_fields` kept, as it was: no other word begins one anew. `found`: the same as it is now."""
    kind, expires = by_token.split(" ")
    return structs.replace(found, kind=Kind(kind), expires=int(expires), signed=True, presented=True)


def former_sale(stored: Mapping[str, str], *, same_visitor: bool) -> FormerSale:
    """`same_visitor`: then its event stays."""
    event = sale_event(Sale(stored["sale"], lines_of(stored["products"]), int(stored["time"])))
    return FormerSale(stored, () if same_visitor else (event.stored(), structs.replace(event, override=True).stored()))


def sale_event(sale: Sale) -> Event:
    return Event(EventType.SALE, sale.time, first_products(line.product for line in sale.lines), text=sale.sale)


def _bounded(amount: Decimal) -> Decimal:
    return min(max(amount, -MOST_COUNTED), MOST_COUNTED)
