"""Public keys of agents: Ed25519 (RFC 8032) as JSON Web Keys (RFC 8037), in the directories that agents publish, and the file in which the
service keeps them.

A key is always looked up together with the directory that it was fetched from. Otherwise an agent could sign with its own key in the name
of another.
"""

import hashlib
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Struct

WELL_KNOWN = "/.well-known/http-message-signatures-directory"
MOST_KEYS = 100
"""Of a directory."""
PUBLISHED_FOR_TESTS = frozenset({"poqkLGiymh_W0uP6PZFw-dvez3QJT5SolqXBCW38r0U"})
"""Thumbprints of keys whose private half is public: RFC 9421, B.1.4."""
ORIGIN = re.compile(r"https://[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[0-9]{1,5})?")


class AgentKey(Struct, frozen=True, omit_defaults=True):
    """`x`: the public key in base64url. `nbf`, `exp`: its first and its last second, if the directory says so."""

    x: str
    nbf: int | None = None
    exp: int | None = None

    @property
    def thumbprint(self) -> str:
        """RFC 7638. Signatures name the key by it."""
        digest = hashlib.sha256(f'{{"crv":"Ed25519","kty":"OKP","x":"{self.x}"}}'.encode()).digest()
        return urlsafe_b64encode(digest).decode().rstrip("=")

    def serves_at(self, moment: int) -> bool:
        return (self.nbf is None or self.nbf <= moment) and (self.exp is None or moment < self.exp)

    def has_signed(self, signed: bytes, signature: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(_decoded(self.x)).verify(signature, signed)
        except (InvalidSignature, ValueError):
            return False
        return True


class Directory(Struct, frozen=True):
    """The keys of one agent, by its origin, as they were at `fetched_at`, in seconds since 1970."""

    origin: str
    fetched_at: int
    keys: list[AgentKey]


class KeyFile(Struct, frozen=True):
    directories: list[Directory]


def origin_of(text: str) -> str | None:
    """The origin of a directory in its normal form. None for anything else than an HTTPS origin."""
    try:
        parts = urlsplit(text.strip().lower())
        plain = parts.netloc.removesuffix(":443") if not (parts.path.strip("/") or parts.query or parts.fragment) else ""
    except ValueError:
        return None
    origin = f"{parts.scheme}://{plain}"
    return origin if ORIGIN.fullmatch(origin) else None


def keys_in(body: bytes) -> list[AgentKey]:
    """The Ed25519 keys of a published directory. Other keys, malformed ones and those of specifications are left out. Raises ValueError if
    it is no key set, or has too many keys."""
    try:
        members = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):  # what is nested too deeply is not JSON to us, either
        raise ValueError("it is not JSON") from None
    listed = members.get("keys") if isinstance(members, dict) else None
    if not isinstance(listed, list) or len(listed) > MOST_KEYS:
        raise ValueError(f"it has no list `keys` of at most {MOST_KEYS} keys")
    found = [key for one in listed if isinstance(one, dict) and (key := _key_of(one))]
    return [key for key in found if key.thumbprint not in PUBLISHED_FOR_TESTS]


def _key_of(jwk: Mapping[str, object]) -> AgentKey | None:
    """None for a key of another kind, one for another use, and one whose `kid` is not its thumbprint."""
    if (jwk.get("kty"), jwk.get("crv")) != ("OKP", "Ed25519") or jwk.get("use", "sig") != "sig":
        return None
    try:
        key = msgspec.convert({name: jwk[name] for name in ("x", "nbf", "exp") if name in jwk}, AgentKey)
        Ed25519PublicKey.from_public_bytes(_decoded(key.x))
    except (msgspec.ValidationError, ValueError):
        return None
    return key if jwk.get("kid", key.thumbprint) == key.thumbprint else None


def _decoded(text: str) -> bytes:
    """Raises ValueError, also for a text that is not the canonical one of its bytes."""
    raw = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    if urlsafe_b64encode(raw).decode().rstrip("=") != text:
        raise ValueError("not in base64url")
    return raw
