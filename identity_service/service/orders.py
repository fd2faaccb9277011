"""A shop's orders: listed, found, and explained: why they are attributed or not."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar

from identity_service.model.attribution import ATTRIBUTED, EXPLANATIONS, ONE_LABEL, Break
from identity_service.model.event import EventType
from identity_service.model.handle import Handle, handle_named
from identity_service.model.person import Person
from identity_service.model.shop import Shop
from identity_service.model.visitor import VisitorId
from identity_service.service.figures import FigureReader
from identity_service.service.returns import shown_lines
from identity_service.store import Store
from identity_service.store.sales import names_in, unpacked_credits

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"
ENOUGH_CLICKS = 10
"""With fewer clicks, a single label is normal."""
ORDERS_AT_ONCE = 20
"""Orders that are read in one batch. An order may have 128 KiB."""
MOST_LISTED = 20
"""Product IDs and labels of an order that a list shows."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Order:
    """`products`: from `shown_lines`. `revenue`: without returns. `credits`: members of attribution.Credit. `mode`: null, none,
    cookieless or persistent, at the time of the sale. `verified`: a private key reported it. `handles`: the email and the customer ID.
    `channel`: of an order that no person placed: agent:NAME, or bot."""

    sale: str
    time: int
    verified: bool
    mode: str
    revenue: Decimal
    currency: str
    products: list[dict[str, Any]]
    visitor: VisitorId | None
    credits: list[dict[str, Any]]
    missing: Break | None
    handles: list[Handle]
    channel: str | None

    @property
    def labels(self) -> list[str]:
        return list(dict.fromkeys(label for credit in self.credits for label in credit["labels"]))


@dataclass(frozen=True, slots=True)
class ListedOrder:
    """What a list shows of an order: its first product IDs and labels, and how many follow. `attributed`: whether a click led to it."""

    sale: str
    time: int
    verified: bool
    mode: str
    revenue: Decimal
    currency: str
    visitor: VisitorId | None
    channel: str | None
    attributed: bool
    products: list[str | int]
    more_products: int
    labels: list[str]
    more_labels: int

    @classmethod
    def of(cls, order: Order) -> "ListedOrder":
        bought = [line["id"] for line in order.products if line["id"] is not None]
        labels = order.labels
        return cls(
            sale=order.sale,
            time=order.time,
            verified=order.verified,
            mode=order.mode,
            revenue=order.revenue,
            currency=order.currency,
            visitor=order.visitor,
            channel=order.channel,
            attributed=bool(order.credits),
            products=bought[:MOST_LISTED],
            more_products=len(bought[MOST_LISTED:]),
            labels=labels[:MOST_LISTED],
            more_labels=len(labels[MOST_LISTED:]),
        )


@dataclass(frozen=True, slots=True)
class OrderFilter:
    """Which orders are wanted. `since` and `until`: seconds since 1970, the second one excluded. `product`: an ID as text."""

    since: int | None = None
    until: int | None = None
    attributed: bool | None = None
    product: str | None = None

    def has(self, order: Order) -> bool:
        """Whether the order is wanted. The times are not looked at: only orders of these times are read."""
        of_product = self.product is None or any(str(line["id"]) == self.product for line in order.products if line["id"] is not None)
        return of_product and (self.attributed is None or self.attributed == bool(order.credits))


ALL_ORDERS = OrderFilter()


@dataclass(frozen=True, slots=True)
class Explanation:
    """`broken`: the first missing link, None for an attributed order. `hint`: a problem of an attributed order."""

    order: Order
    broken: Break | None
    text: str
    hint: str | None = None


