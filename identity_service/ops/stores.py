"""Opens the stores that the operator's commands name, and turns their failures into exit codes."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from identity_service.errors import StoreUnavailable
from identity_service.ops.blocking import direct
from identity_service.ops.entries import Side, answering
from identity_service.ops.kinds import UnknownKeyError
from identity_service.settings.store_url import EMBEDDED, store_name
from identity_service.store.embedded import EmbeddedError, EmbeddedStore
from identity_service.store.keys import REPAIR_LOCK, SCHEMA
from identity_service.store.schema import FIRST, OF_FIRST_SCHEMA, VERSION, Schema, stored_schema

TIMEOUT = 60.0
POLL_SECONDS = 0.5


class CommandRefused(Exception):
    """One line for the operator: the reason, and what to do."""


@dataclass(frozen=True, slots=True)
class OpenStore:
    """`name`: for messages, without passwords. `url`: of its server. `held`: no other program can use it."""

    name: str
    url: str
    side: Side
    held: bool


@contextmanager
def open_store(where: str, *, exists: bool = False) -> Iterator[OpenStore]:
    """`where`: a form of store.url. `exists`: do not create an embedded store. Raises CommandRefused, EmbeddedError and
    StoreUnavailable."""
    directory = Path(where.removeprefix(EMBEDDED))
    if not where.startswith(EMBEDDED):
        yield OpenStore(store_name(where), where, _side(where), held=False)
        return
    if exists and not (directory / "appendonlydir").is_dir():
        raise CommandRefused(f"{where}: there is no store in this directory; correct its path")
    store = EmbeddedStore(directory)
    store.start()
    try:
        yield OpenStore(where, store.url, _side(store.url), held=True)
    finally:
        store.stop()


def _side(url: str) -> Side:
    try:
        return Side(direct(url, TIMEOUT))
    except ValueError as error:
        raise CommandRefused(f"{store_name(url)}: {error}") from None


def schema_in(side: Side, own: Schema) -> Schema:
    """The schema of a complete store, with or without a mark."""
    if found := side.hash_of(SCHEMA):
        return stored_schema(found)
    return Schema(FIRST if any(side.names(OF_FIRST_SCHEMA)) else VERSION, own.peppers[:1])


def last_service(side: Side) -> bytes | None:
    """The mark of the last service. A running service renews it within a minute; otherwise it expires within a minute."""
    return side.get(REPAIR_LOCK)


def wait_for_quiet(place: OpenStore) -> None:
    """Waits until the mark of the last service has expired, at most a minute. Raises CommandRefused if a service renews it."""
    first = None if place.held else last_service(place.side)
    if first:
        print(f"a service has run on {place.name} within the last minute; waiting to see whether it still does", flush=True)
    while first and (found := last_service(place.side)):
        if found != first:
            raise CommandRefused(f"a service runs on {place.name}; stop it")
        time.sleep(POLL_SECONDS)


def exit_code_of(work: Callable[[], None]) -> int:
    """Runs `work`. Returns 0, or 1 after printing one line with the reason."""
    try:
        with answering():
            work()
    except (CommandRefused, EmbeddedError) as error:
        print(error, file=sys.stderr)
    except UnknownKeyError:
        print("a store holds a key that this version does not know; use the version that wrote it", file=sys.stderr)
    except StoreUnavailable as error:
        print(f"a store does not answer, or refuses ({error.__cause__}); run the same command again to continue", file=sys.stderr)
    else:
        return 0
    return 1
