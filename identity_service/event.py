"""Tracking events: what a visitor clicked and bought."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

ProductId = str | int


@dataclass(frozen=True, slots=True)
class SaleLine:
    """`price` is the unit price; None when the shop sent only product IDs."""

    product: ProductId
    quantity: int = 1
    price: Decimal | None = None

    def stored(self) -> dict[str, Any]:
        return {"id": self.product, "quantity": self.quantity} | ({} if self.price is None else {"price": str(self.price)})


@dataclass(frozen=True, slots=True)
class Sale:
    """`sale` is the shop's order ID as text. `time` in seconds since 1970."""

    sale: str
    lines: tuple[SaleLine, ...]
    time: int


@dataclass(frozen=True, slots=True)
class Click:
    """`labels` name the element that showed the product, `api` the call that filled it."""

    product: ProductId
    labels: tuple[str, ...]
    api: str | None
    time: int

    def stored(self) -> dict[str, Any]:
        return {"type": "click", "time": self.time, "product": self.product, "labels": list(self.labels), "api": self.api}
