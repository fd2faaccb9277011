"""Sales and links of two workers on one store, held or cut off at one step while the other goes on."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2 as httpx
import pytest
import redis

from identity_service.app import Application
from identity_service.errors import StoreUnavailable
from identity_service.model.link import LinkCaps
from identity_service.model.shop import ShopId
from identity_service.model.visitor import VisitorId
from identity_service.settings.load import load
from identity_service.settings.schema import Settings
from identity_service.store.redis.command import Command, script
from tests.conftest import Clock, Shopper
from tests.faults.whole import dumped, faults_of
from tests.stores import sale_at

pytestmark = pytest.mark.anyio
SHOP = ShopId("demo")
LUKE = "luke@skywalker.com"
Workers = tuple[Application, Application]


class Gate:
    """Holds the first unit of one worker with one of certain scripts, or with any where none is named, or fails it once it is released.
    `skips`: so many units go by before."""

    def __init__(self, application: Application, *scripts: str, before: bool = True, skips: int = 0) -> None:
        self._client = application.services.store.client
        self._scripts, self._before, self._skips = scripts, before, skips
        self._run = self._client.run
        self.held, self.released = asyncio.Event(), asyncio.Event()
        self.fails = False
        setattr(self._client, "run", self.run)  # noqa: B010

    def fail(self) -> None:
        """As if the worker, or its connection, died there."""
        self.fails = True
        self.released.set()

    def open(self) -> None:
        """For what comes later, whether anything was held or not."""
        setattr(self._client, "run", self._run)  # noqa: B010

    async def run(self, *unit: Command) -> list[Any]:
        if self.held.is_set() or not self._concerns(unit):
            return await self._run(*unit)
        replies = None if self._before else await self._run(*unit)
        self.held.set()
        await asyncio.wait_for(self.released.wait(), 10)
        if self.fails:
            raise StoreUnavailable
        return await self._run(*unit) if replies is None else replies

    def _concerns(self, unit: tuple[Command, ...]) -> bool:
        if self._scripts and not any(one.source and one.source.name in self._scripts for one in unit):
            return False
        self._skips -= 1
        return self._skips < 0


def shopper_of(application: Application) -> Shopper:
    transport = httpx.ASGITransport(application, client=("203.0.113.7", 4711))
    return Shopper(httpx.AsyncClient(transport=transport, base_url="http://service.test"))


@pytest.fixture
async def workers(settings: Settings, clock: Clock, database: redis.Redis) -> AsyncIterator[Workers]:
    """Afterwards, and without any repair, the store is whole."""
    made = Application(settings, clock), Application(settings, clock)
    yield made
    for one in made:
        await one.services.store.client.close()
    assert_whole(made[0], database)


def assert_whole(application: Application, database: redis.Redis) -> None:
    faults = faults_of(dumped(database), application.services.store.keys, LinkCaps(1_000, 20))
    assert not faults, "\n".join(faults)


def sale_of(application: Application, database: redis.Redis, sale: str) -> dict[str, str]:
    keys = application.services.store.keys
    return sale_at(database, keys.sale_of(SHOP, keys.sale_digest(SHOP, sale)))


async def granted(shopper: Shopper) -> tuple[str, str]:
    answer = (await shopper.post("/v1/consents", {"consent": "granted"})).json()
    return answer["token"], answer["visitor"]


def personal(stored: dict[str, str]) -> set[str]:
    return {"visitor", "email", "customer", "attribution"} & set(stored)


def changes(database: redis.Redis) -> int:
    """Writes of the store so far."""
    return int(database.info("persistence")["rdb_changes_since_last_save"])


@pytest.mark.parametrize("handles", [{}, {"email": LUKE}, {"email": LUKE, "customer": "C-1"}])
@pytest.mark.parametrize("cut_off", [False, True])
async def test_a_sale_that_a_withdrawal_overtakes_names_nobody(
    workers: Workers, database: redis.Redis, handles: dict[str, str], cut_off: bool
) -> None:
    """Not for a moment: also where its worker dies as soon as it is there, and nobody repeats it, nothing is left to be taken away."""
    slow, swift = workers
    token, _ = await granted(shopper_of(slow))
    before, rewrite = Gate(slow, "sell"), slow.services.store.keys.rewrite(SHOP)
    sale = asyncio.create_task(shopper_of(slow).post("/v2/log/sale", {"sale": 1, "products": [1], "visitor": token} | handles))
    await asyncio.wait_for(before.held.wait(), 20)
    assert (await shopper_of(swift).post("/v1/visitors", {"token": token, "consent": "refused"})).json()["mode"] == "null"
    database.delete(rewrite)
    if cut_off:
        Gate(slow, "sell", before=False).fail()
    before.released.set()
    assert (await sale).status_code == (503 if cut_off else 200)
    assert personal(sale_of(slow, database, "1")) == set()
    assert cut_off or sale_of(slow, database, "1")["mode"] == "null"
    assert not database.exists(rewrite)


@pytest.mark.parametrize("email", [{}, {"email": LUKE}])
async def test_a_sale_that_a_withdrawal_and_a_new_grant_overtake_is_found_by_the_next_withdrawal(
    workers: Workers, database: redis.Redis, clock: Clock, email: dict[str, str]
) -> None:
    slow, swift = workers
    own: dict[str, Any] = {"visitor": "own-1"}
    await shopper_of(swift).post("/v1/consents", own | {"consent": "granted"})
    gate = Gate(slow, "sell")
    body = own | email | {"sale": 1, "products": [1]}
    sale = asyncio.create_task(shopper_of(slow).post("/v2/log/sale", body))
    await asyncio.wait_for(gate.held.wait(), 20)
    for consent in ("refused", "granted"):
        clock.forward(1)
        await shopper_of(swift).post("/v1/consents", own | {"consent": consent})
    gate.released.set()
    await sale
    clock.forward(1)
    await shopper_of(swift).post("/v1/erasures", own)
    assert await shopper_of(swift).visitors(email=LUKE) == []
    assert personal(sale_of(slow, database, "1")) == set()


@pytest.mark.parametrize("path", ["/v2/log/sale", "/v1/links"])
async def test_no_link_is_left_after_a_refusal_of_linking_was_acknowledged(workers: Workers, path: str) -> None:
    slow, swift = workers
    token, _ = await granted(shopper_of(slow))
    gate = Gate(slow, "link", "sell")
    body = {"email": LUKE, "token": token} if path == "/v1/links" else {"sale": 1, "products": [1], "visitor": token, "email": LUKE}
    call = asyncio.create_task(shopper_of(slow).post(path, body))
    await asyncio.wait_for(gate.held.wait(), 20)
    refusal = {"token": token, "consent": {"purposes": {"linking": "refused"}}}
    assert (await shopper_of(swift).post("/v1/consents", refusal)).json()["linkable"] is False
    gate.released.set()
    assert (await call).status_code == (409 if path == "/v1/links" else 200)
    assert await shopper_of(swift).visitors(email=LUKE) == []


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("own", [True, False])
async def test_a_sale_cut_off_at_any_call_is_there_whole_or_not_at_all_and_its_repetition_makes_it_once(
    workers: Workers, database: redis.Redis, before: bool, own: bool
) -> None:
    """With its place in the shop's list, its indexes, its event and its links."""
    slow, swift = workers
    for call in range(20):
        for key in database.scan_iter("id:v2:{demo}:*"):
            database.delete(key)
        visitor, token = ("own-1", "own-1") if own else (await granted(shopper_of(swift)))[::-1]
        body = {"sale": 1, "products": [1], "visitor": token, "email": LUKE, "customer": "C-1"}
        gate = Gate(slow, before=before, skips=call)
        gate.fail()
        answer = await shopper_of(slow).post("/v2/log/sale", body)
        gate.open()
        assert answer.status_code in {200, 503}
        assert_whole(slow, database)
        kept = sale_of(slow, database, "1")
        assert await told_of(swift, visitor) == ([visitor], 1) if kept else ([], 0)
        assert (await shopper_of(swift).post("/v2/log/sale", body)).json() == {"status": "ok"}
        assert_whole(slow, database)
        assert await told_of(swift, visitor) == ([visitor], 1)
        if not gate.held.is_set():
            assert call > 0
            return
    raise AssertionError("the sale never came to its end")


