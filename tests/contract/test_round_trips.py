"""How often a call waits for the store, counted in pipelines that it sends one after the other."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis

from identity_service.app import Application
from identity_service.model.shop import ShopId
from identity_service.settings.schema import Settings
from identity_service.store.redis.command import DIRECTORY, Command, script
from identity_service.store.redis.server import Connection, Line
from tests.conftest import Shopper
from tests.topologies import Topology

pytestmark = pytest.mark.anyio
Trips = Callable[..., Awaitable[int]]
"""Counts those of a call whose answer is as it was told to be."""
LATER = ("PING",)
"""Sent by the test."""


@pytest.fixture
def trips(application: Application, database: redis.Redis, topology: Topology, monkeypatch: pytest.MonkeyPatch) -> Trips:
    if topology.replicas:
        pytest.skip("counted on one server: on others a pipeline has several ways to go")
    client = application.services.store.client
    sent: list[list[Command]] = []
    send = Line._send

    def counted(line: Line, connection: Connection) -> None:
        waiting = list(line._waiting)
        send(line, connection)
        sent.append([command for unit, *_ in waiting[: len(waiting) - len(line._waiting)] for command in unit])

    monkeypatch.setattr(Line, "_send", counted)
    for path in DIRECTORY.glob("*.lua"):
        database.script_load(script(path.stem).source)

    async def count(call: Awaitable[Any], told: Callable[[Any], bool] = lambda answer: answer == {"status": "ok"}) -> int:
        await client.drain()
        sent.clear()
        assert told((await call).json())
        await client.drain()
        names = [[one.source.name if one.source else one.words[0] for one in commands] for commands in sent]
        return len([pipeline for pipeline in names if any(name not in LATER for name in pipeline)])

    return count


async def test_a_click_waits_once(shopper: Shopper, trips: Trips) -> None:
    assert await trips(shopper.post("/v2/log/click", {"product": 1, "visitor": "own-1", "labels": ["a"]})) == 1


async def test_a_click_by_a_persistent_visitor_waits_once_unless_its_consent_has_changed(shopper: Shopper, trips: Trips) -> None:
    token = (await shopper.post("/v1/consents", {"consent": "granted"})).json()["token"]
    click = {"product": 1, "visitor": token}
    await trips(shopper.post("/v2/log/click", click))
    assert await trips(shopper.post("/v2/log/click", click)) == 1
    visitor = (await shopper.post("/v1/visitors", {"token": token})).json()["visitor"]
    await shopper.post("/v1/consents", {"token": token, "consent": "refused"})
    await trips(shopper.post("/v2/log/click", click))
    assert (await shopper.post("/v1/events", {"visitor": visitor})).json()["events"] == []


async def test_a_sale_with_an_email_reads_what_it_is_decided_from_and_sells(shopper: Shopper, trips: Trips) -> None:
    """The first sale made a record of its visitor."""
    sale = {"sale": 1, "products": [1], "visitor": "own-1", "email": "a@example.org"}
    assert await trips(shopper.post("/v2/log/sale", sale)) == 2
    assert [one["visitor"] for one in await shopper.visitors(email="a@example.org")] == ["own-1"]
    assert await trips(shopper.post("/v2/log/sale", sale)) == 2


async def test_a_new_grant_waits_until_it_and_its_proof_are_stored(shopper: Shopper, trips: Trips) -> None:
    """After what is stored of its visitor was read."""
    granting = shopper.post("/v1/consents", {"visitor": "own-1", "consent": "granted"})
    assert await trips(granting, lambda answer: answer["mode"] == "persistent") == 2
    [proof] = (await shopper.post("/v1/receipts", {"visitor": "own-1"})).json()["receipts"]
    assert proof["purposes"]["storage"] == "granted"


async def test_a_withdrawal_reads_what_the_visitor_holds_and_takes_it(shopper: Shopper, trips: Trips) -> None:
    """After what is stored of its visitor was read; its orders may name handles that it is not linked to."""
    token = (await shopper.post("/v1/consents", {"consent": "granted"})).json()["token"]
    await shopper.post("/v1/links", {"email": "a@example.org", "token": token})
    withdrawal = {"token": token, "consent": "refused"}
    assert await trips(shopper.post("/v1/consents", withdrawal), lambda answer: answer["mode"] == "null") == 3


async def test_a_worker_that_knows_a_visitor_from_before_decides_by_what_is_stored_now(
    application: Application, settings: Settings, shopper: Shopper
) -> None:
    """Another worker's withdrawal, after this one has read the visitor."""
    token = (await shopper.post("/v1/consents", {"consent": "granted"})).json()["token"]
    visitor = (await shopper.post("/v1/visitors", {"token": token})).json()["visitor"]
    other = Application(settings, application.services.clock)
    await other.services.store.removals.withdraw(ShopId("demo"), visitor, other.services.links.now())
    await other.services.store.client.close()
    sale = {"sale": 1, "products": [1], "visitor": token, "email": "a@example.org"}
    for path, body in (("click", {"product": 1, "visitor": token}), ("sale", sale)):
        assert (await shopper.post(f"/v2/log/{path}", body)).json() == {"status": "ok"}
    assert await shopper.visitors(email="a@example.org") == []
    assert (await shopper.post("/v1/exports", {"visitor": visitor})).json() == {"visitors": [], "unproven": [], "orders": []}


async def test_a_visitor_of_whom_nothing_is_stored_takes_no_room_in_the_worker(application: Application, shopper: Shopper) -> None:
    client = {"ip": "198.51.100.9", "user_agent": "Mozilla/5.0"}
    assert (await shopper.post("/v1/visitors", {"client": client})).json()["mode"] == "cookieless"
    assert application.services.store.visitors._assumed._held == {}
    token = (await shopper.post("/v1/consents", {"consent": "granted"})).json()["token"]
    await shopper.post("/v1/visitors", {"token": token})
    assert len(application.services.store.visitors._assumed._held) == 1
