"""Pages of lists: `limit` and `cursor` of a call, and the `next` of its answer.

A list is sorted by its keys, and a cursor is the key of the last entry shown. New entries at the front do not shift later pages.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from identity_service.errors import Invalid

T = TypeVar("T")
Key = tuple[int | str, ...]
QueryParameters = dict[str, tuple[dict[str, Any], str]]
"""Schema and description of each parameter, by name."""
MOST_EVENTS, MOST_RECEIPTS, MOST_CALLS, MOST_LABELS, MOST_PRODUCTS, MOST_REMOVALS, MOST_AUDIT = 500, 100, 2_000, 10_000, 10_000, 1_000, 200
"""Most entries of a page. Also the default for `limit`."""
TAKE_NEXT = "cursor: must be the `next` of an earlier answer"


def page_query(most: int, usual: int = 0) -> QueryParameters:
    """The query parameters of a list, for /openapi.json. `usual`: the default for `limit`; 0 means `most`."""
    return {
        "cursor": ({"type": "string", "maxLength": 1_000}, "`next` of the page before. Absent, the first page."),
        "limit": ({"type": "integer", "minimum": 1, "maximum": most, "default": usual or most}, f"Entries of a page, 1 to {most:,}."),
    }


def page_of(entries: Sequence[T], keys: Sequence[Key], cursor: str | None, limit: int) -> tuple[list[T], str | None]:
    """The entries after `cursor`, and the cursor of the next page. Raises Invalid for a cursor of another list."""
    found = list(zip(keys, entries, strict=True))
    if cursor is not None:
        found = _after(found, _key_of(cursor))
    shown = found[:limit]
    return [entry for _, entry in shown], _cursor_of(shown[-1][0]) if len(found) > limit else None


def keys_of_times(times: Sequence[int]) -> list[Key]:
    """Keys of entries, newest first. Entries of one second are distinguished by the number that follow in it."""
    following: Counter[int] = Counter()
    keys: list[Key] = []
    for time in reversed(times):
        keys.append((-time, -following[time]))
        following[time] += 1
    return keys[::-1]


def number(query: Mapping[str, str], name: str, usual: int, most: int) -> int:
    text = query.get(name, str(usual))
    found = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(most)) else 0
    if not 1 <= found <= most:
        raise Invalid(f"{name}: must be a number from 1 to {most}")
    return found


def _after(found: list[tuple[Key, T]], last: Key) -> list[tuple[Key, T]]:
    try:
        return [(key, entry) for key, entry in found if key > last]
    except TypeError:  # the cursor of another list
        raise Invalid(TAKE_NEXT) from None


def _cursor_of(key: Key) -> str:
    return urlsafe_b64encode(msgspec.json.encode(key)).rstrip(b"=").decode()


def _key_of(cursor: str) -> Key:
    try:
        return msgspec.json.decode(urlsafe_b64decode(cursor.encode() + b"=="), type=Key)
    except ValueError:  # from base64 or from JSON
        raise Invalid(TAKE_NEXT) from None