async def told_of(application: Application, visitor: str) -> tuple[list[str], int]:
    """Visitors of the email, and how many sales the visitor's events tell."""
    shopper = shopper_of(application)
    events = (await shopper.post("/v1/events", {"visitor": visitor})).json()["events"]
    return [one["visitor"] for one in await shopper.visitors(email=LUKE)], [one["type"] for one in events].count("sale")


async def test_a_sale_whose_script_the_store_lost_is_there_whole(workers: Workers, database: redis.Redis) -> None:
    slow, swift = workers
    database.script_flush()
    body = {"sale": 1, "products": [1], "visitor": "own-1", "email": LUKE}
    assert (await shopper_of(slow).post("/v2/log/sale", body)).json() == {"status": "ok"}
    assert await told_of(swift, "own-1") == (["own-1"], 1)


async def test_a_repeated_sale_takes_no_link_away(environment: dict[str, str], database: redis.Redis, clock: Clock) -> None:
    """At a full handle nobody gives way to the link of a sale that is an old one."""
    application = Application(load("development", environment | {"IDENTITY_LIMITS__VISITORS_PER_HANDLE": "4"}), clock)
    shopper = shopper_of(application)
    await shopper.post("/v2/log/sale", {"sale": 1, "products": [1], "visitor": "own-0"})
    for number in range(1, 5):
        key = "demo-public-key" if number < 3 else "demo-private-key"
        await shopper.post("/v2/log/email", {"email": LUKE, "visitor": f"own-{number}"}, key=key)
        clock.forward(1)
    before = {one["visitor"] for one in await shopper.visitors(email=LUKE)}
    await shopper.post("/v2/log/sale", {"sale": 1, "products": [1], "visitor": "own-9", "email": LUKE})
    after = {one["visitor"] for one in await shopper.visitors(email=LUKE)}
    await application.services.store.client.close()
    assert len(before) == 4
    assert after == before


