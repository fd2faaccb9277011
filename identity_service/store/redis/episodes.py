"""What a client reports of its servers: failures with their cause, their end, and that another server is the primary now.

A server that fails does so for every call. So its failures of one cause are one episode, of which the first and the end are for the log.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from identity_service.store.redis.cause import Cause

QUIET_SECONDS = 10.0
"""An episode ends with the first answer that comes so long after its last failure."""


@dataclass(frozen=True, slots=True)
class Failure:
    """`place`: of the server. `first`: it begins an episode. `sentinel`: of a sentinel, without which the store may still be used."""

    place: str
    cause: Cause
    first: bool
    sentinel: bool = False


@dataclass(frozen=True, slots=True)
class Recovery:
    """The end of an episode. `seconds`: from its first failure to its last."""

    place: str
    cause: Cause
    seconds: float


@dataclass(frozen=True, slots=True)
class Failover:
    """Another server is the primary now. `before` and `after`: places."""

    before: str
    after: str


StoreEvent: TypeAlias = Failure | Recovery | Failover
Report = Callable[[StoreEvent], None]


def report_nothing(_: StoreEvent) -> None:
    """For the operator's commands, which end with the error."""


class Episodes:
    """Of one server. `clock`: seconds."""

    def __init__(self, place: str, clock: Callable[[], float], report: Report, *, sentinel: bool = False) -> None:
        self._place = place
        self._clock = clock
        self._report = report
        self._sentinel = sentinel
        self._open: dict[Cause, tuple[float, float]] = {}

    def failed(self, cause: Cause) -> None:
        now = self._clock()
        began, _ = self._open.get(cause, (now, now))
        first = cause not in self._open
        self._open[cause] = (began, now)
        self._report(Failure(self._place, cause, first, self._sentinel))

    def answered(self) -> None:
        """Every pipeline calls this."""
        if not self._open:
            return
        now = self._clock()
        for cause, (began, last) in list(self._open.items()):
            if now - last >= QUIET_SECONDS:
                del self._open[cause]
                self._report(Recovery(self._place, cause, round(last - began, 1)))
