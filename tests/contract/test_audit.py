"""The audit: people's acts, rights and receipts leave an entry before they are answered, look-ups of services are counted, and nothing in
it says who the person was to anybody who does not know."""

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx2 as httpx
import pytest
import redis

from identity_service.app import Application
from identity_service.model.shop import key_digest
from identity_service.model.utc import DAY, rfc3339
from identity_service.server.limits import RateLimit, private_memory
from identity_service.settings.load import load
from identity_service.store.keys import SCHEMA
from identity_service.store.redis.command import write
from tests.conftest import Clock, Shopper, shopping
from tests.contract.desk import OWN, Desk, desk_of, text_of

pytestmark = pytest.mark.anyio
LUKE, LEIA = "luke@skywalker.com", "leia@organa.com"
BEARER = {"authorization": "Bearer demo-private-key"}
UNNAMED = f"key {key_digest('demo-private-key')[:12]}"


@pytest.fixture
async def desk(application: Application) -> AsyncIterator[Desk]:
    async with desk_of(application) as found:
        assert (await found.sign_in()).status_code == 303
        yield found


async def entries(shopper: Shopper, **query: str) -> list[dict[str, Any]]:
    answer = await shopper.client.get("/v1/audit", params=query, headers=BEARER)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["entries"]
    return found


async def acts(shopper: Shopper, **query: str) -> list[tuple[str, str, int]]:
    return [(one["actor"], one["act"], one["found"]) for one in await entries(shopper, **query)]


async def accesses(shopper: Shopper, **person: str) -> list[tuple[str, str]]:
    await shopper.application.services.audit.write()
    answer = await shopper.post("/v1/audit", person)
    assert answer.status_code == 200, answer.text
    return [(one["actor"], one["act"]) for one in answer.json()["accesses"]]


async def linked(shopper: Shopper, email: str = LUKE) -> dict[str, Any]:
    granted: dict[str, Any] = (await shopper.post("/v1/consents", {"consent": "granted"})).json()
    await shopper.post("/v1/links", {"email": email, "token": granted["token"]})
    return granted


async def test_every_call_of_rights_and_receipts_leaves_one_entry(shopper: Shopper) -> None:
    granted = await linked(shopper)
    await shopper.post("/v1/exports", {"email": LUKE})
    await shopper.post("/v1/receipts", {"visitor": granted["visitor"]})
    await shopper.post("/v1/receipts", {"receipt_id": granted["receipt"]["receipt_id"]})
    await shopper.post("/v2/privacy/info", {"key": "demo-public-key", "private_key": "demo-private-key", "email": LUKE}, key=None)
    await shopper.post("/v1/erasures", {"email": LUKE, "dry_run": True})
    await shopper.post("/v1/erasures", {"email": LUKE})
    await shopper.post("/v1/erasures", {"visitor": granted["visitor"]})
    await shopper.post("/v2/privacy/forget", {"key": "demo-public-key", "private_key": "demo-private-key", "email": LUKE}, key=None)
    told = [("erasure", 0), ("erasure", 0), ("erasure", 1), ("erasure_preview", 1), ("export", 1), ("receipts", 1), ("receipts", 1)]
    assert await acts(shopper) == [(UNNAMED, *one) for one in [*told, ("export", 1)]]


async def test_one_read_tells_who_looked_at_an_email_also_after_its_erasure(shopper: Shopper, desk: Desk) -> None:
    await linked(shopper)
    await shopper.post("/v1/lookups", {"email": LUKE})
    await shopper.post("/v1/lookups", {"emails": [LEIA, f" {LUKE.upper()}", "?"]})
    await desk.post("customers", email=LUKE)
    await desk.post("customers", email=LEIA)
    await shopper.post("/v1/erasures", {"email": LUKE})
    assert await accesses(shopper, email=LUKE) == [(UNNAMED, "lookup"), (UNNAMED, "erasure"), (UNNAMED, "lookup")]
    assert [one["person"] for one in await entries(shopper, act="lookup")] == [True, True]
    assert await accesses(shopper, email=LEIA) == [(UNNAMED, "lookup")]  # the person's; nobody is known, so the service's is only counted
    assert await accesses(shopper, email="han@solo.com") == []


