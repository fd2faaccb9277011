"""Bodies, forms and queries: read within limits, checked as text, and converted to one JSON object. Also the error texts of invalid
ones."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar, get_args
from urllib.parse import parse_qsl

import msgspec
from msgspec.structs import fields
from starlette.types import Receive

from identity_service.errors import Invalid, Malformed, TooLarge, UnsupportedMedia
from identity_service.web.payloads import YES

NO_BRACKET = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[^\[\]{}"]++', re.DOTALL)
"""Everything except brackets: strings, also an unfinished one, and the bytes between them. No byte is matched twice, whatever the input."""
ESCAPE = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.", re.DOTALL)
"""An escaped surrogate pair, half of one (group 1), or any other escape. Scripts leave halves when they cut a text inside an emoji."""
DIGITS = re.compile(rb"([0-9]{1000})[0-9]+")
BOM = b"\xef\xbb\xbf"
GZIP = b"\x1f\x8b"
PACKED = frozenset({"gzip", "x-gzip", "deflate", "compress", "x-compress", "br", "zstd"})
"""Content codings that compress. Other words, such as the name of a character set, are ignored."""
MEMBER = re.compile(r"unknown field `([A-Za-z_]{1,40})`")
UNPACK = "Send the body as it is, without compression (gzip, deflate) and without content-encoding."
T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)
TOLD = ("Expected `", "Object missing required field `")
Pairs = Iterable[tuple[str, str]]
LISTS = frozenset({"products", "labels"})
MOST_FIELDS = 5_000
NOTHING = frozenset({"null", "undefined"})
ABSENT = frozenset({"visitor", "email", "customer", "currency"})
"""Members of a query in which those words mean null; elsewhere, as among the words of a search, they are text."""
NESTED = re.compile(r"(products|labels)\[(\d{0,9})\](?:\[(\w{1,40})\])?", re.ASCII)
"""List, index and member, in the notation of OpenAPI's deepObject, PHP and jQuery."""
FORM = re.compile(rb"[&\s]*[\w.%~-][\w.%~+\[\]-]*=", re.ASCII)