async def test_a_sale_of_a_withdrawn_visitor_takes_no_link_away(environment: dict[str, str], database: redis.Redis, clock: Clock) -> None:
    application = Application(load("development", environment | {"IDENTITY_LIMITS__VISITORS_PER_HANDLE": "4"}), clock)
    shopper, other = shopper_of(application), Application(load("development", environment), clock)
    token, visitor = await granted(shopper)
    await shopper.post("/v2/log/click", {"product": 1, "visitor": token})
    for number in range(1, 5):
        key = "demo-public-key" if number < 3 else "demo-private-key"
        await shopper.post("/v2/log/email", {"email": LUKE, "visitor": f"own-{number}"}, key=key)
        clock.forward(1)
    await other.services.store.removals.withdraw(SHOP, VisitorId(visitor), other.services.links.now())
    before = {one["visitor"] for one in await shopper.visitors(email=LUKE)}
    await shopper.post("/v2/log/sale", {"sale": 1, "products": [1], "visitor": token, "email": LUKE})
    after = {one["visitor"] for one in await shopper.visitors(email=LUKE)}
    await application.services.store.client.close()
    await other.services.store.client.close()
    assert after == before


async def test_a_refused_link_writes_nothing(workers: Workers, database: redis.Redis) -> None:
    stale, swift = workers
    token, _ = await granted(shopper_of(stale))
    await shopper_of(swift).post("/v1/visitors", {"token": token, "consent": "refused"})
    before = changes(database)
    assert (await shopper_of(stale).post("/v1/links", {"email": LUKE, "token": token})).status_code == 409
    assert changes(database) == before


async def test_a_sale_whose_visitor_refuses_links_meanwhile_keeps_its_visitor_and_no_email(workers: Workers, database: redis.Redis) -> None:
    slow, swift = workers
    token, visitor = await granted(shopper_of(slow))
    await shopper_of(slow).post("/v2/log/click", {"product": 1, "visitor": token, "labels": ["Home"]})
    gate = Gate(slow, "sell")
    body = {"sale": 1, "products": [1], "visitor": token, "email": LUKE, "customer": "C-1"}
    sale = asyncio.create_task(shopper_of(slow).post("/v2/log/sale", body))
    await asyncio.wait_for(gate.held.wait(), 20)
    refusal = {"token": token, "consent": {"purposes": {"linking": "refused"}}}
    assert (await shopper_of(swift).post("/v1/consents", refusal)).json()["linkable"] is False
    gate.released.set()
    assert (await sale).json() == {"status": "ok"}
    stored = sale_of(slow, database, "1")
    assert (stored["visitor"], personal(stored)) == (visitor, {"visitor", "attribution"})
    assert await shopper_of(swift).visitors(email=LUKE) == []
    assert database.keys("*:sales") == [slow.services.store.keys.visitor(SHOP, visitor).sales]


