"""The lists by which orders are found, against all that may happen to them at once: sales of any key, erasures, withdrawals, links, and a
clock that jumps. Every order is kept, whoever it names finds it, no list grows past its cap, and who is erased is found nowhere.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from identity_service.model.link import LinkCaps
from identity_service.model.shop import ShopId
from identity_service.settings.load import load
from tests.conftest import Clock, Shopper, shopping
from tests.faults.whole import dumped, faults_of
from tests.stores import sale_at

pytestmark = pytest.mark.anyio
SALES = 6
CAPS = LinkCaps(6, 4)
HANDLES = ({"email": "a@example.com"}, {"email": "b@example.com"}, {"customer": "C-1"})
BOUGHT = [{"id": 1, "price": 2}]
DEMO = ShopId("demo")
PERSONAL = {"visitor", "email", "customer", "attribution", "by_token"}


@pytest.fixture
async def shopper(environment: dict[str, str], clock: Clock) -> AsyncIterator[Shopper]:
    caps = {"VISITORS_PER_HANDLE": CAPS.visitors_per_handle, "EMAILS_PER_VISITOR": CAPS.emails_per_visitor, "EVENTS_PER_VISITOR": 30}
    told = {f"IDENTITY_LIMITS__{name}": str(most) for name, most in caps.items()}
    async with shopping(load("development", environment | told), clock) as found:
        found.application.services.store.sales.most = SALES
        yield found


class Crowd:
    """Calls at random about few persons. `tokens`: of sessions that there are."""

    def __init__(self, shopper: Shopper, tokens: list[dict[str, Any]], seed: int) -> None:
        self.shopper = shopper
        self.tokens = tokens
        self.random = random.Random(seed)
        self.visitors: list[str] = ["visitor-1", "visitor-2", *(one["visitor"] for one in tokens)]
        self.sold: set[str] = set()

    async def call(self) -> None:
        calls = {"sale": 8, "click": 1, "link": 1, "unlink": 1, "erase": 1, "withdraw": 1, "refuse": 1}
        [name] = self.random.choices(list(calls), list(calls.values()))
        await getattr(self, name)()

    async def sale(self) -> None:
        sale, handles = f"S-{self.random.randrange(40)}", self.random.sample(HANDLES, self.random.randrange(3))
        body: dict[str, Any] = {"sale": sale, "products": BOUGHT, "markup": self.random.random() < 0.2}
        for handle in handles:
            body |= handle
        none: dict[str, Any] = {}
        shown = self.random.choice([none, {"visitor": None}, *({"visitor": one} for one in (*self.visitors, *self.texts()))])
        answer = await self.shopper.post("/v2/log/sale", body | shown, key=self.key())
        assert answer.json() == {"status": "ok"}
        self.sold.add(sale)

    async def click(self) -> None:
        await self.shopper.post("/v2/log/click", {"product": 1, "labels": ["Home"], "visitor": self.visitor()}, key=self.key())

    async def link(self) -> None:
        await self.shopper.post("/v1/links", {"visitor": self.visitor()} | self.handle())

    async def unlink(self) -> None:
        await self.shopper.post("/v1/unlinks", {"visitor": self.visitor()} | self.handle())

    async def erase(self) -> None:
        person = self.random.choice([self.handle(), {"visitor": self.visitor()}])
        await self.shopper.post("/v1/erasures", person | {"unproven": self.random.random() < 0.3})

    async def withdraw(self) -> None:
        said = self.random.choice(["granted", "granted", "refused"])
        await self.shopper.post("/v1/consents", {"visitor": self.visitor(), "consent": said})

    async def refuse(self) -> None:
        await self.shopper.post("/v1/consents", {"visitor": self.visitor(), "consent": {"purposes": {"linking": "refused"}}})

    def key(self) -> str:
        return self.random.choice(["demo-public-key", "demo-private-key"])

    def visitor(self) -> str:
        return self.random.choice(self.visitors)

    def handle(self) -> dict[str, str]:
        return self.random.choice(HANDLES)

    def texts(self) -> list[str]:
        return [one["token"] for one in self.tokens]


def too_full(database: Any) -> list[str]:
    found = []
    for key in (key for pattern in ("*:E:*", "*:sales") for key in database.scan_iter(pattern)):
        scores = [int(score) for field, score in database.hgetall(key).items() if field[0] == "$"]
        if len(scores) > SALES or sum(score < 0 for score in scores) > SALES // 2:
            found.append(f"{key}: {scores}")
    return found


@pytest.mark.parametrize("seed", range(4))
async def test_orders_are_kept_and_found_and_lists_stay_short(shopper: Shopper, database: Any, clock: Clock, seed: int) -> None:
    tokens = [(await shopper.post("/v1/visitors")).json() for _ in range(3)]
    crowd = Crowd(shopper, tokens, seed)
    keys = shopper.application.services.store.keys
    for _ in range(120):
        await asyncio.gather(*(crowd.call() for _ in range(crowd.random.choice([1, 1, 3, 12]))))
        clock.forward(crowd.random.choice([0, 1, 60, -30, -3_600, 5_000]))
        assert faults_of(dumped(database), keys, CAPS) == []
        assert too_full(database) == []
    stored = {keys.sale_of(DEMO, keys.sale_digest(DEMO, sale)) for sale in crowd.sold}
    assert set(database.scan_iter("*:S:*")) == stored
    for person in (*HANDLES, *({"visitor": visitor} for visitor in crowd.visitors)):
        assert (await shopper.post("/v1/erasures", person)).status_code == 200
    assert set(database.scan_iter("*:S:*")) == stored
    assert [
        sale for key in stored if {"visitor", "email", "customer", "attribution", "by_token"} & set(sale := sale_at(database, key))
    ] == []
    assert [visitor for visitor in crowd.visitors for key in stored if visitor in database.get(key)] == []
    assert [*database.scan_iter("*:sales"), *database.scan_iter("*:E:*")] == []
