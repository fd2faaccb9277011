"""An own small encoder of TC strings, for tests: fields in the order of the specification, as bits in text."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import groupby

from identity_service.model.consent import Millis

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
NEEDED = frozenset({1, 8})
UPDATED = datetime(2026, 11, 1, tzinfo=UTC)

Ids = frozenset[int] | set[int]
Section = Callable[[Ids], str]


def millis(moment: datetime) -> Millis:
    return Millis((moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1))


def number(value: int, width: int) -> str:
    return f"{value:0{width}b}"


def text_of(bits: str) -> str:
    bits += "0" * (-len(bits) % 6)
    return "".join(ALPHABET[int(bits[at : at + 6], 2)] for at in range(0, len(bits), 6))


def id_bits(ids: Ids, width: int) -> str:
    return "".join("01"[one in ids] for one in range(1, width + 1))


def field(ids: Ids) -> str:
    last = max(ids, default=0)
    return number(last, 16) + "0" + id_bits(ids, last)


def runs(ids: Ids) -> Iterator[tuple[int, int]]:
    for _, run in groupby(enumerate(sorted(ids)), key=lambda pair: pair[1] - pair[0]):
        members = [one for _, one in run]
        yield members[0], members[-1]


def ranges(entries: list[tuple[int, int]]) -> str:
    coded = ["1" + number(start, 16) + number(end, 16) if start != end else "0" + number(start, 16) for start, end in entries]
    return number(len(entries), 12) + "".join(coded)


def ranged(ids: Ids) -> str:
    return number(max(ids, default=0), 16) + "1" + ranges(list(runs(ids)))


SECTIONS: list[Section] = [field, ranged]


def core_bits(
    purposes: Ids = NEEDED,
    vendors: str | None = None,
    *,
    updated: datetime = UPDATED,
    version: int = 2,
    policy: int = 5,
    scope: str = "1",
    interests: Ids = frozenset(),
    untold: str = "0",
    country: tuple[int, int] = (0, 0),
    interested: str | None = None,
    restrictions: tuple[tuple[int, int, list[tuple[int, int]]], ...] = (),
) -> str:
    time = number(millis(updated) // 100, 36)
    head = number(version, 6) + time + time + number(0, 54) + number(policy, 6) + scope + "0" + number(0, 12)
    bases = id_bits(purposes, 24) + id_bits(interests, 24) + untold + number(country[0], 6) + number(country[1], 6)
    sections = (vendors or field({5})) + (interested or field(set()))
    rules = "".join(number(purpose, 6) + number(kind, 2) + ranges(entries) for purpose, kind, entries in restrictions)
    return head + bases + sections + number(len(restrictions), 12) + rules


def disclosed(vendors: str, kind: int = 1) -> str:
    return text_of(number(kind, 3) + vendors)


def publisher(purposes: Ids, interests: Ids = frozenset(), custom: str = "") -> str:
    return text_of("011" + id_bits(purposes, 24) + id_bits(interests, 24) + number(len(custom), 6) + custom + "0" * len(custom))


def tc_string(purposes: Ids = NEEDED, *, updated: datetime = UPDATED) -> str:
    """Whole and valid: a core, and vendor 5 disclosed."""
    return f"{text_of(core_bits(purposes, updated=updated))}.{disclosed(field({5}))}"


def canadian_bits(express: Ids = NEEDED, implied: Ids = frozenset(), *, updated: datetime = UPDATED, version: int = 1) -> str:
    """The core of Canada's section, without vendors and restrictions."""
    time = number(millis(updated) // 100, 36)
    head = number(version, 6) + time + time + number(0, 54) + number(2, 6) + number(0, 13)
    return head + id_bits(express, 24) + id_bits(implied, 24) + field(set()) + field(set()) + number(0, 12)
