"""The lock on the directory of an embedded store."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from identity_service.store.embedded.binary import EmbeddedError


@contextmanager
def locked(path: Path, wait: float) -> Iterator[int]:
    """Yields the descriptor: the server inherits it, so after a crash the lock is free when the server has gone, too."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock(descriptor, path.parent, wait)
        yield descriptor
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _lock(descriptor: int, directory: Path, wait: float) -> None:
    limit = time.monotonic() + wait
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= limit:
                raise EmbeddedError(f"{directory} is in use by another service; stop it or name another --data directory") from None
        time.sleep(0.05)
