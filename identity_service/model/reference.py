"""Sealed references: what an address of the admin pages names, such as a visitor, so that only the service can read it.

A reference is AES-256-GCM (NIST SP 800-38D) over its end and its text, under a key of one session of one shop. So it is worthless to
another session, and after an hour. The key is made of the service's signing key.
"""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from identity_service.model.handle import prefixed

LIFE = 3_600
"""Seconds."""
NONCE_BYTES = 12
MOST_CHARACTERS = 2_000


class References:
    """`keys`: the service's signing keys, oldest first. The last one seals."""

    def __init__(self, keys: Sequence[str], random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self._keys = [key.encode() for key in reversed(keys)]
        self._random_bytes = random_bytes

    def seal(self, shop: str, session: str, text: str, now: int) -> str:
        """`now`: seconds since 1970."""
        nonce = self._random_bytes(NONCE_BYTES)
        sealed = _cipher(self._keys[0], shop, session).encrypt(nonce, f"{now + LIFE} {text}".encode(), None)
        return urlsafe_b64encode(nonce + sealed).rstrip(b"=").decode()

    def open(self, shop: str, session: str, reference: str, now: int) -> str | None:
        """None for a reference that has ended, and for one that this session did not get."""
        if len(reference) > MOST_CHARACTERS:
            return None
        try:
            raw = urlsafe_b64decode(reference.encode("ascii") + b"=" * (-len(reference) % 4))
        except ValueError:
            return None
        for key in self._keys:
            try:
                opened = _cipher(key, shop, session).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], None).decode()
            except (InvalidTag, ValueError):
                continue
            end, _, text = opened.partition(" ")
            return text if now < int(end) else None
        return None


def _cipher(key: bytes, shop: str, session: str) -> AESGCM:
    return AESGCM(hmac.digest(key, prefixed(("reference", shop, session)), hashlib.sha256))
