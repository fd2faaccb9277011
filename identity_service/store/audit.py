"""The audit of a shop: a list of entries for each day, the newest entries about each person, and how often services looked people up.

A day's list ends with its life, so nothing is ever taken out of it. A position counts from the oldest entry of its day, so that new entries
do not shift it.
"""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from identity_service.model.audit import Act, AuditEntry
from identity_service.model.event import compact
from identity_service.model.shop import ShopId
from identity_service.model.utc import DAY, HOUR
from identity_service.store.keys import Keys
from identity_service.store.redis.client import StoreClient
from identity_service.store.redis.command import MOST_COMMANDS, Command, Part, call, read, write

MOST_ACCESSES = 20
"""Of a person. The scripts keep as many."""
DAYS_AT_ONCE = 100
"""Days whose lengths one pipeline reads."""
_entry_of = msgspec.json.Decoder(AuditEntry).decode


class AuditPlace(Struct, frozen=True):
    """The entries of `day` that are older than the one at `position`, and those of earlier days. `day`: days since 1970."""

    day: int
    position: int


class AuditStore:
    """`life`: of an entry, in seconds."""

    def __init__(self, client: StoreClient, keys: Keys, life: int) -> None:
        self._client = client
        self._keys = keys
        self._life = life

    def part(self, shop: ShopId, entry: AuditEntry | None) -> Part:
        """Keys and arguments of a script that keeps the entry with a change. Who reads the audit is no access to a person."""
        if entry is None:
            return (), ("", self._life)
        persons = [self._keys.accesses(shop, entry.subject)] if entry.subject and entry.act is not Act.AUDIT else []
        return (self._keys.audit(shop, entry.time // 1000 // DAY), *persons), (compact(entry), self._life)

    async def record(self, shop: ShopId, entry: AuditEntry) -> None:
        """Raises StoreUnavailable."""
        keys, arguments = self.part(shop, entry)
        await self._client.run(call("record_audit", keys, *arguments))

    async def write(self, shop: ShopId, accesses: Sequence[AuditEntry], lookups: Mapping[tuple[int, str], int]) -> None:
        """Keeps accesses of services, and adds to the numbers of their look-ups, by the start of the hour and the key's name. Raises
        StoreUnavailable; then some may be kept."""
        commands: list[Command] = []
        for (start, name), number in lookups.items():
            key = self._keys.lookups(shop, start // DAY)
            commands += [write("HINCRBY", key, f"{start % DAY // HOUR:02} {name}", number), write("EXPIRE", key, self._life)]
        for entry in accesses:
            commands.append(call("note_access", [self._keys.accesses(shop, entry.subject or "")], compact(entry), self._life))
        for start in range(0, len(commands), MOST_COMMANDS):
            await self._client.run(*commands[start : start + MOST_COMMANDS])

    async def about(self, shop: ShopId, subject: str) -> list[AuditEntry]:
        """The newest entries about a person, newest first."""
        [found] = await self._client.run(read("LRANGE", self._keys.accesses(shop, subject), 0, -1))
        return [_entry_of(one) for one in found]

    async def newest_before(self, shop: ShopId, place: AuditPlace, first_day: int, most: int) -> list[tuple[AuditPlace, AuditEntry]]:
        """At most `most` entries before `place`, newest first, each with its place. None of a day before `first_day`."""
        found: list[tuple[AuditPlace, AuditEntry]] = []
        for newest in range(place.day, first_day - 1, -DAYS_AT_ONCE):
            days = range(newest, max(first_day - 1, newest - DAYS_AT_ONCE), -1)
            lengths = await self._client.run(*(read("LLEN", self._keys.audit(shop, day)) for day in days))
            for day, length in zip(days, lengths, strict=True):
                end = min(length, place.position) if day == place.day else length
                found += await self._of_day(shop, day, end, most - len(found)) if end else []
                if len(found) == most:
                    return found
        return found

    async def _of_day(self, shop: ShopId, day: int, end: int, most: int) -> list[tuple[AuditPlace, AuditEntry]]:
        """The entries at positions below `end`."""
        [texts] = await self._client.run(read("LRANGE", self._keys.audit(shop, day), -end, -max(1, end - most + 1)))
        return [(AuditPlace(day, end - 1 - number), _entry_of(text)) for number, text in enumerate(texts)]

    async def lookups(self, shop: ShopId, days: Sequence[int]) -> dict[tuple[int, str], int]:
        """The look-ups of services on these days, by the start of the hour and the key's name."""
        found = await self._client.read_many([read("HGETALL", self._keys.lookups(shop, day)) for day in days])
        return {
            (day * DAY + int(field[:2]) * HOUR, field[3:]): int(number)
            for day, counts in zip(days, found, strict=True)
            for field, number in counts.items()
        }
