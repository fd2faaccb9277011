"""Queries and form bodies of tracking calls, as the JSON object that they mean. Their values are text."""

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from identity_service.errors import Invalid
from identity_service.web.bodies import with_whole_texts

Pairs = Iterable[tuple[str, str]]
LISTS = frozenset({"products", "labels"})
MOST_FIELDS = 5_000
NOTHING = frozenset({"null", "undefined"})
NESTED = re.compile(r"(products|labels)\[(\d{0,9})\](?:\[(\w{1,40})\])?", re.ASCII)
"""List, index and member, as OpenAPI's deepObject, PHP and jQuery write them."""
FORM = re.compile(rb"[&\s]*[\w.%~-][\w.%~+\[\]-]*=", re.ASCII)


def is_form(raw: bytes) -> bool:
    """By its content: JSON stays JSON, whatever content type it is sent with."""
    return FORM.match(raw) is not None


def form_as_json(raw: bytes) -> bytes:
    """Raises Invalid."""
    try:
        return as_json(parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MOST_FIELDS))
    except ValueError:
        raise Invalid(f"Send at most {MOST_FIELDS} fields in a form.") from None


def as_json(pairs: Pairs) -> bytes:
    """Lists are JSON (products also as an object with numeric keys), `name[]=`, repeated names, or `name[0][member]=`; the words null and
    undefined are null. Raises Invalid for products that are none of these."""
    members: dict[str, Any] = {}
    nested: dict[str, dict[int, Any]] = {}
    for written, text in pairs:
        found = NESTED.fullmatch(written)
        if found and (found[2] or found[3]):
            _nest(nested.setdefault(found[1], {}), found[2], found[3], None if text in {"", *NOTHING} else text)
        else:
            _add(members, written, text)
    for name, lines in nested.items():
        listed = members.setdefault(name, [])
        if isinstance(listed, list):
            listed += [lines[at] for at in sorted(lines)]
    return msgspec.json.encode(members)


def _add(members: dict[str, Any], written: str, sent: str) -> None:
    name = written.removesuffix("[]")
    text = sent.lstrip(" \t\r\n\ufeff") if name == "products" else sent
    if name not in LISTS:
        members.setdefault(name, None if name == "visitor" and text in NOTHING else text)
    elif text.startswith("[" if name == "labels" else ("[", "{")) and written == name and (found := _json_of(text)):
        members[name] = found
    elif name == "products" and (text.startswith("[") or any(sign in text for sign in "{},")):
        raise Invalid("Invalid Syntax In Argument: products")
    elif name == "products" and text in NOTHING:
        members[name] = None
    elif text not in NOTHING:
        listed = members.setdefault(name, [])
        if isinstance(listed, list):
            listed.append(text)


def _nest(lines: dict[int, Any], index: str, member: str | None, text: str | None) -> None:
    """Without an index a member that the last line has begins the next one."""
    last = next(reversed(lines), 0)
    at = int(index) if index else last + (isinstance(lines.get(last), dict) and member in lines[last])
    line = lines.setdefault(at, {} if member else text)
    if member and isinstance(line, dict):
        line.setdefault(member, text)


def _json_of(text: str) -> msgspec.Raw | None:
    """None for what is no JSON: a label may begin like a list."""
    try:
        return msgspec.json.decode(with_whole_texts(text.encode()), type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None
