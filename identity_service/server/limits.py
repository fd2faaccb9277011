"""Rate limits by the generic cell rate algorithm (ITU-T I.371): one number a caller, no window edges; all workers together.

The numbers are in memory of fixed size that the workers of one instance share, and that ends with it. It has no name in any file system,
and nothing in it tells who called: a caller is 64 bits of a hash, under a key that is drawn at each start and kept beside it.
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
"""Where workers find the memory that their supervisor made; empty: nowhere."""
TABLES = 7
SLOTS = 1 << 16
NEIGHBOURS = 8
"""How far from its place a caller may be found."""
KEY_BYTES = 32
TABLE_BYTES = (SLOTS + NEIGHBOURS) * 16
BYTES = KEY_BYTES + TABLES * TABLE_BYTES
MOST_HASHED = 4_096
"""Callers whose hash a worker remembers, since a hash costs more than everything else here."""
ROUNDING = 1e-9


class Slots:
    """A slot is a caller's hash and its number; `numbers[find(caller)]` is read and written without a lock."""

    def __init__(self, memory: memoryview, key: bytes) -> None:
        self._names = memory.cast("Q")
        self.numbers = memory.cast("d")
        self._hash = lru_cache(MOST_HASHED)(lambda caller: _hash(caller, key))

    def find(self, caller: str) -> int:
        """Where the caller's number is. Somebody new takes the slot with the lowest number near its place, and begins with zero.

        Every load and store is of eight aligned bytes, so none is torn. Of two workers that write one number at once the later wins, and of
        two callers that take one slot at once: the other one's next call takes another slot.
        """
        name, names = self._hash(caller), self._names
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
    """As many tables as there are kinds of limits, behind the key."""

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
    """Path by which processes of this user open the memory as long as this process lives; empty where the system has no such thing."""
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
    """`per_second` calls in the long run, `burst` seconds' worth at once, and always one. `clock`: seconds, steady, the same for all
    processes that share `slots`."""

    def __init__(self, per_second: float, burst: float, clock: Callable[[], float], slots: Slots) -> None:
        self._interval = 1 / per_second
        self._tolerance = max(burst - self._interval, 0) + ROUNDING
        self._clock = clock
        self._slots = slots

    def count(self, caller: str, calls: int = 1) -> None:
        """Raises RateLimited, with the seconds to wait, for a call too many; that call costs the caller nothing. `calls`: as how many it
        counts; one that counts for many passes whole, and the next one waits for it.

        Workers that count one caller at the same instant may both read before either writes: then one of the two calls is for free. The
        number is read again where it is written, or a worker that was interrupted here would take back what others counted meanwhile.
        """
        now, at, numbers = self._clock(), self._slots.find(caller), self._slots.numbers
        wait = numbers[at] - now
        if wait > self._tolerance:
            raise RateLimited(
                "Wait as many seconds as Retry-After says, then repeat the call.", retry_after=max(1, math.ceil(wait - self._tolerance))
            )
        numbers[at] = max(numbers[at], now) + calls * self._interval
