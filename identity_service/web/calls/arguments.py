"""Reads the arguments of a tracking call leniently, so that an unreadable detail never loses an order.

Each function takes a decoded argument, with exact numbers, and returns the part to keep. An unreadable argument is left out or gets its
default, and `Unread` records its name: argument and index, never the value. A call is refused only for its sale ID, for products that are
no list, and for a product ID of another type than the shop's.
"""

import re
from dataclasses import dataclass
from decimal import Context, Decimal, InvalidOperation
from typing import Any

from msgspec import UNSET, UnsetType

from identity_service.errors import Invalid
from identity_service.model.event import MOST_LINES, ProductId, Quantity, SaleLine, clean_labels, first_bytes
from identity_service.model.shop import ProductIds
from identity_service.model.token import MOST_CHARACTERS, SHAPE
from identity_service.model.visitor import own_visitor_id

LONGEST = 255
"""Most characters of an ID or a label."""
MOST_LABELS = 20
MOST_LABEL_BYTES = 1_024
MOST_PIECES = 1_000_000
LARGEST_PRICE = 1_000_000_000
MOST_DIGITS = 28
MOST_NAMES = 20
JUNK_SALES = frozenset({"", "undefined", "null", "nan", "none", "[object object]", "false"})
"""Values that templates print without an order number, in lower case."""
ASKED = frozenset({"auto", "persistent"})
BLANKS = " \t\r\n\f\v"
NUMERIC = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?0*(?:1?\d|2[0-8]))?", re.ASCII)
CURRENCY = re.compile(r"[A-Z]{3}")
INDEX = re.compile(r"\d{1,9}", re.ASCII)
ROUNDED = Context(prec=MOST_DIGITS)
NO_NUMBER = Decimal("NaN")


class Unread:
    """Names of unreadable arguments, in order, at most `MOST_NAMES`."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def add(self, name: str) -> None:
        if len(self.names) < MOST_NAMES and name not in self.names:
            self.names.append(name)


@dataclass(frozen=True, slots=True)
class IdRule:
    """The type of a shop's product IDs. `untyped`: values of a query, which are converted to that type."""

    wanted: ProductIds
    untyped: bool = False


def exact_number(text: str) -> Decimal:
    """A JSON number with a point or an exponent, exactly as written. NaN for an exponent that is too large."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return NO_NUMBER


def number_within(value: Any, limit: int) -> Decimal | None:
    """A JSON number or a numeric text, rounded to 28 digits. None for anything else, and outside ±`limit`."""
    if isinstance(value, str):
        text = value.strip(BLANKS)
        value = Decimal(text) if NUMERIC.fullmatch(text) else None
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    if isinstance(value, int):
        return Decimal(value) if -limit <= value <= limit else None
    if not value.is_finite() or not -limit <= value <= limit:
        return None
    if abs(value.adjusted()) > MOST_DIGITS:  # a few bytes like 1e-999999 must not become a megabyte of text
        return None if value else Decimal(0)
    return ROUNDED.plus(value)


def whole_number(value: Any) -> int | None:
    """Accepts 2 and 2.0. None for anything else, and for more digits than an ID may have."""
    if isinstance(value, bool):
        return None
    if isinstance(value, Decimal):
        small = value.is_finite() and value.adjusted() < LONGEST
        return int(value) if small and value == value.to_integral_value() else None
    return value if isinstance(value, int) and abs(value) < 10**LONGEST else None


def sale_id(value: Any, argument: str) -> str:
    """The sale ID as text. Raises Invalid if it is not an ID, and for placeholders that scripts send."""
    number = whole_number(value)
    text = value if isinstance(value, str) else "" if number is None else str(number)
    if len(text) > LONGEST or text.strip().lower() in JUNK_SALES:
        raise Invalid(f"Invalid Syntax In Argument: {argument}")
    return text


def product_id(value: Any, rule: IdRule, argument: str) -> ProductId | None:
    """None if it is not an ID. Raises Invalid for another type than the shop's."""
    typed: ProductId | None = whole_number(value)
    if isinstance(value, str) and len(value) <= LONGEST and value.strip():
        typed = value
    if typed is None:
        return None
    if rule.untyped and rule.wanted is ProductIds.INTEGER and isinstance(typed, str) and typed.isascii() and typed.isdigit():
        typed = int(typed)
    if rule.untyped and rule.wanted is ProductIds.STRING:
        typed = str(typed)
    if rule.wanted is not ProductIds.ANY and isinstance(typed, int) != (rule.wanted is ProductIds.INTEGER):
        raise Invalid(f"Invalid Syntax In Argument: {argument}")
    return typed


