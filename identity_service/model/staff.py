"""The staff of shops: people who sign in to the admin pages, with a key or through a proxy that knows them, and what each role may see."""

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct


class Role(StrEnum):
    """SUPPORT looks people up. ANALYST sees figures and no persons. PRIVACY exports, erases and reads receipts. OWNER does everything."""

    SUPPORT = "support"
    ANALYST = "analyst"
    PRIVACY = "privacy"
    OWNER = "owner"


EVERY_ROLE = frozenset(Role)


class StaffMember(Struct, frozen=True):
    """Somebody whom a trusted proxy signed in. `groups`: as the proxy names them."""

    name: str
    groups: frozenset[str]

    def roles(self, by_group: Mapping[str, str]) -> frozenset[Role]:
        """`by_group`: a shop's setting `roles`."""
        return frozenset(Role(role) for group, role in by_group.items() if group in self.groups)


class StoredSession(Struct, frozen=True, array_like=True):
    """A living session in the store. `key`: the first characters of its key's digest; empty for a proxy's. `form_token`: part of every
    form. `begun_at`: seconds since 1970."""

    person: str
    key: str
    form_token: str
    begun_at: int
