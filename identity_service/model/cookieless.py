"""Cookieless visitor IDs, derived from address and user agent. Nothing is kept on the device.

ID = HMAC-SHA-256 over length-prefixed shop, address (IPv6: its /64) and user agent, keyed by the window's key, cut to 128 bits. The key is
derived from the pepper, so that the store alone does not reveal addresses, and from a salt: 32 random bytes for one shop and one window of
1 to 30 days. The salt is in the store with a TTL, the key in memory. Both are destroyed 30 minutes after the window ends, and backups hold
no salts, so nobody can compute the window's IDs after that. In those 30 minutes, an ID that was active within the last 30 stays the same,
so that midnight interrupts no session.
"""

import hashlib
import hmac
import ipaddress
import socket
from base64 import urlsafe_b64encode

from msgspec import Struct

from identity_service.model.handle import prefixed
from identity_service.model.utc import DAY
from identity_service.model.visitor import VisitorId

GRACE = 1_800
SALT_BYTES = 32


class Window(Struct, frozen=True):
    """`start` and `end`: seconds since 1970. Windows are counted from 1970, so that all workers agree. `grace`: seconds after the end until
    the salt is destroyed."""

    start: int
    end: int
    grace: int = GRACE

    @property
    def salt_destroyed_at(self) -> int:
        return self.end + self.grace

    def previous(self) -> "Window":
        return Window(self.start - (self.end - self.start), self.start)


def window_at(now: int, days: int) -> Window:
    length = days * DAY
    start = now - now % length
    return Window(start, start + length)


def derive(key: bytes, shop: str, address: str, user_agent: str) -> VisitorId:
    """`address`: the visitor's own, never a server's. Raises ValueError if it is not an address."""
    message = prefixed((shop, network(address), user_agent))
    return VisitorId(urlsafe_b64encode(hmac.digest(key, message, hashlib.sha256)[:16]).decode().rstrip("="))


def network(address: str) -> bytes:
    """The address, of IPv6 its /64. Raises ValueError if it is not an address."""
    try:
        return socket.inet_pton(socket.AF_INET, address)
    except (OSError, ValueError):
        parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return parsed.ipv4_mapped.packed if parsed.ipv4_mapped else parsed.packed[:8]
    return parsed.packed
