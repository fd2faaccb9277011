"""The first schema of keys, in which visitors and handles were in separate slots, and its conversion to the second schema.

    first                                    second
    id:v1:V{SHOP:digest}, E, S, R            id:v2:{SHOP}:V:digest, and what follows it
    id:v1:Z{SHOP:window}                     id:v2:{SHOP}:Z:window
    id:v1:orders{SHOP:lists}, hour, ...      id:v2:{SHOP}:orders, and what follows it
    id:v1:E{SHOP:digest}:sales               id:v2:{SHOP}:E:digest, beside its links
    Q, E:intents, E:removals, {rewrite}      nothing: they were of steps, which `first_steps` has ended

A receipt was a string; now it is a piece of its own. A pointer was a nonce and the proof; now it is the proof. A gone mark could have a
nonce after its time; now it is the time. A sale was a hash with data for its steps, such as the proof of its links; now it is one text that
says whether a private key reported it. Lists of sales had no order; converted ones count as reported by a private key, and as older than
all later ones.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from msgspec import convert, json
from msgspec.structs import astuple

from identity_service.model.attribution import MOST_CREDIT_BYTES, Credit
from identity_service.model.event import Event, lines_of
from identity_service.ops.entries import NEVER, StoredKey
from identity_service.ops.kinds import UnknownKeyError
from identity_service.store import events
from identity_service.store.keys import SALE_MARK
from identity_service.store.sales import FIELDS, OTHERS, packed, packed_credits, packed_lines
from identity_service.store.visitors import NAME_LENGTH

PREFIX = "id:v1:"
NAME = re.compile(rb"id:v1:(?P<kind>[A-Za-z]+)\{(?P<owner>[^:}]+):(?P<own>[^}]+)\}(:(?P<part>.+))?")
OF_STEPS = frozenset({b"Q", b"E:intents", b"E:removals"})
LISTS = b"lists"
SALES = b":sales"
OF_A_SALES_STEPS = frozenset({b"kind", b"expires", b"proof", b"verified", b"linked"})


def convert_entry(entry: StoredKey) -> StoredKey | None:
    """The entry in the second schema. None if that has no such key. Raises UnknownKeyError."""
    found = NAME.fullmatch(entry.name)
    if found is None:
        raise UnknownKeyError
    kind, owner, own, part = (found[name] for name in ("kind", "owner", "own", "part"))
    if b":".join(filter(None, (kind, part))) in OF_STEPS:
        return None
    beside_links = kind == b"E" and part == b"sales"
    name = b":".join(text for text in (b"id:v2:{%b}" % owner, kind, None if own == LISTS else own, None if beside_links else part) if text)
    try:
        return replace(_as_second(kind, part, entry), name=name)
    except (ValueError, TypeError, KeyError, ArithmeticError):
        raise UnknownKeyError from None


def convert_entries(entries: Sequence[StoredKey], read: Callable[[Sequence[bytes]], list[StoredKey]]) -> list[StoredKey]:
    """Links of a handle and its sales, which were two keys, come as one: with the links where there are some. `read`: of FROM."""
    pairs = {entry.name: _other_of_a_handle(entry.name) for entry in entries}
    others = {entry.name: entry for entry in (*entries, *read([name for name in pairs.values() if name and name not in pairs]))}
    brought = []
    for entry in entries:
        other = others.get(pairs[entry.name] or b"")
        if other and entry.name.endswith(SALES):
            continue
        second, beside = convert_entry(entry), convert_entry(other) if other else None
        if second and beside:
            if {second.type, beside.type} != {"hash"}:
                raise UnknownKeyError
            ends = (second.expires_at, beside.expires_at)
            second = replace(second, value=second.value | beside.value, expires_at=NEVER if NEVER in ends else max(ends))
        brought += [second] if second else []
    return brought


def _other_of_a_handle(name: bytes) -> bytes | None:
    """The key of its sales for that of its links, and the other way round."""
    found = NAME.fullmatch(name)
    if found is None or found["kind"] != b"E" or found["part"] not in {None, b"sales"}:
        return None
    return name.removesuffix(SALES) if found["part"] else name + SALES


def _as_second(kind: bytes, part: bytes | None, entry: StoredKey) -> StoredKey:
    """A type that the kind never had is not converted, so that a later check refuses it."""
    if kind == b"R" and entry.type == "string":
        return replace(entry, type="list", value=[entry.value])
    if part == b"sales" and entry.type == "set":
        return replace(entry, type="hash", value={SALE_MARK.encode() + digest: b"0" for digest in entry.value})
    if kind == b"products" and entry.type == "hash":
        value = {text[:1] + product: float(text[2:]) for product, text in entry.value.items()}
        return replace(entry, type="zset", value=value)
    if kind == b"S" and entry.type == "hash":
        return replace(entry, type="string", value=_sale(entry.value))
    return replace(entry, value=_value(kind, part, entry))


def _value(kind: bytes, part: bytes | None, entry: StoredKey) -> Any:
    if kind == b"V" and part is None and entry.type == "hash":
        return {field: text[-1:] if len(field) == NAME_LENGTH else text for field, text in entry.value.items()}
    if kind == b"V" and part == b"gone" and entry.type == "string":
        return entry.value.partition(b" ")[0]
    if kind == b"V" and part == b"events" and entry.type == "list":
        return [_event(text) for text in entry.value]
    return entry.value


def _sale(fields: Mapping[bytes, bytes]) -> bytes:
    """Drops credits that are too long for a script. Raises ValueError if it is not a sale, because an erasure could not read it later."""
    private = fields.get(b"proof", b"key" if fields.get(b"verified") == b"1" else b"") == b"key"
    kept = {name.decode(): text.decode() for name, text in fields.items() if name not in OF_A_SALES_STEPS}
    if (
        not kept.get("time", "").isdecimal()
        or kept.keys() - {*FIELDS, *OTHERS}
        or "\n" in "".join(kept[name] for name in kept.keys() - {"sale"})
    ):
        raise ValueError
    if len(fields.get(b"attribution", b"")) > MOST_CREDIT_BYTES:
        del kept["attribution"]
    if "products" in kept:
        kept["products"] = packed_lines(lines_of(kept["products"]))
    if "attribution" in kept:
        kept["attribution"] = packed_credits([Credit(**credit) for credit in json.decode(kept["attribution"])])
    return packed(kept | ({"verified": "1"} if private else {})).encode()


def _event(text: bytes) -> bytes:
    """An event from its members by name. Raises ValueError or TypeError if it is not one."""
    event = convert(astuple(Event(**json.decode(text))), Event)
    return events.packed(event, event.labels).encode()
