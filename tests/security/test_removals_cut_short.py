"""What a withdrawal and an erasure promise, where something cuts them short, overtakes them, or was written into the store by hand."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2 as httpx
import pytest
import redis

from identity_service.app import Application
from identity_service.errors import StoreUnavailable
from identity_service.model.shop import ShopId
from identity_service.settings.load import load
from identity_service.store.keys import REPAIR_LOCK
from identity_service.store.redis.command import Command
from tests.conftest import Clock, Shopper
from tests.contract.test_provisional_orders import BUYER, PRIVATE, PUBLIC, clicked, order, sell
from tests.stores import sale_at
from tests.test_privacy import dump

pytestmark = pytest.mark.anyio
SHOP = ShopId("demo")
Workers = tuple[Application, Application]


def shopper_of(application: Application) -> Shopper:
    transport = httpx.ASGITransport(application, client=("203.0.113.7", 4711))
    return Shopper(httpx.AsyncClient(transport=transport, base_url="http://service.test"))


@pytest.fixture
async def workers(environment: dict[str, str], clock: Clock) -> AsyncIterator[Workers]:
    settings = load("development", environment | {"IDENTITY_LIMITS__VISITORS_PER_HANDLE": "4"})
    made = Application(settings, clock), Application(settings, clock)
    yield made
    for one in made:
        await one.services.store.client.close()


def links_key(application: Application, email: str) -> str:
    return application.services.store.keys.handle(SHOP, application.services.handles.of_email("demo", email))


def found_of(database: redis.Redis, *words: str) -> list[str]:
    """Keys whose name or value has one of the words."""
    lines = [line for line in dump(database) if any(word in line for word in words)]
    return sorted({line.partition(" ")[0] for line in lines})


async def test_a_flood_of_orders_does_not_keep_a_person_from_withdrawing(workers: Workers, database: redis.Redis) -> None:
    flooding, withdrawing = workers
    person = await clicked(shopper_of(withdrawing), "Real")

    async def flood(worker: int) -> None:
        for number in range(100):
            body = {"sale": f"X-{worker}-{number}", "products": [1], "visitor": person["visitor"]}
            await shopper_of(flooding).post("/v2/log/sale", body, key=PUBLIC)

    floods = [asyncio.create_task(flood(worker)) for worker in range(64)]
    await asyncio.sleep(0.2)
    answer = await shopper_of(withdrawing).post("/v1/consents", {"token": person["token"], "consent": "refused"})
    for one in floods:
        one.cancel()
    await asyncio.gather(*floods, return_exceptions=True)
    assert answer.status_code == 200, answer.text


class HeldReply:
    """Holds one worker's first unit that has a command of these words, once it is answered."""

    def __init__(self, application: Application, *words: str) -> None:
        self._client, self._words = application.services.store.client, words
        self._run = self._client.run
        self.held, self.released = asyncio.Event(), asyncio.Event()
        setattr(self._client, "run", self.run)  # noqa: B010

    async def run(self, *unit: Command) -> list[Any]:
        replies = await self._run(*unit)
        if not self.held.is_set() and all(any(str(part).endswith(word) for one in unit for part in one.words) for word in self._words):
            self.held.set()
            await asyncio.wait_for(self.released.wait(), 10)
        return replies


async def test_an_order_is_not_credited_to_clicks_that_were_withdrawn_while_it_was_decided(application: Application, clock: Clock) -> None:
    """What the write assumes of the visitor is that of the moment of the decision, not whatever this worker read since."""
    shopper, own = shopper_of(application), {"visitor": "own-1"}
    await shopper.post("/v1/consents", own | {"consent": "granted"})
    await shopper.post("/v2/log/click", own | {"product": "real", "labels": ["Erased"]})
    gate = HeldReply(application, "GET", ":events")
    sale = asyncio.create_task(sell(shopper, PRIVATE, **own))
    await asyncio.wait_for(gate.held.wait(), 10)
    clock.forward(1)
    assert (await shopper.post("/v1/erasures", own)).status_code == 200
    clock.forward(1)
    assert (await shopper.post("/v1/consents", own | {"consent": "granted"})).json()["mode"] == "persistent"
    await shopper.post("/v1/visitors", own)
    gate.released.set()
    await sale
    assert (await order(shopper))["labels"] == []


async def cut_off_erasure(application: Application, shopper: Shopper, email: str) -> None:
    """Noted, and cut off before its first step."""
    removals = application.services.store.removals

    async def dies(*_: Any) -> Any:
        raise StoreUnavailable

    with pytest.MonkeyPatch.context() as dying:
        dying.setattr(removals, "erase_noted", dies)
        assert (await shopper.post("/v1/erasures", {"email": email})).status_code == 503


async def repaired(application: Application, database: redis.Redis, clock: Clock) -> None:
    for _ in range(3):
        clock.forward(100)
        database.delete(REPAIR_LOCK)
        await application.keep_up()


