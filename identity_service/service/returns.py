"""Returns: returned products reduce the revenue of the order and of its labels, once."""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal

from msgspec import Struct

from identity_service.model.event import ProductId, Quantity, SaleLine, compact, total
from identity_service.model.shop import Shop
from identity_service.model.utc import DAY
from identity_service.service.counters import Amounts, Counters
from identity_service.service.sell import amount_fields, amounts_of, foreign, is_provisional
from identity_service.store import Clock, Store
from identity_service.store.sales import unpacked_credits, unpacked_lines

MOST_RETURNS = 1_000
"""Per order. Later ones change nothing, so that a sale stays small."""


class Return(Struct, frozen=True, array_like=True):
    """The form in the stored sale. `quantity`: as reported. `at`: seconds since 1970. `pieces`: pairs of a line's index and how many of it
    were returned. Decimals are text."""

    product: str
    quantity: str
    at: int
    pieces: tuple[tuple[int, str], ...]


class Returns:
    """`clock`: seconds since 1970."""

    def __init__(self, store: Store, counters: Counters, clock: Clock) -> None:
        self._store = store
        self._counters = counters
        self._clock = clock

    async def log(self, shop: Shop, sale: str, product: ProductId, quantity: Quantity) -> None:
        """An unknown order changes nothing, nor does the same return within a day. At most what was bought is returned."""

        def change(stored: dict[str, str]) -> tuple[dict[str, str], tuple[dict[str, str], Amounts]] | None:
            told = _return(stored, str(product), Decimal(quantity), int(self._clock()))
            if told is None:
                return None
            lowered = _returned_amounts(stored, told, shop.settings.currency)
            return _with_return(stored, told, lowered, shop.settings.currency), (stored, lowered)

        if changed := await self._store.sales.amend(shop.shop_id, sale, change):
            before, lowered = changed
            self._counters.count_return(shop.shop_id, int(before["time"]), lowered, attributed="missing" not in before)


def returned_pieces(stored: Mapping[str, str]) -> dict[int, Decimal]:
    """How many of each line were returned, by its index."""
    found: dict[int, Decimal] = {}
    for one in _returns(stored):
        for line, pieces in one.pieces:
            found[line] = found.get(line, Decimal(0)) + Decimal(pieces)
    return found


def shown_lines(stored: Mapping[str, str]) -> list[dict[str, object]]:
    """The lines as `SaleLine.stored` gives them, with `returned` if something was returned."""
    returned = returned_pieces(stored)
    lines = [line.stored() for line in unpacked_lines(stored["products"])]
    return [line | ({"returned": _number(returned[at])} if at in returned else {}) for at, line in enumerate(lines)]


def _returns(stored: Mapping[str, str]) -> list[Return]:
    return [Return(*one) for one in json.loads(stored.get("returned", "[]"))]


def _return(stored: Mapping[str, str], product: str, quantity: Decimal, now: int) -> Return | None:
    """None if nothing new was returned. If a product has several lines, the first ones are returned first."""
    before, returned, text = _returns(stored), returned_pieces(stored), f"{quantity.normalize():f}"
    if len(before) >= MOST_RETURNS or any((one.product, one.quantity) == (product, text) and now - one.at < DAY for one in before):
        return None
    left, pieces = quantity, []
    for at, line in enumerate(unpacked_lines(stored["products"])):
        taken = min(left, line.quantity - returned.get(at, Decimal(0))) if str(line.product) == product else Decimal(0)
        if taken > 0:
            left -= taken
            pieces.append((at, f"{taken.normalize():f}"))
    return Return(product, text, now, tuple(pieces)) if pieces else None


def _returned_amounts(stored: Mapping[str, str], told: Return, own_currency: str) -> Amounts:
    """By how much the order's figures fall. Labels fall by what they were credited with; others stay."""
    lines = unpacked_lines(stored["products"])
    amounts = {at: _revenue(lines, at, Decimal(pieces)) for at, pieces in told.pieces}
    credited = total(amount for at, amount in amounts.items() if lines[at].creditable)
    found = [credit for credit in unpacked_credits(stored) if str(credit.product) == told.product]
    labels = {label: credited for credit in found for label in credit.labels}
    return Amounts(total(amounts.values()), labels, foreign(stored, own_currency), stored.get("channel", ""))


def _revenue(lines: Sequence[SaleLine], at: int, pieces: Decimal) -> Decimal:
    return SaleLine(None, pieces, lines[at].price).revenue


def _with_return(stored: Mapping[str, str], told: Return, lowered: Amounts, own_currency: str) -> dict[str, str]:
    fields = {**stored, "revenue": f"{total([Decimal(stored['revenue']), -lowered.revenue]):f}"}
    fields["returned"] = compact([*_returns(stored), told])
    if is_provisional(stored):
        before = amounts_of(stored, own_currency)
        labels = {label: total([amount, -lowered.labels.get(label, Decimal(0))]) for label, amount in before.labels.items()}
        fields.pop("counted", None)
        fields |= amount_fields(Amounts(total([before.revenue, -lowered.revenue]), labels))
    return fields


def _number(quantity: Decimal) -> int | str:
    return int(quantity) if quantity == quantity.to_integral_value() else f"{quantity.normalize():f}"
