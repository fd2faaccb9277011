"""Tracking events: what a visitor saw, clicked and bought, and the sale that may come of it."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import Struct

ProductId = str | int
EXACT = 80
"""Digits: more than prices, quantities and lines can add up to."""
EMAIL = re.compile(r"[^\s@]+(@|%40)[^\s@]+", re.IGNORECASE)


def compact(value: Any) -> str:
    """JSON without spaces, as it is stored."""
    return msgspec.json.encode(value).decode()


class EventType(StrEnum):
    CLICK = "click"
    PRODUCT = "product"
    CATEGORY = "category"
    SEARCH = "search"
    RESULTS = "results"
    BASKET = "basket"
    RETURNED = "returned"
    SALE = "sale"


class Event(Struct, frozen=True, omit_defaults=True):
    """`time` in seconds since 1970. `products`: one for a click, those shown for results, those held for a basket. `labels` None: not
    sent; empty: sent, but blank. `api` is the call that filled the element. `text`: the category, the words searched, the sale's ID, or
    what was done to a cart. `override`: under an ID that somebody typed into the address, to test. `backtracked`: the labels are those of
    the results before it."""

    type: EventType
    time: int
    products: tuple[ProductId, ...] = ()
    labels: tuple[str, ...] | None = None
    api: str | None = None
    text: str | None = None
    override: bool = False
    backtracked: bool = False

    def members(self) -> dict[str, Any]:
        """As it is exported and shown."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found

    def stored(self) -> str:
        return compact(self)


event_of: Callable[[str], Event] = msgspec.json.Decoder(Event).decode
"""From what `stored` gave."""


def without_emails(text: str) -> str:
    """People search for their own address, and templates put it into labels: no clear email is ever kept."""
    return EMAIL.sub("(email)", text) if "@" in text or "%40" in text else text


def _printable(text: str) -> str:
    return text.strip() if text.isprintable() else "".join(filter(str.isprintable, text)).strip()


def clean_labels(labels: Sequence[str] | None) -> tuple[str, ...] | None:
    """Without blank ones, repetitions and emails; None where none were sent."""
    if labels is None:
        return None
    return tuple(dict.fromkeys([without_emails(plain) for label in labels if (plain := _printable(label))]))


@dataclass(frozen=True, slots=True)
class SaleLine:
    """`price` is the unit price; None when the shop sent only product IDs."""

    product: ProductId
    quantity: int = 1
    price: Decimal | None = None

    @property
    def revenue(self) -> Decimal:
        return (self.price or Decimal(0)) * self.quantity

    def stored(self) -> dict[str, Any]:
        return {"id": self.product, "quantity": self.quantity} | ({} if self.price is None else {"price": str(self.price)})


@dataclass(frozen=True, slots=True)
class Sale:
    """`sale` is the shop's order ID as text. `time` in seconds since 1970."""

    sale: str
    lines: tuple[SaleLine, ...]
    time: int

    @property
    def revenue(self) -> Decimal:
        """Exact: unit price times quantity, summed."""
        with localcontext(prec=EXACT):
            return sum((line.revenue for line in self.lines), Decimal(0))