async def test_a_repeated_sale_that_is_lost_meanwhile_is_stored_again(workers: Workers, database: redis.Redis) -> None:
    """By a failover to a replica that had not confirmed it."""
    first, again = workers
    body = {"sale": 1, "products": [1], "visitor": "own-1", "email": LUKE}
    await shopper_of(first).post("/v2/log/sale", body)
    gate = Gate(again, "known_sale")
    sale = asyncio.create_task(shopper_of(again).post("/v2/log/sale", body))
    await asyncio.wait_for(gate.held.wait(), 20)
    database.flushall()
    gate.released.set()
    assert (await sale).json() == {"status": "ok"}
    assert sale_of(again, database, "1")["visitor"] == "own-1"


@pytest.mark.parametrize("body", [{}, {"visitor": "own-1"}, {"visitor": "own-1", "email": LUKE}])
async def test_a_repeated_sale_is_written_once_more_so_that_its_answer_waits_for_replicas(
    workers: Workers, database: redis.Redis, body: dict[str, str]
) -> None:
    """The first call may have been told that replicas had not confirmed it."""
    first, again = workers
    sale = {"sale": 1, "products": [1]} | body
    for worker in (first, again):
        before = changes(database)
        assert (await shopper_of(worker).post("/v2/log/sale", sale)).json() == {"status": "ok"}
        assert changes(database) > before


@pytest.mark.parametrize("where", ["/v1/visitors", "/v1/consents"])
@pytest.mark.parametrize("storage", [{}, {"storage": "granted", "measurement": "granted"}])
@pytest.mark.parametrize("before", [True, False])
async def test_a_refusal_of_linking_that_is_cut_off_is_there_whole_or_not_at_all_and_ended_by_its_repetition(
    workers: Workers, database: redis.Redis, clock: Clock, where: str, storage: dict[str, str], before: bool
) -> None:
    slow, swift = workers
    token, _ = await granted(shopper_of(slow))
    assert (await shopper_of(slow).post("/v1/links", {"email": LUKE, "token": token})).status_code == 200
    clock.forward(10)
    gate = Gate(slow, "grant", "refuse_linking", before=before, skips=1)  # once it has been told the links
    gate.fail()
    refusal = {"token": token, "consent": {"purposes": storage | {"linking": "refused"}}}
    assert (await shopper_of(slow).post(where, refusal)).status_code == 503
    assert gate.held.is_set()
    assert_whole(slow, database)
    assert len(await shopper_of(swift).visitors(email=LUKE)) == before
    clock.forward(2)
    assert (await shopper_of(swift).post(where, refusal)).json()["linkable"] is False
    assert await shopper_of(swift).visitors(email=LUKE) == []


@pytest.mark.parametrize("path", ["/v2/log/sale", "/v1/links"])
async def test_a_link_that_a_later_one_overtakes_keeps_its_form(workers: Workers, database: redis.Redis, clock: Clock, path: str) -> None:
    """As does one by a worker whose clock is behind."""
    slow, swift = workers
    token, _ = await granted(shopper_of(swift))
    gate = Gate(slow, "link", "sell")
    body = {"email": LUKE, "token": token}
    sale = {"sale": 1, "products": [1], "visitor": token, "email": LUKE}
    first = asyncio.create_task(shopper_of(slow).post(path, body if path == "/v1/links" else sale))
    await asyncio.wait_for(gate.held.wait(), 20)
    began = int(clock())
    clock.forward(1)
    assert (await shopper_of(swift).post("/v1/links", body)).status_code == 200
    gate.released.set()
    assert (await first).status_code == 200
    [link] = await swift.services.links.of_handle(next(iter(swift.services.shops)), swift.services.handles.of_email(SHOP, LUKE))
    assert (link.link.first_seen, link.link.last_seen) == (began, began + 1)
    assert (await shopper_of(swift).post("/v1/links", body)).status_code == 200
    clock.forward(86_400)
    assert (await shopper_of(swift).post("/v1/consents", {"consent": "granted", "token": token})).status_code == 200


