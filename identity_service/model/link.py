"""Links between handles and visitors, in the public form that other services may read from the store.

A handle's links are one hash. Field: visitor ID. Value: `FIRST LAST LIFE SF`.

    FIRST   when it was first linked, in seconds since 1970
    LAST    when it was last linked with its proof or a stronger one, in seconds after FIRST
    LIFE    how long it counts, in seconds after FIRST
    S       the source: `s`ale, `e`mail or `l`ink
    F       the proof: `v`erified by a private key, by the visitor's `t`oken, or `u`nproven
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from identity_service.model.visitor import VisitorId


class LinkSource(StrEnum):
    SALE = "sale"
    EMAIL = "email"
    LINK = "link"


class Proof(StrEnum):
    """Evidence that a visitor belongs to the handle's person, which decides about the person's rights. `KEY`: the shop asserts it with a
    private key. `TOKEN`: the visitor sent its own token. `NONE`: anybody may have sent it, with a bare ID or in a page's markup."""

    KEY = "key"
    TOKEN = "token"  # noqa: S105 no password
    NONE = "none"

    @property
    def letter(self) -> str:
        """Its form in the store."""
        return _LETTERS[self]


_LETTERS = {Proof.KEY: "v", Proof.TOKEN: "t", Proof.NONE: "u"}
_PROOFS = {letter: proof for proof, letter in _LETTERS.items()}
_BY_LETTER = {source.value[0]: source for source in LinkSource}


@dataclass(frozen=True, slots=True)
class Link:
    visitor: VisitorId
    first_seen: int
    last_seen: int
    expires: int
    source: LinkSource
    proof: Proof

    @property
    def verified(self) -> bool:
        return self.proof is Proof.KEY

    @property
    def proven(self) -> bool:
        return self.proof is not Proof.NONE


@dataclass(frozen=True, slots=True)
class LinkCaps:
    """Links without a private key fill at most half of a cap. Links without proof give way to those by token, and those by token to
    those by key; within a kind, the oldest first."""

    visitors_per_handle: int
    emails_per_visitor: int


def parse_link(visitor: str, value: str) -> Link:
    """A malformed value, written by hand, counts as an expired link without proof."""
    try:
        first, last, life, letters = value.split(" ")
        began, source, proof = int(first), _BY_LETTER[letters[0]], _PROOFS[letters[1]]
        return Link(VisitorId(visitor), began, began + int(last), began + int(life), source, proof)
    except (ValueError, KeyError, IndexError):
        return Link(VisitorId(visitor), 0, 0, 0, LinkSource.LINK, Proof.NONE)


def living_links(stored: dict[str, str], now: int) -> list[Link]:
    """Newest first; expired ones are left out."""
    links = [parse_link(visitor, value) for visitor, value in stored.items()]
    return newest_first(link for link in links if link.expires > now)


def newest_first(links: Iterable[Link]) -> list[Link]:
    return sorted(links, key=lambda link: (-link.last_seen, -link.first_seen, link.visitor))
