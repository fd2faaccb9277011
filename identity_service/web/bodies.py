"""Bodies: read within limits, checked as text, and what is told about one that does not fit."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from starlette.types import Receive

from identity_service.errors import Malformed, TooLarge

NESTING = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]')
T = TypeVar("T")
TOLD = ("Expected `", "Object missing required field `")


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Bytes of a body, bytes of a batch look-up with the key in the header, and depth of its lists and objects."""

    body: int
    lookup: int
    depth: int


class KeyMembers(msgspec.Struct):
    key: Any = None
    private_key: Any = None


async def read_body(headers: Mapping[str, str], receive: Receive, most: int) -> bytes:
    """Raises TooLarge as soon as more than `most` bytes are announced or have come; an empty body is an empty object."""
    if headers.get("content-encoding", "identity") != "identity":
        raise Malformed("Bodies are taken without content-encoding.")
    announced = headers.get("content-length", "0")
    if len(announced) > len(str(most)) or not (announced.isascii() and announced.isdigit()) or int(announced) > most:
        raise TooLarge(f"A body may have {most} bytes here.")
    chunks, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Malformed("The body ended early.")
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > most:
            raise TooLarge(f"A body may have {most} bytes here.")
        if not message.get("more_body"):
            return b"".join(chunks) or b"{}"


def check_text(raw: bytes, most: int) -> None:
    """Also of members that nobody reads: the decoder skips those unseen."""
    try:
        raw.decode()
    except UnicodeDecodeError:
        raise Malformed("The body is not JSON in UTF-8.") from None
    if raw.count(b"[") + raw.count(b"{") <= most:
        return
    depth = 0
    for match in NESTING.finditer(raw):
        depth += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(match.group(), 0)
        if depth > most:
            raise Malformed(f"The body nests deeper than {most} levels.")


def key_members(raw: bytes) -> KeyMembers:
    return _object_as(KeyMembers, raw or b"{}")


def all_members(raw: bytes) -> dict[str, object]:
    return _object_as(dict[str, object], raw)


def _object_as(wanted: type[T], raw: bytes) -> T:
    try:
        return msgspec.json.decode(raw, type=wanted)
    except (msgspec.DecodeError, RecursionError):
        raise Malformed("The body is not a JSON object in UTF-8.") from None


def told(message: str) -> str:
    """Where and what was expected; never what was sent."""
    expected, _, place = message.partition(" - at `")
    path = place.rstrip("`") or "$"
    return f"{path}: {expected}" if expected.startswith(TOLD) else f"{path}: not a documented value"


def told_to_plugin(message: str) -> str:
    """The text that plugins of Clerk's API know."""
    found = re.search(r"`\$\.(\w+)", message)
    return f"Invalid Syntax In Argument: {found.group(1) if found else 'body'}"