async def test_posts_of_one_sale_that_lose_leave_no_records(workers: Workers, database: redis.Redis) -> None:
    slow, _ = workers
    bodies = [{"sale": 1, "products": [1], "visitor": f"own-{number}", "email": f"p{number}@example.org"} for number in range(100)]
    answers = await asyncio.gather(*(shopper_of(workers[n % 2]).post("/v2/log/sale", body) for n, body in enumerate(bodies)))
    assert {answer.status_code for answer in answers} == {200}
    keys = slow.services.store.keys
    visitors = [VisitorId(f"own-{number}") for number in range(100)]
    recorded = [visitor for visitor in visitors if database.exists(keys.visitor(SHOP, visitor).record)]
    assert recorded == [sale_of(slow, database, "1")["visitor"]]
    assert [v for v in visitors if database.llen(keys.visitor(SHOP, v).events)] == recorded
    linked = [number for number in range(100) if await shopper_of(slow).visitors(email=f"p{number}@example.org")]
    assert [f"own-{number}" for number in linked] == recorded


async def test_a_repeated_sale_links_nobody_else(workers: Workers) -> None:
    first, again = workers
    body = {"sale": 1, "products": [1], "visitor": "own-1", "email": LUKE}
    for worker, visitor in ((first, "own-1"), (first, "own-1"), (again, "own-2")):
        assert (await shopper_of(worker).post("/v2/log/sale", body | {"visitor": visitor})).json() == {"status": "ok"}
    assert [one["visitor"] for one in await shopper_of(again).visitors(email=LUKE)] == ["own-1"]


async def test_a_sale_takes_a_place_at_a_full_handle_that_any_link_would_take(
    environment: dict[str, str], database: redis.Redis, clock: Clock
) -> None:
    application = Application(load("development", environment | {"IDENTITY_LIMITS__VISITORS_PER_HANDLE": "2"}), clock)
    shopper = shopper_of(application)
    await shopper.post("/v2/log/email", {"email": LUKE, "visitor": "own-0"}, key="demo-public-key")
    await shopper.post("/v2/log/email", {"email": LUKE, "visitor": "own-1"}, key="demo-private-key")
    sale = {"sale": 1, "products": [1], "visitor": "own-2", "email": LUKE}
    assert (await shopper.post("/v2/log/sale", sale, key="demo-private-key")).json() == {"status": "ok"}
    linked = {one["visitor"] for one in await shopper.visitors(email=LUKE)}
    await application.services.store.client.close()
    assert linked == {"own-1", "own-2"}


@pytest.mark.parametrize("before", [True, False])
async def test_a_sale_of_a_visitor_that_refused_linking_keeps_no_email_when_cut_off(
    workers: Workers, database: redis.Redis, before: bool
) -> None:
    slow, swift = workers
    token, _ = await granted(shopper_of(slow))
    await shopper_of(swift).post("/v1/consents", {"token": token, "consent": {"purposes": {"linking": "refused"}}})
    gate = Gate(slow, "sell", before=before)
    gate.fail()
    await shopper_of(slow).post("/v2/log/sale", {"sale": 1, "products": [1], "visitor": token, "email": LUKE})
    assert gate.held.is_set()
    assert "email" not in sale_of(slow, database, "1")


async def test_a_link_is_not_refused_for_repeated_sales_at_the_same_time(
    environment: dict[str, str], database: redis.Redis, clock: Clock
) -> None:
    application = Application(load("development", environment | {"IDENTITY_LIMITS__VISITORS_PER_HANDLE": "8"}), clock)
    shopper = shopper_of(application)
    body = {"sale": 1, "products": [1], "visitor": "own-1", "email": LUKE}
    await shopper.post("/v2/log/sale", body, key="demo-public-key")
    posts = [shopper.post("/v2/log/sale", body | {"visitor": f"own-{n}"}, key="demo-public-key") for n in range(10, 30)]
    other = shopper.post("/v2/log/sale", body | {"sale": 2, "visitor": "own-2"}, key="demo-public-key")
    answers = await asyncio.gather(*posts, other)
    linked = {one["visitor"] for one in await shopper.visitors(email=LUKE)}
    await application.services.store.client.close()
    assert answers[-1].json() == {"status": "ok"}
    assert linked == {"own-1", "own-2"}


