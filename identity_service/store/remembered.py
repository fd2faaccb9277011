"""What this worker last read of visitors, so that a call can decide before it asks.

Every write that rests on it is checked by its script against what is stored, in the same step; one that finds something else changes
nothing, and is decided again after a real read. Kept by digest, without IDs, in the worker's memory alone; the oldest give way.
"""

from collections.abc import Sequence
from functools import cached_property

from msgspec import Struct

MOST_VISITORS = 4_096
DECISIVE = 10
"""How many of a record's fields, from the first, decide about a visitor; the scripts read the same ones."""


class Stored(Struct, frozen=True, dict=True):
    """`fields` of the record in their order, None for one that is not there; `gone` as stored."""

    fields: Sequence[str | None]
    gone: str | None

    @cached_property
    def decisive(self) -> str:
        return "\n".join([field or "" for field in (*self.fields[:DECISIVE], self.gone)])


class AssumedVisitors:
    """`nothing`: what is assumed of a visitor that was never read."""

    def __init__(self, nothing: Stored) -> None:
        self._nothing = nothing
        self._held: dict[str, Stored] = {}

    def of(self, digest: str) -> Stored:
        return self._held.get(digest, self._nothing)

    def remember(self, digest: str, stored: Stored) -> None:
        """Nothing is remembered of a visitor of whom nothing is stored."""
        self._held.pop(digest, None)
        if stored is not self._nothing:
            self._held[digest] = stored
        if len(self._held) > MOST_VISITORS:
            del self._held[next(iter(self._held))]