class Size(StrEnum):
    """Which of the settings limits a body. LOOKUP applies only with the key in the header; else the usual limit."""

    USUAL = "body"
    SALE = "sale"
    LOOKUP = "lookup"


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Bytes of a usual body, of a sale or results, and of a batch look-up with the key in the header; and levels of lists and objects."""

    body: int
    sale: int
    lookup: int
    depth: int

    def most(self, size: Size, *, by_header: bool) -> int:
        """The limit in bytes. `by_header`: the key was in the header, so the caller is known before its body is read."""
        if size is Size.LOOKUP:
            return self.lookup if by_header else self.body
        return self.sale if size is Size.SALE else self.body


class KeyMembers(msgspec.Struct):
    key: Any = None
    private_key: Any = None


async def read_body(headers: Mapping[str, str], receive: Receive, most: int) -> bytes:
    """Raises TooLarge as soon as more than `most` bytes are announced or received, and UnsupportedMedia for a compressed body or a
    multipart form. An empty body is an empty object."""
    coding = headers.get("content-encoding", "")
    if coding and not PACKED.isdisjoint(map(str.strip, coding.lower().split(","))):
        raise UnsupportedMedia(UNPACK)
    announced = headers.get("content-length", "0")
    digits = announced.lstrip("0") or "0"
    if len(digits) > len(str(most)) or not (announced.isascii() and announced.isdigit()) or int(digits) > most:
        raise TooLarge(f"Send a body of at most {most} bytes.")
    chunks, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Malformed("The body ended too early; send as many bytes as content-length says.")
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > most:
            raise TooLarge(f"Send a body of at most {most} bytes.")
        if not message.get("more_body"):
            break
    raw = b"".join(chunks).removeprefix(BOM)
    if raw.startswith(GZIP):
        raise UnsupportedMedia(UNPACK)
    if raw.startswith(b"--"):
        raise UnsupportedMedia("Send the body as JSON, or as application/x-www-form-urlencoded to calls that accept forms.")
    return raw or b"{}"


def check_text(raw: bytes, most: int) -> None:
    """Raises Malformed for invalid UTF-8 or more than `most` levels, also in unknown members, which the decoder skips unchecked."""
    try:
        raw.decode()
    except UnicodeDecodeError:
        raise Malformed("The body is not JSON in UTF-8.") from None
    if raw.count(b"[") + raw.count(b"{") <= most:
        return
    brackets = NO_BRACKET.sub(b"", raw)
    for _ in range(most):
        brackets = brackets.replace(b"[]", b".").replace(b"{}", b".").replace(b".", b"")  # only the innermost pairs
    if brackets:
        raise Malformed(f"The body has more than {most} levels of lists and objects, or its brackets do not match.")


def with_whole_texts(raw: bytes) -> bytes:
    """Replaces half a surrogate pair by the replacement character, because the decoder would refuse the whole body."""
    return ESCAPE.sub(lambda found: rb"\ufffd" if found[1] else found[0], raw)


def mended(raw: bytes) -> bytes:
    """With whole texts, and runs of digits cut to 1,000: the decoder accepts 4,300, and no number here needs that many."""
    if b"\\u" in raw:
        raw = with_whole_texts(raw)
    return DIGITS.sub(rb"\1", raw) if len(raw) > 1000 else raw


def key_members(raw: bytes) -> KeyMembers:
    """Empty if the body is not an object. Raises Malformed."""
    try:
        return _object_as(KeyMembers, raw or b"{}")
    except Invalid:
        return KeyMembers()


def says_counted(raw: bytes) -> bool:
    """Whether the members, of which others may be wrong, say that the visitor has no ID and is counted."""
    try:
        members = all_members(raw)
    except (Invalid, Malformed):
        return False
    return members.get("visitor", "") is None and members.get("counted") in YES


def all_members(raw: bytes) -> dict[str, object]:
    return _object_as(dict[str, object], raw)


def fit(wanted: type[S], members: Mapping[str, object]) -> S:
    """A struct with the valid members only. All of its members must be optional. A member that is a struct is treated the same way."""
    found: dict[str, object] = {}
    for one in fields(wanted):
        if one.encode_name in members:
            with suppress(msgspec.ValidationError):
                found[one.name] = _fit_value(one.type, members[one.encode_name])
    return wanted(**found)


def _fit_value(wanted: Any, value: object) -> object:
    """Raises ValidationError if the value is not valid and not an object."""
    try:
        return msgspec.convert(value, wanted)
    except msgspec.ValidationError:
        struct = next(_structs(wanted), None)
        if struct is None or not isinstance(value, Mapping):
            raise
        return fit(struct, value)


def _structs(wanted: Any) -> Iterator[type[msgspec.Struct]]:
    """The structs among the options of a type, also inside Annotated."""
    if isinstance(wanted, type) and issubclass(wanted, msgspec.Struct):
        yield wanted
    for one in get_args(wanted):
        yield from _structs(one)


def _object_as(wanted: type[T], raw: bytes) -> T:
    try:
        return msgspec.json.decode(raw, type=wanted)
    except msgspec.ValidationError as error:
        raise Invalid(error_text(str(error))) from None
    except (msgspec.DecodeError, RecursionError):
        raise Malformed("The body is not JSON in UTF-8.") from None


def error_text(message: str) -> str:
    """The place of the fault, and what was expected. It never repeats what was sent."""
    expected, _, place = message.partition(" - at `")
    path = place.rstrip("`") or "$"
    if found := MEMBER.search(expected):
        return f"{path}.{found[1]}: not a documented member"
    return f"{path}: {expected}" if expected.startswith(TOLD) else f"{path}: not a documented value"


def plugin_error_text(message: str) -> str:
    """The same fault, in the words of Clerk's API, which plugins recognise."""
    found = re.search(r"`\$\.(\w+)", message)
    return f"Invalid Syntax In Argument: {found.group(1) if found else 'body'}"


def is_form(raw: bytes) -> bool:
    """Decides by the content: JSON is JSON, whatever content type it is sent with."""
    return FORM.match(raw) is not None


def form_as_json(raw: bytes) -> bytes:
    """Raises Invalid."""
    try:
        return as_json(parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MOST_FIELDS))
    except ValueError:
        raise Invalid(f"Send at most {MOST_FIELDS} fields in a form.") from None


def as_json(pairs: Pairs) -> bytes:
    """Lists may be JSON (products also as an object with numeric keys), `name[]=`, repeated names, or `name[0][member]=`. The words null
    and undefined mean null in lists and in `ABSENT`. Raises Invalid for products in any other form."""
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
        members.setdefault(name, None if name in ABSENT and text in NOTHING else text)
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
    """Without an index, a member that the last line already has starts a new line."""
    last = next(reversed(lines), 0)
    at = int(index) if index else last + (isinstance(lines.get(last), dict) and member in lines[last])
    line = lines.setdefault(at, {} if member else text)
    if member and isinstance(line, dict):
        line.setdefault(member, text)


def _json_of(text: str) -> msgspec.Raw | None:
    """None if it is not JSON: a label may begin like a list."""
    try:
        return msgspec.json.decode(with_whole_texts(text.encode()), type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return None
