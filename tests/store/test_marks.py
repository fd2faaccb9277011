"""The mark of a store: who puts it there, and what it means when it has gone."""

import asyncio
from pathlib import Path

import pytest
import redis
from prometheus_client import REGISTRY

from identity_service.app import Application
from identity_service.errors import StoreRefused, StoreUnavailable
from identity_service.server.metrics import set_store_gauges
from identity_service.settings.load import load
from identity_service.store.keys import MOVE, OF_THE_STORE, SCHEMA
from identity_service.store.redis.cause import Cause
from identity_service.store.redis.command import read
from identity_service.store.redis.server import Node
from identity_service.store.schema import EMPTIED, MOVE_AGAIN, VERSION, Misfit, Schema, SeenMark, examine_marks, schema_of
from tests.conftest import Shopper

pytestmark = pytest.mark.anyio


def put(database: redis.Redis, own: Schema) -> None:
    for name, value in own.fields().items():
        database.hset(SCHEMA, name, value)


async def test_a_store_that_lost_its_mark_is_refused_for_good(application: Application, shopper: Shopper, database: redis.Redis) -> None:
    store = application.services.store
    own = schema_of(load("development", {}).secrets.peppers)
    put(database, own)
    await store.check_marks()
    assert (await shopper.client.get("/readyz")).status_code == 200
    database.flushall()
    answer = await shopper.client.get("/readyz")
    assert (answer.status_code, answer.json()["detail"]) == (503, EMPTIED.text)
    assert (await shopper.post("/v1/lookups", {"email": "a@example.com"})).status_code == 503
    put(database, own)
    for _ in range(2):
        with pytest.raises(StoreRefused, match="was emptied"):
            await store.check_marks()
    assert EMPTIED.text not in (await shopper.post("/v1/lookups", {"email": "a@example.com"})).text


async def test_a_store_that_never_bore_a_mark_is_used_and_left_without(application: Application, database: redis.Redis) -> None:
    await application.services.store.check_marks()
    database.flushall()
    await application.services.store.check_marks()
    assert not database.exists(SCHEMA)


async def test_processes_that_share_a_file_put_the_mark_on_once(application: Application, database: redis.Redis, tmp_path: Path) -> None:
    """The first at the start, or when the store answers at last; whoever comes later knows that it has been there."""
    client, own = application.services.store.client, schema_of(load("development", {}).secrets.peppers)
    first, second = (SeenMark(tmp_path / "mark") for _ in range(2))
    assert await examine_marks(client, own, first) is None
    assert database.hgetall(SCHEMA) == own.fields()
    database.flushall()
    for mark in (second, SeenMark(tmp_path / "mark"), first):
        assert await examine_marks(client, own, mark) == EMPTIED
    assert not database.exists(SCHEMA)
    assert await examine_marks(client, own, SeenMark(tmp_path / "another")) is None
    assert database.exists(SCHEMA)


async def test_a_mark_of_another_service_is_no_mark_that_was_seen(application: Application, database: redis.Redis, tmp_path: Path) -> None:
    client, mark = application.services.store.client, SeenMark(tmp_path / "mark")
    database.hset(SCHEMA, mapping={"version": str(VERSION), "peppers": "another"})
    fault = await examine_marks(client, schema_of(load("development", {}).secrets.peppers), mark)
    assert fault
    assert fault.cause is Cause.PEPPER
    assert "is not the one that this store was written under" in fault.text
    assert (mark.seen, database.exists(MOVE)) == (False, 0)


@pytest.mark.parametrize("marked", [True, False])
async def test_a_store_of_the_first_schema_is_refused_and_stays_as_it_is(
    application: Application, database: redis.Redis, tmp_path: Path, marked: bool
) -> None:
    """Also one of before the marks, which is known by its keys, though others share its server."""
    client, own = application.services.store.client, schema_of(load("development", {}).secrets.peppers)
    for number in range(200):
        database.set(f"somebody:{number}", "else")
    database.set("id:v1:R{demo:one}", "receipt")
    if marked:
        put(database, Schema(1, own.peppers))
    for mark in (SeenMark(tmp_path / "mark"), SeenMark()):
        text = f"store.url: its keys are of schema 1, this version uses 2; {MOVE_AGAIN}"
        assert await examine_marks(client, own, mark) == Misfit(Cause.MOVED, text)
        assert (mark.seen, database.exists(SCHEMA)) == (False, marked)


async def test_marks_of_the_first_schema_alone_make_no_store_of_it(application: Application, database: redis.Redis, tmp_path: Path) -> None:
    client, own = application.services.store.client, schema_of(load("development", {}).secrets.peppers)
    for name in sorted(OF_THE_STORE - {MOVE, SCHEMA}):
        database.hset(name, "field", "1")
    assert await examine_marks(client, own, SeenMark(tmp_path / "mark")) is None
    assert database.hgetall(SCHEMA) == own.fields()


async def test_a_mark_that_another_process_puts_on_meanwhile_is_no_mark_that_was_lost(
    application: Application, database: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, own = application.services.store.client, schema_of(load("development", {}).secrets.peppers)
    mine, theirs = (SeenMark(tmp_path / "mark") for _ in range(2))
    primaries = client.primaries

    async def meanwhile() -> list[Node]:
        monkeypatch.undo()
        assert await examine_marks(client, own, theirs) is None
        return await primaries()

    monkeypatch.setattr(client, "primaries", meanwhile)
    assert await examine_marks(client, own, mine) is None
    assert database.hgetall(SCHEMA) == own.fields()


async def test_a_mark_is_noted_though_the_folder_of_its_file_has_gone(tmp_path: Path) -> None:
    mark = SeenMark(tmp_path / "gone" / "mark")
    assert (mark.adopts, mark.seen) == (True, False)
    mark.note()
    assert (mark.adopts, mark.seen) == (False, True)


async def test_every_worker_tells_of_its_own_store_without_being_asked() -> None:
    application = Application(load("development", {"IDENTITY_STORE__URL": "unix:///nonexistent/identity.sock"}))
    client = application.services.store.client
    while not client.open:
        with pytest.raises(StoreUnavailable):
            await client.run(read("GET", "a"))
    client.refuse("it was emptied")
    async with application.running():
        await asyncio.sleep(0)
        told = [REGISTRY.get_sample_value(f"identity_store_{name}") for name in ("breaker_open", "refused")]
    set_store_gauges(breaker_open=False, refused=False)
    assert told == [1.0, 1.0]
