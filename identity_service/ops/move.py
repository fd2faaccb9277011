"""`identity-service move FROM TO`: one store into another, also to change the pepper.

Exit code 0 once both are equal, 1 where they are not or the move is refused.
"""

import time
from collections.abc import Sequence

from identity_service.ops.key_copy import Comparison, MoveRefused, Moving, last_service, undo
from identity_service.ops.stores import Place, opened, told, wait_for_quiet

PROGRESS_SECONDS = 2.0


def move(source: str, target: str, peppers: Sequence[str]) -> int:
    """`peppers`: all of the settings, oldest first."""

    def moved() -> None:
        with opened(source, exists=True) as there, opened(target) as here:
            _move(there, here, peppers)

    return told(moved)


def undo_move(source: str) -> int:
    def undone() -> None:
        with opened(source, exists=True) as place:
            undo(place.side)
        print(f"services may start on {place.name} again")

    return told(undone)


def _move(source: Place, target: Place, peppers: Sequence[str]) -> None:
    began = time.monotonic()
    moving = Moving(source.side, target.side, peppers, (source.name, target.name))
    for place in (source, target):
        wait_for_quiet(place)
    resumed = moving.begin()
    print(f"{'going on' if resumed else 'begun'}{', with new digests under the newer pepper' if moving.rekeys else ''}", flush=True)
    moving.copy(Progress("copied", source.side.size()))
    found = moving.compare(Progress("compared", source.side.size()))
    _show(found)
    for place in (source, target):
        if not place.held and last_service(place.side):
            raise MoveRefused(f"a service has started on {place.name} meanwhile; stop it and run the same command again")
    if not found.equal:
        raise MoveRefused("FROM and TO differ: FROM was changed meanwhile. Stop what writes to it, and run this again into an empty TO")
    moving.finish()
    print(f"equal, in {time.monotonic() - began:.0f} s; now name TO in store.url: {target.name}")


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
