"""`identity-service move FROM TO`: copies one store into another, under the current schema and peppers. It can be resumed after a crash at
any point. Exit code 0 if both are equal at the end; 1 if they are not, or the move is refused.

    begin     FROM is marked leaving, then TO arriving, with the same nonce. From now on no service starts on either
    end       completes steps that a crash left open in FROM, if its schema has such steps
    copy      every key: read, converted to the current schema, re-keyed, and written in one step with its expiry unless TO has it
    compare   every key of FROM with its copy, then the number of keys of each kind
    finish    TO gets the mark of its schema, FROM is marked left, and TO loses the mark of the move. From now on TO can be used

Repeating the command continues after a crash. If FROM was changed during the move, the comparison fails, and the command stops.
"""

import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from identity_service.model.handle import rekey_digest
from identity_service.ops.entries import NEVER, Side, StoredKey
from identity_service.ops.first_schema import convert_entries
from identity_service.ops.first_steps import end_steps
from identity_service.ops.kinds import name_of
from identity_service.ops.stores import CommandRefused, OpenStore, exit_code_of, last_service, open_store, schema_in, wait_for_quiet
from identity_service.store.keys import ANY_SCHEMA, MOVE, SCHEMA, is_of_the_store
from identity_service.store.schema import FIRST, VERSION, Move, MoveState, continues, misfit, schema_of, stored_move

Step = Callable[[Sequence[StoredKey], Callable[[Sequence[bytes]], list[StoredKey]]], list[StoredKey]]
"""Converts keys to the next schema. Its second argument reads the other keys that they are made from."""
STEPS: Mapping[int, Step] = {1: convert_entries}
"""By schema."""
HORIZON = 3_600_000
"""Milliseconds. Keys that expire sooner are compared but not counted, because they may expire between two counts."""
Report = Callable[[int], None]
"""Called with the number of finished keys."""
PROGRESS_SECONDS = 2.0


@dataclass(slots=True)
class Comparison:
    """The number of lasting keys of each kind in FROM and in TO, and the number of wrong copies."""

    source: Counter[str] = field(default_factory=Counter)
    target: Counter[str] = field(default_factory=Counter)
    differing: Counter[str] = field(default_factory=Counter)

    @property
    def equal(self) -> bool:
        return self.source == self.target and not self.differing


