"""The library's blocking clients, for the operator's commands. No request uses them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import NoPermissionError
from redis.retry import Retry
from redis.sentinel import Sentinel

from identity_service.errors import StoreUnavailable
from identity_service.settings.store_url import parse_address
from identity_service.store.examine import information


def direct(url: str, timeout: float) -> redis.Redis | RedisCluster:
    """A client whose replies are bytes. `timeout`: seconds. Raises ValueError for a URL of no known form, StoreUnavailable if nothing
    answers."""
    address = parse_address(url)
    times = {"socket_timeout": timeout, "socket_connect_timeout": timeout}
    try:
        if address.topology == "single":
            return redis.Redis.from_url(url, **times)
        if address.topology == "cluster":
            first = [redis.Redis.from_url(server).connection_pool.connection_kwargs for server in address.servers]
            nodes = [ClusterNode(one["host"], one["port"]) for one in first]  # type: ignore[no-untyped-call]
            return RedisCluster.from_url(address.servers[0], startup_nodes=nodes, **times)
        sentinels = Sentinel([])  # type: ignore[no-untyped-call]
        sentinels.sentinels = [redis.Redis.from_url(server, **times) for server in address.servers]
        host, port = sentinels.discover_master(address.service)  # type: ignore[no-untyped-call]
        return redis.Redis.from_url(address.server(host, port), **times)
    except redis.RedisError as error:
        raise StoreUnavailable from error


class ServerError(Exception):
    """The server answered with an error. Its text is the message."""


class NotPermitted(ServerError):
    """The login may not run the command."""


class Wire:
    """One connection to one server. Raises StoreUnavailable with the reason if it does not answer."""

    def __init__(self, url: str, timeout: float) -> None:
        once = Retry(NoBackoff(), 0)
        pool = redis.ConnectionPool.from_url(url, socket_timeout=timeout, socket_connect_timeout=timeout, retry=once)
        with _reasons():
            self._connection = pool.get_connection()

    def ask(self, *words: str | int) -> Any:
        """The reply, decoded to text. Raises ServerError."""
        with _reasons():
            self._connection.send_command(*words)  # type: ignore[no-untyped-call]
            return _text(self._connection.read_response())

    def table(self, *words: str | int) -> dict[str, str]:
        """A reply of names and values: text lines, a map, or a flat list."""
        return table(self.ask(*words))

    def close(self) -> None:
        self._connection.disconnect()  # type: ignore[no-untyped-call]


@contextmanager
def _reasons() -> Iterator[None]:
    try:
        yield
    except NoPermissionError as error:
        raise NotPermitted(str(error)) from error
    except redis.ResponseError as error:
        raise ServerError(str(error)) from error
    except (redis.RedisError, OSError) as error:
        raise StoreUnavailable(str(error) or type(error).__name__) from error


def table(reply: Any) -> dict[str, str]:
    if isinstance(reply, str):
        return information(reply)
    return reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2], strict=True))


def _text(reply: Any) -> Any:
    if isinstance(reply, bytes):
        return reply.decode(errors="replace")
    if isinstance(reply, dict):
        return {_text(name): _text(value) for name, value in reply.items()}
    return [_text(one) for one in reply] if isinstance(reply, list) else reply
