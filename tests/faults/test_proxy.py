"""The proxy does to a connection what it is told, and nothing else."""

import time
from collections.abc import Iterator

import pytest
import redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as TooSlow
from redis.retry import Retry

from tests.faults.proxy import Conditions, Fault, Proxy, proxied
from tests.test_command import eventually


@pytest.fixture
def proxy(store_url: str, database: redis.Redis) -> Iterator[Proxy]:
    with proxied(store_url) as made:
        yield made


@pytest.fixture
def caller(proxy: Proxy) -> Iterator[redis.Redis]:
    """Sends once, and waits half a second."""
    made: redis.Redis = redis.Redis.from_url(proxy.url, socket_timeout=0.5, retry=Retry(NoBackoff(), 0))
    yield made
    made.close()


def test_it_lets_everything_through(caller: redis.Redis, proxy: Proxy) -> None:
    long = b"x" * 1_000_000
    assert caller.set("long", long)
    assert caller.get("long") == long
    assert proxy.connections == 1


@pytest.mark.parametrize("conditions", [Conditions(request_delay=0.1), Conditions(reply_delay=0.1)])
def test_it_delays_each_way(caller: redis.Redis, proxy: Proxy, conditions: Conditions) -> None:
    assert caller.ping()
    proxy.conditions = conditions
    began = time.monotonic()
    assert caller.ping()
    assert time.monotonic() - began >= 0.1


def test_what_it_holds_is_done_once_it_flows(caller: redis.Redis, proxy: Proxy, database: redis.Redis) -> None:
    assert caller.ping()
    proxy.conditions = Conditions(flowing=False)
    with pytest.raises(TooSlow):
        caller.incr("count")
    assert database.get("count") is None
    proxy.conditions = Conditions()
    assert caller.ping()
    assert eventually(lambda: database.get("count") == "1")


def test_it_resets_what_is_open_and_refuses_what_is_new(caller: redis.Redis, proxy: Proxy) -> None:
    assert caller.ping()
    proxy.conditions = Conditions(refusing=True)
    proxy.reset_all()
    for _ in range(2):
        with pytest.raises(LostConnection):
            caller.ping()
    proxy.conditions = Conditions()
    assert caller.ping()


@pytest.mark.parametrize("fault", list(Fault))
def test_a_struck_reply_was_done_but_is_not_heard(caller: redis.Redis, proxy: Proxy, database: redis.Redis, fault: Fault) -> None:
    assert caller.ping()
    proxy.conditions = Conditions(fault=fault, share=1)
    with pytest.raises(RedisError):
        caller.incr("count")
    assert proxy.struck == 1
    assert database.get("count") == "1"


def test_it_strikes_the_share_it_is_told(caller: redis.Redis, proxy: Proxy) -> None:
    proxy.conditions = Conditions(share=0.1)
    for _ in range(500):
        try:
            caller.ping()
        except LostConnection:
            continue
    assert 25 <= proxy.struck <= 100


def test_it_resets_a_connection_after_so_many_bytes_of_replies(store_url: str, database: redis.Redis) -> None:
    with proxied(store_url, Conditions(most_reply_bytes=2_000)) as proxy:
        caller: redis.Redis = redis.Redis.from_url(proxy.url, socket_timeout=0.5, retry=Retry(NoBackoff(), 0))
        assert caller.echo("x" * 900) == b"x" * 900
        with pytest.raises(LostConnection):
            caller.echo("x" * 1_100)
        caller.close()