def pieces(value: Any, name: str, unread: Unread) -> Quantity:
    """The quantity; one if it is absent."""
    if value is None or value is UNSET:
        return 1
    number = number_within(value, MOST_PIECES)
    if number is None:
        unread.add(name)
        return 1
    return int(number) if number == number.to_integral_value() else number


def unit_price(value: Any, name: str, unread: Unread) -> Decimal | None:
    """None if it is unknown."""
    if value is None:
        return None
    number = number_within(value, LARGEST_PRICE)
    if number is None:
        unread.add(name)
    return number


def currency(value: Any, unread: Unread) -> str | None:
    """Three letters, whether in ISO 4217 or not: amounts in different currencies are never added."""
    if value is None or value is UNSET or value == "":
        return None
    code = value.strip().upper() if isinstance(value, str) else ""
    if CURRENCY.fullmatch(code):
        return code
    unread.add("currency")
    return None


def sale_lines(value: Any, rule: IdRule, unread: Unread) -> tuple[SaleLine, ...]:
    """At most `MOST_LINES` lines. Raises Invalid if it is not a list, and for a product ID of another type than the shop's."""
    listed = _as_list(value)
    if len(listed) > MOST_LINES:
        unread.add(f"products[{MOST_LINES}]")
    return tuple(_line(one, f"products[{at}]", rule, unread) for at, one in enumerate(listed[:MOST_LINES]))


def _as_list(value: Any) -> list[Any]:
    """A list, or an object with numeric keys, which is how PHP writes a list with gaps. Raises Invalid."""
    if isinstance(value, dict) and all(map(INDEX.fullmatch, value)):
        return [value[key] for key in sorted(value, key=int)]
    if not isinstance(value, list):
        raise Invalid("Invalid Syntax In Argument: products")
    return value


def _line(value: Any, name: str, rule: IdRule, unread: Unread) -> SaleLine:
    """A line with an unreadable product ID has no product, but its amount counts."""
    if not isinstance(value, dict):
        product = product_id(value, rule, "products")
        if product is None:
            unread.add(name)
        return SaleLine(product)
    product = product_id(value.get("id"), rule, "products")
    if product is None:
        unread.add(f"{name}.id")
    counted = "qty" if value.get("quantity") is None else "quantity"
    quantity = pieces(value.get(counted), f"{name}.{counted}", unread)
    return SaleLine(product, quantity, unit_price(value.get("price"), f"{name}.price", unread))


def handle_text(value: Any) -> str | None:
    """The text of an email or a customer ID. None if there is none; empty, and so invalid, for any other type."""
    if value is UNSET or value is None or value is False or value in ("", []):
        return None
    number = whole_number(value)
    return value if isinstance(value, str) else "" if number is None else str(number)


def email_text(value: Any) -> str | None:
    """Like `handle_text`. A number is not an email; 0 means none."""
    text = handle_text(value)
    return text if isinstance(value, str) else None if text in {None, "0"} else ""


def visitor_text(value: Any, name: str, unread: Unread) -> str | UnsetType | None:
    """`auto`, `persistent`, or a text in the form of a token or an ID. None for an explicit null; UNSET if it is absent or none of
    these."""
    if value is None or value is UNSET:
        return None if value is None else UNSET
    text = handle_text(value) or ""
    if text in ASKED or (len(text) <= MOST_CHARACTERS and SHAPE.fullmatch(text)):
        return text
    try:
        return own_visitor_id(text)
    except Invalid:
        unread.add(name)
        return UNSET


def label_texts(value: Any, unread: Unread) -> tuple[str, ...] | None:
    """A single text is a list of one. None if no labels were sent, empty if they were blank."""
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list):
        if listed is not None and listed is not UNSET:
            unread.add("labels")
        return None
    if len(listed) > MOST_LABELS:
        unread.add(f"labels[{MOST_LABELS}]")
    texts = []
    for at, label in enumerate(listed[:MOST_LABELS]):
        if isinstance(label, str) and len(label) <= LONGEST:
            texts.append(label)
        else:
            unread.add(f"labels[{at}]")
    cleaned = clean_labels(texts)
    kept = first_bytes(cleaned, MOST_LABEL_BYTES)
    if len(kept) < len(cleaned):
        unread.add("labels")
    return kept
