"""Signed visitor IDs and receipts, and the confirmations of opt-ins to sale.

A token is `1` + kind (d, c, p) + `.` + visitor ID, signed with its issue time by itsdangerous: HMAC-SHA-256 with keys derived per purpose
and shop. Every key of the list verifies; the last one signs. Only the canonical spelling of a signature is accepted.
"""

import hashlib
import hmac
import re
from collections.abc import Sequence
from functools import lru_cache

import itsdangerous
from itsdangerous.encoding import base64_decode, base64_encode, bytes_to_int, int_to_bytes, want_bytes
from msgspec import Struct

from identity_service.model.visitor import KINDS, Kind, VisitorId

VERSION = "1"
MOST_CHARACTERS = 120
SESSION_SHAPE = re.compile(r"[A-Za-z0-9_.:-]{1,300}\.[A-Za-z0-9_-]{1,10}\.[A-Za-z0-9_-]{43}")
OPT_IN = "sale-opt-in~"
"""Begins a confirmation. No token, session or receipt contains the tilde."""
OPT_IN_SHAPE = re.compile(rf"{OPT_IN}[A-Za-z0-9_.-]{{1,64}}\.[A-Za-z0-9_-]{{1,10}}\.[A-Za-z0-9_-]{{43}}")
SHAPE = re.compile(rf"{VERSION}[dcp]\.[A-Za-z0-9_.-]{{1,64}}\.[A-Za-z0-9_-]{{1,10}}\.[A-Za-z0-9_-]{{43}}")


class Token(Struct, frozen=True):
    """A verified token. `issued_at`: seconds since 1970. `newest_key`: False if an older key signed it, so that it should be signed
    again."""

    text: str
    kind: Kind
    visitor: VisitorId
    issued_at: int
    newest_key: bool


class _Signer(itsdangerous.Signer):
    """Derives its key once. It writes the given time in the form of the library's TimestampSigner, which would read its own clock."""

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
        """Payload and time of signing; None unless the signature equals this key's, letter for letter."""
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
        return self._sign(f"visitor:{shop}", f"{VERSION}{kind}.{visitor}", issued_at)

    def verify(self, shop: str, text: str) -> Token | None:
        """None unless a key of this shop signed exactly this text. Age and withdrawal are not checked."""
        if len(text) > MOST_CHARACTERS or not SHAPE.fullmatch(text):
            return None
        opened = self._open(f"visitor:{shop}", text)
        if opened is None:
            return None
        payload, issued_at, newest = opened
        return Token(text, KINDS[payload[1]], VisitorId(payload[3:]), issued_at, newest)

    def sign_receipt(self, shop: str, body: str, time: int) -> str:
        """The signature of a receipt whose canonical JSON is `body`."""
        return self._sign(f"receipt:{shop}", body, time).removeprefix(f"{body}.")

    def verify_receipt(self, shop: str, body: str, signature: str) -> bool:
        """Whether one of the keys made this signature for this canonical JSON."""
        return len(signature) <= MOST_CHARACTERS and self._open(f"receipt:{shop}", f"{body}.{signature}") is not None

    def sign_opt_in(self, shop: str, visitor: VisitorId, asked_at: int) -> str:
        """The confirmation by which the visitor's opt-in to sale is completed. `asked_at`: seconds since 1970."""
        return self._sign(f"sale-opt-in:{shop}", f"{OPT_IN}{visitor}", asked_at)

    def open_opt_in(self, shop: str, text: str) -> tuple[VisitorId, int] | None:
        """Visitor and time of asking, in seconds since 1970; None unless a key of this shop signed exactly this text."""
        opened = self._open(f"sale-opt-in:{shop}", text) if OPT_IN_SHAPE.fullmatch(text) else None
        return (VisitorId(opened[0].removeprefix(OPT_IN)), opened[1]) if opened else None

    def sign_session(self, payload: str, time: int) -> str:
        """Signs a session of the admin pages."""
        return self._sign("admin", payload, time)

    def open_session(self, text: str) -> tuple[str, int] | None:
        """Payload and time of signing, in seconds since 1970; None if no key signed it."""
        opened = self._open("admin", text) if SESSION_SHAPE.fullmatch(text) else None
        return opened[:2] if opened else None

    def _sign(self, salt: str, payload: str, time: int) -> str:
        return self._signers(salt)[0].sign_at(payload, time)

    def _open(self, salt: str, text: str) -> tuple[str, int, bool] | None:
        for index, signer in enumerate(self._signers(salt)):
            if opened := signer.open(text):
                return *opened, index == 0
        return None

    def _make_signers(self, salt: str) -> tuple[_Signer, ...]:
        return tuple(_Signer(key, salt) for key in self._keys)