async def test_a_stranger_cannot_save_a_visitor_from_an_erasure_that_is_noted(
    application: Application, shopper: Shopper, clock: Clock, database: redis.Redis
) -> None:
    """A repeated link without any proof moves the time of the proven one, and the erasure lets it stand with all that was before."""
    person = await clicked(shopper, "Real")
    await shopper.post("/v1/links", {"email": BUYER, "visitor": person["visitor"]})
    await cut_off_erasure(application, shopper, BUYER)
    clock.forward(5)
    await shopper.post("/v2/log/email", {"email": BUYER, "visitor": person["visitor"], "markup": True}, key=PUBLIC)
    await repaired(application, database, clock)
    assert (await shopper.post("/v1/events", {"visitor": person["visitor"]})).json()["events"] == []


async def test_what_was_before_a_noted_erasure_goes_although_the_visitor_linked_again(
    application: Application, shopper: Shopper, clock: Clock, database: redis.Redis
) -> None:
    person = await clicked(shopper, "Real")
    await sell(shopper, PRIVATE, visitor=person["token"], email=BUYER)
    await cut_off_erasure(application, shopper, BUYER)
    clock.forward(5)
    await shopper.post("/v2/log/email", {"email": BUYER, "visitor": person["token"]}, key=PUBLIC)
    await repaired(application, database, clock)
    assert (await shopper.post("/v1/events", {"visitor": person["visitor"]})).json()["events"] == []


async def test_a_linking_refusal_of_a_token_that_has_ended_leaves_no_record_without_end(
    shopper: Shopper, clock: Clock, database: redis.Redis
) -> None:
    """By a robot, whose calls change nothing else. EXPIRE with a time that has passed deletes the record; the next HSET makes it anew."""
    person = (await shopper.browser("/v1/visitors")).json()
    clock.forward(40 * 86_400)
    robot = {"user_agent": "Googlebot/2.1 (+http://www.google.com/bot.html)"}
    body = {"token": person["token"], "consent": {"purposes": {"linking": "refused"}}}
    await shopper.browser("/v1/visitors", body, **robot)
    endless = [key for key in database.scan_iter("id:v2:{demo}:V:*") if database.ttl(key) == -1]
    assert endless == []


@pytest.mark.parametrize("letters", ["sV", "sx"])
async def test_a_link_with_an_unknown_proof_leaves_no_half_sale(
    application: Application, shopper: Shopper, database: redis.Redis, letters: str
) -> None:
    """An operator's typo in the public form of E. Either the sale is whole, or nothing of it is written."""
    await sell(shopper, PRIVATE, sale="B-1", visitor="own-1", email=BUYER)
    key = links_key(application, BUYER)
    database.hset(key, "own-1", str(database.hget(key, "own-1"))[:-2] + letters)
    before = len(list(database.scan_iter("*:S:*")))
    body = {"sale": "A-1", "products": [{"id": "real", "price": 50}], "visitor": "own-1", "email": BUYER, "customer": "77"}
    answer = await shopper.post("/v2/log/sale", body)
    written = len(list(database.scan_iter("*:S:*"))) > before
    assert (answer.status_code == 200) == written, (answer.status_code, written)


async def test_a_half_sale_is_found_by_an_erasure(application: Application, shopper: Shopper, database: redis.Redis) -> None:
    """As above; the caller repeats the call, and hears that all is well."""
    await sell(shopper, PRIVATE, sale="B-1", visitor="own-1", email=BUYER)
    key = links_key(application, BUYER)
    database.hset(key, "own-1", str(database.hget(key, "own-1"))[:-1] + "x")
    body = {"sale": "A-1", "products": [{"id": "real", "price": 50}], "visitor": "own-1", "email": BUYER, "customer": "77"}
    for _ in range(2):
        await shopper.post("/v2/log/sale", body)
    await shopper.post("/v1/erasures", {"customer": "77"})
    stored = [sale_at(database, key) for key in database.scan_iter("*:S:*")]
    assert [one["sale"] for one in stored if "customer" in one] == []


@pytest.mark.parametrize("value", ["", "yesterday", "1 2 3", "1 2 3 v", "-5 0 9 lv"])
async def test_an_unreadable_link_costs_no_order_and_no_erasure(workers: Workers, database: redis.Redis, value: str) -> None:
    application, shopper = workers[0], shopper_of(workers[0])
    for name in ("k-1", "k-2", "k-3"):
        await shopper.post("/v1/links", {"email": BUYER, "visitor": name})
    database.hset(links_key(application, BUYER), "typo", value)
    told: dict[str, Any] = {"sale": "A-1", "products": [1], "visitor": "own-1", "email": BUYER}
    assert (await shopper.post("/v2/log/sale", told)).status_code == 200
    for path in ("lookups", "exports", "erasures"):
        assert (await shopper.post(f"/v1/{path}", {"email": BUYER})).status_code == 200
