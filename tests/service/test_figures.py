"""Figures of many hours neither read one twice nor hold up the worker, which other shops share."""

import asyncio
from collections import Counter

import pytest

from identity_service.app import Application
from identity_service.service.figures import sum_of
from identity_service.store.redis.command import Command, Reply
from tests.contract.desk import desk_of

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("path", "hours", "days"), [("overview?days=90", 90 * 24, 90), ("overview?days=1", 14 * 24, 1)])
async def test_a_page_reads_each_hour_once_and_few_at_a_time(
    application: Application, monkeypatch: pytest.MonkeyPatch, path: str, hours: int, days: int
) -> None:
    """Each may have 500 counters, and the calls of other shops wait for the same worker."""
    client, pipelines = application.services.store.client, []
    run = client.run

    async def counted(*unit: Command) -> list[Reply]:
        pipelines.append([one.key for one in unit if one.words[0] == "HGETALL"])
        return await run(*unit)

    async with desk_of(application) as desk:
        await desk.sign_in("demo-private-key")
        monkeypatch.setattr(client, "run", counted)
        assert (await desk.get(path)).status_code == 200
    read = Counter(key for keys in pipelines for key in keys)
    assert max(map(len, pipelines)) <= 8
    of_kind = {kind: [number for key, number in read.items() if f":{kind}:" in str(key)] for kind in ("hour", "day")}
    assert of_kind == {"hour": [1] * hours, "day": [1] * days}


async def test_other_calls_run_while_a_year_of_hours_is_read_and_added_up(application: Application) -> None:
    turns, done = 0, False

    async def take_turns() -> None:
        nonlocal turns
        while not done:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(take_turns())
    counts = await application.services.figures.counts(next(iter(application.services.shops)), 90)
    before = turns
    await sum_of(counts.hours.values())
    done = True
    await other
    assert before >= len(counts.hours)
    assert turns - before >= len(counts.hours) // 8
