"""Signed visitor IDs and receipts.

A token is `1` + kind (d, c, p) + `.` + visitor ID, signed with its issue time by itsdangerous: HMAC-SHA-256, keys derived per purpose
and shop. Every key of the list verifies, the last one signs. Only the one canonical spelling of a signature is accepted.
"""

import hashlib
import hmac
import re
from collections.abc import Sequence
from functools import lru_cache

import itsdangerous
from itsdangerous.encoding import base64_decode, base64_encode, bytes_to_int, int_to_bytes, want_bytes
from msgspec import Struct

from identity_service.model.visitor import Kind, VisitorId

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


class _Signer(itsdangerous.Signer):
    """Derives its key once, and stamps the time it is given, as the library's own signer with times does, because the clock is the
    caller's."""

    def __init__(self, key: str, salt: str) -> None:
        super().__init__(key, salt=salt, key_derivation="hmac", digest_method=hashlib.sha256)
        self._keyed = hmac.new(self.derive_key(), digestmod=hashlib.sha256)

    def get_signature(self, value: str | bytes) -> bytes:
        keyed = self._keyed.copy()
        keyed.update(want_bytes(value))
        return base64_encode(keyed.digest())

    def sign_at(self, payload: str, time: int) -> str:
        signed = f"{payload}.{_stamp(time)}"
        return f"{signed}.{self.get_signature(signed).decode()}"

    def open(self, text: str) -> tuple[str, int] | None:
        """Payload and time of signing; None unless the signature is the one that this key gives, letter for letter."""
        signed, _, signature = text.rpartition(".")
        if not hmac.compare_digest(self.get_signature(signed), signature.encode()):
            return None
        payload, _, stamp = signed.rpartition(".")
        return payload, bytes_to_int(base64_decode(stamp))


@lru_cache(maxsize=64)
def _stamp(time: int) -> str:
    return base64_encode(int_to_bytes(time)).decode()


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

    def verify_receipt(self, shop: str, body: str, signature: str) -> bool:
        """Whether one of the keys gave this signature to this canonical JSON."""
        return len(signature) <= MOST_CHARACTERS and self._opened(f"receipt:{shop}", f"{body}.{signature}") is not None

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
        for index, signer in enumerate(self._signers(salt)):
            if opened := signer.open(text):
                return *opened, index == 0
        return None

    def _make_signers(self, salt: str) -> tuple[_Signer, ...]:
        return tuple(_Signer(key, salt) for key in self._keys)
