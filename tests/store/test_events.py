"""Events as they are stored. Numbers replace labels there, and nothing that is read changes."""

import zlib
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from identity_service.app import Application
from identity_service.model.event import Event, EventType
from identity_service.settings.load import load
from identity_service.store.events import packed, unpacked
from tests.conftest import Clock, Shopper, shopping

pytestmark = pytest.mark.anyio
LABEL, OTHER = "Home / Bestsellers / Slider", "Home / News / Slider"
TEXT = st.text(max_size=12)


@given(
    kind=st.sampled_from(EventType),
    time=st.integers(0, 2**40),
    products=st.lists(TEXT | st.integers(), max_size=3),
    told=st.none() | st.lists(TEXT.filter(bool), max_size=3),
    api=st.none() | TEXT,
    flags=st.tuples(st.booleans(), st.booleans()),
)
def test_an_event_is_read_as_it_was(
    kind: EventType, time: int, products: list[str | int], told: list[str] | None, api: str | None, flags: tuple[bool, bool]
) -> None:
    event = Event(kind, time, tuple(products), None if told is None else tuple(told), api, None, *flags)
    assert unpacked(packed(event, told), {}) == event
    numbers = dict(enumerate(dict.fromkeys(told or ()), 1))
    by_label = {label: number for number, label in numbers.items()}
    assert unpacked(packed(event, None if told is None else [by_label[label] for label in told]), numbers) == event


def test_a_click_is_stored_shortly() -> None:
    click = Event(EventType.CLICK, 1_796_100_000, ("SKU-10042",), (LABEL,))
    assert packed(click, [4711]) == 'ctpcnmo,"SKU-10042",4711'
    assert packed(click, [LABEL]) == f'ctpcnmo,"SKU-10042","{LABEL}"'


async def click(shopper: Shopper, *told: str) -> None:
    body: dict[str, Any] = {"product": 1, "visitor": "one"} | ({"labels": list(told)} if told else {})
    assert (await shopper.post("/v2/log/click", body)).json() == {"status": "ok"}


async def clicked(shopper: Shopper) -> list[list[str]]:
    return [one.get("labels") for one in (await shopper.post("/v1/events", {"visitor": "one"})).json()["events"]]


def stored(database: redis.Redis) -> list[str]:
    [key] = database.scan_iter("*:events")
    return [str(one).split(",", 2)[2] for one in database.lrange(key, 0, -1)]


def number(label: str) -> int:
    return zlib.crc32(label.encode()) & 0xFFFF


async def test_a_label_that_was_written_with_the_counters_is_a_number_then(
    shopper: Shopper, application: Application, database: redis.Redis
) -> None:
    await click(shopper, LABEL)
    await application.services.counters.write()
    await click(shopper, LABEL)
    await click(shopper, LABEL, OTHER)
    assert stored(database) == [f'[{number(LABEL)},"{OTHER}"]', str(number(LABEL)), f'"{LABEL}"']
    assert await clicked(shopper) == [[LABEL, OTHER], [LABEL], [LABEL]]
    await shopper.post("/v2/log/sale", {"sale": "1", "products": [{"id": 1, "price": 2}], "visitor": "one"})
    answer = await shopper.client.get("/v1/orders/1", headers={"Authorization": "Bearer demo-private-key"})
    assert answer.json()["labels"] == [LABEL, OTHER]


async def test_a_worker_that_never_saw_a_label_reads_it(
    shopper: Shopper, application: Application, environment: dict[str, str], clock: Clock
) -> None:
    await click(shopper, LABEL)
    await application.services.counters.write()
    await click(shopper, LABEL)
    async with shopping(load("development", environment), clock) as another:
        assert await clicked(another) == [[LABEL], [LABEL]]


async def test_a_click_without_labels_takes_those_of_results_whose_labels_are_numbers(
    shopper: Shopper, application: Application, database: redis.Redis
) -> None:
    await click(shopper, LABEL)
    await click(shopper, OTHER)
    await application.services.counters.write()
    for told in ([LABEL], [LABEL, OTHER]):
        await shopper.post("/v2/log/results", {"products": [1, 2], "labels": told, "visitor": "one"})
        await click(shopper)
        assert (await clicked(shopper))[0] == told
    assert stored(database)[0].startswith(f"[{number(LABEL)},{number(OTHER)}],null")


async def test_labels_of_one_number_and_those_beyond_the_cap_stand_as_they_are(
    shopper: Shopper, application: Application, database: redis.Redis
) -> None:
    application.services.store.activity.labels.most = 2
    key = "id:v2:{demo}:labels"
    database.hset(key, str(number(LABEL)), "another label")
    for told in (LABEL, OTHER, "a third label"):
        await click(shopper, told)
    await application.services.counters.write()
    assert database.hlen(key) == 2
    for told in (LABEL, OTHER, "a third label"):
        await click(shopper, told)
    assert f'"{LABEL}"' in stored(database)[:3]
    assert await clicked(shopper) == [["a third label"], [OTHER], [LABEL]] * 2


async def test_a_label_that_the_store_lost_is_left_out_until_it_is_clicked_again(
    shopper: Shopper, application: Application, environment: dict[str, str], clock: Clock, database: redis.Redis
) -> None:
    await click(shopper, LABEL)
    await application.services.counters.write()
    await click(shopper, LABEL)
    database.delete("id:v2:{demo}:labels")
    async with shopping(load("development", environment), clock) as another:
        assert await clicked(another) == [[], [LABEL]]
        await click(shopper, LABEL)
        await application.services.counters.write()
        assert await clicked(another) == [[LABEL], [LABEL], [LABEL]]
