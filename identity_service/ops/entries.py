"""Whole keys, read and written in batches on every primary of a store, for the operator's commands. No request uses this."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import redis
from redis.cluster import RedisCluster

from identity_service.errors import StoreUnavailable
from identity_service.ops.kinds import KINDS, Rekey, UnknownKeyError, name_of
from identity_service.store.redis.command import pack, script

BATCH = 500
READ, COPY = script("read_key"), script("copy_key")
NEVER = -1
"""Instead of an expiry."""

Word = str | bytes | int
WRITERS = {"string": "SET", "hash": "HSET", "list": "RPUSH", "set": "SADD", "zset": "ZADD"}


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key with its content. `expires_at`: ms since 1970, or NEVER. `value`: bytes, or a list, set or dict of them. A sorted set is a
    dict from member to score, as a number, because servers write the same score in different digits."""

    name: bytes
    type: str
    expires_at: int
    value: Any

    @property
    def kind(self) -> str:
        return name_of(self.name).kind

    def with_new_digests(self, rekey: Rekey) -> "StoredKey":
        """The entry under newer peppers. Raises UnknownKeyError for a value that this version cannot read; such a value must not be
        moved."""
        name = name_of(self.name)
        kind = KINDS[name.kind]
        if kind.type != self.type:
            raise UnknownKeyError
        try:
            value = kind.rewrite(self.value, rekey) if kind.rewrite else self.value
            return replace(self, name=name.with_new_digests(rekey), value=value)
        except ValueError:
            raise UnknownKeyError from None

    def words(self) -> list[Any]:
        """The arguments after the key in the command that writes it."""
        if self.type == "string":
            return [self.value]
        if self.type == "hash":
            return [part for pair in self.value.items() for part in pair]
        if self.type == "zset":
            return [part for member, score in self.value.items() for part in (repr(score), member)]
        return list(self.value)


class Side:
    """A store with all its primaries. Use it inside `answering`. `at_once`: about how many keys a batch has."""

    def __init__(self, client: "redis.Redis | RedisCluster", at_once: int = BATCH) -> None:
        self._client = client
        self.at_once = at_once

    def primaries(self) -> list[redis.Redis]:
        if not isinstance(self._client, RedisCluster):
            return [self._client]
        return [self._client.get_redis_connection(node) for node in self._client.get_primaries()]  # type: ignore[no-untyped-call]

    def size(self) -> int:
        return sum(int(primary.dbsize()) for primary in self.primaries())

    def names(self, pattern: str) -> Iterator[list[bytes]]:
        """Batches of key names. A name may be repeated."""
        for primary in self.primaries():
            cursor = 0
            while True:
                cursor, found = primary.scan(cursor, match=pattern, count=self.at_once)
                if found:
                    yield [name for name in found if isinstance(name, bytes)]
                if not cursor:
                    break

    def ask(self, calls: Sequence[tuple[str | bytes, tuple[Word, ...]]]) -> list[Any]:
        """Raw replies in the order of the calls, each a key and its command. One pipeline per primary."""
        by_primary: dict[int, tuple[redis.Redis, list[int]]] = {}
        for index, (key, _) in enumerate(calls):
            primary = self._primary_of(key)
            by_primary.setdefault(id(primary), (primary, []))[1].append(index)
        replies: list[Any] = [None] * len(calls)
        for primary, indexes in by_primary.values():
            for index, reply in zip(indexes, _run_pipeline(primary, [calls[index][1] for index in indexes]), strict=True):
                replies[index] = reply
        return replies

    def read(self, names: Sequence[bytes]) -> list[StoredKey]:
        """The existing keys of `names`. The scripts must be loaded."""
        found = self.ask([(name, ("EVALSHA", READ.sha, 1, name)) for name in names])
        return [_entry(name, *one) for name, one in zip(names, found, strict=True) if one[0] != b"none"]

    def write(self, entries: Sequence[StoredKey]) -> None:
        """Those that are not there, each in one step. The scripts must have been loaded."""
        self.ask([(one.name, ("EVALSHA", COPY.sha, 1, one.name, one.expires_at, WRITERS[one.type], *one.words())) for one in entries])

    def expiries(self, names: Sequence[bytes]) -> list[int]:
        """In ms since 1970, NEVER, or less for a key that does not exist."""
        return self.ask([(name, ("PEXPIRETIME", name)) for name in names])

    def load_scripts(self) -> None:
        for primary in self.primaries():
            for one in (READ, COPY):
                primary.script_load(one.source)

    def hash_of(self, name: str) -> dict[str, str]:
        [found] = self.ask([(name, ("HGETALL", name))])
        return {field.decode(): value.decode() for field, value in _pairs(found).items()}

    def set_hash(self, name: str, fields: Mapping[str, str]) -> None:
        self.ask([(name, ("HSET", name, *(text for pair in fields.items() for text in pair)))])

    def delete(self, name: str) -> None:
        self.ask([(name, ("DEL", name))])

    def get(self, name: str) -> bytes | None:
        found: bytes | None
        [found] = self.ask([(name, ("GET", name))])
        return found

    def _primary_of(self, key: str | bytes) -> redis.Redis:
        if not isinstance(self._client, RedisCluster):
            return self._client
        return self._client.get_redis_connection(self._client.get_node_from_key(key))  # type: ignore[no-untyped-call]


@contextmanager
def answering() -> Iterator[None]:
    """Raises StoreUnavailable if a server does not answer, or refuses."""
    try:
        yield
    except redis.RedisError as error:
        raise StoreUnavailable from error


def _run_pipeline(primary: redis.Redis, commands: Sequence[tuple[Word, ...]]) -> list[Any]:
    """The library's own pipeline object costs several times what the store does."""
    connection = primary.connection_pool.get_connection()
    try:
        connection.send_packed_command([b"".join(map(pack, commands))])  # type: ignore[no-untyped-call]
        return [connection.read_response() for _ in commands]
    except BaseException:
        connection.disconnect()  # type: ignore[no-untyped-call]
        raise
    finally:
        primary.connection_pool.release(connection)


def _entry(name: bytes, kind: bytes, expires_at: int, value: Any) -> StoredKey:
    """Raises UnknownKeyError for a type that the service does not use."""
    if kind.decode() not in WRITERS:
        raise UnknownKeyError
    if kind in {b"hash", b"zset"}:
        value = _pairs(value)
    if kind == b"zset":
        value = {member: float(score) for member, score in value.items()}
    return StoredKey(name, kind.decode(), expires_at, set(value) if kind == b"set" else value)


def _pairs(reply: Any) -> dict[bytes, bytes]:
    """A dict from a flat list of names and values; a newer protocol gives the dict itself."""
    return reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2], strict=True))
