"""What bit the users of other clients: a caller that is given another's answer, connections that are never given back, a write sent twice.

The client is asked as every use case asks it, through a proxy that spoils what passes.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import pytest
import redis

from identity_service.errors import StoreUnavailable
from identity_service.store.redis.client import StoreClient
from identity_service.store.redis.command import Command, Reply, read, write
from tests.faults.proxy import Conditions, Fault, Proxy, proxied
from tests.test_command import eventually

pytestmark = pytest.mark.anyio

MOST_CONNECTIONS = 8
TIMEOUT = 2.0
"""Seconds. A busy machine may take one to answer."""


@pytest.fixture
def proxy(store_url: str, database: redis.Redis) -> Iterator[Proxy]:
    with proxied(store_url) as made:
        yield made


@pytest.fixture
async def client(proxy: Proxy) -> AsyncIterator[StoreClient]:
    """Whatever happened, it holds no more connections than at its best, and gives all of them back."""
    made = StoreClient(proxy.url, TIMEOUT)
    await made.run(read("PING"))
    yield made
    proxy.conditions = Conditions()
    assert proxy.connections <= MOST_CONNECTIONS
    await made.close()
    assert eventually(lambda: proxy.connections == 0)


async def echoes(client: StoreClient, name: str) -> bool:
    """Whether there was an answer; it is never that of another caller."""
    try:
        first, second = await client.run(read("ECHO", name), read("ECHO", f"{name} again"))
    except StoreUnavailable:
        return False
    assert (first, second) == (name, f"{name} again")
    return True


async def test_cancelled_callers_leave_everybody_their_own_answer(client: StoreClient, proxy: Proxy) -> None:
    proxy.conditions = Conditions(reply_delay=0.1)
    chance, before, answered = random.Random(1), asyncio.all_tasks(), 0
    for number in range(10):
        callers = [asyncio.create_task(echoes(client, f"{number}-{one}")) for one in range(500)]
        for caller in callers:
            if chance.random() < 0.5:
                asyncio.get_running_loop().call_later(chance.uniform(0, 0.15), caller.cancel)
        outcomes = await asyncio.gather(*callers, return_exceptions=True)
        assert not [one for one in outcomes if isinstance(one, AssertionError)]
        answered += sum(one is True for one in outcomes)
    assert answered > 2_000
    proxy.conditions = Conditions()
    assert await echoes(client, "afterwards")
    assert asyncio.all_tasks() - before == set()


@pytest.mark.parametrize("fault", list(Fault))
async def test_broken_replies_give_nobody_the_answer_of_another(client: StoreClient, proxy: Proxy, fault: Fault) -> None:
    proxy.conditions = Conditions(fault=fault, share=0.02)
    chance = random.Random(1)

    async def ask(caller: int) -> int:
        answered = 0
        for number in range(100):
            answered += await echoes(client, f"{caller}-{number}")
            await asyncio.sleep(0.05 if client.open else chance.uniform(0, 0.01))
        return answered

    answered = sum(await asyncio.gather(*(ask(caller) for caller in range(32))))
    assert proxy.struck > 3
    assert answered > 2_400
    proxy.conditions = Conditions()
    assert await echoes(client, "afterwards")


async def test_a_reply_that_comes_too_late_is_nobodys(client: StoreClient, proxy: Proxy) -> None:
    proxy.conditions = Conditions(reply_delay=TIMEOUT + 0.2)
    assert not await echoes(client, "too late")
    proxy.conditions = Conditions(reply_delay=0.1)
    assert all(await asyncio.gather(*(echoes(client, f"in time {number}") for number in range(100))))


ONCE = {fault.value: Conditions(fault=fault, share=1, most_struck=1) for fault in Fault} | {"late": Conditions(reply_delay=TIMEOUT + 0.2)}


async def with_one_reply_lost(client: StoreClient, proxy: Proxy, loss: Conditions, command: Command) -> list[Reply]:
    """The network is whole again before anybody could send the command again."""
    proxy.conditions = loss
    asyncio.get_running_loop().call_later(TIMEOUT / 2, setattr, proxy, "conditions", Conditions())
    return await client.run(command)


@pytest.mark.parametrize("loss", ONCE.values(), ids=ONCE)
async def test_a_write_whose_reply_is_lost_is_sent_once(client: StoreClient, proxy: Proxy, database: redis.Redis, loss: Conditions) -> None:
    with pytest.raises(StoreUnavailable):
        await with_one_reply_lost(client, proxy, loss, write("INCR", "count"))
    assert database.get("count") == "1"


@pytest.mark.parametrize("fault", list(Fault))
async def test_a_read_whose_reply_is_lost_is_sent_again(client: StoreClient, proxy: Proxy, fault: Fault) -> None:
    assert await with_one_reply_lost(client, proxy, ONCE[fault.value], read("ECHO", "again")) == ["again"]


async def test_a_read_whose_reply_is_late_is_not(client: StoreClient, proxy: Proxy) -> None:
    """Whoever waited as long as the time-out is answered now."""
    with pytest.raises(StoreUnavailable):
        await with_one_reply_lost(client, proxy, ONCE["late"], read("ECHO", "again"))


async def test_a_read_is_sent_twice_at_most(client: StoreClient, proxy: Proxy, database: redis.Redis) -> None:
    database.config_resetstat()
    proxy.conditions = Conditions(request_delay=TIMEOUT + 0.2)
    with pytest.raises(StoreUnavailable):
        await client.run(read("STRLEN", "anything"))
    proxy.conditions = Conditions()
    assert eventually(lambda: "cmdstat_strlen" in database.info("commandstats"))
    assert database.info("commandstats")["cmdstat_strlen"]["calls"] <= 2


async def test_writes_whose_callers_gave_up_happen_once_at_most(client: StoreClient, proxy: Proxy, database: redis.Redis) -> None:
    proxy.conditions = Conditions(reply_delay=0.02)
    callers = [asyncio.create_task(client.run(write("INCR", f"count-{number}"))) for number in range(1_000)]
    await asyncio.sleep(0)
    for caller in callers[::2]:
        caller.cancel()
    await asyncio.gather(*callers, return_exceptions=True)
    counts = [database.get(f"count-{number}") for number in range(1_000)]
    assert counts[1::2] == ["1"] * 500
    assert set(counts[::2]) <= {None, "1"}


async def test_lost_connections_are_given_back(client: StoreClient, proxy: Proxy) -> None:
    for number in range(200):
        proxy.reset_all()
        with suppress(StoreUnavailable):
            await client.run(read("PING"))
        (await client.primaries())[0].breaker.succeeded()
        assert proxy.connections <= MOST_CONNECTIONS, number
    assert eventually(lambda: proxy.connections <= MOST_CONNECTIONS)
    assert await echoes(client, "afterwards")
