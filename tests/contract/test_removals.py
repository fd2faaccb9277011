"""The list of removed visitors, by which other systems delete their copies."""

import hashlib
import hmac
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import redis

from identity_service.app import Application
from identity_service.settings.load import load
from identity_service.web.manual.book import FOLDER
from tests.conftest import Clock, Shopper, shopping

pytestmark = pytest.mark.anyio
KEY = "bGlzdGVkLWJ5LWRpZ2VzdHMtdW5kZXItdGhpcy1rZXk"
EMAIL = "luke@skywalker.com"
DAY = 86_400


@pytest.fixture
async def shopper(environment: dict[str, str], clock: Clock) -> AsyncIterator[Shopper]:
    async with shopping(load("development", environment | {"IDENTITY_SHOPS__DEMO__REMOVALS_KEY": KEY}), clock) as one:
        yield one


async def removals(shopper: Shopper, cursor: str = "", limit: int = 0, status: int = 200) -> dict[str, Any]:
    query = ({"cursor": cursor} if cursor else {}) | ({"limit": str(limit)} if limit else {})
    answer = await shopper.client.get("/v1/removals", params=query, headers={"authorization": "Bearer demo-private-key"})
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_reads_are_counted_with_the_look_ups_of_their_key(shopper: Shopper) -> None:
    for _ in range(2):
        await removals(shopper)
    await shopper.application.services.audit.write()
    answer = await shopper.client.get("/v1/audit/lookups", headers={"authorization": "Bearer demo-private-key"})
    assert [one["lookups"] for one in answer.json()["lookups"]] == [2]


async def granted(shopper: Shopper) -> dict[str, Any]:
    found: dict[str, Any] = (await shopper.post("/v1/consents", {"consent": "granted"})).json()
    return found


def digest(visitor: str) -> str:
    return hmac.new(KEY.encode(), visitor.encode(), hashlib.sha256).hexdigest()[:32]


def digests(found: dict[str, Any]) -> list[str]:
    return [one["digest"] for one in found["removals"]]


async def test_withdrawn_and_erased_visitors_are_listed_once_each_oldest_first(shopper: Shopper) -> None:
    people = [await granted(shopper) for _ in range(3)]
    await shopper.post("/v1/links", {"email": EMAIL, "token": people[1]["token"]})
    await shopper.post("/v1/consents", {"consent": "refused", "token": people[0]["token"]})
    await shopper.post("/v1/erasures", {"email": EMAIL})
    await shopper.post("/v1/erasures", {"visitor": people[2]["visitor"]})
    found = await removals(shopper)
    assert digests(found) == [digest(one["visitor"]) for one in people]
    assert not found["more"]
    assert re.fullmatch(r"2026-11-18T11:06:4\dZ", found["removals"][0]["time"])
    assert all(one["visitor"] not in str(found) for one in people)


async def test_a_visitor_without_a_record_and_a_link_is_not_listed(shopper: Shopper, database: redis.Redis) -> None:
    await shopper.post("/v2/log/click", {"product": 1, "visitor": "one"})
    await shopper.post("/v1/erasures", {"visitor": "one"})
    await shopper.post("/v1/consents", {"consent": "refused"})
    assert (await removals(shopper))["removals"] == []
    assert not list(database.scan_iter("*:removals"))


async def test_a_linked_cookieless_visitor_is_listed(shopper: Shopper) -> None:
    await shopper.post("/v1/links", {"email": EMAIL, "visitor": "one"})
    await shopper.post("/v1/erasures", {"email": EMAIL})
    assert digests(await removals(shopper)) == [digest("one")]


async def test_pages_follow_each_other_and_the_last_cursor_goes_on_later(shopper: Shopper, clock: Clock) -> None:
    visitors = [await granted(shopper) for _ in range(5)]
    for one in visitors[:4]:
        clock.forward(1)
        await shopper.post("/v1/erasures", {"visitor": one["visitor"]})
    found, cursor, more = list[str](), "", True
    while more:
        page = await removals(shopper, cursor, limit=3)
        found, cursor, more = found + digests(page), page["next"], page["more"]
    assert found == [digest(one["visitor"]) for one in visitors[:4]]
    assert await removals(shopper, cursor) == {"removals": [], "next": cursor, "more": False}
    await shopper.post("/v1/erasures", {"visitor": visitors[4]["visitor"]})
    assert digests(await removals(shopper, cursor)) == [digest(visitors[4]["visitor"])]


async def test_entries_stay_for_thirty_days_and_later_numbers_are_higher(shopper: Shopper, clock: Clock, database: redis.Redis) -> None:
    async def remove() -> str:
        one = await granted(shopper)
        await shopper.post("/v1/erasures", {"visitor": one["visitor"]})
        return digest(one["visitor"])

    await remove()
    first = await removals(shopper)
    clock.forward(29 * DAY)
    second = await remove()
    clock.forward(2 * DAY)
    third = await remove()
    assert digests(await removals(shopper)) == [second, third]
    [key] = database.scan_iter("*:removals")
    assert 29 * DAY < database.ttl(key) <= 30 * DAY
    database.delete(key)  # as at its end
    clock.forward(40 * DAY)
    fourth = await remove()
    assert digests(await removals(shopper, first["next"])) == [fourth]


async def test_without_a_key_there_is_no_list(application: Application, database: redis.Redis, shopper: Shopper) -> None:
    other = {"authorization": "Bearer other-private-key"}
    token = (await shopper.post("/v1/consents", {"consent": "granted"}, key="other-private-key")).json()["token"]
    await shopper.post("/v1/consents", {"consent": "refused", "token": token}, key="other-private-key")
    answer = await shopper.client.get("/v1/removals", headers=other)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert not list(database.scan_iter("*:removals"))


@pytest.mark.parametrize("cursor", ["x", "1", "-1", "1.5-00000000", "9" * 16 + "-00000000", "1-0000000g", "\u0661-00000000"])
async def test_a_wrong_cursor_is_refused(shopper: Shopper, cursor: str) -> None:
    assert (await removals(shopper, cursor, status=422))["code"] == "invalid"


def test_the_consumer_of_the_manual_computes_the_same_digest(tmp_path: Path) -> None:
    program = re.search(r"```python\n(import hashlib.*?)```", (FOLDER / "admin.md").read_text(), re.DOTALL)
    assert program
    named = tmp_path / "consumer.py"
    named.write_text(program[1] + f"print(digest({KEY!r}, 'one'))\n")
    told = subprocess.run([sys.executable, str(named)], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == digest("one")
