"""The first schema of keys, whose visitors and handles lay in slots of their own: what a move brings from it into the second one.

    first                                    second
    id:v1:V{SHOP:digest}, E, S, R            id:v2:{SHOP}:V:digest, and what follows it
    id:v1:Z{SHOP:window}                     id:v2:{SHOP}:Z:window
    id:v1:orders{SHOP:lists}, hour, ...      id:v2:{SHOP}:orders, and what follows it
    id:v1:E{SHOP:digest}:sales               id:v2:{SHOP}:E:digest, beside its links
    Q, E:intents, E:removals, {rewrite}      nothing: they were of steps, which `first_steps` has ended

A receipt was a string, and is a piece by itself. A pointer was a nonce and the proof, and is the proof. A gone mark could hold a nonce
behind its time, and is the time. A sale was a hash that told what its steps needed, among it the proof of its links, and is
one text that tells whether a private key said it. Lists of sales were in no order; in those that come over all count as
said by a private key, and as older than what such keys say later.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from msgspec import json

from identity_service.model.attribution import MOST_CREDIT_BYTES, Credit
from identity_service.model.event import Event, event_of, lines_of
from identity_service.ops.entries import NEVER, Entry
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


def brought_forward(entry: Entry) -> Entry | None:
    """As the second schema has it; None for what it has no more. Raises UnknownKeyError."""
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


def all_brought_forward(entries: Sequence[Entry], read: Callable[[Sequence[bytes]], list[Entry]]) -> list[Entry]:
    """Links of a handle and its sales, which were two keys, come as one: with the links where there are some. `read`: of FROM."""
    pairs = {entry.name: _other_of_a_handle(entry.name) for entry in entries}
    others = {entry.name: entry for entry in (*entries, *read([name for name in pairs.values() if name and name not in pairs]))}
    brought = []
    for entry in entries:
        other = others.get(pairs[entry.name] or b"")
        if other and entry.name.endswith(SALES):
            continue
        second, beside = brought_forward(entry), brought_forward(other) if other else None
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


def _as_second(kind: bytes, part: bytes | None, entry: Entry) -> Entry:
    """A type which the kind never had stays as it is, for whoever refuses it."""
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


def _value(kind: bytes, part: bytes | None, entry: Entry) -> Any:
    if kind == b"V" and part is None and entry.type == "hash":
        return {field: text[-1:] if len(field) == NAME_LENGTH else text for field, text in entry.value.items()}
    if kind == b"V" and part == b"gone" and entry.type == "string":
        return entry.value.partition(b" ")[0]
    if kind == b"V" and part == b"events" and entry.type == "list":
        return [_event(text) for text in entry.value]
    return entry.value


def _sale(fields: Mapping[bytes, bytes]) -> bytes:
    """Without credits that are longer than a script reads. Raises ValueError for what is none, which no erasure could read later."""
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
    """From its members by name. Raises ValueError or TypeError for what is none."""
    event = event_of(Event(**json.decode(text)).stored())
    return events.packed(event, event.labels).encode()
