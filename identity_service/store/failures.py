"""Work for many shops or servers, of which one that is away keeps nothing else from being done."""

from collections.abc import Iterator
from contextlib import contextmanager

from identity_service.errors import StoreRefused, StoreUnavailable


class Failures:
    """Of one round."""

    def __init__(self) -> None:
        self._found: list[StoreUnavailable] = []

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Whatever cannot be reached is tried again in the next round. Raises StoreRefused at once: nothing may be done to such a store."""
        try:
            yield
        except StoreRefused:
            raise
        except StoreUnavailable as error:
            self._found.append(error)

    def tell(self) -> None:
        """Raises the first, once all has been tried."""
        if self._found:
            raise self._found[0]
