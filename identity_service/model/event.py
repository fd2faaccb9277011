"""Tracking events (what a visitor saw, clicked and bought), and sales with their lines."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Context, Decimal
from enum import StrEnum
from functools import reduce
from typing import Any, TypeVar

import msgspec
from msgspec import Struct, structs

ProductId = str | int
Quantity = int | Decimal
T = TypeVar("T")
EXACT = Context(prec=200)
"""Enough digits for any sum of prices, quantities and lines."""
MOST_LINES = 1_000
"""Of an order."""
PRODUCTS_OF_AN_EVENT = 100
MOST_PRODUCT_BYTES = 2_048
NEWEST_RESULTS = 20
"""How many results are searched for a click's labels."""
MOST_SHOWN_LENGTH = 64
"""Characters of a product ID. Results drop longer ones, because every click without labels searches them."""
EMAIL = re.compile("[^\\s@\uff20\ufe6b]+([@\uff20\ufe6b]|%40|%ef%bc%a0|%ef%b9%ab)[^\\s@\uff20\ufe6b]+", re.IGNORECASE)
"""It includes the full-width and the small at sign, which some keyboards type."""


def compact(value: Any) -> str:
    """JSON without spaces, as the store holds it."""
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
    """`time`: seconds since 1970. `products`: the one clicked, those shown by results, or those in a basket. `labels`: None if not sent,
    empty if blank. `api`: the call that filled the element. `text`: the category, the search words, the sale's ID, or the change of a cart.
    `override`: the ID was typed into the address for a test. `backtracked`: the labels are those of earlier results."""

    type: EventType
    time: int
    products: tuple[ProductId, ...] = ()
    labels: tuple[str, ...] | None = None
    api: str | None = None
    text: str | None = None
    override: bool = False
    backtracked: bool = False

    def members(self) -> dict[str, Any]:
        """For exports and pages."""
        members = msgspec.to_builtins(structs.asdict(self)) | ({} if self.products else {"products": None})
        return {name: value for name, value in members.items() if value is not None and value is not False}


def first_bytes(items: Iterable[T], most: int) -> tuple[T, ...]:
    """The first items that take at most `most` bytes in the store."""
    kept: list[T] = []
    for item in items:
        most -= len(msgspec.json.encode(item)) + 1
        if most < 0:
            break
        kept.append(item)
    return tuple(kept)


def first_products(products: Iterable[ProductId | None]) -> tuple[ProductId, ...]:
    """As many as an event keeps. The limit keeps long events from slowing the store."""
    known = [product for product in products if product is not None]
    return first_bytes(known[:PRODUCTS_OF_AN_EVENT], MOST_PRODUCT_BYTES)


def shown_products(products: Iterable[ProductId | None]) -> tuple[ProductId, ...]:
    """The products that a results event keeps."""
    return first_products(product for product in products if len(str(product)) <= MOST_SHOWN_LENGTH)


def total(amounts: Iterable[Decimal]) -> Decimal:
    """The exact sum."""
    return reduce(EXACT.add, amounts, Decimal(0))


def without_emails(text: str) -> str:
    """Emails are replaced, because people search for their own, and templates put them into labels. None is stored in clear."""
    return text if text.isascii() and "@" not in text and "%" not in text else EMAIL.sub("(email)", text)


def _printable(text: str) -> str:
    return text.strip() if text.isprintable() else "".join(filter(str.isprintable, text)).strip()


def clean_labels(labels: Iterable[str]) -> tuple[str, ...]:
    """Labels without blanks, repetitions and emails."""
    return tuple(dict.fromkeys([without_emails(plain) for label in labels if (plain := _printable(label))]))


@dataclass(frozen=True, slots=True)
class SaleLine:
    """`product`: None for a line without one, such as a voucher or a deleted product. `quantity`: an int if it is whole. `price`: the unit
    price, None if unknown."""

    product: ProductId | None
    quantity: Quantity = 1
    price: Decimal | None = None

    @property
    def revenue(self) -> Decimal:
        """Exact. Negative for a return or a discount."""
        return EXACT.multiply(self.price or Decimal(0), Decimal(self.quantity))

    @property
    def creditable(self) -> bool:
        """Whether a click can have led to this line: a purchase, no discount and no return."""
        return self.product is not None and self.quantity > 0 and (self.price is None or self.price >= 0)

    def stored(self) -> dict[str, Any]:
        """Whole quantities are numbers; other quantities and all prices are text."""
        quantity = self.quantity if isinstance(self.quantity, int) else f"{self.quantity:f}"
        return {"id": self.product, "quantity": quantity} | ({} if self.price is None else {"price": f"{self.price:f}"})


def lines_of(stored: str) -> tuple[SaleLine, ...]:
    """The inverse of `SaleLine.stored`, from JSON."""
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
    """`sale`: the shop's order ID as text. `time`: seconds since 1970."""

    sale: str
    lines: tuple[SaleLine, ...]
    time: int

    @property
    def revenue(self) -> Decimal:
        """The exact sum of unit price times quantity."""
        return total(line.revenue for line in self.lines)

    @property
    def products(self) -> list[ProductId]:
        return [line.product for line in self.lines if line.product is not None]