async def test_look_ups_of_services_are_counted_by_hour_and_kept_once_an_hour(shopper: Shopper, clock: Clock) -> None:
    await linked(shopper)
    for _ in range(3):
        await shopper.post("/v1/lookups", {"emails": [LUKE, LEIA]})
    await shopper.application.services.audit.write()
    clock.forward(3600)
    await shopper.post("/v1/lookups", {"email": LUKE})
    await shopper.application.services.audit.write()
    answer = (await shopper.client.get("/v1/audit/lookups", headers=BEARER)).json()
    assert [(one["actor"], one["lookups"]) for one in answer["lookups"]] == [(UNNAMED, 1), (UNNAMED, 6)]
    assert [one["hour"][-10:] for one in answer["lookups"]] == ["T12:00:00Z", "T11:00:00Z"]
    assert await acts(shopper) == []
    assert await accesses(shopper, email=LUKE) == [(UNNAMED, "lookup")]


async def test_what_people_do_at_the_desk_is_entered(shopper: Shopper, desk: Desk) -> None:
    granted = await linked(shopper)
    await shopper.post("/v2/log/sale", {"sale": "S-1", "products": [1], "email": LUKE})
    await desk.get("orders")
    await desk.get("orders?sale=S-1")
    await desk.post("visitors", visitor=granted["visitor"])
    await desk.post("export", email=LUKE)
    await desk.post("consent", visitor=granted["visitor"], receipt_id="")
    await desk.get("audit")
    await desk.post("signout", 303)
    found = await entries(shopper)
    assert {one["person"] for one in found} == {True}
    told = [one["act"] for one in found][::-1]
    assert told == ["sign_in", "orders", "orders", "visitor", "export", "receipts", "audit", "sign_out"]


async def test_an_actor_that_makes_very_many_entries_is_refused_and_nobody_else(environment: dict[str, str], clock: Clock) -> None:
    """Whatever somebody else did: rights have to be answered. And nobody can prevent an erasure."""
    keys = {"IDENTITY_SHOPS__DEMO__KEYS__OFFICE__SHA256": key_digest("k"), "IDENTITY_SHOPS__DEMO__KEYS__OFFICE__SCOPES": "rights"}
    async with shopping(load("development", environment | keys | {"IDENTITY_LIMITS__ENABLED": "true"}), clock) as shopper:
        shopper.application.services.audit.limit = RateLimit(3 / DAY, DAY, time.monotonic, private_memory().slots(8))
        await linked(shopper)
        statuses = [(await shopper.post("/v1/exports", {"email": LUKE})).status_code for _ in range(5)]
        assert statuses == [200, 200, 200, 429, 429]
        full = await shopper.post("/v1/receipts", {"visitor": "own-id"})
        assert full.json()["code"] == "rate_limited"
        assert int(full.headers["retry-after"]) > 60
        assert (await shopper.post("/v1/exports", {"email": LUKE}, key="k")).status_code == 200
        assert (await shopper.post("/v1/erasures", {"email": LUKE})).json()["erased"]["visitors"] == 1
        async with desk_of(shopper.application) as desk:
            assert (await desk.client.post("/admin/signin", data={"private_key": "demo-private-key"}, headers=OWN)).status_code == 303


async def test_nobody_pushes_out_the_accesses_of_others(shopper: Shopper, desk: Desk, clock: Clock) -> None:
    await linked(shopper)
    await shopper.post("/v1/exports", {"email": LUKE})
    for _ in range(25):
        clock.forward(3_600)
        await desk.sign_in()
        await desk.post("customers", email=LUKE)
        await accesses(shopper, email=LUKE)
    assert await accesses(shopper, email=LUKE) == [(UNNAMED, "lookup"), (UNNAMED, "export")]
    [newest, _] = (await shopper.post("/v1/audit", {"email": LUKE})).json()["accesses"]
    assert newest["time"] == rfc3339(int(clock()))


