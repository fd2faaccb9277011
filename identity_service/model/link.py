"""Links between handles and visitors, in the public form that other services may read from the store.

A handle's links are one hash, field = visitor ID, value = `FIRST LAST LIFE SF`: when first linked, in seconds since 1970; when last
linked, by its proof or a stronger one, and how long it counts, both in seconds after FIRST; S is the source, `s`ale `e`mail or `l`ink; F is
the proof: `v`erified by a private key, by the visitor's `t`oken, or `u`nproven.
"""

from dataclasses import dataclass
from enum import StrEnum

from identity_service.model.visitor import VisitorId


class LinkSource(StrEnum):
    SALE = "sale"
    EMAIL = "email"
    LINK = "link"


class Proof(StrEnum):
    """What shows that a visitor is the handle's, which decides about the person's rights. `KEY`: the shop says so with a private key.
    `TOKEN`: the visitor says so with its own token. `NONE`: anybody may have said so, by a bare ID or in a page's markup."""

    KEY = "key"
    TOKEN = "token"  # noqa: S105 no password
    NONE = "none"

    @property
    def letter(self) -> str:
        """As it is stored."""
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
    """Links that no private key made never take the last half of a cap. Those without proof yield to those by token, and these to those
    by key, oldest first within a kind."""

    visitors_per_handle: int
    emails_per_visitor: int


def parse_link(visitor: str, value: str) -> Link:
    """What is no value of a link, since somebody wrote it by hand, is one without proof that has ended."""
    try:
        first, last, life, letters = value.split(" ")
        began, source, proof = int(first), _BY_LETTER[letters[0]], _PROOFS[letters[1]]
        return Link(VisitorId(visitor), began, began + int(last), began + int(life), source, proof)
    except (ValueError, KeyError, IndexError):
        return Link(VisitorId(visitor), 0, 0, 0, LinkSource.LINK, Proof.NONE)


def living_links(stored: dict[str, str], now: int) -> list[Link]:
    """Newest first; expired ones are left out."""
    links = [parse_link(visitor, value) for visitor, value in stored.items()]
    return sorted((link for link in links if link.expires > now), key=lambda link: (-link.last_seen, -link.first_seen, link.visitor))
