"""Tracking events: what a visitor saw, clicked and bought, and the sale that may come of it."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Context, Decimal
from enum import StrEnum
from functools import reduce
from itertools import islice
from typing import Any, TypeVar

import msgspec
from msgspec import Struct, structs

ProductId = str | int
Quantity = int | Decimal
T = TypeVar("T")
EXACT = Context(prec=200)
"""More digits than prices, quantities and lines can add up to."""
PRODUCTS_OF_AN_EVENT = 100
MOST_PRODUCT_BYTES = 2_048
NEWEST_RESULTS = 20
"""Results among which a click's labels are looked for."""
MOST_SHOWN_LENGTH = 64
"""Characters of a product ID that results keep, since every click without labels looks through them."""
EMAIL = re.compile("[^\\s@\uff20\ufe6b]+([@\uff20\ufe6b]|%40|%ef%bc%a0|%ef%b9%ab)[^\\s@\uff20\ufe6b]+", re.IGNORECASE)
"""Also with the wide and the small sign, which some keyboards type."""
ABSENT_AT_END = re.compile(r"(,(null|false))+\]$")


def compact(value: Any) -> str:
    """JSON without spaces, as it is stored."""
    return msgspec.json.encode(value).decode()


class EventType(StrEnum):
    """What a visitor did."""

    CLICK = "click"
    PRODUCT = "product"
    CATEGORY = "category"
    SEARCH = "search"
    RESULTS = "results"
    BASKET = "basket"
    RETURNED = "returned"
    SALE = "sale"


class Event(Struct, frozen=True, array_like=True):
    """Stored as a JSON list of these members, without absent ones at its end. `time` in seconds since 1970. `products`: one for a click,
    those shown for results, those held for a basket. `labels` None: not sent; empty: sent, but blank. `api` is the call that filled the
    element. `text`: the category, the words searched, the sale's ID, or what was done to a cart. `override`: under an ID that somebody
    typed into the address, to test. `backtracked`: the labels are those of the results before it."""

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
        members = msgspec.to_builtins(structs.asdict(self)) | ({} if self.products else {"products": None})
        return {name: value for name, value in members.items() if value is not None and value is not False}

    def stored(self) -> str:
        return ABSENT_AT_END.sub("]", compact(self))


event_of: Callable[[str], Event] = msgspec.json.Decoder(Event).decode
"""From what `stored` gave."""


def events_of(stored: Iterable[str], kind: EventType, most: int | None = None) -> list[Event]:
    """The first of one kind; others are not even decoded."""
    beginning = f'["{kind}",'
    return [event_of(one) for one in islice((one for one in stored if one.startswith(beginning)), most)]


def first_bytes(items: Iterable[T], most: int) -> tuple[T, ...]:
    """The first of them that take at most so many bytes where they are stored."""
    kept: list[T] = []
    for item in items:
        most -= len(msgspec.json.encode(item)) + 1
        if most < 0:
            break
        kept.append(item)
    return tuple(kept)


def first_products(products: Iterable[ProductId | None]) -> tuple[ProductId, ...]:
    """As many as an event keeps, so that nobody's events slow the store."""
    known = [product for product in products if product is not None]
    return first_bytes(known[:PRODUCTS_OF_AN_EVENT], MOST_PRODUCT_BYTES)


def shown_products(products: Iterable[ProductId | None]) -> tuple[ProductId, ...]:
    """Those of results."""
    return first_products(product for product in products if len(str(product)) <= MOST_SHOWN_LENGTH)


def total(amounts: Iterable[Decimal]) -> Decimal:
    """Exact."""
    return reduce(EXACT.add, amounts, Decimal(0))


def without_emails(text: str) -> str:
    """People search for their own address, and templates put it into labels: no clear email is ever kept."""
    return text if text.isascii() and "@" not in text and "%" not in text else EMAIL.sub("(email)", text)


def _printable(text: str) -> str:
    return text.strip() if text.isprintable() else "".join(filter(str.isprintable, text)).strip()


def clean_labels(labels: Iterable[str]) -> tuple[str, ...]:
    """Without blank ones, repetitions and emails."""
    return tuple(dict.fromkeys([without_emails(plain) for label in labels if (plain := _printable(label))]))


@dataclass(frozen=True, slots=True)
class SaleLine:
    """`product`: None for a line that names none, like a voucher or a deleted product. `quantity`: whole where it is an int. `price` is the
    unit price; None where it is unknown."""

    product: ProductId | None
    quantity: Quantity = 1
    price: Decimal | None = None

    @property
    def revenue(self) -> Decimal:
        """Exact; below zero for what was given back or taken off."""
        return EXACT.multiply(self.price or Decimal(0), Decimal(self.quantity))

    @property
    def creditable(self) -> bool:
        """Whether a click can have led to it: something was bought, neither taken off nor given back."""
        return self.product is not None and self.quantity > 0 and (self.price is None or self.price >= 0)

    def stored(self) -> dict[str, Any]:
        """Whole quantities are numbers, others are text, as prices are."""
        quantity = self.quantity if isinstance(self.quantity, int) else f"{self.quantity:f}"
        return {"id": self.product, "quantity": quantity} | ({} if self.price is None else {"price": f"{self.price:f}"})


def lines_of(stored: str) -> tuple[SaleLine, ...]:
    """From the JSON of what `SaleLine.stored` gave."""
    return tuple(
        SaleLine(
            one["id"],
            one["quantity"] if isinstance(one["quantity"], int) else Decimal(one["quantity"]),
            Decimal(one["price"]) if "price" in one else None,
        )
        for one in msgspec.json.decode(stored)
    )


@dataclass(frozen=True, slots=True)
class Sale:
    """`sale` is the shop's order ID as text. `time` in seconds since 1970."""

    sale: str
    lines: tuple[SaleLine, ...]
    time: int

    @property
    def revenue(self) -> Decimal:
        """Exact: unit price times quantity, summed."""
        return total(line.revenue for line in self.lines)

    @property
    def products(self) -> list[ProductId]:
        return [line.product for line in self.lines if line.product is not None]