async def test_many_look_ups_of_one_key_hide_nobodys(shopper: Shopper, application: Application) -> None:
    application.services.audit.most_waiting = 3
    emails = [f"person-{number}@example.com" for number in range(5)]
    for email in (*emails, LUKE):
        assert (await shopper.post("/v1/links", {"email": email, "visitor": "own-id"})).status_code == 200
    await shopper.post("/v1/lookups", {"emails": emails})
    await shopper.post("/v1/lookups", {"email": LUKE})
    assert await accesses(shopper, email=LUKE) == [(UNNAMED, "lookup")]


async def test_one_read_of_the_audit_reads_no_more_than_is_kept(shopper: Shopper, database: redis.Redis) -> None:
    await shopper.post("/v1/exports", {"email": LUKE})

    def lengths() -> int:
        return int(database.info("commandstats").get("cmdstat_llen", {"calls": 0})["calls"])

    for query in ({"until": "9999-12-31"}, {"cursor": "999999-1"}, {}):
        before = lengths()
        assert len(await entries(shopper, **query)) == 1
        assert lengths() - before <= 1_200


async def test_an_order_and_a_preview_are_entered_for_the_persons_that_they_name(shopper: Shopper, desk: Desk) -> None:
    granted = await linked(shopper)
    sale = {"sale": "S-1", "products": [1], "email": LUKE, "visitor": granted["token"]}
    await shopper.post("/v2/log/sale", sale)
    await desk.get("orders?sale=S-1")
    assert await accesses(shopper, email=LUKE) == [(UNNAMED, "orders")]
    assert await accesses(shopper, visitor=granted["visitor"]) == [(UNNAMED, "orders")]
    await desk.post("consent", call=json.dumps({"visitor": granted["visitor"]}))
    assert await accesses(shopper, visitor=granted["visitor"]) == [(UNNAMED, "visitor"), (UNNAMED, "orders")]


async def test_pages_filters_and_days(shopper: Shopper, clock: Clock) -> None:
    for email in (LUKE, LEIA, LUKE):
        await shopper.post("/v1/exports", {"email": email})
        await shopper.post("/v1/receipts", {"visitor": "own-id"})
        clock.forward(DAY)
    whole = await entries(shopper)
    assert [one["act"] for one in whole] == ["receipts", "export"] * 3
    shown: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        query = {"limit": "1"} | ({"cursor": cursor} if cursor else {})
        page = (await shopper.client.get("/v1/audit", params=query, headers=BEARER)).json()
        shown, cursor = shown + page["entries"], page["next"]
        await shopper.post("/v1/exports", {"email": "new@entry.example"})  # newer entries shift nothing
    assert shown == whole
    first, last = whole[-1]["time"][:10], whole[0]["time"][:10]
    assert len(await entries(shopper, until=first)) == 2
    assert len(await entries(shopper, since=last, until=last)) == 2
    lukes = [one for one in whole if one["subject"] == whole[1]["subject"]]
    assert len(lukes) == 2
    assert await entries(shopper, subject=whole[1]["subject"], until=last) == lukes
    assert await entries(shopper, actor="nobody") == []
    for wrong in ({"cursor": "x"}, {"since": "yesterday"}, {"limit": "0"}, {"limit": "201"}):
        assert (await shopper.client.get("/v1/audit", params=wrong, headers=BEARER)).status_code == 422


async def test_entries_end_after_their_days(shopper: Shopper, clock: Clock, database: redis.Redis) -> None:
    await shopper.post("/v1/exports", {"email": LUKE})
    lives = {name: database.ttl(name) for name in database.keys("*") if ":audit:" in name or ":A:" in name}
    assert len(lives) == 2
    assert all(1094 * DAY < life <= 1095 * DAY for life in lives.values())
    clock.forward(1096 * DAY)
    assert await entries(shopper) == []


