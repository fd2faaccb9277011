"""Every kind of key: its type, and where it holds digests under the peppers. A change of the pepper rewrites those.

    kind           type    in the name   in the value
    V              hash    visitor       fields of 23 characters: a letter and a handle's digest; value of b: a visitor's
    V:gone :events :receipts             visitor       none (string, list, list)
    V:sales        hash    visitor       fields of a dollar and a sale's
    E              hash    handle        fields of a dollar and a sale's
    S              string  sale          lines of email and customer: a letter and a handle's
    Q              zset    none          erasures under way: `e` or `a`, a handle by letter and digest, and a nonce
    orders         zset    none          members: sales'
    R, Z, hour, day, products, calls, failures, latest, labels, rewrite, removals, lookups, sessions, A, audit   none anywhere
    sketch, remainders     digests under a day's salt, which end with the day

IDs of receipts, also those in a gone mark, are random, receipts use a key of the visitor's record, and salts do not depend on peppers. The
audit names persons under the oldest pepper, so entries are found by the names that an email had under each pepper.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from identity_service.store.keys import SALE_MARK
from identity_service.store.sales import FIELDS, OTHERS
from identity_service.store.visitors import NAME_LENGTH

Rekey = Callable[[bytes], bytes]
"""Converts one digest to another."""
Type = Literal["string", "hash", "list", "zset"]

NAME = re.compile(rb"id:v2:\{(?P<owner>[^:}]+)\}:(?P<kind>[A-Za-z]+)(:(?P<own>[^:]+))?(:(?P<part>[a-z]+))?")


@dataclass(frozen=True, slots=True)
class KeyKind:
    """`named`: the name contains a digest. `rewrite`: replaces the digests in the value, if it has any."""

    type: Type
    named: bool = False
    rewrite: Callable[[Any, Rekey], Any] | None = None


@dataclass(frozen=True, slots=True)
class Name:
    """The parts of a key's name. `text`: the whole name. `owner`: the shop. `own`: a digest, or another text that identifies the key."""

    kind: str
    text: bytes
    owner: bytes
    own: bytes

    def with_new_digests(self, rekey: Rekey) -> bytes:
        return self.text.replace(self.own, rekey(self.own), 1) if KINDS[self.kind].named else self.text


class UnknownKeyError(Exception):
    """A key of an unknown kind, or with a value that this version cannot read. The message does not name it, because it may contain
    anything."""


def name_of(text: bytes) -> Name:
    """Raises UnknownKeyError."""
    found = NAME.fullmatch(text)
    if found is None:
        raise UnknownKeyError
    kind = found["kind"].decode() + (f":{found['part'].decode()}" if found["part"] else "")
    if kind not in KINDS:
        raise UnknownKeyError
    return Name(kind, text, found["owner"], found["own"] or b"")


def _name(name: bytes, rekey: Rekey) -> bytes:
    """A handle's name is its letter and its digest. A sale's is the dollar and its digest."""
    return name[:1] + rekey(name[1:])


def _record(fields: Mapping[bytes, bytes], rekey: Rekey) -> dict[bytes, bytes]:
    return {
        _name(field, rekey) if len(field) == NAME_LENGTH else field: rekey(value) if field == b"b" else value
        for field, value in fields.items()
    }


def _sale(stored: bytes, rekey: Rekey) -> bytes:
    """Raises ValueError if it is not a sale."""
    lines = stored.split(b"\n")
    if len(lines) < len(FIELDS) + len(OTHERS):
        raise ValueError
    for number in map(FIELDS.index, ("email", "customer")):
        lines[number] = _name(lines[number], rekey) if lines[number] else b""
    return b"\n".join(lines)


def _sales(fields: Mapping[bytes, bytes], rekey: Rekey) -> dict[bytes, bytes]:
    return {_name(field, rekey) if field.startswith(SALE_MARK.encode()) else field: value for field, value in fields.items()}


def _orders(members: Mapping[bytes, float], rekey: Rekey) -> dict[bytes, float]:
    return {rekey(member): score for member, score in members.items()}


def _notes(members: Mapping[bytes, float], rekey: Rekey) -> dict[bytes, float]:
    return {_note(note, rekey): score for note, score in members.items()}


def _note(note: bytes, rekey: Rekey) -> bytes:
    reach, handle, nonce = note.split(b" ")
    return b" ".join((reach, _name(handle, rekey), nonce))


KINDS: Mapping[str, KeyKind] = {
    "V": KeyKind("hash", named=True, rewrite=_record),
    "V:gone": KeyKind("string", named=True),
    "V:events": KeyKind("list", named=True),
    "V:receipts": KeyKind("list", named=True),
    "V:sales": KeyKind("hash", named=True, rewrite=_sales),
    "E": KeyKind("hash", named=True, rewrite=_sales),
    "S": KeyKind("string", named=True, rewrite=_sale),
    "R": KeyKind("list"),
    "removals": KeyKind("list"),
    "A": KeyKind("list"),
    "audit": KeyKind("list"),
    "lookups": KeyKind("hash"),
    "sessions": KeyKind("hash"),
    "Z": KeyKind("string"),
    "Z:day": KeyKind("string"),
    "Q": KeyKind("zset", rewrite=_notes),
    "orders": KeyKind("zset", rewrite=_orders),
    "hour": KeyKind("hash"),
    "day": KeyKind("hash"),
    "sketch": KeyKind("string"),
    "remainders": KeyKind("hash"),
    "products": KeyKind("zset"),
    "calls": KeyKind("list"),
    "failures": KeyKind("list"),
    "latest": KeyKind("hash"),
    "labels": KeyKind("hash"),
    "rewrite": KeyKind("hash"),
}
