"""Rate limits in the worker's memory, by the generic cell rate algorithm (ITU-T I.371): one number a caller, no window edges."""

import math
from collections.abc import Callable

from identity_service.errors import RateLimited

MOST_CALLERS = 100_000
ROUNDING = 1e-9


class RateLimit:
    """`per_second` calls in the long run, `burst` seconds' worth at once, and always one. `clock`: seconds, steady."""

    def __init__(self, per_second: float, burst: float, clock: Callable[[], float]) -> None:
        self._interval = 1 / per_second
        self._tolerance = max(burst - self._interval, 0) + ROUNDING
        self._clock = clock
        self._next: dict[str, float] = {}

    def count(self, caller: str) -> None:
        """Raises RateLimited, with the seconds to wait, for a call too many; that call costs the caller nothing."""
        now = self._clock()
        due = max(self._next.get(caller, now), now)
        if due - now > self._tolerance:
            raise RateLimited("Wait for the seconds in Retry-After.", retry_after=max(1, math.ceil(due - now - self._tolerance)))
        if len(self._next) >= MOST_CALLERS:
            self._forget_idle(now)
        self._next[caller] = due + self._interval

    def _forget_idle(self, now: float) -> None:
        self._next = {caller: due for caller, due in self._next.items() if due > now}
        if len(self._next) >= MOST_CALLERS:
            self._next.clear()
