"""Handles: keyed digests of emails and customer IDs, to which visitors are linked. The values themselves never leave this file.

Digest = 128 bits of HMAC-SHA-256(pepper, shop, kind, SHA-256(normalised value)) as 22 characters of base64url. A caller can therefore use
the SHA-256 of a normalised email instead of the email. The pepper is the oldest one. Each newer pepper digests the digest again, so that a
store can be re-keyed without any email or visitor ID.

An email is normalised in this order: remove invisible characters, trim, NFC, plain at sign, lower case letter by letter, IDNA domain, and
NFC again, because some letters compose only in lower case. Provider-specific rules on dots and plus signs are not applied, nor any folding
that could merge two people.
"""

import hashlib
import hmac
import re
import unicodedata
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from functools import lru_cache

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email
from msgspec import Struct

from identity_service.errors import Invalid

LONGEST_TYPED_EMAIL = 1_016
LONGEST_CUSTOMER = 255
RECENT = 128
"""Digests kept in memory, for the calls in progress."""
SHA256_HEX = re.compile(r"[0-9a-fA-F]{64}")
JUNK = frozenset(
    {"", "null", "undefined", "none", "nan", "nil", "n/a", "na", "guest", "anonymous", "unknown", "test", "test@test", "auto", "persistent"}
    | {"0", "-1", "-", "true", "false", "[object object]", "{}", "[]"}
)
PLAIN = re.compile(
    r"(?=.{1,254}\Z)(?=[^@]{1,64}@)[a-z0-9_+-]+(?:\.[a-z0-9_+-]+)*@(?:(?!..--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+([a-z]{2,63})"
)
"""Emails in lower case that the library accepts unchanged; it needs 30 µs for that. The group is the top-level domain."""
INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0]"
    "|[\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Unicode's Default_Ignorable_Code_Point, including bidi controls. Text copied from a page may contain them unseen."""
AT_SIGNS = {0xFF20: "@", 0xFE6B: "@"}
"""The full-width and the small at sign, which some keyboards type, by their NFKC."""


class HandleKind(StrEnum):
    EMAIL = "e"
    CUSTOMER = "c"

    @property
    def words(self) -> str:
        """For people to read."""
        return "email" if self is HandleKind.EMAIL else "customer ID"


class Handle(Struct, frozen=True, eq=False):
    """`inner`: SHA-256 of the normalised value, if the handle was made from one. It is neither stored nor compared."""

    kind: HandleKind
    digest: str
    inner: bytes = b""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Handle) and (self.kind, self.digest) == (other.kind, other.digest)

    def __ne__(self, other: object) -> bool:
        """The library's own would compare identities."""
        return not self == other

    def __hash__(self) -> int:
        return hash((self.kind, self.digest))

    @property
    def name(self) -> str:
        """Kind and digest in one word, as pointers and notes of erasures store it."""
        return f"{self.kind}{self.digest}"


class NeverLinked:
    """Emails and customer IDs of a shop that stand for many people. `values`: an email, its part up to the at sign for every domain, or a
    customer ID."""

    def __init__(self, values: Iterable[str]) -> None:
        texts = [value.strip() for value in values]
        self._names = frozenset(text.lower() for text in texts if text.endswith("@"))
        self._emails = frozenset(normalise_email(text) for text in texts if "@" in text.removesuffix("@"))
        self._customers = frozenset(text for text in texts if "@" not in text)

    def check_email(self, email: str) -> None:
        """Raises Invalid."""
        if not (self._names or self._emails):
            return
        plain = normalise_email(email)
        if plain in self._emails or f"{plain.partition('@')[0]}@" in self._names:
            raise Invalid("email: stands for many people here (`never_link`), so it is not linked")

    def check_customer(self, customer: str) -> None:
        """Raises Invalid."""
        if customer.strip() in self._customers:
            raise Invalid("customer: stands for many people here (`never_link`), so it is not linked")


def handle_named(name: str) -> Handle:
    return Handle(HandleKind(name[0]), name[1:])


