"""Keys that sign receipts for everybody: Ed25519 (RFC 8032), published as JSON Web Keys (RFC 8037).

A key of the settings is `FROM:SEED`, or `FROM/UNTIL:SEED`: days in UTC, and 32 random bytes in base64url. A key signs from its first day
until the first day of the next key, or its own UNTIL. The published list names all of them with their days, so that a key that ended still
verifies what it signed.

What is signed is the canonical JSON of a receipt as it is answered, without `proof`: UTF-8, sorted members, no spaces.
"""

import hashlib
import re
from base64 import b64decode, b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

FORM = re.compile(r"(?P<starts>\d{4}-\d\d-\d\d)(?:/(?P<ends>\d{4}-\d\d-\d\d))?:(?P<seed>[A-Za-z0-9_-]{43})=?")
DER_PREFIX = bytes.fromhex("302a300506032b6570032100")
"""The bytes before an Ed25519 public key in DER (RFC 8410)."""


class PublishedKey(Struct, frozen=True, rename={"starts": "from", "ends": "until"}):
    """A JSON Web Key with the days on which it signs. `ends`: the first day on which it does not; None while no end is known. `kid`: its
    thumbprint (RFC 7638). `pem`: the same key for OpenSSL."""

    kid: str
    x: str
    pem: str
    starts: str
    ends: str | None = None
    kty: str = "OKP"
    crv: str = "Ed25519"
    alg: str = "EdDSA"
    use: str = "sig"


class KeyList(Struct, frozen=True):
    keys: list[PublishedKey]


class ReceiptProof(Struct, frozen=True, forbid_unknown_fields=True):
    """`signed`: the signed bytes, so that nobody has to make the canonical form to verify them. They and the signature are in base64, as
    OpenSSL reads it."""

    kid: str
    signed: str
    ed25519: str


@dataclass(frozen=True, slots=True)
class ReceiptKey:
    """`ends`: the first day on which it does not sign."""

    starts: date
    ends: date | None
    private: Ed25519PrivateKey
    published: PublishedKey

    def signs_on(self, day: date) -> bool:
        return self.starts <= day and (self.ends is None or day < self.ends)


def read_keys(texts: Iterable[str]) -> list[ReceiptKey]:
    """Oldest first. Raises ValueError, with what to correct, for a text of another form and for days in disorder."""
    read = [_read(text) for text in texts]
    found: list[ReceiptKey] = []
    starts_of_next: list[date | None] = [*(starts for starts, _, _ in read), None]
    for (starts, ends, seed), following in zip(read, starts_of_next[1:], strict=True):
        if (ends and ends <= starts) or (following and following <= starts):
            raise ValueError("every key must start after the one before it, and end after its start")
        last = min([day for day in (ends, following) if day], default=None)
        private = Ed25519PrivateKey.from_private_bytes(seed)
        found.append(ReceiptKey(starts, last, private, _publish(private.public_key().public_bytes_raw(), starts, last)))
    return found


def _read(text: str) -> tuple[date, date | None, bytes]:
    match = FORM.fullmatch(text)
    if not match:
        raise ValueError("must be FROM:SEED or FROM/UNTIL:SEED, days like 2026-12-01 and 32 random bytes in base64url")
    ends = date.fromisoformat(match["ends"]) if match["ends"] else None
    return date.fromisoformat(match["starts"]), ends, _decoded(match["seed"])


def _publish(public: bytes, starts: date, ends: date | None) -> PublishedKey:
    x = _text(public)
    thumbprint = hashlib.sha256(f'{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}'.encode()).digest()
    pem = f"-----BEGIN PUBLIC KEY-----\n{b64encode(DER_PREFIX + public).decode()}\n-----END PUBLIC KEY-----\n"
    return PublishedKey(_text(thumbprint), x, pem, starts.isoformat(), ends.isoformat() if ends else None)


class ReceiptKeys:
    """`keys`: oldest first."""

    def __init__(self, keys: Sequence[ReceiptKey]) -> None:
        self._keys = keys

    @property
    def published(self) -> KeyList:
        return KeyList([key.published for key in self._keys])

    def sign(self, body: bytes, now: int) -> ReceiptProof | None:
        """`now`: seconds since 1970. None while no key signs."""
        day = datetime.fromtimestamp(now, UTC).date()
        for key in self._keys:
            if key.signs_on(day):
                return ReceiptProof(key.published.kid, b64encode(body).decode(), b64encode(key.private.sign(body)).decode())
        return None


def canonical_json(members: object) -> bytes:
    return msgspec.json.encode(members, order="sorted")


def receipts_in(text: bytes) -> list[dict[str, Any]]:
    """The receipts of a file: one, an answer with `receipts`, or an answer with `receipt`. Raises ValueError for anything else."""
    try:
        told = msgspec.json.decode(text, type=dict[str, Any])
        return msgspec.convert([told["receipt"]] if told.get("receipt") else told.get("receipts", [told]), list[dict[str, Any]])
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def proof_fault(members: Mapping[str, Any], keys: KeyList) -> str | None:
    """Why the proof does not hold. None if one of the keys signed exactly this receipt."""
    try:
        proof = msgspec.convert(members.get("proof"), ReceiptProof)
        signed, signature = b64decode(proof.signed, validate=True), b64decode(proof.ed25519, validate=True)
    except ValueError:  # from msgspec or from base64
        return "it has no Ed25519 signature"
    key = next((one for one in keys.keys if one.kid == proof.kid), None)
    if key is None:
        return f"key {ascii(proof.kid)[1:-1]} is not in the list"
    if signed != canonical_json({name: value for name, value in members.items() if name != "proof"}):
        return "its members are not those that were signed"
    day = str(members.get("signed_at"))[:10]
    if day < key.starts or (key.ends is not None and day >= key.ends):
        return f"key {proof.kid} did not sign on that day"
    canonical = b64encode(signature).decode() == proof.ed25519 and b64encode(signed).decode() == proof.signed
    return None if canonical and _is_signed(key, signed, signature) else "the signature is not the key's"


def _is_signed(key: PublishedKey, signed: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(_decoded(key.x)).verify(signature, signed)
    except (InvalidSignature, ValueError):
        return False
    return True


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    """Raises ValueError."""
    return urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
