"""What clients of a service did and what they were told: the evidence that the checker holds against what the service kept."""

import math
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    ISSUE = "issue"
    GRANT = "grant"
    WITHDRAW = "withdraw"
    LINK = "link"
    UNLINK = "unlink"
    CLICK = "click"
    SALE = "sale"
    LOOKUP = "look up"
    ERASE = "erase"


READS = frozenset({Kind.ISSUE, Kind.LOOKUP})


class Outcome(StrEnum):
    OK = "ok"
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Operation:
    """`arguments`: visitor, email, product and sale, as far as the kind has them; a visitor that the service names itself comes from the
    answer. `began`, `ended`: monotonic seconds. `status` 0: there was no answer."""

    kind: Kind
    shop: str
    arguments: Mapping[str, str]
    began: float
    ended: float
    outcome: Outcome
    status: int
    answer: Any = None

    @property
    def visitor(self) -> str:
        return self.arguments.get("visitor", "")

    @property
    def email(self) -> str:
        return self.arguments.get("email", "")

    @property
    def until(self) -> float:
        """When it had its last effect: an operation without an answer may still be going on."""
        return math.inf if self.outcome is Outcome.UNKNOWN else self.ended

    @property
    def acknowledged(self) -> bool:
        """A write that was answered with success."""
        return self.outcome is Outcome.OK and self.kind not in READS


def outcome_of(status: int) -> Outcome:
    """503 means perhaps done, perhaps not, as no answer does; every other 5xx is not to be trusted either."""
    if 200 <= status < 300:
        return Outcome.OK
    return Outcome.FAIL if 400 <= status < 500 else Outcome.UNKNOWN


class History:
    """Operations in the order of their ends. Clients in any thread record, others read. `recoveries`: seconds that each fault lasted."""

    def __init__(self) -> None:
        self.recoveries: list[float] = []
        self._lock = threading.Lock()
        self._operations: list[Operation] = []
        self._acknowledged = 0

    def record(self, operation: Operation) -> None:
        with self._lock:
            self._operations.append(operation)
            self._acknowledged += operation.acknowledged

    @property
    def operations(self) -> list[Operation]:
        with self._lock:
            return list(self._operations)

    @property
    def acknowledged(self) -> int:
        """Number of acknowledged writes."""
        return self._acknowledged

    def statuses(self) -> Counter[int]:
        return Counter(operation.status for operation in self.operations)

    def unanswered(self) -> list[Operation]:
        return [operation for operation in self.operations if operation.outcome is Outcome.UNKNOWN]

    def between(self, began: float, ended: float) -> list[Operation]:
        """Operations that lie wholly in a time, in monotonic seconds."""
        return [operation for operation in self.operations if began <= operation.began and operation.ended <= ended]

    def first_success_after(self, moment: float) -> float | None:
        """Seconds from a moment to the end of the first acknowledged write that began after it."""
        return min((one.ended - moment for one in self.operations if one.acknowledged and one.began > moment), default=None)
