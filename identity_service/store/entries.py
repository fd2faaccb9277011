"""Whole keys, read and written in batches on every primary of a store, for what an operator runs. No request goes through here."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import redis
from redis.client import Pipeline
from redis.cluster import RedisCluster

from identity_service.errors import StoreUnavailable
from identity_service.store.kinds import KINDS, Rekey, UnknownKeyError, name_of
from identity_service.store.scripts import script

BATCH = 500
COPY = script("copy_key")

Queue = Callable[["Pipeline"], object]
"""Puts one command into a pipeline."""

READERS: dict[str, Callable[["Pipeline", bytes], object]] = {
    "string": lambda pipe, key: pipe.get(key),
    "hash": lambda pipe, key: pipe.hgetall(key),
    "list": lambda pipe, key: pipe.lrange(key, 0, -1),
    "set": lambda pipe, key: pipe.smembers(key),
    "zset": lambda pipe, key: pipe.zrange(key, 0, -1, withscores=True),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A key with all that it holds. `expires_at`: ms since 1970, None for never. `value`: bytes, list, set or dict of bytes; of a sorted
    set member to score."""

    name: bytes
    type: str
    expires_at: int | None
    value: Any

    @property
    def kind(self) -> str:
        return name_of(self.name).kind

    def rekeyed(self, rekey: Rekey) -> "Entry":
        """Raises UnknownKeyError for what this version cannot read: nothing may be moved unread."""
        name = name_of(self.name)
        kind = KINDS[name.kind]
        if kind.type != self.type:
            raise UnknownKeyError
        try:
            value = kind.rewrite(self.value, rekey) if kind.rewrite else self.value
            return replace(self, name=name.rekeyed(rekey), value=value)
        except ValueError:
            raise UnknownKeyError from None

    def arguments(self) -> list[Any]:
        """Of the script copy_key."""
        expiry = "" if self.expires_at is None else self.expires_at
        if self.type == "string":
            return [expiry, "SET", self.value]
        if self.type == "hash":
            return [expiry, "HSET", *(part for pair in self.value.items() for part in pair)]
        if self.type == "zset":
            return [expiry, "ZADD", *(part for member, score in self.value.items() for part in (score, member))]
        return [expiry, "RPUSH" if self.type == "list" else "SADD", *self.value]


class Side:
    """A store with all its primaries; use it inside `answering`."""

    def __init__(self, client: "redis.Redis | RedisCluster") -> None:
        self._client = client

    def primaries(self) -> list[redis.Redis]:
        if not isinstance(self._client, RedisCluster):
            return [self._client]
        return [self._client.get_redis_connection(node) for node in self._client.get_primaries()]  # type: ignore[no-untyped-call]

    def size(self) -> int:
        return sum(int(primary.dbsize()) for primary in self.primaries())

    def names(self, pattern: str) -> Iterator[list[bytes]]:
        """Batches of key names; one may come twice."""
        for primary in self.primaries():
            cursor = 0
            while True:
                cursor, found = primary.scan(cursor, match=pattern, count=BATCH)
                if found:
                    yield [name for name in found if isinstance(name, bytes)]
                if not cursor:
                    break

    def ask(self, calls: Sequence[tuple[bytes, Queue]]) -> list[Any]:
        """Replies in the order of the calls, each a key and its command; one pipeline a primary."""
        by_primary: dict[int, tuple[redis.Redis, list[int]]] = {}
        for index, (key, _) in enumerate(calls):
            primary = self._primary_of(key)
            by_primary.setdefault(id(primary), (primary, []))[1].append(index)
        replies: list[Any] = [None] * len(calls)
        for primary, indexes in by_primary.values():
            with primary.pipeline(transaction=False) as pipe:
                for index in indexes:
                    calls[index][1](pipe)
                for index, reply in zip(indexes, pipe.execute(), strict=True):
                    replies[index] = reply
        return replies

    def read(self, names: Sequence[bytes]) -> list[Entry]:
        """Those of the keys that exist."""
        asked = [(name, queue) for name in names for queue in _about(name)]
        about = self.ask(asked)
        found = [(name, about[2 * i].decode(), about[2 * i + 1]) for i, name in enumerate(names) if about[2 * i] != b"none"]
        values = self.ask([(name, _reading(name, kind)) for name, kind, _ in found])
        return [
            Entry(name, kind, None if expires_at < 0 else expires_at, dict(value) if kind == "zset" else value)
            for (name, kind, expires_at), value in zip(found, values, strict=True)
            if value
        ]

    def expiries(self, names: Sequence[bytes]) -> list[int]:
        """In ms since 1970; -1 for never, -2 for a key that does not exist."""
        return self.ask([(name, _about(name)[1]) for name in names])

    def load_scripts(self) -> None:
        for primary in self.primaries():
            primary.script_load(COPY.source)

    def write(self, entries: Sequence[Entry]) -> None:
        """Each key atomically. The scripts must have been loaded."""
        self.ask([(entry.name, _copying(entry)) for entry in entries])

    def hash_of(self, name: str) -> dict[str, str]:
        [found] = self.ask([(name.encode(), lambda pipe: pipe.hgetall(name))])
        return {field.decode(): value.decode() for field, value in found.items()}

    def set_hash(self, name: str, fields: Mapping[str, str]) -> None:
        items = [text for pair in fields.items() for text in pair]
        self.ask([(name.encode(), lambda pipe: pipe.hset(name, items=items))])

    def delete(self, name: str) -> None:
        self.ask([(name.encode(), lambda pipe: pipe.delete(name))])

    def get(self, name: str) -> bytes | None:
        found: bytes | None
        [found] = self.ask([(name.encode(), lambda pipe: pipe.get(name))])
        return found

    def _primary_of(self, key: bytes) -> redis.Redis:
        if not isinstance(self._client, RedisCluster):
            return self._client
        return self._client.get_redis_connection(self._client.get_node_from_key(key))  # type: ignore[no-untyped-call]


@contextmanager
def answering() -> Iterator[None]:
    """Raises StoreUnavailable where a server does not answer, or refuses."""
    try:
        yield
    except redis.RedisError as error:
        raise StoreUnavailable from error


def _about(name: bytes) -> tuple[Queue, Queue]:
    return (lambda pipe: pipe.type(name)), (lambda pipe: pipe.pexpiretime(name))


def _reading(name: bytes, kind: str) -> Queue:
    if kind not in READERS:
        raise UnknownKeyError
    return lambda pipe: READERS[kind](pipe, name)


def _copying(entry: Entry) -> Queue:
    return lambda pipe: pipe.evalsha(COPY.sha, 1, entry.name, *entry.arguments())