async def test_the_audit_names_nobody(shopper: Shopper, desk: Desk, database: redis.Redis) -> None:
    granted = await linked(shopper)
    await desk.post("visitors", visitor=granted["visitor"])
    await desk.post("customers", email=LUKE)
    await shopper.post("/v1/exports", {"email": LUKE})
    [digest] = (await shopper.post("/v1/exports", {"visitor": granted["visitor"]})).json()["visitors"][0]["emails"]
    kept = " ".join(str((name, database.lrange(name, 0, -1))) for name in database.keys("*") if ":audit:" in name or ":A:" in name)
    assert "export" in kept
    for known in (LUKE, granted["visitor"], granted["token"], digest):
        assert known not in kept


async def test_another_shops_audit_is_its_own(shopper: Shopper) -> None:
    await shopper.post("/v1/exports", {"email": LUKE})
    foreign = await shopper.client.get("/v1/audit", headers={"authorization": "Bearer other-private-key"})
    assert foreign.json() == {"entries": [], "next": None}
    assert (await shopper.post("/v1/audit", {"email": LUKE}, key="other-private-key")).json()["accesses"] == []


async def test_a_key_with_a_name_is_named(environment: dict[str, str], clock: Clock) -> None:
    keys = {"IDENTITY_SHOPS__DEMO__KEYS__NEWSLETTER__SHA256": key_digest("k"), "IDENTITY_SHOPS__DEMO__KEYS__NEWSLETTER__SCOPES": "rights"}
    async with shopping(load("development", environment | keys), clock) as shopper:
        assert (await shopper.post("/v1/exports", {"email": LUKE}, key="k")).status_code == 200
        assert await acts(shopper) == [("newsletter", "export", 0)]


async def test_accesses_wait_while_the_store_is_away(shopper: Shopper, application: Application) -> None:
    await linked(shopper)
    await shopper.post("/v1/lookups", {"email": LUKE})
    client = application.services.store.client
    client.refuse("away")
    with pytest.raises(Exception, match="Repeat the call"):
        await application.services.audit.write()
    client.refuse("")
    assert await accesses(shopper, email=LUKE) == [(UNNAMED, "lookup")]


async def test_the_page_of_the_audit(shopper: Shopper, desk: Desk) -> None:
    await linked(shopper)
    await shopper.post("/v1/lookups", {"email": LUKE})
    await desk.post("customers", email=LUKE)
    assert "lookup" in text_of(await desk.get("audit?act=lookup"))
    assert "No entry matches" in text_of(await desk.get("audit?actor=nobody"))
    assert "The newest 20 accesses" in text_of(await desk.post("audit", email=LUKE))
    assert "Nobody has looked at this person yet" in text_of(await desk.post("audit", email="han@solo.com"))
    assert "Enter an email, a customer ID or a visitor ID" in text_of(await desk.post("audit", 422, email=LUKE, visitor="x"))
    file = await desk.get("audit?act=lookup&as=csv")
    assert file.headers["content-disposition"] == 'attachment; filename="audit.csv"'
    assert [[cell.strip('"') for cell in line.split(",")[1:4]] for line in file.text.splitlines()[1:]] == [["lookup", UNNAMED, "yes"]]
    odd: httpx.Response = await desk.get("audit?since=x", 422)
    assert "must be a day" in text_of(odd)


async def test_entries_are_found_after_a_change_of_the_pepper(environment: dict[str, str], clock: Clock) -> None:
    async with shopping(load("development", environment), clock) as shopper:
        pepper = load("development", environment).secrets.pepper
        await shopper.post("/v1/exports", {"email": LUKE})
        await shopper.application.services.store.client.run(write("DEL", SCHEMA))  # as a move leaves it
    changed = {"IDENTITY_SECRETS__FORMER_PEPPERS": pepper, "IDENTITY_SECRETS__PEPPER": "N" * 43}
    async with shopping(load("development", environment | changed), clock) as shopper:
        await shopper.post("/v1/exports", {"email": LUKE})
        assert await accesses(shopper, email=LUKE) == [(UNNAMED, "export"), (UNNAMED, "export")]
