"""Signed visitor IDs and receipts.

A token is `1` + kind (d, c, p) + `.` + visitor ID, signed with its issue time by itsdangerous: HMAC-SHA-256, keys derived per purpose
and shop. Every key of the list verifies, the last one signs. Only the one canonical spelling of a signature is accepted.
"""

import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache

import itsdangerous
from itsdangerous.encoding import base64_decode, base64_encode, int_to_bytes
from msgspec import Struct

from identity_service.visitor import Kind, VisitorId

VERSION = "1"
MOST_CHARACTERS = 120
SESSION_SHAPE = re.compile(r"[A-Za-z0-9_.:-]{1,300}\.[A-Za-z0-9_-]{1,10}\.[A-Za-z0-9_-]{43}")
SHAPE = re.compile(rf"{VERSION}[dcp]\.[A-Za-z0-9_.-]{{1,64}}\.[A-Za-z0-9_-]{{1,10}}\.[A-Za-z0-9_-]{{43}}")


class Token(Struct, frozen=True):
    """A verified token. `issued_at` in seconds since 1970; `newest_key` is False when it should be signed anew."""

    text: str
    kind: Kind
    visitor: VisitorId
    issued_at: int
    newest_key: bool


class _Signer(itsdangerous.TimestampSigner):
    """Derives its key once, and stamps the time it is given, because the clock is the caller's."""

    def __init__(self, key: str, salt: str) -> None:
        super().__init__(key, salt=salt, key_derivation="hmac", digest_method=hashlib.sha256)
        self._derived = super().derive_key()

    def derive_key(self, secret_key: str | bytes | None = None) -> bytes:  # noqa: ARG002 one key a signer
        return self._derived

    def sign_at(self, payload: str, time: int) -> str:
        stamp = base64_encode(int_to_bytes(time)).decode()
        return itsdangerous.Signer.sign(self, f"{payload}.{stamp}").decode()


class Signing:
    """`keys`: base64url texts of at least 32 random bytes, oldest first."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = tuple(reversed(keys))
        self._signers = lru_cache(maxsize=4096)(self._make_signers)

    def sign(self, shop: str, kind: Kind, visitor: VisitorId, issued_at: int) -> str:
        return self._signed(f"visitor:{shop}", f"{VERSION}{kind}.{visitor}", issued_at)

    def verify(self, shop: str, text: str) -> Token | None:
        """None for everything that this shop's keys did not sign, letter for letter. Says nothing of age or withdrawal."""
        if len(text) > MOST_CHARACTERS or not SHAPE.fullmatch(text):
            return None
        opened = self._opened(f"visitor:{shop}", text)
        if opened is None:
            return None
        payload, issued_at, newest = opened
        return Token(text, Kind(payload[1]), VisitorId(payload[3:]), issued_at, newest)

    def sign_receipt(self, shop: str, body: str, time: int) -> str:
        """The signature alone, for a receipt whose canonical JSON is `body`."""
        return self._signed(f"receipt:{shop}", body, time).removeprefix(f"{body}.")

    def sign_session(self, payload: str, time: int) -> str:
        """For whoever has signed in to the admin pages."""
        return self._signed("admin", payload, time)

    def open_session(self, text: str) -> tuple[str, int] | None:
        """Payload and time of signing, in seconds since 1970; None for what no key signed."""
        opened = self._opened("admin", text) if SESSION_SHAPE.fullmatch(text) else None
        return opened[:2] if opened else None

    def _signed(self, salt: str, payload: str, time: int) -> str:
        return self._signers(salt)[0].sign_at(payload, time)

    def _opened(self, salt: str, text: str) -> tuple[str, int, bool] | None:
        signature = text.rpartition(".")[2]
        if base64_encode(base64_decode(signature)).decode() != signature:
            return None
        for index, signer in enumerate(self._signers(salt)):
            try:
                payload, stamped = signer.unsign(text, return_timestamp=True)
            except itsdangerous.BadSignature:
                continue
            return payload.decode(), int(stamped.timestamp()), index == 0
        return None

    def _make_signers(self, salt: str) -> tuple[_Signer, ...]:
        return tuple(_Signer(key, salt) for key in self._keys)
