"""Rate limits by the generic cell rate algorithm (ITU-T I.371): one number per caller, no window edges, shared by all workers. The same
memory holds names that were seen before.

The numbers are in memory of fixed size that the workers of one instance share. It ends with the instance, has no name in any file system,
and does not reveal who called: a caller is 64 bits of a hash, keyed by a random key of this start, which is stored next to the numbers.
"""

import hashlib
import math
import mmap
import os
import secrets
import sys
from collections.abc import Callable
from functools import lru_cache

from identity_service.errors import RateLimited

MEMORY_VARIABLE = "IDENTITY_MEMORY"
"""The path at which workers find the memory of their supervisor. Empty: there is none."""
TABLES = 9
SLOTS = 1 << 16
NEIGHBOURS = 8
"""Number of slots, from its own on, in which a caller may be."""
KEY_BYTES = 32
TABLE_BYTES = (SLOTS + NEIGHBOURS) * 16
BYTES = KEY_BYTES + TABLES * TABLE_BYTES
MOST_HASHED = 4_096
"""Callers whose hash a worker caches, because hashing costs more than the rest."""
ROUNDING = 1e-9
USES = 1 << 20
"""A number has 53 bits, of which the seconds take 31."""


class Slots:
    """A slot holds a caller's hash and its number. `numbers[find(caller)]` is read and written without a lock."""

    def __init__(self, memory: memoryview, key: bytes) -> None:
        self._names = memory.cast("Q")
        self.numbers = memory.cast("d")
        self.hashed = lru_cache(MOST_HASHED)(lambda caller: _hash(caller, key))

    def find(self, caller: str) -> int:
        """Index of the caller's number. A new caller takes the slot with the lowest number nearby, and starts with zero.

        Loads and stores are of eight aligned bytes, so none is torn. If two workers write one number at once, the later wins. If two
        callers take one slot at once, the later wins too, and the other's next call takes another slot.
        """
        name, names = self.hashed(caller), self._names
        home = (name % SLOTS) * 2
        if names[home] == name:
            return home + 1
        places = range(home, home + 2 * NEIGHBOURS, 2)
        for place in places:
            if names[place] == name:
                return place + 1
        taken = min(places, key=lambda place: self.numbers[place + 1])
        self.numbers[taken + 1] = 0.0
        names[taken] = name
        return taken + 1


class SharedMemory:
    """The key, followed by one table for each kind of limit."""

    def __init__(self, memory: mmap.mmap, *, shared: bool) -> None:
        self._whole = memoryview(memory)
        self.shared = shared

    def slots(self, table: int) -> Slots:
        start = KEY_BYTES + table * TABLE_BYTES
        return Slots(self._whole[start : start + TABLE_BYTES], bytes(self._whole[:KEY_BYTES]))


def _hash(caller: str, key: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(caller.encode(), digest_size=8, key=key).digest(), "little")


def private_memory() -> SharedMemory:
    memory = mmap.mmap(-1, BYTES)
    memory[:KEY_BYTES] = secrets.token_bytes(KEY_BYTES)
    return SharedMemory(memory, shared=False)


def create_memory() -> str:
    """The path at which processes of this user can open the memory while this process lives. Empty if the system does not support it."""
    if sys.platform != "linux":
        return ""
    file = os.memfd_create("identity-limits")
    os.ftruncate(file, BYTES)
    os.pwrite(file, secrets.token_bytes(KEY_BYTES), 0)
    path = f"/proc/{os.getpid()}/fd/{file}"
    return path if os.access(path, os.R_OK | os.W_OK) else ""


def open_memory(path: str) -> SharedMemory:
    with open(path, "r+b") as file:
        return SharedMemory(mmap.mmap(file.fileno(), BYTES), shared=True)


class RateLimit:
    """`per_second` calls in the long run; at once `burst` seconds' worth, and at least one. `clock`: monotonic seconds, the same for all
    processes that share `slots`."""

    def __init__(self, per_second: float, burst: float, clock: Callable[[], float], slots: Slots) -> None:
        self._interval = 1 / per_second
        self._tolerance = max(burst - self._interval, 0) + ROUNDING
        self._clock = clock
        self._slots = slots

    def count(self, caller: str, calls: int = 1) -> None:
        """Raises RateLimited, with the seconds to wait, if the caller is over its limit; the refused call is not counted. `calls`: how many
        calls it counts as. A large number passes as a whole, and the next call waits for it.

        If two workers count one caller at the same instant, both may read before either writes, and one call is free. The number is read
        again when it is written, or a worker interrupted here would undo what others have counted.
        """
        now, at, numbers = self._clock(), self._slots.find(caller), self._slots.numbers
        wait = numbers[at] - now
        if wait > self._tolerance:
            raise RateLimited(
                "Wait as many seconds as Retry-After says, then repeat the call.", retry_after=max(1, math.ceil(wait - self._tolerance))
            )
        numbers[at] = max(numbers[at], now) + calls * self._interval


class SeenOnce:
    """Remembers names, such as those of signatures that count only once, and what each was first used for. Of more than its memory holds,
    the oldest are forgotten. A number is the second of the first use, times `USES`, and a keyed hash of the use."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots

    def seen(self, name: str, use: str, now: float) -> tuple[int, bool] | None:
        """When the name was first seen, in seconds since 1970, and whether for the same use. None if this is the first time."""
        at, numbers, tag = self._slots.find(name), self._slots.numbers, self._slots.hashed(use) % USES
        if not numbers[at]:
            numbers[at] = int(now) * USES + tag
            return None
        first, of = divmod(int(numbers[at]), USES)
        return first, of == tag


class Unlimited(RateLimit):
    """For limits that are off."""

    def __init__(self) -> None:
        """It counts nobody."""

    def count(self, caller: str, calls: int = 1) -> None:
        """Never raises."""
