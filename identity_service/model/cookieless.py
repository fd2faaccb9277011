"""Cookieless visitor IDs: derived from address and user agent, nothing on the device.

ID = HMAC-SHA-256 under the window's key over length-prefixed shop, address (IPv6: its /64) and user agent, cut to 128 bits. The key is made
of the pepper, so that the store alone cannot be turned back to addresses, and of a salt: 32 random bytes for one shop and one window of 1
to 30 days. The salt lives in the store with a TTL, and the key in memory. Both are destroyed 30 minutes after the window's end, and no
backup holds a salt: from then on nobody can compute the window's IDs again. During those 30 minutes an ID that was active within the last
30 is kept, so that midnight cuts no session.
"""

import hashlib
import hmac
import ipaddress
import socket
from base64 import urlsafe_b64encode

from msgspec import Struct

from identity_service.model.handle import prefixed
from identity_service.model.visitor import VisitorId

DAY = 86_400
GRACE = 1_800
SALT_BYTES = 32


class Window(Struct, frozen=True):
    """`start` and `end` in seconds since 1970; windows are counted from 1970, so all workers agree."""

    start: int
    end: int

    @property
    def salt_destroyed_at(self) -> int:
        return self.end + GRACE

    def previous(self) -> "Window":
        return Window(self.start - (self.end - self.start), self.start)


def window_at(now: int, days: int) -> Window:
    length = days * DAY
    start = now - now % length
    return Window(start, start + length)


def derive(key: bytes, shop: str, address: str, user_agent: str) -> VisitorId:
    """`address` is the visitor's own, never a server's; raises ValueError if it is none."""
    message = prefixed((shop, _network(address), user_agent))
    return VisitorId(urlsafe_b64encode(hmac.digest(key, message, hashlib.sha256)[:16]).decode().rstrip("="))


def _network(address: str) -> bytes:
    try:
        return socket.inet_pton(socket.AF_INET, address)
    except (OSError, ValueError):
        parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return parsed.ipv4_mapped.packed if parsed.ipv4_mapped else parsed.packed[:8]
    return parsed.packed
