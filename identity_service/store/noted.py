"""The shops whose notes repair has to read, as far as this worker knows them.

A script writes a note in the shop's slot, beside what it changes: of an erasure under way, or of something destroyed that append-only
files still hold. To find the notes, a round would have to read every shop. So each worker remembers the shops that it wrote notes for. When
a worker ends, `sweep` finds its notes, because it passes all keys.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from identity_service.errors import StoreUnavailable
from identity_service.model.shop import ShopId


class NotedShops:
    """Times are seconds since 1970."""

    def __init__(self) -> None:
        self._due: dict[ShopId, int] = {}

    def add(self, shop: ShopId, due: int) -> None:
        self._due[shop] = min(due, self._due.get(shop, due))

    def take(self, now: int) -> list[ShopId]:
        """The shops that are due. They are forgotten until they are added again."""
        due = [shop for shop, time in self._due.items() if time <= now]
        for shop in due:
            del self._due[shop]
        return due

    @contextmanager
    def noting(self, shop: ShopId, due: int) -> Iterator[None]:
        """Adds the shop after the write: a round that runs during the write may miss the note. Also after a failure, because the store may
        have written the note."""
        try:
            yield
        finally:
            self.add(shop, due)

    @contextmanager
    def until_read(self, shop: ShopId, now: int) -> Iterator[None]:
        """Adds the shop again if its server cannot be reached."""
        try:
            yield
        except StoreUnavailable:
            self.add(shop, now)
            raise