class Orders:
    """Anybody with the public key can make large orders. So lists keep of each order only what `form` makes of it, and other calls run
    between two orders."""

    def __init__(self, store: Store, figures: FigureReader) -> None:
        self._store = store
        self._figures = figures

    async def search(
        self, shop: Shop, form: Callable[[Order], T], cursor: str | None, most: int, most_read: int, wanted: OrderFilter = ALL_ORDERS
    ) -> tuple[list[T], str | None]:
        """At most `most` orders that are wanted, newest first, among the next `most_read`; and the cursor of the rest."""
        digests = await self._store.activity.orders(shop.shop_id, cursor, most_read + 1, wanted.since, wanted.until)
        shown: list[T] = []
        async with aclosing(self._each(shop, digests[:most_read])) as read:
            async for digest, order in read:
                if wanted.has(order):
                    shown.append(form(order))
                    if len(shown) == most:
                        return shown, digest if digest != digests[-1] else None
        return shown, digests[most_read - 1] if len(digests) > most_read else None

    async def of_handle(self, shop: Shop, form: Callable[[Order], T], handle: Handle, shown: slice) -> tuple[list[T], int]:
        """Orders that name the email or customer ID, newest first, those that `shown` selects; and how many there are, at most 500."""
        return await self._of_person(shop, form, handle, await self._store.sales.of_handle(shop.shop_id, handle), shown)

    async def of_visitor(self, shop: Shop, form: Callable[[Order], T], visitor: VisitorId, shown: slice) -> tuple[list[T], int]:
        """As `of_handle`, of the orders that name the visitor."""
        return await self._of_person(shop, form, visitor, await self._store.visitors.sale_digests(shop.shop_id, visitor), shown)

    async def _of_person(
        self, shop: Shop, form: Callable[[Order], T], person: Person, digests: Sequence[str], shown: slice
    ) -> tuple[list[T], int]:
        """Only the heads of orders that are not shown are read. A person may be erased between the two reads."""
        heads = await self._store.sales.named_by(shop.shop_id, digests)
        named = sorted((-int(head["time"]), digest) for digest, head in heads.items() if person in _persons_in(head))
        each = self._each(shop, [digest for _, digest in named[shown]])
        return [form(order) async for _, order in each if person in (order.visitor, *order.handles)], len(named)

    async def _each(self, shop: Shop, digests: Sequence[str]) -> AsyncGenerator[tuple[str, Order]]:
        """Those that are still stored, each with its digest."""
        for start in range(0, len(digests), ORDERS_AT_ONCE):
            part = digests[start : start + ORDERS_AT_ONCE]
            for digest, stored in zip(part, await self._store.sales.each(shop.shop_id, part), strict=True):
                if stored:
                    yield digest, _order(shop, stored)
                    await asyncio.sleep(0)

    async def order(self, shop: Shop, sale: str) -> Order | None:
        stored = await self._store.sales.by_id(shop.shop_id, sale)
        return _order(shop, stored) if stored else None

    async def explain(self, shop: Shop, order: Order) -> Explanation:
        if order.credits:
            hint = ONE_LABEL if await self._has_one_label(shop) else None
            return Explanation(order, None, ATTRIBUTED, hint)
        broken = order.missing or Break.NO_CLICK
        if order.visitor is None and order.mode in {"cookieless", "persistent"}:
            broken = Break.ERASED
        elif broken is Break.NO_CLICK and order.visitor and await self._similar_clicked(shop, order):
            broken = Break.SIMILAR_VISITOR
        return Explanation(order, broken, EXPLANATIONS[broken])

    async def _has_one_label(self, shop: Shop) -> bool:
        figures, _ = await self._figures.labels(shop, shop.settings.attribution_days)
        clicked = [one for one in figures if one.clicks]
        return len(clicked) == 1 and clicked[0].clicks >= ENOUGH_CLICKS

    async def _similar_clicked(self, shop: Shop, order: Order) -> bool:
        """Whether an ID one character away clicked a product of the order."""
        bought = {str(line["id"]) for line in order.products if line["id"] is not None}
        for near in await self._store.events.with_events(shop.shop_id, list(one_character_away(str(order.visitor)))):
            clicks = await self._store.events.of(shop.shop_id, near, kind=EventType.CLICK)
            clicked = {str(product) for click in clicks for product in click.products}
            if clicked & bought:
                return True
        return False


def _persons_in(head: Mapping[str, str]) -> list[Person]:
    """Whom an order names."""
    visitors = [VisitorId(head["visitor"])] if "visitor" in head else []
    return [*visitors, *map(handle_named, names_in(head))]


def one_character_away(visitor: str) -> Iterator[VisitorId]:
    """Every ID that differs by one character: changed, added or left out."""
    found = {visitor[:at] + visitor[at + 1 :] for at in range(len(visitor))}
    found |= {visitor[:at] + letter + visitor[at + 1 :] for at in range(len(visitor)) for letter in ALPHABET}
    found |= {visitor[:at] + letter + visitor[at:] for at in range(len(visitor) + 1) for letter in ALPHABET}
    found |= {visitor.lower(), visitor.upper()}
    return (VisitorId(one) for one in sorted(found - {visitor, ""}))


def _order(shop: Shop, stored: dict[str, str]) -> Order:
    missing = stored.get("missing")
    return Order(
        sale=stored["sale"],
        time=int(stored["time"]),
        verified="verified" in stored,
        mode=stored["mode"],
        revenue=Decimal(stored["revenue"]),
        currency=stored.get("currency", shop.settings.currency),
        products=shown_lines(stored),
        visitor=VisitorId(stored["visitor"]) if "visitor" in stored else None,
        credits=[credit.members() for credit in unpacked_credits(stored)],
        missing=Break(missing) if missing else None,
        handles=[handle_named(name) for name in names_in(stored)],
        channel=stored.get("channel"),
    )
