"""Arguments of tracking calls that were left out or got their default: which kinds there are, and what the shop can do about each.

A kind is the name of an argument without its index, so their number is bounded, whatever callers send.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from identity_service.model.event import MOST_LINES

INDEX = re.compile(r"\[(\d+)\]")
KIND = "unread "
"""What stands before a call and a kind in the name of a counter."""
BEYOND = f"products[{MOST_LINES}]"
"""The name that stands for all lines beyond the most."""
SAME = {"products": "products.id", "products.qty": "products.quantity"}


@dataclass(frozen=True, slots=True)
class Remedy:
    """`what` was in the calls, and what to do."""

    what: str
    remedy: str


REMEDIES = {
    "products.id": Remedy("a line without a product", "Send the product's ID in `id`: a text or a whole number, at most 255 characters."),
    "products.quantity": Remedy(
        "a line whose quantity is no number", "Send `quantity` as a number with at most one point: 2, 2.5, 1.0000."
    ),
    "products.price": Remedy(
        "a line whose price is no number", "Send `price` as a number with a point, without separators and without a currency's sign."
    ),
    BEYOND: Remedy(f"more than {MOST_LINES:,} lines", f"Send at most {MOST_LINES:,} lines, and sum up the rest as one."),
    "quantity": Remedy("a quantity that is no number", "Send `quantity` as a number with at most one point."),
    "currency": Remedy("a currency that is no code", "Send the three letters of ISO 4217, not a sign or a name."),
    "email": Remedy("an email that cannot be linked", "Send a whole address, and nothing at all for a guest."),
    "customer": Remedy("a customer ID that cannot be linked", "Send the ID of the person, and nothing at all for a guest."),
    "visitor": Remedy("a visitor that was not accepted", "Send a token of this service as it was issued, or leave `visitor` out."),
    "clerk_visitor": Remedy("an ID in the address that was not accepted", "Type an ID of letters, digits, `_`, `.` and `-`."),
    "labels": Remedy("labels that were left out", "Send at most 20 labels, each a text of at most 255 characters, 1 KB in all."),
}


@dataclass(frozen=True, slots=True)
class UnreadShare:
    """`calls`: how many of the calls named `call` had an unreadable argument of this kind. `share`: of all of them."""

    call: str
    argument: str
    calls: int
    share: float

    @property
    def what(self) -> str:
        return REMEDIES[self.argument].what

    @property
    def remedy(self) -> str:
        return REMEDIES[self.argument].remedy

    @property
    def text(self) -> str:
        whose = "orders" if self.call == "log/sale" else f"calls of {self.call}"
        return f"{self.share:.0%} of the {whose} of the last day had {self.what}. {self.remedy}"


def kinds_of(names: Sequence[str]) -> tuple[str, ...]:
    """Of the names in the log of calls, each kind once, sorted."""
    return tuple(sorted({BEYOND if name == BEYOND else _kind_of(name) for name in names}))


def _kind_of(name: str) -> str:
    kind = INDEX.sub("", name)
    return SAME.get(kind, kind)


def shares_of(totals: Mapping[str, int]) -> list[UnreadShare]:
    """Most calls first. `totals`: a shop's counters."""
    found = []
    for name, number in totals.items():
        call, _, kind = name.removeprefix(KIND).partition(" ")
        if name.startswith(KIND) and kind in REMEDIES and (whole := totals.get(f"call {call}", 0)):
            found.append(UnreadShare(call, kind, number, min(round(number / whole, 4), 1.0)))
    return sorted(found, key=lambda one: (-one.calls, one.call, one.argument))
