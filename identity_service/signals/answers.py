"""A banner's answer in its own names, and the strict grammars in which banners write it.

None of these readers raises. A repeated name makes the whole text unreadable, because either of the two could be forged.
"""

import base64
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from urllib.parse import unquote

from identity_service.model.consent import BannerContext, Millis

LONGEST: Final = 16 * 1024
_BROKEN_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_YES: Final = {"true", "1", "yes", "allow", "ACCEPT", "granted"}


@dataclass(frozen=True, slots=True)
class Answer:
    """A decided banner in its own names. `others`: the state of names that `states` lacks: False if the banner lists only what was
    accepted, or the choice itself if it is a single switch. `ends_at`: when the banner asks again. `stored`: the banner also reports it
    at each load, not only when the person acts."""

    states: Mapping[str, bool | None] = field(default_factory=dict)
    others: bool | None = None
    decided_at: Millis | None = None
    policy_version: str | None = None
    sale_share_opt_out: bool | None = None
    visitor: str | None = None
    stored: bool = False
    ends_at: Millis | None = None
    banner: BannerContext | None = None


def millis(time: object) -> Millis | None:
    """Reads milliseconds, seconds (a number or digits) or ISO 8601 with a zone, between 2001 and 2286. A time without a zone is
    ambiguous."""
    if isinstance(time, str):
        return millis(int(time)) if re.fullmatch(r"[0-9]{10,13}", time) else _iso_millis(time)
    if isinstance(time, bool) or not isinstance(time, int | float):
        return None
    if 10**12 <= time < 10**13:
        return Millis(int(time))
    return Millis(int(time * 1000)) if 10**9 <= time < 10**10 else None


def _iso_millis(text: str) -> Millis | None:
    try:
        moment = datetime.fromisoformat(text) if len(text) <= 40 else None
    except ValueError:
        return None
    if moment is None or moment.tzinfo is None or not 2002 <= moment.year <= 2285:
        return None
    return Millis(round(moment.timestamp() * 1000))


def version(value: object) -> str | None:
    """A banner's version of its texts. Banners write 0 if they have none."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    text = str(value) if isinstance(value, str) or 0 <= value < 10**16 else ""
    return text if text != "0" and 0 < len(text) <= 64 and text.isprintable() else None


def banner_context(version: object = None, language: object = None, method: object = None) -> BannerContext | None:
    """What a banner says about itself, without what is no short text. None if nothing is left."""
    found = [text if isinstance(text, str) and 0 < len(text) <= 32 and text.isprintable() else None for text in (version, language, method)]
    return BannerContext(*found) if any(found) else None


def text_of(raw: str) -> str | None:
    """The percent-decoded text. None for a broken escape, invalid UTF-8, a control character, or more than 16 KiB."""
    if len(raw) > LONGEST or _BROKEN_ESCAPE.search(raw):
        return None
    try:
        text = unquote(raw, errors="strict")
    except UnicodeDecodeError:
        return None
    return None if _CONTROL.search(text) else text


def json_object(text: str | None) -> Mapping[str, object]:
    """Empty if `text` is not a JSON object."""
    try:
        return mapping(json.loads(text or "", object_pairs_hook=unique_pairs))
    except (ValueError, RecursionError):
        return {}


def unique_pairs(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    told = list(pairs)
    if len(found := dict(told)) < len(told):
        raise ValueError("a name is given twice")
    return found


def pairs_of(grammar: re.Pattern[str], parts: Iterable[str]) -> dict[str, str] | None:
    """None unless every part matches the grammar completely, and no name is repeated."""
    found: dict[str, str] = {}
    for part in parts:
        match = grammar.fullmatch(part)
        if match is None or match[1] in found:
            return None
        found[match[1]] = match[2]
    return found


def base64_object(raw: str) -> Mapping[str, object]:
    """The object of a cookie that holds JSON in base64. Empty if it does not."""
    try:
        return json_object(base64.b64decode(text_of(raw) or "", validate=True).decode())
    except ValueError:
        return {}


def mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def names(value: object) -> list[str]:
    return [name for name in value if isinstance(name, str)] if isinstance(value, list | tuple) else []


def booleans(value: object) -> dict[str, bool | None]:
    """Anything except true and false is undecided, also `1` and `"true"`."""
    return {name: state if isinstance(state, bool) else None for name, state in mapping(value).items()}


def states_of_words(value: object, *words: str) -> dict[str, bool | None]:
    """States written as one of two `words`. Any other word is undecided."""
    return {name: word in _YES if isinstance(word, str) and word in words else None for name, word in mapping(value).items()}


def states_of_lists(accepted: object, rejected: object) -> dict[str, bool | None]:
    """A name in both lists is undecided."""
    yes, no = set(names(accepted)), set(names(rejected))
    return {name: None if name in yes & no else name in yes for name in yes | no}


def detail_of(event: Mapping[str, object]) -> Mapping[str, object]:
    """A DOM event carries the banner's own object as `detail`."""
    return mapping(event.get("detail")) or event


def event_names(event: Mapping[str, object]) -> list[str]:
    """The event's names: a callback's as `event`, a DOM event's as `type`."""
    return [name for name in (event.get("event"), event.get("type")) if isinstance(name, str)]


def of_single_cookie(read: Callable[[str], Answer | None]) -> Callable[[Mapping[str, str]], Answer | None]:
    """Reads a single cookie. Two cookies of one banner, such as those of two sites, are not one choice."""
    return lambda cookies: read(*cookies.values()) if len(cookies) == 1 else None


def of_json(read: Callable[[Mapping[str, object]], Answer | None]) -> Callable[[Mapping[str, str]], Answer | None]:
    """Reads a single cookie that holds JSON, percent-encoded or not."""
    return of_single_cookie(lambda raw: read(json_object(text_of(raw))))