class Moving:
    """`called`: names of the two for messages. `peppers`: all peppers of the settings, oldest first."""

    def __init__(
        self, source: Side, target: Side, peppers: Sequence[str], called: tuple[str, str], steps: Mapping[int, Step] = STEPS
    ) -> None:
        self._source, self._target = source, target
        self._own = schema_of(peppers)
        self._called = called
        self._steps = steps
        self._stored = schema_in(source, self._own)
        known = len(self._stored.peppers)
        self._peppers, self._rekey = peppers[:known], partial(rekey_digest, peppers=peppers[known:])

    @property
    def rekeys(self) -> bool:
        return self._stored.peppers != self._own.peppers

    def begin(self) -> bool:
        """Marks both stores. Returns whether an earlier move is resumed. Raises CommandRefused."""
        if not continues(self._stored, self._own):
            raise CommandRefused(misfit(self._stored, self._own).text)
        there, here = (stored_move(side.hash_of(MOVE)) for side in (self._source, self._target))
        if here and here.state is MoveState.ARRIVING:
            self._check_resumable(there, here)
        else:
            self._check_fresh(there, here)
        self._source.load_scripts()
        self._target.load_scripts()
        if here:
            return True
        nonce = secrets.token_urlsafe(8)
        self._source.set_hash(MOVE, Move(nonce, MoveState.LEAVING, self._called[1], self._own.peppers).fields())
        self._target.set_hash(MOVE, Move(nonce, MoveState.ARRIVING, self._called[0], self._own.peppers).fields())
        return False

    def _check_resumable(self, there: Move | None, here: Move) -> None:
        if there is None or there.nonce != here.nonce:
            raise CommandRefused(f"TO holds part of another store, {here.other}; empty TO, or name another one")
        if here.peppers != self._own.peppers:
            raise CommandRefused("TO holds part of FROM under other peppers; empty TO, or set those peppers again")

    def _check_fresh(self, there: Move | None, here: Move | None) -> None:
        if there and there.state is MoveState.LEFT:
            raise CommandRefused(f"FROM was already moved to {there.other}; to use it again, run `identity-service move FROM --undo`")
        if there and there.state is MoveState.ARRIVING:
            raise CommandRefused(f"FROM holds only part of {there.other}; finish that move first")
        if here:
            raise CommandRefused("TO is the same store as FROM, or was moved itself; name an empty store")
        if any(_names_to_move(self._target)):
            raise CommandRefused("TO is not empty; name an empty store")

    def copy(self, report: Report) -> None:
        if self._stored.version == FIRST:
            end_steps(self._source, self._peppers)
        for entries, done in self._batches():
            self._target.write(entries)
            report(done)

    def compare(self, report: Report) -> Comparison:
        """Changes nothing, and can be repeated."""
        found, horizon = Comparison(), time.time() * 1000 + HORIZON
        for entries, done in self._batches():
            copies = {copy.name: copy for copy in self._target.read([entry.name for entry in entries])}
            for entry in entries:
                lasting = entry.expires_at == NEVER or entry.expires_at > horizon
                copy = copies.get(entry.name)
                found.source[entry.kind] += lasting
                found.differing[entry.kind] += copy != entry and (lasting or copy is not None)
            report(done)
        for names in _names_to_move(self._target):
            for name, expiry in zip(names, self._target.expiries(names), strict=True):
                found.target[name_of(name).kind] += expiry == NEVER or expiry > horizon
        found.differing += Counter()  # removes kinds with zero
        return found

    def finish(self) -> None:
        self._target.set_hash(SCHEMA, self._own.fields())
        self._source.set_hash(MOVE, {"state": MoveState.LEFT})
        self._target.delete(MOVE)

    def _batches(self) -> Iterator[tuple[list[StoredKey], int]]:
        """Keys of FROM in the form that they need in TO, and the number of keys so far."""
        done = 0
        for names in _names_to_move(self._source):
            done += len(names)
            found = self._source.read(names)
            for version in range(self._stored.version, VERSION):
                found = self._steps[version](found, self._source.read)
            yield [entry.with_new_digests(self._rekey) for entry in found], done


def _names_to_move(side: Side) -> Iterator[list[bytes]]:
    """Names of all keys except the store's own, in batches."""
    for found in side.names(f"{ANY_SCHEMA}*"):
        if names := [name for name in found if not is_of_the_store(name.decode(errors="replace"))]:
            yield names


def undo(side: Side) -> None:
    """Allows services to start again on a store whose move has ended or begun. Raises CommandRefused."""
    found = stored_move(side.hash_of(MOVE))
    if found is None:
        raise CommandRefused("this store was not moved; there is nothing to undo")
    if found.state is MoveState.ARRIVING:
        raise CommandRefused(f"this store holds only part of {found.other}; empty it instead")
    side.delete(MOVE)


def move(source: str, target: str, peppers: Sequence[str]) -> int:
    """Returns the exit code. `peppers`: all peppers of the settings, oldest first."""

    def run() -> None:
        with open_store(source, exists=True) as there, open_store(target) as here:
            _move(there, here, peppers)

    return exit_code_of(run)


def undo_move(source: str) -> int:
    def run() -> None:
        with open_store(source, exists=True) as place:
            undo(place.side)
        print(f"services may start on {place.name} again")

    return exit_code_of(run)


def _move(source: OpenStore, target: OpenStore, peppers: Sequence[str]) -> None:
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
            raise CommandRefused(f"a service started on {place.name} during the move; stop it, and run the same command again")
    if not found.equal:
        raise CommandRefused("FROM was changed during the move, so TO differs. Stop what writes to FROM, empty TO, and run this again")
    moving.finish()
    print(f"equal, in {time.monotonic() - began:.0f} s; now name TO in store.url: {target.name}")


class Progress:
    """Prints a line every two seconds. `total`: the approximate number of keys."""

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
