"""Links between handles and visitors, in the public form that other services may read from the store.

A handle's links are one hash, field = visitor ID, value = `FIRST LAST LIFE SF`: when first linked, in seconds since 1970; when last
linked and how long it counts, both in seconds after FIRST; S is the source, `s`ale `e`mail or `l`ink; F is `v`erified or `u`nverified.
"""

from dataclasses import dataclass
from enum import StrEnum

from identity_service.visitor import VisitorId


class LinkSource(StrEnum):
    SALE = "sale"
    EMAIL = "email"
    LINK = "link"


_BY_LETTER = {source.value[0]: source for source in LinkSource}


@dataclass(frozen=True, slots=True)
class Link:
    visitor: VisitorId
    first_seen: int
    last_seen: int
    expires: int
    source: LinkSource
    verified: bool


@dataclass(frozen=True, slots=True)
class LinkCaps:
    """Unverified links never take the last half of a cap, and yield to verified ones."""

    visitors_per_handle: int
    emails_per_visitor: int


def parse_link(visitor: str, value: str) -> Link:
    first, last, life, letters = value.split(" ")
    began = int(first)
    return Link(VisitorId(visitor), began, began + int(last), began + int(life), _BY_LETTER[letters[0]], letters[1] == "v")


def living_links(stored: dict[str, str], now: int) -> list[Link]:
    """Newest first; expired ones are left out."""
    links = [parse_link(visitor, value) for visitor, value in stored.items()]
    return sorted((link for link in links if link.expires > now), key=lambda link: (-link.last_seen, -link.first_seen, link.visitor))