class Handles:
    """Turns clear values into handles; peppers are the secret texts of the settings, oldest first."""

    def __init__(self, oldest: str, *newer: str) -> None:
        self._peppers = [pepper.encode() for pepper in (oldest, *newer)]
        self._keyed = hmac.new(self._peppers[0], digestmod=hashlib.sha256)
        self.digest: Callable[..., str] = lru_cache(RECENT)(self._digest)

    def of_email(self, shop: str, email: str) -> Handle:
        """Raises Invalid for a malformed email, and for placeholders that scripts send."""
        return self._handle(shop, HandleKind.EMAIL, hashlib.sha256(normalise_email(email).encode()).digest())

    def of_email_sha256(self, shop: str, digest: str) -> Handle:
        """`digest`: SHA-256 of the normalised email in hex. Raises Invalid for anything else."""
        if not SHA256_HEX.fullmatch(digest):
            raise Invalid("email_sha256: must be 64 hexadecimal digits, the SHA-256 of the normalised email")
        return self._handle(shop, HandleKind.EMAIL, bytes.fromhex(digest))

    def of_customer(self, shop: str, customer: str) -> Handle:
        """Raises Invalid for empty, junk and overlong customer IDs."""
        text = customer.strip()
        if is_junk(text) or len(text) > LONGEST_CUSTOMER or not text.isprintable():
            raise Invalid("customer: must be 1 to 255 printable characters, and not a word like null or undefined")
        return self._handle(shop, HandleKind.CUSTOMER, hashlib.sha256(text.encode()).digest())

    def _handle(self, shop: str, kind: HandleKind, inner: bytes) -> Handle:
        return Handle(kind, self.digest("handle", shop, kind, inner), inner)

    def audit_subject(self, shop: str, name: str) -> str:
        """How the audit names a person, under the oldest pepper alone. `name`: from `name_of`."""
        keyed = self._keyed.copy()
        keyed.update(prefixed(("audit", shop, name)))
        return _text(keyed.digest()[:16]).decode()

    def earlier_names(self, shop: str, handle: Handle) -> list[str]:
        """The handle's names before each change of the pepper, newest first. None for a handle that was not made from its value."""
        if not handle.inner:
            return []
        digest, names = _digest_under(self._peppers[:1], prefixed(("handle", shop, handle.kind, handle.inner))), []
        for pepper in self._peppers[1:]:
            names.append(f"{handle.kind}{_text(digest).decode()}")
            digest = _digest_under([pepper], digest)
        return names[::-1]

    def _digest(self, *parts: str | bytes) -> str:
        """22 characters, keyed by the peppers. The first part is the purpose; length prefixes separate the parts. A call needs the same few
        several times, so recent ones are cached."""
        keyed = self._keyed.copy()
        keyed.update(prefixed(parts))
        digest = keyed.digest()[:16]
        return _text(_digest_under(self._peppers[1:], digest) if len(self._peppers) > 1 else digest).decode()

    def window_key(self, salt: bytes) -> bytes:
        """The key for a window's cookieless IDs: 32 bytes of HMAC-SHA-256(current pepper, "cookieless", salt)."""
        return hmac.digest(self._peppers[-1], prefixed(("cookieless", salt)), hashlib.sha256)

    def day_key(self, salt: bytes) -> bytes:
        """The key for a day's figures: 32 bytes of HMAC-SHA-256(current pepper, "figures", salt)."""
        return hmac.digest(self._peppers[-1], prefixed(("figures", salt)), hashlib.sha256)

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """Identify the peppers without revealing them: 64 bits of HMAC-SHA-256(pepper, "fingerprint") each, oldest first."""
        return tuple(_text(hmac.digest(pepper, b"fingerprint", hashlib.sha256)[:8]).decode() for pepper in self._peppers)


def prefixed(parts: Iterable[str | bytes]) -> bytes:
    """Each part with its length before it, in four big-endian bytes."""
    found = b""
    for part in parts:
        raw = part.encode("utf-8", "replace") if isinstance(part, str) else part
        found += len(raw).to_bytes(4, "big") + raw
    return found


def rekey_digest(digest: bytes, peppers: Sequence[str]) -> bytes:
    """A stored digest, digested again under `peppers` that are newer than its own, oldest first. Raises ValueError for any other value."""
    if not peppers:
        return digest
    plain = urlsafe_b64decode(digest + b"==")
    if _text(plain) != digest:
        raise ValueError("is not a digest")
    return _text(_digest_under([pepper.encode() for pepper in peppers], plain))


def _digest_under(peppers: Sequence[bytes], message: bytes) -> bytes:
    for pepper in peppers:
        message = hmac.digest(pepper, message, hashlib.sha256)[:16]
    return message


def _text(digest: bytes) -> bytes:
    return urlsafe_b64encode(digest).rstrip(b"=")


def normalise_email(email: str) -> str:
    """Raises Invalid, without repeating the value."""
    if len(email) > LONGEST_TYPED_EMAIL or is_junk(email):
        raise Invalid("email: is not an email address")
    typed = email if email.isascii() else INVISIBLE.sub("", email).translate(AT_SIGNS)
    trimmed = unicodedata.normalize("NFC", typed.strip())
    plain = PLAIN.fullmatch(trimmed.lower()) if trimmed.isascii() else None
    if plain and plain[1] not in SPECIAL_USE_DOMAIN_NAMES:
        return plain[0]
    try:
        parsed = validate_email(trimmed, check_deliverability=False)
    except (EmailNotValidError, UnicodeError, ValueError):
        raise Invalid("email: is not an email address") from None
    return unicodedata.normalize("NFC", "".join(map(_lower, f"{parsed.local_part}@{parsed.ascii_domain}")))


def _lower(letter: str) -> str:
    """Letter by letter, so that a final sigma equals any other, and the dotted Turkish capital I stays distinct from i."""
    lower = letter.lower()
    return lower if len(lower) == 1 else letter


def is_junk(text: str) -> bool:
    return text.strip().strip("\"'").lower() in JUNK
