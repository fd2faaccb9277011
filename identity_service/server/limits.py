"""Rate limits by the generic cell rate algorithm (ITU-T I.371): one number a caller, no window edges; all workers together."""

import math
from collections.abc import Callable

from identity_service.errors import RateLimited
from identity_service.server.slots import Slots

ROUNDING = 1e-9


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
            raise RateLimited("Wait for the seconds in Retry-After.", retry_after=max(1, math.ceil(wait - self._tolerance)))
        numbers[at] = max(numbers[at], now) + calls * self._interval
