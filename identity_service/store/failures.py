"""Work for many shops or servers. One that is away does not block the others."""

from collections.abc import Iterator
from contextlib import contextmanager

from identity_service.errors import StoreRefused, StoreUnavailable


class Failures:
    """The failures of one round."""

    def __init__(self) -> None:
        self._found: list[StoreUnavailable] = []

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Keeps a StoreUnavailable for later; the next round tries again. Raises StoreRefused at once, because such a store must not be
        changed."""
        try:
            yield
        except StoreRefused:
            raise
        except StoreUnavailable as error:
            self._found.append(error)

    def raise_first(self) -> None:
        """Raises the first failure, if there is one. Called after everything was tried."""
        if self._found:
            raise self._found[0]
