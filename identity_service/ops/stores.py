"""Stores as commands for operators name them, and the failures of such commands."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from identity_service.errors import StoreUnavailable
from identity_service.ops.key_copy import MoveRefused, last_service
from identity_service.settings.store_url import EMBEDDED, store_name
from identity_service.store.embedded.binary import EmbeddedError
from identity_service.store.embedded.server import EmbeddedStore
from identity_service.store.entries import Side, answering
from identity_service.store.kinds import UnknownKeyError
from identity_service.store.redis.direct import direct

TIMEOUT = 60.0
POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Place:
    """`name`: as people call it, without passwords. `url`: of its server. `held`: nobody else can be on it."""

    name: str
    url: str
    side: Side
    held: bool


@contextmanager
def opened(where: str, *, exists: bool = False) -> Iterator[Place]:
    """`where`: a form of store.url. `exists`: an embedded store is not made where there is none. Raises MoveRefused, EmbeddedError and
    StoreUnavailable."""
    directory = Path(where.removeprefix(EMBEDDED))
    if not where.startswith(EMBEDDED):
        yield Place(store_name(where), where, _side(where), held=False)
        return
    if exists and not (directory / "appendonlydir").is_dir():
        raise MoveRefused(f"{where}: there is no store in this directory")
    store = EmbeddedStore(directory)
    store.start()
    try:
        yield Place(where, store.url, _side(store.url), held=True)
    finally:
        store.stop()


def _side(url: str) -> Side:
    try:
        return Side(direct(url, TIMEOUT))
    except ValueError as error:
        raise MoveRefused(f"{store_name(url)}: {error}") from None


def wait_for_quiet(place: Place) -> None:
    """Until the mark of the last service has gone, at most a minute. Raises MoveRefused where a service renews it."""
    first = None if place.held else last_service(place.side)
    if first:
        print(f"a service has run on {place.name} within the last minute; waiting to see whether it still does", flush=True)
    while first and (found := last_service(place.side)):
        if found != first:
            raise MoveRefused(f"a service runs on {place.name}; stop it")
        time.sleep(POLL_SECONDS)


def told(work: Callable[[], None]) -> int:
    """The exit code: 0, or 1 with one line that says why."""
    try:
        with answering():
            work()
    except (MoveRefused, EmbeddedError) as error:
        print(error, file=sys.stderr)
    except UnknownKeyError:
        print("a store holds a key that this version does not know; take the version that wrote it", file=sys.stderr)
    except StoreUnavailable as error:
        print(f"a store does not answer, or refuses ({error.__cause__}); run the same command again to go on", file=sys.stderr)
    else:
        return 0
    return 1
