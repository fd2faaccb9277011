"""`identity-service move FROM TO`: one store into another, also to change the pepper.

Exit code 0 once both are equal, 1 where they are not or the move is refused.
"""

import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from identity_service.errors import StoreUnavailable
from identity_service.store.binary import EmbeddedError
from identity_service.store.direct import direct
from identity_service.store.embedded import EmbeddedStore
from identity_service.store.entries import Side, answering
from identity_service.store.kinds import UnknownKeyError
from identity_service.store.moving import Comparison, MoveRefused, Moving, last_service, undo

EMBEDDED = "embedded:"
TIMEOUT = 60.0
POLL_SECONDS = 0.5
PROGRESS_SECONDS = 2.0

Place = tuple[str, Side]
"""What people call a store, and the store."""


def move(source: str, target: str, peppers: Sequence[str]) -> int:
    """`peppers`: all of the settings, oldest first."""
    with ExitStack() as held:
        return _told(lambda: _move(held.enter_context(opened(source, exists=True)), held.enter_context(opened(target)), peppers))


def undo_move(source: str) -> int:
    def undone() -> int:
        with opened(source, exists=True) as (name, side):
            undo(side)
        print(f"services may start on {name} again")
        return 0

    return _told(undone)


def _told(work: Callable[[], int]) -> int:
    try:
        with answering():
            return work()
    except (MoveRefused, EmbeddedError) as error:
        print(error, file=sys.stderr)
    except UnknownKeyError:
        print("FROM or TO holds a key that this version does not know; move it with the version that wrote it", file=sys.stderr)
    except StoreUnavailable as error:
        print(f"a store does not answer, or refuses ({error.__cause__}); run the same command again to go on", file=sys.stderr)
    return 1


@contextmanager
def opened(where: str, *, exists: bool = False) -> Iterator[Place]:
    """`exists`: an embedded store is not made where there is none. Raises MoveRefused, EmbeddedError and StoreUnavailable."""
    directory = Path(where.removeprefix(EMBEDDED))
    if not where.startswith(EMBEDDED):
        yield re.sub(r"//[^@/]*@|\?.*", lambda found: "//" if found[0].endswith("@") else "", where), _side(where)
        return
    if exists and not (directory / "appendonlydir").is_dir():
        raise MoveRefused(f"{where}: there is no store in this directory")
    store = EmbeddedStore(directory)
    store.start()
    try:
        yield where, _side(store.url)
    finally:
        store.stop()


def _move(source: Place, target: Place, peppers: Sequence[str]) -> int:
    began = time.monotonic()
    moving = Moving(source[1], target[1], peppers, (source[0], target[0]))
    for place in (source, target):
        _wait_for_quiet(place)
    resumed = moving.begin()
    print(f"{'going on' if resumed else 'begun'}{', with new digests under the newer pepper' if moving.rekeys else ''}", flush=True)
    moving.copy(Progress("copied", source[1].size()))
    found = moving.compare(Progress("compared", source[1].size()))
    _show(found)
    for name, side in (source, target):
        if not name.startswith(EMBEDDED) and last_service(side):
            raise MoveRefused(f"a service has started on {name} meanwhile; stop it and run the same command again")
    if not found.equal:
        raise MoveRefused(
            "FROM and TO differ: FROM was changed meanwhile. Stop what writes to it and run the same command again, into an empty TO"
        )
    moving.finish()
    print(f"equal, in {time.monotonic() - began:.0f} s; now name TO in store.url: {target[0]}")
    return 0


def _wait_for_quiet(place: Place) -> None:
    """Until the mark of the last service has gone, at most a minute. Raises MoveRefused where a service renews it. Nobody else can be on an
    embedded store."""
    name, side = place
    first = None if name.startswith(EMBEDDED) else last_service(side)
    if first:
        print(f"a service has run on {name} within the last minute; waiting to see whether it still does", flush=True)
    while first and (found := last_service(side)):
        if found != first:
            raise MoveRefused(f"a service runs on {name}; stop it")
        time.sleep(POLL_SECONDS)


class Progress:
    """Prints a line every two seconds. `total`: about how many keys there are."""

    def __init__(self, verb: str, total: int) -> None:
        self._verb, self._total = verb, total
        self._began = self._shown = time.monotonic()

    def __call__(self, done: int) -> None:
        now = time.monotonic()
        if now - self._shown >= PROGRESS_SECONDS:
            self._shown = now
            print(f"{self._verb} {done:,} of about {self._total:,} keys, {done / (now - self._began):,.0f} keys/s", flush=True)


def _show(found: Comparison) -> None:
    print(f"{'kind':12} {'FROM':>12} {'TO':>12} {'differing':>12}")
    for kind in sorted(found.source | found.target | found.differing):
        print(f"{kind:12} {found.source[kind]:12,} {found.target[kind]:12,} {found.differing[kind]:12,}")


def _side(url: str) -> Side:
    try:
        return Side(direct(url, TIMEOUT))
    except ValueError as error:
        raise MoveRefused(f"{url}: {error}") from None