async def test_a_click_that_shows_a_withdrawn_cookie_beside_another_keeps_nothing(workers: Workers) -> None:
    """A browser may hold two cookies of one name. Only the visitor that is written is checked, not the others that decided."""
    slow, swift = workers
    device = (await shopper_of(slow).browser("/v1/visitors")).json()
    token, _ = await granted(shopper_of(swift))
    await shopper_of(swift).post("/v1/visitors", {"token": token, "consent": "refused"})
    cookies = "; ".join(f"__Host-visitor={one}" for one in (device["token"], token))
    for worker in workers:
        await shopper_of(worker).browser("/v2/log/click", {"product": 1, "visitor": "persistent"}, cookie=cookies)
    assert (await shopper_of(swift).post("/v1/events", {"visitor": device["visitor"]})).json()["events"] == []


async def test_a_withdrawal_during_a_refusal_of_linking_leaves_no_record(workers: Workers, database: redis.Redis) -> None:
    slow, swift = workers
    answer = (await shopper_of(slow).post("/v1/visitors")).json()
    refusal = {"token": answer["token"], "consent": {"purposes": {"linking": "refused"}}}
    gate = Gate(slow, "refuse_linking")
    call = asyncio.create_task(shopper_of(slow).post("/v1/consents", refusal))
    await asyncio.wait_for(gate.held.wait(), 20)
    await shopper_of(swift).post("/v1/visitors", {"token": answer["token"], "consent": "refused"})
    gate.released.set()
    await call
    keys = slow.services.store.keys.visitor(SHOP, VisitorId(answer["visitor"]))
    assert not database.exists(keys.record, keys.receipts)


async def test_a_sale_is_kept_under_the_cookie_that_is_alive(workers: Workers, database: redis.Redis) -> None:
    """A browser that holds two cookies of one name sends the withdrawn one first."""
    slow, swift = workers
    gone, _ = await granted(shopper_of(slow))
    alive, visitor = await granted(shopper_of(slow))
    await shopper_of(swift).post("/v1/visitors", {"token": gone, "consent": "refused"})
    cookies = f"__Host-visitor={gone}; __Host-visitor={alive}"
    sale = {"sale": 1, "products": [1], "visitor": "persistent"}
    assert (await shopper_of(slow).browser("/v2/log/sale", sale, cookie=cookies)).json() == {"status": "ok"}
    assert sale_of(slow, database, "1").get("visitor") == visitor


@pytest.mark.parametrize(("path", "called"), [("/v2/log/click", "record_event"), ("/v2/log/sale", "sell")])
async def test_a_call_whose_visitor_others_change_again_and_again_is_taken(
    workers: Workers, database: redis.Redis, monkeypatch: pytest.MonkeyPatch, path: str, called: str
) -> None:
    worker, _ = workers
    token, visitor = await granted(shopper_of(worker))
    client, record = worker.services.store.client, worker.services.store.keys.visitor(SHOP, visitor).record
    run, again = client.run, iter(range(8))

    async def changed(*unit: Command) -> list[Any]:
        if any(one.source and one.source.name == called for one in unit) and (number := next(again, None)) is not None:
            database.hset(record, "v", str(number))
        return await run(*unit)

    monkeypatch.setattr(client, "run", changed)
    body = {"product": 1, "visitor": token} if path == "/v2/log/click" else {"sale": 1, "products": [1], "visitor": token}
    assert (await shopper_of(worker).post(path, body)).json() == {"status": "ok"}
    assert len((await shopper_of(worker).post("/v1/events", {"visitor": visitor})).json()["events"]) == 1


@pytest.mark.parametrize("path", ["/v1/consents", "/v1/visitors"])
async def test_a_grant_that_no_replica_has_is_not_acknowledged_when_it_is_repeated(
    environment: dict[str, str], database: redis.Redis, clock: Clock, path: str
) -> None:
    for name in ("grant", "touch_visitor", "store_receipt"):
        database.script_load(script(name).source)
    unconfirmed = {"IDENTITY_STORE__REPLICAS": "1", "IDENTITY_STORE__TIMEOUT_SECONDS": "0.3"}
    application = Application(load("development", environment | unconfirmed), clock)
    shopper = shopper_of(application)
    chosen = {"purposes": {"storage": "granted", "measurement": "granted"}, "decided_at": "2026-11-01T00:00:00Z"}
    answers = [await shopper.post(path, {"visitor": "own-1", "consent": chosen}) for _ in range(3)]
    await application.services.store.client.close()
    modes = [one.json().get("mode") if one.status_code == 200 else one.status_code for one in answers]
    assert database.keys("*:R:*") != []
    assert modes == ([503] * 3 if path == "/v1/consents" else ["null"] * 3)
