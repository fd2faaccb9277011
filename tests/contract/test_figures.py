"""Clicks, orders and revenue of a mixed day equal a plain recount exactly: per label and per currency, returns included.

A day of a shop: people with and without consent, robots, people who switched tracking off, retries, orders that the browser says first and
the shop says again, other currencies, discounts, and goods that come back.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from tests.conftest import Clock, Shopper

pytestmark = pytest.mark.anyio
SESSIONS, MANY = 400, 10_000
DAY = 86_400
OWN = "EUR"
LABELS = [f"{page} - {element}" for page in ("Home", "Product", "Cart", "Search") for element in ("Popular", "Similar", "Trending")]
PRODUCTS: list[str | int] = [*range(100, 120), *(f"SKU-{number:03}" for number in range(20)), "00107", 1_729_384_756_102_938_475]
PRICES = ["0.99", "19.95", "99.9500", "249", "7.5", "1299.00", "0"]
ROBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
Line = dict[str, Any]


@dataclass
class Recount:
    """What a day should have come to, added up call by call."""

    clicks: Counter[str] = field(default_factory=Counter)
    orders: Counter[str] = field(default_factory=Counter)
    of_labels: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    revenue: defaultdict[tuple[str, bool], Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    label_revenue: defaultdict[tuple[str, str], Decimal] = field(default_factory=lambda: defaultdict(Decimal))

    def click(self, labels: list[str]) -> None:
        self.clicks["all"] += 1
        for label in labels:
            self.of_labels[label]["clicks"] += 1

    def add(self, order: "Order", sign: int = 1) -> None:
        credited = order.credited()
        self.orders["attributed" if credited else "other"] += sign
        self.revenue[order.currency, bool(credited)] += sign * sum(map(amount_of, order.lines), Decimal(0))
        for label, amount in credited.items():
            self.of_labels[label]["orders"] += sign
            self.label_revenue[label, order.currency] += sign * amount

    def take_back(self, order: "Order", product: str, pieces: int) -> None:
        """An order is given back once, the first line of a product first."""
        left = Decimal(pieces)
        for line in order.lines:
            taken = max(min(left, Decimal(str(line["quantity"]))), Decimal(0)) if str(line["id"]) == product else Decimal(0)
            left -= taken
            amount = taken * Decimal(str(line["price"]))
            self.revenue[order.currency, bool(order.credited())] -= amount
            for label in order.clicked.get(product, ()) if is_bought(line) else ():
                self.label_revenue[label, order.currency] -= amount


@dataclass
class Order:
    """`clicked`: labels of the visitor's clicks on each product, by its ID as text."""

    sale: str
    lines: list[Line]
    currency: str
    clicked: dict[str, set[str]]

    def credited(self) -> dict[str, Decimal]:
        """Revenue by label."""
        found: defaultdict[str, Decimal] = defaultdict(Decimal)
        for line in filter(is_bought, self.lines):
            for label in self.clicked.get(str(line["id"]), ()):
                found[label] += amount_of(line)
        return dict(found)


def is_bought(line: Line) -> bool:
    return line["id"] is not None and Decimal(str(line["quantity"])) > 0 and Decimal(str(line["price"])) >= 0


def amount_of(line: Line) -> Decimal:
    return Decimal(str(line["quantity"])) * Decimal(str(line["price"]))


