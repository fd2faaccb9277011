"""Big-endian bit fields in base64url text without padding (RFC 4648 section 5), the encoding of TC and GPP strings."""

import re
from base64 import urlsafe_b64decode

_ALPHABET = re.compile(r"[A-Za-z0-9_-]*")


class Bits:
    """Reads once, from the first bit on. Each character has six bits, so a text may have any number of characters, as GPP headers do.

    Raises ValueError for a character outside the alphabet, and for a read past the end. The cost of a read depends on its length only.
    """

    __slots__ = ("_at", "_bytes", "_end")

    def __init__(self, text: str) -> None:
        if _ALPHABET.fullmatch(text) is None:
            raise ValueError("not base64url")
        self._bytes = urlsafe_b64decode(text + "A" * (-len(text) % 4))
        self._at = 0
        self._end = 6 * len(text)

    @property
    def left(self) -> int:
        return self._end - self._at

    def take(self, n: int) -> int:
        """The next `n` bits as a number. Raises ValueError without reading if fewer are left."""
        if not 0 <= n <= self.left:
            raise ValueError("short read")
        start, stop = self._at, self._at + n
        self._at = stop
        covered = int.from_bytes(self._bytes[start // 8 : -(-stop // 8)], "big")
        return (covered >> (-stop % 8)) & ((1 << n) - 1)

    def flag(self) -> bool:
        return self.take(1) == 1
