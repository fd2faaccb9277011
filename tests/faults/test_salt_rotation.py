"""Midnight under load: nobody is known across it who was not in the middle of a visit, and the salt that ended leaves nothing behind."""

import asyncio
import random
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import redis

from identity_service.model.cookieless import GRACE, window_at
from identity_service.store.keys import of_shop
from identity_service.store.salts import EXPIRY_SLACK
from tests.faults.connection import Connection
from tests.faults.inside import MovedClock, ServiceInside, inside
from tests.faults.moved_clock import StoreClock
from tests.faults.running import RunningStore
from tests.test_command import eventually

KEY = "demo-private-key"
PEOPLE = 40
EVENING = 900
"""Seconds, more than a busy machine needs to start everything and to make the calls of the evening."""
CALLS = 600
"""After midnight; a third as many before."""
SALTS, OF_FIGURES = of_shop("demo", "Z:*[0-9]"), of_shop("demo", "Z:*:day")


@dataclass(frozen=True)
class Seen:
    """A call about a person, with the time before and after it, and the ID that it told."""

    person: int
    began: float
    ended: float
    visitor: str


async def visitor_of(connection: Connection, person: int) -> str:
    client = {"ip": f"198.51.100.{person}", "user_agent": "Mozilla/5.0 (X11) Gecko/20100101 Firefox/140.0"}
    status, answer = await connection.call("/v1/visitors", KEY, {"client": client})
    assert (status, answer["mode"]) == (200, "cookieless")
    return str(answer["visitor"])


async def visits_across_midnight(
    urls: list[str], clock: MovedClock, midnight: float, move: Callable[[float], None]
) -> tuple[dict[int, str], list[Seen]]:
    """The IDs of the evening, half of whose people click shortly before midnight; and what eight callers see until well after it."""
    first, chance, seen, near = Connection(urls[0]), random.Random(1), list[Seen](), False
    evening = {person: await visitor_of(first, person) for person in range(PEOPLE)}
    for person in range(0, PEOPLE, 2):
        click = {"visitor": evening[person], "product": "1", "labels": ["Homepage"]}
        assert await first.call("/v2/log/click", KEY, click) == (200, {"status": "ok"})

    async def caller(connection: Connection) -> None:
        nonlocal near
        while sum(one.began >= midnight for one in seen) < CALLS:
            if len(seen) > CALLS / 3 and not near:
                near = True
                move(midnight - 0.5)
            person, began = chance.randrange(PEOPLE), clock()
            visitor = await visitor_of(connection, person)
            seen.append(Seen(person, began, clock(), visitor))
        connection.close()

    await asyncio.gather(*(caller(Connection(url)) for url in urls * 4))
    first.close()
    return evening, seen


def salts(database: redis.Redis) -> dict[str, str]:
    return {key: str(database.get(key)) for key in database.scan_iter(SALTS)}


def held(service: ServiceInside) -> set[bytes]:
    """Keys of windows in the worker's memory."""
    return {key for key, _ in service.application.services.store.salts._held.values()}


def everything(store: RunningStore, database: redis.Redis) -> bytes:
    """Every value as the server dumps it, and every file."""
    raw: redis.Redis = redis.Redis.from_url(store.url)
    with raw:
        dumped = [raw.dump(key) or b"" for key in database.scan_iter()]
    return b"".join(dumped + [path.read_bytes() for path in store.directory.rglob("*") if path.is_file()])


def told_as_promised(evening: dict[int, str], seen: list[Seen], midnight: float) -> None:
    """Who clicked keeps the evening's ID, everybody else has another after midnight, the same at every worker."""
    morning: dict[int, str] = {}
    for one in seen:
        if one.person % 2 == 0 or one.ended < midnight:
            assert one.visitor == evening[one.person]
        elif one.began >= midnight or one.visitor != evening[one.person]:
            assert morning.setdefault(one.person, one.visitor) == one.visitor
    assert not set(morning.values()) & set(evening.values())
    assert len(morning) == PEOPLE / 2
    assert sum(one.ended < midnight for one in seen) >= CALLS / 3


def test_midnight_under_load(tmp_path: Path) -> None:
    clock, store_clock = MovedClock(), StoreClock(tmp_path)
    midnight = window_at(int(time.time()), 1).end

    def move(to: float) -> None:
        clock.ahead = to - time.time()
        store_clock.move(int(clock.ahead))

    move(midnight - EVENING)
    with (
        RunningStore(tmp_path / "store", environment=store_clock.environment) as store,
        inside(store.url, clock) as one,
        inside(store.url, clock) as other,
        store.database() as database,
    ):
        evening, seen = asyncio.run(visits_across_midnight([one.url, other.url], clock, midnight, move))
        told_as_promised(evening, seen, midnight)
        found = salts(database)
        assert len(found) == 2
        ended, of_the_day = found[min(found)], database.get(min(map(str, database.scan_iter(OF_FIGURES))))
        assert ended.encode() in everything(store, database)
        key = one.application.services.handles.window_key(urlsafe_b64decode(ended))
        assert key in held(one) & held(other)
        move(midnight + GRACE + 2 * EXPIRY_SLACK)
        assert eventually(lambda: list(salts(database)) == [max(found)])
        for service in (one, other):
            service.keep_up()
        assert key not in held(one) | held(other)
        move(midnight + GRACE + 1_000)
        assert one.rewrite(clock())
        assert eventually(lambda: not database.info("persistence")["aof_rewrite_in_progress"])
        left = everything(store, database)
        assert ended.encode() not in left
        assert str(of_the_day).encode() not in left
        assert not list(database.scan_iter(of_shop("demo", f"sketch:{int(midnight) - 86_400}-*")))
        assert urlsafe_b64decode(ended) not in left
