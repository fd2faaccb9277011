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
"""Of a person."""
NEWEST_DAYS = 100
"""Days that are read first. They usually have enough."""
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
            return (), ("", self._life, MOST_ACCESSES)
        persons = [self._keys.accesses(shop, entry.subject)] if entry.subject and entry.act is not Act.AUDIT else []
        return (self._keys.audit(shop, entry.time // 1000 // DAY), *persons), (compact(entry), self._life, MOST_ACCESSES)

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
            place = self._keys.accesses(shop, entry.subject or "")
            commands.append(call("note_access", [place], compact(entry), self._life, MOST_ACCESSES))
        for start in range(0, len(commands), MOST_COMMANDS):
            await self._client.run(*commands[start : start + MOST_COMMANDS])

    async def about(self, shop: ShopId, subjects: Sequence[str]) -> list[AuditEntry]:
        """The newest entries about a person: those of the first subject, newest first, then of the next."""
        found = await self._client.run(*(read("LRANGE", self._keys.accesses(shop, one), 0, -1) for one in subjects))
        return [_entry_of(text) for texts in found for text in texts][:MOST_ACCESSES]

    async def newest_before(self, shop: ShopId, place: AuditPlace, first_day: int, most: int) -> list[tuple[AuditPlace, AuditEntry]]:
        """At most `most` entries before `place`, newest first, each with its place. None of a day before `first_day`."""
        days = range(place.day, first_day - 1, -1)
        found = await self._newest_of(shop, days[:NEWEST_DAYS], place, most)
        if len(found) < most and len(days) > NEWEST_DAYS:
            found += await self._newest_of(shop, days[NEWEST_DAYS:], place, most - len(found))
        return found

    async def _newest_of(self, shop: ShopId, days: Sequence[int], place: AuditPlace, most: int) -> list[tuple[AuditPlace, AuditEntry]]:
        """As `newest_before`, of these days, newest first. Two round trips."""
        lengths = await self._client.read_many([read("LLEN", self._keys.audit(shop, day)) for day in days])
        ends: dict[int, int] = {}
        commands: list[Command] = []
        for day, length in zip(days, lengths, strict=True):
            end = min(length, place.position) if day == place.day else length
            if end and most:
                ends[day], shown = end, min(end, most)
                commands.append(read("LRANGE", self._keys.audit(shop, day), -end, shown - end - 1))
                most -= shown
        lists = zip(ends.items(), await self._client.read_many(commands), strict=True)
        return [(AuditPlace(day, end - 1 - number), _entry_of(text)) for (day, end), texts in lists for number, text in enumerate(texts)]

    async def lookups(self, shop: ShopId, days: Sequence[int]) -> dict[tuple[int, str], int]:
        """The look-ups of services on these days, by the start of the hour and the key's name."""
        found = await self._client.read_many([read("HGETALL", self._keys.lookups(shop, day)) for day in days])
        return {
            (day * DAY + int(field[:2]) * HOUR, field[3:]): int(number)
            for day, counts in zip(days, found, strict=True)
            for field, number in counts.items()
        }