class Day:
    """Plays sessions, one after the other, and counts along."""

    def __init__(self, shopper: Shopper, clock: Clock, seed: int) -> None:
        self.shopper = shopper
        self.clock = clock
        self.random = Random(seed)
        self.recount = Recount()
        self.kept: list[Order] = []

    async def log(self, call: str, body: dict[str, Any], *, private: bool = False, robot: bool = False) -> None:
        key = "demo-private-key" if private else "demo-public-key"
        headers = {"user-agent": ROBOT, "origin": "http://localhost:8080"} if robot else {}
        assert (await self.shopper.post(f"/v2/log/{call}", body, key=key, **headers)).json() == {"status": "ok"}

    async def session(self, number: int) -> None:
        kind = self.random.choice(["consented", "consented", "cookieless", "cookieless", "own", "null", "nobody", "robot"])
        visitor = await self.visitor(kind, number)
        clicked: dict[str, set[str]] = {}
        for _ in range(self.random.randint(0, 5)):
            await self.click(kind, visitor, clicked)
        if kind != "robot" and self.random.random() < 0.4:
            await self.buy(number, visitor, clicked if kind not in {"null", "nobody"} else {})
        if self.kept and self.random.random() < 0.1:
            await self.give_back(self.kept.pop(self.random.randrange(len(self.kept))))

    async def visitor(self, kind: str, number: int) -> dict[str, Any]:
        """The members that say whose call it is."""
        if kind in {"consented", "cookieless"}:
            client = {"ip": f"198.51.{number // 250 % 250}.{number % 250}", "user_agent": f"Mozilla/5.0 person {number}"}
            consent = {"consent": "granted"} if kind == "consented" else {}
            return {"visitor": (await self.shopper.post("/v1/visitors", {"client": client} | consent)).json()["token"]}
        members: dict[str, dict[str, Any]] = {"own": {"visitor": f"own-{number}"}, "null": {"visitor": None}, "robot": {"visitor": "auto"}}
        return members.get(kind, {})

    async def click(self, kind: str, visitor: dict[str, Any], clicked: dict[str, set[str]]) -> None:
        product, labels = self.random.choice(PRODUCTS), self.random.sample(LABELS, self.random.choice([0, 1, 1, 1, 2]))
        await self.log("click", {"product": product, "labels": labels} | visitor, robot=kind == "robot")
        if kind != "robot":
            self.recount.click(labels)
            clicked.setdefault(str(product), set()).update(labels)

    async def buy(self, number: int, visitor: dict[str, Any], clicked: dict[str, set[str]]) -> None:
        """The browser says the order, or the shop, or both; and each says it again now and then."""
        order, known, verified = self.order(number, clicked), None, False
        for private in self.random.choice([[False], [True], [False, True], [True, False]]):
            said = order if private else self.order(number, clicked)
            body = {"sale": order.sale, "products": said.lines, "currency": said.currency if said.currency != OWN else None}
            for _ in range(self.random.choice([1, 1, 2])):
                await self.log("sale", body | visitor, private=private)
            if known is None or (private and not verified):
                if known:
                    self.recount.add(known, -1)
                self.recount.add(said)
                known, verified = said, private
        self.kept += [known] if known else []

    def order(self, number: int, clicked: dict[str, set[str]]) -> Order:
        choose = self.random.choice
        lines: list[Line] = [
            {"id": choose([*clicked, *PRODUCTS]), "quantity": choose([1, 1, 2, 3, "2", "1.0000"]), "price": choose([*PRICES, 12.5, 40])}
            for _ in range(self.random.randint(1, 4))
        ]
        extra: list[Line] = [
            {"id": None, "quantity": 1, "price": "4.95"},
            {"id": "voucher", "quantity": 1, "price": -5},
            {"id": lines[0]["id"], "quantity": -1, "price": 3},
            {"id": lines[0]["id"], "quantity": 0, "price": 3},
            {"id": "fabric", "quantity": "0.25", "price": 8},
        ]
        lines += self.random.sample(extra, choose([0, 0, 0, 1, 2]))
        return Order(f"S-{number}", lines, choose([OWN, OWN, OWN, "SEK", "JPY"]), clicked)

    async def give_back(self, order: Order) -> None:
        product, pieces = self.random.choice([one for one in order.lines if one["id"] is not None])["id"], self.random.randint(1, 4)
        for _ in range(2):
            await self.log("returned", {"order": order.sale, "product": product, "quantity": pieces}, private=True)
        self.recount.take_back(order, str(product), pieces)


async def test_a_mixed_day_adds_up_exactly(shopper: Shopper, clock: Clock, long: bool) -> None:
    number = MANY if long else SESSIONS
    day = Day(shopper, clock, number)
    for session in range(number):
        await day.session(session)
        clock.forward(DAY / number)
    answer = await shopper.client.get("/v1/labels?days=2", headers={"authorization": "Bearer demo-private-key"})
    found, recount = answer.json(), day.recount
    assert (found["attributed_orders"], found["other_orders"]) == (recount.orders["attributed"], recount.orders["other"])
    assert {one["label"]: (one["clicks"], one["orders"]) for one in found["labels"]} == {
        label: (counts["clicks"], counts["orders"]) for label, counts in recount.of_labels.items()
    }
    for member, attributed in (("attributed_revenues", True), ("other_revenues", False)):
        expected = {currency: amount for (currency, of), amount in recount.revenue.items() if of is attributed}
        assert {currency: Decimal(amount) for currency, amount in found[member].items()} == expected
    assert {
        (one["label"], currency): Decimal(amount)
        for one in found["labels"]
        for currency, amount in one["revenues"].items()
        if Decimal(amount)
    } == {of: amount for of, amount in recount.label_revenue.items() if amount}
    assert found["attributed_revenue"] == found["attributed_revenues"][OWN]
