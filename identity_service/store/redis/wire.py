"""One blocking connection to one server, for an operator's questions."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError
from redis.retry import Retry

from identity_service.errors import StoreUnavailable
from identity_service.store.examination import information


class Refused(Exception):
    """The server answered with an error, which is the message."""


class Forbidden(Refused):
    """The login may not run the command."""


class Wire:
    """One connection to one server. Raises StoreUnavailable, with the reason, where it does not answer."""

    def __init__(self, url: str, timeout: float) -> None:
        once = Retry(NoBackoff(), 0)
        pool = redis.ConnectionPool.from_url(url, socket_timeout=timeout, socket_connect_timeout=timeout, retry=once)
        with _reasons():
            self._connection = pool.get_connection()

    def ask(self, *words: str | int) -> Any:
        """The reply with its bytes as text. Raises Refused."""
        with _reasons():
            self._connection.send_command(*words)  # type: ignore[no-untyped-call]
            return _text(self._connection.read_response())

    def table(self, *words: str | int) -> dict[str, str]:
        """A reply of names and values, in any of their forms."""
        return table(self.ask(*words))

    def close(self) -> None:
        self._connection.disconnect()  # type: ignore[no-untyped-call]


@contextmanager
def _reasons() -> Iterator[None]:
    try:
        yield
    except NoPermissionError as error:
        raise Forbidden(str(error)) from error
    except redis.ResponseError as error:
        raise Refused(str(error)) from error
    except (redis.RedisError, OSError) as error:
        raise StoreUnavailable(str(error) or type(error).__name__) from error


def table(reply: Any) -> dict[str, str]:
    if isinstance(reply, str):
        return information(reply)
    return reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2], strict=True))


def place_of(url: str) -> str:
    """Without login and options."""
    parts = urlsplit(url)
    return parts.path if parts.scheme == "unix" else parts.netloc.rpartition("@")[2]


def _text(reply: Any) -> Any:
    if isinstance(reply, bytes):
        return reply.decode(errors="replace")
    if isinstance(reply, dict):
        return {_text(name): _text(value) for name, value in reply.items()}
    return [_text(one) for one in reply] if isinstance(reply, list) else reply
