"""Completes steps of the first schema that a crash left open, before a move copies anything. The second schema has no such steps.

Links were made, and people removed, key by key, in slots that no transaction could span. Each was noted in `Q{SHOP:repair}` before it
began:

    u, l, e HANDLE nonce    an unlink, a link, an erasure: E:removals has the removed visitors, E:intents the announced links
    w VISITOR nonce         a withdrawal; until its end, its gone mark had a nonce after the time
    f VISITOR nonce         another call that continued one
    r VISITOR nonce         a refusal of links
    s VISITOR SALE nonce    a sale that was about to name its visitor; SALE is a digest

Open steps are removed, never completed, and every removal can be repeated: after a crash, a move starts here again. Nobody else uses the
store during a move.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from identity_service.model.handle import Handles
from identity_service.model.utc import DAY
from identity_service.ops.entries import Side, StoredKey, Word
from identity_service.ops.first_schema import NAME, PREFIX
from identity_service.ops.kinds import UnknownKeyError
from identity_service.store.visitors import handle_names

GONE_LIFE = 400 * DAY
"""Seconds that a gone mark made here lasts. No setting allows less, and no token lasts longer."""
OPEN = "moved"
"""Instead of a nonce, in a gone mark whose removal was started here."""
ORDER = b"ewfsrul"
"""The order of notes, by their letters."""
OF_A_PERSON = ("email", "customer", "visitor", "attribution", "kind", "expires")
"""Personal fields of a sale."""


def end_steps(side: Side, peppers: Sequence[str]) -> None:
    """`peppers`: those of the store, oldest first. The scripts must be loaded. Raises UnknownKeyError for a note that this version cannot
    read."""
    handles = Handles(*peppers)
    for names in side.names(f"{PREFIX}Q{{*"):
        for notes in side.read(names):
            found = NAME.fullmatch(notes.name)
            if found is None or notes.type != "zset":
                raise UnknownKeyError
            _Steps(side, handles, found["owner"].decode()).end(notes)


@dataclass(frozen=True, slots=True)
class _Visitor:
    """The keys of one visitor."""

    visitor: str
    record: str

    def part(self, name: str) -> str:
        return f"{self.record}:{name}"


class _Steps:
    """The open steps of one shop."""

    def __init__(self, side: Side, handles: Handles, shop: str) -> None:
        self._side = side
        self._handles = handles
        self._shop = shop

    def end(self, notes: StoredKey) -> None:
        """Ends the notes in the order in which each still finds the pointers that it needs: erasures first, then withdrawals."""
        found = sorted((ORDER.find(note[:1]), at, note) for note, at in notes.value.items())
        for start in range(0, len(found), self._side.at_once):
            page = found[start : start + self._side.at_once]
            for _, at, note in page:
                self._end(note.decode(), int(at))
            self._ask([("ZREM", notes.name.decode(), *(note for _, _, note in page))])

    def _end(self, note: str, at: int) -> None:
        match note.split(" "):
            case ["u" | "l" | "e", name, _]:
                self._end_at_handle(name)
            case ["w", visitor, _]:
                self._end_withdrawal(visitor, at)
            case ["f", visitor, _]:
                self._end_withdrawal(visitor, 0)
            case ["r", visitor, _]:
                self._end_refusal(visitor)
            case ["s", visitor, sale, _]:
                self._end_sale(visitor, sale)
            case _:
                raise UnknownKeyError

    def _end_at_handle(self, name: str) -> None:
        """Ends what was open at a handle. Fields with a dollar are sales, the others visitors. Announced links are removed."""
        links = self._key("E", name[1:])
        removals, intents = (self._side.hash_of(f"{links}:{part}") for part in ("removals", "intents"))
        for intent in intents.values():
            removals.setdefault(intent.partition(" ")[2], "u 0")
        for what, text in removals.items():
            kind, at = text.split(" ")
            if what.startswith("$"):
                self._scrub(self._key("S", what[1:]), name)
            else:
                self._settle(name, what, kind, int(at))
        self._ask([("DEL", f"{links}:{part}") for part in ("removals", "intents")])

    def _scrub(self, sale: str, name: str) -> None:
        """Removes a handle from a sale."""
        [named] = self._ask([("HMGET", sale, "email", "customer")])
        if dropped := [field for field, text in zip(("email", "customer"), named, strict=True) if text == name.encode()]:
            self._ask([("HDEL", sale, *dropped)])

    def _settle(self, name: str, visitor: str, kind: str, at: int) -> None:
        """Removes a pointer without a link. `kind` u: that is all. e: also erases the visitor at `at` (ms) if the handle was linked with
        proof; a: also without proof. The visitor stays if another handle is linked with proof, or if it has a newer grant."""
        of = self._visitor(visitor)
        record, [linked] = self._side.hash_of(of.record), self._ask([("HEXISTS", self._key("E", name[1:]), visitor)])
        pointer = record.get(name)
        if pointer and not linked:
            by_proof = not pointer.endswith("u")
            if kind == "a" or (kind == "e" and by_proof):
                if _proven(record) > by_proof:
                    self._ask([("HSET", of.record, "m", "1")] if by_proof else [])  # its events may be the erased person's
                elif int(record.get("g", 0)) <= at:
                    self._ask([("SET", of.part("gone"), f"{at} {OPEN}", "NX", "EX", GONE_LIFE)])
            self._drop_pointers(of, record, [name])
        if kind != "u":
            self._withdraw(of, 0)

    def _drop_pointers(self, of: _Visitor, record: Mapping[str, str], names: Iterable[str]) -> None:
        """Sets counts from what is left, so that it can be repeated."""
        left = {name: record[name] for name in handle_names(record) if name not in names}
        counts: list[Word] = []
        for letter, unproven in (("e", "i"), ("c", "j")):
            proofs = [pointer[-1] for name, pointer in left.items() if name[0] == letter]
            counts += [letter, len(proofs), unproven, proofs.count("u")]
        ended_meanwhile = ("EXPIREAT", of.record, record["x"], "NX")
        self._ask([("HSET", of.record, *counts), ("HDEL", of.record, *names), ended_meanwhile])

    def _end_withdrawal(self, visitor: str, at: int) -> None:
        of = self._visitor(visitor)
        self._withdraw(of, at)
        for name in handle_names(self._side.hash_of(of.record)):
            self._settle(name, visitor, "u", 0)

    def _withdraw(self, of: _Visitor, at: int) -> None:
        """Withdraws the visitor, unless it has a mark or a grant newer than `at` (ms). An open removal is completed in any case. The
        mark is never older than a grant."""
        gone, record = of.part("gone"), self._side.hash_of(of.record)
        mark, life = self._ask([("GET", gone), ("TTL", gone)])
        marked, _, nonce = (mark or b"0").decode().partition(" ")
        granted = int(record.get("g", 0))
        if not nonce and (int(marked) >= at or granted > at):
            return
        time = max(int(marked), granted, at)
        self._ask([("SET", gone, f"{time} {nonce or OPEN}", *(("KEEPTTL",) if nonce else ("EX", max(life, GONE_LIFE))))])
        self._take_all(of, record)
        self._ask([("SET", gone, time, "KEEPTTL")])

    def _take_all(self, of: _Visitor, record: Mapping[str, str]) -> None:
        """Removes everything of the visitor. Its orders stay without personal fields. An order of another visitor, which this one only
        repeated, stays under its handles. Keys that lead to others are removed last."""
        [sales] = self._ask([("SMEMBERS", of.part("sales"))])
        digests = sorted(one.decode() for one in sales)
        keys = [self._key("S", digest) for digest in digests]
        named = self._ask([("HMGET", key, "visitor", "email", "customer") for key in keys])
        own = {digest: names for digest, (owner, *names) in zip(digests, named, strict=True) if owner == of.visitor.encode()}
        kept = {digest: names for digest, (_, *names) in zip(digests, named, strict=True) if digest not in own}
        handles = {name.decode() for names in own.values() for name in names if name}.union(handle_names(record))
        for name in handles:
            links = self._key("E", name[1:])
            taken = [digest for digest in digests if name.encode() not in kept.get(digest, ())]
            self._ask([("HDEL", links, of.visitor), *([("SREM", f"{links}:sales", *taken)] if taken else [])])
        self._ask([("HDEL", self._key("S", digest), *OF_A_PERSON) for digest in own])
        self._ask([("DEL", of.record, *map(of.part, ("events", "receipts", "sales")))])

    def _end_refusal(self, visitor: str) -> None:
        """Completes a refusal of links, unless a newer choice allows them."""
        of = self._visitor(visitor)
        record = self._side.hash_of(of.record)
        names = handle_names(record)
        if record.get("n") == "refused" and names:
            self._ask([("HDEL", self._key("E", name[1:]), visitor) for name in names])
            self._drop_pointers(of, record, names)

    def _end_sale(self, visitor: str, digest: str) -> None:
        """Removes the personal fields of a sale that the visitor's withdrawal would not find."""
        of, sale = self._visitor(visitor), self._key("S", digest)
        indexed, [owner, *names] = self._ask([("SISMEMBER", of.part("sales"), digest), ("HMGET", sale, "visitor", "email", "customer")])
        if not indexed and owner == visitor.encode():
            self._ask([("SREM", f"{self._key('E', name[1:].decode())}:sales", digest) for name in names if name])
            self._ask([("HDEL", sale, *OF_A_PERSON)])

    def _visitor(self, visitor: str) -> _Visitor:
        return _Visitor(visitor, self._key("V", self._handles.digest("visitor", self._shop, visitor)))

    def _key(self, kind: str, own: str) -> str:
        return f"{PREFIX}{kind}{{{self._shop}:{own}}}"

    def _ask(self, commands: Sequence[tuple[Word, ...]]) -> list[Any]:
        """Each command has its key after its name."""
        return self._side.ask([(str(words[1]), words) for words in commands])


def _proven(record: Mapping[str, str]) -> int:
    """The number of handles that are linked to the visitor with proof."""
    emails, unproven, customers, unproven_customers = (int(record.get(field, 0)) for field in "eicj")
    return emails - unproven + customers - unproven_customers
